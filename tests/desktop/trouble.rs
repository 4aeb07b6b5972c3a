//! What goes wrong is said in the window, and passes by itself where it can.

use super::{desktop, signed_in};
use crate::support::program;
use crate::support::prompts::Prompts;

#[test]
fn an_agent_that_was_killed_comes_back_and_the_window_with_it() {
    let (desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.reads("Fresh for");
    let first = desktop.session.agent_pid();
    let from = desktop.tray_history().len();
    desktop.session.kill_agent();
    desktop.session.wait_for("another agent", || !desktop.running("larder-agent").is_empty());
    desktop.wait_for_tray_since(from.saturating_sub(1), "all fresh", |tray| {
        tray.shows("fresh") && tray.words("work").is_some_and(|words| words.starts_with("fresh until "))
    });
    assert_ne!(desktop.session.agent_pid(), first);
    desktop.reads("Fresh for");
    // The window asks the new one.
    desktop.press("work");
    desktop.press("Refresh now");
    let events = desktop.session.events();
    events.wait("refreshed");
}

#[test]
fn a_keychain_that_locks_while_the_window_is_open_is_a_banner_and_no_prompt() {
    let (desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.session.lock_keyring();
    let prompts = Prompts::watch(&desktop.session);
    // The agent that starts anew has no key in its memory.
    desktop.session.kill_agent();
    desktop.session.larder(&["refresh", "work"]).fails(6);
    desktop.reads("Your keychain is locked; unlock it");
    desktop.wait_for_tray("that somebody should look", |tray| {
        tray.shows("attention") && tray.entry(&["The keychain is locked — unlock it…"]).is_some()
    });
    prompts.none();
    desktop.session.unlock_keyring();
    desktop.press("Unlock keychain");
    desktop.no_longer_reads("Your keychain is locked");
    desktop.wait_for_tray("all fresh", |tray| tray.shows("fresh"));
}

#[test]
fn without_an_agent_the_window_says_why_and_goes_on_once_there_is_one() {
    let (mut desktop, _provider) = desktop(600);
    desktop.session.stop_agent();
    let agent = desktop.session.home().join("agent");
    std::os::unix::fs::symlink("/bin/false", &agent).unwrap();
    desktop.session.set("LARDER_AGENT", &agent);
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("Larder cannot be reached");
    desktop.reads("could not be started");
    let tray = desktop.wait_for_tray("that somebody should look", |tray| tray.shows("attention"));
    assert_eq!(tray.entries[0].label, "Larder's agent stopped; starting it again");
    std::fs::remove_file(&agent).unwrap();
    std::os::unix::fs::symlink(program("larder-agent"), &agent).unwrap();
    // The app goes on trying, and the window follows.
    desktop.reads("Nothing in the larder yet");
    desktop.wait_for_tray("no alarm", |tray| tray.shows("fresh"));
}

#[test]
fn without_a_display_the_app_says_so_and_the_rest_works() {
    let (mut desktop, _provider) = desktop(600);
    desktop.session.unset("DISPLAY");
    desktop.start(&[]);
    assert_eq!(desktop.app_ended(), 1);
    assert!(desktop.log_text().contains("There is no display for Larder's window"), "{}", desktop.log_text());
    desktop.session.sign_in("work", "ada");
    desktop.session.larder(&["token", "work"]).ok();
}
