//! Programs get tokens through the command: the answer alone on stdout, by the policy, and recorded.

use crate::support::{Provider, Session, files_below, holds};
use serde_json::Value;

#[test]
fn the_token_is_the_answer_alone_in_each_format() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let raw = session.larder(&["token", "work"]);
    assert_eq!((raw.stdout.lines().count(), raw.stderr.as_str()), (1, ""));
    let token = raw.ok();
    assert_eq!(session.larder(&["token", "work", "--format", "header"]).ok(), format!("Authorization: Bearer {token}"));
    let json: Value = serde_json::from_str(&session.larder(&["token", "work", "--format", "json"]).ok()).unwrap();
    assert_eq!(json["access_token"], token.as_str());
    assert_eq!(json["token_type"], "Bearer");
    assert_eq!(json["account"], "work");
    assert!(json["expires_at"].is_i64() || json["expires_at"].is_string(), "{json}");
}

#[test]
fn the_policy_decides_and_a_refusal_is_recorded() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["policy", "set", "deny", "--account", "work"]).ok();
    let said = session.larder(&["token", "work"]).fails(5);
    assert!(said.contains("does not let"), "{said}");
    // The program that is named is this test: the first that is neither larder nor a shell.
    let me = std::env::current_exe().unwrap().display().to_string();
    assert!(said.contains(&me), "{said}");
    session.larder(&["policy", "set", "allow", "--program", &me, "--account", "work"]).ok();
    session.larder(&["token", "work"]).ok();
    let through_a_shell = format!("{} token work", crate::support::program("larder").display());
    session.ran("sh", &["-c", &format!("{through_a_shell}; true")]);
    session.larder(&["policy", "set", "deny"]).ok();
    session.larder(&["policy", "set", "deny", "--program", &me, "--account", "work"]).ok();
    session.larder(&["token", "work"]).fails(5);
    let policy = session.larder(&["policy", "list"]).ok();
    assert!(policy.contains("deny") && policy.contains(&me), "{policy}");
    let events = session.larder(&["events", "--json"]).ok();
    assert_eq!(events.matches("\"refused\"").count(), 2, "{events}");
    let handed_out: Vec<_> = events.lines().filter(|line| line.contains("\"handed-out\"")).collect();
    assert!(handed_out.len() == 1 && handed_out[0].contains("\"count\":2"), "{events}");
}

#[test]
fn no_token_lies_in_any_file_of_the_profile() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let mut tokens = vec![session.larder(&["token", "work"]).ok()];
    session.larder(&["refresh", "work"]).ok();
    tokens.push(session.larder(&["token", "work"]).ok());
    session.stop_agent();
    let mut files = 0;
    for entry in files_below(&session.profile()) {
        files += 1;
        for token in &tokens {
            assert!(!holds(&entry, token.as_bytes()), "{} holds a token", entry.display());
        }
    }
    assert!(files >= 5, "database, audit, lock, log and configuration were searched");
}
