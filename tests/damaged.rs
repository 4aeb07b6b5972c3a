//! Files that were damaged: said in a sentence, set aside and kept, and nobody else's account is harmed.

use crate::support::{Provider, Session, files_below};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The size of SQLite's pages here, in bytes.
const PAGE: usize = 4096;

/// Signed in at "work" as Ada, Grace ("work-2") and Bob ("work-3"); the agent has stopped, and all is in `larder.db` itself.
fn signed_in() -> (Session, Provider) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    for user in ["ada", "grace", "bob"] {
        session.sign_in("work", user);
    }
    session.stop_agent();
    session.wait_for("the end of the log", || !session.profile().join("larder.db-wal").exists());
    (session, provider)
}

fn database(session: &Session) -> PathBuf {
    session.profile().join("larder.db")
}

/// Writes over a part of a file.
fn damage(file: &Path, at: usize, bytes: &[u8]) {
    fs::OpenOptions::new().write(true).open(file).unwrap().write_all_at(bytes, at as u64).unwrap();
}

/// The databases that were set aside, without what lies beside them.
fn set_aside(session: &Session, name: &str) -> Vec<PathBuf> {
    let begins = format!("{name}.damaged-");
    let files = files_below(&session.profile()).into_iter();
    let names = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.filter(|path| names(path).starts_with(&begins) && names(path).ends_with('Z')).collect()
}

/// The accounts that give a token.
fn working(session: &Session) -> Vec<&'static str> {
    ["work", "work-2", "work-3"].into_iter().filter(|label| session.larder(&["token", label]).code == 0).collect()
}

/// What follows once the agent has met the damaged file: it is kept as it was, it is said until it is taken away, and what was
/// put back opens again.
fn is_kept_and_said(session: &Session, damaged: &[u8], whole: &[u8]) {
    let status = session.larder(&["status"]);
    assert_eq!(status.code, 9, "{status:?}");
    assert!(status.stdout.contains("was damaged, and is kept as"), "{status:?}");
    let kept = set_aside(session, "larder.db");
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(fs::read(&kept[0]).unwrap() == damaged, "what was set aside was changed");
    assert!(!session.profile().join("larder.salvage").exists() && !session.profile().join("larder.new").exists());
    // Another start says the same, and sets nothing aside.
    session.stop_agent();
    assert_eq!((session.larder(&["status"]).code, set_aside(session, "larder.db").len()), (9, 1));
    // The keys are where they were, so a copy of the person's own opens.
    session.stop_agent();
    fs::remove_file(&kept[0]).unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", database(session).display()));
    }
    fs::write(database(session), whole).unwrap();
    assert_eq!(working(session), ["work", "work-2", "work-3"]);
    assert_eq!(session.larder(&["status"]).code, 0);
}

/// Every page of the account's table itself, by number from 1.
fn account_pages(session: &Session) -> Vec<usize> {
    let code = "import sqlite3, sys\n\
                c = sqlite3.connect(sys.argv[1])\n\
                print(c.execute(\"select rootpage from sqlite_schema where name = 'account'\").fetchone()[0])";
    let path = database(session).display().to_string();
    let root: usize = session.ran("/usr/bin/python3", &["-c", code, &path]).trim().parse().unwrap();
    let bytes = fs::read(database(session)).unwrap();
    let page = &bytes[(root - 1) * PAGE..root * PAGE];
    // An interior page (5) names its children; a leaf (13) is all there is.
    if page[0] != 5 {
        return vec![root];
    }
    let cells = usize::from(u16::from_be_bytes([page[3], page[4]]));
    let number = |at: usize| u32::from_be_bytes(page[at..at + 4].try_into().unwrap()) as usize;
    let cell = |cell: usize| usize::from(u16::from_be_bytes([page[12 + 2 * cell], page[13 + 2 * cell]]));
    (0..cells).map(|place| number(cell(place))).chain([number(8)]).collect()
}

