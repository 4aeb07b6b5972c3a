//! What a file brings: accounts with their tokens, the secrets of their clients, the providers that they need.

use larder_core::problem::Problem;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params_from_iter};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use zeroize::{Zeroize, Zeroizing};

/// The format that is written.
pub const FORMAT: u32 = 1;

/// More accounts are not in one file; nobody has as many.
pub const MOST_ACCOUNTS: usize = 10_000;

/// The columns of `account` that go as they are. What this machine alone knows does not: id, place in the list, its boot clock.
pub const COLUMNS: &[&str] = &[
    "provider",
    "provider_account_id",
    "type",
    "token_type",
    "scope",
    "expires_at",
    "session_state",
    "issuer",
    "client_id",
    "token_endpoint_auth_method",
    "token_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "end_session_endpoint",
    "jwks_uri",
    "refresh_expires_at",
    "label",
    "name",
    "email",
    "picture",
    "lifetime",
    "signed_in_at",
    "refreshed_at",
    "resource",
    "other_resources",
    "grant_type",
    "refresh_ends_access_token",
    "refresh_token_lifetime",
];

/// The columns that are sealed here, and sealed anew there.
pub const SEALED: &[&str] = &["access_token", "refresh_token", "id_token", "dpop_key"];

/// What is in a file. Never shown: it has no Debug.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`FORMAT`].
    pub format: u32,
    /// Its random id: it is imported once.
    pub id: String,
    /// When it was written, in milliseconds since 1970.
    pub at: i64,
    /// Providers, each as it stands in `providers.toml`.
    pub providers: BTreeMap<String, String>,
    /// What is kept of clients.
    pub clients: Vec<Client>,
    /// Accounts.
    pub accounts: Vec<Moved>,
}

/// An account.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Of its credentials.
    pub generation: u64,
    /// [`COLUMNS`] that hold something.
    pub columns: BTreeMap<String, Column>,
    /// [`SEALED`], opened, in base64; none where configuration alone is copied.
    pub tokens: BTreeMap<String, Zeroizing<String>>,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// A number.
    Integer(i64),
    /// Text.
    Text(String),
}

/// What is kept of a client.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its issuer.
    pub issuer: String,
    /// Its id.
    pub client_id: String,
    /// Whether it is how its registration is managed (RFC 7592), and not its secret.
    pub registration: bool,
    /// When it ends, in milliseconds since 1970.
    pub expires_at: Option<i64>,
    /// The secret itself.
    pub text: Zeroizing<String>,
}

impl Bundle {
    /// As it goes into a file.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Problem> {
        // With room from the start: a buffer that grows leaves copies of itself.
        let secrets: usize =
            self.accounts.iter().flat_map(|account| account.tokens.values()).map(|text| text.len()).sum();
        let clients: usize = self.clients.iter().map(|client| client.text.len() + 1024).sum();
        let room = secrets + clients + (self.accounts.len() + self.providers.len() + 1) * 8 * 1024;
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        serde_json::to_writer(&mut *bytes, self)
            .map_err(|_| Problem::Internal { detail: "an export cannot be written".to_owned() })?;
        Ok(bytes)
    }

    /// From a file; what is wrong with it in words.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        // Not serde_json's own words: they may quote what they are about.
        let bundle: Self =
            serde_json::from_slice(bytes).map_err(|_| "it holds something else than Larder's accounts")?;
        if bundle.format != FORMAT {
            return Err("another version of Larder wrote it");
        }
        if bundle.accounts.len() > MOST_ACCOUNTS {
            return Err("it holds more accounts than anybody has");
        }
        for account in &bundle.accounts {
            let known = |name: &String, names: &[&str]| names.contains(&name.as_str());
            if !account.columns.keys().all(|name| known(name, COLUMNS))
                || !account.tokens.keys().all(|name| known(name, SEALED))
                || ["provider", "provider_account_id", "issuer", "client_id", "label"]
                    .iter()
                    .any(|name| account.text(name).is_none())
            {
                return Err("an account in it is not whole");
            }
            // Tokens go to the addresses that came with them: never in plain text over a network.
            // One is offered to the person's browser.
            let endpoints =
                ["token_endpoint", "revocation_endpoint", "userinfo_endpoint", "jwks_uri", "end_session_endpoint"];
            for name in endpoints {
                if account.text(name).is_some_and(|url| crate::http::endpoint("", name, url).is_err()) {
                    return Err("an account in it has an address that is not https");
                }
            }
        }
        Ok(bundle)
    }

    /// Whether it brings tokens, and so is imported once.
    pub fn holds_tokens(&self) -> bool {
        self.accounts.iter().any(|account| !account.tokens.is_empty())
    }
}

impl Moved {
    /// The text of a column.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.columns.get(name) {
            Some(Column::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Reads an account as it stands in the database, without its tokens.
    ///
    /// # Errors
    /// As SQLite says.
    pub fn read(connection: &Connection, account: &str) -> rusqlite::Result<Self> {
        let query = format!("SELECT generation, {} FROM account WHERE id = ?1", COLUMNS.join(", "));
        connection.query_row(&query, [account], |row| {
            let mut columns = BTreeMap::new();
            for name in COLUMNS {
                match row.get_ref(*name)? {
                    ValueRef::Integer(number) => drop(columns.insert((*name).to_owned(), Column::Integer(number))),
                    ValueRef::Text(text) => {
                        let text = String::from_utf8_lossy(text).into_owned();
                        columns.insert((*name).to_owned(), Column::Text(text));
                    }
                    _ => {}
                }
            }
            Ok(Self { generation: row.get("generation")?, columns, tokens: BTreeMap::new() })
        })
    }

    /// Writes the columns into the row of this account; makes it where it is missing.
    ///
    /// # Errors
    /// As SQLite says: of what is no account too, for the schema does not take it.
    pub fn write(
        &self,
        transaction: &Connection,
        account: &str,
        generation: u64,
        session: &str,
    ) -> rusqlite::Result<()> {
        let mut names: Vec<&str> = self.columns.keys().map(String::as_str).collect();
        let mut values: Vec<Value> = self
            .columns
            .values()
            .map(|column| match column {
                Column::Integer(number) => Value::Integer(*number),
                Column::Text(text) => Value::Text(text.clone()),
            })
            .collect();
        names.extend(["id", "generation", "session"]);
        let generation = i64::try_from(generation).unwrap_or(i64::MAX);
        values.extend([Value::Text(account.to_owned()), Value::Integer(generation), Value::Text(session.to_owned())]);
        let places: Vec<_> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let statement = format!(
            "INSERT INTO account ({}, position) VALUES ({}, (SELECT coalesce(max(position), 0) + 1 FROM account))",
            names.join(", "),
            places.join(", ")
        );
        transaction.execute(&statement, params_from_iter(values)).map(drop)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for account in &mut self.accounts {
            account.tokens.values_mut().for_each(Zeroize::zeroize);
        }
    }
}
