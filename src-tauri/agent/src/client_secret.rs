//! Client secrets: a person's own client's, sealed in `client` with a key that belongs to no account.

use crate::database::Database;
use crate::keychain::Keychain;
use crate::seal::{DataKey, Place, open, seal};
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use rusqlite::{OptionalExtension, params};
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;

/// The keychain's item for what belongs to no account.
const ITEM: &str = "clients";

fn place<'a>(issuer: &'a str, client: &'a str) -> Place<'a> {
    Place { account: "", issuer, client, column: "client_secret", generation: 0 }
}

/// Seals a secret, in place of an earlier one.
///
/// # Errors
/// [`Problem::KeychainLocked`] and its kin, [`Problem::DiskFull`].
pub async fn store(
    database: &Database,
    keychain: &Keychain,
    issuer: String,
    client: String,
    secret: SecretString,
) -> Result<(), Problem> {
    let item = AccountId::from(ITEM);
    let key = match keychain.key(&item).await? {
        Some(key) => key,
        None => {
            let failed = |_| Problem::Internal { detail: "the system has no random numbers".to_owned() };
            let key = DataKey::random().map_err(failed)?;
            keychain.store(&item, &key).await?;
            key
        }
    };
    let sealed = seal(&key, place(&issuer, &client), secret.expose_secret().as_bytes())
        .map_err(|_| Problem::Internal { detail: "sealing failed".to_owned() })?;
    database
        .transact(move |transaction| {
            transaction.execute(
                "INSERT OR REPLACE INTO client (issuer, client_id, kind, sealed) VALUES (?1, ?2, 'secret', ?3)",
                params![issuer, client, sealed],
            )?;
            Ok(())
        })
        .await
}

/// The secret of this client, if one is kept and opens.
///
/// # Errors
/// [`Problem::KeychainLocked`] and its kin, [`Problem::DatabaseDamaged`].
pub async fn read(
    database: &Database,
    keychain: &Keychain,
    issuer: &str,
    client: &str,
) -> Result<Option<SecretString>, Problem> {
    let (asked_issuer, asked_client) = (issuer.to_owned(), client.to_owned());
    let sealed: Option<Vec<u8>> = database
        .run(move |connection| {
            Ok(connection
                .query_row(
                    "SELECT sealed FROM client WHERE issuer = ?1 AND client_id = ?2 AND kind = 'secret'",
                    [asked_issuer, asked_client],
                    |row| row.get(0),
                )
                .optional()?)
        })
        .await?;
    let Some(sealed) = sealed else { return Ok(None) };
    let Some(key) = keychain.key(&AccountId::from(ITEM)).await? else { return Ok(None) };
    let plain = open(&key, place(issuer, client), &sealed).ok();
    Ok(plain.and_then(|plain| std::str::from_utf8(&plain).map(SecretString::from).ok()))
}

/// Forgets the secret of a client.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn remove(database: &Database, issuer: String, client: String) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            transaction.execute("DELETE FROM client WHERE issuer = ?1 AND client_id = ?2", [issuer, client])?;
            Ok(())
        })
        .await?;
    database.truncate_log().await
}

/// Issuer and client of every secret that is kept.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn kept(database: &Database) -> Result<BTreeSet<(String, String)>, Problem> {
    database
        .run(|connection| {
            let mut statement = connection.prepare("SELECT issuer, client_id FROM client WHERE kind = 'secret'")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
}
