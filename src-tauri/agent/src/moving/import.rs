//! Taking accounts out of a file: all of them, or nothing is changed.

use super::bundle::{Bundle, Client, Moved, SEALED};
use crate::client_secret::{self, Kept, Kind};
use crate::database::Failed;
use crate::dpop::DpopKey;
use crate::failpoint;
use crate::perform::Hands;
use crate::seal::{DataKey, Place, seal};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use rusqlite::{Connection, OptionalExtension, params};
use secrecy::SecretString;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// An account of a file, and where it goes.
pub struct Arriving {
    /// Its id here: its own from before, where it is known here, or a new one.
    pub account: AccountId,
    /// Its label here.
    pub label: String,
    /// Whether it is known here; its row is replaced.
    pub known: bool,
    /// The account.
    pub moved: Moved,
}

/// Whether this export was imported here before.
///
/// # Errors
/// [`larder_core::problem::Problem::DatabaseDamaged`] and its kin.
pub async fn imported(hands: &Hands, id: &str) -> Result<bool, Problem> {
    let id = id.to_owned();
    hands.database.run(move |connection| Ok(before(connection, &id)?)).await
}

fn before(connection: &Connection, id: &str) -> rusqlite::Result<bool> {
    connection.query_row("SELECT EXISTS (SELECT 1 FROM imported WHERE id = ?1)", [id], |row| row.get(0))
}

/// Stores what a file brings: keys first, then everything else in one transaction.
///
/// # Errors
/// [`Problem::KeychainLocked`], [`Problem::DiskFull`] and their kin; [`Problem::ImportedBefore`]. Nothing is changed then.
pub async fn import(hands: &Hands, path: &str, bundle: &mut Bundle, arriving: Vec<Arriving>) -> Result<(), Problem> {
    failpoint::pass("import-keys", "before");
    let mut keys = Vec::new();
    let stored = store_keys(hands, &arriving, &mut keys).await;
    failpoint::pass("import-keys", "after");
    let done = match stored {
        Ok(()) => store_rows(hands, path, bundle, arriving, keys.clone()).await,
        Err(problem) => Err(problem),
    };
    failpoint::pass("import-rows", "after");
    for (account, key) in &keys {
        match &done {
            Ok(()) => hands.remember_key(account, key),
            // It opens nothing.
            Err(_) => drop(hands.keychain.delete(account).await),
        }
    }
    done
}

async fn store_keys(hands: &Hands, arriving: &[Arriving], keys: &mut Vec<(AccountId, DataKey)>) -> Result<(), Problem> {
    for Arriving { account, moved, .. } in arriving {
        if moved.tokens.is_empty() {
            continue;
        }
        let key = DataKey::random()
            .map_err(|_| Problem::Internal { detail: "the system has no random numbers".to_owned() })?;
        keys.push((account.clone(), key.clone()));
        hands.keychain.store(account, &key).await?;
    }
    Ok(())
}

async fn store_rows(
    hands: &Hands,
    path: &str,
    bundle: &mut Bundle,
    arriving: Vec<Arriving>,
    keys: Vec<(AccountId, DataKey)>,
) -> Result<(), Problem> {
    let client_key = if bundle.clients.is_empty() { None } else { Some(client_secret::key(&hands.keychain).await?) };
    let (id, now, path) = (bundle.id.clone(), hands.clock.now().wall.0, path.to_owned());
    let clients = std::mem::take(&mut bundle.clients);
    hands
        .database
        .transact(move |transaction| {
            if !keys.is_empty() {
                if before(transaction, &id)? {
                    return Err(Failed::Because(Problem::ImportedBefore { path }));
                }
                transaction.execute("INSERT INTO imported (id, at) VALUES (?1, ?2)", params![id, now])?;
            }
            for arriving in arriving {
                let key = keys.iter().find(|(account, _)| *account == arriving.account).map(|(_, key)| key);
                store_one(transaction, arriving, key)?;
            }
            if let Some(key) = client_key {
                store_clients(transaction, &clients, &key)?;
            }
            Ok(())
        })
        .await
}

fn store_one(transaction: &Connection, arriving: Arriving, key: Option<&DataKey>) -> Result<(), Failed> {
    let Arriving { account, label, known, mut moved } = arriving;
    let mut generation = moved.generation;
    if known {
        let query = "SELECT generation FROM account WHERE id = ?1";
        let here: Option<u64> = transaction.query_row(query, [account.as_str()], |row| row.get(0)).optional()?;
        generation = generation.max(here.unwrap_or_default());
        transaction.execute("DELETE FROM account WHERE id = ?1", [account.as_str()])?;
    }
    // Nothing that was ever sealed for this account opens as if it were this.
    generation = generation.saturating_add(1);
    moved.columns.insert("label".to_owned(), super::bundle::Column::Text(label));
    if key.is_none() {
        for column in ["token_type", "expires_at", "lifetime", "refresh_expires_at", "session_state"] {
            moved.columns.remove(column);
        }
    }
    let session = if key.is_some() { "signed-in" } else { "signed-out" };
    moved.write(transaction, account.as_str(), generation, session)?;
    let Some(key) = key else { return Ok(()) };
    let damaged = || Failed::Because(Problem::Internal { detail: "a token in the file is none".to_owned() });
    for column in SEALED {
        let Some(text) = moved.tokens.get(*column) else { continue };
        let plain = Zeroizing::new(STANDARD.decode(text.as_bytes()).map_err(|_| damaged())?);
        let fits = match *column {
            "dpop_key" => DpopKey::from_pkcs8(&plain).is_some(),
            _ => std::str::from_utf8(&plain).is_ok(),
        };
        if !fits {
            return Err(damaged());
        }
        let place = Place {
            account: account.as_str(),
            issuer: moved.text("issuer").unwrap_or_default(),
            client: moved.text("client_id").unwrap_or_default(),
            column,
            generation,
        };
        let sealed = seal(key, place, &plain).map_err(|_| damaged())?;
        transaction
            .execute(&format!("UPDATE account SET {column} = ?2 WHERE id = ?1"), params![account.as_str(), sealed])?;
    }
    Ok(())
}

/// A client whose registration came along is as the file says; of another one, what is kept here may be newer.
fn store_clients(transaction: &Connection, clients: &[Client], key: &DataKey) -> Result<(), Failed> {
    let registered: BTreeSet<_> =
        clients.iter().filter(|client| client.registration).map(|client| (&client.issuer, &client.client_id)).collect();
    for client in clients {
        let kind = if client.registration { Kind::Registration } else { Kind::Secret };
        let replace = registered.contains(&(&client.issuer, &client.client_id));
        let text = SecretString::from(client.text.as_str());
        let kept = Kept {
            issuer: &client.issuer,
            client: &client.client_id,
            kind,
            text: &text,
            expires_at: client.expires_at,
        };
        client_secret::put_in(transaction, key, &kept, replace)?;
    }
    Ok(())
}
