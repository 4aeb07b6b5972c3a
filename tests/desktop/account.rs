//! What an account's own page leads to: more access, a person who confirms who they are, a sign-out in the browser too, and
//! a look at its provider.

use super::{desktop, signed_in};
use crate::support::Desktop;
use crate::support::openid_provider::OpenIdProvider;
use serde_json::{Value, json};

fn scopes(desktop: &Desktop) -> Value {
    desktop.session.account("work")["scopes"].clone()
}

/// Who it is and what it may do stand beneath the timeline.
fn scroll_down(desktop: &Desktop) {
    desktop.reads("All rules");
    desktop.keys(&["End"]);
}

#[test]
fn access_is_added_through_the_browser_while_the_account_goes_on() {
    let (mut desktop, provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.press("work");
    scroll_down(&desktop);
    desktop.press("Add access…");
    desktop.click("entry", "Other scopes");
    desktop.session.ran("xdotool", &["type", "--delay", "20", "notes.read"]);
    desktop.browser_holds();
    desktop.press("Continue");
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    desktop.reads("Continue in your browser");
    // Until its person has agreed, all is as it was.
    assert!(!scopes(&desktop).as_array().unwrap().contains(&json!("notes.read")));
    let (status, _) = provider.userinfo(&desktop.session.larder(&["token", "work"]).ok());
    assert_eq!(status, 200);
    desktop.browser_goes_on();
    desktop.reads("1 of 1 ready");
    assert!(scopes(&desktop).as_array().unwrap().contains(&json!("notes.read")), "{}", scopes(&desktop));
    desktop.press("work");
    scroll_down(&desktop);
    desktop.reads("notes.read");
    assert_eq!(desktop.session.keychain_items(), 1);
    desktop.click_tray(&["Quit"]);
    assert_eq!(desktop.app_ended(), 0);
}

#[test]
fn whoever_confirms_who_they_are_authenticates_anew() {
    let (desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    let before = desktop.session.account("work")["signed_in_at"].as_i64();
    desktop.press("work");
    scroll_down(&desktop);
    desktop.browser_holds();
    desktop.press("Confirm it is you");
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    desktop.press("Copy link");
    desktop.reads("Copied");
    assert!(desktop.clipboard().contains("max_age=0"), "{}", desktop.clipboard());
    desktop.browser_goes_on();
    desktop.reads("1 of 1 ready");
    assert!(desktop.session.account("work")["signed_in_at"].as_i64() > before);
}

#[test]
fn signing_out_in_the_browser_is_offered_after_the_sign_out_and_opened_by_a_click_alone() {
    let mut desktop = Desktop::new();
    let provider = OpenIdProvider::start();
    let endpoint = format!("{}/end", provider.issuer);
    provider.tell(|told| told.metadata = json!({ "end_session_endpoint": endpoint }));
    provider.add(&desktop.session, "work", &[]);
    let url = desktop.session.larder(&["sign-in", "work", "--no-browser"]).ok();
    desktop.session.larder_reads(&["callback"], &provider.authorize(&url)).ok();
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.press("work");
    desktop.press("Sign out");
    desktop.reads("The tokens are gone from this computer");
    desktop.reads("Your browser may still be signed in at");
    assert_eq!(desktop.browsers_opened(), 0);
    desktop.press("Sign out in the browser too");
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    desktop.session.wait_for("its request", || provider.told().seen.iter().any(|(path, ..)| path.starts_with("/end?")));
    let told = provider.told();
    let asked = told.seen.iter().find(|(path, ..)| path.starts_with("/end?")).expect("asked").0.clone();
    assert!(asked.contains("client_id=") && asked.contains("logout_hint="), "{asked}");
    assert!(told.given.iter().all(|token| !asked.contains(token.as_str())), "a token is told");
}

#[test]
fn a_provider_is_looked_at_where_something_is_wrong_with_it() {
    let (desktop, provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    provider.behave(json!({ "endpoint": "token", "mode": "error", "error": "invalid_client", "status": 401 }));
    desktop.session.larder(&["refresh", "work"]).fails(8);
    desktop.press("work");
    desktop.reads("does not accept this client (invalid_client)");
    desktop.press("Look at the provider");
    desktop.press("Check");
    desktop.reads("answers, and is the issuer that it says it is.");
    desktop.reads("Signing out tells the provider, at");
}

#[test]
fn where_a_sign_in_fails_the_provider_is_asked_what_it_offers() {
    let (mut desktop, _provider) = desktop(600);
    // Nobody listens there.
    desktop.session.larder(&["providers", "add", "gone", "--issuer", "http://127.0.0.1:9", "--client-id", "x"]).ok();
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.press("Sign in…");
    desktop.reads("Add a provider…");
    desktop.session.ran("xdotool", &["type", "--delay", "20", "gone"]);
    desktop.no_longer_reads("work");
    desktop.keys(&["Return"]);
    desktop.reads("The sign-in did not succeed");
    desktop.press("Find out why");
    desktop.find("the report", |seen| seen.role == "list item" && seen.says("127.0.0.1:9"));
    assert_eq!(desktop.browsers_opened(), 0);
}
