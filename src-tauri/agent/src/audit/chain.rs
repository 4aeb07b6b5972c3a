//! The chain: each row's SHA-256 covers what stands in it and the row before, so that a change of one row shows in all that
//! follow. Signed checkpoints (HMAC-SHA-256) say where the chain stood; only whoever opens the keychain can make one.

use crate::database::Failed;
use crate::seal::DataKey;
use hmac::{Hmac, Mac};
use larder_core::problem::Problem;
use larder_core::time::WallTime;
use larder_core::view::AuditHead;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Before the first row.
const NOTHING: Hash = [0; 32];

/// SHA-256.
pub type Hash = [u8; 32];

/// So many rows are looked at in one go; between two, others get their turn at the database.
const AT_ONCE: u32 = 1000;

/// What a row holds.
struct Kept {
    number: i64,
    at: i64,
    last: Option<i64>,
    count: i64,
    kind: String,
    account: Option<String>,
    program: Option<String>,
    scopes: Option<String>,
    label: Option<String>,
    problem: Option<String>,
    salt: Option<Vec<u8>>,
    names: Option<Vec<u8>>,
    hash: Option<Vec<u8>>,
}

const COLUMNS: &str = "number, at, last, count, kind, account, program, scopes, label, problem, salt, names, hash";

fn read(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        number: row.get("number")?,
        at: row.get("at")?,
        last: row.get("last")?,
        count: row.get("count")?,
        kind: row.get("kind")?,
        account: row.get("account")?,
        program: row.get("program")?,
        scopes: row.get("scopes")?,
        label: row.get("label")?,
        problem: row.get("problem")?,
        salt: row.get("salt")?,
        names: row.get("names")?,
        hash: row.get("hash")?,
    })
}

/// Hashes values one after the other, each so that it cannot run into the next: with its length, and whether it is there.
struct Parts(Sha256);

impl Parts {
    fn new(what: &str) -> Self {
        Self(Sha256::new()).bytes(Some(what.as_bytes()))
    }

    fn bytes(mut self, value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => {
                self.0.update([1]);
                self.0.update(u64::try_from(value.len()).unwrap_or(u64::MAX).to_be_bytes());
                self.0.update(value);
            }
            None => self.0.update([0]),
        }
        self
    }

    fn text(self, value: Option<&String>) -> Self {
        self.bytes(value.map(String::as_bytes))
    }

    fn number(self, value: Option<i64>) -> Self {
        self.bytes(value.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice))
    }

    fn hash(self) -> Hash {
        self.0.finalize().into()
    }
}

impl Kept {
    /// Of what goes when the account is forgotten. The salt keeps whoever has the row from trying names.
    fn names(&self) -> Hash {
        Parts::new("larder audit names 1")
            .bytes(self.salt.as_deref())
            .text(self.label.as_ref())
            .text(self.problem.as_ref())
            .hash()
    }

    fn chained(&self, before: &Hash, names: &[u8]) -> Hash {
        Parts::new("larder audit row 1")
            .bytes(Some(before))
            .number(Some(self.number))
            .number(Some(self.at))
            .number(self.last)
            .number(Some(self.count))
            .text(Some(&self.kind))
            .text(self.account.as_ref())
            .text(self.program.as_ref())
            .text(self.scopes.as_ref())
            .bytes(Some(names))
            .hash()
    }

    fn is_forgotten(&self) -> bool {
        self.salt.is_none() && self.label.is_none() && self.problem.is_none()
    }
}

/// Number and hash of the newest row that is in the chain; of the newest checkpoint where no row is left.
///
/// # Errors
/// As SQLite says.
pub fn head(connection: &Connection) -> Result<(i64, Hash), Failed> {
    let query = "SELECT number, hash FROM event WHERE hash IS NOT NULL
                 UNION ALL SELECT number, hash FROM checkpoint WHERE pruned ORDER BY number DESC LIMIT 1";
    let row = connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(row.unwrap_or((0, NOTHING)))
}

/// The same, to be shown.
///
/// # Errors
/// As SQLite says.
pub fn shown_head(connection: &Connection) -> Result<AuditHead, Failed> {
    let (number, hash) = head(connection)?;
    Ok(AuditHead { number, hash: hex::encode(hash) })
}

/// Puts every row that is open into the chain. Returns how many.
///
/// # Errors
/// As SQLite says.
pub fn close_rows(transaction: &Connection) -> Result<u64, Failed> {
    let (_, mut before) = head(transaction)?;
    let mut open = transaction.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM event INDEXED BY event_open WHERE hash IS NULL ORDER BY number"
    ))?;
    let rows = open.query_map([], read)?.collect::<Result<Vec<_>, _>>()?;
    let mut update = transaction.prepare_cached("UPDATE event SET names = ?2, hash = ?3 WHERE number = ?1")?;
    for row in &rows {
        let names = row.names();
        before = row.chained(&before, &names);
        update.execute(params![row.number, names, before])?;
    }
    Ok(u64::try_from(rows.len()).unwrap_or_default())
}

