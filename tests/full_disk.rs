//! A disk that is full, failing, locked or read-only: nothing is sent that could not be kept, nothing is lost, and it is said.

use crate::support::disk::ReadOnlyFile;
use crate::support::faults::Fault;
use crate::support::{Child, Provider, Session};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Signed in at "work" as Ada, and as Grace ("work-2"), on a disk of its own.
fn signed_in() -> (Session, Provider) {
    let session = Session::on_a_small_disk();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.sign_in("work", "grace");
    (session, provider)
}

fn status(session: &Session) -> (i32, Value) {
    let ran = session.larder(&["status", "--json"]);
    (ran.code, serde_json::from_str(&ran.stdout).expect("JSON"))
}

/// What is shown of an account's trouble.
fn trouble(session: &Session) -> Value {
    session.account("work")["problem"]["code"].clone()
}

/// Begins a refresh whose answer takes a while, lets `happen` happen while it is under way, and waits for the answer.
/// The disk fails from then on.
fn answered_while<T>(session: &Session, provider: &Provider, happen: impl FnOnce() -> T) -> T {
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500, "times": 1 }));
    let before = provider.refreshes().len();
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
        session.wait_for("the refresh to be sent", || provider.refreshes().len() > before);
        let happened = happen();
        let said = refresh.join().expect("the refresh").fails(9);
        assert!(said.contains("larder.db cannot be written"), "{said}");
        happened
    })
}

/// A rotated token is in memory alone: all that follows until it is on the disk.
fn kept_in_memory_until(session: &Session, provider: &Provider, writable: impl FnOnce()) {
    assert_eq!(trouble(session), "disk-full");
    let (code, status) = status(session);
    assert_eq!((code, &status["house"]["tray"]), (9, &"attention".into()));
    // Programs are served with the token that still works, and whoever insists makes no second request.
    let token = session.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&token).0, 200);
    for _ in 0..3 {
        session.larder(&["refresh", "work"]).fails(9);
    }
    assert_eq!(provider.refreshes().len(), 1, "the old token was sent again");
    let events = session.events();
    writable();
    events.wait("refreshed");
    assert_ne!(session.larder(&["token", "work"]).ok(), token);
    // What was written is the new one: it refreshes, by this agent and the next.
    session.larder(&["refresh", "work"]).ok();
    session.stop_agent();
    session.larder(&["refresh", "work"]).ok();
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"), "{:?}", provider.refreshes());
    assert_eq!((provider.refreshes().len(), provider.live_sessions()), (3, 2));
}

#[test]
fn on_a_full_disk_nothing_is_sent_and_what_works_is_handed_out() {
    let (session, provider) = signed_in();
    let token = session.larder(&["token", "work"]).ok();
    session.disk().fill();
    let said = session.larder(&["refresh", "work"]).fails(9);
    assert!(said.contains("larder.db cannot be written") && said.contains("make room"), "{said}");
    assert!(provider.refreshes().is_empty(), "a token was spent that could not have been replaced");
    assert_eq!((status(&session).0, trouble(&session)), (9, "disk-full".into()));
    assert_eq!(session.larder(&["token", "work"]).ok(), token);
    session.larder(&["token", "work-2"]).ok();
    session.disk().free();
    session.larder(&["refresh", "work"]).ok();
    assert_eq!((status(&session).0, provider.refreshes().len()), (0, 1));
}

#[test]
fn a_rotated_token_that_a_full_disk_does_not_take_is_kept_in_memory_and_written_once_there_is_room() {
    let (session, provider) = signed_in();
    answered_while(&session, &provider, || session.disk().fill());
    kept_in_memory_until(&session, &provider, || session.disk().free());
}

#[test]
fn a_rotated_token_that_a_failing_disk_does_not_take_is_kept_in_memory_and_written_later() {
    for (calls, error) in [("pwrite64", "EIO"), ("fsync,fdatasync", "EIO"), ("pwrite64", "EROFS")] {
        let (session, provider) = signed_in();
        let agent = session.agent_pid();
        let fault = answered_while(&session, &provider, || Fault::inject(&session, agent, calls, error));
        kept_in_memory_until(&session, &provider, || fault.end());
    }
}

