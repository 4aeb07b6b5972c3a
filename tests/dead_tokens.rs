//! Where a refresh ends the access token before it, nobody is given one that is dead; and a session's own end is told.

use crate::support::{Provider, Session};
use serde_json::json;

/// A provider whose refreshes end access tokens, and an account that knows.
fn strict() -> (Session, Provider) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    provider.expire(json!({ "refresh_ends_access": true }));
    session.add("work", &provider);
    let file = session.profile().join("providers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}refresh_ends_access_token = true\n")).unwrap();
    session.sign_in("work", "ada");
    (session, provider)
}

#[test]
fn askers_wait_for_a_refresh_that_ends_the_token_before_it() {
    let (session, provider) = strict();
    let first = session.larder(&["token", "work"]).ok();
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500 }));
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]).ok());
        session.wait_for("the refresh", || session.account("work")["state"] == "refreshing");
        let asks: Vec<_> = (0..20).map(|_| scope.spawn(|| session.larder(&["token", "work"]).ok())).collect();
        refresh.join().unwrap();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    assert_eq!(provider.userinfo(&first).0, 401, "the server is as strict as the test says");
    for token in &tokens {
        assert_ne!(*token, first);
        assert_eq!(provider.userinfo(token).0, 200);
    }
}

#[test]
fn a_token_that_is_ended_by_its_refresh_is_refreshed_late() {
    let (session, provider) = strict();
    let late = session.account("work");
    session.add("mild", &provider);
    session.sign_in("mild", "grace");
    let mild = session.account("mild");
    let margin =
        |account: &serde_json::Value| account["expires_at"].as_i64().unwrap() - account["refresh_at"].as_i64().unwrap();
    // Of ten minutes: a twentieth and some, against a fifth and some.
    assert!((30_000..=40_000).contains(&margin(&late)), "{late}");
    assert!((120_000..=150_000).contains(&margin(&mild)), "{mild}");
    // It is kept with the account, and no longer asked of the configuration.
    session.larder(&["providers", "show", "work"]).ok();
    let file = session.profile().join("providers.toml");
    let text = std::fs::read_to_string(&file).unwrap().replace("refresh_ends_access_token = true\n", "");
    std::fs::write(&file, text).unwrap();
    session.stop_agent();
    assert!((30_000..=40_000).contains(&margin(&session.account("work"))));
}

#[test]
fn a_session_that_ends_whatever_is_done_is_told_a_week_before() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    provider.expire(json!({ "refresh_lifetime": 30 * 86_400 }));
    session.sign_in("work", "ada");
    let ends = |session: &Session| session.account("work")["session_ends_at"].as_i64().expect("an end");
    let far = ends(&session);
    assert!(!session.larder(&["status"]).ok().contains("ends this session"));
    provider.expire(json!({ "refresh_lifetime": 5 * 86_400 }));
    session.larder(&["refresh", "work"]).ok();
    let near = ends(&session);
    assert!((24 * 86_400_000..26 * 86_400_000).contains(&(far - near)), "{far} {near}");
    let said = session.larder(&["status"]).ok();
    assert!(said.contains("work: the provider ends this session in 4 d 23 h"), "{said}");
    // It outlives the agent.
    session.stop_agent();
    assert_eq!(ends(&session), near);
    session.larder(&["sign-out", "work"]).ok();
    assert!(session.account("work")["session_ends_at"].is_null());
}
