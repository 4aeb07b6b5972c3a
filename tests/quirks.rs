//! Providers as they really are: each entry of the catalogue that is unlike the standard, against a server that is so.

use crate::support::Session;
use crate::support::odd_provider::OddProvider;
use serde_json::json;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

fn signed_in(session: &Session, provider: &OddProvider) {
    let query = provider.begin(session);
    assert_eq!(session.larder_reads(&["callback"], &OddProvider::redirect(&query)).ok(), "odd");
}

fn secret(session: &Session) {
    session.larder_reads(&["providers", "secret", "odd"], "s3cret").ok();
}

#[test]
fn github_answers_a_form_and_its_tokens_never_end() {
    let session = Session::new();
    let form = "access_token=gho_a&scope=read%3Auser%2Cuser%3Aemail&token_type=bearer";
    let provider = OddProvider::start(&[(FORM, form)], r#"{"id": 42, "login": "ada", "email": "ada@example.com"}"#);
    provider.add(&session, "github", &[]);
    secret(&session);
    signed_in(&session, &provider);
    let account = session.account("odd");
    assert_eq!((&account["email"], &account["state"]), (&json!("ada@example.com"), &json!("fresh")));
    assert_eq!(account["scopes"], json!(["read:user", "user:email"]));
    assert!(account["expires_at"].is_null() && account["refresh_at"].is_null(), "{account}");
    assert_eq!(session.larder(&["token", "odd"]).ok(), "gho_a");
    let asked = &provider.got("/token")[0];
    assert_eq!((asked.form["client_secret"].as_str(), asked.headers["accept"].as_str()), ("s3cret", JSON));
}

#[test]
fn github_answers_an_error_with_status_200() {
    let session = Session::new();
    let refused = "error=bad_verification_code&error_description=The+code+passed+is+incorrect+or+expired.";
    let provider = OddProvider::start(&[(FORM, refused)], "{}");
    provider.add(&session, "github", &[]);
    secret(&session);
    let query = provider.begin(&session);
    let said = session.larder_reads(&["callback"], &OddProvider::redirect(&query)).fails(1);
    assert!(said.contains("did not accept the code"), "{said}");
    assert_eq!(session.keychain_items(), 1, "the client secret's alone");
}

#[test]
fn slack_gives_the_person_s_token_apart_and_separates_by_commas() {
    let session = Session::new();
    let person = r#"{"ok":true,"authed_user":{"id":"U1","scope":"users:read,chat:write","access_token":"xoxp-1",
        "token_type":"user","refresh_token":"xoxe-1","expires_in":43200}}"#;
    let again = r#"{"ok":true,"access_token":"xoxp-2","refresh_token":"xoxe-2","expires_in":43200}"#;
    let who = r#"{"ok":true,"user_id":"U1","sub":"U1","user":"ada"}"#;
    let provider = OddProvider::start(&[(JSON, person), (JSON, again)], who);
    provider.add(&session, "slack", &["--scope", "users:read", "--scope", "chat:write"]);
    let query = provider.begin(&session);
    assert_eq!(query["scope"], "users:read,chat:write");
    session.larder_reads(&["callback"], &OddProvider::redirect(&query)).ok();
    assert_eq!(session.account("odd")["scopes"], json!(["users:read", "chat:write"]));
    assert_eq!(session.larder(&["token", "odd"]).ok(), "xoxp-1");
    session.larder(&["refresh", "odd"]).ok();
    assert_eq!(session.larder(&["token", "odd"]).ok(), "xoxp-2");
    assert_eq!(provider.got("/token")[1].form["refresh_token"], "xoxe-1");
}

