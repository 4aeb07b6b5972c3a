//! What lies in a profile's databases while no agent runs, read from a copy, so that looking changes nothing.

use rusqlite::Connection;
use std::path::{Path, PathBuf};

/// The schema of `larder.db`, as the agent has it.
const SCHEMA: [&str; NEWEST] = [
    include_str!("../../../src-tauri/agent/src/schema/1.sql"),
    include_str!("../../../src-tauri/agent/src/schema/2.sql"),
    include_str!("../../../src-tauri/agent/src/schema/3.sql"),
    include_str!("../../../src-tauri/agent/src/schema/4.sql"),
];

/// Its newest version.
pub const NEWEST: usize = 4;

/// The first schema of `audit.db`.
const AUDIT: &str = include_str!("../../../src-tauri/agent/src/schema/audit-1.sql");

/// What matters of an account's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// How the session stands.
    pub session: String,
    /// Which credentials these are.
    pub generation: i64,
    /// Whether its refresh token may be with the provider.
    pub in_flight: bool,
    /// The export that it is in.
    pub moved: Option<String>,
    /// Sealed.
    pub refresh_token: Option<Vec<u8>>,
}

/// A database with what SQLite keeps beside it, copied.
fn copied(profile: &Path, file: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["", "-wal", "-journal"].map(|end| format!("{file}{end}")) {
        if profile.join(&name).exists() {
            std::fs::copy(profile.join(&name), folder.path().join(&name)).expect("a copy");
        }
    }
    let path = folder.path().join(file);
    (folder, path)
}

/// SQLite finds nothing wrong with it.
pub fn is_whole(profile: &Path, file: &str) {
    let (_folder, path) = copied(profile, file);
    if path.exists() {
        let connection = Connection::open(path).expect("a database");
        let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("an answer");
        assert_eq!(said, "ok", "{file}");
    }
}

/// The row of the account with this label.
pub fn row(profile: &Path, label: &str) -> Option<Row> {
    let (_folder, path) = copied(profile, "larder.db");
    let connection = Connection::open(path).expect("a database");
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    if version == 0 {
        return None;
    }
    let moved = if version < 4 { "NULL" } else { "moved" };
    let query = format!(
        "SELECT session, generation, in_flight IS NOT NULL, {moved}, refresh_token FROM account WHERE label = ?1"
    );
    let row = connection.query_row(&query, [label], |row| {
        Ok(Row {
            session: row.get(0)?,
            generation: row.get(1)?,
            in_flight: row.get(2)?,
            moved: row.get(3)?,
            refresh_token: row.get(4)?,
        })
    });
    match row {
        Ok(row) => Some(row),
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(error) => panic!("{error}"),
    }
}

/// An empty database of this schema.
fn made(path: &Path, schema: usize) -> Connection {
    let connection = Connection::open(path).expect("a database");
    for step in &SCHEMA[..schema] {
        connection.execute_batch(step).expect("a schema");
    }
    connection.pragma_update(None, "user_version", schema).expect("a version");
    connection
}

/// Puts databases of an older schema in the place of what is there: the account as it is, and an audit with one row.
pub fn downgrade(profile: &Path, schema: usize) {
    let (_folder, newest) = copied(profile, "larder.db");
    for entry in std::fs::read_dir(profile).expect("the profile").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("larder.db") || name.to_string_lossy().starts_with("audit.db") {
            std::fs::remove_file(entry.path()).expect("a database is taken away");
        }
    }
    let older = made(&profile.join("larder.db"), schema);
    let columns: Vec<String> = older
        .prepare("SELECT '\"' || name || '\"' FROM pragma_table_info('account')")
        .and_then(|mut columns| columns.query_map([], |row| row.get(0))?.collect())
        .expect("columns");
    let columns = columns.join(", ");
    older.execute("ATTACH ?1 AS newest", [newest.display().to_string()]).expect("the copy");
    let copy = format!("INSERT INTO account ({columns}) SELECT {columns} FROM newest.account");
    assert_eq!(older.execute(&copy, []).expect("the account"), 1);
    let audit = Connection::open(profile.join("audit.db")).expect("a database");
    audit.execute_batch(AUDIT).expect("a schema");
    audit.pragma_update(None, "user_version", 1).expect("a version");
    let event = "INSERT INTO event (at, kind, label) VALUES (1, 'signed-in', 'from an older audit')";
    audit.execute(event, []).expect("a row");
}

/// The database is, to the letter, as one of the schemas from `oldest` on makes it; which one.
pub fn schema_is_one_of(profile: &Path, oldest: usize) -> usize {
    let (folder, path) = copied(profile, "larder.db");
    let tables = |connection: &Connection| -> Vec<String> {
        let query = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
        let mut statement = connection.prepare(query).expect("a schema");
        statement.query_map([], |row| row.get(0)).expect("a schema").collect::<Result<_, _>>().expect("a schema")
    };
    let connection = Connection::open(path).expect("a database");
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("a version");
    assert!((oldest..=NEWEST).contains(&found), "schema {found}");
    assert_eq!(tables(&connection), tables(&made(&folder.path().join("whole.db"), found)), "schema {found}");
    found
}
