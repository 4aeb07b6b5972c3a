//! Each page in the real window, driven by WebDriver: something is done on it, and it is so at the agent too.

use super::window;
use serde_json::{Value, json};

/// Keys, as WebDriver names them (section 17.4.2).
const ENTER: &str = "\u{e007}";
const ESCAPE: &str = "\u{e00c}";

#[test]
fn an_account_is_found_renamed_refreshed_and_drawn() {
    let (desktop, provider, page) = window();
    page.type_into("main input", "nobody");
    page.reads("nobody");
    page.wait_for("no row to be left", || {
        page.run("return document.querySelectorAll('main li').length", json!([])) == 0
    });
    page.run("document.querySelector('main input').select()", json!([]));
    page.type_into("main input", "ada");
    page.press("work");
    page.reads("Programs that may ask");
    page.wait_for("the drawing", || {
        page.run("return (document.querySelector('.chart canvas')?.width ?? 0) > 100", json!([])) == true
    });
    page.press("As a table");
    page.wait_for("the table", || page.run("return document.querySelector('main table') !== null", json!([])) == true);
    let before = provider.seen("/token").len();
    page.press("Refresh now");
    page.wait_for("the refresh", || provider.seen("/token").len() == before + 1);
    page.press("Rename");
    page.run("document.activeElement.select()", json!([]));
    page.type_into(":focus", "office");
    page.key(false, ENTER);
    page.reads("office");
    desktop.session.larder(&["token", "office"]).ok();
    assert_eq!(page.trouble(), Vec::<String>::new());
}

#[test]
fn what_happened_is_searched_and_filtered() {
    let (desktop, _provider, page) = window();
    desktop.session.larder(&["token", "work"]).ok();
    page.press("Activity");
    page.reads("Token handed out");
    page.type_into("main input", "signed");
    page.reads("Signed in");
    page.wait_for("hand-outs to be left out", || !page.text().contains("Token handed out"));
    page.press("Show everything");
    page.reads("Token handed out");
    assert_eq!(page.trouble(), Vec::<String>::new());
}

#[test]
fn hand_outs_are_locked_and_unlocked_on_the_programs_page() {
    let (desktop, _provider, page) = window();
    page.press("Programs");
    page.press("Lock hand-outs");
    page.reads("Hand-outs locked");
    desktop.session.larder(&["token", "work"]).fails(5);
    page.press("Unlock");
    page.wait_for("the lock to be gone", || !page.text().contains("Hand-outs locked"));
    desktop.session.larder(&["token", "work"]).ok();
    assert_eq!(page.trouble(), Vec::<String>::new());
}

#[test]
fn a_setting_that_is_changed_holds_at_once_and_is_written_down() {
    let (desktop, _provider, page) = window();
    page.press("Settings");
    page.reads("Start when you log in");
    page.click("label", "Deutsch");
    page.reads("Einstellungen");
    page.click("label", "English");
    page.reads("Start when you log in");
    page.click("label", "Dark");
    let file = desktop.session.profile().join("config.toml");
    page.wait_for("the theme to be written down", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains("theme = \"dark\""))
    });
    let ground: Value = page.run("return getComputedStyle(document.body).backgroundColor", json!([]));
    let brightest = ground.as_str().expect("a colour").split(|one: char| !one.is_ascii_digit());
    let brightest = brightest.filter_map(|part| part.parse::<u32>().ok()).max();
    assert!(brightest.is_some_and(|most| most < 100), "{ground} is not dark");
    assert_eq!(page.trouble(), Vec::<String>::new());
}

#[test]
fn anything_is_found_by_its_name_and_keys_are_listed() {
    let (_desktop, _provider, page) = window();
    page.key(true, "k");
    page.reads("To do");
    page.type_into("[role=combobox]", "activity");
    page.key(false, ENTER);
    page.reads("Save as JSON");
    page.key(false, "?");
    page.reads("Find anything, do anything");
    page.key(false, ESCAPE);
    page.wait_for("the list of keys to close", || !page.text().contains("Find anything, do anything"));
    assert_eq!(page.trouble(), Vec::<String>::new());
}

#[test]
fn providers_are_searched_and_nothing_opens_before_its_person_says_so() {
    let (desktop, provider, page) = window();
    page.press("Sign in…");
    page.reads("Add a provider…");
    page.type_into("main input", "discord");
    page.wait_for("one to be left", || !page.text().contains("Mastodon"));
    page.key(false, ENTER);
    page.reads("How to register it");
    page.key(false, ESCAPE);
    page.press("Add a provider…");
    page.reads("How the answer comes back");
    let names =
        page.run("return [...document.querySelectorAll('main input')].map((one) => one.name || one.id)", json!([]));
    assert!(names.as_array().is_some_and(|names| names.len() >= 3), "{names}");
    assert!(provider.seen("/authorize").len() == 1 && desktop.browsers_opened() == 0);
    assert_eq!(page.trouble(), Vec::<String>::new());
}
