//! What one sign-in asks for beyond what is written down: more access (RFC 6749 section 3.3), and that its person
//! authenticates in another way, or anew (OpenID Connect Core 3.1.2.1, RFC 9470 section 4).

use crate::discovery::Server;
use crate::providers::Provider;
use larder_core::names::Scope;
use larder_core::problem::Problem;
use larder_core::protocol::Authentication;
use larder_core::time::WallTime;
use std::time::Duration;
use url::Url;

/// So many scopes are added at once; the largest lists that providers document for one client have about fifty.
const MOST_SCOPES: usize = 64;

/// The longest scope, in bytes: the longest that providers document are addresses of about a hundred.
const MOST_SCOPE: usize = 256;

/// The longest list of authentication contexts, in bytes; the whole request has to fit into an address.
const MOST_ACR_VALUES: usize = 1024;

/// The longest `prompt`, in bytes: it lists words of which there are five.
const MOST_PROMPT: usize = 128;

/// The longest `max_age`, in seconds: a year; no login page remembers anybody that long.
const MOST_MAX_AGE: u64 = 366 * 24 * 60 * 60;

/// Whether this can be asked for.
///
/// # Errors
/// [`Problem::BadRequest`].
pub fn check(scopes: &[Scope], authentication: &Authentication) -> Result<(), Problem> {
    let bad = |detail: String| Err(Problem::BadRequest { detail });
    if scopes.len() > MOST_SCOPES {
        return bad(format!("at most {MOST_SCOPES} scopes can be added at once"));
    }
    // RFC 6749 section 3.3.
    let scope = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    if scopes.iter().any(|one| one.0.is_empty() || one.0.len() > MOST_SCOPE || !one.0.bytes().all(scope)) {
        return bad(format!("a scope has 1 to {MOST_SCOPE} characters, without spaces or quotes"));
    }
    // OpenID Connect Core 3.1.2.1: a list, separated by spaces.
    let words = |text: &str, most: usize, fits: fn(u8) -> bool| {
        text.len() <= most && text.split(' ').all(|word| !word.is_empty() && word.bytes().all(fits))
    };
    if authentication.acr_values.as_ref().is_some_and(|text| !words(text, MOST_ACR_VALUES, |b| b.is_ascii_graphic())) {
        return bad(format!("acr_values are names with single spaces between, up to {MOST_ACR_VALUES} characters"));
    }
    if let Some(prompt) = &authentication.prompt {
        if !words(prompt, MOST_PROMPT, |byte| byte.is_ascii_lowercase() || byte == b'_') {
            return bad("a prompt is words as login, consent or select_account, with single spaces between".to_owned());
        }
        if prompt != "none" && prompt.split(' ').any(|word| word == "none") {
            return bad("the prompt none stands alone".to_owned());
        }
    }
    if authentication.max_age.is_some_and(|seconds| seconds > MOST_MAX_AGE) {
        return bad(format!("max_age is at most {MOST_MAX_AGE} seconds"));
    }
    Ok(())
}

/// Adds it to what is written down. What was granted is asked for as well: the new session takes the old one's place, and
/// must not hold less.
pub fn ask_for(provider: &mut Provider, granted: &[Scope], scopes: &[Scope], authentication: &Authentication) {
    if scopes.is_empty() && authentication.is_empty() {
        return;
    }
    for scope in granted.iter().chain(scopes) {
        if !provider.scopes.contains(scope) {
            provider.scopes.push(scope.clone());
        }
    }
    let Authentication { acr_values, max_age, prompt } = authentication;
    let asked = [("acr_values", acr_values.clone()), ("max_age", max_age.map(|seconds| seconds.to_string()))];
    for (name, value) in asked.into_iter().chain([("prompt", prompt.clone())]) {
        if let Some(value) = value {
            provider.authorization_params.insert(name.to_owned(), value);
        }
    }
}

/// Whether a provider can be asked, and whether its answer can be checked.
///
/// # Errors
/// [`Problem::BadRequest`], [`Problem::BadProvider`].
pub fn can_be_asked(
    name: &str,
    provider: &Provider,
    server: &Server,
    device: bool,
    authentication: &Authentication,
) -> Result<(), Problem> {
    if device && !authentication.is_empty() {
        // RFC 8628 section 3.1 has no such parameters, and no redirect tells that they were not met.
        let detail = "a sign-in by device code cannot ask for acr_values, max_age or a prompt; leave out --device";
        return Err(Problem::BadRequest { detail: detail.to_owned() });
    }
    let lacks = |field: &str| {
        let detail = "without an ID token nothing says when somebody authenticated, so max_age cannot be checked";
        let (provider, field, detail) = (name.to_owned(), field.to_owned(), detail.to_owned());
        Err(Problem::BadProvider { provider, field, detail })
    };
    match authentication.max_age {
        Some(_) if !openid(provider) => lacks("scopes"),
        Some(_) if server.jwks_uri.is_none() => lacks("jwks_uri"),
        _ => Ok(()),
    }
}

fn openid(provider: &Provider) -> bool {
    provider.scopes.iter().any(|scope| scope.as_str() == "openid")
}

/// The `max_age` that is sent, whether asked for now or written down, where the answer can be checked. A device authorization
/// sends none.
pub fn max_age(provider: &Provider, server: &Server, device: bool) -> Option<u64> {
    let sent = provider.authorization_params.get("max_age").filter(|_| openid(provider) && !device)?;
    server.jwks_uri.as_ref()?;
    sent.parse().ok()
}

/// When somebody must have authenticated at the earliest who signs in now. It counts from the request: how long its person
/// then takes to consent does not make the login older.
pub fn since(now: WallTime, max_age: Option<u64>) -> Option<WallTime> {
    max_age.map(|seconds| WallTime(now.0.saturating_sub(larder_core::time::millis(Duration::from_secs(seconds)))))
}

