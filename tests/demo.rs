//! `make demo`: the whole story on a desktop without a monitor, told in numbered steps, with a picture of every window
//! and tray state in target/demo/. It fails where any step does. With LARDER_DEMO_DOCS=1 it also takes README's picture.

#![allow(clippy::print_stdout, reason = "the transcript is what this program is for")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a story that cannot go on ends")]

#[allow(dead_code, reason = "the other tests use the rest of it")]
mod support;

mod demo {
    pub mod story;
}

use demo::story::Story;
use serde_json::json;
use std::time::Duration;
use support::{Desktop, Provider};

/// So short a life that a reader sees refreshes; a real token lives an hour.
const LIFETIME: u32 = 12;

/// How long the server holds a refresh, so that the tray can be seen refreshing.
const HELD: Duration = Duration::from_millis(900);

/// A question takes no answer so soon after it has appeared.
const UNGUARDED: Duration = Duration::from_millis(1200);

fn main() {
    // Asked for its tests by `cargo test -- --list`: it is one, and has no name to choose it by.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    if std::env::var_os("LARDER_DEMO_DOCS").is_some_and(|value| value == "1") {
        picture_for_the_readme();
    }
    let mut story = Story::begin("target/demo");
    let (mut desktop, provider) = stage(&mut story);
    sign_in(&mut story, &mut desktop, &provider);
    stay_fresh(&mut story, &desktop, &provider);
    hand_out(&mut story, &desktop, &provider);
    look_around(&mut story, &mut desktop, &provider);
    need_a_person(&mut story, &mut desktop, &provider);
    sign_out(&mut story, &desktop, &provider);
    end(&mut story, &mut desktop);
    story.end();
}

fn stage(story: &mut Story) -> (Desktop, Provider) {
    story.step("A desktop of its own: a screen without a monitor, a keychain, a tray, a browser that is a script");
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, LIFETIME);
    desktop.session.set("LARDER_DEMO_ISSUER", &provider.issuer);
    story.saw(&format!("the demonstration provider at {}; its access tokens live {LIFETIME} s", provider.issuer));
    story.step("Start Larder (larder-desktop --demo)");
    desktop.start(&["--demo"]);
    desktop.wait_for_window();
    let shown = story.seconds();
    desktop.reads("Nothing in the larder yet");
    story.saw(&format!("its window after {shown}: no accounts yet"));
    story.picture(&desktop, "accounts-empty");
    for (button, words, picture) in
        [("How it works", "What is kept where", "welcome-where"), ("Next", "Then forget about it", "welcome-then")]
    {
        desktop.press(button);
        desktop.reads(words);
        story.picture(&desktop, picture);
    }
    let tray = desktop.wait_for_tray("no accounts", |tray| tray.shows("fresh"));
    story.tray(&desktop, "tray-empty", &tray);
    (desktop, provider)
}

fn sign_in(story: &mut Story, desktop: &mut Desktop, provider: &Provider) {
    story.step("Choose a provider (Ctrl+N), and sign in with the Enter key");
    desktop.keys(&["ctrl+n"]);
    desktop.reads("Runs on this computer");
    story.picture(desktop, "sign-in");
    desktop.browser_holds();
    desktop.keys(&["Return"]);
    desktop.reads("Continue in your browser");
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
    story.saw("the browser was opened by xdg-open; the window waits");
    story.picture(desktop, "waiting");

    story.step("Copy link");
    desktop.press("Copy link");
    desktop.reads("Copied");
    let copied = desktop.clipboard();
    assert!(copied.starts_with(&format!("{}/authorize?", provider.issuer)), "something else was copied");
    story.saw(&format!("the clipboard holds the address to open, {} letters", copied.len()));

    story.step("In the browser: sign in as ada, allow");
    desktop.browser_goes_on();
    desktop.reads("Fresh for");
    story.saw(&format!(
        "the redirect came back through xdg-open to the running app; the account shows after {}",
        story.seconds()
    ));
    let account = desktop.session.account("demo");
    assert_eq!(account["email"], "ada@example.com");
    story.saw(&format!("{} <{}>, scopes {}", text(&account["name"]), text(&account["email"]), account["scopes"]));
    story.picture(desktop, "accounts-fresh");
    let tray = desktop.wait_for_tray("a fresh account", |tray| tray.words("demo").is_some_and(is_fresh));
    assert!(tray.shows("fresh"));
    story.tray(desktop, "tray-fresh", &tray);
}

