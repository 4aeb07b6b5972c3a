//! Both menus as plain data, each made whole from how things stand. What they say and in which order is tested here;
//! `toolkit.rs` only carries it over.

use crate::act::Act;
use crate::link::Picture;
use crate::moment::Zone;
use larder_core::problem::Exit;
use larder_core::time::WallTime;
use larder_core::view::{AccountState, AccountView, AskingProgram, HouseView, KeychainState, LockState};

/// The tray menu's name, with which its ids begin.
pub const TRAY: &str = "tray";
/// The menu bar's name, with which its ids begin.
pub const BAR: &str = "bar";

/// The bar's first menu.
pub const LARDER: &str = "Larder";
/// The menu, in either, of who can be signed out.
pub const SIGN_OUT: &str = "Sign out";

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Something to click.
    Item {
        /// What it says.
        text: String,
        /// What it does; without one it can only be read.
        act: Option<Act>,
        /// Whether it does it now.
        enabled: bool,
        /// Its key, where it has one.
        key: Option<&'static str>,
    },
    /// Something that is on or off.
    Check {
        /// What it says.
        text: &'static str,
        /// What a click does.
        act: Act,
        /// Whether it is on.
        on: bool,
    },
    /// A menu in the menu.
    Sub {
        /// What it says.
        text: &'static str,
        /// What is in it; without any it cannot be opened.
        entries: Vec<Entry>,
    },
    /// A line.
    Line,
}

fn item(text: impl Into<String>, act: Act) -> Entry {
    Entry::Item { text: text.into(), act: Some(act), enabled: true, key: None }
}

fn keyed(text: &str, act: Act, key: &'static str) -> Entry {
    Entry::Item { text: text.to_owned(), act: Some(act), enabled: true, key: Some(key) }
}

fn note(text: &str) -> Entry {
    Entry::Item { text: text.to_owned(), act: None, enabled: false, key: None }
}

/// Whether Larder starts at login, where the system can be told.
fn at_login(on: Option<bool>) -> Option<Entry> {
    on.map(|on| Entry::Check { text: "Start at login", act: Act::StartAtLogin, on })
}

/// The tray's menu. `login` is whether Larder starts at login, `None` where the system cannot be told.
pub fn tray(picture: &Picture, zone: &Zone, login: Option<bool>) -> Vec<Entry> {
    let mut entries = match picture {
        Picture::Starting => vec![note("Starting…")],
        // What was last seen of the accounts may have changed since: it is not repeated.
        Picture::Away(..) => vec![item("Larder's agent stopped; starting it again", Act::Open)],
        Picture::Known(house) => lines(house, zone),
    };
    entries.push(Entry::Line);
    if let Some(house) = picture.house() {
        entries.push(refresh_now(house, None));
        entries.push(item("Sign in…", Act::SignIn));
        entries.push(sign_out(house));
        entries.push(match house.locked {
            LockState::Unlocked => item("Lock hand-outs", Act::Lock),
            LockState::Locked | LockState::Sealed => item("Unlock hand-outs", Act::Unlock),
        });
    }
    entries.push(item("Open Larder", Act::Open));
    entries.extend(at_login(login));
    entries.extend([item("Quit", Act::Quit), item("Quit Larder completely", Act::QuitCompletely)]);
    entries
}

/// The window's menu bar. Its shape is always the same, because GTK's keys do not survive a bar that is replaced: only
/// who can be signed out changes, whether anything can be refreshed, and what is ticked.
pub fn bar(picture: &Picture, login: Option<bool>) -> Vec<Entry> {
    let key = Some("CmdOrCtrl+R");
    let (sign_out, refresh) = match picture.house() {
        Some(house) => (sign_out(house), refresh_now(house, key)),
        None => (
            Entry::Sub { text: SIGN_OUT, entries: Vec::new() },
            Entry::Item { text: "Refresh now".to_owned(), act: Some(Act::RefreshAll), enabled: false, key },
        ),
    };
    let mut larder = vec![keyed("Sign in…", Act::SignIn, "CmdOrCtrl+N"), sign_out, refresh, Entry::Line];
    larder.extend(at_login(login));
    larder.push(keyed("Quit", Act::Quit, "CmdOrCtrl+Q"));
    // No keys of their own: the web view has them already, and it alone knows what is selected.
    let edit = [("Cut", "Cut"), ("Copy", "Copy"), ("Paste", "Paste"), ("Select all", "SelectAll")]
        .map(|(text, command)| item(text, Act::Edit(command)));
    let view = vec![
        keyed("Accounts", Act::Accounts, "CmdOrCtrl+1"),
        keyed("Activity", Act::Activity, "CmdOrCtrl+2"),
        keyed("Programs", Act::Programs, "CmdOrCtrl+3"),
    ];
    vec![
        Entry::Sub { text: LARDER, entries: larder },
        Entry::Sub { text: "Edit", entries: edit.into() },
        Entry::Sub { text: "View", entries: view },
    ]
}

