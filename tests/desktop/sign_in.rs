//! Signing in from the window, with the real hand-over to the browser and back.

use super::desktop;

#[test]
fn a_sign_in_from_the_window_goes_through_the_browser_and_comes_back_by_deep_link() {
    let (mut desktop, provider) = desktop(600);
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("Nothing in the larder yet");
    desktop.browser_holds();
    desktop.press("Sign in…");
    desktop.reads("Add a provider…");
    // The first provider has the focus.
    desktop.keys(&["Return"]);
    desktop.reads("Continue in your browser");
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    // How the window is drawn is no browser's business.
    let environment = desktop.browser_environment();
    assert!(environment.contains("DBUS_SESSION_BUS_ADDRESS=") && !environment.contains("WEBKIT_"), "{environment}");
    desktop.press("Copy link");
    desktop.reads("Copied");
    let copied = desktop.clipboard();
    assert!(copied.starts_with(&format!("{}/authorize?", provider.issuer)), "{copied}");
    assert!(provider.seen("/token").is_empty());
    desktop.browser_goes_on();
    desktop.reads("Fresh for");
    desktop.reads("1 of 1 ready");
    assert_eq!(desktop.session.account("work")["email"], "ada@example.com");
    let tray = desktop.wait_for_tray("a fresh account", |tray| {
        tray.words("work").is_some_and(|words| words.starts_with("fresh until "))
    });
    assert!(tray.shows("fresh"), "{tray:?}");
    assert_eq!(desktop.running("larder-desktop").len(), 1);
}

#[test]
fn a_sign_in_that_was_cancelled_takes_no_answer_any_more() {
    let (mut desktop, provider) = desktop(600);
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("Nothing in the larder yet");
    desktop.browser_holds();
    desktop.keys(&["ctrl+n"]);
    desktop.reads("Add a provider…");
    desktop.keys(&["Return"]);
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    desktop.press("Cancel");
    desktop.reads("Nothing in the larder yet");
    let events = desktop.session.events();
    desktop.browser_goes_on();
    events.wait("callback-refused");
    assert!(provider.seen("/token").is_empty());
    assert_eq!(desktop.session.keychain_items(), 0);
}

#[test]
fn an_answer_that_finds_no_app_starts_it_and_is_not_lost() {
    let (desktop, _provider) = desktop(600);
    desktop.install();
    let url = desktop.session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = desktop.session.browse(&url, "ada", "allow");
    assert!(desktop.running("larder-desktop").is_empty());
    desktop.open_link(&redirect);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");
    assert_eq!(desktop.session.account("work")["state"], "fresh");
    assert_eq!(desktop.running("larder-desktop").len(), 1);
}

#[test]
fn another_program_that_opens_larder_s_links_is_named_before_any_browser_opens() {
    let (mut desktop, _provider) = desktop(600);
    let entry = "[Desktop Entry]\nType=Application\nName=Other\nExec=/bin/true %u\nMimeType=x-scheme-handler/dev.larder.desktop;\n";
    desktop.add_program("other.desktop", entry);
    desktop.handle_links_with("other.desktop");
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.press("Sign in…");
    desktop.reads("Add a provider…");
    desktop.keys(&["Return"]);
    desktop.reads("Another program, other.desktop, opens Larder's links");
    assert_eq!(desktop.browsers_opened(), 0);
    // Nor was it taken over.
    assert_eq!(
        desktop.session.ran("xdg-mime", &["query", "default", "x-scheme-handler/dev.larder.desktop"]).trim(),
        "other.desktop"
    );
}
