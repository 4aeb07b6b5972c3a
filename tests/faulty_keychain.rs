//! A keychain that is silent, says no, goes and comes back, or is full of what others put there: a clear state each time,
//! and nobody else's account is harmed.

use crate::support::prompts::Prompts;
use crate::support::session::first_line;
use crate::support::{Child, Provider, Session, support};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// What needs no keychain is there within this time.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The agent's own bound for a call is 5 s; the command around it takes its time too.
const BOUND: Duration = Duration::from_secs(8);

/// Signed in at "work" as Ada and as Grace ("work-2").
fn signed_in() -> (Session, Provider) {
    let (session, provider) = Session::signed_in(600);
    session.sign_in("work", "grace");
    (session, provider)
}

/// A keychain that misbehaves, in place of the real one.
fn odd_keychain(session: &mut Session, how: &str) -> Child {
    session.stop_keyring();
    let mut command = session.command(support("odd-keychain"));
    let mut child = Child(command.arg(how).stdout(Stdio::piped()).spawn().expect("tests/support/odd-keychain"));
    assert_eq!(first_line(child.0.stdout.take().expect("piped")), "ready");
    child
}

fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let result = what();
    (result, began.elapsed())
}

/// What another program does at the keychain.
fn somebody_else(session: &Session, arguments: &[&str]) -> String {
    session.ran(support("foreign-items").to_str().unwrap(), arguments).trim().to_owned()
}

fn id(session: &Session, label: &str) -> String {
    session.account(label)["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_keychain_that_never_answers_is_waited_for_five_seconds_and_found_again_without_a_restart() {
    let (mut session, provider) = signed_in();
    session.stop_agent();
    let silent = odd_keychain(&mut session, "silent");
    // At the start it is not asked at all.
    let (status, took) = timed(|| session.larder(&["status"]));
    assert!(status.code == 0 && took < AT_ONCE, "{took:?}: {status:?}");
    let agent = session.agent_pid();
    for arguments in [["token", "work"], ["refresh", "work-2"]] {
        let (ran, took) = timed(|| session.larder(&arguments));
        assert!(took < BOUND, "{arguments:?} took {took:?}");
        let said = ran.fails(6);
        assert!(said.contains("did not answer within 5 s"), "{said}");
        // Whoever looks is not kept waiting by whoever asks.
        let (ran, took) = timed(|| session.larder(&["accounts"]));
        assert!(ran.code == 0 && took < AT_ONCE, "{took:?}: {ran:?}");
    }
    assert_eq!(session.larder(&["status"]).code, 6);
    assert!(provider.refreshes().is_empty());
    drop(silent);
    session.start_keyring();
    session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work-2"]).ok();
    assert_eq!(session.agent_pid(), agent, "another agent");
}

#[test]
fn an_agent_ends_in_time_while_the_keychain_does_not_answer() {
    let (mut session, _provider) = signed_in();
    session.stop_agent();
    let _silent = odd_keychain(&mut session, "silent");
    session.larder(&["status"]).ok();
    let agent = session.agent_pid();
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| session.larder(&["refresh", "work"]));
        session.wait_for("the refresh", || session.account("work")["state"] == "refreshing");
        let (_, took) = timed(|| session.stop_agent());
        assert!(took < BOUND, "{took:?}");
        assert_ne!(asks.join().unwrap().code, 0);
    });
    let gone = || !std::path::Path::new(&format!("/proc/{agent}/exe")).exists();
    let ((), took) = timed(|| session.wait_for("the agent's end", gone));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[test]
