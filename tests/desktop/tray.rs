//! The tray's menu does what it says.

use super::signed_in;
use crate::support::desktop::Tray;

#[test]
fn the_tray_refreshes_signs_in_opens_and_quits_and_the_agent_goes_on() {
    let (mut desktop, provider) = signed_in(600, &["--hidden"]);
    let labels: Vec<String> = desktop.tray().entries.iter().map(|entry| entry.label.clone()).collect();
    assert!(labels[0].starts_with("work — fresh until "), "{labels:?}");
    assert_eq!(
        labels[1..],
        [
            "Refresh now",
            "Sign in…",
            "Sign out",
            "Lock hand-outs",
            "Open Larder",
            "Start at login",
            "Quit",
            "Quit Larder completely"
        ]
    );
    assert_eq!(provider.seen("/token").len(), 1);
    desktop.click_tray(&["Refresh now"]);
    desktop.session.wait_for("the refresh", || provider.seen("/token").len() == 2);

    desktop.click_tray(&["Sign in…"]);
    desktop.wait_for_window();
    desktop.reads("Add a provider…");
    desktop.close_window();
    desktop.click_tray(&["Open Larder"]);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");

    let agent = desktop.session.agent_pid();
    provider.access_lifetime(5);
    desktop.session.larder(&["refresh", "work"]).ok();
    let events = desktop.session.events();
    desktop.click_tray(&["Quit"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.wait_for_tray("nothing", |tray| tray.icon.is_none());
    let before = provider.seen("/token").len();
    events.wait("refreshed");
    desktop.session.wait_for("a refresh without the app", || provider.seen("/token").len() > before);
    assert_eq!(desktop.session.agent_pid(), agent);
    assert!(desktop.running("larder-desktop").is_empty());
}

#[test]
fn an_item_that_stays_is_not_replaced_while_others_change_so_that_no_click_on_it_is_lost() {
    let (desktop, _provider) = signed_in(600, &["--hidden"]);
    let stay = ["Refresh now", "Sign in…", "Sign out", "Open Larder", "Start at login", "Quit"];
    let ids = |tray: &Tray| stay.map(|label| tray.entry(&[label]).expect("an item").id);
    let before = ids(&desktop.tray());
    desktop.session.sign_in("work", "grace");
    let two = |tray: &Tray| tray.entry(&["Sign out"]).is_some_and(|entry| entry.entries.len() == 2);
    assert_eq!(ids(&desktop.wait_for_tray("the second account", two)), before);
    desktop.session.larder(&["sign-out", "work"]).ok();
    let out = |tray: &Tray| tray.words("work") == Some("signed out");
    assert_eq!(ids(&desktop.wait_for_tray("the sign-out", out)), before);
}

#[test]
fn the_menu_bar_has_the_settings_by_their_key_and_ends_everything_too() {
    let (mut desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");
    desktop.keys(&["ctrl+comma"]);
    desktop.reads("Start when you log in");
    desktop.keys(&["ctrl+1"]);
    desktop.reads("ada@example.com");
    desktop.menu(&["Larder", "Settings…"]);
    desktop.reads("Start when you log in");
    desktop.menu(&["Larder", "Quit Larder completely"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.session.larder(&["status", "--no-start"]).fails(7);
}

#[test]
fn quitting_completely_ends_the_agent_too() {
    let (mut desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.click_tray(&["Quit Larder completely"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.session.wait_for("the end of all", || {
        ["larder-desktop", "larder-agent", "WebKitWebProcess", "WebKitNetworkProcess"]
            .iter()
            .all(|name| desktop.running(name).is_empty())
    });
    desktop.session.larder(&["status", "--no-start"]).fails(7);
    // Nothing was lost by it.
    desktop.session.larder(&["token", "work"]).ok();
}
