//! Who an access token speaks for (OpenID Connect Core 5.3), and the bearer check (RFC 6750).

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use crate::answer::{Outcome, no_store};
use crate::app::App;
use crate::secret::SecretHash;
use crate::user::User;

/// The token of an Authorization header (RFC 6750 2.1); the scheme's letters may be of any case (RFC 9110 11.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

/// GET and POST /userinfo.
pub(crate) async fn userinfo(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let Some(token) = bearer(&headers) else {
        // RFC 6750 3.1: who brought no token is told how, not what was wrong.
        return unauthorized("Bearer realm=\"larder-demo\"", "no_token");
    };
    let known = app.grants(|grants| {
        let (username, scope) = grants.bearer(app.now(), &SecretHash::of(token))?;
        Some((User { username: username.to_owned() }, scope.to_owned()))
    });
    let Some((user, scope)) = known else {
        let challenge = "Bearer realm=\"larder-demo\", error=\"invalid_token\", \
                         error_description=\"The access token expired, was revoked or is unknown\"";
        return unauthorized(challenge, "invalid_token");
    };
    // OpenID Connect Core 5.4: what is said follows what was asked for.
    let has = |wanted: &str| scope.iter().any(|name| name == wanted);
    let mut claims = json!({ "sub": user.sub() });
    if has("profile") {
        claims["name"] = json!(user.name());
        claims["preferred_username"] = json!(user.username);
    }
    if has("email") {
        claims["email"] = json!(user.email());
    }
    Outcome { username: Some(user.username), ..Outcome::of("claims") }.on(no_store(StatusCode::OK, &claims))
}

fn unauthorized(challenge: &'static str, outcome: &'static str) -> Response {
    Outcome::of(outcome)
        .on((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge), (header::CACHE_CONTROL, "no-store")]))
}
