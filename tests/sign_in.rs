//! A sign-in ends with an account, or with a sentence and nothing stored.

use crate::support::{Provider, Session};
use serde_json::json;

#[test]
fn a_sign_in_stores_who_it_was_and_what_was_granted_and_its_token_works() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    assert_eq!(session.sign_in("work", "ada"), "work");
    let account = session.account("work");
    assert_eq!(account["name"], "Ada Lovelace");
    assert_eq!(account["email"], "ada@example.com");
    assert_eq!(account["scopes"], json!(["openid", "profile", "email", "offline_access"]));
    assert_eq!(account["state"], "fresh");
    let token = session.larder(&["token", "work"]).ok();
    let (status, claims) = provider.userinfo(&token);
    assert_eq!((status, &claims["email"]), (200, &json!("ada@example.com")));
}

#[test]
fn a_second_account_at_one_provider_gets_a_label_of_its_own() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    assert_eq!(session.sign_in("work", "ada"), "work");
    assert_eq!(session.sign_in("work", "grace"), "work-2");
    assert_eq!(session.account("work-2")["email"], "grace@example.com");
}

#[test]
fn signing_in_again_keeps_the_account_and_its_label() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let id = session.account("work")["id"].clone();
    assert_eq!(session.sign_in("work", "ada"), "work");
    assert_eq!(session.account("work")["id"], id);
    let (status, _) = provider.userinfo(&session.larder(&["token", "work"]).ok());
    assert_eq!(status, 200);
}

#[test]
fn signing_in_again_as_somebody_else_changes_nothing_and_gives_the_tokens_back() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let url = session.larder(&["sign-in", "--account", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "grace", "allow");
    let said = session.larder_reads(&["callback"], &redirect).fails(1);
    assert!(said.contains("somebody else"), "{said}");
    assert_eq!(session.account("work")["email"], "ada@example.com");
    session.wait_for("the revocation", || provider.live_sessions() == 1);
}

#[test]
fn denied_consent_is_one_sentence_and_nothing_is_stored() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "deny");
    let said = session.larder_reads(&["callback"], &redirect).fails(5);
    assert!(said.contains("You said no at work"), "{said}");
    assert!(provider.seen("/token").is_empty());
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn a_second_copy_of_a_redirect_sends_nothing_again() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    session.larder_reads(&["callback"], &redirect).ok();
    let said = session.larder_reads(&["callback"], &redirect).fails(1);
    assert!(said.contains("used already"), "{said}");
    assert_eq!(provider.seen("/token").len(), 1);
    assert_eq!(session.account("work")["state"], "fresh");
}

#[test]
fn a_forged_redirect_sends_nothing_and_leaves_the_sign_in_waiting() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    for (forged, code, part) in [
        ("dev.larder.desktop:/callback?code=x&state=forged", 1, "No sign-in waits"),
        ("dev.larder.desktop:/callback?code=x", 1, "no state"),
        ("dev.larder.desktop:/callback?code=x&code=y&state=s", 1, "code twice"),
        ("https://evil.example/callback?code=x&state=s", 1, "does not begin with"),
        ("dev.larder.desktop://evil/callback?code=x&state=s", 1, "does not begin with"),
    ] {
        let said = session.larder_reads(&["callback"], forged).fails(code);
        assert!(said.contains(part), "{forged}: {said}");
    }
    assert!(provider.seen("/token").is_empty());
    let redirect = session.browse(&url, "ada", "allow");
    assert_eq!(session.larder_reads(&["callback"], &redirect).ok(), "work");
}

#[test]
fn an_answer_that_names_another_server_or_none_is_refused() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let issuer: String = url::form_urlencoded::byte_serialize(provider.issuer.as_bytes()).collect();
    for change in ["", "&iss=https%3A%2F%2Fevil.example", &format!("&iss={issuer}%2F")] {
        let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
        let redirect = session.browse(&url, "ada", "allow");
        let (before, _) = redirect.split_once("&iss=").expect("the demonstration names itself");
        let said = session.larder_reads(&["callback"], &format!("{before}{change}")).fails(1);
        assert!(said.contains("server"), "{said}");
    }
    assert!(provider.seen("/token").is_empty());
}

#[test]
fn a_client_that_the_provider_refuses_is_named_with_what_to_correct() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    provider
        .behave(json!({ "endpoint": "token", "mode": "error", "error": "invalid_client", "status": 401, "times": 1 }));
    let said = session.larder_reads(&["callback"], &redirect).fails(8);
    assert!(said.contains("work does not accept this client (invalid_client") && said.contains("client_id"), "{said}");
}

#[test]
fn a_token_endpoint_that_answers_html_or_nothing_stores_nothing_and_says_who_failed() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    for mode in ["html", "down"] {
        let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
        let redirect = session.browse(&url, "ada", "allow");
        provider.behave(json!({ "endpoint": "token", "mode": mode, "times": 1 }));
        let said = session.larder_reads(&["callback"], &redirect).fails(4);
        assert!(said.contains("127.0.0.1"), "{said}");
    }
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn an_account_survives_the_agent() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    session.stop_agent();
    assert_eq!(session.larder(&["token", "work"]).ok(), token);
}
