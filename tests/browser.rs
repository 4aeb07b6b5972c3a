//! The whole way, once for each kind of return: Larder's window, Debian's Chromium as a person's default browser, a
//! provider's own pages, and back. Pictures are left in target/browser.

use crate::support::chromium::Chromium;
use crate::support::oidc_provider::OidcProvider;
use crate::support::{Desktop, Provider};
use std::path::Path;

/// The window, opened, with a sign-in at "work" begun by its buttons.
fn begin(desktop: &mut Desktop) {
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("Nothing in the larder yet");
    desktop.press("Sign in…");
    let tile = desktop.find("the provider", |seen| {
        seen.role == "push button" && seen.name.split_whitespace().any(|word| word == "work")
    });
    desktop.press(&tile.name);
}

/// What the window and the command show of who signed in.
#[track_caller]
fn signed_in(desktop: &Desktop, email: &str) {
    desktop.reads("1 of 1 ready");
    desktop.reads(email);
    let account = desktop.session.account("work");
    assert_eq!((&account["email"], &account["state"]), (&email.into(), &"fresh".into()), "{account}");
    desktop
        .session
        .wait_for("the process that brought the answer to end", || desktop.running("larder-desktop").len() == 1);
}

/// A picture of the whole screen.
fn picture(desktop: &Desktop, name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/browser");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    desktop.session.ran("import", &["-window", "root", "-strip", path.to_str().expect("text")]);
}

#[test]
fn a_browser_hands_larder_s_link_to_the_system_and_the_account_appears() {
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 600);
    desktop.session.add("work", &provider);
    let mut chromium = Chromium::install(&desktop);
    begin(&mut desktop);
    let tab = chromium.tab();
    tab.type_into("#username", "grace");
    tab.drawn();
    picture(&desktop, "demo-login.png");
    tab.click("form button");
    tab.has("#allow");
    tab.drawn();
    picture(&desktop, "demo-consent.png");
    assert!(provider.seen("/token").is_empty());
    tab.click("#allow");
    signed_in(&desktop, "grace@example.com");
    picture(&desktop, "demo-signed-in.png");
    let (status, claims) = provider.userinfo(&desktop.session.larder(&["token", "work"]).ok());
    assert_eq!((status, &claims["email"]), (200, &"grace@example.com".into()));
    assert_eq!(provider.live_sessions(), 1);
}

#[test]
fn the_same_with_a_certified_provider() {
    let mut desktop = Desktop::new();
    let provider = OidcProvider::start(&desktop.session);
    provider.add(&desktop.session, "work", "desktop", &[]);
    let mut chromium = Chromium::install(&desktop);
    begin(&mut desktop);
    let tab = chromium.tab();
    tab.type_into("input[name=login]", "grace");
    tab.type_into("input[name=password]", "a password");
    tab.drawn();
    picture(&desktop, "oidc-provider-login.png");
    tab.click("button[type=submit]");
    tab.has("input[name=prompt][value=consent]");
    tab.drawn();
    picture(&desktop, "oidc-provider-consent.png");
    assert!(provider.seen().is_empty());
    tab.click("button[type=submit]");
    signed_in(&desktop, "grace@example.com");
    picture(&desktop, "oidc-provider-signed-in.png");
    let first = desktop.session.larder(&["token", "work"]).ok();
    desktop.session.larder(&["refresh", "work"]).ok();
    assert_ne!(desktop.session.larder(&["token", "work"]).ok(), first);
    let kinds: Vec<_> = provider.seen().iter().map(|seen| seen["grant_type"].clone()).collect();
    assert_eq!(kinds, ["authorization_code", "refresh_token"]);
}

#[test]
fn the_same_by_an_address_of_this_computer_whose_page_says_that_it_can_be_closed() {
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 600);
    let add = ["providers", "add", "work", "--issuer", &provider.issuer, "--client-id", "larder-desktop"];
    let more = ["--scope", "openid", "--scope", "email", "--scope", "offline_access", "--redirect", "loopback"];
    desktop.session.larder(&[&add[..], &more].concat()).ok();
    let mut chromium = Chromium::install(&desktop);
    begin(&mut desktop);
    let tab = chromium.tab();
    tab.type_into("#username", "grace");
    tab.click("form button");
    tab.click("#allow");
    tab.has("main > p > b");
    let (address, text) = (tab.address(), tab.text());
    // Not the redirect itself: no code stays in the address bar.
    assert!(address.starts_with("http://127.0.0.1:") && address.ends_with("/ended"), "{address}");
    assert!(text.contains("Signed in") && text.contains("work is signed in. You can close this page."), "{text}");
    signed_in(&desktop, "grace@example.com");
    picture(&desktop, "loopback-signed-in.png");
    // Larder came to the front; its person looks at the page once more.
    desktop.session.ran("xdotool", &["search", "--onlyvisible", "--name", "Chromium$", "windowraise"]);
    chromium.tab().drawn();
    picture(&desktop, "loopback-page.png");
    desktop.session.larder(&["token", "work"]).ok();
}