fn a_prompt_that_is_dismissed_is_a_no_and_asks_nobody_again() {
    let (mut session, _provider) = signed_in();
    session.stop_agent();
    let dismissing = odd_keychain(&mut session, "dismissing");
    let (ran, took) = timed(|| session.larder(&["unlock"]));
    assert!(took < BOUND, "{took:?}");
    let said = ran.fails(6);
    assert!(said.contains("keychain is locked"), "{said}");
    let prompts = Prompts::watch(&session);
    session.larder(&["token", "work"]).fails(6);
    session.larder(&["refresh", "work"]).fails(6);
    prompts.none();
    drop(dismissing);
    session.start_keyring();
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_keychain_that_goes_and_comes_back_in_the_middle_of_life_is_not_missed_where_keys_are_known() {
    let (mut session, provider) = signed_in();
    session.stop_keyring();
    for label in ["work", "work-2"] {
        session.larder(&["refresh", label]).ok();
        session.larder(&["token", label]).ok();
    }
    // What needs it says so, and is finished once it is back.
    let said = session.larder(&["sign-out", "work-2"]).fails(6);
    assert!(said.contains("No keychain answers"), "{said}");
    session.start_keyring();
    let events = session.events();
    session.larder(&["unlock"]).ok();
    events.wait("signed-out");
    assert_eq!(session.keychain_items(), 1);
    session.larder(&["token", "work"]).ok();
    assert_eq!(provider.refreshes().len(), 2);
    assert_eq!(session.sign_in("work", "grace"), "work-2");
}

#[test]
fn five_hundred_items_of_others_change_nothing_and_stay() {
    let (session, _provider) = signed_in();
    somebody_else(&session, &["others", "500"]);
    session.stop_agent();
    let (token, took) = timed(|| session.larder(&["token", "work"]));
    assert!(token.code == 0 && took < AT_ONCE, "{took:?}: {token:?}");
    session.larder(&["sign-out", "work"]).ok();
    session.sign_in("work", "ada");
    session.larder(&["sign-out", "--all"]).ok();
    assert_eq!(session.keychain_items(), 0);
    assert_eq!(somebody_else(&session, &["count"]), "500");
}

#[test]
fn a_key_that_is_there_twice_stops_its_own_account_and_signing_out_deletes_both() {
    let (session, _provider) = signed_in();
    let account = id(&session, "work");
    somebody_else(&session, &["twin", &account]);
    session.stop_agent();
    let said = session.larder(&["token", "work"]).fails(6);
    assert!(said.contains("several items for one account"), "{said}");
    assert_eq!(session.keychain_items(), 3, "something was overwritten or deleted");
    session.larder(&["token", "work-2"]).ok();
    session.larder(&["sign-out", "work"]).ok();
    assert_eq!(session.keychain_items(), 1);
    assert_eq!(session.sign_in("work", "ada"), "work");
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_key_that_was_replaced_by_garbage_asks_for_a_sign_in_and_leaves_the_others_alone() {
    // What is no key at all, and what has the length of one.
    for secret in ["garbage", "0123456789abcdef0123456789abcdef"] {
        let (session, provider) = signed_in();
        somebody_else(&session, &["garbage", &id(&session, "work"), secret]);
        session.stop_agent();
        let said = session.larder(&["token", "work"]).fails(3);
        assert!(said.contains("sign in again"), "{said}");
        session.larder(&["refresh", "work"]).fails(3);
        assert!(provider.refreshes().is_empty());
        session.larder(&["token", "work-2"]).ok();
        session.larder(&["refresh", "work-2"]).ok();
        assert_eq!(session.sign_in("work", "ada"), "work");
        session.larder(&["token", "work"]).ok();
    }
}

#[test]
fn a_key_that_was_deleted_or_replaced_while_its_agent_knew_it_is_there_again_after_a_sign_in() {
    for secret in [None, Some("garbage"), Some("0123456789abcdef0123456789abcdef")] {
        let (session, _provider) = signed_in();
        session.larder(&["token", "work"]).ok();
        let id = id(&session, "work");
        match secret {
            None => session.ran("secret-tool", &["clear", "service", "dev.larder.desktop", "username", &id]),
            Some(secret) => somebody_else(&session, &["garbage", &id, secret]),
        };
        assert_eq!(session.sign_in("work", "ada"), "work");
        session.stop_agent();
        // The next agent has the keychain alone.
        session.larder(&["token", "work"]).ok();
    }
}

#[test]
fn what_another_program_put_in_the_place_of_the_clients_key_is_not_overwritten() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    let arguments = ["providers", "add", "own", "--issuer", &provider.issuer, "--client-id", "c"];
    session.larder(&[&arguments[..], &["--auth-method", "client_secret_basic"]].concat()).ok();
    session.larder_reads(&["providers", "secret", "own"], "first").ok();
    somebody_else(&session, &["garbage", "clients", "garbage"]);
    session.stop_agent();
    let said = session.larder_reads(&["providers", "secret", "own"], "second").fails(6);
    assert!(said.contains("`clients`") && said.contains("delete it"), "{said}");
    let there = session.ran("secret-tool", &["lookup", "service", "dev.larder.desktop", "username", "clients"]);
    assert_eq!(there, "garbage");
}

#[test]
fn fifty_accounts_that_are_asked_for_at_once_raise_no_prompt_and_the_keychain_lives() {
    let (session, _provider) = Session::signed_in(600);
    let accounts: Vec<String> = (2..=50).map(|number| session.sign_in("work", &format!("user{number}"))).collect();
    session.stop_agent();
    let prompts = Prompts::watch(&session);
    let (status, took) = timed(|| session.larder(&["status"]));
    assert!(status.code == 0 && took < AT_ONCE, "{took:?}");
    std::thread::scope(|scope| {
        let asks: Vec<_> =
            accounts.iter().map(|label| scope.spawn(|| session.larder(&["token", label]).ok())).collect();
        asks.into_iter().for_each(|ask| assert!(!ask.join().unwrap().is_empty()));
    });
    prompts.none();
    assert_eq!(session.keychain_items(), 50);
}