#[test]
fn a_database_that_another_program_has_locked_delays_and_loses_nothing() {
    let (session, provider) = signed_in();
    let code = "import sqlite3, sys\n\
                c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE')\n\
                print('locked', flush=True); sys.stdin.read()";
    let lock = || {
        let mut command = session.command("/usr/bin/python3");
        command.args(["-c", code]).arg(session.profile().join("larder.db"));
        let mut locker = Child(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3"));
        let mut line = String::new();
        BufReader::new(locker.0.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), "locked");
        locker
    };
    let locker = lock();
    let began = Instant::now();
    session.larder(&["refresh", "work"]).fails(9);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(provider.refreshes().is_empty());
    drop(locker);
    let locker = answered_while(&session, &provider, lock);
    kept_in_memory_until(&session, &provider, || drop(locker));
}

#[test]
fn a_sign_in_on_a_full_disk_stores_nothing_and_gives_the_tokens_back() {
    let (session, provider) = signed_in();
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "bob", "allow");
    session.disk().fill();
    let said = session.larder_reads(&["callback"], &redirect).fails(9);
    assert!(said.contains("larder.db cannot be written"), "{said}");
    session.wait_for("the revocation", || provider.live_sessions() == 2);
    assert_eq!(session.keychain_items(), 2);
    session.disk().free();
    assert_eq!(session.sign_in("work", "bob"), "work-3");
}

#[test]
fn signing_out_on_a_full_disk_deletes_the_key_at_once_and_is_finished_when_there_is_room() {
    let (session, provider) = signed_in();
    session.disk().fill();
    let said = session.larder(&["sign-out", "work"]).fails(9);
    assert!(said.contains("larder.db cannot be written"), "{said}");
    session.wait_for("the end of the key", || session.keychain_items() == 1);
    assert_ne!(session.larder(&["token", "work"]).code, 0);
    session.larder(&["token", "work-2"]).ok();
    let events = session.events();
    session.disk().free();
    events.wait("signed-out");
    assert_eq!(session.account("work")["state"], "signed-out");
    session.wait_for("the revocation", || provider.live_sessions() == 1);
    session.larder(&["token", "work-2"]).ok();
}

#[test]
fn a_sign_out_on_a_full_disk_that_was_cut_off_does_not_come_back() {
    let (session, provider) = signed_in();
    session.disk().fill();
    session.larder(&["sign-out", "work"]).fails(9);
    session.wait_for("the end of the key", || session.keychain_items() == 1);
    session.kill_agent();
    session.disk().free();
    // Without its key nothing of it opens; its person is told so, and signs out once more.
    assert_ne!(session.larder(&["token", "work"]).code, 0);
    session.larder(&["sign-out", "work"]).ok();
    assert_eq!(session.account("work")["state"], "signed-out");
    assert!(provider.refreshes().is_empty());
}

#[test]
fn what_happens_on_a_full_disk_is_recorded_once_there_is_room() {
    let (session, _provider) = signed_in();
    session.disk().fill();
    session.larder(&["token", "work-2"]).ok();
    session.disk().free();
    let recorded = || session.larder(&["events", "--json"]).ok().contains("handed-out");
    session.wait_for("the record", recorded);
    session.larder(&["audit", "verify"]).ok();
}

#[test]
fn configuration_on_a_full_disk_stays_as_it_was() {
    let (session, provider) = signed_in();
    let providers = session.profile().join("providers.toml");
    let before = std::fs::read(&providers).unwrap();
    session.disk().fill();
    let said = session.larder(&["providers", "add", "other", "--issuer", &provider.issuer, "--client-id", "c"]);
    assert!(said.fails(9).contains("stays as it was"));
    assert!(std::fs::read(&providers).unwrap() == before);
    session.disk().free();
    assert!(!session.profile().join("providers.new").exists());
}

#[test]
fn an_agent_on_a_read_only_disk_says_so_and_changes_nothing() {
    let (session, _provider) = signed_in();
    let agent = session.agent_pid();
    session.stop_agent();
    session.wait_for("the agent's end", || !std::path::Path::new(&format!("/proc/{agent}/exe")).exists());
    session.disk().read_only();
    let said = session.larder(&["token", "work"]).fails(9);
    assert!(said.contains("read-only"), "{said}");
    session.disk().writable();
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_database_that_can_only_be_read_is_said_to_be_and_left_alone() {
    let (session, _provider) = signed_in();
    session.stop_agent();
    let database = session.profile().join("larder.db");
    let before = std::fs::read(&database).unwrap();
    let read_only = ReadOnlyFile::new(&database);
    let said = session.larder(&["token", "work"]).fails(9);
    assert!(said.contains("larder.db") && said.contains("read-only"), "{said}");
    drop(read_only);
    assert!(std::fs::read(&database).unwrap() == before);
    session.larder(&["token", "work"]).ok();
}