fn stay_fresh(story: &mut Story, desktop: &Desktop, provider: &Provider) {
    story.step("Close the window, and watch the tray for two refreshes");
    desktop.close_window();
    story.saw("the window's web process has ended; the tray stays");
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": HELD.as_millis() }));
    let mut at = desktop.tray_history().len() - 1;
    for count in 1..=2 {
        let (began, tray) = desktop.wait_for_tray_since(at, "a refresh", |tray| tray.shows("refreshing"));
        assert_eq!(tray.words("demo"), Some("refreshing"));
        if count == 1 {
            story.tray(desktop, "tray-refreshing", &tray);
        }
        let (ended, tray) = desktop.wait_for_tray_since(began, "its end", |tray| tray.shows("fresh"));
        assert!(tray.words("demo").is_some_and(is_fresh));
        let history = desktop.tray_history();
        let showed = (history[ended].0 - history[began].0).as_secs_f64();
        let (age, left) = refreshed(provider, count);
        story.saw(&format!(
            "refresh {count}: asked for {age:.1} s after the token was given, {left:.1} s before its end; \
             the tray showed refreshing for {showed:.1} s (held for {:.1} s by the server)",
            HELD.as_secs_f64()
        ));
        assert!(left > 0.0, "the token had ended before");
        at = ended;
    }
    provider.behave(json!({ "endpoint": "token", "mode": "normal" }));
}

/// How old the token was when refresh number `count` was asked for, and how long it had left.
fn refreshed(provider: &Provider, count: usize) -> (f64, f64) {
    let requests = provider.seen("/token");
    assert!(requests.iter().all(|request| request["outcome"] == "tokens"), "a request was refused: {requests:?}");
    #[allow(clippy::cast_precision_loss, reason = "moments of this century")]
    let at = |index: usize| requests[index]["at_ms"].as_u64().expect("a moment") as f64 / 1000.0;
    // The server gave the one before only after it had held it.
    let held = if count > 1 { HELD.as_secs_f64() } else { 0.0 };
    let age = at(count) - at(count - 1) - held;
    (age, f64::from(LIFETIME) - age - held)
}

fn hand_out(story: &mut Story, desktop: &Desktop, provider: &Provider) {
    story.step("A program asks: larder token demo. Nobody has allowed it yet, and the window opens with the question");
    desktop.session.larder(&["policy", "set", "ask"]).ok();
    let mut asking = desktop.session.command(support::program("larder"));
    let asking = asking.args(["token", "demo"]).stdout(std::process::Stdio::piped()).spawn().expect("started");
    desktop.wait_for_window();
    desktop.reads("Nothing is handed out while you decide");
    std::thread::sleep(UNGUARDED);
    let tray = desktop.wait_for_tray("the question", |tray| tray.shows("attention"));
    story.tray(desktop, "tray-asks", &tray);
    story.picture(desktop, "prompt");
    desktop.press("Always");
    let answered = asking.wait_with_output().expect("ended");
    assert!(answered.status.success(), "it was refused");
    let token = String::from_utf8(answered.stdout).expect("text").trim().to_owned();
    desktop.no_longer_reads("Nothing is handed out while you decide");
    desktop.close_window();
    story.saw(&format!("an access token of {} letters after {}", token.len(), story.seconds()));
    let (status, claims) = provider.userinfo(&token);
    assert_eq!((status, &claims["email"]), (200, &json!("ada@example.com")));
    story.saw(&format!("userinfo answers {status} and says {}", text(&claims["email"])));
    let requests = provider.seen("/token").len();
    story.saw(&format!("the provider has seen {requests} token requests in all, each refresh token once"));
}

