//! Tokens are refreshed before they end, and only the provider's own word ends a session.

use crate::support::{Provider, Session};
use serde_json::json;

#[test]
fn a_token_is_refreshed_before_it_ends_with_nothing_but_the_agent_running() {
    let session = Session::new();
    let provider = Provider::start(&session, 5);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let first = session.larder(&["token", "work"]).ok();
    let events = session.events();
    events.wait("refreshed");
    events.wait("refreshed");
    let second = session.larder(&["token", "work"]).ok();
    assert_ne!(first, second);
    assert_eq!(provider.userinfo(&second).0, 200);
    // Rotated each time, none reused: the provider would have ended the session.
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
}

#[test]
fn an_asker_that_wants_more_than_is_left_waits_for_one_refresh() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    provider.access_lifetime(3600);
    let first = session.larder(&["token", "work"]).ok();
    // Half of the lifetime is the most that can be asked for, and all of it is left.
    assert_eq!(session.larder(&["token", "work", "--min-validity", "1h"]).ok(), first);
    assert!(provider.refreshes().is_empty());
    session.larder(&["refresh", "work"]).ok();
    assert_ne!(session.larder(&["token", "work"]).ok(), first);
    assert_eq!(provider.refreshes().len(), 1);
}

#[test]
fn many_askers_at_expiry_make_one_refresh() {
    let session = Session::new();
    let provider = Provider::start(&session, 1);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.stop_agent();
    let before = provider.refreshes().len();
    session.wait_for("the token's end", || {
        let database = rusqlite::Connection::open(session.profile().join("larder.db")).unwrap();
        let ends: i64 = database.query_row("SELECT expires_at FROM account", [], |row| row.get(0)).unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        now > u128::try_from(ends).unwrap()
    });
    provider.access_lifetime(600);
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500 }));
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let asks: Vec<_> = (0..20).map(|_| scope.spawn(|| session.larder(&["token", "work"]).ok())).collect();
        asks.into_iter().map(|ask| ask.join().expect("an ask")).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(provider.refreshes().len() - before, 1);
}

#[test]
fn a_session_that_the_provider_ended_asks_for_its_person_once_and_other_accounts_go_on() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.sign_in("work", "grace");
    provider.revoke_user("ada");
    let said = session.larder(&["refresh", "work"]).fails(3);
    assert!(said.contains("sign in again"), "{said}");
    for _ in 0..3 {
        session.larder(&["token", "work"]).fails(3);
        session.larder(&["refresh", "work"]).fails(3);
    }
    assert_eq!(provider.refreshes().len(), 1);
    assert_eq!(session.account("work")["state"], "sign-in-again");
    assert_eq!(session.larder(&["status"]).code, 3);
    session.larder(&["refresh", "work-2"]).ok();
    // It is remembered.
    session.stop_agent();
    session.larder(&["token", "work"]).fails(3);
    assert_eq!(provider.refreshes().len(), 2);
    assert_eq!(session.sign_in("work", "ada"), "work");
    session.larder(&["token", "work"]).ok();
}

#[test]
fn trouble_at_the_provider_keeps_the_session_and_the_token_that_still_works() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    for behaviour in [
        json!({ "endpoint": "token", "mode": "down", "times": 1 }),
        json!({ "endpoint": "token", "mode": "html", "times": 1 }),
        json!({ "endpoint": "token", "mode": "error", "error": "server_error", "status": 400, "times": 1 }),
    ] {
        let session_before = provider.live_sessions();
        provider.behave(behaviour.clone());
        // The account waits after trouble; a restart is a fresh start, so each kind is met on its own.
        session.stop_agent();
        let said = session.larder(&["refresh", "work"]).fails(4);
        assert!(said.contains("127.0.0.1"), "{behaviour}: {said}");
        assert_eq!(session.larder(&["token", "work"]).ok(), token);
        assert_eq!(provider.live_sessions(), session_before);
    }
    provider.behave(json!({ "endpoint": "token", "mode": "normal" }));
    session.stop_agent();
    session.larder(&["refresh", "work"]).ok();
}

#[test]
fn a_provider_that_asks_for_a_pause_gets_one() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    provider.behave(json!({ "endpoint": "token", "mode": "rate_limited", "retry_after": 120, "times": 1 }));
    session.larder(&["refresh", "work"]).fails(4);
    for _ in 0..3 {
        let said = session.larder(&["refresh", "work"]).fails(4);
        assert!(said.contains("asks for a pause"), "{said}");
    }
    assert_eq!(provider.refreshes().len(), 1);
}

#[test]
fn a_client_that_is_refused_is_not_tried_again_until_the_configuration_changes() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    provider.behave(
        json!({ "endpoint": "token", "mode": "error", "error": "unauthorized_client", "status": 400, "times": 1 }),
    );
    session.larder(&["refresh", "work"]).fails(8);
    session.larder(&["refresh", "work"]).fails(8);
    assert_eq!(provider.refreshes().len(), 1);
    assert_eq!(session.account("work")["state"], "blocked");
    let file = session.profile().join("providers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}title = \"Work\"\n")).unwrap();
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(session.account("work")["state"], "fresh");
}

#[test]
fn without_a_network_the_token_that_still_works_is_handed_out_and_the_refresh_waits() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    let port = provider.port();
    session.add("work", &provider);
    session.sign_in("work", "ada");
    drop(provider);
    session.larder(&["token", "work"]).ok();
    let said = session.larder(&["refresh", "work"]).fails(4);
    assert!(said.contains("cannot be reached"), "{said}");
    assert_eq!(session.account("work")["state"], "waiting");
    let provider = Provider::start_at(&session, 600, port);
    session.stop_agent();
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(provider.live_sessions(), 1);
}
