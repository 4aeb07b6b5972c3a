//! For tests: the log of requests, and misbehaviour on demand. Only in place while the control interface is.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::answer::{Outcome, no_store};
use crate::app::App;
use crate::clock::Millis;
use crate::params::Params;
use crate::secret::SecretHash;
use crate::server::MAX_BODY;
use crate::userinfo::bearer;

/// Requests that the log keeps: a long test's worth. `seq` goes on counting, so that a reader notices what it missed.
const MAX_LOG: usize = 10_000;

/// The longest delay that can be asked for: longer than any client waits.
pub(crate) const MAX_DELAY: Millis = 10 * 60 * 1000;

/// Put into an answer's extensions, it closes the connection instead of sending the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer is lost on purpose")
    }
}

impl std::error::Error for NoAnswer {}

/// What can be made to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Endpoint {
    Token,
    Userinfo,
    Revoke,
    Discovery,
    Jwks,
    DeviceAuthorization,
}

impl Endpoint {
    fn at(path: &str) -> Option<Self> {
        Some(match path {
            "/token" => Self::Token,
            "/userinfo" => Self::Userinfo,
            "/revoke" => Self::Revoke,
            "/jwks" => Self::Jwks,
            "/device_authorization" => Self::DeviceAuthorization,
            "/.well-known/openid-configuration" | "/.well-known/oauth-authorization-server" => Self::Discovery,
            _ => return None,
        })
    }
}

/// How an endpoint misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// Not at all, but perhaps late.
    Normal,
    /// 503, nothing done.
    Down,
    /// No answer, nothing done, connection open.
    Hang,
    /// 200 with a web page, as a captive portal gives it.
    Html,
    /// 429, nothing done.
    RateLimited,
    /// The request is carried out, then the connection closes without an answer.
    LostAnswer,
    /// The connection closes, nothing done.
    Cut,
    /// An OAuth error of the test's choice, nothing done.
    Error,
}

/// What a test asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Behaviour {
    pub(crate) endpoint: Endpoint,
    mode: Mode,
    /// Seconds, for the Retry-After header.
    retry_after: Option<u64>,
    /// For how many answers; without it until something else is asked for.
    times: Option<u64>,
    /// Before the answer, after the request was carried out.
    #[serde(default)]
    pub(crate) delay_ms: Millis,
    /// For [`Mode::Error`].
    error: Option<String>,
    status: Option<u16>,
}

/// One request.
#[derive(Clone, Debug, Default, Serialize)]
struct Seen {
    seq: u64,
    at_ms: Millis,
    method: String,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_type: Option<String>,
    /// What the client brought: refresh token, code, device code, bearer token or token to be revoked, by its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    presented: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    behaviour: Option<Mode>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// What the client was given, by its hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
}

/// The log and the behaviours.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    requests: u64,
    log: VecDeque<Seen>,
    behaviours: HashMap<Endpoint, Behaviour>,
}

impl Watch {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn log(&self) -> serde_json::Value {
        json!(self.lock().log)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviours.insert(behaviour.endpoint, behaviour);
    }

    fn write(&self, mut seen: Seen) {
        let mut watched = self.lock();
        watched.requests += 1;
        seen.seq = watched.requests;
        if watched.log.len() >= MAX_LOG {
            watched.log.pop_front();
        }
        watched.log.push_back(seen);
    }

    /// The behaviour of the next answer, which is counted as one.
    fn next(&self, path: &str) -> Option<Behaviour> {
        let endpoint = Endpoint::at(path)?;
        let mut watched = self.lock();
        let behaviour = watched.behaviours.get_mut(&endpoint)?;
        if let Some(times) = &mut behaviour.times {
            *times = times.checked_sub(1)?;
        }
        Some(behaviour.clone())
    }
}

/// Stands before every endpoint: writes the request down, and lets it through or misbehaves.
pub(crate) async fn observe(
    State((app, watch)): State<(Arc<App>, Arc<Watch>)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let form = Params::parse(&body);
    let brought = ["refresh_token", "code", "device_code", "token"].iter().find_map(|name| form.get(name));
    let mut seen = Seen {
        at_ms: app.now(),
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        grant_type: form.get("grant_type").map(str::to_owned),
        presented: bearer(&parts.headers).or(brought).map(|secret| SecretHash::of(secret).short()),
        ..Seen::default()
    };
    let behaviour = watch.next(&seen.path);
    seen.behaviour = behaviour.as_ref().map(|behaviour| behaviour.mode);

    let made_up = behaviour.as_ref().and_then(made_up);
    let hangs = seen.behaviour == Some(Mode::Hang);
    let mut answer = match made_up {
        _ if hangs => Response::default(),
        Some(answer) => answer,
        None => next.run(Request::from_parts(parts, Body::from(body))).await,
    };
    if !hangs {
        seen.status = Some(answer.status().as_u16());
    }
    if let Some(outcome) = answer.extensions().get::<Outcome>().cloned() {
        seen.outcome = outcome.words;
        seen.username = outcome.username;
        seen.access_token = outcome.access_token;
        seen.refresh_token = outcome.refresh_token;
    }
    // Before any delay: a test that waits for the request to be carried out sees it while the client still waits.
    watch.write(seen);

    let Some(behaviour) = behaviour else { return answer };
    if hangs {
        // Until the client gives up: hyper then drops this.
        std::future::pending::<()>().await;
    }
    if behaviour.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.delay_ms.min(MAX_DELAY))).await;
    }
    if matches!(behaviour.mode, Mode::LostAnswer | Mode::Cut) {
        answer.extensions_mut().insert(NoAnswer);
    }
    answer
}

/// The answer of a behaviour that does not carry out the request.
fn made_up(behaviour: &Behaviour) -> Option<Response> {
    let mut answer = match behaviour.mode {
        Mode::Normal | Mode::Hang | Mode::LostAnswer => return None,
        Mode::Cut => Response::default(),
        Mode::Down => (StatusCode::SERVICE_UNAVAILABLE, "down for a while\n").into_response(),
        Mode::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "too many requests\n").into_response(),
        Mode::Html => {
            let page = "<!doctype html><title>Welcome</title><h1>Welcome to our network</h1>";
            ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
        }
        Mode::Error => {
            let status = behaviour.status.and_then(|status| StatusCode::from_u16(status).ok());
            let error = behaviour.error.as_deref().unwrap_or("invalid_request");
            let body = json!({ "error": error, "error_description": "As the test asked" });
            no_store(status.unwrap_or(StatusCode::BAD_REQUEST), &body)
        }
    };
    if let Some(seconds) = behaviour.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    Some(Outcome::of("made_up").on(answer))
}
