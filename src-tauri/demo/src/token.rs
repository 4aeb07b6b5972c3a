//! The token endpoint (RFC 6749 3.2).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::answer::{Outcome, Refusal, no_store};
use crate::app::{App, Terms, client_form, plain};
use crate::clock::{Millis, millis};
use crate::device;
use crate::grants::{Access, FamilyId, Refresh, Refused, Renewal, Renewed};
use crate::params::Params;
use crate::pending::{Code, Exchange};
use crate::scope;
use crate::secret::{SecretHash, random_secret, verifier_fits};
use crate::signing::IdTokenContent;
use crate::user::User;

/// What can be exchanged for tokens here.
pub(crate) const GRANT_TYPES: [&str; 3] = ["authorization_code", "refresh_token", device::GRANT_TYPE];

/// POST /token.
pub(crate) async fn token(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = match client_form(&headers, &body) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let given = match form.get("grant_type") {
        Some("authorization_code") => exchange(&app, &form).await,
        Some("refresh_token") => refresh(&app, &form).await,
        Some(device::GRANT_TYPE) => device::poll(&app, &form).await,
        Some(_) => Err(Refusal::new("unsupported_grant_type", "This grant_type is not supported")),
        None => Err(Refusal::new("invalid_request", "grant_type is missing")),
    };
    given.unwrap_or_else(Refusal::into_response)
}

/// A parameter the request cannot do without.
pub(crate) fn required<'a>(form: &'a Params, name: &'static str) -> Result<&'a str, Refusal> {
    form.get(name).ok_or_else(|| Refusal::new("invalid_request", format!("{name} is missing")))
}

/// RFC 6749 4.1.3 and RFC 7636 4.5: a code for tokens.
async fn exchange(app: &App, form: &Params) -> Result<Response, Refusal> {
    let key = SecretHash::of(required(form, "code")?);
    let verifier = required(form, "code_verifier")?;
    let redirect_uri = required(form, "redirect_uri")?;
    let now = app.now();

    // Spent at the first look, whatever comes of it, so that of two requests at once one gets tokens at most.
    let code = app.pending(|pending| {
        let code = pending.codes.get_mut(now, &key)?;
        let (family, again) = match code {
            Code::Fresh(_) => (None, false),
            Code::Used { family, .. } => (*family, true),
        };
        Some(std::mem::replace(code, Code::Used { family, again }))
    });
    let asked = match code {
        None => return Err(invalid_grant("code_unknown")),
        Some(Code::Used { family, .. }) => return Err(code_again(app, family).await?),
        Some(Code::Fresh(asked)) => asked,
    };
    if asked.expires_at <= now {
        return Err(invalid_grant("code_expired"));
    }
    if asked.redirect_uri != redirect_uri {
        return Err(invalid_grant("redirect_mismatch"));
    }
    if !verifier_fits(verifier, &asked.challenge) {
        return Err(invalid_grant("pkce_mismatch"));
    }
    let Exchange { user, scope, nonce, auth_time, .. } = asked;
    let (family, given) = open(app, &user, scope, nonce.as_deref(), auth_time)?;
    let again = app.pending(|pending| match pending.codes.get_mut(now, &key) {
        Some(Code::Used { family: known, again }) => {
            *known = Some(family);
            *again
        }
        _ => false,
    });
    if again {
        return Err(code_again(app, Some(family)).await?);
    }
    app.saved().await?;
    Ok(given)
}

/// RFC 6749 4.1.2: a code that comes twice has been seen by somebody else, so what it gave ends.
async fn code_again(app: &App, family: Option<FamilyId>) -> Result<Refusal, Refusal> {
    if let Some(family) = family {
        app.grants(|grants| grants.end(family));
        app.saved().await?;
    }
    Ok(invalid_grant("code_reused"))
}

/// A new family, and the answer that hands out its first tokens. The caller saves before it answers.
pub(crate) fn open(
    app: &App,
    user: &User,
    scope: Vec<String>,
    nonce: Option<&str>,
    auth_time: Millis,
) -> Result<(FamilyId, Response), Refusal> {
    let (now, terms) = (app.now(), app.terms());
    let (access_token, refresh_token) = (secret()?, secret()?);
    let answer = Answer { app, terms, user, scope: &scope, nonce, auth_time };
    let answer = answer.with(&access_token, Some(&refresh_token))?;
    let access = Access {
        hash: SecretHash::of(&access_token),
        scope,
        expires_at: now.saturating_add(millis(terms.access_lifetime)),
    };
    let refresh = successor(now, terms, &refresh_token);
    let family = app.grants(|grants| grants.open(now, &user.username, auth_time, refresh, access));
    Ok((family, answer))
}

