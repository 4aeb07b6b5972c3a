//! Accounts go to another machine, and only one of the two goes on with them.

use crate::support::{Provider, Session, files_below, holds};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

const PASSPHRASE: &str = "correct horse battery\n";

/// A machine with one account, signed in.
fn machine() -> (Session, Provider) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    (session, provider)
}

fn file(session: &Session) -> PathBuf {
    session.home().join("moved.age")
}

fn export(session: &Session) -> String {
    let path = file(session).display().to_string();
    session.larder_reads(&["export", &path, "--all"], PASSPHRASE).ok()
}

fn import(session: &Session, path: &str) -> crate::support::larder::Ran {
    session.larder_reads(&["import", path], PASSPHRASE)
}

#[test]
fn a_locked_larder_exports_nothing_and_an_export_is_recorded_with_who_asked() {
    let (here, _provider) = machine();
    let path = file(&here).display().to_string();
    for (lock, code) in [(&["lock"][..], 5), (&["lock", "--seal"], 6)] {
        here.larder(lock).ok();
        here.larder_reads(&["export", &path, "--all"], PASSPHRASE).fails(code);
        assert!(!file(&here).exists());
    }
    here.larder(&["unlock"]).ok();
    assert_eq!(here.account("work")["state"], "fresh");
    export(&here);
    here.wait_for("the account to be gone", || here.account("work")["state"] == "signed-out");
    let rows = here.larder(&["audit", "--json", "--kind", "exported"]).ok();
    let rows: Vec<serde_json::Value> = rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    assert!(rows.iter().any(|row| row["program"].is_string()), "{rows:?}");
    assert!(rows.iter().any(|row| row["label"] == "work"), "{rows:?}");
}

#[test]
fn an_account_that_moves_is_refreshed_by_the_other_machine_alone() {
    let (here, provider) = machine();
    let token = here.larder(&["token", "work"]).ok();
    let path = export(&here);
    here.wait_for("the account to be gone", || here.account("work")["state"] == "signed-out");
    assert!(here.larder(&["token", "work"]).fails(3).contains("another machine"));
    here.larder(&["refresh", "work"]).fails(3);
    assert_eq!(here.keychain_items(), 0);
    assert_eq!((provider.live_sessions(), provider.seen("/revoke").len()), (1, 0), "nothing is revoked");
    assert_eq!(std::fs::metadata(&path).expect("the file").mode() & 0o777, 0o600);
    assert!(!holds(file(&here).as_path(), token.as_bytes()));

    let there = Session::new();
    assert_eq!(import(&there, &path).ok(), "work");
    assert_eq!(there.larder(&["token", "work"]).ok(), token);
    there.larder(&["refresh", "work"]).ok();
    let newer = there.larder(&["token", "work"]).ok();
    assert!(newer != token && provider.userinfo(&newer).0 == 200);
    assert!(!files_below(&there.profile()).iter().any(|file| holds(file, newer.as_bytes())));
    assert_eq!(provider.live_sessions(), 1);
    // The provider came along: its person can sign in again there.
    assert!(there.larder(&["providers", "show", "work"]).ok().contains(&provider.issuer));
    let kinds = |session: &Session| session.larder(&["audit", "--json"]).ok();
    assert!(kinds(&here).contains("\"exported\"") && kinds(&there).contains("\"imported\""));

    // A second time it would bring a spent token.
    there.larder(&["sign-out", "work", "--forget", "--here-only"]).ok();
    assert!(import(&there, &path).fails(2).contains("imported here before"));
    // Signing in again is what is left.
    here.sign_in("work", "ada");
    here.larder(&["token", "work"]).ok();
}

#[test]
fn a_file_can_come_back_to_where_it_was_written() {
    let (here, _provider) = machine();
    let path = export(&here);
    here.wait_for("the account to be gone", || here.account("work")["state"] == "signed-out");
    let id = here.account("work")["id"].clone();
    assert_eq!(import(&here, &path).ok(), "work");
    assert_eq!(here.account("work")["id"], id);
    here.larder(&["refresh", "work"]).ok();
    here.stop_agent();
    here.larder(&["token", "work"]).ok();
    assert!(import(&here, &path).fails(2).contains("imported here before"));
}

