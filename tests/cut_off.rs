//! Whoever asked is gone before the answer: what was begun for them is finished, once, and others get it.

use crate::support::{Child, Session, program};
use serde_json::json;
use std::process::Stdio;

#[test]
fn a_command_that_is_killed_while_it_leads_a_refresh_loses_no_rotation_and_nobody_else_waits_in_vain() {
    let (session, provider) = Session::signed_in(600);
    let first = session.larder(&["token", "work"]).ok();
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500, "times": 1 }));
    let events = session.events();
    let mut leads = session.command(program("larder"));
    let leads = Child(leads.args(["refresh", "work"]).stdout(Stdio::null()).spawn().unwrap());
    session.wait_for("the refresh to be sent", || provider.refreshes().len() == 1);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| session.larder(&["refresh", "work"]).ok());
        // As `kill -9` does.
        drop(leads);
        events.wait("refreshed");
        waits.join().unwrap();
    });
    assert_eq!(provider.refreshes().len(), 1);
    let second = session.larder(&["token", "work"]).ok();
    assert_ne!(first, second);
    assert_eq!(provider.userinfo(&second).0, 200);
    // It is on the disk: another agent goes on from it.
    session.kill_agent();
    session.larder(&["refresh", "work"]).ok();
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    assert_eq!(provider.live_sessions(), 1);
}

#[test]
fn a_rejected_token_whose_asker_is_killed_is_still_replaced_once() {
    let (session, provider) = Session::signed_in(600);
    session.larder(&["token", "work"]).ok();
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500, "times": 1 }));
    let events = session.events();
    let mut asks = session.command(program("larder"));
    let asks = Child(asks.args(["token", "work", "--rejected"]).stdout(Stdio::null()).spawn().unwrap());
    session.wait_for("the refresh to be sent", || provider.refreshes().len() == 1);
    drop(asks);
    events.wait("refreshed");
    session.larder(&["token", "work"]).ok();
    assert_eq!((provider.refreshes().len(), provider.live_sessions()), (1, 1));
}

#[test]
fn a_sign_in_whose_command_is_killed_in_the_exchange_is_stored_whole() {
    let session = Session::new();
    let provider = crate::support::Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500, "times": 1 }));
    let events = session.events();
    let mut callback = session.command(program("larder"));
    let callback = Child(callback.args(["callback", &redirect]).stdout(Stdio::null()).spawn().unwrap());
    session.wait_for("the exchange", || !provider.seen("/token").is_empty());
    drop(callback);
    events.wait("signed-in");
    session.larder(&["token", "work"]).ok();
    assert_eq!((provider.seen("/token").len(), provider.live_sessions()), (1, 1));
}
