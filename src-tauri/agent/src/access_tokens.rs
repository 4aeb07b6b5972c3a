//! The rows of `access_token`: further access tokens of a grant, each sealed for its account, part and generation.

use crate::database::{Database, Failed};
use crate::grants::{NotOpened, boot_id, moment, sealed};
use crate::seal::{DataKey, Place, Unreadable, open, seal};
use larder_core::account::{Access, parts::MOST};
use larder_core::effect::Grant;
use larder_core::names::{AccountId, Generation, Part};
use larder_core::problem::Problem;
use larder_core::time::{Now, WallTime, millis};
use rusqlite::{Connection, OptionalExtension, Transaction, named_params};
use secrecy::{ExposeSecret, SecretString};

/// One that is kept.
#[derive(Debug)]
pub struct Kept {
    /// The token.
    pub access_token: SecretString,
    /// `Bearer`, or `DPoP`.
    pub token_type: String,
    /// The scope that came back; what was asked for, where none did.
    pub scope: Option<String>,
    /// When it ends.
    pub expires_at: Option<WallTime>,
}

/// What a sealed one is bound to beside its account, issuer, client and generation. The length before the resource keeps
/// apart what would read the same.
fn column(part: &Part) -> String {
    format!("access_token.sealed {} {} {}", part.resource.len(), part.resource, part.scope)
}

/// The facts about all that are kept.
///
/// # Errors
/// SQLite's.
pub fn facts(
    connection: &Connection,
    boot: Option<&str>,
    now: Now,
) -> rusqlite::Result<Vec<(AccountId, Part, Access)>> {
    let mut statement = connection.prepare(
        "SELECT access_token.account AS account, access_token.resource AS resource, access_token.scope AS scope, access_token.expires_at AS expires_at,
           access_token.lifetime AS lifetime, access_token.boot_id AS boot_id, access_token.expires_boot AS expires_boot, generation
         FROM access_token JOIN account ON account.id = access_token.account",
    )?;
    let rows = statement.query_map([], |row| {
        let part = Part { resource: row.get("resource")?, scope: row.get("scope")? };
        let issued = Generation(row.get("generation")?);
        let access =
            Access { expires: moment(row, boot, now)?, lifetime: row.get("lifetime")?, issued, ..Access::default() };
        Ok((AccountId(row.get("account")?), part, access))
    })?;
    rows.collect()
}

/// Reads and opens one; `None` where it is not there.
///
/// # Errors
/// [`NotOpened`].
pub async fn read(
    database: &Database,
    account: AccountId,
    key: DataKey,
    part: Part,
) -> Result<Option<Kept>, NotOpened> {
    let read = database
        .run(move |connection| {
            let of = sealed(connection, &account)?;
            let query = "SELECT sealed, token_type, granted, expires_at FROM access_token
                         WHERE account = ?1 AND resource = ?2 AND scope = ?3";
            let row = connection.query_row(query, [account.as_str(), &part.resource, &part.scope], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?, row.get::<_, Option<i64>>(3)?))
            });
            let Some((bytes, token_type, scope, expires_at)) = row.optional()? else { return Ok(Ok(None)) };
            Ok(opened(&key, of.place(&account, &column(&part)), &bytes).map(|access_token| {
                Some(Kept { access_token, token_type, scope, expires_at: expires_at.map(WallTime) })
            }))
        })
        .await;
    Ok(read.map_err(NotOpened::Because)??)
}

/// All tokens that open, to be revoked.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn all(database: &Database, account: AccountId, key: DataKey) -> Result<Vec<SecretString>, Problem> {
    database
        .run(move |connection| {
            let of = sealed(connection, &account)?;
            let rows = rows(connection, &account)?;
            Ok(rows
                .into_iter()
                .filter_map(|(part, bytes)| opened(&key, of.place(&account, &column(&part)), &bytes).ok())
                .collect())
        })
        .await
}

