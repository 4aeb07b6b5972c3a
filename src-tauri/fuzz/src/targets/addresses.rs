//! The redirect that a browser, or anybody who can start a program, hands over.

use super::{shown, text};
use larder_agent::sign_in::{digest, parse_callback};
use larder_core::problem::Problem;
use larder_core::scheme::REDIRECT_URI;

/// Where sign-ins wait. The last two are unlike each other in nothing but the case of a path.
const WAITING: [&str; 4] = [
    "http://127.0.0.1:49152/callback",
    "https://example.com/larder",
    "https://example.com/a/Callback",
    "https://example.com/a/callback",
];

/// RFC 6749 section 4.1.2: nothing but a redirect to us, each parameter once.
pub fn callback(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let waiting: Vec<&str> = WAITING.to_vec();
    let callback = match parse_callback(text, &waiting) {
        Ok(callback) => callback,
        Err(Problem::BadCallback { detail }) => {
            assert!(detail.len() < 1024 && !detail.chars().any(char::is_control), "{detail:?}");
            return;
        }
        Err(other) => panic!("another problem: {other:?}"),
    };
    assert!(callback.redirect_uri == REDIRECT_URI || WAITING.contains(&callback.redirect_uri.as_str()));
    assert_eq!(callback.redirected.answer.is_ok(), callback.code.is_some(), "a code or an error, never both");
    if let Err(error) = &callback.redirected.answer {
        shown(&error.error);
        shown(&error.description);
    }
    // Read by another reader: what was taken is what stands there, once.
    let url = url::Url::parse(text.trim()).expect("it was one");
    let all =
        |name: &str| url.query_pairs().filter(|(key, _)| key == name).map(|(_, value)| value.into_owned()).collect();
    let states: Vec<String> = all("state");
    assert!(states.len() == 1 && !states[0].is_empty() && callback.redirected.state == digest(&states[0]));
    let (codes, errors, issuers): (Vec<String>, Vec<String>, Vec<String>) = (all("code"), all("error"), all("iss"));
    assert!(codes.len() <= 1 && errors.len() <= 1 && issuers.len() <= 1, "a parameter twice");
    assert_eq!(callback.iss.is_some(), issuers.first().is_some_and(|issuer| !issuer.is_empty()));
}
