//! The audit: what is recorded, and what of a change to it is seen. A real database, an injected clock, a keychain in memory.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as its test does")]

use larder_agent::audit::Audit;
use larder_agent::clock::Clock;
use larder_agent::keychain::{KeyStore, Keychain};
use larder_agent::settings::Store;
use larder_core::problem::{Problem, Why};
use larder_core::time::{BootTime, Now, WallTime};
use larder_core::view::{AuditHead, AuditReport, EventKind, EventView};
use rusqlite::Connection;
use secrecy::SecretString;
use std::collections::HashMap;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A clock that a test sets.
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Now {
        let ms = self.0.load(Ordering::SeqCst);
        Now { wall: WallTime(ms), boot: BootTime(ms) }
    }
}

/// A keychain in memory, that can be locked.
#[derive(Clone, Default)]
struct Memory {
    items: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    locked: Arc<AtomicBool>,
}

impl KeyStore for Memory {
    fn ready(&mut self) -> Result<(), Problem> {
        if self.locked.load(Ordering::SeqCst) { Err(Problem::KeychainLocked) } else { Ok(()) }
    }
    fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
        self.ready()
    }
    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        Ok(self.items.lock().unwrap().get(item).cloned().map(Zeroizing::new))
    }
    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
        self.items.lock().unwrap().insert(item.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn delete(&mut self, item: &str) -> Result<(), Problem> {
        self.items.lock().unwrap().remove(item);
        Ok(())
    }
}

/// A profile's folder with an audit in it.
struct Place {
    folder: tempfile::TempDir,
    clock: Arc<Set>,
    memory: Memory,
}

