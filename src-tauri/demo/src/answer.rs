//! Answers that more than one endpoint gives.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What the control interface writes down about an answer, beside what it sees for itself. Carried in the response's
/// extensions, never sent. Tokens are in it by the first digits of their hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) words: &'static str,
    pub(crate) username: Option<String>,
    pub(crate) access_token: Option<String>,
    pub(crate) refresh_token: Option<String>,
}

impl Outcome {
    pub(crate) fn of(words: &'static str) -> Self {
        Self { words, ..Self::default() }
    }

    /// Adds itself to an answer.
    pub(crate) fn on(self, answer: impl IntoResponse) -> Response {
        let mut answer = answer.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

/// A refusal of the token endpoint and its kin (RFC 6749 5.2).
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: &'static str,
    pub(crate) description: String,
    /// For the log: more exact than a client may know.
    pub(crate) outcome: &'static str,
}

impl Refusal {
    pub(crate) fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { error, description: description.into(), outcome: error }
    }

    pub(crate) fn seen_as(mut self, outcome: &'static str) -> Self {
        self.outcome = outcome;
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.error {
            "invalid_client" => StatusCode::UNAUTHORIZED,
            "server_error" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({ "error": self.error, "error_description": self.description });
        let mut answer = Outcome::of(self.outcome).on(no_store(status, &body));
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 11.6.1: a 401 names a way to authenticate, even though a public client has none.
            answer
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"larder-demo\""));
        }
        answer
    }
}

/// A JSON answer that nothing may keep (RFC 6749 5.1).
pub(crate) fn no_store(status: StatusCode, body: &Value) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")];
    (status, headers, body.to_string()).into_response()
}
