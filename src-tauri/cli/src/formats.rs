//! How a token is printed, for whoever takes it.

use crate::args::Format;
use crate::print::{self, Failure};
use crate::{accounts, words};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use larder_client::{Client, OnWire, Problem, Token};
use serde_json::{Value, json};

/// What stands before the version in an ExecCredential's `apiVersion`.
const EXEC_GROUP: &str = "client.authentication.k8s.io/";

/// The versions that have the fields that are printed here; the first where the program asks for none.
const EXEC_VERSIONS: [&str; 2] = ["v1", "v1beta1"];

/// Where kubectl says which version it takes.
const EXEC_INFO: &str = "KUBERNETES_EXEC_INFO";

/// Whether an access token, or a proof, holds what it may (RFC 6749 appendix A.12). Anything else would be another
/// header or another line, or steer a terminal.
///
/// # Errors
/// [`Problem::Internal`].
pub fn check(token: &Token) -> Result<(), Problem> {
    let printable = |text: &str| !text.is_empty() && text.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
    if printable(token.access_token.expose()) && token.dpop.as_ref().map(OnWire::expose).is_none_or(printable) {
        return Ok(());
    }
    Err(Problem::Internal { detail: "the access token holds what no access token may hold".to_owned() })
}

/// What is said where a token that is bound to a key (RFC 9449) goes without a proof.
pub fn needs_proof(account: &str) -> String {
    format!(
        "This token is bound to a key and needs a proof for each request; \
         `larder token {account} --dpop METHOD URL` makes one."
    )
}

/// Prints a token that was [checked](check), on stdout and nowhere else. `user` is for [`Format::Xoauth2`].
pub fn print(client: &mut Client, token: &Token, format: Format, user: Option<String>) -> Result<(), Failure> {
    let text = token.access_token.expose();
    let proof = token.dpop.as_ref().map(OnWire::expose);
    match format {
        Format::Raw => print::line(&lines(text, proof)),
        Format::Header => {
            let proof = proof.map(|proof| format!("DPoP: {proof}"));
            print::line(&lines(&format!("Authorization: {} {text}", scheme(token)), proof.as_deref()))
        }
        Format::Json => {
            let mut answer = json!({
                "access_token": text,
                "token_type": token.token_type,
                "expires_at": token.expires_at,
                "scope": token.scope,
                "account": token.account,
            });
            if let (Some(proof), Some(fields)) = (proof, answer.as_object_mut()) {
                fields.insert("dpop".to_owned(), proof.into());
            }
            print::json(&answer)
        }
        Format::Xoauth2 => {
            let user = match user {
                Some(user) => user,
                None => email(client, &token.account)?,
            };
            print::line(&xoauth2(&user, text)?)
        }
        Format::K8s => print::json(&exec_credential(token, &exec_version(std::env::var(EXEC_INFO).ok().as_deref()))),
    }
}

fn lines(first: &str, second: Option<&str>) -> String {
    second.map_or_else(|| first.to_owned(), |second| format!("{first}\n{second}"))
}

/// The scheme of an Authorization header. Providers write "bearer" as they like, some servers read only RFC 6750's way.
fn scheme(token: &Token) -> &str {
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    match token.token_type.as_str() {
        kind if kind.eq_ignore_ascii_case("bearer") || kind.is_empty() || !kind.bytes().all(letters) => "Bearer",
        // RFC 9449 section 7.1.
        kind if kind.eq_ignore_ascii_case("dpop") => "DPoP",
        kind => kind,
    }
}

/// What an account's provider says its person's address is.
fn email(client: &mut Client, account: &str) -> Result<String, Problem> {
    let view = accounts::view(client)?;
    accounts::find(&view, account)?.email.clone().ok_or_else(|| Problem::BadRequest {
        detail: format!("the provider named no e-mail address for {account}; say who it is with --user"),
    })
}

