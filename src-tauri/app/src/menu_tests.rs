//! What the menus say.

use super::*;
use larder_core::names::PromptId;
use larder_core::problem::Problem;
use larder_core::view::{KeychainView, PromptView, TrayState};

/// 2025-11-24 14:00 UTC.
pub const NOW: WallTime = WallTime(1_763_992_800_000);
const MINUTE: i64 = 60_000;

pub fn account(id: &str, label: &str, state: AccountState) -> AccountView {
    AccountView {
        id: id.into(),
        label: label.to_owned(),
        provider: "demo".into(),
        issuer: "http://127.0.0.1:4747".to_owned(),
        name: None,
        email: None,
        scopes: Vec::new(),
        state,
        expires_at: Some(WallTime(NOW.0 + 32 * MINUTE)),
        lifetime: None,
        refresh_at: None,
        refreshed_at: None,
        signed_in_at: None,
        session_ends_at: None,
        problem: None,
        undo_until: None,
        browser_sign_out: false,
        grant_type: larder_core::account::GrantType::AuthorizationCode,
    }
}

pub fn house(accounts: Vec<AccountView>) -> HouseView {
    HouseView {
        at: NOW,
        accounts,
        attempts: Vec::new(),
        providers: Vec::new(),
        keychain: KeychainView { kind: "Secret Service".to_owned(), state: KeychainState::Open },
        problems: Vec::new(),
        tray: TrayState::Fresh,
        next_refresh: None,
        prompts: Vec::new(),
        locked: larder_core::view::LockState::Unlocked,
    }
}

fn known(house: HouseView) -> Picture {
    Picture::Known(Box::new(house))
}

fn texts(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| match entry {
            Entry::Item { text, enabled: false, .. } => format!("({text})"),
            Entry::Item { text, .. } => text.clone(),
            Entry::Sub { text, entries, .. } => format!("{text}: {}", texts(entries).join(", ")),
            Entry::Check { text, on, .. } => format!("[{}] {text}", if *on { "x" } else { " " }),
            Entry::Line => "--".to_owned(),
        })
        .collect()
}

fn ids(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .flat_map(|entry| match entry {
            Entry::Item { act, .. } => act.iter().map(|act| act.id(TRAY)).collect(),
            Entry::Sub { entries, .. } => ids(entries),
            Entry::Check { act, .. } => vec![act.id(TRAY)],
            Entry::Line => Vec::new(),
        })
        .collect()
}

#[test]
fn every_state_has_its_words() {
    use AccountState as S;
    let said = |state| words(&account("a", "work", state), NOW, &Zone::utc(), Spoken::English);
    assert_eq!(said(S::Fresh), "work — fresh until 14:32");
    assert_eq!(said(S::Refreshing), "work — refreshing");
    assert_eq!(said(S::Waiting), "work — fresh until 14:32, trying again");
    assert_eq!(said(S::SignInAgain), "work — sign in again…");
    assert_eq!(said(S::Blocked), "work — needs a correction…");
    assert_eq!(said(S::Undoable), "work — signing out");
    assert_eq!(said(S::SigningOut), "work — signing out");
    assert_eq!(said(S::SignedOut), "work — signed out");
}

#[test]
fn a_moment_that_is_past_or_unknown_is_not_promised() {
    let mut work = account("a", "work", AccountState::Fresh);
    work.expires_at = None;
    assert_eq!(words(&work, NOW, &Zone::utc(), Spoken::English), "work — fresh");
    work.state = AccountState::Waiting;
    work.expires_at = Some(NOW);
    assert_eq!(words(&work, NOW, &Zone::utc(), Spoken::English), "work — not fresh, trying again");
}