#[test]
fn what_is_there_is_not_overwritten_and_what_does_not_open_changes_nothing() {
    let (here, _provider) = machine();
    std::fs::write(file(&here), "mine").expect("a file");
    let path = file(&here).display().to_string();
    assert!(here.larder_reads(&["export", &path, "work"], PASSPHRASE).fails(2).contains("there already"));
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "mine");
    here.larder_reads(&["export", &path, "home"], PASSPHRASE).fails(2);
    here.larder_reads(&["export", &format!("{path}2"), "work"], "short\n").fails(2);
    here.larder_reads(&["export", "/nowhere/at/all", "work"], PASSPHRASE).fails(9);
    here.larder(&["refresh", "work"]).ok();
    std::fs::remove_file(&path).expect("the file");
    export(&here);

    let there = Session::new();
    let whole = std::fs::read(&path).expect("the file");
    let wrong = there.larder_reads(&["import", &path], "wrong horse battery\n");
    assert!(wrong.fails(2).contains("does not open"));
    let damaged = there.home().join("damaged.age");
    let shown = damaged.display().to_string();
    let mut altered = whole.clone();
    altered[whole.len() - 20] ^= 1;
    for content in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &whole[..0], &altered, b"no age file"] {
        std::fs::write(&damaged, content).expect("a file");
        assert!(import(&there, &shown).fails(9).contains("nothing was changed"));
    }
    let accounts: serde_json::Value = serde_json::from_str(&there.larder(&["accounts", "--json"]).ok()).expect("JSON");
    assert_eq!(accounts, serde_json::json!([]));
    assert_eq!(there.keychain_items(), 0);
    assert!(!there.profile().join("providers.toml").exists());
    // Another account has the label; another provider its name.
    there.larder(&["providers", "add", "work", "--issuer", "https://a.example", "--client-id", "x"]).ok();
    assert!(import(&there, &path).fails(2).contains("another one here"));
    there.larder(&["providers", "remove", "work"]).ok();
    import(&there, &path).ok();
}

#[test]
fn a_file_that_is_sealed_for_a_recipient_opens_with_its_identity() {
    let (here, _provider) = machine();
    let there = Session::new();
    let identity = there.home().join("identity").display().to_string();
    there.ran("age-keygen", &["-o", &identity]);
    let recipient = there.ran("age-keygen", &["-y", &identity]).trim().to_owned();
    let path = file(&here).display().to_string();
    here.larder(&["export", &path, "--all", "--recipient", "age1nobody"]).fails(2);
    here.larder(&["export", &path, "--all", "--recipient", &recipient]).ok();
    import(&there, &path).fails(2);
    let other = there.home().join("other").display().to_string();
    there.ran("age-keygen", &["-o", &other]);
    there.larder(&["import", &path, "--identity", &other]).fails(2);
    there.larder(&["import", &path, "--identity", "/nowhere"]).fails(2);
    assert_eq!(there.larder(&["import", &path, "--identity", &identity]).ok(), "work");
    there.larder(&["refresh", "work"]).ok();
}

#[test]
fn a_label_that_is_taken_gets_a_number_and_an_account_that_is_here_stays() {
    let (here, provider) = machine();
    let there = Session::new();
    there.add("work", &provider);
    there.sign_in("work", "grace");
    assert_eq!(import(&there, &export(&here)).ok(), "work-2");
    there.larder(&["refresh", "work"]).ok();
    there.larder(&["refresh", "work-2"]).ok();
    // Back again, where its person signed in meanwhile.
    here.wait_for("the account to be gone", || here.account("work")["state"] == "signed-out");
    here.sign_in("work", "ada");
    let back = there.home().join("back.age").display().to_string();
    there.larder_reads(&["export", &back, "work-2"], PASSPHRASE).ok();
    assert!(import(&here, &back).fails(2).contains("signed in here already"));
    here.larder(&["refresh", "work"]).ok();
}

#[test]
fn configuration_alone_brings_providers_and_labels_and_leaves_the_accounts() {
    let (here, provider) = machine();
    let path = file(&here).display().to_string();
    here.larder_reads(&["export", &path, "--config-only"], PASSPHRASE).ok();
    here.larder(&["refresh", "work"]).ok();
    let there = Session::new();
    for _ in 0..2 {
        import(&there, &path).ok();
        assert_eq!(there.account("work")["state"], "signed-out");
    }
    there.larder(&["token", "work"]).fails(3);
    assert_eq!(there.sign_in("work", "ada"), "work");
    there.larder(&["token", "work"]).ok();
    assert_eq!(provider.live_sessions(), 2);
}