#[test]
fn a_damaged_page_of_accounts_takes_its_own_accounts_and_no_others() {
    let (session, provider) = signed_in();
    let pages = account_pages(&session);
    assert!(pages.len() > 1, "the accounts lie on {pages:?}");
    damage(&database(&session), (pages[0] - 1) * PAGE, &[0xa5; PAGE]);
    let damaged = fs::read(database(&session)).unwrap();
    let left = working(&session);
    assert!(!left.is_empty() && left.len() < 3, "{left:?} on {pages:?}");
    for label in left {
        session.larder(&["refresh", label]).ok();
    }
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    // Not put back here: a copy from before these refreshes would bring spent tokens back.
    assert_eq!(session.larder(&["status"]).code, 9);
    let kept = set_aside(&session, "larder.db");
    assert!(kept.len() == 1 && fs::read(&kept[0]).unwrap() == damaged);
}

#[test]
fn a_damaged_header_sets_all_aside_and_a_copy_that_is_put_back_opens() {
    let (session, _provider) = signed_in();
    let whole = fs::read(database(&session)).unwrap();
    damage(&database(&session), 0, &[0xa5; 100]);
    let damaged = fs::read(database(&session)).unwrap();
    assert_eq!(working(&session), [""; 0]);
    is_kept_and_said(&session, &damaged, &whole);
}

#[test]
fn a_database_that_was_cut_off_at_any_length_is_set_aside_and_never_taken_for_a_new_one() {
    for part in [0, 1, 3 * PAGE + 7] {
        let (session, _provider) = signed_in();
        let whole = fs::read(database(&session)).unwrap();
        fs::OpenOptions::new().write(true).open(database(&session)).unwrap().set_len(part as u64).unwrap();
        let damaged = fs::read(database(&session)).unwrap();
        session.larder(&["accounts"]).ok();
        assert_eq!(set_aside(&session, "larder.db").len(), 1, "cut off at {part}");
        is_kept_and_said(&session, &damaged, &whole);
    }
}

#[test]
fn one_flipped_bit_anywhere_harms_one_account_at_most_or_sets_the_file_aside() {
    let (session, _provider) = signed_in();
    let whole = fs::read(database(&session)).unwrap();
    let places = (0..8).map(|step| 100 + step * (whole.len() - 200) / 8);
    let mut all = 0;
    for place in places {
        let flipped = whole[place] ^ 0x40;
        damage(&database(&session), place, &[flipped]);
        let left = working(&session).len();
        // The first page and those that only lead to others are needed for all.
        let aside = !set_aside(&session, "larder.db").is_empty();
        assert!(left >= 2 || aside, "byte {place}: {left} accounts are left");
        all += usize::from(left == 3);
        session.stop_agent();
        for file in files_below(&session.profile()) {
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.starts_with("larder.db") {
                fs::remove_file(&file).unwrap();
            }
        }
        fs::write(database(&session), &whole).unwrap();
    }
    assert_eq!(working(&session).len(), 3);
    assert!(all >= 4, "of 8 places, all accounts went on after {all}");
}

#[test]
fn a_log_of_garbage_is_not_read_and_a_log_without_its_database_is_no_other_ones() {
    let (session, _provider) = signed_in();
    let log = session.profile().join("larder.db-wal");
    fs::write(&log, vec![0xa5; 5 * PAGE]).unwrap();
    assert_eq!(working(&session), ["work", "work-2", "work-3"]);
    session.kill_agent();
    // Its database is gone, and the log of what was written last is there: SQLite would give it to the next one.
    let bytes = fs::read(&log).unwrap();
    assert!(!bytes.is_empty());
    fs::remove_file(database(&session)).unwrap();
    let _ = fs::remove_file(session.profile().join("larder.db-shm"));
    let status = session.larder(&["status"]);
    assert!(status.code == 9 && status.stdout.contains("was damaged"), "{status:?}");
    let kept = set_aside(&session, "larder.db");
    assert!(fs::read(format!("{}-wal", kept[0].display())).unwrap() == bytes);
}

