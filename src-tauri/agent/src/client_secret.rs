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

/// What is kept of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its secret.
    Secret,
    /// How its registration is managed (RFC 7592).
    Registration,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Registration => "registration",
        }
    }

    fn place<'a>(self, issuer: &'a str, client: &'a str) -> Place<'a> {
        let column = match self {
            Self::Secret => "client_secret",
            Self::Registration => "registration",
        };
        Place { account: "", issuer, client, column, generation: 0 }
    }
}

/// The key of what belongs to no account; made where there is none.
///
/// # Errors
/// [`Problem::KeychainLocked`] and its kin.
pub async fn key(keychain: &Keychain) -> Result<DataKey, Problem> {
    keychain.key_or_new(&AccountId::from(ITEM)).await
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
    put(database, keychain, issuer, client, vec![(Kind::Secret, secret, None)]).await
}

/// Seals what is to be kept of a client, each with the moment at which it ends (milliseconds since 1970), all or nothing.
///
/// # Errors
/// [`Problem::KeychainLocked`] and its kin, [`Problem::DiskFull`].
pub async fn put(
    database: &Database,
    keychain: &Keychain,
    issuer: String,
    client: String,
    parts: Vec<(Kind, SecretString, Option<i64>)>,
) -> Result<(), Problem> {
    let key = key(keychain).await?;
    let mut rows = Vec::new();
    for (kind, text, expires_at) in parts {
        let sealed = seal(&key, kind.place(&issuer, &client), text.expose_secret().as_bytes())
            .map_err(|_| Problem::Internal { detail: "sealing failed".to_owned() })?;
        rows.push((kind.name(), sealed, expires_at));
    }
    database
        .transact(move |transaction| {
            for (kind, sealed, expires_at) in rows {
                transaction.execute(
                    "INSERT OR REPLACE INTO client (issuer, client_id, kind, sealed, expires_at)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![issuer, client, kind, sealed, expires_at],
                )?;
            }
            Ok(())
        })
        .await
}

/// What a client is known by, and what is kept of it.
pub struct Kept<'a> {
    /// Its issuer.
    pub issuer: &'a str,
    /// Its id.
    pub client: &'a str,
    /// Which part.
    pub kind: Kind,
    /// The part itself.
    pub text: &'a SecretString,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<i64>,
}

/// Seals a part in a transaction of the caller's; over an earlier one only with `replace`.
///
/// # Errors
/// As SQLite says.
pub fn put_in(
    transaction: &rusqlite::Connection,
    key: &DataKey,
    kept: &Kept<'_>,
    replace: bool,
) -> Result<(), crate::database::Failed> {
    let Kept { issuer, client, kind, text, expires_at } = kept;
    let sealed = seal(key, kind.place(issuer, client), text.expose_secret().as_bytes())
        .map_err(|_| Problem::Internal { detail: "sealing failed".to_owned() })?;
    let or = if replace { "REPLACE" } else { "IGNORE" };
    transaction.execute(
        &format!(
            "INSERT OR {or} INTO client (issuer, client_id, kind, sealed, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)"
        ),
        params![issuer, client, kind.name(), sealed, expires_at],
    )?;
    Ok(())
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
    Ok(get(database, keychain, issuer, client, Kind::Secret).await?.map(|(secret, _)| secret))
}

/// What is kept of this client, and when it ends, if it is there and opens.
///
/// # Errors
/// [`Problem::KeychainLocked`] and its kin, [`Problem::DatabaseDamaged`].
pub async fn get(
    database: &Database,
    keychain: &Keychain,
    issuer: &str,
    client: &str,
    kind: Kind,
) -> Result<Option<(SecretString, Option<i64>)>, Problem> {
    let (asked_issuer, asked_client) = (issuer.to_owned(), client.to_owned());
    let sealed: Option<(Vec<u8>, Option<i64>)> = database
        .run(move |connection| {
            Ok(connection
                .query_row(
                    "SELECT sealed, expires_at FROM client WHERE issuer = ?1 AND client_id = ?2 AND kind = ?3",
                    [asked_issuer.as_str(), asked_client.as_str(), kind.name()],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()?)
        })
        .await?;
    let Some((sealed, expires_at)) = sealed else { return Ok(None) };
    let Some(key) = keychain.key(&AccountId::from(ITEM)).await? else { return Ok(None) };
    let plain = open(&key, kind.place(issuer, client), &sealed).ok();
    Ok(plain.and_then(|plain| std::str::from_utf8(&plain).map(|text| (SecretString::from(text), expires_at)).ok()))
}

/// Forgets all that is kept of a client.
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

/// Issuer and client of every registration that is kept.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn registrations(database: &Database) -> Result<BTreeSet<(String, String)>, Problem> {
    database
        .run(|connection| {
            let mut statement =
                connection.prepare("SELECT issuer, client_id FROM client WHERE kind = 'registration'")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
}