/// Where its person can sign out in the browser too (OpenID Connect RP-Initiated Logout 1.0, section 2). It names client and
/// person, so that the provider knows who is meant, and holds no token: an address lands in histories and logs, and the
/// ID token that the standard would rather have there opens doors elsewhere.
pub fn browser_sign_out(endpoint: &str, client_id: &str, hint: Option<&str>) -> Option<String> {
    let mut url = crate::http::endpoint("", "end_session_endpoint", endpoint).ok()?;
    add(&mut url, "client_id", client_id);
    if let Some(hint) = hint {
        add(&mut url, "logout_hint", hint);
    }
    Some(url.into())
}

fn add(url: &mut Url, name: &str, value: &str) {
    url.query_pairs_mut().append_pair(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(scopes: &[&str]) -> Provider {
        let scopes = scopes.iter().copied().map(Scope::from).collect();
        Provider { scopes, ..Provider::of_issuer("https://id.example") }
    }

    fn scopes(names: &[&str]) -> Vec<Scope> {
        names.iter().copied().map(Scope::from).collect()
    }

    fn authentication(acr_values: Option<&str>, max_age: Option<u64>, prompt: Option<&str>) -> Authentication {
        Authentication { acr_values: acr_values.map(str::to_owned), max_age, prompt: prompt.map(str::to_owned) }
    }

    #[test]
    fn more_access_is_what_is_written_down_and_granted_and_new_each_once() {
        let mut asked = provider(&["openid", "offline_access"]);
        ask_for(&mut asked, &scopes(&["openid", "a"]), &scopes(&["b", "a"]), &Authentication::default());
        assert_eq!(asked.scopes, scopes(&["openid", "offline_access", "a", "b"]));
        assert!(asked.authorization_params.is_empty(), "include_granted_scopes and its kin are the provider's own");
        // Signing in again asks as ever.
        let mut asked = provider(&["openid"]);
        ask_for(&mut asked, &scopes(&["a"]), &[], &Authentication::default());
        assert_eq!(asked.scopes, scopes(&["openid"]));
    }

    #[test]
    fn a_step_up_asks_for_what_was_granted_and_takes_the_place_of_what_is_written_down() {
        let mut asked = provider(&["openid"]);
        asked.authorization_params.insert("prompt".to_owned(), "consent".to_owned());
        ask_for(&mut asked, &scopes(&["a"]), &[], &authentication(Some("urn:x phr"), Some(0), Some("login")));
        assert_eq!(asked.scopes, scopes(&["openid", "a"]));
        let parameters: Vec<_> = asked.authorization_params.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(parameters, [("acr_values", "urn:x phr"), ("max_age", "0"), ("prompt", "login")]);
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused_with_its_reason() {
        let refused = |scopes: &[Scope], authentication: &Authentication| match check(scopes, authentication) {
            Err(Problem::BadRequest { detail }) => detail,
            other => panic!("{other:?}"),
        };
        let nothing = Authentication::default();
        for bad in ["", "two words", "quo\"te", "back\\slash", "ünï", "line\n", &"s".repeat(MOST_SCOPE + 1)] {
            assert!(refused(&scopes(&[bad]), &nothing).contains("a scope has"), "{bad}");
        }
        assert!(refused(&vec![Scope::from("s"); MOST_SCOPES + 1], &nothing).contains("at most 64"));
        for bad in ["", " a", "a  b", "a\tb", "ü", &"a".repeat(MOST_ACR_VALUES + 1)] {
            assert!(refused(&[], &authentication(Some(bad), None, None)).contains("acr_values"), "{bad}");
        }
        for bad in ["", "Login", "login&x=y", "login  consent", &"a".repeat(MOST_PROMPT + 1)] {
            assert!(refused(&[], &authentication(None, None, Some(bad))).contains("a prompt is"), "{bad}");
        }
        assert!(refused(&[], &authentication(None, None, Some("login none"))).contains("alone"));
        assert!(refused(&[], &authentication(None, Some(MOST_MAX_AGE + 1), None)).contains("max_age"));
        let fine = authentication(Some("urn:mace:incommon:iap:silver phr"), Some(0), Some("login consent"));
        assert_eq!(check(&scopes(&["https://www.googleapis.com/auth/drive.readonly", "repo:status"]), &fine), Ok(()));
        assert_eq!(check(&[], &authentication(None, None, Some("none"))), Ok(()));
    }

    #[test]
    fn a_login_may_be_older_by_max_age_than_the_request() {
        assert_eq!(since(WallTime(100_000), None), None);
        assert_eq!(since(WallTime(100_000), Some(0)), Some(WallTime(100_000)));
        assert_eq!(since(WallTime(100_000), Some(60)), Some(WallTime(40_000)));
    }

    #[test]
    fn the_address_of_a_sign_out_names_client_and_person_and_is_no_open_http() {
        let url = |endpoint| browser_sign_out(endpoint, "a client&x", Some("ada+x@example.com"));
        assert_eq!(
            url("https://id.example/end?tenant=1").as_deref(),
            Some("https://id.example/end?tenant=1&client_id=a+client%26x&logout_hint=ada%2Bx%40example.com")
        );
        assert_eq!(
            browser_sign_out("http://127.0.0.1:8080/end", "c", None).as_deref(),
            Some("http://127.0.0.1:8080/end?client_id=c")
        );
        for refused in ["http://id.example/end", "javascript:alert(1)", "file:///etc/passwd", "https://a:b@id.example/"]
        {
            assert_eq!(url(refused), None, "{refused}");
        }
    }
}
