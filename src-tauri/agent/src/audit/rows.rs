//! The rows of `audit.db`, written and listed.

use super::chain;
use super::waiting::Open;
use crate::database::Failed;
use crate::grants;
use larder_core::names::{AccountId, Scope};
use larder_core::protocol::{AuditFilter, MOST_ROWS};
use larder_core::time::WallTime;
use larder_core::view::{AuditRow, EventKind, EventView, LastUse};
use rusqlite::{Connection, Row, named_params, params};

fn name(kind: EventKind) -> Option<String> {
    serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned))
}

/// Writes rows, new ones or grown ones. Returns each one's number and count.
///
/// # Errors
/// As SQLite says.
pub fn write(transaction: &Connection, rows: &[(u64, Open)]) -> Result<Vec<(u64, i64, u32)>, Failed> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO event (at, last, count, kind, account, program, scopes, label, problem, salt)
         VALUES (:at, :last, :count, :kind, :account, :program, :scopes, :label, :problem, :salt) RETURNING number",
    )?;
    let mut update = transaction.prepare_cached("UPDATE event SET last = ?2, count = ?3 WHERE number = ?1")?;
    let mut written = Vec::with_capacity(rows.len());
    for (id, Open { number, event, .. }) in rows {
        let last = event.last.map(|last| last.0);
        let number = match number {
            Some(number) => {
                update.execute(params![number, last, event.count])?;
                *number
            }
            None => {
                let scopes = event.scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
                let salt = chain::salt()?;
                let values = named_params! {
                    ":at": event.at.0,
                    ":last": last,
                    ":count": event.count,
                    ":kind": name(event.kind),
                    ":account": event.account.as_ref().map(AccountId::as_str),
                    ":program": event.program,
                    ":scopes": (!scopes.is_empty()).then_some(scopes),
                    ":label": event.label,
                    ":problem": event.problem.as_ref().and_then(|problem| serde_json::to_string(problem).ok()),
                    ":salt": salt.as_slice(),
                };
                insert.query_row(values, |row| row.get(0))?
            }
        };
        written.push((*id, number, event.count));
    }
    Ok(written)
}

/// Takes an account's name away: out of a problem too, whose parameters name it. Without its salt, what the chain has of
/// them says nothing.
///
/// # Errors
/// As SQLite says.
pub fn forget(transaction: &Connection, account: &AccountId) -> Result<(), Failed> {
    transaction
        .execute("UPDATE event SET label = NULL, problem = NULL, salt = NULL WHERE account = ?1", [account.as_str()])?;
    Ok(())
}

/// The newest rows that fit, oldest first.
///
/// # Errors
/// As SQLite says.
pub fn list(
    connection: &Connection,
    filter: &AuditFilter,
    account: Option<&AccountId>,
) -> Result<Vec<AuditRow>, Failed> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM (SELECT number, at, last, count, kind, account, program, scopes, label, problem FROM event
           WHERE (:account IS NULL OR account IN (:account, :id) OR label = :account)
             AND (:program IS NULL OR program = :program OR substr(program, -length(:program) - 1) = '/' || :program)
             AND (:kind IS NULL OR kind = :kind)
             AND (:since IS NULL OR coalesce(last, at) >= :since)
           ORDER BY number DESC LIMIT :limit) ORDER BY number",
    )?;
    let values = named_params! {
        ":account": filter.account,
        ":id": account.map(AccountId::as_str),
        ":program": filter.program,
        ":kind": filter.kind.and_then(name),
        ":since": filter.since.map(|since| since.0),
        ":limit": filter.limit.min(MOST_ROWS),
    };
    Ok(statement.query_map(values, read)?.collect::<Result<_, _>>()?)
}

/// The last hand-out of each account.
///
/// # Errors
/// As SQLite says.
pub fn last_uses(connection: &Connection) -> Result<Vec<LastUse>, Failed> {
    // SQLite takes the other columns from the row that has the maximum.
    let mut statement = connection.prepare_cached(
        "SELECT account, program, max(coalesce(last, at)) AS used FROM event
         WHERE kind = 'handed-out' AND account IS NOT NULL GROUP BY account",
    )?;
    let read = |row: &Row<'_>| {
        Ok(LastUse {
            account: AccountId(row.get("account")?),
            program: row.get::<_, Option<String>>("program")?.unwrap_or_default(),
            at: WallTime(row.get("used")?),
        })
    };
    Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let problem: Option<String> = row.get("problem")?;
    let kind: String = row.get("kind")?;
    let scopes: Option<String> = row.get("scopes")?;
    // What a newer Larder wrote has no name here.
    let kind = serde_json::from_value(kind.into()).unwrap_or(EventKind::PolicyChanged);
    let event = EventView {
        account: row.get::<_, Option<String>>("account")?.map(AccountId),
        label: row.get("label")?,
        program: row.get("program")?,
        scopes: grants::split(&scopes.unwrap_or_default()),
        problem: problem.and_then(|problem| serde_json::from_str(&problem).ok()),
        count: row.get("count")?,
        last: row.get::<_, Option<i64>>("last")?.map(WallTime),
        ..EventView::new(WallTime(row.get("at")?), kind)
    };
    Ok(AuditRow { number: row.get("number")?, event })
}
