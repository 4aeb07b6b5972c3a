//! Locked, Larder hands out nothing and goes on refreshing; sealed, nothing opens at all. Only its person ends it.

use crate::support::{Provider, Session};
use serde_json::Value;

#[test]
fn locked_it_hands_out_nothing_and_keeps_refreshing_even_after_a_restart() {
    let (session, provider) = Session::signed_in(4);
    session.larder(&["token", "work"]).ok();
    session.larder(&["lock"]).ok();
    let refused = session.larder(&["token", "work"]).fails(5);
    assert!(refused.contains("larder unlock"), "{refused}");
    let before = provider.seen("/token").len();
    session.wait_for("two refreshes while it is locked", || provider.seen("/token").len() >= before + 2);
    session.stop_agent();
    session.larder(&["token", "work"]).fails(5);
    session.kill_agent();
    session.larder(&["token", "work"]).fails(5);
    session.larder(&["unlock"]).ok();
    session.larder(&["token", "work"]).ok();
    session.stop_agent();
    session.larder(&["token", "work"]).ok();
    let events = session.larder(&["events", "--json", "--limit", "1000"]).ok();
    for kind in ["locked", "unlocked", "refused"] {
        assert!(events.contains(&format!("\"{kind}\"")), "{kind}: {events}");
    }
}

#[test]
fn sealed_it_refreshes_nothing_and_names_the_sessions_that_may_lapse() {
    let (session, provider) = Session::signed_in(4);
    let sealed: Value = serde_json::from_str(&session.larder(&["lock", "--seal", "--json"]).ok()).unwrap();
    assert_eq!((&sealed["state"], &sealed["lapsing"][0]["account"]), (&"sealed".into(), &"work".into()));
    assert!(sealed["lapsing"][0]["expires_at"].is_i64());
    let refused = session.larder(&["token", "work"]).fails(6);
    assert!(refused.contains("sealed"), "{refused}");
    session.larder(&["refresh", "work"]).fails(6);
    session.larder(&["sign-in", "work", "--no-browser"]).fails(6);
    // A lock does not loosen a seal.
    session.larder(&["lock"]).ok();
    session.larder(&["refresh", "work"]).fails(6);
    let before = provider.seen("/token").len();
    let expires = session.account("work")["expires_at"].as_i64().unwrap();
    session.wait_for("the token's end", || now() > expires);
    session.stop_agent();
    session.larder(&["refresh", "work"]).fails(6);
    assert_eq!(provider.seen("/token").len(), before, "it was refreshed while it was sealed");
    session.larder(&["unlock"]).ok();
    session.larder(&["token", "work"]).ok();
    assert_eq!(provider.seen("/token").len(), before + 1);
    // Its person can sign out in any case.
    session.larder(&["lock", "--seal"]).ok();
    session.larder(&["sign-out", "work"]).ok();
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn a_seal_takes_the_passphrase_back() {
    let session = Session::with(crate::support::Keyring::None);
    std::fs::write(session.profile().join("config.toml"), "[keychain]\nstore = \"passphrase\"\n").unwrap();
    session.larder_reads(&["unlock"], "correct horse battery\n").ok();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    session.larder(&["lock"]).ok();
    session.larder(&["lock", "--seal"]).ok();
    session.larder_reads(&["unlock"], "another one entirely\n").fails(6);
    session.larder(&["token", "work"]).fails(6);
    session.larder_reads(&["unlock"], "correct horse battery\n").ok();
    session.larder(&["token", "work"]).ok();
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}
