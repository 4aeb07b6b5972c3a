//! A sign-in without a browser here: by a code that is entered anywhere (RFC 8628).

use crate::support::{Provider, Session};
use serde_json::{Value, json};
use std::time::Duration;

fn work() -> (Session, Provider) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    (session, provider)
}

/// Begins, and returns what its person is shown.
fn begin(session: &Session) -> Value {
    let text = session.larder(&["sign-in", "work", "--device", "--no-browser", "--json"]).ok();
    serde_json::from_str(&text).expect("JSON")
}

fn link(shown: &Value) -> &str {
    shown["device"]["verification_uri_complete"].as_str().expect("a link")
}

#[test]
fn a_code_that_is_entered_elsewhere_signs_in_here() {
    let (session, provider) = work();
    let events = session.events();
    let shown = begin(&session);
    assert_eq!(shown["redirect"], "device");
    let code = shown["device"]["user_code"].as_str().expect("a code");
    assert_eq!(shown["device"]["verification_uri"], json!(format!("{}/device", provider.issuer)));
    assert!(link(&shown).ends_with(code), "{shown}");
    session.browse(link(&shown), "ada", "allow");
    events.wait("signed-in");
    let account = session.account("work");
    assert_eq!((&account["email"], &account["state"]), (&json!("ada@example.com"), &json!("fresh")));
    // It is kept fresh like any other.
    let first = session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work"]).ok();
    let second = session.larder(&["token", "work"]).ok();
    assert_ne!(first, second);
    assert_eq!(provider.userinfo(&second).0, 200);
}

#[test]
fn the_command_tells_address_and_code_and_waits() {
    let (session, _provider) = work();
    let ran = session.larder(&["sign-in", "work", "--device", "--no-browser"]);
    let (said, address) = (ran.stderr.clone(), ran.ok());
    assert!(address.contains("/device?user_code="), "{address}");
    let code = address.rsplit('=').next().expect("a code");
    assert!(said.contains(code) && said.contains("In a browser on any device, open "), "{said}");
    assert!(said.contains("Larder waits for "), "{said}");
    // A pipe gets no picture.
    assert!(!said.contains('█'), "{said}");
}

#[test]
fn a_person_who_says_no_elsewhere_said_no() {
    let (session, provider) = work();
    let events = session.events();
    let shown = begin(&session);
    session.browse(link(&shown), "ada", "deny");
    let failed = events.wait("sign-in-failed");
    assert_eq!(failed["problem"]["code"], "consent-denied", "{failed}");
    assert_eq!((session.keychain_items(), provider.live_sessions()), (0, 0));
}

#[test]
fn a_provider_that_wants_to_be_asked_less_often_is() {
    let (session, provider) = work();
    provider.behave(json!({ "endpoint": "token", "mode": "error", "status": 400, "error": "slow_down", "times": 1 }));
    let events = session.events();
    let shown = begin(&session);
    session.browse(link(&shown), "ada", "allow");
    events.wait("signed-in");
    let at: Vec<u64> = provider.seen("/token").iter().map(|seen| seen["at_ms"].as_u64().expect("a moment")).collect();
    // RFC 8628 section 3.5: five seconds more, from then on.
    assert_eq!(at.len(), 2, "{at:?}");
    assert!(at[1] - at[0] >= 6000, "{at:?}");
}

#[test]
fn a_server_in_trouble_is_asked_again_and_one_that_was_cancelled_is_not() {
    let (session, provider) = work();
    provider.behave(json!({ "endpoint": "token", "mode": "down", "times": 1 }));
    let events = session.events();
    let shown = begin(&session);
    session.browse(link(&shown), "ada", "allow");
    events.wait("signed-in");

    let shown = begin(&session);
    let attempt = shown["attempt"].as_str().expect("an attempt");
    crate::loopback::cancel(&session, attempt);
    session.browse(link(&shown), "grace", "allow");
    // A poll that was under way has ended long before; the provider's interval is a second.
    let seen = provider.seen("/token").len();
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(provider.seen("/token").len(), seen);
    assert_eq!(provider.live_sessions(), 1);
}

#[test]
fn a_provider_without_the_endpoint_says_so() {
    let (session, provider) = work();
    let by_hand = format!(
        "[provider.bare]\nauthorization_endpoint = \"{0}/authorize\"\ntoken_endpoint = \"{0}/token\"\n\
         userinfo_endpoint = \"{0}/userinfo\"\nclient_id = \"larder-desktop\"\n",
        provider.issuer
    );
    let file = session.profile().join("providers.toml");
    let before = std::fs::read_to_string(&file).expect("providers.toml");
    std::fs::write(&file, before + &by_hand).expect("written");
    let said = session.larder(&["sign-in", "bare", "--device", "--no-browser"]).fails(8);
    assert!(said.contains("offers no sign-in by device code"), "{said}");
}