/// RFC 6749 6: a refresh token for new tokens.
async fn refresh(app: &App, form: &Params) -> Result<Response, Refusal> {
    let presented = SecretHash::of(required(form, "refresh_token")?);
    let narrowed = form.get("scope").map(|text| scope::parse(Some(text))).transpose();
    let narrowed = narrowed
        .map_err(|name| Refusal::new("invalid_scope", format!("The scope {} is not known here", plain(&name))))?;
    let (now, terms) = (app.now(), app.terms());
    let access_token = secret()?;
    let refresh_token = if terms.rotate { Some(secret()?) } else { None };
    let renewal = Renewal {
        refresh: refresh_token.as_deref().map(|token| successor(now, terms, token)),
        access: SecretHash::of(&access_token),
        access_expires_at: now.saturating_add(millis(terms.access_lifetime)),
        scope: narrowed,
        ends_access: terms.refresh_ends_access,
        forgiven_until: (!terms.reuse_leeway.is_zero()).then(|| now.saturating_add(millis(terms.reuse_leeway))),
    };
    let renewed = match app.grants(|grants| grants.renew(now, &presented, renewal)) {
        Ok(renewed) => renewed,
        Err(Refused::Reused) => {
            app.saved().await?;
            return Err(invalid_grant("refresh_reused"));
        }
        Err(Refused::Unknown) => return Err(invalid_grant("refresh_unknown")),
        Err(Refused::Expired) => return Err(invalid_grant("refresh_expired")),
        Err(Refused::Scope) => return Err(Refusal::new("invalid_scope", "More than was granted")),
    };
    app.saved().await?;
    // OpenID Connect Core 12.2: the ID token of a refresh has the old auth_time, and no nonce.
    let Renewed { username, auth_time, scope } = renewed;
    let answer = Answer { app, terms, user: &User { username }, scope: &scope, nonce: None, auth_time };
    answer.with(&access_token, refresh_token.as_deref())
}

fn successor(now: Millis, terms: Terms, refresh_token: &str) -> Refresh {
    Refresh { hash: SecretHash::of(refresh_token), expires_at: now.saturating_add(millis(terms.refresh_lifetime)) }
}

/// What a token response is made of (RFC 6749 5.1).
struct Answer<'a> {
    app: &'a App,
    terms: Terms,
    user: &'a User,
    scope: &'a [String],
    nonce: Option<&'a str>,
    auth_time: Millis,
}

impl Answer<'_> {
    fn with(self, access_token: &str, refresh_token: Option<&str>) -> Result<Response, Refusal> {
        let mut body = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": self.terms.access_lifetime.as_secs(),
            "scope": self.scope.join(" "),
        });
        if let Some(refresh_token) = refresh_token {
            body["refresh_token"] = json!(refresh_token);
            // Not in a standard, but several providers say it under this name.
            body["refresh_token_expires_in"] = json!(self.terms.refresh_lifetime.as_secs());
        }
        if self.scope.iter().any(|name| name == "openid") {
            let content = IdTokenContent {
                issuer: &self.app.issuer,
                user: self.user,
                scope: self.scope,
                nonce: self.nonce,
                auth_time: self.auth_time,
                now: self.app.now(),
                access_token,
            };
            let id_token = self.app.key.id_token(content);
            body["id_token"] =
                json!(id_token.map_err(|_| Refusal::new("server_error", "The ID token cannot be signed"))?);
        }
        let outcome = Outcome {
            words: "tokens",
            username: Some(self.user.username.clone()),
            access_token: Some(SecretHash::of(access_token).short()),
            refresh_token: refresh_token.map(|token| SecretHash::of(token).short()),
        };
        Ok(outcome.on(no_store(StatusCode::OK, &body)))
    }
}

fn secret() -> Result<String, Refusal> {
    random_secret().ok_or_else(|| Refusal::new("server_error", "No randomness"))
}

/// All the ways in which a code or token may be no good are one to the client (RFC 6749 5.2); the log tells them apart.
pub(crate) fn invalid_grant(outcome: &'static str) -> Refusal {
    Refusal::new("invalid_grant", "The grant is unknown, spent, expired or revoked").seen_as(outcome)
}
