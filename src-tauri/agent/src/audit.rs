//! `audit.db`: what happened, written in groups on a thread of its own. Answers do not wait for it.

use crate::database::{Database, Failed};
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::time::WallTime;
use larder_core::view::{EventKind, EventView};
use rusqlite::named_params;
use std::path::Path;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Rows are on the disk within this time.
const GROUP: Duration = Duration::from_millis(100);

/// So many events wait at the most; past it, recording waits for the disk.
const QUEUE: usize = 4096;

const MIGRATIONS: &[&str] = &[include_str!("schema/audit-1.sql")];

/// What the writer is given.
enum Entry {
    /// Something happened.
    Event(Box<EventView>),
    /// Whoever sent this waits until all before it is on the disk.
    Flush(oneshot::Sender<()>),
    /// The name of this account is to go, from all before it too.
    Forget(AccountId),
}

/// The record of what happened.
pub struct Audit {
    database: Database,
    queue: mpsc::Sender<Entry>,
}

impl Audit {
    /// Opens `audit.db`.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let database = Database::open_with(path, MIGRATIONS)?;
        let (queue, entries) = mpsc::channel(QUEUE);
        tokio::spawn(write(database.clone(), entries));
        Ok(Self { database, queue })
    }

    /// Records an event; it is on the disk within [`GROUP`].
    pub async fn record(&self, event: EventView) {
        if self.queue.send(Entry::Event(Box::new(event))).await.is_err() {
            tracing::error!("the audit's writer ended");
        }
    }

    /// The newest events, oldest first.
    ///
    /// # Errors
    /// [`Problem::DatabaseDamaged`] and its kin.
    pub async fn newest(&self, limit: u32) -> Result<Vec<EventView>, Problem> {
        self.flush().await;
        self.database
            .run(move |connection| {
                let mut statement = connection.prepare(
                    "SELECT * FROM (SELECT rowid, at, kind, account, label, program, problem FROM event
                       ORDER BY rowid DESC LIMIT ?1) ORDER BY rowid",
                )?;
                let rows = statement.query_map([limit], |row| {
                    let problem: Option<String> = row.get("problem")?;
                    let kind: String = row.get("kind")?;
                    Ok(EventView {
                        at: WallTime(row.get("at")?),
                        kind: serde_json::from_value(kind.into()).unwrap_or(EventKind::PolicyChanged),
                        account: row.get::<_, Option<String>>("account")?.map(AccountId),
                        label: row.get("label")?,
                        program: row.get("program")?,
                        problem: problem.and_then(|problem| serde_json::from_str(&problem).ok()),
                    })
                })?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.queue.send(Entry::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// Removes the name of a forgotten account; what happened to its random id stays.
    pub async fn forget(&self, account: AccountId) {
        if self.queue.send(Entry::Forget(account)).await.is_err() {
            tracing::error!("the audit's writer ended");
        }
        self.flush().await;
    }

    /// Writes what is left.
    pub async fn close(&self) {
        self.flush().await;
    }
}

async fn write(database: Database, mut entries: mpsc::Receiver<Entry>) {
    // What could not be written yet, oldest first.
    let mut backlog: Vec<EventView> = Vec::new();
    while let Some(first) = entries.recv().await {
        let (mut waiting, mut forgotten) = (Vec::new(), Vec::new());
        let mut next = Some(first);
        let until = tokio::time::Instant::now() + GROUP;
        while let Some(entry) = next {
            match entry {
                Entry::Event(event) => backlog.push(*event),
                Entry::Flush(done) => waiting.push(done),
                Entry::Forget(account) => forgotten.push(account),
            }
            // Somebody who waits is not kept waiting for the group to fill.
            if !waiting.is_empty() || backlog.len() >= QUEUE {
                break;
            }
            next = tokio::time::timeout_at(until, entries.recv()).await.ok().flatten();
        }
        let group = backlog.clone();
        let forget = !forgotten.is_empty();
        let written = database
            .transact(move |transaction| {
                insert(transaction, &group)?;
                for account in forgotten {
                    // A problem's parameters name the account, too.
                    transaction.execute(
                        "UPDATE event SET label = NULL, problem = NULL WHERE account = ?1",
                        [account.as_str()],
                    )?;
                }
                Ok(())
            })
            .await;
        match written {
            Ok(()) => backlog.clear(),
            Err(problem) => {
                // Tokens go on being refreshed; the events are written with the next ones, as many as fit in memory.
                tracing::error!("the audit could not be written: {}", larder_core::words::sentence(&problem));
                let excess = backlog.len().saturating_sub(QUEUE);
                backlog.drain(..excess);
            }
        }
        if forget && let Err(problem) = database.truncate_log().await {
            tracing::warn!("{}", larder_core::words::sentence(&problem));
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}

fn insert(transaction: &rusqlite::Transaction<'_>, group: &[EventView]) -> Result<(), Failed> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO event (at, kind, account, label, program, problem)
         VALUES (:at, :kind, :account, :label, :program, :problem)",
    )?;
    for event in group {
        let kind = serde_json::to_value(event.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
        statement.execute(named_params! {
            ":at": event.at.0,
            ":kind": kind,
            ":account": event.account.as_ref().map(AccountId::as_str),
            ":label": event.label,
            ":program": event.program,
            ":problem": event.problem.as_ref().and_then(|problem| serde_json::to_string(problem).ok()),
        })?;
    }
    Ok(())
}
