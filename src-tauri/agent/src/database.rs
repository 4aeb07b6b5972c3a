//! `larder.db`: opening it, its schema, and running work on it.

use crate::folders;
use larder_core::problem::Problem;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long SQLite waits for somebody else's lock (a backup, a curious `sqlite3`) before it answers "busy".
const BUSY: Duration = Duration::from_secs(2);

/// The longest database that is looked at as a whole at each start, in bytes, where it only says what happened: that takes 50 ms.
const MOST_LOOKED_AT: u64 = 16 * 1024 * 1024;

/// No database is shorter, in bytes: the least page that SQLite has. It takes a file of one byte for a new one.
const LEAST: u64 = 512;

/// The schema, one step a version. A step is never changed once it was released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
];

/// A SQLite file, used by one caller at a time.
#[derive(Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    path: Arc<PathBuf>,
}

impl Database {
    /// Opens `larder.db`, makes it where it is missing, looks whether it is whole, and brings its schema up to date.
    ///
    /// # Errors
    /// [`Problem::NewerSchema`], [`Problem::DatabaseDamaged`], [`Problem::DiskFull`], [`Problem::NotWritten`],
    /// [`Problem::UnsafePath`].
    pub fn open(path: &Path) -> Result<Self, Problem> {
        Self::open_at(path, MIGRATIONS, u64::MAX)
    }

    /// Opens a database with a schema of its own; whether it is whole is looked at up to [`MOST_LOOKED_AT`].
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open_with(path: &Path, migrations: &[&str]) -> Result<Self, Problem> {
        Self::open_at(path, migrations, MOST_LOOKED_AT)
    }

    fn open_at(path: &Path, migrations: &[&str], looked_at: u64) -> Result<Self, Problem> {
        let mut log = false;
        for suffix in BESIDE {
            log |= folders::own_if_there(&beside(path, suffix))?;
        }
        if !folders::own_if_there(path)? {
            // SQLite would take what another database left for this one's.
            if log {
                return Err(damaged(path, "its log is there without it"));
            }
            make(path, migrations)?;
        }
        // So that the file, and with it -wal and -shm, is private whatever the umask.
        let file = folders::private_file(path).map_err(|error| folders::cannot_write(path, &error))?;
        // It is made under another name, and gets its own once it is whole: SQLite would take an empty one for a new one.
        let length = file.metadata().map_err(|error| folders::cannot_write(path, &error))?.len();
        drop(file);
        if length < LEAST {
            return Err(damaged(path, "it is empty, or cut off"));
        }
        let open = || {
            let mut connection = Connection::open_with_flags(path, FLAGS)?;
            connection.busy_timeout(BUSY)?;
            // Before anything is written: what a newer Larder made is left as it is, and so is what is damaged.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
            let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
            if found > known {
                let file = path.display().to_string();
                return Ok(Err(Problem::NewerSchema { file, found, known }));
            }
            if length <= looked_at {
                let says: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
                if says != "ok" {
                    return Ok(Err(damaged(path, "its parts do not fit together")));
                }
            }
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            careful(&connection)?;
            connection.pragma_update(None, "foreign_keys", true)?;
            connection.pragma_update(None, "trusted_schema", false)?;
            migrate(&mut connection, migrations)?;
            Ok(Ok(connection))
        };
        let connection = open().map_err(|error| problem(path, &error))??;
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: Arc::new(path.to_owned()) })
    }

    /// Runs `work` in one transaction, off the async threads. All or nothing; what is returned is on the disk.
    ///
    /// # Errors
    /// [`Problem::DiskFull`], [`Problem::DatabaseDamaged`], or what `work` says.
    pub async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Transaction<'_>) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Problem> {
        self.run(move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
        .await
    }

    /// Empties the write-ahead log into the database and truncates it, so that what was overwritten is gone from both files.
    ///
    /// # Errors
    /// [`Problem::DiskFull`] where a reader keeps the log from being emptied: it is to be tried again.
    pub async fn truncate_log(&self) -> Result<(), Problem> {
        // The pragma answers "busy" in its row, not as an error.
        let busy: bool = self
            .run(|connection| Ok(connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?))
            .await?;
        if busy {
            let detail = "another program is reading it".to_owned();
            return Err(Problem::DiskFull { file: self.path.display().to_string(), detail });
        }
        Ok(())
    }

    /// Runs `work` on the connection, off the async threads.
    ///
    /// # Errors
    /// As [`Database::transact`].
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failed> + Send + 'static,
    ) -> Result<T, Problem> {
        let (connection, path) = (Arc::clone(&self.connection), Arc::clone(&self.path));
        let worked = tokio::task::spawn_blocking(move || {
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        })
        .await;
        match worked {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(Failed::Sqlite(error))) => Err(problem(&path, &error)),
            Ok(Err(Failed::Because(problem))) => Err(problem),
            Err(_) => Err(Problem::Internal { detail: "work on the database broke off".to_owned() }),
        }
    }
}