#[test]
fn the_tray_shows_accounts_in_the_house_s_order_then_what_can_be_done() {
    let accounts = vec![
        account("b", "work", AccountState::Fresh),
        account("a", "mail", AccountState::SignInAgain),
        account("c", "music", AccountState::SignedOut),
    ];
    assert_eq!(
        texts(&tray(&known(house(accounts)), &Zone::utc(), None, Spoken::English)),
        [
            "work — fresh until 14:32",
            "mail — sign in again…",
            "music — signed out",
            "--",
            "Refresh now",
            "Sign in…",
            "Sign out: work, mail",
            "Lock hand-outs",
            "Open Larder",
            "Quit",
            "Quit Larder completely",
        ]
    );
}

#[test]
fn without_accounts_nothing_can_be_refreshed_or_signed_out() {
    assert_eq!(
        texts(&tray(&known(house(Vec::new())), &Zone::utc(), None, Spoken::English))[..5],
        ["(No accounts yet)", "--", "(Refresh now)", "Sign in…", "Sign out: "]
    );
}

#[test]
fn without_an_agent_the_menu_says_so_and_still_opens_and_quits() {
    let away = Picture::Away(Problem::Stopping, Some(Box::new(house(vec![account("a", "work", AccountState::Fresh)]))));
    assert_eq!(
        texts(&tray(&away, &Zone::utc(), None, Spoken::English)),
        ["Larder's agent stopped; starting it again", "--", "Open Larder", "Quit", "Quit Larder completely"]
    );
    assert_eq!(away.tray(), TrayState::Attention);
    assert_eq!(texts(&tray(&Picture::Starting, &Zone::utc(), None, Spoken::English))[0], "(Starting…)");
}

#[test]
fn a_locked_keychain_is_opened_by_a_click_on_its_line() {
    let mut house = house(Vec::new());
    house.keychain.state = KeychainState::Locked;
    house.problems = vec![Problem::KeychainLocked, Problem::SchemeUnhandled];
    let entries = tray(&known(house), &Zone::utc(), None, Spoken::English);
    assert_eq!(entries[0], item("The keychain is locked — unlock it…", Act::Unlock));
    assert_eq!(entries[1], item("Something needs a look…", Act::Open));
}

pub fn prompt(id: &str, path: &str) -> PromptView {
    PromptView {
        id: PromptId(id.to_owned()),
        account: "a".into(),
        label: "work".to_owned(),
        program: AskingProgram {
            path: path.to_owned(),
            arguments: Vec::new(),
            pid: 7,
            started_by: None,
            anything_run_by: false,
        },
        until: NOW,
        waiting: 1,
    }
}

#[test]
fn a_program_that_asks_stands_first_and_leads_to_the_window() {
    let mut house = house(vec![account("a", "work", AccountState::Fresh)]);
    house.prompts = vec![prompt("1", "/usr/bin/git"), prompt("2", "/usr/bin/curl")];
    assert_eq!(tray(&known(house), &Zone::utc(), None, Spoken::English)[0], item("git asks for work…", Act::Open));
    let name = |path: &str| program_name(&prompt("1", path).program, Spoken::English);
    assert_eq!(name(""), "An unknown program");
    assert_eq!(name("/"), "An unknown program");
    assert_eq!(name("/tmp/a\nb\u{1b}[2J"), "ab[2J");
    assert_eq!(name(&"x".repeat(4000)), format!("{}…", "x".repeat(32)));
}

#[test]
fn a_lock_is_said_and_ended_by_the_same_place_that_locks() {
    let with = |locked| {
        let mut house = house(vec![account("a", "work", AccountState::Fresh)]);
        house.locked = locked;
        texts(&tray(&known(house), &Zone::utc(), None, Spoken::English))
    };
    assert!(with(LockState::Unlocked).contains(&"Lock hand-outs".to_owned()));
    for (locked, said) in [
        (LockState::Locked, "(Hand-outs are locked)"),
        (LockState::Sealed, "(Sealed: nothing is handed out or refreshed)"),
    ] {
        assert_eq!(with(locked)[0], said);
        assert!(with(locked).contains(&"Unlock hand-outs".to_owned()));
        assert!(!with(locked).contains(&"Lock hand-outs".to_owned()));
    }
}

