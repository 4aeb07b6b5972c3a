//! Revocation (RFC 7009).

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::answer::{Outcome, Refusal};
use crate::app::{App, client_form};
use crate::grants::Revoked;
use crate::secret::SecretHash;
use crate::token::required;

/// POST /revoke. The token_type_hint is not needed: all tokens are found the same way.
pub(crate) async fn revoke(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    revoked(&app, &headers, &body).await.unwrap_or_else(Refusal::into_response)
}

async fn revoked(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    let form = client_form(headers, body)?;
    let presented = SecretHash::of(required(&form, "token")?);
    let outcome = match app.grants(|grants| grants.revoke(&presented)) {
        Revoked::Family => "family_revoked",
        Revoked::AccessToken => "access_token_revoked",
        // RFC 7009 2.2: as good as revoked.
        Revoked::Unknown => "token_unknown",
    };
    app.saved().await?;
    Ok(Outcome::of(outcome).on((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")])))
}