fn lines(house: &HouseView, zone: &Zone) -> Vec<Entry> {
    let mut lines = Vec::new();
    if let Some(prompt) = house.prompts.first() {
        lines.push(item(format!("{} asks for {}…", program_name(&prompt.program), prompt.label), Act::Open));
    }
    match house.locked {
        LockState::Unlocked => {}
        LockState::Locked => lines.push(note("Hand-outs are locked")),
        LockState::Sealed => lines.push(note("Sealed: nothing is handed out or refreshed")),
    }
    match house.keychain.state {
        KeychainState::Locked => lines.push(item("The keychain is locked — unlock it…", Act::Unlock)),
        KeychainState::Absent => lines.push(item("No keychain answers", Act::Open)),
        KeychainState::Silent => lines.push(item("The keychain does not answer", Act::Open)),
        KeychainState::Unasked | KeychainState::Open => {}
    }
    // What the keychain's own line says is not counted again.
    match house.problems.iter().filter(|problem| problem.exit() != Exit::Keychain).count() {
        0 => {}
        1 => lines.push(item("Something needs a look…", Act::Open)),
        more => lines.push(item(format!("{more} things need a look…"), Act::Open)),
    }
    let accounts = house.accounts.iter();
    lines.extend(accounts.map(|account| item(words(account, house.at, zone), Act::Account(account.id.clone()))));
    if house.accounts.is_empty() {
        lines.push(note("No accounts yet"));
    }
    lines
}

/// What a program is called: the last part of its path, which it chose itself. It may hold no more than a line does.
pub fn program_name(program: &AskingProgram) -> String {
    /// So much of it stands in a menu or a notification.
    const MOST: usize = 32;
    let name = program.path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("An unknown program");
    let plain: String = name.chars().filter(|letter| !letter.is_control()).collect();
    if plain.chars().count() > MOST { plain.chars().take(MOST).chain(['…']).collect() } else { plain }
}

/// An account in words.
pub fn words(account: &AccountView, now: WallTime, zone: &Zone) -> String {
    let fresh = account.expires_at.filter(|at| *at > now).and_then(|at| zone.until(at, now));
    let state = match (account.state, fresh) {
        (AccountState::Fresh, Some(until)) => format!("fresh until {until}"),
        (AccountState::Fresh, None) => "fresh".to_owned(),
        (AccountState::Refreshing, _) => "refreshing".to_owned(),
        (AccountState::Waiting, Some(until)) => format!("fresh until {until}, trying again"),
        (AccountState::Waiting, None) => "not fresh, trying again".to_owned(),
        (AccountState::SignInAgain, _) => "sign in again…".to_owned(),
        (AccountState::Blocked, _) => "needs a correction…".to_owned(),
        (AccountState::Undoable | AccountState::SigningOut, _) => "signing out".to_owned(),
        (AccountState::SignedOut, _) => "signed out".to_owned(),
    };
    format!("{} — {state}", account.label)
}

/// Whether there is a session to end or to refresh.
fn has_session(account: &AccountView) -> bool {
    !matches!(account.state, AccountState::Undoable | AccountState::SigningOut | AccountState::SignedOut)
}

fn refresh_now(house: &HouseView, key: Option<&'static str>) -> Entry {
    let enabled = house.accounts.iter().any(has_session);
    Entry::Item { text: "Refresh now".to_owned(), act: Some(Act::RefreshAll), enabled, key }
}

fn sign_out(house: &HouseView) -> Entry {
    let accounts = house.accounts.iter().filter(|account| has_session(account));
    let entries = accounts.map(|account| item(&account.label, Act::SignOut(account.id.clone()))).collect();
    Entry::Sub { text: SIGN_OUT, entries }
}

#[cfg(test)]
#[path = "menu_tests.rs"]
pub mod tests;
