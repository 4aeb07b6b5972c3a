//! Writing accounts into a file, so that wherever it is cut off either they are here or the file is whole.

use super::bundle::{Bundle, Client, FORMAT, Moved, SEALED};
use super::sealed::Lock;
use crate::client_secret::{self, Kind};
use crate::database::{Database, Failed};
use crate::perform::Hands;
use crate::seal::{Place, open};
use crate::{failpoint, folders};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use larder_core::names::AccountId;
use larder_core::problem::{Problem, Why};
use rusqlite::{Connection, params};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What is to be written.
pub struct Wanted {
    /// Where; nothing is there yet.
    pub path: PathBuf,
    /// How it is sealed.
    pub lock: Lock,
    /// These accounts.
    pub accounts: Vec<AccountId>,
    /// Without tokens: the accounts stay here.
    pub config_only: bool,
    /// The providers that they need, as TOML.
    pub providers: BTreeMap<String, String>,
    /// Clients that other accounts here go on using: their registration stays.
    pub shared: BTreeSet<(String, String)>,
}

/// Writes the file. The accounts rest, and are not used meanwhile. Afterwards, either the file is there and they are written
/// down as gone, or, with an error, all is as it was.
///
/// # Errors
/// [`Problem::FileExists`], [`Problem::NotWritten`], [`Problem::KeychainLocked`] and their kin.
pub async fn export(hands: &Hands, wanted: Wanted) -> Result<(), Problem> {
    if fs::symlink_metadata(&wanted.path).is_ok() {
        return Err(Problem::FileExists { path: wanted.path.display().to_string() });
    }
    let id = uuid::Uuid::new_v4().to_string();
    let bundle = gather(hands, &wanted, &id).await?;
    let Wanted { path, lock, accounts, config_only, shared, .. } = wanted;
    // scrypt takes a second, on purpose.
    let sealed = tokio::task::spawn_blocking(move || lock.seal(&bundle.to_bytes()?)).await;
    let sealed = sealed.map_err(|_| Problem::Internal { detail: "sealing broke off".to_owned() })??;
    let beside = beside(&path, &id);
    if config_only {
        let placed = write(&beside, &sealed).and_then(|()| place(&beside, &path));
        if placed.is_err() {
            let _ = fs::remove_file(&beside);
        }
        return placed.map_err(|error| not_placed(&path, &error));
    }
    step("export-mark", mark(&hands.database, &id, &path, &beside, accounts)).await?;
    let placed = async {
        step("export-write", async { write(&beside, &sealed).map_err(|error| not_placed(&path, &error)) }).await?;
        step("export-placing", placing(&hands.database, &id)).await?;
        step("export-place", async { place(&beside, &path).map_err(|error| not_placed(&path, &error)) }).await
    };
    if let Err(problem) = placed.await {
        match stay(&hands.database, &id).await {
            Ok(()) => {
                let _ = fs::remove_file(&beside);
            }
            // A restart does it: the file that is left beside says that the accounts are here.
            Err(problem) => tracing::warn!("{}", larder_core::words::sentence(&problem)),
        }
        return Err(problem);
    }
    // The file is there: from here on the accounts are gone, whatever happens. What cannot be written now, the sign-out of
    // each writes again and again, and so does a restart.
    if let Err(problem) = step("export-gone", away(&hands.database, &id, Some(shared))).await {
        tracing::warn!("{}", larder_core::words::sentence(&problem));
    }
    Ok(())
}

async fn step<T>(name: &str, work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    failpoint::pass(name, "before");
    let done = work.await;
    failpoint::pass(name, "after");
    done
}

/// Where a file is written before it gets its name: in the same folder, for a name is given within a file system.
fn beside(path: &Path, id: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{id}"))
}

fn write(beside: &Path, sealed: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
    file.write_all(sealed)?;
    file.sync_all()
}

/// Gives the file its name, if nothing has it.
fn place(beside: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, beside, CWD, path, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        // Some file systems cannot look and rename in one step.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            if fs::symlink_metadata(path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            fs::rename(beside, path)?;
        }
        Err(error) => return Err(error.into()),
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    // It may be gone after the next crash, so it must not be all there is; where it does not go, it is there.
    if synced.is_err() && fs::remove_file(path).is_ok() {
        return synced;
    }
    Ok(())
}

fn not_placed(path: &Path, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Problem::FileExists { path: path.display().to_string() },
        _ => folders::cannot_write(path, error),
    }
}

async fn gather(hands: &Hands, wanted: &Wanted, id: &str) -> Result<Bundle, Problem> {
    let mut accounts = Vec::with_capacity(wanted.accounts.len());
    for account in &wanted.accounts {
        let id = account.clone();
        let mut moved = hands.database.run(move |connection| Ok(Moved::read(connection, id.as_str())?)).await?;
        if !wanted.config_only {
            moved.tokens = tokens(hands, account, &moved).await?;
        }
        accounts.push(moved);
    }
    let used: BTreeSet<(String, String)> = accounts
        .iter()
        .filter_map(|account| Some((account.text("issuer")?.to_owned(), account.text("client_id")?.to_owned())))
        .collect();
    let mut clients = Vec::new();
    for (issuer, client_id) in used.iter().filter(|_| !wanted.config_only) {
        for kind in [Kind::Secret, Kind::Registration] {
            let registration = kind == Kind::Registration;
            // Two machines must not manage one registration: the first that forgets its last account removes it for both.
            if registration && wanted.shared.contains(&(issuer.clone(), client_id.clone())) {
                continue;
            }
            let kept = client_secret::get(&hands.database, &hands.keychain, issuer, client_id, kind).await?;
            clients.extend(kept.map(|(text, expires_at)| Client {
                issuer: issuer.clone(),
                client_id: client_id.clone(),
                registration,
                expires_at,
                text: Zeroizing::new(text.expose_secret().to_owned()),
            }));
        }
    }
    let (providers, at) = (wanted.providers.clone(), hands.clock.now().wall.0);
    Ok(Bundle { format: FORMAT, id: id.to_owned(), at, providers, clients, accounts })
}

