//! Both menus as plain data, each made whole from how things stand. What they say and in which order is tested here;
//! `toolkit.rs` only carries it over.

use crate::act::Act;
use crate::language::Spoken;
use crate::link::Picture;
use crate::moment::Zone;
use larder_core::problem::Exit;
use larder_core::time::WallTime;
use larder_core::view::{AccountState, AccountView, AskingProgram, HouseView, KeychainState, LockState};

/// The tray menu's name, with which its ids begin.
pub const TRAY: &str = "tray";
/// The menu bar's name, with which its ids begin.
pub const BAR: &str = "bar";

/// What the name of the menu of who can be signed out ends with, in either.
const SIGN_OUT: &str = "sign-out";

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
        text: String,
        /// What a click does.
        act: Act,
        /// Whether it is on.
        on: bool,
    },
    /// A menu in the menu.
    Sub {
        /// What its id ends with, whatever it says.
        name: &'static str,
        /// What it says.
        text: String,
        /// What is in it; without any it cannot be opened.
        entries: Vec<Entry>,
    },
    /// A line.
    Line,
}

impl Entry {
    /// Whether the item that shows this one can show the other one as well: it does the same.
    pub fn is_in_place_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Item { act, key, .. }, Self::Item { act: other, key: others, .. }) => (act, key) == (other, others),
            (Self::Check { act, .. }, Self::Check { act: other, .. }) => act == other,
            (Self::Sub { name, .. }, Self::Sub { name: other, .. }) => name == other,
            (Self::Line, Self::Line) => true,
            _ => false,
        }
    }
}

fn item(text: impl Into<String>, act: Act) -> Entry {
    Entry::Item { text: text.into(), act: Some(act), enabled: true, key: None }
}

fn keyed(text: String, act: Act, key: &'static str) -> Entry {
    Entry::Item { text, act: Some(act), enabled: true, key: Some(key) }
}

fn note(text: String) -> Entry {
    Entry::Item { text, act: None, enabled: false, key: None }
}

/// Whether Larder starts at login, where the system can be told.
fn at_login(on: Option<bool>, spoken: Spoken) -> Option<Entry> {
    on.map(|on| Entry::Check { text: spoken.text("menu.start-at-login"), act: Act::StartAtLogin, on })
}

/// The tray's menu. `login` is whether Larder starts at login, `None` where the system cannot be told.
pub fn tray(picture: &Picture, zone: &Zone, login: Option<bool>, spoken: Spoken) -> Vec<Entry> {
    let mut entries = match picture {
        Picture::Starting => vec![note(spoken.text("menu.starting"))],
        // What was last seen of the accounts may have changed since: it is not repeated.
        Picture::Away(..) => vec![item(spoken.text("menu.agent-away"), Act::Open)],
        Picture::Known(house) => lines(house, zone, spoken),
    };
    entries.push(Entry::Line);
    if let Some(house) = picture.house() {
        entries.push(refresh_now(house, None, spoken));
        entries.push(item(spoken.text("menu.sign-in"), Act::SignIn));
        entries.push(sign_out(house, spoken));
        entries.push(match house.locked {
            LockState::Unlocked => item(spoken.text("menu.lock"), Act::Lock),
            LockState::Locked | LockState::Sealed => item(spoken.text("menu.unlock"), Act::Unlock),
        });
    }
    entries.push(item(spoken.text("menu.open"), Act::Open));
    entries.extend(at_login(login, spoken));
    entries.push(item(spoken.text("menu.quit"), Act::Quit));
    entries.push(item(spoken.text("menu.quit-completely"), Act::QuitCompletely));
    entries
}

/// The window's menu bar. Its shape is always the same, because GTK's keys do not survive a bar that is replaced: only
/// who can be signed out changes, whether anything can be refreshed, what is ticked, and in which language it is said.
pub fn bar(picture: &Picture, login: Option<bool>, spoken: Spoken) -> Vec<Entry> {
    let key = Some("CmdOrCtrl+R");
    let (sign_out, refresh) = match picture.house() {
        Some(house) => (sign_out(house, spoken), refresh_now(house, key, spoken)),
        None => (
            Entry::Sub { name: SIGN_OUT, text: spoken.text("menu.sign-out"), entries: Vec::new() },
            Entry::Item { text: spoken.text("menu.refresh-now"), act: Some(Act::RefreshAll), enabled: false, key },
        ),
    };
    let sign_in = keyed(spoken.text("menu.sign-in"), Act::SignIn, "CmdOrCtrl+N");
    let settings = keyed(spoken.text("menu.settings"), Act::Settings, "CmdOrCtrl+,");
    let mut larder = vec![sign_in, sign_out, refresh, Entry::Line, settings];
    larder.extend(at_login(login, spoken));
    larder.push(Entry::Line);
    larder.push(keyed(spoken.text("menu.quit"), Act::Quit, "CmdOrCtrl+Q"));
    larder.push(item(spoken.text("menu.quit-completely"), Act::QuitCompletely));
    // No keys of their own: the web view has them already, and it alone knows what is selected.
    let edit = [("menu.cut", "Cut"), ("menu.copy", "Copy"), ("menu.paste", "Paste"), ("menu.select-all", "SelectAll")]
        .map(|(key, command)| item(spoken.text(key), Act::Edit(command)));
    let view = vec![
        keyed(spoken.text("menu.accounts"), Act::Accounts, "CmdOrCtrl+1"),
        keyed(spoken.text("menu.activity"), Act::Activity, "CmdOrCtrl+2"),
        keyed(spoken.text("menu.programs"), Act::Programs, "CmdOrCtrl+3"),
    ];
    vec![
        Entry::Sub { name: "larder", text: spoken.text("menu.larder"), entries: larder },
        Entry::Sub { name: "edit", text: spoken.text("menu.edit"), entries: edit.into() },
        Entry::Sub { name: "view", text: spoken.text("menu.view"), entries: view },
    ]
}

