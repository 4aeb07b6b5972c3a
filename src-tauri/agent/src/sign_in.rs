//! A sign-in's secrets and its authorization request (RFC 6749 section 4.1.1, RFC 7636, OpenID Connect Core 3.1.2.1).

use crate::clock::Clock;
use crate::device::Polling;
use crate::discovery::Server;
use crate::dpop::DpopKey;
use crate::grants::{Endpoints, Tokens};
use crate::http::host;
use crate::identity::Who;
use crate::loopback::Loopback;
use crate::providers::{Provider, Redirect, Userinfo, WrittenRedirect};
use crate::token_endpoint::Ended;
use larder_core::attempt::{Attempt, AuthorizationError, LIFETIME, Phase, Redirected};
use larder_core::names::{AccountId, AttemptId, Digest, ProviderName, Scope};
use larder_core::problem::Problem;
use larder_core::protocol::MOST_CALLBACK;
use larder_core::scheme::{REDIRECT_URI, is_ours};
use larder_core::time::WallTime;
use larder_core::view::RedirectKind;
use oauth2::{AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use url::Url;

/// What must come back, and what only the token endpoint may see.
pub struct Secrets {
    /// RFC 7636 section 4.1; taken by the exchange.
    pub verifier: Option<PkceCodeVerifier>,
    /// The code; taken by the exchange.
    pub code: Option<AuthorizationCode>,
    /// OpenID Connect Core 3.1.2.1.
    pub nonce: SecretString,
    /// The authorization request, to be opened again.
    pub authorization_url: Url,
    /// As registered at the provider.
    pub redirect_uri: String,
    /// Listens for the redirect, while the sign-in waits.
    pub loopback: Option<Loopback>,
    /// Asks how a device authorization went, while the sign-in waits.
    pub polling: Option<Polling>,
    /// What a device authorization brought; taken by the exchange.
    pub granted: Option<Ended>,
    /// What was asked for.
    pub scopes: Vec<Scope>,
    /// How userinfo is asked for and read.
    pub userinfo: Userinfo,
    /// Its person must have authenticated since then (`max_age` of OpenID Connect Core 3.1.2.1).
    pub authenticated_since: Option<WallTime>,
    /// Where the code goes. Bound at the start: a redirect cannot change it.
    pub endpoints: Endpoints,
    /// Where its person can sign out in the browser (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<String>,
    /// The redirect must name this issuer (RFC 9207), if it names one.
    pub issuer: Option<String>,
    /// It must name it.
    pub iss_required: bool,
    /// The key that the tokens are to be bound to (RFC 9449), where the provider's are.
    pub dpop: Option<DpopKey>,
    /// Who signed in, and what was granted; until it is stored.
    pub result: Option<(Who, Tokens)>,
}

/// For whom a sign-in is.
#[derive(Clone, Debug, Default)]
pub struct Purpose {
    /// The account that is signed in again, with what the provider may recognise its person by.
    pub account: Option<(AccountId, Option<String>)>,
    /// What to call a new account.
    pub label: Option<String>,
    /// Somebody is signed in at this provider already: the person may want to choose another account.
    pub choose: bool,
    /// A new key, where the provider's tokens are to be bound to one.
    pub dpop: Option<DpopKey>,
}

/// The redirect of this kind, or the provider's first.
///
/// # Errors
/// [`Problem::BadProvider`] where the provider lists no address that this kind needs.
pub fn choose_redirect(name: &str, provider: &Provider, wanted: Option<RedirectKind>) -> Result<Redirect, Problem> {
    let Some(kind) = wanted else {
        return provider.redirects.first().cloned().ok_or(Problem::SchemeUnhandled);
    };
    let written = provider.redirects.iter().find(|redirect| redirect.kind == kind).cloned();
    written.map_or_else(|| WrittenRedirect::Kind(kind).check(name), Ok)
}

/// Why a public client cannot sign in without a person (RFC 6749 section 4.4): it has nothing to prove itself with.
pub fn needs_confidential_client(name: &str) -> Problem {
    Problem::BadProvider {
        provider: name.to_owned(),
        field: "token_endpoint_auth_method".to_owned(),
        detail: "without a person, only a client with a secret or a private key can sign in".to_owned(),
    }
}

/// Draws the secrets of a new sign-in, and builds its authorization request. `listener` is what waits for a loopback redirect.
pub fn begin(
    clock: &dyn Clock,
    name: &ProviderName,
    provider: &Provider,
    server: &Server,
    redirect: &Redirect,
    loopback: Option<Loopback>,
    purpose: Purpose,
) -> (Attempt, Secrets) {
    let registered = || redirect.uri.as_ref().map(Url::to_string).unwrap_or_default();
    let redirect_uri = loopback.as_ref().map_or_else(registered, |open| open.redirect_uri.clone());
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    // `oauth2`'s random state: 128 bits, as RFC 6749 section 10.10 asks for.
    let (state, nonce) = (CsrfToken::new_random(), CsrfToken::new_random());
    let openid = provider.scopes.iter().any(|scope| scope.as_str() == "openid");
    let mut parameters = provider.authorization_params.clone();
    // A server refuses a prompt that it does not know, and not all know this one.
    if openid && purpose.choose && purpose.account.is_none() && server.select_account {
        // OpenID Connect Core 3.1.2.1: a list, separated by spaces.
        let prompt = parameters.remove("prompt").map(|prompt| format!("{prompt} select_account"));
        parameters.insert("prompt".to_owned(), prompt.unwrap_or_else(|| "select_account".to_owned()));
    }
    let machine = redirect.kind == RedirectKind::ClientCredentials;
    let no_request = matches!(redirect.kind, RedirectKind::Device | RedirectKind::ClientCredentials);
    let max_age = crate::access::max_age(provider, server, no_request);
    let mut url = if machine { server.token_endpoint.clone() } else { server.authorization_endpoint.clone() };
    if !no_request {
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &provider.client_id)
            .append_pair("redirect_uri", &redirect_uri)
            .append_pair("state", state.secret())
            .append_pair("code_challenge", challenge.as_str())
            .append_pair("code_challenge_method", challenge.method().as_str());
        if !provider.scopes.is_empty() {
            query.append_pair("scope", &provider.scope_parameter());
        }
        for resource in provider.resource.iter().chain(&provider.other_resources) {
            // RFC 8707 section 2.1.
            query.append_pair("resource", resource);
        }
        if openid {
            query.append_pair("nonce", nonce.secret());
        }
        if let Some(hint) = purpose.account.as_ref().and_then(|(_, hint)| hint.as_ref()) {
            query.append_pair("login_hint", hint);
        }
        if let Some(key) = &purpose.dpop {
            // RFC 9449 section 10: the code too is worth nothing without the key.
            query.append_pair("dpop_jkt", key.thumbprint());
        }
        query.extend_pairs(&parameters);
    }
    let attempt = Attempt {
        id: AttemptId(uuid::Uuid::new_v4().to_string()),
        provider: name.clone(),
        issuer: server.issuer.clone(),
        client_id: provider.client_id.clone(),
        host: host(&url),
        account: purpose.account.map(|(account, _)| account),
        label: purpose.label,
        terms: provider.terms,
        resources: provider.other_resources.clone(),
        redirect: redirect.kind,
        browser_sign_out: !machine && server.end_session_endpoint.is_some(),
        state: digest(state.secret()),
        device: None,
        until: clock.now().plus(LIFETIME),
        phase: Phase::Waiting,
    };
    let secrets = Secrets {
        verifier: Some(verifier),
        code: None,
        nonce: SecretString::from(nonce.secret().as_str()),
        authorization_url: url,
        redirect_uri,
        loopback,
        polling: None,
        granted: None,
        scopes: provider.scopes.clone(),
        userinfo: provider.userinfo.clone(),
        authenticated_since: crate::access::since(clock.now().wall, max_age),
        endpoints: Endpoints {
            issuer: server.issuer.clone(),
            client_id: provider.client_id.clone(),
            token_endpoint_auth_method: provider.auth_method.name().to_owned(),
            token_endpoint: server.token_endpoint.to_string(),
            revocation_endpoint: server.revocation_endpoint.as_ref().map(Url::to_string),
            userinfo_endpoint: server.userinfo_endpoint.as_ref().map(Url::to_string),
            jwks_uri: server.jwks_uri.as_ref().map(Url::to_string),
            resource: provider.resource.clone(),
            other_resources: provider.other_resources.clone(),
            grant_type: attempt.grant_type(),
            terms: provider.terms,
        },
        end_session_endpoint: server.end_session_endpoint.as_ref().filter(|_| !machine).map(Url::to_string),
        issuer: server.discovered.then(|| server.issuer.clone()),
        iss_required: server.iss_required,
        dpop: purpose.dpop,
        result: None,
    };
    (attempt, secrets)
}