#[test]
fn ids_are_unique_and_do_not_change_with_label_or_state() {
    let before =
        ids(&tray(&known(house(vec![account("a", "work", AccountState::Fresh)])), &Zone::utc(), None, Spoken::English));
    let after = ids(&tray(
        &known(house(vec![account("a", "job", AccountState::SignInAgain)])),
        &Zone::utc(),
        None,
        Spoken::English,
    ));
    assert_eq!(before, after);
    let mut unique = before.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), before.len());
}

#[test]
fn the_bar_changes_only_with_who_can_be_signed_out() {
    let with = |state| bar(&known(house(vec![account("a", "work", state)])), None, Spoken::English);
    assert_eq!(with(AccountState::Fresh), with(AccountState::Refreshing));
    assert_eq!(
        texts(&with(AccountState::Fresh)),
        [
            "Larder: Sign in…, Sign out: work, Refresh now, --, Settings…, --, Quit, Quit Larder completely",
            "Edit: Cut, Copy, Paste, Select all",
            "View: Accounts, Activity, Programs"
        ]
    );
    let larder = |entries: &[Entry]| texts(entries).remove(0);
    let nobody = "Larder: Sign in…, Sign out: , (Refresh now), --, Settings…, --, Quit, Quit Larder completely";
    assert_eq!(larder(&with(AccountState::SignedOut)), nobody);
    assert_eq!(larder(&bar(&Picture::Starting, None, Spoken::English)), nobody);
}

#[test]
fn starting_at_login_is_ticked_where_the_system_can_be_told() {
    let tray = |login| texts(&tray(&Picture::Starting, &Zone::utc(), login, Spoken::English));
    let bar = |login| texts(&bar(&Picture::Starting, login, Spoken::English)).remove(0);
    assert_eq!(tray(Some(true))[2..4], ["Open Larder", "[x] Start at login"]);
    assert_eq!(tray(Some(false))[3], "[ ] Start at login");
    assert!(!tray(None).iter().any(|text| text.contains("login")));
    assert!(bar(Some(true)).ends_with("Settings…, [x] Start at login, --, Quit, Quit Larder completely"));
}

#[test]
fn both_menus_are_said_in_the_language_that_is_spoken_and_do_the_same() {
    let mut house = house(vec![
        account("a", "arbeit", AccountState::Fresh),
        account("b", "post", AccountState::Waiting),
        account("c", "musik", AccountState::SignInAgain),
    ]);
    house.keychain.state = KeychainState::Locked;
    house.problems = vec![Problem::SchemeUnhandled, Problem::Stopping];
    house.prompts = vec![prompt("1", "/usr/bin/git")];
    let picture = known(house);
    let german = tray(&picture, &Zone::utc(), Some(true), Spoken::German);
    assert_eq!(
        texts(&german),
        [
            "git fragt nach work…",
            "Der Schlüsselbund ist zu — öffnen…",
            "2 Dinge wollen angesehen werden…",
            "arbeit — frisch bis 14:32",
            "post — frisch bis 14:32, neuer Versuch folgt",
            "musik — neu anmelden…",
            "--",
            "Jetzt erneuern",
            "Anmelden…",
            "Abmelden: arbeit, post, musik",
            "Herausgabe sperren",
            "Larder öffnen",
            "[x] Bei der Anmeldung starten",
            "Beenden",
            "Larder ganz beenden",
        ]
    );
    assert_eq!(ids(&german), ids(&tray(&picture, &Zone::utc(), Some(true), Spoken::English)));
    let german = bar(&picture, None, Spoken::German);
    assert_eq!(
        texts(&german),
        [
            "Larder: Anmelden…, Abmelden: arbeit, post, musik, Jetzt erneuern, --, Einstellungen…, --, Beenden, Larder ganz beenden",
            "Bearbeiten: Ausschneiden, Kopieren, Einfügen, Alles auswählen",
            "Ansicht: Konten, Verlauf, Programme"
        ]
    );
    assert_eq!(ids(&german), ids(&bar(&picture, None, Spoken::English)));
}