/// A checkpoint.
struct Checkpoint {
    number: i64,
    hash: Vec<u8>,
    at: i64,
    pruned: bool,
    mac: Vec<u8>,
}

impl Checkpoint {
    /// What is signed.
    fn signed(&self, key: &DataKey) -> Result<Hmac<Sha256>, Failed> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes())
            .map_err(|_| Problem::Internal { detail: "a key of 32 bytes does not fit".to_owned() })?;
        let parts = Parts::new("larder audit checkpoint 1")
            .number(Some(self.number))
            .bytes(Some(&self.hash))
            .number(Some(self.at))
            .number(Some(i64::from(self.pruned)));
        mac.update(&parts.hash());
        Ok(mac)
    }

    fn write(&mut self, transaction: &Connection, key: &DataKey) -> Result<(), Failed> {
        self.mac = self.signed(key)?.finalize().into_bytes().to_vec();
        transaction.execute(
            "INSERT OR REPLACE INTO checkpoint (number, hash, at, pruned, mac) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![self.number, self.hash, self.at, self.pruned, self.mac],
        )?;
        Ok(())
    }
}

/// Signs where the chain stands now.
///
/// # Errors
/// As SQLite says.
pub fn sign(transaction: &Connection, key: &DataKey, now: WallTime) -> Result<(), Failed> {
    let (number, hash) = head(transaction)?;
    let known = "SELECT EXISTS (SELECT 1 FROM checkpoint WHERE number = ?1)";
    if number == 0 || transaction.query_row(known, [number], |row| row.get(0))? {
        return Ok(());
    }
    let hash = hash.to_vec();
    Checkpoint { number, hash, at: now.0, pruned: false, mac: Vec::new() }.write(transaction, key)
}