/// SHA-256, in hexadecimal. States are compared by their digests, which tells nothing about how much of one is right.
pub fn digest(text: &str) -> Digest {
    Digest(hex::encode(Sha256::digest(text.as_bytes())))
}

/// A redirect, taken apart. Its code is not shown.
pub struct Callback {
    /// What is decided about.
    pub redirected: Redirected,
    /// The code, where there is one.
    pub code: Option<AuthorizationCode>,
    /// RFC 9207.
    pub iss: Option<String>,
    /// The redirect URI that it came back to: the sign-in must have named the same.
    pub redirect_uri: String,
}

/// Takes a redirect apart: Larder's own redirect URI or one of those that are waited for, then the parameters of
/// RFC 6749 section 4.1.2, each at most once.
///
/// # Errors
/// [`Problem::BadCallback`].
pub fn parse_callback(text: &str, waiting: &[&str]) -> Result<Callback, Problem> {
    let bad = |detail: &str| Err(Problem::BadCallback { detail: detail.to_owned() });
    if text.len() > MOST_CALLBACK {
        return bad("it is too long");
    }
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return bad("it holds control characters");
    }
    let foreign = || bad(&format!("it does not begin with {REDIRECT_URI}, nor where a sign-in waits"));
    let Ok(url) = Url::parse(text) else { return foreign() };
    let redirect_uri = if is_ours(text) {
        // Browsers and handlers may write one slash or three; an authority is none of ours.
        if url.host_str().is_some_and(|host| !host.is_empty()) || url.path() != "/callback" {
            return foreign();
        }
        REDIRECT_URI.to_owned()
    } else {
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        match waiting.iter().find(|uri| Url::parse(uri).is_ok_and(|uri| uri == bare)) {
            Some(uri) => (*uri).to_owned(),
            None => return foreign(),
        }
    };
    let mut parameters: HashMap<String, String> = HashMap::new();
    for (key, value) in url.query_pairs() {
        if value.contains('\u{fffd}') {
            return bad("it holds bytes that are no text");
        }
        // RFC 6749 section 3.1: parameters must not be included more than once.
        if parameters.insert(key.clone().into_owned(), value.into_owned()).is_some() {
            return bad(&format!("it says {} twice", crate::token_endpoint::plain(&key)));
        }
    }
    let mut take = |key: &str| parameters.remove(key).filter(|value| !value.is_empty());
    let Some(state) = take("state") else { return bad("it has no state") };
    let (code, error, description, iss) = (take("code"), take("error"), take("error_description"), take("iss"));
    let answer = match (&code, error) {
        (Some(_), None) => Ok(()),
        (None, Some(error)) => Err(AuthorizationError {
            error: crate::token_endpoint::plain(&error),
            description: description.map(|text| crate::token_endpoint::plain(&text)).unwrap_or_default(),
        }),
        (Some(_), Some(_)) => return bad("it has both a code and an error"),
        (None, None) => return bad("it has neither a code nor an error"),
    };
    Ok(Callback {
        redirected: Redirected { state: digest(&state), answer },
        code: code.map(AuthorizationCode::new),
        iss,
        redirect_uri,
    })
}

