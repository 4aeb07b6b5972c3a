//! The audit, as a person asks for it.

use crate::support::{Provider, Session, files_below, holds};
use serde_json::Value;

fn rows(session: &Session, filter: &[&str]) -> Vec<Value> {
    let listed = session.larder(&[&["audit", "--json"], filter].concat()).ok();
    listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["kind"].as_str().expect("a kind")).collect()
}

fn edit(session: &Session, statement: &str) {
    let database = rusqlite::Connection::open(session.profile().join("audit.db")).expect("audit.db");
    assert_eq!(database.execute(statement, []).expect(statement), 1);
}

#[test]
fn what_happened_is_listed_and_an_edit_or_a_cut_tail_is_named() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work"]).ok();
    session.larder(&["policy", "set", "deny", "--account", "work"]).ok();
    session.larder(&["token", "work"]).fails(5);
    session.larder(&["sign-out", "work"]).ok();

    let all = rows(&session, &[]);
    let expected =
        ["provider-changed", "sign-in-started", "signed-in", "handed-out", "refreshed", "policy-changed", "refused"];
    assert_eq!(kinds(&all)[..7], expected);
    let numbers: Vec<_> = all.iter().map(|row| row["number"].as_i64().expect("a number")).collect();
    assert_eq!(numbers, (1..).take(all.len()).collect::<Vec<_>>());
    let handed_out = &all[3];
    assert_eq!((handed_out["count"].as_i64(), handed_out["label"].as_str()), (Some(2), Some("work")));
    assert!(handed_out["scopes"].as_array().expect("scopes").contains(&"openid".into()), "{handed_out}");
    assert!(handed_out["last"].as_i64() >= handed_out["at"].as_i64());
    assert!(!files_below(&session.profile()).iter().any(|file| holds(file, token.as_bytes())));
    let program = handed_out["program"].as_str().expect("a program");
    assert_eq!(kinds(&rows(&session, &["--kind", "handed-out", "--program", program])), ["handed-out"]);
    assert_eq!(rows(&session, &["--account", "work", "--limit", "1"]).len(), 1);
    assert!(rows(&session, &["--account", "home"]).is_empty() && rows(&session, &["--since", "1h"]).len() == all.len());
    session.larder(&["audit", "--kind", "nothing"]).fails(2);

    let head = session.larder(&["audit", "head"]).ok();
    assert!(session.larder(&["audit", "verify", "--head", &head]).ok().contains("as they were written"));
    // To forget takes the name, and what had happened stays as it was.
    session.larder(&["sign-out", "work", "--forget"]).ok();
    session.larder(&["audit", "verify", "--head", &head]).ok();
    assert!(rows(&session, &[]).iter().all(|row| row["label"] == Value::Null), "a name is left");

    session.stop_agent();
    edit(&session, "UPDATE event SET program = '/usr/bin/true' WHERE number = 4");
    assert!(session.larder(&["audit", "verify"]).fails(9).contains("row 4"));
    edit(&session, &format!("UPDATE event SET program = '{program}' WHERE number = 4"));
    session.larder(&["audit", "verify"]).ok();
    let last = rows(&session, &[]).len();
    edit(&session, &format!("DELETE FROM event WHERE number = {last}"));
    session.larder(&["audit", "verify"]).ok();
    session.larder(&["audit", "verify", "--head", &head]).ok();
}

#[test]
fn a_run_that_is_killed_leaves_an_audit_that_fits() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    assert_eq!(kinds(&rows(&session, &["--kind", "handed-out"])), ["handed-out"]);
    session.kill_agent();
    session.larder(&["audit", "verify"]).ok();
    assert_eq!(kinds(&rows(&session, &["--kind", "handed-out"])), ["handed-out"]);
}