fn look_around(story: &mut Story, desktop: &mut Desktop, provider: &Provider) {
    story.step("Open Larder from the tray; from here on tokens live an hour");
    provider.access_lifetime(3600);
    desktop.click_tray(&["Open Larder"]);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");
    desktop.click_tray(&["Refresh now"]);
    desktop.find("an hour", |seen| seen.says("Fresh for 59 min") || seen.says("Fresh for 1 h"));
    desktop.browser_signs_in("grace");
    desktop.keys(&["ctrl+n"]);
    desktop.reads("Runs on this computer");
    desktop.keys(&["Return"]);
    desktop.reads("grace@example.com");
    story.saw("a second account of the same provider, demo-2, for grace");
    story.picture(desktop, "accounts-two");

    story.step("The account's own page, its menu, the activity, and the smallest window");
    desktop.click("combo box", "More for demo");
    desktop.find("the menu", |seen| seen.role == "menu item" && seen.name == "Refresh now");
    story.picture(desktop, "account-menu");
    desktop.keys(&["Escape"]);
    desktop.press("demo");
    desktop.reads("Programs that may ask");
    desktop.find("the timeline", |seen| seen.text.contains("refreshed ") || seen.name.contains("refreshed "));
    story.picture(desktop, "account");
    desktop.click("toggle button", "As a table");
    desktop.reads("What");
    story.picture(desktop, "account-table");
    desktop.click("toggle button", "As a drawing");
    desktop.keys(&["End"]);
    desktop.press("Demo");
    desktop.press("Check");
    desktop.reads("answers, and is the issuer that it says it is.");
    story.picture(desktop, "report");
    desktop.keys(&["ctrl+1"]);
    desktop.press("demo");
    desktop.reads("Programs that may ask");
    desktop.keys(&["End"]);
    desktop.press("Add access…");
    desktop.reads("Nothing changes before you have agreed");
    story.picture(desktop, "access");
    desktop.keys(&["ctrl+2"]);
    desktop.reads("Token handed out");
    story.picture(desktop, "activity");
    desktop.keys(&["ctrl+3"]);
    desktop.reads("Rules, the first that matches wins");
    story.picture(desktop, "programs");
    desktop.press("Lock hand-outs");
    desktop.reads("Hand-outs locked");
    story.picture(desktop, "programs-locked");
    desktop.press("Unlock");
    desktop.no_longer_reads("Hand-outs locked");
    desktop.keys(&["ctrl+comma"]);
    desktop.reads("Start when you log in");
    story.picture(desktop, "settings");
    desktop.keys(&["End"]);
    story.picture(desktop, "settings-end");
    desktop.keys(&["ctrl+1"]);
    desktop.reads("grace@example.com");

    story.step("Find anything (Ctrl+K), and the shortcuts (?)");
    desktop.keys(&["ctrl+k"]);
    desktop.reads("What was found");
    story.picture(desktop, "palette");
    desktop.keys(&["Escape"]);
    desktop.no_longer_reads("What was found");
    desktop.keys(&["question"]);
    desktop.reads("Find anything, do anything");
    story.picture(desktop, "shortcuts");
    desktop.keys(&["Escape"]);
    desktop.no_longer_reads("Find anything, do anything");
    desktop.resize(420, 580);
    story.picture(desktop, "accounts-narrow");
    desktop.resize(860, 580);
    desktop.click("menu", "Larder");
    desktop.find("the menu", |seen| seen.role == "menu item" && seen.name == "Quit");
    story.picture(desktop, "menu");
    desktop.keys(&["Escape"]);

    story.step("A sign-in by code, for a browser that is elsewhere");
    desktop.browser_holds();
    desktop.keys(&["ctrl+n"]);
    desktop.reads("Runs on this computer");
    desktop.keys(&["Return"]);
    desktop.reads("Is your browser elsewhere?");
    desktop.press("Sign in with a code");
    desktop.reads("Sign in on any device");
    desktop.find("the picture", |seen| seen.name.starts_with("QR code of "));
    story.picture(desktop, "device");
    desktop.press("Cancel");
    desktop.browser_goes_on();
    desktop.reads("grace@example.com");

    story.step("The pages that lead to a client of one's own: Google, Discord, any OpenID provider");
    for (typed, words, picture) in [
        ("google", "How to register it", "provider-google"),
        ("discord", "How to register it", "provider-discord"),
        ("mastodon", "Your server's address", "provider-mastodon"),
    ] {
        desktop.keys(&["ctrl+n"]);
        desktop.reads("Runs on this computer");
        let letters: Vec<String> = typed.chars().map(String::from).collect();
        desktop.keys(&letters.iter().map(String::as_str).collect::<Vec<_>>());
        desktop.reads("Needs a client of yours");
        if typed == "google" {
            story.picture(desktop, "sign-in-search");
        }
        desktop.keys(&["Return"]);
        desktop.reads(words);
        story.picture(desktop, picture);
        desktop.keys(&["Escape"]);
    }
    story.step("An address that is pasted is looked at before anything opens");
    desktop.keys(&["ctrl+n"]);
    desktop.reads("Runs on this computer");
    desktop.session.ran("xdotool", &["type", "--delay", "20", &provider.issuer]);
    desktop.reads("Larder asks what can be signed in to there");
    desktop.keys(&["Return"]);
    desktop.reads("This is what is there.");
    desktop.reads(&provider.issuer);
    story.picture(desktop, "found");
    desktop.keys(&["Escape"]);

    story.step("A provider by hand");
    desktop.keys(&["ctrl+n"]);
    desktop.press("Add a provider…");
    desktop.reads("How the answer comes back");
    story.picture(desktop, "provider-new");
    desktop.keys(&["Escape"]);
    desktop.keys(&["ctrl+1"]);
    desktop.reads("grace@example.com");

    story.step("A refresh, seen in the window");
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 2500 }));
    desktop.keys(&["ctrl+r"]);
    desktop.reads("Refreshing");
    story.picture(desktop, "accounts-refreshing");
    desktop.wait_for_tray("all fresh", |tray| tray.shows("fresh"));
    provider.behave(json!({ "endpoint": "token", "mode": "normal" }));

    story.step("Quit from the tray, and start again in the dark theme");
    let agent = desktop.session.agent_pid();
    desktop.click_tray(&["Quit"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.start_with(&["--demo"], &[("GTK_THEME", "Adwaita:dark")]);
    desktop.wait_for_window();
    desktop.reads("grace@example.com");
    assert_eq!(desktop.session.agent_pid(), agent);
    story.saw("the same agent, the same accounts");
    story.picture(desktop, "accounts-dark");
    desktop.press("demo");
    desktop.reads("Programs that may ask");
    story.picture(desktop, "account-dark");
    desktop.keys(&["ctrl+3"]);
    desktop.reads("Rules, the first that matches wins");
    story.picture(desktop, "programs-dark");
    desktop.click_tray(&["Quit"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.start(&["--demo"]);
    desktop.wait_for_window();
    desktop.reads("grace@example.com");
}

fn need_a_person(story: &mut Story, desktop: &mut Desktop, provider: &Provider) {
    story.step("Grace removes Larder at the provider, and the next refresh is refused");
    provider.revoke_user("grace");
    desktop.session.larder(&["refresh", "demo-2"]).fails(3);
    let tray = desktop.wait_for_tray("that somebody should look", |tray| tray.shows("attention"));
    assert_eq!(tray.words("demo-2"), Some("sign in again…"));
    assert!(tray.words("demo").is_some_and(is_fresh));
    story.saw("the tray asks for grace; ada's account goes on");
    story.tray(desktop, "tray-attention", &tray);
    desktop.reads("the provider no longer accepts this session");
    story.picture(desktop, "accounts-attention");
    desktop.press("demo-2");
    desktop.reads("no longer accepts this session");
    story.picture(desktop, "account-attention");

    story.step("Sign in again from the tray: one click on the account's line");
    desktop.click_tray(&["demo-2 — sign in again…"]);
    let tray = desktop.wait_for_tray("all fresh", |tray| tray.shows("fresh"));
    assert!(tray.words("demo-2").is_some_and(is_fresh));
    story.saw(&format!("fresh again after {}", story.seconds()));
}

fn sign_out(story: &mut Story, desktop: &Desktop, provider: &Provider) {
    assert_eq!(desktop.session.keychain_items(), 2);
    // Only the first account was agreed to.
    desktop.session.larder(&["policy", "set", "allow"]).ok();
    story.step("Sign demo-2 out in the window");
    desktop.keys(&["ctrl+1"]);
    desktop.reads("ada@example.com");
    desktop.press("demo-2");
    desktop.reads("Programs that may ask");
    let pressed = std::time::Instant::now();
    desktop.press("Sign out");
    desktop.reads("The tokens are gone from this computer");
    story.saw(&format!("cleared {:.1} s after the click; the key's item is gone", pressed.elapsed().as_secs_f64()));
    story.picture(desktop, "account-signed-out");
    assert_eq!(desktop.session.keychain_items(), 1);

    story.step("Sign demo out from the tray");
    desktop.click_tray(&["Sign out", "demo"]);
    let tray = desktop.wait_for_tray("both signed out", |tray| tray.words("demo") == Some("signed out"));
    desktop.session.wait_for("the revocation", || provider.live_sessions() == 0);
    story.tray(desktop, "tray-signed-out", &tray);
    desktop.keys(&["ctrl+1"]);
    desktop.reads("No account is signed in");
    story.picture(desktop, "accounts-signed-out");

    story.step("What is left");
    assert_eq!(desktop.session.keychain_items(), 0);
    story.saw("the keychain holds 0 items of Larder's");
    assert_eq!(provider.live_sessions(), 0);
    story.saw("the provider has 0 sessions of ours");
    let said = desktop.session.larder(&["token", "demo"]).fails(3);
    story.saw(&format!("larder token demo fails with exit code 3: {}", said.trim_start_matches("larder: ")));
}

fn end(story: &mut Story, desktop: &mut Desktop) {
    story.step("Quit Larder completely, from the tray");
    desktop.click_tray(&["Quit Larder completely"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.session.wait_for("the end of all", || {
        ["larder-desktop", "larder-agent", "WebKitWebProcess"].iter().all(|name| desktop.running(name).is_empty())
    });
    story.saw("no process of Larder's is left");
}

/// Three accounts as a person may have them.
fn picture_for_the_readme() {
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 3600);
    for (name, title, user, lifetime) in [
        ("work", "Acme", "ada", 2 * 3600),
        ("community", "Commons", "ada", 7 * 86_400),
        ("staging", "Acme staging", "ada.lovelace", 3600),
    ] {
        desktop.session.add(name, &provider);
        let file = desktop.session.profile().join("providers.toml");
        let written = std::fs::read_to_string(&file).expect("providers.toml");
        let heading = format!("[provider.{name}]\n");
        assert!(written.contains(&heading), "{written}");
        std::fs::write(&file, written.replace(&heading, &format!("{heading}title = \"{title}\"\n"))).expect("a file");
        provider.access_lifetime(lifetime);
        desktop.session.sign_in(name, user);
    }
    provider.revoke_user("ada.lovelace");
    desktop.session.larder(&["refresh", "staging"]).fails(3);
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("no longer accepts this session");
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    desktop.window_picture(&docs.join("larder.png"));
    desktop.session.larder(&["policy", "set", "ask"]).ok();
    let code = "import subprocess, sys; sys.exit(subprocess.run(['larder', 'token', 'work']).returncode)";
    std::fs::write(desktop.session.home().join("sync.py"), code).expect("a script");
    // A person's terminal: paths as they are on anybody's machine.
    let larder = support::program("larder");
    let path = format!("{}:/usr/bin:/bin", larder.parent().expect("a folder").display());
    let mut asking = desktop.session.command("/usr/bin/timeout");
    asking.args(["120", "python3", "sync.py"]).current_dir(desktop.session.home()).env("PATH", path);
    let mut asking = asking.spawn().expect("started");
    desktop.reads("Nothing is handed out while you decide");
    std::thread::sleep(UNGUARDED);
    let picture = |name: &str| std::fs::read(docs.join(name)).expect("a picture");
    desktop.session.wait_for("the question to be drawn", || {
        desktop.window_picture(&docs.join("asks.png"));
        picture("asks.png") != picture("larder.png")
    });
    desktop.keys(&["Escape"]);
    asking.wait().expect("ended");
}

fn is_fresh(words: &str) -> bool {
    words.starts_with("fresh until ")
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap_or_default()
}
