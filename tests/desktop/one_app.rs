//! One app a profile.

use super::{desktop, signed_in};

#[test]
fn a_second_start_opens_the_window_of_the_first_and_ends() {
    let (mut desktop, _provider) = signed_in(600, &["--hidden"]);
    assert_eq!(desktop.window(), None);
    let first = desktop.running("larder-desktop");
    desktop.start(&[]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");
    assert_eq!(desktop.running("larder-desktop"), first);
    // Again, and after the window was closed: it is a new window, with its menu bar and keys.
    desktop.close_window();
    desktop.start(&[]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.wait_for_window();
    desktop.find("the menu bar", |seen| seen.role == "menu" && seen.name == "Larder");
    desktop.reads("ada@example.com");
    desktop.keys(&["ctrl+2"]);
    desktop.find("the activity", |seen| seen.role == "heading" && seen.name == "Activity");
    assert_eq!(desktop.running("larder-desktop"), first);
    // All of it without a word to the terminal.
    assert!(!desktop.log_text().contains("WARNING"), "{}", desktop.log_text());
}

#[test]
fn two_that_start_at_once_end_as_one_with_one_agent() {
    let (mut desktop, _provider) = desktop(600);
    desktop.session.stop_agent();
    desktop.start(&[]);
    desktop.start(&[]);
    desktop.session.wait_for("one to end", || desktop.running("larder-desktop").len() == 1);
    desktop.wait_for_window();
    desktop.reads("Nothing in the larder yet");
    assert_eq!(desktop.running("larder-desktop").len(), 1);
    assert_eq!(desktop.running("larder-agent").len(), 1);
}