fn rows(connection: &Connection, account: &AccountId) -> Result<Vec<(Part, Vec<u8>)>, Failed> {
    let mut statement = connection.prepare("SELECT resource, scope, sealed FROM access_token WHERE account = ?1")?;
    let rows = statement
        .query_map([account.as_str()], |row| Ok((Part { resource: row.get(0)?, scope: row.get(1)? }, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn opened(key: &DataKey, place: Place<'_>, bytes: &[u8]) -> Result<SecretString, Unreadable> {
    let plain = open(key, place, bytes)?;
    Ok(SecretString::from(std::str::from_utf8(&plain).map_err(|_| Unreadable)?))
}

fn not_sealed(_: Unreadable) -> Problem {
    Problem::Internal { detail: "sealing failed".to_owned() }
}

/// Seals what is kept for another generation than `from`, which the account's row has had so far; what does not open goes.
///
/// # Errors
/// SQLite's.
pub fn seal_anew(
    transaction: &Transaction<'_>,
    account: &AccountId,
    key: &DataKey,
    from: Place<'_>,
    to: Generation,
) -> Result<(), Failed> {
    for (part, bytes) in rows(transaction, account)? {
        let column = column(&part);
        let place = Place { column: &column, ..from };
        let at = [account.as_str(), &part.resource, &part.scope];
        match open(key, place, &bytes) {
            Ok(plain) => {
                let bytes = seal(key, Place { generation: to.0, ..place }, &plain).map_err(not_sealed)?;
                let statement =
                    "UPDATE access_token SET sealed = ?4 WHERE account = ?1 AND resource = ?2 AND scope = ?3";
                transaction.execute(statement, rusqlite::params![at[0], at[1], at[2], bytes])?;
            }
            Err(Unreadable) => {
                let statement = "DELETE FROM access_token WHERE account = ?1 AND resource = ?2 AND scope = ?3";
                transaction.execute(statement, at)?;
            }
        }
    }
    Ok(())
}

/// Keeps one more, sealed for this generation; beyond [`MOST`], the one that ends first goes.
///
/// # Errors
/// SQLite's.
pub fn keep(
    transaction: &Transaction<'_>,
    account: &AccountId,
    key: &DataKey,
    place: Place<'_>,
    part: &Part,
    (access_token, token_type): (&SecretString, &str),
    grant: &Grant,
) -> Result<(), Failed> {
    let expires = grant.expires();
    let bytes = seal(key, Place { column: &column(part), ..place }, access_token.expose_secret().as_bytes());
    transaction.execute(
        "INSERT OR REPLACE INTO access_token
           (account, resource, scope, sealed, token_type, granted, expires_at, lifetime, boot_id, expires_boot)
         VALUES (:account, :resource, :scope, :sealed, :token_type, :granted, :expires_at, :lifetime, :boot_id, :expires_boot)",
        named_params! {
            ":account": account.as_str(),
            ":resource": part.resource,
            ":scope": part.scope,
            ":sealed": bytes.map_err(not_sealed)?,
            ":token_type": token_type,
            ":granted": grant.scopes.as_ref().map(|scopes| crate::grants::join(scopes)),
            ":expires_at": expires.map(|expires| expires.wall.0),
            ":lifetime": grant.lifetime.map(millis),
            ":boot_id": boot_id(),
            ":expires_boot": expires.and_then(|expires| expires.boot).map(|boot| boot.0),
        },
    )?;
    // The same order as core's, so that both let go of the same ones, and never of the newest.
    transaction.execute(
        "DELETE FROM access_token WHERE account = ?1 AND (resource, scope) IN
           (SELECT resource, scope FROM access_token WHERE account = ?1 AND NOT (resource = ?2 AND scope = ?3)
            ORDER BY expires_at DESC, resource DESC, scope DESC LIMIT -1 OFFSET ?4)",
        rusqlite::params![account.as_str(), part.resource, part.scope, MOST - 1],
    )?;
    Ok(())
}