/// RFC 9207 section 2.4: where the redirect names an issuer it must be ours, character by character; where the
/// provider says that it always names one, it must.
pub fn check_iss(secrets: &Secrets, iss: Option<&str>) -> Result<(), AuthorizationError> {
    // Our own words: the provider said nothing.
    let wrong = |error: &str| Err(AuthorizationError { error: error.to_owned(), description: String::new() });
    match (iss, &secrets.issuer) {
        (Some(named), Some(issuer)) if named != issuer => wrong("the answer came from another server than was asked"),
        (None, _) if secrets.iss_required => wrong("the answer does not say which server it came from"),
        _ => Ok(()),
    }
}

/// The verifier and the code, once.
pub fn take_for_exchange(secrets: &mut Secrets) -> Option<(AuthorizationCode, PkceCodeVerifier)> {
    Some((secrets.code.take()?, secrets.verifier.take()?))
}

/// SHA-256 of a refresh token, to recognise it without holding it.
pub fn token_digest(token: &SecretString) -> Digest {
    digest(token.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> String {
        match parse_callback(text, &[]) {
            Err(Problem::BadCallback { detail }) => detail,
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("accepted: {text}"),
        }
    }

    #[test]
    fn a_redirect_with_code_and_state_is_taken_apart() {
        for text in [
            "dev.larder.desktop:/callback?code=c&state=s",
            "DEV.larder.desktop:/callback?state=s&code=c&iss=i",
            "dev.larder.desktop:///callback?code=c&state=s\n",
        ] {
            let callback = parse_callback(text, &[]).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
            assert_eq!(callback.redirected, Redirected { state: digest("s"), answer: Ok(()) });
            assert!(callback.code.is_some());
        }
    }

    #[test]
    fn a_redirect_that_is_waited_for_is_taken_by_its_whole_address() {
        let waiting = ["http://127.0.0.1:49817/callback", "https://me.example/cb"];
        for text in ["http://127.0.0.1:49817/callback?code=c&state=s", "https://me.example/cb?state=s&code=c#_"] {
            let callback = parse_callback(text, &waiting).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
            assert!(text.starts_with(&callback.redirect_uri));
        }
        for text in ["http://127.0.0.1:49818/callback?code=c&state=s", "https://me.example/cb/?code=c&state=s"] {
            assert!(parse_callback(text, &waiting).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_redirect_is_refused_with_its_reason() {
        assert!(reason("https://evil.example/callback?code=c&state=s").contains("does not begin"));
        assert!(reason("dev.larder.desktop://evil.example/callback?code=c&state=s").contains("does not begin"));
        assert!(reason("dev.larder.desktop:/other?code=c&state=s").contains("does not begin"));
        assert!(reason("dev.larder.desktop:/callback?code=c").contains("no state"));
        assert!(reason("dev.larder.desktop:/callback?state=s").contains("neither"));
        assert!(reason("dev.larder.desktop:/callback?state=s&code=c&code=d").contains("code twice"));
        assert!(reason("dev.larder.desktop:/callback?state=s&state=t&code=c").contains("state twice"));
        assert!(reason("dev.larder.desktop:/callback?state=s&code=c&error=e").contains("both"));
        assert!(reason("dev.larder.desktop:/callback?state=s&code=%ff").contains("no text"));
        assert!(reason("dev.larder.desktop:/callback?state=s&code=c\0").contains("control"));
        assert!(
            reason(&format!("dev.larder.desktop:/callback?state=s&code={}", "c".repeat(MOST_CALLBACK)))
                .contains("too long")
        );
    }
}