/// How a database is opened: for writing, and not through a symlink.
pub(crate) const FLAGS: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_NOFOLLOW);

/// The files that SQLite keeps beside a database.
pub(crate) const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The name of one of them.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn damaged(path: &Path, detail: &str) -> Problem {
    Problem::DatabaseDamaged { file: path.display().to_string(), detail: detail.to_owned() }
}

/// Makes `larder.db` anew under its own name, with what `fill` puts into it before.
///
/// # Errors
/// As [`Database::open`].
pub(crate) fn make_anew(
    path: &Path,
    fill: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    place: impl FnOnce() -> Result<(), Problem>,
) -> Result<(), Problem> {
    make_with(path, MIGRATIONS, fill, place)
}

fn make(path: &Path, migrations: &[&str]) -> Result<(), Problem> {
    make_with(path, migrations, |_| Ok(()), || Ok(()))
}

/// Makes a database beside its place, and gives it its name once it is whole and on the disk. `place` makes room first.
fn make_with(
    path: &Path,
    migrations: &[&str],
    fill: impl FnOnce(&mut Connection) -> rusqlite::Result<()>,
    place: impl FnOnce() -> Result<(), Problem>,
) -> Result<(), Problem> {
    let new = path.with_extension("new");
    let fails = |error: io::Error| folders::cannot_write(path, &error);
    // What an earlier try left.
    for file in [new.clone(), beside(&new, "-journal")] {
        match std::fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fails(error)),
            _ => {}
        }
    }
    drop(folders::private_file(&new).map_err(fails)?);
    let write = || {
        let mut connection = Connection::open_with_flags(&new, FLAGS)?;
        careful(&connection)?;
        migrate(&mut connection, migrations)?;
        fill(&mut connection)?;
        connection.close().map_err(|(_, error)| error)
    };
    let written = write().map_err(|error| problem(path, &error)).and_then(|()| place());
    if let Err(problem) = written {
        let _ = std::fs::remove_file(&new);
        return Err(problem);
    }
    let sync = |folder: &Path| std::fs::File::open(folder)?.sync_all();
    std::fs::rename(&new, path).and_then(|()| path.parent().map_or(Ok(()), sync)).map_err(fails)
}

/// Nothing that was written is lost when the power fails, and nothing that was overwritten stays.
fn careful(connection: &Connection) -> rusqlite::Result<()> {
    // In WAL mode NORMAL may lose the last commits, and with them a rotated token.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "secure_delete", true)
}

fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    for (version, step) in migrations.iter().enumerate().skip(found) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", version + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Why work on the database failed.
#[derive(Debug)]
pub enum Failed {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// For a reason of ours.
    Because(Problem),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        Self::Because(problem)
    }
}

