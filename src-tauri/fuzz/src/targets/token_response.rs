//! What a token endpoint, or whoever stands in its place, answers to a refresh.

use super::wait;
use larder_agent::grants::Endpoints;
use larder_agent::http::{Response, without_mark};
use larder_agent::token_endpoint::{Client, refreshed_by};
use larder_core::account::{GrantType, Terms};
use larder_core::effect::Outcome;
use larder_core::time::Now;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::time::Duration;

/// The refresh token that was sent.
const SENT: &str = "sent-4d5c1f";

/// Longer than any lifetime that is believed.
const LONGEST: Duration = Duration::from_secs(11 * 366 * 86_400);

/// The first line is `STATUS CONTENT-TYPE`, the rest is the body.
pub fn token_response(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = (String::from_utf8_lossy(&data[..end]).into_owned(), data.get(end + 1..).unwrap_or_default());
    let (status, kind) = head.split_once(' ').unwrap_or((&head, ""));
    let status = status.parse().ok().filter(|status| (100..1000).contains(status)).unwrap_or(200);
    let mut headers = HeaderMap::new();
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert("content-type", kind);
    }
    let answer = Response { status, retry_after: None, headers, body: body.to_vec().into() };
    let endpoints = Endpoints {
        issuer: "https://id.example".to_owned(),
        client_id: "client".to_owned(),
        token_endpoint_auth_method: "none".to_owned(),
        token_endpoint: "https://id.example/token".to_owned(),
        revocation_endpoint: None,
        userinfo_endpoint: None,
        jwks_uri: None,
        resource: None,
        other_resources: Vec::new(),
        grant_type: GrantType::AuthorizationCode,
        terms: Terms::default(),
    };
    let client = Client { endpoints: &endpoints, secret: None, provider: "work", dpop: None };
    let ended = wait(refreshed_by(answer, client, &SecretString::from(SENT), Now::default()));

    match (&ended.outcome, &ended.tokens) {
        (Outcome::Tokens(grant), Some(tokens)) => {
            assert!((200..300).contains(&status), "tokens from an answer that is none");
            assert!(!tokens.access_token.expose_secret().is_empty(), "an empty access token");
            let refresh = tokens.refresh_token.as_ref().expect("one was sent").expose_secret();
            assert!(!refresh.is_empty(), "the refresh token is overwritten with nothing");
            assert!(grant.new_refresh_token || refresh == SENT, "a refresh token from nowhere");
            assert!(grant.lifetime.is_none_or(|life| life >= Duration::from_secs(1) && life <= LONGEST), "{grant:?}");
            assert!(grant.refresh_token_lifetime.is_none_or(|life| life <= LONGEST), "{grant:?}");
            let shown = format!("{tokens:?} {grant:?}");
            assert!(!shown.contains(SENT), "Debug shows a token");
        }
        (Outcome::Tokens(_), None) | (_, Some(_)) => panic!("tokens, or none"),
        // Only an OAuth error that can be read says anything about the session.
        (Outcome::NeedsSignIn(_), None) => {
            assert!(matches!(status, 200..=499) && ![408, 429].contains(&status), "a session ended by {status}");
            let read = serde_json::from_slice::<HashMap<String, Box<RawValue>>>(without_mark(body)).ok();
            let named = read.is_some_and(|body| body.get("error").is_some_and(|error| error.get().starts_with('"')));
            assert!(named || kind.contains("form"), "a session ended by what is no OAuth error");
        }
        (outcome, None) => assert!(!format!("{outcome:?}").contains(SENT), "an error shows a token"),
    }
}