/// An account's tokens, opened.
async fn tokens(
    hands: &Hands,
    account: &AccountId,
    moved: &Moved,
) -> Result<BTreeMap<String, Zeroizing<String>>, Problem> {
    let needs = |why| Problem::SignInNeeded { account: moved.text("label").unwrap_or_default().to_owned(), why };
    let key = hands.key(account).await?.ok_or_else(|| needs(Why::KeyMissing))?;
    let id = account.clone();
    let sealed = hands
        .database
        .run(move |connection| {
            let query = format!("SELECT {} FROM account WHERE id = ?1", SEALED.join(", "));
            Ok(connection.query_row(&query, [id.as_str()], |row| {
                SEALED.iter().map(|name| row.get::<_, Option<Vec<u8>>>(*name)).collect::<Result<Vec<_>, _>>()
            })?)
        })
        .await?;
    let mut tokens = BTreeMap::new();
    for (column, sealed) in SEALED.iter().zip(sealed) {
        let Some(sealed) = sealed else { continue };
        let place = Place {
            account: account.as_str(),
            issuer: moved.text("issuer").unwrap_or_default(),
            client: moved.text("client_id").unwrap_or_default(),
            column,
            generation: moved.generation,
        };
        let plain = open(&key, place, &sealed).map_err(|_| needs(Why::Unreadable))?;
        tokens.insert((*column).to_owned(), Zeroizing::new(STANDARD.encode(&plain)));
    }
    Ok(tokens)
}

/// From here on a start knows that these are being written into a file.
async fn mark(
    database: &Database,
    id: &str,
    path: &Path,
    beside: &Path,
    accounts: Vec<AccountId>,
) -> Result<(), Problem> {
    let (id, path, beside) = (id.to_owned(), path.display().to_string(), beside.display().to_string());
    database
        .transact(move |transaction| {
            let statement = "INSERT INTO export (id, path, beside, placing) VALUES (?1, ?2, ?3, 0)";
            transaction.execute(statement, params![id, path, beside])?;
            for account in accounts {
                transaction.execute("UPDATE account SET moved = ?2 WHERE id = ?1", [account.as_str(), &id])?;
            }
            Ok(())
        })
        .await
}

async fn placing(database: &Database, id: &str) -> Result<(), Problem> {
    let id = id.to_owned();
    database
        .transact(move |transaction| {
            transaction.execute("UPDATE export SET placing = 1 WHERE id = ?1", [id])?;
            Ok(())
        })
        .await
}

/// The accounts go on here.
async fn stay(database: &Database, id: &str) -> Result<(), Problem> {
    let id = id.to_owned();
    database.transact(move |transaction| stayed(transaction, &id)).await
}

fn stayed(transaction: &Connection, id: &str) -> Result<(), Failed> {
    transaction.execute("UPDATE account SET moved = NULL WHERE moved = ?1 AND session = 'signed-in'", [id])?;
    transaction.execute("DELETE FROM export WHERE id = ?1", [id])?;
    Ok(())
}

/// The accounts are gone: what is left of them is cleared, as in a sign-out.
async fn away(database: &Database, id: &str, shared: Option<BTreeSet<(String, String)>>) -> Result<(), Problem> {
    let id = id.to_owned();
    database.transact(move |transaction| went(transaction, &id, shared.as_ref())).await
}

fn went(transaction: &Connection, id: &str, shared: Option<&BTreeSet<(String, String)>>) -> Result<(), Failed> {
    let query = "SELECT DISTINCT issuer, client_id FROM account WHERE moved = ?1";
    let clients = transaction
        .prepare(query)?
        .query_map([id], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    transaction.execute(
        "UPDATE account SET session = 'clearing', forget = 0, generation = generation + 1
         WHERE moved = ?1 AND session = 'signed-in'",
        [id],
    )?;
    for client in clients {
        // The registration went along, unless others here use it.
        let query =
            "SELECT EXISTS (SELECT 1 FROM account WHERE issuer = ?1 AND client_id = ?2 AND session <> 'signed-out'
                       AND moved IS NOT ?3)";
        let used: bool = match shared {
            Some(shared) => shared.contains(&client),
            None => transaction.query_row(query, [&client.0, &client.1, id], |row| row.get(0))?,
        };
        if !used {
            let statement = "DELETE FROM client WHERE issuer = ?1 AND client_id = ?2 AND kind = 'registration'";
            transaction.execute(statement, [&client.0, &client.1])?;
        }
    }
    transaction.execute("DELETE FROM export WHERE id = ?1", [id])?;
    Ok(())
}

/// At a start: which way the exports went that an earlier run did not come to the end of. While a file is not whole under its
/// own name, the accounts are here. Where it had been about to get that name and is not to be found beside it, it has it, or
/// somebody took it away: then the accounts are there, and not here.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin: then nothing of it may be used.
pub async fn settle(database: &Database) -> Result<(), Problem> {
    database
        .transact(|transaction| {
            let exports = transaction
                .prepare("SELECT id, beside, placing FROM export")?
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?)))?
                .collect::<Result<Vec<_>, _>>()?;
            for (id, beside, placing) in exports {
                // A file that is whole must not be left where somebody finds it.
                let removed = fs::remove_file(&beside).is_ok();
                if removed || !placing { stayed(transaction, &id)? } else { went(transaction, &id, None)? }
            }
            Ok(())
        })
        .await
}
