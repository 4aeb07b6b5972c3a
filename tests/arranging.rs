//! What accounts are called and in which order they stand, whether a token is accepted, and what is set.

use crate::support::Session;
use serde_json::Value;

fn labels(session: &Session) -> Vec<String> {
    let accounts: Value = serde_json::from_str(&session.larder(&["accounts", "--json"]).ok()).unwrap();
    accounts.as_array().unwrap().iter().map(|account| account["label"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn another_label_lasts_and_a_rule_for_the_account_goes_on() {
    let (session, provider) = Session::signed_in(600);
    session.sign_in("work", "grace");
    session.larder(&["policy", "set", "deny", "--account", "work", "--program", "*"]).ok();
    session.larder(&["rename", "work", "office"]).ok();
    assert_eq!(labels(&session), ["office", "work-2"]);
    session.larder(&["rename", "work-2", "office"]).fails(2);
    session.larder(&["rename", "office", "*"]).fails(2);
    session.larder(&["token", "work"]).fails(2);
    session.larder(&["token", "office"]).fails(5);
    session.kill_agent();
    assert_eq!(labels(&session), ["office", "work-2"]);
    session.larder(&["token", "work-2"]).ok();
    // Nothing that is sealed goes by the label.
    session.larder(&["refresh", "office"]).ok();
    assert_eq!(provider.refreshes().len(), 1);
}

#[test]
fn a_test_says_what_the_provider_answers_to_the_token() {
    let (session, provider) = Session::signed_in(600);
    let said = session.larder(&["test", "work"]).ok();
    assert!(said.contains("accepts the token: 200"), "{said}");
    provider.revoke_user("ada");
    let ran = session.larder(&["test", "work", "--json"]);
    assert_eq!(ran.code, 3);
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(told["status"], 401);
    // Looking changes nothing: that is what a refresh is for.
    assert!(provider.refreshes().is_empty());
    assert_eq!(session.account("work")["state"], "fresh");
    session.larder(&["sign-out", "work"]).ok();
    session.larder(&["test", "work"]).fails(3);
}