impl Place {
    fn new() -> Self {
        let clock = Arc::new(Set(AtomicI64::new(1_800_000_000_000)));
        Self { folder: tempfile::tempdir().unwrap(), clock, memory: Memory::default() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.db")
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    async fn open(&self) -> Audit {
        let memory = self.memory.clone();
        let keychain = Keychain::new(|| Some(Store::OsKeychain), move || Box::new(memory.clone()));
        let clock: Arc<dyn Clock> = self.clock.clone();
        Audit::open(&self.path(), clock, Arc::new(keychain), &self.journal()).await.unwrap()
    }

    /// As somebody does who has the file, and not Larder.
    fn sql(&self, statement: &str) {
        Connection::open(self.path()).unwrap().execute_batch(statement).unwrap();
    }

    fn count(&self, query: &str) -> i64 {
        Connection::open(self.path()).unwrap().query_row(query, [], |row| row.get(0)).unwrap()
    }

    fn event(&self, kind: EventKind, program: &str) -> EventView {
        EventView {
            account: Some("id-1".into()),
            label: Some("work".to_owned()),
            program: Some(program.to_owned()),
            scopes: vec!["openid".into(), "email".into()],
            problem: Some(Problem::SignInNeeded { account: "work".to_owned(), why: Why::Refused }),
            ..EventView::new(self.clock.now().wall, kind)
        }
    }

    /// An audit of five rows, closed.
    async fn five() -> Self {
        let place = Self::new();
        let audit = place.open().await;
        for program in ["/a", "/b", "/c", "/c", "/d", "/e"] {
            audit.record(place.event(EventKind::HandedOut, program));
        }
        audit.close().await;
        assert_eq!(place.count("SELECT count(*) FROM event WHERE hash IS NOT NULL"), 5);
        place
    }

    async fn verify(&self) -> Result<AuditReport, Problem> {
        self.open().await.verify(None).await
    }

    /// The first row that does not fit.
    async fn damaged_at(&self) -> i64 {
        match self.verify().await {
            Err(Problem::AuditDamaged { row, .. }) => row,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn the_whole_chain_fits_and_an_edit_of_any_column_shows_its_row() {
    let place = Place::five().await;
    let report = place.verify().await.unwrap();
    assert_eq!((report.rows, report.first, report.head.number, report.checkpoints), (5, 1, 5, 0));
    for edit in [
        "at = at + 1",
        "last = 0",
        "count = count + 1",
        "kind = 'refused'",
        "account = 'id-2'",
        "account = NULL",
        "program = '/usr/bin/git'",
        "program = NULL",
        "scopes = 'openid'",
        "label = 'home'",
        "label = NULL",
        "problem = NULL",
        "problem = '{\"code\":\"keychain-locked\"}'",
        "salt = zeroblob(16)",
        "names = zeroblob(32)",
        "hash = zeroblob(32)",
        "salt = NULL",
    ] {
        let place = Place::five().await;
        place.sql(&format!("UPDATE event SET {edit} WHERE number = 3"));
        assert_eq!(place.damaged_at().await, 3, "{edit}");
    }
}

#[tokio::test]
async fn a_row_that_is_deleted_moved_added_or_taken_out_of_the_chain_shows() {
    let place = Place::five().await;
    place.sql("DELETE FROM event WHERE number = 2");
    assert_eq!(place.damaged_at().await, 2);
    let place = Place::five().await;
    place.sql("DELETE FROM event WHERE number = 1");
    assert_eq!(place.damaged_at().await, 1);
    let place = Place::five().await;
    place.sql(
        "UPDATE event SET number = 99 WHERE number = 2; UPDATE event SET number = 2 WHERE number = 3;
         UPDATE event SET number = 3 WHERE number = 99",
    );
    assert_eq!(place.damaged_at().await, 2);
    let place = Place::five().await;
    place.sql("INSERT INTO event (number, at, kind, hash) VALUES (0, 0, 'revoked', zeroblob(32))");
    assert_eq!(place.damaged_at().await, 1);
    // One that is out of the chain is put in again where it does not belong.
    let place = Place::five().await;
    place.sql("UPDATE event SET hash = NULL, program = '/x' WHERE number = 2");
    assert_eq!(place.damaged_at().await, 2);
}

#[tokio::test]
async fn a_tail_that_is_cut_off_shows_by_a_noted_head_and_by_what_comes_next() {
    let place = Place::five().await;
    let noted = place.open().await.head().await.unwrap();
    place.sql("DELETE FROM event WHERE number = 5");
    let audit = place.open().await;
    // Nothing here says that there was one more.
    assert_eq!(audit.verify(None).await.unwrap().rows, 4);
    let missing = audit.verify(Some(noted.clone())).await;
    assert!(matches!(missing, Err(Problem::AuditDamaged { row: 5, .. })), "{missing:?}");
    audit.record(place.event(EventKind::SignedOut, "/f"));
    let next = audit.verify(None).await;
    assert!(matches!(next, Err(Problem::AuditDamaged { row: 5, .. })), "its number is not given twice: {next:?}");
}

#[tokio::test]
async fn a_rewrite_of_everything_shows_by_a_noted_head_alone() {
    let place = Place::five().await;
    let noted = place.open().await.head().await.unwrap();
    let other = Place::new();
    let audit = other.open().await;
    for program in ["/a", "/b", "/x", "/d", "/e", "/f"] {
        audit.record(other.event(EventKind::HandedOut, program));
    }
    audit.close().await;
    assert!(audit.verify(None).await.is_ok());
    let rewritten = audit.verify(Some(noted.clone())).await;
    assert!(matches!(rewritten, Err(Problem::AuditDamaged { row: 5, .. })), "{rewritten:?}");
    // What came after it was noted changes nothing.
    let audit = place.open().await;
    audit.record(place.event(EventKind::SignedOut, "/f"));
    assert_eq!(audit.verify(Some(noted)).await.unwrap().rows, 6);
    let nothing = AuditHead { number: 0, hash: "0".repeat(64) };
    assert!(audit.verify(Some(nothing)).await.is_ok());
}

#[tokio::test]
async fn ninety_days_are_kept_and_what_was_before_them_leaves_a_signed_checkpoint() {
    let place = Place::new();
    let audit = place.open().await;
    let mut first = None;
    for day in 0..100 {
        audit.record(place.event(EventKind::SignedIn, "/a"));
        audit.keep().await.unwrap();
        first = first.or(Some(audit.head().await.unwrap()));
        assert!(place.count("SELECT count(*) FROM event") <= 91, "day {day}");
        place.clock.0.fetch_add(DAY, Ordering::SeqCst);
    }
    let report = audit.verify(None).await.unwrap();
    assert_eq!((report.rows, report.first, report.head.number), (91, 10, 100));
    assert_eq!(place.count("SELECT count(*) FROM checkpoint WHERE pruned"), 1);
    let too_old = audit.verify(first).await;
    assert!(matches!(too_old, Err(Problem::BadRequest { .. })), "{too_old:?}");
    audit.close().await;
    // A checkpoint that only noted the time does not allow to remove what was before.
    place.sql("DELETE FROM event WHERE number <= 50");
    assert_eq!(place.damaged_at().await, 10);
    place.sql("UPDATE checkpoint SET pruned = 1 WHERE number = 50; DELETE FROM checkpoint WHERE number < 50");
    assert_eq!(place.damaged_at().await, 50);
    place.sql("DELETE FROM checkpoint");
    assert_eq!(place.damaged_at().await, 1);
}

#[tokio::test]
async fn a_forged_checkpoint_shows_and_a_locked_keychain_is_said() {
    let place = Place::five().await;
    let audit = place.open().await;
    audit.keep().await.unwrap();
    assert_eq!(audit.verify(None).await.unwrap().checkpoints, 1);
    for forged in ["mac = zeroblob(32)", "at = at + 1", "pruned = 1", "hash = zeroblob(32)"] {
        place.sql("CREATE TABLE kept AS SELECT * FROM checkpoint");
        place.sql(&format!("UPDATE checkpoint SET {forged}"));
        assert_eq!(place.damaged_at().await, 5, "{forged}");
        place.sql("DELETE FROM checkpoint; INSERT INTO checkpoint SELECT * FROM kept; DROP TABLE kept");
    }
    // Who recomputes all hashes still lacks the key.
    place.sql("DELETE FROM event WHERE number = 5");
    assert_eq!(place.damaged_at().await, 5);

    let place = Place::five().await;
    place.open().await.keep().await.unwrap();
    place.memory.locked.store(true, Ordering::SeqCst);
    let report = place.verify().await.unwrap();
    assert_eq!((report.rows, report.unchecked), (5, Some(Problem::KeychainLocked)));
    place.memory.locked.store(false, Ordering::SeqCst);
    place.memory.items.lock().unwrap().clear();
    assert_eq!(place.damaged_at().await, 5, "another key has signed nothing");
}

#[tokio::test]
async fn with_a_locked_keychain_rows_are_chained_and_stay_until_it_opens() {
    let place = Place::new();
    place.memory.locked.store(true, Ordering::SeqCst);
    let audit = place.open().await;
    audit.record(place.event(EventKind::SignedIn, "/a"));
    place.clock.0.fetch_add(91 * DAY, Ordering::SeqCst);
    audit.record(place.event(EventKind::SignedIn, "/a"));
    assert_eq!(audit.keep().await, Err(Problem::KeychainLocked));
    assert_eq!(audit.verify(None).await.unwrap().rows, 2);
    place.memory.locked.store(false, Ordering::SeqCst);
    audit.keep().await.unwrap();
    let report = audit.verify(None).await.unwrap();
    assert_eq!((report.rows, report.first, report.unchecked), (1, 2, None));
}

#[tokio::test]
async fn to_forget_takes_the_name_out_of_open_and_closed_rows_and_the_chain_fits() {
    let place = Place::five().await;
    let audit = place.open().await;
    audit.record(place.event(EventKind::HandedOut, "/open"));
    audit.forget("id-1".into()).await;
    let report = audit.verify(None).await.unwrap();
    assert_eq!(report.rows, 6);
    assert_eq!(place.count("SELECT count(*) FROM event WHERE label IS NOT NULL OR problem IS NOT NULL"), 0);
    assert_eq!(place.count("SELECT count(*) FROM event WHERE account = 'id-1'"), 6);
    audit.close().await;
    drop(audit);
    for file in std::fs::read_dir(place.folder.path()).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!content.windows(4).any(|bytes| bytes == b"work"), "a name is left");
    }
    // What is forgotten cannot be given another name.
    place.sql("UPDATE event SET label = 'home' WHERE number = 2");
    assert_eq!(place.damaged_at().await, 2);
}

#[test]
fn rows_that_a_crash_left_open_are_closed_by_the_next_run() {
    let place = Place::new();
    // Its end is the process's: what waits between two groups is never written, and nothing is still being written.
    let run = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let killed = run();
    killed.block_on(async {
        let audit = place.open().await;
        audit.record(place.event(EventKind::HandedOut, "/a"));
        audit.record(place.event(EventKind::HandedOut, "/a"));
        assert_eq!(audit.newest(9).await.unwrap()[0].count, 2);
        assert_eq!(place.count("SELECT count(*) FROM event WHERE hash IS NULL"), 1, "its minute is not over");
        audit.record(place.event(EventKind::HandedOut, "/lost"));
    });
    drop(killed);
    run().block_on(async {
        let audit = place.open().await;
        audit.record(place.event(EventKind::HandedOut, "/a"));
        let report = audit.verify(None).await.unwrap();
        assert!(report.rows >= 2, "{report:?}");
        assert_eq!(place.count("SELECT count(*) FROM event WHERE hash IS NULL"), 0);
    });
}

#[tokio::test]
async fn twenty_thousand_hand_outs_a_second_are_one_row_a_minute() {
    let place = Place::new();
    let audit = place.open().await;
    for _ in 0..50 {
        for _ in 0..2000 {
            audit.record(place.event(EventKind::HandedOut, "/usr/bin/git"));
        }
        assert_eq!(audit.newest(9).await.unwrap().len(), 1);
        place.clock.0.fetch_add(100, Ordering::SeqCst);
    }
    let rows = audit.newest(10_000).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.count).collect::<Vec<_>>(), [100_000]);
    assert_eq!(rows[0].last, Some(WallTime(rows[0].at.0 + 4_900)));
}

#[tokio::test]
async fn what_happens_while_nothing_can_be_written_is_written_later() {
    let place = Place::new();
    let audit = place.open().await;
    audit.record(place.event(EventKind::SignedIn, "/a"));
    audit.head().await.unwrap();
    // As long as somebody else writes, nobody can: SQLite gives up after a while.
    let other = Connection::open(place.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for program in ["/b", "/c", "/c"] {
        audit.record(place.event(EventKind::HandedOut, program));
    }
    assert!(matches!(audit.head().await, Err(Problem::DiskFull { .. })));
    audit.record(place.event(EventKind::SignedOut, "/d"));
    other.execute_batch("COMMIT").unwrap();
    let report = audit.verify(None).await.unwrap();
    assert_eq!(report.rows, 4);
    let kinds: Vec<_> = audit.newest(9).await.unwrap().into_iter().map(|row| (row.kind, row.count)).collect();
    let handed_out = EventKind::HandedOut;
    assert_eq!(
        kinds,
        [(EventKind::SignedIn, 1), (handed_out, 1), (handed_out, 2), (EventKind::SignedOut, 1)],
        "in their order"
    );
}

#[tokio::test]
async fn the_head_goes_to_the_journal_if_it_changed() {
    let place = Place::new();
    let journal = UnixDatagram::bind(place.journal()).unwrap();
    journal.set_nonblocking(true).unwrap();
    let audit = place.open().await;
    audit.keep().await.unwrap();
    let mut entry = vec![0; 4096];
    assert!(journal.recv(&mut entry).is_err(), "nothing happened, so there is no head");
    audit.record(place.event(EventKind::SignedIn, "/a"));
    audit.keep().await.unwrap();
    let length = journal.recv(&mut entry).unwrap();
    let head = audit.head().await.unwrap();
    let shown = format!("1:{}", head.hash);
    let holds = |wanted: &str| entry[..length].windows(wanted.len()).any(|bytes| bytes == wanted.as_bytes());
    assert!(holds(&format!("LARDER_AUDIT_HEAD\n{}\0\0\0\0\0\0\0{shown}\n", '\u{42}')), "66 bytes, with their length");
    assert!(holds("SYSLOG_IDENTIFIER\n") && !holds("/a"));
}

#[tokio::test]
async fn events_of_before_there_was_a_chain_are_put_into_it() {
    let place = Place::new();
    let schema = include_str!("../src/schema/audit-1.sql");
    place.sql(&format!("{schema}; PRAGMA user_version = 1"));
    place.sql("INSERT INTO event VALUES (5, 'signed-in', 'id-1', 'work', NULL, NULL), (6, 'refreshed', NULL, NULL, NULL, NULL)");
    let audit = place.open().await;
    assert_eq!(audit.verify(None).await.unwrap().rows, 2);
    let rows = audit.newest(9).await.unwrap();
    assert_eq!((rows[0].kind, rows[0].label.as_deref(), rows[1].at), (EventKind::SignedIn, Some("work"), WallTime(6)));
    place.sql("UPDATE event SET label = 'home' WHERE number = 1");
    assert!(audit.verify(None).await.is_err());
}
