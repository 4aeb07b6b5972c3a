//! `audit.db`: what happened, written in groups on a task of its own. Answers do not wait for it.
//!
//! A row is written within 100 ms and grows for a minute while the same happens again; then it is put into the chain
//! ([`chain`]) and does not change any more. Every hour in which something happened the chain's head goes to the system's
//! journal and is signed, and what is older than 90 days goes.

pub mod chain;
pub mod journal;
mod rows;
mod waiting;

use crate::clock::Clock;
use crate::database::Database;
use crate::keychain::Keychain;
use crate::salvage;
use crate::seal::DataKey;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::protocol::AuditFilter;
use larder_core::time::{WallTime, millis};
use larder_core::view::{AuditHead, AuditReport, AuditRow, EventView, LastUse};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use waiting::{MINUTE, Waiting};

/// Rows are on the disk within this time.
const GROUP: Duration = Duration::from_millis(100);

/// After a write that failed, the next try; what happened waits in memory.
const RETRY: Duration = Duration::from_secs(5);

/// The head is noted so often, if it changed.
const NOTE: Duration = Duration::from_secs(60 * 60);

/// At the start, the head is not noted before this: the keychain may not be open yet.
const SETTLE: Duration = Duration::from_secs(60);

/// So long a row is kept.
pub const KEPT: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// The keychain's item that signs checkpoints.
const ITEM: &str = "audit";

const MIGRATIONS: &[&str] = &[include_str!("schema/audit-1.sql"), include_str!("schema/audit-2.sql")];

/// What the writer is told.
enum Command {
    /// Write all that waits, and say how that went.
    Write,
    /// The same, and put it into the chain.
    Close,
    /// The name of this account is to go, from all before it too.
    Forget(AccountId),
    /// Note the head, sign it, and let go of what is too old.
    Keep,
}

type Told = (Command, oneshot::Sender<Result<(), Problem>>);

