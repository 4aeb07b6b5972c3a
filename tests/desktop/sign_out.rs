//! Signing out from the menu, the tray and the window leaves as little as the command does.

use super::signed_in;
use crate::sign_out::leaves_nothing_that_opens;
use crate::support::Desktop;

fn wait_until_signed_out(desktop: &Desktop) {
    desktop.session.wait_for("the sign-out", || desktop.session.account("work")["state"] == "signed-out");
}

#[test]
fn from_the_menu_nothing_is_left_that_opens() {
    let (desktop, provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");
    leaves_nothing_that_opens(&desktop.session, || {
        desktop.menu(&["Larder", "Sign out", "work"]);
        wait_until_signed_out(&desktop);
    });
    desktop.session.wait_for("the revocation", || provider.live_sessions() == 0);
    desktop.reads("Signed out");
}

#[test]
fn from_the_tray_nothing_is_left_that_opens() {
    let (desktop, provider) = signed_in(600, &["--hidden"]);
    let tray = desktop.wait_for_tray("the account", |tray| tray.entry(&["Sign out", "work"]).is_some());
    assert!(tray.shows("fresh"));
    leaves_nothing_that_opens(&desktop.session, || {
        desktop.click_tray(&["Sign out", "work"]);
        wait_until_signed_out(&desktop);
    });
    desktop.session.wait_for("the revocation", || provider.live_sessions() == 0);
    desktop.wait_for_tray("the sign-out", |tray| tray.words("work") == Some("signed out"));
    assert!(desktop.tray().entry(&["Sign out"]).is_some_and(|entry| !entry.enabled && entry.entries.is_empty()));
}

#[test]
fn from_the_window_it_can_be_taken_back_for_a_moment_and_then_nothing_is_left_that_opens() {
    let (desktop, provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.press("work");
    take_back(&desktop);
    desktop.no_longer_reads("Its tokens are cleared in");
    desktop.session.larder(&["token", "work"]).ok();
    leaves_nothing_that_opens(&desktop.session, || {
        desktop.press("Sign out");
        // Nothing is handed out from the click on.
        desktop.session.wait_for("the click", || desktop.session.account("work")["state"] != "fresh");
        desktop.session.larder(&["token", "work"]).fails(3);
        wait_until_signed_out(&desktop);
    });
    desktop.session.wait_for("the revocation", || provider.live_sessions() == 0);
    desktop.reads("The tokens are gone from this computer");
}

/// Signs out and takes it back. A machine that is too busy to be quick enough signs in again and tries once more.
fn take_back(desktop: &Desktop) {
    for _ in 0..5 {
        desktop.press("Sign out");
        let undo_or_over = desktop.find("Undo", |seen| seen.name == "Undo" || seen.says("The tokens are gone"));
        if undo_or_over.name == "Undo" && desktop.try_press("Undo") {
            let settled =
                || ["fresh", "signed-out"].iter().any(|state| desktop.session.account("work")["state"] == *state);
            desktop.session.wait_for("an end", settled);
            if desktop.session.account("work")["state"] == "fresh" {
                return;
            }
        }
        wait_until_signed_out(desktop);
        desktop.session.sign_in("work", "ada");
        desktop.find("the button", |seen| seen.name == "Sign out" && seen.role == "push button");
    }
    panic!("five sign-outs could not be taken back in time");
}