#[test]
fn slack_says_ok_false_instead_of_a_status() {
    let session = Session::new();
    let provider = OddProvider::start(&[(JSON, r#"{"ok":false,"error":"invalid_code"}"#)], "{}");
    provider.add(&session, "slack", &[]);
    let query = provider.begin(&session);
    let said = session.larder_reads(&["callback"], &OddProvider::redirect(&query)).fails(1);
    assert!(said.contains("did not accept the code"), "{said}");
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn a_lifetime_is_taken_as_a_string_and_none_or_zero_is_none() {
    for (lifetime, known) in [(r#","expires_in":"3600""#, true), ("", false), (r#","expires_in":0"#, false)] {
        let session = Session::new();
        let answer = format!(r#"{{"access_token":"a","token_type":"bearer","refresh_token":"r"{lifetime}}}"#);
        let provider = OddProvider::start(&[(JSON, &answer)], r#"{"account_id":"dbid:1","email":"ada@example.com"}"#);
        provider.add(&session, "dropbox", &[]);
        signed_in(&session, &provider);
        let account = session.account("odd");
        assert_eq!(account["expires_at"].is_number(), known, "{lifetime}: {account}");
        assert_eq!(session.larder(&["token", "odd"]).ok(), "a");
        // A lifetime that nobody stated makes nobody refresh without end.
        assert_eq!(provider.got("/token").len(), 1, "{lifetime}");
    }
}

#[test]
fn dropbox_is_asked_for_a_refresh_token_and_says_who_it_is_to_a_post() {
    let session = Session::new();
    let answer = r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":14400}"#;
    let who = r#"{"account_id":"dbid:1","name":{"display_name":"Ada Lovelace"},"email":"ada@example.com"}"#;
    let provider = OddProvider::start(&[(JSON, answer)], who);
    provider.add(&session, "dropbox", &[]);
    let query = provider.begin(&session);
    assert_eq!(query["token_access_type"], "offline");
    session.larder_reads(&["callback"], &OddProvider::redirect(&query)).ok();
    assert_eq!(session.account("odd")["name"], "Ada Lovelace");
    let asked = &provider.got("/userinfo")[0];
    assert_eq!((asked.method.as_str(), asked.headers["authorization"].as_str()), ("POST", "Bearer a"));
}

#[test]
fn reddit_is_asked_for_a_permanent_grant() {
    let session = Session::new();
    let answer =
        r#"{"access_token":"a","token_type":"bearer","refresh_token":"r","expires_in":86400,"scope":"identity"}"#;
    let provider = OddProvider::start(&[(JSON, answer)], r#"{"id":"t2_1","name":"ada"}"#);
    provider.add(&session, "reddit", &[]);
    secret(&session);
    let query = provider.begin(&session);
    assert_eq!(query["duration"], "permanent");
    session.larder_reads(&["callback"], &OddProvider::redirect(&query)).ok();
    assert_eq!(session.account("odd")["name"], "ada");
    // "id:s3cret"
    assert_eq!(provider.got("/token")[0].headers["authorization"], "Basic aWQ6czNjcmV0");
}

#[test]
fn notion_authenticates_by_basic_and_names_a_version() {
    let session = Session::new();
    let answer = r#"{"access_token":"ntn_a","token_type":"bearer","bot_id":"b"}"#;
    let who = r#"{"id":"bot","bot":{"owner":{"user":{"id":"u1","name":"Ada","person":{"email":"ada@example.com"}}}}}"#;
    let provider = OddProvider::start(&[(JSON, answer)], who);
    provider.add(&session, "notion", &[]);
    secret(&session);
    let query = provider.begin(&session);
    assert_eq!(query["owner"], "user");
    assert!(!query.contains_key("scope"), "{query:?}");
    session.larder_reads(&["callback"], &OddProvider::redirect(&query)).ok();
    assert_eq!(session.account("odd")["email"], "ada@example.com");
    let token = &provider.got("/token")[0];
    assert!(token.headers["authorization"].starts_with("Basic ") && !token.form.contains_key("client_secret"));
    assert!(provider.got("/userinfo")[0].headers.contains_key("notion-version"));
}
