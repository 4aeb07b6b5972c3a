//! A database that is damaged is set aside, whole and for good, and what can be read of it goes on in a new one.
//!
//! Its keys are in the keychain, so whatever comes back of it, by this or out of a person's own copy, opens again.

use crate::database::{BESIDE, FLAGS, beside, make_anew};
use crate::folders;
use larder_core::problem::Problem;
use larder_core::time::WallTime;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// What is between a database's name and the moment at which it was set aside.
const DAMAGED: &str = ".damaged-";

/// In this order, because the second is about the first.
const TABLES: [&str; 5] = ["account", "access_token", "client", "export", "imported"];

/// Sets `larder.db` aside and begins it anew with every row that can be read. Returns where the damaged one is.
///
/// # Errors
/// [`Problem::NotWritten`], [`Problem::DiskFull`]; then all is as it was.
pub fn begin_anew(path: &Path, now: WallTime) -> Result<PathBuf, Problem> {
    let copy = path.with_extension("salvage");
    let kept = free_name(path, now);
    // Reading a database writes beside it, and may write into it: so a copy is read.
    let copied = copy_of(path, &copy).map_err(|error| folders::cannot_write(&copy, &error));
    let made = copied.and_then(|()| {
        make_anew(
            path,
            |new| {
                let rows = transfer(&copy, new);
                tracing::warn!("{rows} rows of {} could be read", path.display());
                Ok(())
            },
            || put_aside(path, &kept).map_err(|error| folders::cannot_write(&kept, &error)),
        )
    });
    for file in whole(&copy) {
        let _ = std::fs::remove_file(file);
    }
    made.map(|()| kept)
}

/// Sets a database aside of which nothing is to go on. Returns where it is.
///
/// # Errors
/// [`Problem::NotWritten`].
pub fn set_aside(path: &Path, now: WallTime) -> Result<PathBuf, Problem> {
    let kept = free_name(path, now);
    let aside = put_aside(path, &kept).and_then(|()| remove(path));
    aside.map(|()| kept.clone()).map_err(|error| folders::cannot_write(&kept, &error))
}

/// The problem that says so, for each database beside `path` that was set aside and is still there.
pub fn kept(path: &Path) -> Vec<(PathBuf, Problem)> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let begins = format!("{name}{DAMAGED}");
    let entries = path.parent().and_then(|folder| std::fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(&begins) && !BESIDE.iter().any(|suffix| name.ends_with(suffix)))
    });
    let mut files: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
    files.sort();
    let said = |kept: PathBuf| {
        let problem = Problem::DatabaseSetAside { file: path.display().to_string(), kept: kept.display().to_string() };
        (kept, problem)
    };
    files.into_iter().map(said).collect()
}

fn whole(path: &Path) -> impl Iterator<Item = PathBuf> {
    let besides: Vec<PathBuf> = BESIDE.iter().map(|suffix| beside(path, suffix)).collect();
    std::iter::once(path.to_owned()).chain(besides)
}

/// A name that says when, and that nothing has.
fn free_name(path: &Path, now: WallTime) -> PathBuf {
    let moment = chrono::DateTime::from_timestamp_millis(now.0).unwrap_or_default().format("%Y-%m-%dT%H-%M-%SZ");
    let name = beside(path, &format!("{DAMAGED}{moment}"));
    let others = (2..).map(|number| beside(&name, &format!("-{number}")));
    let free = |name: &PathBuf| whole(name).all(|file| std::fs::symlink_metadata(file).is_err());
    std::iter::once(name.clone()).chain(others).find(free).unwrap_or(name)
}

fn copy_of(path: &Path, copy: &Path) -> io::Result<()> {
    remove(&beside(copy, "-shm"))?;
    for (from, to) in [(path.to_owned(), copy.to_owned()), (beside(path, "-wal"), beside(copy, "-wal"))] {
        remove(&to)?;
        match std::fs::File::open(&from) {
            Ok(mut from) => drop(io::copy(&mut from, &mut folders::private_file(&to)?)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a database its other name. Its own name stays until something takes it: a crash in between loses nothing.
fn put_aside(path: &Path, kept: &Path) -> io::Result<()> {
    // The log first: a new database must not find it.
    for suffix in BESIDE {
        match std::fs::rename(beside(path, suffix), beside(kept, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    match std::fs::hard_link(path, kept) {
        Ok(()) => Ok(()),
        // Its log alone was there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::write(kept, ""),
        // There are file systems without.
        Err(_) => io::copy(&mut std::fs::File::open(path)?, &mut folders::private_file(kept)?).map(drop),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Copies what can be read, row by row, and says how many rows that were.
fn transfer(from: &Path, to: &Connection) -> usize {
    let Ok(from) = Connection::open_with_flags(from, FLAGS) else { return 0 };
    // SQLite then reads on where the schema or the length of the file is not as it should be.
    let _ = from.pragma_update(None, "writable_schema", true);
    let _ = to.pragma_update(None, "foreign_keys", true);
    let both = |table: &str| {
        let known = columns(to, table);
        columns(&from, table).into_iter().filter(|column| known.contains(column)).collect::<Vec<_>>()
    };
    TABLES.iter().map(|table| transfer_table(&from, to, table, &both(table))).sum()
}

fn transfer_table(from: &Connection, to: &Connection, table: &str, columns: &[String]) -> usize {
    if columns.is_empty() {
        return 0;
    }
    let names = columns.iter().map(|column| format!("\"{column}\"")).collect::<Vec<_>>().join(", ");
    let places = vec!["?"; columns.len()].join(", ");
    let read = format!("SELECT {names} FROM {table} NOT INDEXED WHERE rowid = ?1");
    let write = format!("INSERT INTO {table} ({names}) VALUES ({places})");
    let moved = rowids(from, table).into_iter().filter(|rowid| {
        let row = from.query_row(&read, [rowid], |row| {
            (0..columns.len()).map(|column| Ok(lossy(row.get_ref(column)?))).collect::<rusqlite::Result<Vec<Value>>>()
        });
        // What does not fit the schema is not what it was.
        row.is_ok_and(|row| to.execute(&write, params_from_iter(row)).is_ok())
    });
    moved.count()
}

/// Every row that is known of: from the first on and from the last on, as far as either comes, and by the index.
fn rowids(connection: &Connection, table: &str) -> BTreeSet<i64> {
    let ways = [
        format!("SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid"),
        format!("SELECT rowid FROM {table} NOT INDEXED ORDER BY rowid DESC"),
        format!("SELECT rowid FROM {table} INDEXED BY sqlite_autoindex_{table}_1"),
    ];
    let mut found = BTreeSet::new();
    for way in ways {
        let Ok(mut statement) = connection.prepare(&way) else { continue };
        let Ok(mut rows) = statement.query([]) else { continue };
        while let Ok(Some(row)) = rows.next() {
            found.extend(row.get::<_, i64>(0));
        }
    }
    found
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    let read = || {
        let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()
    };
    read().unwrap_or_default()
}

/// A name with a letter that is none is still a name; what must be exact does not open then.
fn lossy(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Null => Value::Null,
    }
}
