//! The authorization endpoint and the two pages behind it (RFC 6749 4.1.1 and 4.1.2, OpenID Connect Core 3.1.2).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use url::Url;

use crate::answer::Outcome;
use crate::app::{App, plain};
use crate::clock::Millis;
use crate::pages;
use crate::params::Params;
use crate::pending::{
    CODE_LIFETIME, Code, Decision, Exchange, Reply, TRANSACTION_LIFETIME, Transaction, USED_CODE_MEMORY,
};
use crate::scope;
use crate::secret::{SecretHash, is_s256_challenge, random_secret};
use crate::server::{CLIENT_ID, DEEP_LINK};
use crate::user::User;

/// Who is offered on the login page when the client hints at nobody.
const SUGGESTED_USER: &str = "ada";

/// GET /authorize: checks the request and shows the login page.
pub(crate) async fn authorize(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Response {
    let query = Params::parse(query.unwrap_or_default().as_bytes());

    // RFC 6749 4.1.2.1: with a wrong client or redirect nobody is sent anywhere.
    if query.get("client_id") != Some(CLIENT_ID) || query.repeated() == Some("client_id") {
        return refused_page("This program is not known here", "Its client_id is missing or unknown.");
    }
    let redirect_uri = match query.get("redirect_uri") {
        Some(uri) if is_registered(uri) && query.repeated() != Some("redirect_uri") => uri,
        _ => return refused_page("This program cannot sign you in", "Its redirect_uri is missing or not registered."),
    };

    let state = query.get("state");
    match read(&query) {
        Ok((scope, challenge)) => {
            let reply = Reply::Redirect {
                redirect_uri: redirect_uri.to_owned(),
                state: state.map(str::to_owned),
                challenge,
                nonce: query.get("nonce").map(str::to_owned),
            };
            begin(&app, scope, reply, query.get("login_hint"))
        }
        Err((error, description)) => {
            let answer = [("error", error), ("error_description", description.as_str())];
            redirect(&app, redirect_uri, state, &answer, error)
        }
    }
}

/// What a request asks for, or the error that its client is told of.
fn read(query: &Params) -> Result<(Vec<String>, String), (&'static str, String)> {
    if let Some(name) = query.repeated() {
        return Err(("invalid_request", format!("{} comes more than once", plain(name))));
    }
    for (name, error) in [("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")] {
        if query.get(name).is_some() {
            return Err((error, format!("{name} is not supported")));
        }
    }
    match query.get("response_type") {
        Some("code") => {}
        Some(_) => return Err(("unsupported_response_type", "Only response_type=code is supported".to_owned())),
        None => return Err(("invalid_request", "response_type is missing".to_owned())),
    }
    if query.get("response_mode").is_some_and(|mode| mode != "query") {
        return Err(("invalid_request", "Only response_mode=query is supported".to_owned()));
    }
    // RFC 7636 4.4.1, and RFC 9700 2.1.1: a public client has to use PKCE.
    let challenge = match (query.get("code_challenge"), query.get("code_challenge_method")) {
        (None, _) => return Err(("invalid_request", "code_challenge is required".to_owned())),
        (Some(challenge), Some("S256")) if is_s256_challenge(challenge) => challenge,
        (Some(_), Some("S256")) => return Err(("invalid_request", "code_challenge is malformed".to_owned())),
        // Left out it would mean plain (RFC 7636 4.3), which shows the verifier to whoever sees the request.
        _ => return Err(("invalid_request", "Only code_challenge_method=S256 is supported".to_owned())),
    };
    let scope = scope::parse(query.get("scope"))
        .map_err(|name| ("invalid_scope", format!("The scope {} is not known here", plain(&name))))?;
    // OpenID Connect Core 3.1.2.1. There is no session in the browser, so every sign-in needs the pages.
    let prompt: Vec<_> = query.get("prompt").unwrap_or_default().split(' ').collect();
    match (prompt.contains(&"none"), prompt.len()) {
        (true, 1) => Err(("login_required", "Nobody is signed in".to_owned())),
        (true, _) => Err(("invalid_request", "prompt=none stands alone".to_owned())),
        _ => Ok((scope, challenge.to_owned())),
    }
}

/// Opens a transaction and shows its login page.
pub(crate) fn begin(app: &App, scope: Vec<String>, reply: Reply, login_hint: Option<&str>) -> Response {
    let Some(secret) = random_secret() else { return no_randomness() };
    let now = app.now();
    let transaction = Transaction { scope, reply, user: None };
    app.pending(|pending| {
        let expires_at = now + TRANSACTION_LIFETIME;
        pending.transactions.insert(now, SecretHash::of(&secret), expires_at, transaction);
    });
    let hinted = login_hint.and_then(User::typed);
    let username = hinted.as_ref().map_or(SUGGESTED_USER, |user| user.username.as_str());
    Outcome::of("login_page").on(pages::login(&secret, username, None))
}

/// POST /login: takes a name and shows the consent page.
pub(crate) async fn login(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let form = Params::parse(&body);
    let secret = form.get("transaction").unwrap_or_default();
    let key = SecretHash::of(secret);
    if form.get("decision") == Some("deny") {
        return decide(&app, &key, false);
    }
    let typed = form.get("username").unwrap_or_default();
    let user = User::typed(typed);
    let scope = app.pending(|pending| {
        let transaction = pending.transactions.get_mut(app.now(), &key)?;
        transaction.user.clone_from(&user);
        Some(transaction.scope.clone())
    });
    match (scope, user) {
        (None, _) => over(),
        (Some(_), None) => {
            let complaint = "A name of up to 64 letters and digits, please; dots, dashes and underscores are fine too.";
            let page = pages::login(secret, typed, Some(complaint));
            Outcome::of("name_refused").on((StatusCode::BAD_REQUEST, page))
        }
        (Some(scope), Some(user)) => {
            let outcome = Outcome { username: Some(user.username.clone()), ..Outcome::of("consent_page") };
            outcome.on(pages::consent(secret, &user, &scope))
        }
    }
}

/// POST /consent: takes the decision to the client.
pub(crate) async fn consent(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let form = Params::parse(&body);
    let key = SecretHash::of(form.get("transaction").unwrap_or_default());
    match form.get("decision") {
        Some("allow") => decide(&app, &key, true),
        Some("deny") => decide(&app, &key, false),
        _ => refused_page("That did not work", "The form was incomplete."),
    }
}

/// Ends a transaction. It is taken out first: of two clicks one is answered.
fn decide(app: &App, key: &SecretHash, allowed: bool) -> Response {
    let now = app.now();
    let Some(transaction) = app.pending(|pending| pending.transactions.remove(now, key)) else { return over() };
    let user = match (allowed, transaction.user) {
        (true, None) => return over(),
        (true, user) => user,
        (false, _) => None,
    };
    match (transaction.reply, user) {
        (Reply::Device { device }, user) => decide_device(app, now, &device, user),
        (Reply::Redirect { redirect_uri, state, .. }, None) => {
            let answer = [("error", "access_denied"), ("error_description", "The person said no")];
            redirect(app, &redirect_uri, state.as_deref(), &answer, "access_denied")
        }
        (Reply::Redirect { redirect_uri, state, challenge, nonce }, Some(user)) => {
            let Some(code) = random_secret() else { return no_randomness() };
            let exchange = Exchange {
                user,
                scope: transaction.scope,
                redirect_uri: redirect_uri.clone(),
                challenge,
                nonce,
                auth_time: now,
                expires_at: now + CODE_LIFETIME,
            };
            app.pending(|pending| {
                let forgotten_at = now + USED_CODE_MEMORY;
                pending.codes.insert(now, SecretHash::of(&code), forgotten_at, Code::Fresh(exchange));
            });
            redirect(app, &redirect_uri, state.as_deref(), &[("code", code.as_str())], "code")
        }
    }
}

fn decide_device(app: &App, now: Millis, device: &SecretHash, user: Option<User>) -> Response {
    let allowed = user.is_some();
    let decided = app.pending(|pending| {
        let device = pending.devices.get_mut(now, device)?;
        device.decision = user.map_or(Decision::Denied, |user| Decision::Allowed { user, auth_time: now });
        Some(())
    });
    match (decided, allowed) {
        (None, _) => over(),
        (_, true) => {
            Outcome::of("device_allowed").on(pages::say("Done", "You can close this page. Larder goes on by itself."))
        }
        (_, false) => Outcome::of("access_denied").on(pages::say("Cancelled", "You can close this page.")),
    }
}

/// Sends the browser back to the client (RFC 6749 4.1.2), with the issuer (RFC 9207 2). 303, so that a form is not
/// posted again.
fn redirect(
    app: &App,
    redirect_uri: &str,
    state: Option<&str>,
    answer: &[(&str, &str)],
    outcome: &'static str,
) -> Response {
    let Ok(mut url) = Url::parse(redirect_uri) else { return over() };
    url.query_pairs_mut()
        .extend_pairs(answer)
        .extend_pairs(state.map(|state| ("state", state)))
        .append_pair("iss", &app.issuer);
    let headers = [
        (header::LOCATION, url.as_str()),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    Outcome::of(outcome).on((StatusCode::SEE_OTHER, headers))
}

/// Compared letter by letter (RFC 9700 2.1), but for the port of a loopback redirect (RFC 8252 7.3).
fn is_registered(uri: &str) -> bool {
    let port = || uri.strip_prefix("http://127.0.0.1:")?.strip_suffix("/callback");
    uri == DEEP_LINK
        || port().is_some_and(|port| {
            // parse alone would take "+80" and "0080" too.
            port.parse::<u16>().is_ok_and(|number| number != 0 && number.to_string() == port)
        })
}

fn refused_page(heading: &str, text: &str) -> Response {
    Outcome::of("refused_page").on((StatusCode::BAD_REQUEST, pages::say(heading, text)))
}

/// The transaction ended, by a decision or by time; both look the same from here.
fn over() -> Response {
    let page = pages::say(
        "This sign-in is over",
        "It was answered already, or took too long. Go back to Larder, and start again there if need be.",
    );
    Outcome::of("transaction_over").on((StatusCode::BAD_REQUEST, page))
}

fn no_randomness() -> Response {
    Outcome::of("no_randomness").on(StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[cfg(test)]
mod tests {
    use super::is_registered;

    #[test]
    fn redirects_are_compared_letter_by_letter_but_for_the_port() {
        for good in ["dev.larder.desktop:/callback", "http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback"] {
            assert!(is_registered(good), "{good}");
        }
        for bad in [
            "dev.larder.desktop://callback",
            "dev.larder.desktop:/callback?x=1",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:080/callback",
            "http://127.0.0.1:80/callback#x",
            "http://127.0.0.1:80@example.com/callback",
            "http://localhost:80/callback",
            "https://127.0.0.1:80/callback",
            "http://127.1:80/callback",
            "http://127.0.0.1:80/other/callback",
        ] {
            assert!(!is_registered(bad), "{bad}");
        }
    }
}
