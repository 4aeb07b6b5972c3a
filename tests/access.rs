//! An account gets more access, or a stronger sign-in, and stays what it was until that has succeeded.

use crate::support::oidc_provider::OidcProvider;
use crate::support::openid_provider::{OpenIdProvider, now};
use crate::support::session::first_line;
use crate::support::{Session, program};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::Stdio;
use url::Url;

const GRANTED: [&str; 4] = ["openid", "profile", "email", "offline_access"];

fn query(url: &str) -> HashMap<String, String> {
    Url::parse(url).expect("a URL").query_pairs().into_owned().collect()
}

/// The account is what it was after its sign-in, and can be refreshed.
#[track_caller]
fn unchanged(session: &Session, id: &Value) {
    let account = session.account("work");
    assert_eq!((&account["id"], &account["email"]), (id, &json!("ada@example.com")));
    assert_eq!((&account["scopes"], &account["state"]), (&json!(GRANTED), &json!("fresh")));
    session.larder(&["refresh", "work"]).ok();
}

// ── More access ─────────────────────────────────────────────────────────────────────────────────────────────────────

#[test]
fn an_account_that_gets_more_access_stays_fresh_until_it_has_it() {
    let (session, provider) = Session::signed_in(600);
    let (id, first) = (session.account("work")["id"].clone(), session.larder(&["token", "work"]).ok());
    let add = ["sign-in", "--account", "work", "--add-scope", "notes.read", "notes.write", "email", "--no-browser"];
    let url = session.larder(&add).ok();
    let asked = query(&url);
    assert_eq!(asked["scope"], "openid profile email offline_access notes.read notes.write");
    assert_eq!(asked["login_hint"], "ada@example.com");
    assert!(!asked.contains_key("include_granted_scopes"), "it is sent where it is written down");

    // It goes on as if nobody had asked: handed out, refreshed, and handed out.
    assert_eq!(session.larder(&["token", "work"]).ok(), first);
    unchanged(&session, &id);
    let second = session.larder(&["token", "work"]).ok();
    assert!(second != first && provider.userinfo(&second).0 == 200);

    let redirect = session.browse(&url, "ada", "allow");
    assert_eq!(session.larder_reads(&["callback"], &redirect).ok(), "work");
    let account = session.account("work");
    let all = json!([GRANTED.as_slice(), ["notes.read", "notes.write"].as_slice()].concat());
    assert_eq!((&account["id"], &account["scopes"]), (&id, &all));
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(provider.userinfo(&session.larder(&["token", "work"]).ok()).0, 200);
    assert_eq!(session.account("work")["scopes"], all);
}

#[test]
fn what_was_refused_or_cancelled_adds_nothing() {
    let (session, provider) = Session::signed_in(600);
    let id = session.account("work")["id"].clone();
    let add = ["sign-in", "--account", "work", "--add-scope", "notes.read", "--no-browser"];

    let redirect = session.browse(&session.larder(&add).ok(), "ada", "deny");
    assert!(session.larder_reads(&["callback"], &redirect).fails(5).contains("You said no at work"));
    unchanged(&session, &id);

    // A scope that the provider does not know.
    let unknown = session.larder(&["sign-in", "--account", "work", "--add-scope", "teapot", "--no-browser"]).ok();
    let redirect = session.browse(&unknown, "ada", "allow");
    assert!(session.larder_reads(&["callback"], &redirect).fails(1).contains("invalid_scope"));
    unchanged(&session, &id);

    let shown: Value = serde_json::from_str(&session.larder(&[&add[..], &["--json"]].concat()).ok()).expect("JSON");
    crate::loopback::cancel(&session, shown["attempt"].as_str().expect("an attempt"));
    let redirect = session.browse(shown["authorization_url"].as_str().expect("a URL"), "ada", "allow");
    session.larder_reads(&["callback"], &redirect).fails(1);
    unchanged(&session, &id);
    assert_eq!(provider.live_sessions(), 1);
}

#[test]
fn somebody_else_adds_nothing_and_their_tokens_are_given_back() {
    let (session, provider) = Session::signed_in(600);
    let id = session.account("work")["id"].clone();
    let url = session.larder(&["sign-in", "--account", "work", "--add-scope", "notes.read", "--no-browser"]).ok();
    let redirect = session.browse(&url, "grace", "allow");
    assert!(session.larder_reads(&["callback"], &redirect).fails(1).contains("somebody else"));
    unchanged(&session, &id);
    session.wait_for("the revocation", || provider.live_sessions() == 1);
}