/// Removes the rows that were over before this, and leaves a signed checkpoint of the last one. Returns how many went.
///
/// # Errors
/// As SQLite says.
pub fn prune(transaction: &Connection, key: &DataKey, before: WallTime, now: WallTime) -> Result<u64, Failed> {
    // Up to the first row that stays, so that none is missing in between.
    let query = "SELECT number, hash FROM event WHERE hash IS NOT NULL AND number <
                   coalesce((SELECT min(number) FROM event WHERE coalesce(last, at) >= ?1), 9223372036854775807)
                 ORDER BY number DESC LIMIT 1";
    let last = transaction.query_row(query, [before.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((number, hash)) = last else { return Ok(0) };
    Checkpoint { number, hash, at: now.0, pruned: true, mac: Vec::new() }.write(transaction, key)?;
    transaction.execute("DELETE FROM checkpoint WHERE number < ?1", [number])?;
    let gone = transaction.execute("DELETE FROM event WHERE number <= ?1", [number])?;
    Ok(u64::try_from(gone).unwrap_or_default())
}

/// Walks along the chain, a part at a time.
pub struct Walk {
    checkpoints: BTreeMap<i64, Checkpoint>,
    noted: Option<AuditHead>,
    /// The row before the next one, and its hash.
    before: (i64, Hash),
    /// How many rows were fine.
    pub rows: u64,
    /// The first of them.
    pub first: i64,
    /// The newest row that is in the chain.
    chained: i64,
    begun: bool,
}

/// What is wrong at a row.
fn wrong(row: i64, detail: impl Into<String>) -> Failed {
    Failed::Because(Problem::AuditDamaged { row, detail: detail.into() })
}

impl Walk {
    /// Begins before the first row: looks at the checkpoints.
    ///
    /// # Errors
    /// [`Problem::AuditDamaged`]; as SQLite says.
    pub fn begin(connection: &Connection, key: Option<&DataKey>, noted: Option<AuditHead>) -> Result<Self, Failed> {
        let mut statement =
            connection.prepare("SELECT number, hash, at, pruned, mac FROM checkpoint ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            let (hash, mac) = (row.get("hash")?, row.get("mac")?);
            Ok(Checkpoint { number: row.get("number")?, hash, at: row.get("at")?, pruned: row.get("pruned")?, mac })
        })?;
        let mut checkpoints = BTreeMap::new();
        for checkpoint in rows {
            let checkpoint = checkpoint?;
            if let Some(key) = key
                && checkpoint.signed(key)?.verify_slice(&checkpoint.mac).is_err()
            {
                return Err(wrong(checkpoint.number, "the checkpoint there is not signed with this keychain's key"));
            }
            checkpoints.insert(checkpoint.number, checkpoint);
        }
        let pruned = checkpoints.values().rfind(|checkpoint| checkpoint.pruned);
        let before = match pruned {
            Some(checkpoint) => {
                let hash = Hash::try_from(checkpoint.hash.as_slice());
                (checkpoint.number, hash.map_err(|_| wrong(checkpoint.number, "the checkpoint there is altered"))?)
            }
            None => (0, NOTHING),
        };
        let (first, chained) = (before.0 + 1, before.0);
        Ok(Self { checkpoints, noted, before, rows: 0, first, chained, begun: false })
    }

    /// How many checkpoints there are.
    pub fn checkpoints(&self) -> u64 {
        u64::try_from(self.checkpoints.len()).unwrap_or_default()
    }

    /// Walks on; returns whether there is more.
    ///
    /// # Errors
    /// [`Problem::AuditDamaged`] with the first row that does not fit; as SQLite says.
    pub fn on(&mut self, connection: &Connection) -> Result<bool, Failed> {
        // From the very first one: a row from before the oldest checkpoint does not belong there either.
        let from = if self.begun { self.before.0 + 1 } else { i64::MIN };
        self.begun = true;
        let query = format!("SELECT {COLUMNS} FROM event WHERE number >= ?1 ORDER BY number LIMIT {AT_ONCE}");
        let mut statement = connection.prepare_cached(&query)?;
        let mut looked_at = 0;
        for row in statement.query_map([from], read)? {
            // A value of another type than its column's: SQLite would not have taken it.
            let row = row.map_err(|_| wrong(self.before.0 + 1, "it cannot be read"))?;
            self.look(&row)?;
            looked_at += 1;
        }
        Ok(looked_at == AT_ONCE)
    }

    fn look(&mut self, row: &Kept) -> Result<(), Failed> {
        let expected = self.before.0 + 1;
        if row.number != expected {
            let missing = row.number > expected;
            return Err(wrong(expected, if missing { "it is missing" } else { "the row before it was removed once" }));
        }
        let Some(hash) = &row.hash else {
            // The newest ones are open for a minute.
            self.before.0 = row.number;
            return Ok(());
        };
        if self.chained != row.number - 1 {
            return Err(wrong(row.number, "the row before it was taken out of the chain"));
        }
        let names = row.names.as_deref().unwrap_or_default();
        if !row.is_forgotten() && row.names() != names {
            return Err(wrong(row.number, "its account's name or its problem was changed"));
        }
        let chained = row.chained(&self.before.1, names);
        if chained.as_slice() != hash {
            return Err(wrong(row.number, "it or its place was changed"));
        }
        self.before = (row.number, chained);
        self.chained = row.number;
        self.rows += 1;
        if self.checkpoints.get(&row.number).is_some_and(|checkpoint| checkpoint.hash != chained) {
            return Err(wrong(row.number, "it is not the row of the checkpoint there"));
        }
        let noted = self.noted.as_ref().filter(|noted| noted.number == row.number);
        if noted.is_some_and(|noted| noted.hash != hex::encode(chained)) {
            return Err(wrong(row.number, "it, or one before it, is another one than when its head was noted"));
        }
        Ok(())
    }

    /// Ends behind the last row.
    ///
    /// # Errors
    /// [`Problem::AuditDamaged`]; [`Problem::BadRequest`] for a noted head of a row that is kept no more.
    pub fn end(&self) -> Result<(), Failed> {
        let known = self.checkpoints.last_key_value().map_or(0, |(number, _)| *number);
        if known > self.chained {
            return Err(wrong(self.chained + 1, format!("rows up to {known} are missing, a checkpoint says")));
        }
        let Some(noted) = &self.noted else { return Ok(()) };
        if noted.number > self.chained {
            let detail = format!("rows up to {} are missing, the noted head says", noted.number);
            return Err(wrong(self.chained + 1, detail));
        }
        if noted.number >= self.first || noted.number == 0 {
            return Ok(());
        }
        match self.checkpoints.get(&noted.number) {
            Some(checkpoint) if hex::encode(&checkpoint.hash) == noted.hash => Ok(()),
            Some(_) => Err(wrong(noted.number, "it was another one when its head was noted")),
            None => {
                let detail = "the noted head is of a row that is kept no more; use a newer one".to_owned();
                Err(Failed::Because(Problem::BadRequest { detail }))
            }
        }
    }
}

/// The bytes of a new salt.
///
/// # Errors
/// Where the system has no random numbers to give.
pub fn salt() -> Result<Zeroizing<[u8; 16]>, Failed> {
    let mut salt = Zeroizing::new([0; 16]);
    getrandom::fill(salt.as_mut())
        .map_err(|_| Problem::Internal { detail: "the system has no random numbers".to_owned() })?;
    Ok(salt)
}