/// The record of what happened.
pub struct Audit {
    database: Database,
    keychain: Arc<Keychain>,
    waiting: Arc<Mutex<Waiting>>,
    bell: Arc<Notify>,
    writer: mpsc::Sender<Told>,
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Audit {
    /// Opens `audit.db`. The keychain signs checkpoints; the head is noted at the journal's socket, where there is one. One
    /// that is damaged is set aside, and another one begun: accounts go on without it.
    ///
    /// # Errors
    /// As [`Database::open`], but for a damaged one.
    pub async fn open(
        path: &Path,
        clock: Arc<dyn Clock>,
        keychain: Arc<Keychain>,
        journal: &Path,
    ) -> Result<Self, Problem> {
        let open = || Self::open_once(path, Arc::clone(&clock), Arc::clone(&keychain), journal);
        match open().await {
            Err(Problem::DatabaseDamaged { file, detail }) => {
                let kept = salvage::set_aside(path, clock.now().wall)?;
                tracing::error!("{file} is damaged ({detail}), and kept as {}", kept.display());
                open().await
            }
            opened => opened,
        }
    }

    async fn open_once(
        path: &Path,
        clock: Arc<dyn Clock>,
        keychain: Arc<Keychain>,
        journal: &Path,
    ) -> Result<Self, Problem> {
        let database = Database::open_with(path, MIGRATIONS)?;
        let (writer, told) = mpsc::channel(16);
        let (waiting, bell) = (Arc::<Mutex<Waiting>>::default(), Arc::<Notify>::default());
        let mut writing = Writer {
            database: database.clone(),
            keychain: Arc::clone(&keychain),
            clock,
            journal: journal.to_owned(),
            waiting: Arc::clone(&waiting),
            bell: Arc::clone(&bell),
            close_at: None,
            note_at: None,
            retry_at: None,
        };
        // A run that was cut off leaves rows open; their minute is over. Where nothing can be written, that waits.
        match database.transact(|transaction| chain::close_rows(transaction)).await {
            Err(problem @ Problem::DatabaseDamaged { .. }) => return Err(problem),
            Err(_) => writing.close_at = Some(Instant::now() + RETRY),
            Ok(_) => {}
        }
        writing.note_at = writing.first_note().await?;
        tokio::spawn(writing.run(told));
        Ok(Self { database, keychain, waiting, bell, writer })
    }

    /// Records an event; it is on the disk within [`GROUP`].
    pub fn record(&self, event: EventView) {
        lock(&self.waiting).add(event);
        self.bell.notify_one();
    }

    /// The newest events, oldest first.
    ///
    /// # Errors
    /// [`Problem::DatabaseDamaged`] and its kin.
    pub async fn newest(&self, limit: u32) -> Result<Vec<EventView>, Problem> {
        let rows = self.list(AuditFilter { limit, ..AuditFilter::default() }, None).await?;
        Ok(rows.into_iter().map(|row| row.event).collect())
    }

    /// Rows, oldest first. `account` is the id of the account that the filter names, where there is one.
    ///
    /// # Errors
    /// [`Problem::DatabaseDamaged`] and its kin.
    pub async fn list(&self, filter: AuditFilter, account: Option<AccountId>) -> Result<Vec<AuditRow>, Problem> {
        // What is there can be read where nothing can be written.
        let _ = self.tell(Command::Write).await;
        self.database.run(move |connection| rows::list(connection, &filter, account.as_ref())).await
    }

    /// The last hand-out of each account.
    ///
    /// # Errors
    /// [`Problem::DatabaseDamaged`] and its kin.
    pub async fn last_uses(&self) -> Result<Vec<LastUse>, Problem> {
        let _ = self.tell(Command::Write).await;
        self.database.run(|connection| rows::last_uses(connection)).await
    }

    /// Looks whether every row is as it was written, and as it was when a head was noted.
    ///
    /// # Errors
    /// [`Problem::AuditDamaged`] with the first row that does not fit; [`Problem::BadRequest`] for a noted head of a row
    /// that is kept no more; [`Problem::DatabaseDamaged`] and its kin.
    pub async fn verify(&self, noted: Option<AuditHead>) -> Result<AuditReport, Problem> {
        let _ = self.tell(Command::Close).await;
        // The key is asked for where it is needed: without checkpoints, there may be none.
        let signed = self.database.run(|connection| Ok(connection.query_row(SIGNED, [], |row| row.get(0))?)).await?;
        let (key, unchecked) = match signed {
            false => (None, None),
            true => match self.keychain.key(&AccountId::from(ITEM)).await {
                Ok(Some(key)) => (Some(key), None),
                // Then nothing that is signed was signed with it.
                Ok(None) => (Some(random_key()?), None),
                Err(problem) => (None, Some(problem)),
            },
        };
        let mut walk = self.database.run(move |connection| chain::Walk::begin(connection, key.as_ref(), noted)).await?;
        loop {
            let more;
            (walk, more) = self
                .database
                .run(move |connection| {
                    let more = walk.on(connection)?;
                    Ok((walk, more))
                })
                .await?;
            if !more {
                break;
            }
        }
        self.database
            .run(move |connection| {
                walk.end()?;
                let head = chain::shown_head(connection)?;
                let (rows, first, checkpoints) = (walk.rows, walk.first, walk.checkpoints());
                Ok(AuditReport { rows, first, head, checkpoints, unchecked })
            })
            .await
    }

    /// The head, with all that happened so far.
    ///
    /// # Errors
    /// [`Problem::DiskFull`] and its kin.
    pub async fn head(&self) -> Result<AuditHead, Problem> {
        self.tell(Command::Close).await?;
        self.database.run(|connection| chain::shown_head(connection)).await
    }

    /// Removes the name of a forgotten account; what happened to its random id stays.
    pub async fn forget(&self, account: AccountId) {
        lock(&self.waiting).forget(&account);
        if let Err(problem) = self.tell(Command::Forget(account)).await {
            tracing::warn!("{}", larder_core::words::sentence(&problem));
        }
    }

    /// Notes the head, signs it, and lets go of what is too old: what is done every hour.
    ///
    /// # Errors
    /// [`Problem::DiskFull`], [`Problem::KeychainLocked`] and their kin; then it is tried again in an hour.
    pub async fn keep(&self) -> Result<(), Problem> {
        self.tell(Command::Keep).await
    }

    /// Writes what is left, all of it in the chain.
    pub async fn close(&self) {
        lock(&self.waiting).end();
        if let Err(problem) = self.tell(Command::Close).await {
            tracing::error!("the audit could not be written: {}", larder_core::words::sentence(&problem));
        }
    }

    async fn tell(&self, command: Command) -> Result<(), Problem> {
        let ended = || Problem::Internal { detail: "the audit's writer ended".to_owned() };
        let (answer, answered) = oneshot::channel();
        self.writer.send((command, answer)).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

const SIGNED: &str = "SELECT EXISTS (SELECT 1 FROM checkpoint)";

fn random_key() -> Result<DataKey, Problem> {
    DataKey::random().map_err(|_| Problem::Internal { detail: "the system has no random numbers".to_owned() })
}

/// The task that writes.
struct Writer {
    database: Database,
    keychain: Arc<Keychain>,
    clock: Arc<dyn Clock>,
    journal: PathBuf,
    waiting: Arc<Mutex<Waiting>>,
    bell: Arc<Notify>,
    /// When the open rows' minute is over.
    close_at: Option<Instant>,
    /// When the head is noted.
    note_at: Option<Instant>,
    /// When it is written again what could not be.
    retry_at: Option<Instant>,
}

impl Writer {
    async fn run(mut self, mut told: mpsc::Receiver<Told>) {
        let bell = Arc::clone(&self.bell);
        loop {
            // With nothing to do, nothing wakes up.
            let due = [self.close_at, self.note_at, self.retry_at].into_iter().flatten().min();
            let wait = async {
                match due {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let told = tokio::select! {
                told_now = told.recv() => match told_now {
                    Some(told) => Some(told),
                    None => return,
                },
                () = bell.notified() => {
                    // Others come with it; somebody who waits is not kept waiting for them.
                    tokio::select! {
                        told = told.recv() => told,
                        () = tokio::time::sleep(GROUP) => None,
                    }
                }
                () = wait => None,
            };
            match told {
                Some((command, answer)) => {
                    let result = match command {
                        Command::Write => self.write(false).await,
                        Command::Close => self.write(true).await,
                        Command::Forget(account) => self.forget(account).await,
                        Command::Keep => self.keep().await,
                    };
                    let _ = answer.send(result);
                }
                None => self.what_is_due().await,
            }
        }
    }

    async fn what_is_due(&mut self) {
        let now = Instant::now();
        let over = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let result = if over(self.note_at) {
            self.keep().await
        } else {
            let close = over(self.close_at);
            self.write(close).await
        };
        if let Err(problem) = result {
            // Tokens go on being refreshed; what happened waits, as much of it as fits.
            tracing::error!("the audit could not be kept: {}", larder_core::words::sentence(&problem));
        }
    }

    /// Writes what waits; with `close`, puts every row into the chain.
    async fn write(&mut self, close: bool) -> Result<(), Problem> {
        let (rows, lost) = {
            let mut waiting = lock(&self.waiting);
            (if close { waiting.take() } else { waiting.changed() }, waiting.lost())
        };
        if lost > 0 {
            tracing::error!("{lost} rows of the audit could not be written in time and are lost");
        }
        if rows.is_empty() && !close {
            self.retry_at = None;
            return Ok(());
        }
        let batch = rows.clone();
        let written = self
            .database
            .transact(move |transaction| {
                let written = rows::write(transaction, &batch)?;
                let closed = if close { chain::close_rows(transaction)? } else { 0 };
                Ok((written, closed))
            })
            .await;
        let now = Instant::now();
        match written {
            Ok((written, closed)) => {
                self.retry_at = None;
                if close {
                    self.close_at = None;
                } else {
                    lock(&self.waiting).wrote(written);
                }
                if closed > 0 {
                    self.note_at.get_or_insert(now + NOTE);
                }
                if !lock(&self.waiting).is_empty() {
                    self.close_at.get_or_insert(now + MINUTE);
                }
                Ok(())
            }
            Err(problem) => {
                if close {
                    lock(&self.waiting).put_back(rows);
                    self.close_at = Some(now + RETRY);
                }
                self.retry_at = Some(now + RETRY);
                Err(problem)
            }
        }
    }

    async fn forget(&mut self, account: AccountId) -> Result<(), Problem> {
        // Those that wait have lost it already; writing them must not keep the others from losing it.
        let written = self.write(false).await;
        self.database.transact(move |transaction| rows::forget(transaction, &account)).await?;
        self.database.truncate_log().await?;
        written
    }

    /// When the head is to be noted first, after a start: an hour after the oldest row that was not.
    async fn first_note(&self) -> Result<Option<Instant>, Problem> {
        let query = "SELECT min(at) FROM event WHERE number > (SELECT coalesce(max(number), 0) FROM checkpoint)";
        let oldest: Option<i64> =
            self.database.run(move |connection| Ok(connection.query_row(query, [], |row| row.get(0))?)).await?;
        let after = oldest.map(|at| at.saturating_add(millis(NOTE)).saturating_sub(self.clock.now().wall.0));
        let after = after.map(|left| Duration::from_millis(u64::try_from(left).unwrap_or_default()));
        Ok(after.map(|after| Instant::now() + after.clamp(SETTLE, NOTE)))
    }

    async fn keep(&mut self) -> Result<(), Problem> {
        self.note_at = Some(Instant::now() + NOTE);
        self.write(true).await?;
        let head = self.database.run(|connection| chain::shown_head(connection)).await?;
        if head.number == 0 {
            self.note_at = None;
            return Ok(());
        }
        let shown = format!("{}:{}", head.number, head.hash);
        let message = format!("The head of Larder's audit: {shown}");
        // Where there is no journal, there is none.
        let fields = [("MESSAGE", message.as_str()), ("LARDER_AUDIT_HEAD", &shown)];
        if let Err(error) = journal::write(&self.journal, &fields) {
            tracing::debug!("the audit's head is not in the journal: {}", error.kind());
        }
        let key = self.key().await?;
        let now = self.clock.now().wall;
        let before = WallTime(now.0.saturating_sub(millis(KEPT)));
        let gone = self
            .database
            .transact(move |transaction| {
                let gone = chain::prune(transaction, &key, before, now)?;
                chain::sign(transaction, &key, now)?;
                Ok(gone)
            })
            .await?;
        self.note_at = None;
        if gone > 0 {
            tracing::info!("{gone} rows of the audit were older than 90 days and are removed");
            self.database.truncate_log().await?;
        }
        Ok(())
    }

    /// The key that signs; made where there is none. Asks nobody for anything.
    async fn key(&self) -> Result<DataKey, Problem> {
        self.keychain.key_or_new(&AccountId::from(ITEM)).await
    }
}