#[test]
fn a_damaged_audit_is_set_aside_and_accounts_go_on() {
    for (at, length) in [(0, 100), (PAGE, PAGE)] {
        let (session, _provider) = signed_in();
        let audit = session.profile().join("audit.db");
        damage(&audit, at, &vec![0xa5; length]);
        let damaged = fs::read(&audit).unwrap();
        assert_eq!(working(&session), ["work", "work-2", "work-3"]);
        let status = session.larder(&["status"]);
        assert!(status.code == 9 && status.stdout.contains("audit.db was damaged"), "{status:?}");
        let kept = set_aside(&session, "audit.db");
        assert!(kept.len() == 1 && fs::read(&kept[0]).unwrap() == damaged);
        session.larder(&["audit", "verify"]).ok();
        fs::remove_file(&kept[0]).unwrap();
        assert_eq!(session.larder(&["status"]).code, 0);
    }
}

#[test]
fn configuration_of_garbage_is_said_with_its_file_and_no_account_is_harmed() {
    let (session, _provider) = signed_in();
    for name in ["providers.toml", "config.toml"] {
        let file = session.profile().join(name);
        let before = fs::read(&file).ok();
        fs::write(&file, [0xff, 0xfe, 0, b'[', b'x']).unwrap();
        let status = session.larder(&["status"]);
        assert!(status.code == 8 && status.stdout.contains(name), "{status:?}");
        assert_eq!(working(&session), ["work", "work-2", "work-3"], "{name}");
        assert!(fs::read(&file).unwrap() == [0xff, 0xfe, 0, b'[', b'x']);
        match before {
            Some(before) => fs::write(&file, before).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
    }
    // A policy that cannot be read lets nobody have anything; a lock that cannot be read opens nothing.
    let policy = session.profile().join("policy.toml");
    fs::write(&policy, [0xff, 0xfe]).unwrap();
    let said = session.larder(&["token", "work"]).fails(8);
    assert!(said.contains("policy.toml"), "{said}");
    fs::write(&policy, "default = \"allow\"\n").unwrap();
    session.larder(&["token", "work"]).ok();
    session.stop_agent();
    fs::write(session.profile().join("locked"), [0xff, 0xfe]).unwrap();
    session.larder(&["token", "work"]).fails(6);
    session.larder(&["unlock"]).ok();
    assert_eq!(working(&session), ["work", "work-2", "work-3"]);
}

#[test]
fn a_sealed_value_of_another_account_or_of_an_older_generation_is_refused_and_others_are_not() {
    let (session, provider) = signed_in();
    let older: Vec<u8> = {
        let connection = rusqlite::Connection::open(database(&session)).unwrap();
        let read = "SELECT refresh_token FROM account WHERE label = 'work'";
        connection.query_row(read, [], |row| row.get(0)).unwrap()
    };
    session.larder(&["refresh", "work"]).ok();
    session.stop_agent();
    let connection = rusqlite::Connection::open(database(&session)).unwrap();
    connection.execute("UPDATE account SET refresh_token = ?1 WHERE label = 'work'", [&older]).unwrap();
    let from_another = "UPDATE account SET access_token = (SELECT access_token FROM account WHERE label = 'work-3') WHERE label = 'work-2'";
    connection.execute(from_another, []).unwrap();
    drop(connection);
    let before = provider.refreshes().len();
    for label in ["work", "work-2"] {
        let said = session.larder(&["refresh", label]).fails(3);
        assert!(said.contains("sign in again"), "{said}");
    }
    assert_eq!(provider.refreshes().len(), before, "something that was put back was sent");
    session.larder(&["token", "work-3"]).ok();
    session.larder(&["refresh", "work-3"]).ok();
}