/// The problem that stands for an error of SQLite. The error's own text may quote values, so only its code is told.
pub(crate) fn problem(path: &Path, error: &rusqlite::Error) -> Problem {
    let file = path.display().to_string();
    let code = error.sqlite_error_code();
    let detail = match error {
        rusqlite::Error::SqliteFailure(failure, _) => rusqlite::ffi::code_to_str(failure.extended_code).to_owned(),
        _ => "a value in it is not what it should be".to_owned(),
    };
    match code {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked,
        ) => Problem::DiskFull { file, detail },
        // A mistake of ours: the file is as good as before.
        Some(ErrorCode::ConstraintViolation) => Problem::Internal { detail },
        _ => Problem::DatabaseDamaged { file, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::account::GrantType;
    use larder_core::time::Now;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_as_it_is() {
        let folder = folder();
        let path = folder.path().join("larder.db");
        drop(Database::open_with(&path, &["CREATE TABLE a (x)", "CREATE TABLE b (x)"]).unwrap());
        let before = std::fs::read(&path).unwrap();
        assert_eq!(
            Database::open_with(&path, &["CREATE TABLE a (x)"]).err(),
            Some(Problem::NewerSchema { file: path.display().to_string(), found: 2, known: 1 })
        );
        assert!(std::fs::read(&path).unwrap() == before);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_older_schema() {
        let folder = folder();
        let path = folder.path().join("larder.db");
        drop(Database::open_with(&path, &["CREATE TABLE a (x)"]).unwrap());
        assert!(Database::open_with(&path, &["CREATE TABLE a (x)", "CREATE TABLE b (x); nonsense"]).is_err());
        let connection = Connection::open(&path).unwrap();
        let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
    }

    #[tokio::test]
    async fn an_account_from_before_there_were_others_is_a_persons() {
        let folder = folder();
        let path = folder.path().join("larder.db");
        drop(Database::open_with(&path, &MIGRATIONS[..1]).unwrap());
        let insert = |id: &str, column: &str, value: &str| {
            let connection = Connection::open(&path).unwrap();
            let statement = format!(
                "INSERT INTO account (id, provider, provider_account_id, type, issuer, client_id,
                   token_endpoint_auth_method, token_endpoint, generation, label, position, session, access_token{column})
                 VALUES ('{id}', 'work', '{id}', 'oauth', 'i', 'c', 'none', 't', 1, '{id}', 1, 'signed-in', x'00'{value})"
            );
            connection.execute(&statement, []).map(drop)
        };
        insert("ada", "", "").unwrap();
        let database = Database::open(&path).unwrap();
        insert("bot", ", grant_type", ", 'client_credentials'").unwrap();
        insert("other", ", grant_type", ", 'password'").unwrap_err();
        let accounts = crate::grants::all(&database, Now::default()).await.unwrap();
        let found = |id: &str| accounts.iter().find(|account| account.id.as_str() == id).unwrap();
        // Without a refresh token, a person has to come; a client has not.
        assert_eq!((found("ada").identity.grant_type, found("ada").refreshable), (GrantType::AuthorizationCode, false));
        assert_eq!((found("bot").identity.grant_type, found("bot").refreshable), (GrantType::ClientCredentials, true));
    }

    #[test]
    fn a_database_of_the_first_schema_keeps_its_accounts() {
        let folder = folder();
        let path = folder.path().join("larder.db");
        drop(Database::open_with(&path, &MIGRATIONS[..1]).unwrap());
        let connection = Connection::open(&path).unwrap();
        let row = "INSERT INTO account (id, provider, provider_account_id, type, issuer, client_id,
             token_endpoint_auth_method, token_endpoint, generation, label, position, session)
           VALUES ('a', 'p', 's', 'oidc', 'i', 'c', 'none', 't', 1, 'l', 1, 'signed-out')";
        connection.execute_batch(row).unwrap();
        drop(connection);
        drop(Database::open(&path).unwrap());
        let connection = Connection::open(&path).unwrap();
        let query = "SELECT label, resource FROM account";
        let row: (String, Option<String>) =
            connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(row, ("l".to_owned(), None));
    }

    #[test]
    fn a_file_that_is_no_database_is_left_as_it_is() {
        let folder = folder();
        let path = folder.path().join("larder.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(matches!(Database::open(&path).err(), Some(Problem::DatabaseDamaged { .. })));
        assert!(std::fs::read(&path).unwrap() == vec![b'x'; 8192]);
    }

    #[test]
    fn the_files_are_private_and_a_symlink_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder();
        let path = folder.path().join("larder.db");
        drop(Database::open(&path).unwrap());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(Database::open(&link).is_err());
    }
}
