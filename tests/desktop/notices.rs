//! What a person is told by notification, and what a click on it does.

use super::consent;
use crate::support::notifications::Notifications;
use crate::support::{Child, Desktop, Provider};

/// Ada signed in and nothing on the screen; the desktop shows notifications.
fn hidden() -> (Desktop, Provider, Notifications) {
    let (mut desktop, provider) = super::desktop(600);
    let notifications = Notifications::start(&desktop.session);
    desktop.session.sign_in("work", "ada");
    desktop.start(&["--hidden"]);
    desktop.wait_for_tray("the account", |tray| tray.words("work").is_some());
    (desktop, provider, notifications)
}

/// A window that keeps the keyboard, as a window manager sees to for whoever types in one: without any, each new window gets it.
const ANOTHER: &str = "
import gi
gi.require_version('Gtk', '3.0')
from gi.repository import GLib, Gtk
window = Gtk.Window(title='Another')
window.move(1100, 700)
window.show()
GLib.timeout_add(50, lambda: window.get_window().focus(0) or True)
Gtk.main()
";

fn at_work_elsewhere(desktop: &Desktop) -> Child {
    let another = desktop.session.command("/usr/bin/python3").args(["-c", ANOTHER]).spawn().expect("python3");
    desktop.session.wait_for("another window", || {
        let found =
            desktop.session.command("xdotool").args(["search", "--onlyvisible", "--name", "^Another$"]).output();
        found.expect("xdotool").status.success()
    });
    Child(another)
}

#[test]
fn a_click_on_the_notification_signs_in_again_and_no_other_program_can_click_it() {
    let (desktop, provider, mut notifications) = hidden();
    provider.revoke_user("ada");
    desktop.session.larder(&["refresh", "work"]).fails(3);
    let shown = notifications.shown();
    assert_eq!(shown.title, "work needs you to sign in again");
    // On the notification itself, and as a button for desktops that show it as one.
    assert_eq!(shown.actions.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>(), ["Sign in", "Sign in"]);
    notifications.forge(&desktop.session, &shown, "default");
    desktop.click_tray(&["Open Larder"]);
    desktop.wait_for_window();
    desktop.reads("Sign in again");
    assert_eq!(desktop.browsers_opened(), 0, "somebody else clicked");
    notifications.click(&shown, "Sign in");
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    desktop
        .wait_for_tray("the account", |tray| tray.words("work").is_some_and(|words| words.starts_with("fresh until")));
}

#[test]
fn accounts_that_need_their_person_at_once_are_one_notification_in_the_language_that_is_set() {
    let (mut desktop, provider) = super::desktop(600);
    let mut notifications = Notifications::start(&desktop.session);
    std::fs::write(desktop.session.profile().join("config.toml"), "[window]\nlanguage = \"de\"\n").unwrap();
    desktop.session.add("post", &provider);
    desktop.session.sign_in("work", "ada");
    desktop.session.sign_in("post", "grace");
    desktop.start(&["--hidden"]);
    desktop.wait_for_tray("German", |tray| {
        tray.words("post").is_some_and(|words| words.starts_with("frisch bis"))
            && tray.entry(&["Larder ganz beenden"]).is_some()
    });
    for (user, account) in [("ada", "work"), ("grace", "post")] {
        provider.revoke_user(user);
        desktop.session.larder(&["refresh", account]).fails(3);
    }
    let shown = notifications.shown();
    assert_eq!(shown.title, "2 Konten brauchen eine neue Anmeldung");
    assert!(shown.body.contains("work") && shown.body.contains("post"), "{shown:?}");
    notifications.click(&shown, "Larder öffnen");
    desktop.wait_for_window();
    desktop.reads("Neu anmelden");
    assert_eq!(desktop.browsers_opened(), 0);
}

#[test]
fn a_notification_leads_to_the_question_and_answers_nothing() {
    let (desktop, _provider, mut notifications) = hidden();
    desktop.session.larder(&["policy", "set", "ask"]).ok();
    let another = at_work_elsewhere(&desktop);
    let mut child = consent::asks(&desktop);
    // The window comes up, and not to the front.
    let shown = notifications.shown();
    drop(another);
    assert!(shown.title.ends_with(" asks for work"), "{shown:?}");
    assert_eq!(shown.actions.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>(), ["Answer", "Answer"]);
    for key in ["once", "session", "always", "default"] {
        notifications.invoke(&shown, key);
    }
    desktop.wait_for_window();
    consent::question(&desktop, "Not now in");
    assert!(child.try_wait().unwrap().is_none(), "it still waits");
    desktop.press("Not now");
    consent::said(child).fails(5);
}

#[test]
fn a_notification_is_taken_back_when_its_account_was_seen_to_elsewhere() {
    let (desktop, provider, notifications) = hidden();
    provider.revoke_user("ada");
    desktop.session.larder(&["refresh", "work"]).fails(3);
    let shown = notifications.shown();
    desktop.session.sign_in("work", "ada");
    notifications.taken_back(&shown);
}