#[test]
fn a_code_that_is_entered_elsewhere_adds_access_too() {
    let (session, _provider) = Session::signed_in(600);
    let id = session.account("work")["id"].clone();
    let events = session.events();
    events.wait("signed-in");
    let add = ["sign-in", "--account", "work", "--add-scope", "notes.read", "--device", "--no-browser", "--json"];
    let shown: Value = serde_json::from_str(&session.larder(&add).ok()).expect("JSON");
    unchanged(&session, &id);
    session.browse(shown["device"]["verification_uri_complete"].as_str().expect("a link"), "ada", "allow");
    events.wait("signed-in");
    let account = session.account("work");
    assert_eq!((&account["id"], &account["scopes"][4]), (&id, &json!("notes.read")));
}

#[test]
fn what_cannot_be_asked_for_is_refused_before_anything_is_sent() {
    let (session, _provider) = Session::signed_in(600);
    let refused = |more: &[&str]| {
        let said = session.larder(&[&["sign-in", "--account", "work", "--no-browser"], more].concat());
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{said:?}");
        said.stderr
    };
    assert!(refused(&["--add-scope", "two words"]).contains("a scope has"));
    assert!(refused(&["--acr-values", "a  b"]).contains("acr_values"));
    assert!(refused(&["--prompt", "none login"]).contains("alone"));
    assert!(refused(&["--max-age", "9999d"]).contains("max_age"));
    refused(&["--device", "--max-age", "1h"]);
    // More than what, there is nothing yet.
    assert_eq!(session.larder(&["sign-in", "work", "--no-browser", "--add-scope", "notes.read"]).code, 2);
}

// ── A stronger or newer sign-in ─────────────────────────────────────────────────────────────────────────────────────

/// An account at a provider that says what it is told to.
fn op() -> (Session, OpenIdProvider) {
    let (session, provider) = (Session::new(), OpenIdProvider::start());
    provider.add(&session, "op", &[]);
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    session.larder_reads(&["callback"], &provider.authorize(&url)).ok();
    (session, provider)
}

