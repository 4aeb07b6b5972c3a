//! The agent is ended at its own crash points; afterwards the state is old or new, never mixed.

use crate::support::{Child, Provider, Session, program};
use std::process::Stdio;

/// An agent that ends at this point as `kill -9` would.
pub fn agent_that_ends_at(session: &Session, point: &str) -> Child {
    let mut command = session.command(program("larder-agent"));
    command.env("LARDER_FAIL_AT", point).stdout(Stdio::null()).stderr(Stdio::null());
    let agent = Child(command.spawn().expect("larder-agent"));
    session.wait_for("the agent", || session.larder(&["status", "--no-start"]).code == 0);
    agent
}

/// Waits until it has.
pub fn ended(session: &Session, mut agent: Child) {
    session.wait_for("the agent's end", || agent.0.try_wait().expect("wait").is_some());
}

/// Signs in, ends the agent at `point` of a refresh, and starts another one.
fn refresh_ended_at(point: &str) -> (Session, Provider) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.stop_agent();
    let agent = agent_that_ends_at(&session, point);
    assert_ne!(session.larder(&["refresh", "work", "--no-start"]).code, 0);
    ended(&session, agent);
    (session, provider)
}

#[test]
fn before_anything_was_sent_the_next_agent_refreshes_as_if_nothing_had_been() {
    for point in ["prepare.before", "prepare.after", "send.before"] {
        let (session, provider) = refresh_ended_at(point);
        assert!(provider.refreshes().is_empty(), "{point}");
        session.larder(&["refresh", "work"]).ok();
        assert_eq!(provider.refreshes().len(), 1, "{point}");
        assert_eq!(provider.live_sessions(), 1, "{point}");
    }
}

#[test]
fn between_the_providers_answer_and_the_disk_the_old_token_is_tried_once_and_then_its_person_is_asked() {
    for point in ["send.after", "save.before"] {
        let (session, provider) = refresh_ended_at(point);
        // The demonstration rotates strictly: the new token is lost, and the old one ends the session.
        let events = session.events();
        events.wait("refresh-failed");
        assert_eq!(session.account("work")["state"], "sign-in-again", "{point}");
        session.larder(&["refresh", "work"]).fails(3);
        assert_eq!(provider.refreshes().len(), 2, "{point}: the lost one, and one more try");
        session.sign_in("work", "ada");
        session.larder(&["token", "work"]).ok();
    }
}

#[test]
fn after_the_commit_the_new_token_is_there() {
    let (session, provider) = refresh_ended_at("save.after");
    session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work"]).ok();
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    assert_eq!(provider.refreshes().len(), 2);
}

#[test]
fn a_sign_out_that_was_begun_is_finished_by_the_next_agent_from_every_point() {
    for point in [
        "mark-clearing.after",
        "clear.before",
        "clear.after",
        "delete-key.before",
        "delete-key.after",
        "close.before",
        "close.after",
    ] {
        let session = Session::new();
        let provider = Provider::start(&session, 600);
        session.add("work", &provider);
        session.sign_in("work", "ada");
        session.stop_agent();
        let agent = agent_that_ends_at(&session, point);
        assert_ne!(session.larder(&["sign-out", "work", "--no-start"]).code, 0, "{point}");
        ended(&session, agent);
        session.wait_for("the sign-out", || session.account("work")["state"] == "signed-out");
        assert_eq!(session.keychain_items(), 0, "{point}");
        session.larder(&["token", "work"]).fails(3);
    }
}

#[test]
fn a_sign_in_that_was_cut_off_leaves_no_account_or_a_whole_one() {
    for (point, stored) in [("store-key.before", false), ("store-key.after", false), ("store-row.after", true)] {
        let session = Session::new();
        let provider = Provider::start(&session, 600);
        session.add("work", &provider);
        session.stop_agent();
        let agent = agent_that_ends_at(&session, point);
        let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
        let redirect = session.browse(&url, "ada", "allow");
        assert_ne!(session.larder_reads(&["callback", "--no-start"], &redirect).code, 0, "{point}");
        ended(&session, agent);
        let code = session.larder(&["token", "work"]).code;
        assert_eq!(code, if stored { 0 } else { 2 }, "{point}");
    }
}