fn lines(house: &HouseView, zone: &Zone, spoken: Spoken) -> Vec<Entry> {
    let mut lines = Vec::new();
    if let Some(prompt) = house.prompts.first() {
        let program = program_name(&prompt.program, spoken);
        lines.push(item(spoken.with("menu.asks", &[("program", &program), ("account", &prompt.label)]), Act::Open));
    }
    match house.locked {
        LockState::Unlocked => {}
        LockState::Locked => lines.push(note(spoken.text("menu.locked"))),
        LockState::Sealed => lines.push(note(spoken.text("menu.sealed"))),
    }
    match house.keychain.state {
        KeychainState::Locked => lines.push(item(spoken.text("menu.keychain-locked"), Act::Unlock)),
        KeychainState::Absent => lines.push(item(spoken.text("menu.keychain-absent"), Act::Open)),
        KeychainState::Silent => lines.push(item(spoken.text("menu.keychain-silent"), Act::Open)),
        KeychainState::Unasked | KeychainState::Open => {}
    }
    // What the keychain's own line says is not counted again.
    match house.problems.iter().filter(|problem| problem.exit() != Exit::Keychain).count() {
        0 => {}
        some => lines.push(item(spoken.count("menu.problems", some, &[]), Act::Open)),
    }
    let accounts = house.accounts.iter();
    lines
        .extend(accounts.map(|account| item(words(account, house.at, zone, spoken), Act::Account(account.id.clone()))));
    if house.accounts.is_empty() {
        lines.push(note(spoken.text("menu.no-accounts")));
    }
    lines
}

/// What a program is called: the last part of its path, which it chose itself. It may hold no more than a line does.
pub fn program_name(program: &AskingProgram, spoken: Spoken) -> String {
    /// So much of it stands in a menu or a notification.
    const MOST: usize = 32;
    let Some(name) = program.path.rsplit('/').find(|part| !part.is_empty()) else {
        return spoken.text("program.unknown");
    };
    let plain: String = name.chars().filter(|letter| !letter.is_control()).collect();
    if plain.chars().count() > MOST { plain.chars().take(MOST).chain(['…']).collect() } else { plain }
}

/// An account in words.
pub fn words(account: &AccountView, now: WallTime, zone: &Zone, spoken: Spoken) -> String {
    let fresh = account.expires_at.filter(|at| *at > now).and_then(|at| zone.until(at, now, spoken));
    let state = match (account.state, fresh) {
        (AccountState::Fresh, Some(until)) => spoken.with("state.fresh-until", &[("until", &until)]),
        (AccountState::Fresh, None) => spoken.text("state.fresh"),
        (AccountState::Refreshing, _) => spoken.text("state.refreshing"),
        (AccountState::Waiting, Some(until)) => spoken.with("state.waiting-until", &[("until", &until)]),
        (AccountState::Waiting, None) => spoken.text("state.not-fresh-waiting"),
        (AccountState::SignInAgain, _) => spoken.text("state.sign-in-again"),
        (AccountState::Blocked, _) => spoken.text("state.needs-correction"),
        (AccountState::Undoable | AccountState::SigningOut, _) => spoken.text("state.signing-out"),
        (AccountState::SignedOut, _) => spoken.text("state.signed-out"),
    };
    format!("{} — {state}", account.label)
}

/// Whether there is a session to end or to refresh.
fn has_session(account: &AccountView) -> bool {
    !matches!(account.state, AccountState::Undoable | AccountState::SigningOut | AccountState::SignedOut)
}

fn refresh_now(house: &HouseView, key: Option<&'static str>, spoken: Spoken) -> Entry {
    let enabled = house.accounts.iter().any(has_session);
    Entry::Item { text: spoken.text("menu.refresh-now"), act: Some(Act::RefreshAll), enabled, key }
}

fn sign_out(house: &HouseView, spoken: Spoken) -> Entry {
    let accounts = house.accounts.iter().filter(|account| has_session(account));
    let entries = accounts.map(|account| item(&account.label, Act::SignOut(account.id.clone()))).collect();
    Entry::Sub { name: SIGN_OUT, text: spoken.text("menu.sign-out"), entries }
}

#[cfg(test)]
#[path = "menu_tests.rs"]
pub mod tests;
