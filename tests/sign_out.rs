//! Signing out leaves nothing behind that opens, and tells the provider.

use crate::support::{Provider, Session, files_below, holds, program};
use std::path::Path;

/// The sealed columns of the account's row.
fn sealed(database: &Path) -> Vec<Vec<u8>> {
    let connection = rusqlite::Connection::open(database).expect("the database opens");
    let row = connection.query_row("SELECT access_token, refresh_token, id_token FROM account", [], |row| {
        Ok([row.get::<_, Option<Vec<u8>>>(0)?, row.get(1)?, row.get(2)?])
    });
    row.expect("a row").into_iter().flatten().collect()
}

/// Takes a copy of database and log, signs out by `sign_out`, and checks that nothing is left that opens the copy.
pub fn leaves_nothing_that_opens(session: &Session, sign_out: impl FnOnce()) {
    let copy = session.home().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for name in ["larder.db", "larder.db-wal", "larder.db-shm", "policy.toml"] {
        std::fs::copy(session.profile().join(name), copy.join(name)).unwrap();
    }
    let sealed = sealed(&copy.join("larder.db"));
    assert_eq!(sealed.len(), 3, "access, refresh and ID token are sealed in the copy");
    assert_eq!(session.keychain_items(), 1);
    sign_out();
    assert_eq!(session.keychain_items(), 0, "the key's item is gone");
    for file in files_below(&session.profile()) {
        for bytes in &sealed {
            assert!(!holds(&file, bytes), "{} still holds a sealed token", file.display());
        }
    }
    // An agent on the copy, with the same keychain, gets nothing out of it.
    session.stop_agent();
    let profile = session.home().join("p");
    std::fs::rename(&copy, &profile).unwrap();
    let mut larder = session.command(program("larder"));
    let output = larder.args(["token", "work"]).env("LARDER_HOME", &profile).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(output.stdout.is_empty());
    let mut stop = session.command(program("larder"));
    stop.args(["agent", "--stop"]).env("LARDER_HOME", &profile).output().unwrap();
}

#[test]
fn a_copy_taken_before_the_sign_out_does_not_open_afterwards() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["refresh", "work"]).ok();
    leaves_nothing_that_opens(&session, || {
        session.larder(&["sign-out", "work"]).ok();
    });
    assert_eq!(provider.live_sessions(), 0);
}

#[test]
fn the_same_copy_opens_as_long_as_nobody_has_signed_out() {
    // The counter-proof: without it, the test above could pass for any reason.
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.stop_agent();
    let profile = session.home().join("p");
    std::fs::create_dir(&profile).unwrap();
    for name in ["larder.db", "policy.toml"] {
        std::fs::copy(session.profile().join(name), profile.join(name)).unwrap();
    }
    let mut larder = session.command(program("larder"));
    let output = larder.args(["token", "work"]).env("LARDER_HOME", &profile).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut stop = session.command(program("larder"));
    stop.args(["agent", "--stop"]).env("LARDER_HOME", &profile).output().unwrap();
}

#[test]
fn the_provider_is_told_after_everything_here_is_cleared() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    let said = session.larder(&["sign-out", "work"]);
    assert!(said.stderr.contains("the provider has ended the session too"), "{said:?}");
    assert_eq!(provider.userinfo(&token).0, 401);
    session.larder(&["token", "work"]).fails(3);
    assert_eq!(session.account("work")["state"], "signed-out");
    let kinds: Vec<String> = session
        .larder(&["events", "--json"])
        .ok()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    let place =
        |kind: &str| kinds.iter().position(|known| known == kind).unwrap_or_else(|| panic!("{kind}: {kinds:?}"));
    assert!(place("signed-out") < place("revoked"));
}

#[test]
fn a_provider_that_is_down_does_not_keep_anybody_signed_in() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    drop(provider);
    session.larder(&["sign-out", "work"]).ok();
    assert_eq!(session.account("work")["state"], "signed-out");
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn here_only_leaves_the_session_at_the_provider_alone() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["sign-out", "work", "--here-only"]).ok();
    assert!(provider.seen("/revoke").is_empty());
    assert_eq!(provider.live_sessions(), 1);
}

#[test]
fn forgetting_removes_the_row_and_the_name() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["sign-out", "work", "--forget"]).ok();
    session.larder(&["token", "work"]).fails(2);
    session.stop_agent();
    for file in files_below(&session.profile()) {
        assert!(!holds(&file, b"ada@example.com"), "{} still names the person", file.display());
    }
}

#[test]
fn a_refresh_in_flight_does_not_bring_a_signed_out_account_back() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    provider.behave(serde_json::json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500 }));
    let before = provider.seen("/token").len();
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
        session.wait_for("the refresh to be sent", || provider.seen("/token").len() > before);
        session.larder(&["sign-out", "work"]).ok();
        refresh.join().unwrap().fails(3);
    });
    session.wait_for("the late token's revocation", || provider.live_sessions() == 0);
    assert_eq!(session.account("work")["state"], "signed-out");
    assert_eq!(session.keychain_items(), 0);
}
