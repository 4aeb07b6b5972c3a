//! Device authorization (RFC 8628): signing in where no browser can be opened.

use std::sync::Arc;

use aws_lc_rs::rand;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::answer::{Outcome, Refusal, no_store};
use crate::app::{App, client_form, plain};
use crate::authorize;
use crate::clock::Millis;
use crate::pages;
use crate::params::Params;
use crate::pending::{DEVICE_LIFETIME, Decision, Device, Reply};
use crate::scope;
use crate::secret::{SecretHash, random_secret};
use crate::token::{invalid_grant, open, required};

/// RFC 8628 3.4.
pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Seconds between two polls (RFC 8628 3.2). The usual five protect a server that is far and busy; this one is neither.
const INTERVAL: u64 = 1;

/// RFC 8628 6.1: consonants, so that no words come about, and nothing that looks like something else.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// 20^8 codes, of which 10,000 live at most: a guess within their ten minutes does not happen by typing.
const USER_CODE_LETTERS: usize = 8;

/// POST /device_authorization.
pub(crate) async fn authorization(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    begun(&app, &headers, &body).unwrap_or_else(Refusal::into_response)
}

fn begun(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<Response, Refusal> {
    let form = client_form(headers, body)?;
    let scope = scope::parse(form.get("scope"))
        .map_err(|name| Refusal::new("invalid_scope", format!("The scope {} is not known here", plain(&name))))?;
    let no_randomness = || Refusal::new("server_error", "No randomness");
    let device_code = random_secret().ok_or_else(no_randomness)?;
    let letters = user_code().ok_or_else(no_randomness)?;
    let (first, second) = letters.split_at(USER_CODE_LETTERS / 2);
    let user_code = format!("{first}-{second}");
    let now = app.now();
    let device = Device { user_code: letters.clone(), scope, decision: Decision::Pending, polled_at: None };
    app.pending(|pending| {
        pending.devices.insert(now, SecretHash::of(&device_code), now + DEVICE_LIFETIME, device);
    });
    let page = format!("{}/device", app.issuer);
    let body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": DEVICE_LIFETIME / 1000,
        "interval": INTERVAL,
    });
    Ok(Outcome::of("device_code").on(no_store(StatusCode::OK, &body)))
}

/// GET /device: where the code is typed, or seen and confirmed.
pub(crate) async fn page(RawQuery(query): RawQuery) -> Response {
    let query = Params::parse(query.unwrap_or_default().as_bytes());
    Outcome::of("device_page").on(pages::device(query.get("user_code").unwrap_or_default(), None))
}

/// POST /device: from here on the pages are those of every sign-in.
pub(crate) async fn entered(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let form = Params::parse(&body);
    let typed = form.get("user_code").unwrap_or_default();
    // RFC 8628 6.1: dashes, blanks and the case of letters do not matter.
    let letters: String = typed.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_uppercase();
    let now = app.now();
    let waiting = app.pending(|pending| {
        let waits = |device: &Device| device.user_code == letters && matches!(device.decision, Decision::Pending);
        let key = pending.devices.find(now, waits)?.clone();
        let scope = pending.devices.get_mut(now, &key)?.scope.clone();
        Some((key, scope))
    });
    match waiting {
        Some((device, scope)) => authorize::begin(&app, scope, Reply::Device { device }, None),
        None => {
            let page = pages::device(typed, Some("No device waits with this code. Codes are good for ten minutes."));
            Outcome::of("user_code_unknown").on((StatusCode::BAD_REQUEST, page))
        }
    }
}

/// The device asks whether it may (RFC 8628 3.4 and 3.5).
pub(crate) async fn poll(app: &App, form: &Params) -> Result<Response, Refusal> {
    /// What a client's timer may be early by.
    const TOLERANCE: Millis = 100;

    let key = SecretHash::of(required(form, "device_code")?);
    let now = app.now();
    let (user, auth_time, scope) = app.pending(|pending| {
        let Some(device) = pending.devices.get_mut(now, &key) else {
            // An expired one is forgotten; to be told so is of more use to a client than to be told that it never was.
            return Err(Refusal::new("expired_token", "The device code is unknown or too old"));
        };
        let polled_at = device.polled_at.replace(now);
        if polled_at.is_some_and(|at| now < at + INTERVAL * 1000 - TOLERANCE) {
            return Err(Refusal::new("slow_down", format!("At most every {INTERVAL} s")));
        }
        let device = match device.decision {
            Decision::Pending => return Err(Refusal::new("authorization_pending", "Nobody has decided yet")),
            Decision::Denied | Decision::Allowed { .. } => pending.devices.remove(now, &key),
        };
        match device {
            Some(Device { decision: Decision::Allowed { user, auth_time }, scope, .. }) => Ok((user, auth_time, scope)),
            Some(_) => Err(Refusal::new("access_denied", "The person said no")),
            None => Err(invalid_grant("device_unknown")),
        }
    })?;
    let (_, given) = open(app, &user, scope, None, auth_time)?;
    app.saved().await?;
    Ok(given)
}

/// Letters by rejection, so that each is as likely as the others.
fn user_code() -> Option<String> {
    let mut code = String::with_capacity(USER_CODE_LETTERS);
    while code.len() < USER_CODE_LETTERS {
        let mut byte = [0];
        rand::fill(&mut byte).ok()?;
        let [byte] = byte;
        if byte < 240 {
            code.extend(LETTERS.get(usize::from(byte) % LETTERS.len()).map(|letter| char::from(*letter)));
        }
    }
    Some(code)
}