#[test]
fn what_was_not_granted_of_what_was_asked_is_told() {
    let (session, provider) = op();
    provider.tell(|told| told.response = json!({ "scope": "openid profile email offline_access notes.read" }));
    let mut command = session.command(program("larder"));
    command.args(["sign-in", "--account", "op", "--add-scope", "notes.read", "notes.write", "--no-browser", "--wait"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("larder");
    let url = first_line(child.stdout.take().expect("piped"));
    session.larder_reads(&["callback"], &provider.authorize(&url)).ok();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && said.contains("notes.write was not granted."), "{said}");
    assert!(!said.contains("notes.read was not"), "{said}");
}

const STEP_UP: [&str; 10] = [
    "sign-in",
    "--account",
    "op",
    "--acr-values",
    "urn:example:silver phr",
    "--max-age",
    "5m",
    "--prompt",
    "login",
    "--no-browser",
];

#[test]
fn a_step_up_is_asked_for_and_a_login_that_is_new_enough_is_taken() {
    // 300 s, and 60 s of skew, less what the test itself takes.
    for ago in [0, 290, 330] {
        let (session, provider) = op();
        let url = session.larder(&STEP_UP).ok();
        let asked = query(&url);
        assert_eq!(
            [&asked["acr_values"], &asked["max_age"], &asked["prompt"], &asked["login_hint"], &asked["scope"]],
            ["urn:example:silver phr", "300", "login", "jane@example.com", "openid profile email offline_access"]
        );
        provider.tell(|told| told.claims = json!({ "auth_time": now() - ago, "acr": "phr" }));
        assert_eq!(session.larder_reads(&["callback"], &provider.authorize(&url)).ok(), "op");
        assert_eq!(session.larder(&["token", "op"]).ok(), "access-3-of-jane");
    }
}

#[test]
fn a_login_that_is_too_old_or_of_no_time_is_refused_and_changes_nothing() {
    for (auth_time, part) in [
        (Value::Null, "does not say when its person authenticated"),
        (json!("today"), "does not say when its person authenticated"),
        (json!(now() - 400), "longer ago than max_age allows"),
        (json!(now() + 300), "in the future"),
    ] {
        let (session, provider) = op();
        let url = session.larder(&STEP_UP).ok();
        provider.tell(|told| told.claims = json!({ "auth_time": auth_time }));
        let said = session.larder_reads(&["callback"], &provider.authorize(&url)).fails(1);
        assert!(said.contains(part), "{part}: {said}");
        session.wait_for("the revocation", || provider.revoked("refresh-3-of-jane"));
        assert!(!provider.revoked("refresh-0-of-jane"));
        assert_eq!(session.larder(&["token", "op"]).ok(), "access-0-of-jane");
        assert_eq!(session.account("op")["state"], "fresh");
    }
}

#[test]
fn a_max_age_that_is_written_down_is_checked_too() {
    let (session, provider) = (Session::new(), OpenIdProvider::start());
    let definition = format!(
        "issuer = \"{}\"\nclient_id = \"c\"\nscopes = [\"openid\"]\nauthorization_params = {{ max_age = \"60\" }}\n",
        provider.issuer
    );
    session.larder_reads(&["providers", "add", "strict", "--from", "-"], &definition).ok();
    let sign_in = |auth_time: u64| {
        let url = session.larder(&["sign-in", "strict", "--no-browser"]).ok();
        assert_eq!(query(&url)["max_age"], "60");
        provider.tell(|told| told.claims = json!({ "aud": "c", "auth_time": auth_time }));
        session.larder_reads(&["callback"], &provider.authorize(&url))
    };
    assert!(sign_in(now() - 300).fails(1).contains("longer ago than max_age allows"));
    assert_eq!(sign_in(now()).ok(), "strict");
}

#[test]
fn without_max_age_nobody_asks_when_and_without_an_id_token_max_age_cannot_be_asked() {
    let (session, provider) = op();
    let url = session.larder(&["sign-in", "--account", "op", "--prompt", "login", "--no-browser"]).ok();
    assert!(!query(&url).contains_key("max_age"));
    session.larder_reads(&["callback"], &provider.authorize(&url)).ok();

    let plain = ["providers", "add", "plain", "--issuer", &provider.issuer, "--client-id", "c", "--scope", "profile"];
    session.larder(&plain).ok();
    let said = session.larder(&["sign-in", "plain", "--max-age", "5m", "--no-browser"]).fails(8);
    assert!(said.contains("max_age cannot be checked"), "{said}");
}

// ── Signing out in the browser ──────────────────────────────────────────────────────────────────────────────────────

const OFFER: &str = "To sign out in the browser too, open ";

/// A browser that writes down what it is told to open, instead of the person's own.
fn browser(session: &mut Session) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let (script, opened) = (session.home().join("browser"), session.home().join("opened"));
    let text = format!("#!/bin/sh\nprintf %s \"$1\" > '{0}.part' && mv '{0}.part' '{0}'\n", opened.display());
    std::fs::write(&script, text).expect("written");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    session.set("BROWSER", &script);
    opened
}

fn sign_in_again(session: &Session, provider: &OpenIdProvider) {
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    session.larder_reads(&["callback"], &provider.authorize(&url)).ok();
}

