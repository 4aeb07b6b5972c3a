//! A program asks, and its person answers in the real window, with a real click.

use super::signed_in;
use crate::support::larder::Ran;
use crate::support::{Desktop, Provider, program};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// As long as the window takes no answer after a question has appeared, and what a busy machine adds.
const GUARD: Duration = Duration::from_millis(1200);

/// Ada signed in, the app running, and programs have to be agreed to.
fn asked_for(arguments: &[&str]) -> (Desktop, Provider) {
    let (desktop, provider) = signed_in(600, arguments);
    desktop.session.larder(&["policy", "set", "ask"]).ok();
    (desktop, provider)
}

/// This test's own program asks, by the command.
pub fn asks(desktop: &Desktop) -> Child {
    let mut command = desktop.session.command(program("larder"));
    begin(command.args(["token", "work"]))
}

/// A person's script asks.
fn script_asks(desktop: &Desktop, arguments: &[&str]) -> Child {
    let code = "import subprocess, sys; sys.exit(subprocess.run([sys.argv[1], 'token', 'work']).returncode)";
    let mut command = desktop.session.command("/usr/bin/python3");
    begin(command.args(["-c", code]).arg(program("larder")).args(arguments))
}

fn begin(command: &mut Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
}

pub fn said(child: Child) -> Ran {
    let output = child.wait_with_output().expect("ended");
    Ran {
        code: output.status.code().expect("no signal"),
        stdout: String::from_utf8(output.stdout).expect("text"),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

/// Waits until the question is there and takes an answer.
#[track_caller]
pub fn question(desktop: &Desktop, words: &str) {
    desktop.reads(words);
    desktop.reads("Nothing is handed out while you decide");
    std::thread::sleep(GUARD);
}

#[test]
fn a_hidden_app_opens_its_window_for_the_question_and_a_click_answers_it() {
    let (desktop, provider) = asked_for(&["--hidden"]);
    assert_eq!(desktop.window(), None);
    let child = asks(&desktop);
    desktop.wait_for_window();
    let path = std::env::current_exe().expect("a path");
    question(&desktop, path.to_str().expect("text"));
    desktop.wait_for_tray("the question", |tray| {
        tray.shows("attention") && tray.entries[0].label.ends_with(" asks for work…")
    });
    desktop.press("Once");
    let (status, _) = provider.userinfo(said(child).ok().trim());
    assert_eq!(status, 200);
    desktop.no_longer_reads("Nothing is handed out while you decide");
    desktop.wait_for_tray("no question", |tray| tray.shows("fresh"));
    // Once is once.
    let child = asks(&desktop);
    question(&desktop, "Not now in");
    desktop.press("Never");
    said(child).fails(5);
    said(asks(&desktop)).fails(5);
    desktop.keys(&["ctrl+3"]);
    desktop.reads("Rules, the first that matches wins");
    desktop.reads(path.to_str().expect("text"));
}

#[test]
fn no_key_of_somebody_who_is_typing_lets_a_program_have_a_token() {
    let (desktop, _provider) = asked_for(&[]);
    desktop.wait_for_window();
    desktop.reads("Fresh for");
    let child = asks(&desktop);
    desktop.reads("Nothing is handed out while you decide");
    desktop.session.ran("xdotool", &["type", "--delay", "20", "git push\n y\nok \n"]);
    std::thread::sleep(GUARD);
    desktop.session.ran("xdotool", &["type", "--delay", "20", "git push\n y\nok \n"]);
    desktop.reads("Nothing is handed out while you decide");
    desktop.keys(&["Escape"]);
    let refused = said(child).fails(5);
    assert!(refused.contains("You did not let"), "{refused}");
    desktop.no_longer_reads("Nothing is handed out while you decide");
    let events = desktop.session.larder(&["events", "--json"]).ok();
    assert!(!events.contains("\"handed-out\""), "{events}");
}

#[test]
fn always_is_a_rule_that_the_window_shows_and_takes_back() {
    let (desktop, _provider) = asked_for(&[]);
    desktop.wait_for_window();
    // More than the window has room for: the answers and the time that is left stay in it.
    let child = script_asks(&desktop, &["--album", "summer 2026", &"and every word of it ".repeat(12)]);
    question(&desktop, "summer 2026");
    let button = desktop.find("always, in words that say what that is", |seen| {
        seen.role == "push button" && seen.name.starts_with("Anything run by python3")
    });
    desktop.press(&button.name);
    said(child).ok();
    // No question any more, whatever it runs.
    said(script_asks(&desktop, &["--other"])).ok();
    desktop.keys(&["ctrl+3"]);
    desktop.reads("Rules, the first that matches wins");
    desktop.press(&remove(&desktop));
    desktop.reads("There are none yet.");
    let child = script_asks(&desktop, &[]);
    question(&desktop, "Not now in");
    desktop.press("This session");
    said(child).ok();
    said(script_asks(&desktop, &[])).ok();
    // What was allowed for a session holds for exactly what was shown.
    desktop.reads("Allowed for this session");
    let child = script_asks(&desktop, &["--other"]);
    question(&desktop, "--other");
    desktop.press("Not now");
    said(child).fails(5);
}

/// The button that takes the only rule back.
fn remove(desktop: &Desktop) -> String {
    desktop.find("the rule", |seen| seen.role == "push button" && seen.name.starts_with("Remove the rule for")).name
}

#[test]
fn hand_outs_are_locked_from_the_tray_and_unlocked_in_the_window() {
    let (desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    said(asks(&desktop)).ok();
    desktop.click_tray(&["Lock hand-outs"]);
    desktop.reads("Hand-outs locked");
    desktop.reads("Larder is locked, so no program gets a token");
    desktop.wait_for_tray("the lock", |tray| {
        tray.entry(&["Hand-outs are locked"]).is_some_and(|entry| !entry.enabled)
            && tray.entry(&["Unlock hand-outs"]).is_some()
    });
    said(asks(&desktop)).fails(5);
    desktop.press("Unlock");
    desktop.no_longer_reads("Hand-outs locked");
    said(asks(&desktop)).ok();
    // And the other way about.
    desktop.keys(&["ctrl+3"]);
    desktop.press("Lock hand-outs");
    desktop.reads("Hand-outs locked");
    desktop.click_tray(&["Unlock hand-outs"]);
    desktop.no_longer_reads("Hand-outs locked");
    said(asks(&desktop)).ok();
}