/// The initial response of XOAUTH2, in base64: Google's “OAuth 2.0 mechanism” for IMAP and SMTP, which Microsoft
/// takes likewise.
fn xoauth2(user: &str, token: &str) -> Result<String, Problem> {
    // 0x01 ends a field there, and no address holds a control character.
    if user.is_empty() || user.chars().any(char::is_control) {
        return Err(Problem::BadRequest { detail: "that user name cannot be sent".to_owned() });
    }
    Ok(BASE64_STANDARD.encode(format!("user={user}\u{1}auth=Bearer {token}\u{1}\u{1}")))
}

/// The version of ExecCredential that a program wants, from what it says in its environment.
fn exec_version(info: Option<&str>) -> String {
    let wanted = info.and_then(|info| serde_json::from_str::<Value>(info).ok());
    let wanted = wanted.as_ref().and_then(|info| info["apiVersion"].as_str()?.strip_prefix(EXEC_GROUP));
    let known = EXEC_VERSIONS.into_iter().find(|known| wanted == Some(*known));
    format!("{EXEC_GROUP}{}", known.unwrap_or(EXEC_VERSIONS[0]))
}

/// What a Kubernetes client takes from a program that it runs for a credential.
fn exec_credential(token: &Token, version: &str) -> Value {
    let mut status = json!({ "token": token.access_token.expose() });
    // Without it the client keeps the token until the server refuses it.
    if let (Some(until), Some(status)) = (token.expires_at, status.as_object_mut()) {
        status.insert("expirationTimestamp".to_owned(), words::moment(until).into());
    }
    json!({ "apiVersion": version, "kind": "ExecCredential", "status": status })
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::time::WallTime;

    fn token(kind: &str, until: Option<i64>) -> Token {
        Token {
            access_token: OnWire::new("at-1".to_owned()),
            token_type: kind.to_owned(),
            expires_at: until.map(WallTime),
            scope: String::new(),
            account: String::new(),
            dpop: None,
        }
    }

    #[test]
    fn a_header_names_bearer_as_rfc_6750_does() {
        for (kind, expected) in
            [("bearer", "Bearer"), ("DPoP", "DPoP"), ("dpop", "DPoP"), ("", "Bearer"), ("a\r\nb: c", "Bearer")]
        {
            assert_eq!(scheme(&token(kind, None)), expected);
        }
    }

    #[test]
    fn xoauth2_is_one_field_after_the_other() {
        let text = xoauth2("ada@example.com", "at-1").unwrap();
        assert_eq!(BASE64_STANDARD.decode(text).unwrap(), b"user=ada@example.com\x01auth=Bearer at-1\x01\x01");
        for user in ["", "ada\u{1}auth=Bearer other", "ada\n"] {
            assert!(xoauth2(user, "at-1").is_err(), "{user:?}");
        }
    }

    #[test]
    fn a_kubernetes_client_gets_the_version_it_asks_for() {
        let version = |text: &str| exec_version(Some(text));
        assert_eq!(exec_version(None), "client.authentication.k8s.io/v1");
        let beta = "client.authentication.k8s.io/v1beta1";
        assert_eq!(version(&format!("{{\"apiVersion\":\"{beta}\",\"kind\":\"ExecCredential\"}}")), beta);
        for other in ["", "{}", r#"{"apiVersion":"client.authentication.k8s.io/v9"}"#, r#"{"apiVersion":"v1beta1"}"#] {
            assert_eq!(version(other), "client.authentication.k8s.io/v1", "{other}");
        }
        let credential = exec_credential(&token("Bearer", Some(1_700_000_000_999)), beta);
        assert_eq!(credential["status"]["expirationTimestamp"], "2023-11-14T22:13:20Z");
        let endless = exec_credential(&token("Bearer", None), beta);
        assert_eq!(endless, json!({ "apiVersion": beta, "kind": "ExecCredential", "status": { "token": "at-1" } }));
    }
}
