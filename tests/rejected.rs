//! A program that was answered 401 gets a token that works, and one that is whatever it sends troubles nobody.

use crate::support::{Session, files_below, holds};
use serde_json::json;

#[test]
fn the_last_token_is_replaced_once_and_the_next_complaint_is_a_sentence() {
    let (session, provider) = Session::signed_in(600);
    let first = session.larder(&["token", "work"]).ok();
    let second = session.larder(&["token", "work", "--rejected"]).ok();
    assert_ne!(first, second);
    assert_eq!((provider.refreshes().len(), provider.userinfo(&second).0), (1, 200));
    for _ in 0..20 {
        let said = session.larder(&["token", "work", "--rejected"]).fails(1);
        assert!(said.contains("rejected as well"), "{said}");
    }
    assert_eq!(provider.refreshes().len(), 1);
    // Whoever does not complain gets the newest one.
    assert_eq!(session.larder(&["token", "work"]).ok(), second);
}

#[test]
fn one_certain_token_is_replaced_only_while_it_is_the_newest() {
    let (session, provider) = Session::signed_in(600);
    let first = session.larder(&["token", "work"]).ok();
    let rejects =
        |token: &str| session.larder_reads(&["token", "work", "--rejected-token", "-"], &format!("{token}\n"));
    let second = rejects(&first).ok();
    assert_ne!(first, second);
    // Replaced since, or never of this account: the newest one, and no request.
    assert_eq!(rejects(&first).ok(), second);
    assert_eq!(rejects("somebody-elses").ok(), second);
    // An agent that was started since knows it all the same.
    session.stop_agent();
    assert_eq!(rejects(&first).ok(), second);
    assert_eq!(provider.refreshes().len(), 1);
    assert_ne!(rejects(&second).ok(), second);
    assert_eq!(provider.refreshes().len(), 2);
    rejects("").fails(2);
    session.larder(&["token", "work", "--rejected-token", &first]).fails(2);
    session.stop_agent();
    for file in files_below(&session.profile()) {
        assert!(![&first, &second].iter().any(|token| holds(&file, token.as_bytes())), "{} holds it", file.display());
    }
}

#[test]
fn many_programs_that_are_rejected_at_once_make_one_request() {
    let (session, provider) = Session::signed_in(600);
    let first = session.larder(&["token", "work"]).ok();
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 500 }));
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let ask = || session.larder_reads(&["token", "work", "--rejected-token", "-"], &first).ok();
        let asks: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != first), "{tokens:?}");
    assert_eq!(provider.refreshes().len(), 1);
}

#[test]
fn where_no_newer_token_is_to_be_had_the_reason_is_said() {
    let (session, provider) = Session::signed_in(600);
    let first = session.larder(&["token", "work"]).ok();
    provider
        .behave(json!({ "endpoint": "token", "mode": "error", "error": "server_error", "status": 503, "times": 1 }));
    let said = session.larder(&["token", "work", "--rejected"]).fails(4);
    assert!(said.contains("503"), "{said}");
    assert_eq!(session.larder(&["token", "work"]).ok(), first, "others are still served");
    provider.revoke_user("ada");
    session.larder(&["refresh", "work"]).fails(4);
    session.stop_agent();
    session.larder(&["token", "work", "--rejected"]).fails(3);
    let asked = provider.refreshes().len();
    session.larder(&["token", "work", "--rejected"]).fails(3);
    assert_eq!(provider.refreshes().len(), asked, "nothing is asked for a session that has ended");
}