#[test]
fn signing_out_in_the_browser_is_offered_without_a_token_and_opened_only_when_asked() {
    let (mut session, provider) = (Session::new(), OpenIdProvider::start());
    let opened = browser(&mut session);
    let endpoint = format!("{}/end?tenant=1", provider.issuer);
    provider.tell(|told| told.metadata = json!({ "end_session_endpoint": endpoint }));
    provider.add(&session, "op", &[]);
    sign_in_again(&session, &provider);

    let said = session.larder(&["sign-out", "op"]);
    let url = said.stderr.lines().find_map(|line| line.split_once(OFFER)).expect("the offer").1.to_owned();
    assert!(url.starts_with(&endpoint), "{url}");
    let expected = [("tenant", "1"), ("client_id", "larder-test"), ("logout_hint", "jane@example.com")];
    assert_eq!(query(&url), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    for token in &provider.told().given {
        assert!(!said.stderr.contains(token.as_str()), "a token is told");
    }
    said.ok();
    assert!(!opened.exists(), "nobody asked for it");

    // It can be had afterwards, as long as the account is in the list.
    let said = session.larder(&["sign-out", "op", "--browser", "--json"]);
    let answer: Value = serde_json::from_str(&said.ok()).expect("JSON");
    assert_eq!(answer["browser_sign_out"], json!(url));
    session.wait_for("the browser", || opened.exists());
    assert_eq!(std::fs::read_to_string(&opened).expect("text"), url);
    assert_eq!(provider.asked("/end?tenant=1"), 0, "the agent asks nothing there");

    // And by the sign-out that forgets it.
    sign_in_again(&session, &provider);
    assert!(session.larder(&["sign-out", "op", "--forget"]).stderr.contains(&url));
}

#[test]
fn here_only_offers_nothing_nor_does_a_provider_without_an_address_that_can_be_opened() {
    let (mut session, provider) = (Session::new(), OpenIdProvider::start());
    let opened = browser(&mut session);
    provider.add(&session, "op", &[]);
    for endpoint in [json!("http://evil.example/end"), json!("javascript:alert(1)"), Value::Null] {
        provider.tell(|told| told.metadata = json!({ "end_session_endpoint": endpoint }));
        sign_in_again(&session, &provider);
        let said = session.larder(&["sign-out", "op", "--browser"]);
        assert!(said.stderr.contains("has not said how to sign out in the browser"), "{said:?}");
        said.ok();
    }
    let endpoint = format!("{}/end", provider.issuer);
    provider.tell(|told| told.metadata = json!({ "end_session_endpoint": endpoint }));
    sign_in_again(&session, &provider);
    let said = session.larder(&["sign-out", "op", "--here-only"]);
    assert!(!said.stderr.contains(OFFER), "{said:?}");
    said.ok();
    assert_eq!(session.larder(&["sign-out", "op", "--here-only", "--browser"]).code, 2);
    assert!(!opened.exists());
}

#[test]
fn a_certified_provider_takes_the_address_to_its_sign_out_page() {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    provider.add(&session, "op", "desktop", &[]);
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    session.larder_reads(&["callback"], &provider.browse(&url, "ada")).ok();
    let said = session.larder(&["sign-out", "op"]).stderr;
    let url = said.lines().find_map(|line| line.split_once(OFFER)).expect("the offer").1;
    assert_eq!(query(url)["client_id"], "desktop");
    assert_eq!(query(url)["logout_hint"], "ada@example.com");
    let page = session.ran("curl", &["--silent", "--fail", "--noproxy", "*", url]);
    assert!(page.contains("<form") && page.contains("logout"), "{page}");
}

/// OpenID Connect Core 3.1.2.1 names `select_account`, and not every server knows it: some refuse the whole request.
#[test]
fn who_signs_in_beside_somebody_else_may_choose_where_the_provider_says_that_it_can_ask() {
    let (session, provider) = (Session::new(), OpenIdProvider::start());
    provider.add(&session, "op", &[]);
    let prompt = || query(&session.larder(&["sign-in", "op", "--no-browser"]).ok()).get("prompt").cloned();
    provider.tell(|told| told.metadata = json!({ "prompt_values_supported": ["login", "select_account"] }));
    assert_eq!(prompt(), None, "nobody is signed in yet");
    sign_in_again(&session, &provider);
    assert_eq!(prompt().as_deref(), Some("select_account"));
    session.stop_agent();
    for metadata in [json!({ "prompt_values_supported": ["login", "none", "consent"] }), json!({})] {
        provider.tell(|told| told.metadata = metadata.clone());
        assert_eq!(prompt(), None, "{metadata}");
        session.stop_agent();
    }
}

#[test]
fn a_certified_provider_lets_a_second_account_sign_in() {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    provider.add(&session, "op", "desktop", &[]);
    for (user, label) in [("ada", "op"), ("grace", "op-2")] {
        let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
        session.larder_reads(&["callback"], &provider.browse(&url, user)).ok();
        assert_eq!(session.account(label)["email"], format!("{user}@example.com"));
    }
}

#[test]
fn the_view_says_whether_there_is_a_person_and_whether_they_can_sign_out_in_the_browser() {
    let (session, provider) = (Session::new(), OpenIdProvider::start());
    provider.add(&session, "op", &[]);
    sign_in_again(&session, &provider);
    assert_eq!(session.account("op")["grant_type"], "authorization-code");
    assert_eq!(session.account("op")["browser_sign_out"], false);
    let endpoint = format!("{}/end", provider.issuer);
    provider.tell(|told| told.metadata = json!({ "end_session_endpoint": endpoint }));
    session.stop_agent();
    sign_in_again(&session, &provider);
    assert_eq!(session.account("op")["browser_sign_out"], true);
    session.larder(&["sign-out", "op"]).ok();
    session.stop_agent();
    // Of a row that was read again, too.
    assert_eq!(session.account("op")["browser_sign_out"], true);
}
