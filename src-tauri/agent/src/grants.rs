//! The rows of `account`: everything that is written about a grant, each change in one transaction.

use crate::access_tokens;
use crate::database::{Database, Failed};
use crate::dpop::DpopKey;
use crate::seal::{DataKey, Place, Unreadable, open, seal};
use larder_core::account::parts::Parts;
use larder_core::account::{
    Access, Account, Clearing, GrantType, Identity, Refresh, Session, Terms, next_due, session_ends,
};
use larder_core::effect::Grant;
use larder_core::names::{AccountId, Digest, Generation, Operation, Part, ProviderName, Scope};
use larder_core::problem::{Problem, Why};
use larder_core::schedule::Margin;
use larder_core::time::{BootTime, Moment, Now, WallTime};
use rusqlite::{OptionalExtension, Row, Transaction, named_params};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// RFC 6749 section 4.4.2's name of it, in the column too.
const CLIENT_CREDENTIALS: &str = "client_credentials";

/// Where a grant's tokens come from, go to, and are revoked: as signed in with.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The issuer, or the authorization endpoint's origin where there is none.
    pub issuer: String,
    /// The client.
    pub client_id: String,
    /// How the client authenticates; `none` for a public one.
    pub token_endpoint_auth_method: String,
    /// RFC 6749 section 3.2.
    pub token_endpoint: String,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// OpenID Connect Core 5.3, or the provider's own.
    pub userinfo_endpoint: Option<String>,
    /// RFC 7517.
    pub jwks_uri: Option<String>,
    /// Whom the tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// Whom else they can be asked for.
    pub other_resources: Vec<String>,
    /// How its tokens come.
    pub grant_type: GrantType,
    /// What its refreshes do.
    pub terms: Terms,
}

/// What a provider gave. Debug is redacted by its parts, and the memory is zeroized on drop.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// For resource servers.
    pub access_token: SecretString,
    /// For the token endpoint alone.
    pub refresh_token: Option<SecretString>,
    /// For us.
    pub id_token: Option<SecretString>,
    /// `Bearer`, or `DPoP` for an access token that is bound to a key.
    pub token_type: String,
    /// The key that they are bound to (RFC 9449).
    pub dpop_key: Option<DpopKey>,
}

/// A sign-in that is to be stored.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The account, new or known.
    pub account: AccountId,
    /// Its label.
    pub label: String,
    /// The provider.
    pub provider: ProviderName,
    /// Whether an ID token said who it is.
    pub openid: bool,
    /// The provider's name for the person.
    pub subject: String,
    /// From ID token or userinfo.
    pub name: Option<String>,
    /// From ID token or userinfo.
    pub email: Option<String>,
    /// What was granted.
    pub grant: Grant,
    /// The tokens.
    pub tokens: Tokens,
    /// Where they come from.
    pub endpoints: Endpoints,
    /// Where its person can sign out in the browser (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<String>,
}

/// This start of the machine; what the boot clock said in another one means nothing.
pub fn boot_id() -> Option<String> {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// Every account, as it stands on the disk.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn all(database: &Database, now: Now) -> Result<Vec<Account>, Problem> {
    database.run(move |connection| all_in(connection, now)).await
}

/// The same, of an open database.
///
/// # Errors
/// SQLite's.
pub fn all_in(connection: &rusqlite::Connection, now: Now) -> Result<Vec<Account>, Failed> {
    let boot = boot_id();
    let mut statement = connection.prepare(
                r#"SELECT id, generation, label, provider, issuer, client_id, provider_account_id, name, email, scope,
                     expires_at, lifetime, boot_id, expires_boot, access_token IS NOT NULL AS has_access,
                     refresh_token IS NOT NULL OR (grant_type = 'client_credentials' AND access_token IS NOT NULL) AS refreshable,
                     grant_type, end_session_endpoint IS NOT NULL AS browser_sign_out, refreshed_at, signed_in_at, session, why, forget,
                     in_flight, moved, other_resources, refresh_expires_at, refresh_ends_access_token, refresh_token_lifetime
                   FROM account ORDER BY position"#,
            )?;
    let accounts = statement.query_map([], |row| read(row, boot.as_deref(), now))?;
    let mut accounts: Vec<Account> = accounts.collect::<Result<_, _>>()?;
    for (of, part, access) in access_tokens::facts(connection, boot.as_deref(), now)? {
        if let Some(account) = accounts.iter_mut().find(|account| account.id == of) {
            account.parts.access.insert(part, access);
            if let Session::SignedIn { refresh: Refresh::Idle { .. } } = account.session {
                account.session = Session::SignedIn { refresh: next_due(account, account.reckoned()) };
            }
        }
    }
    Ok(accounts)
}

/// When the token of this row ends.
pub fn moment(row: &Row<'_>, boot: Option<&str>, now: Now) -> rusqlite::Result<Option<Moment>> {
    let expires_at: Option<i64> = row.get("expires_at")?;
    let written_in: Option<String> = row.get("boot_id")?;
    let same_boot = boot.is_some() && written_in.as_deref() == boot;
    let expires_boot: Option<i64> = if same_boot { row.get("expires_boot")? } else { None };
    Ok(expires_at.map(|wall| {
        // After a restart of the machine the wall clock alone knows; from here on, setting it back makes nothing fresher.
        let by_wall = now.boot.0.saturating_add(wall.saturating_sub(now.wall.0));
        Moment { wall: WallTime(wall), boot: Some(BootTime(expires_boot.unwrap_or(by_wall))) }
    }))
}

fn read(row: &Row<'_>, boot: Option<&str>, now: Now) -> rusqlite::Result<Account> {
    let scope: Option<String> = row.get("scope")?;
    let has_access: bool = row.get("has_access")?;
    let access = if has_access {
        let expires = moment(row, boot, now)?;
        let issued = Generation(row.get("generation")?);
        Some(Access { expires, lifetime: row.get("lifetime")?, issued, ..Access::default() })
    } else {
        None
    };
    let mut account = Account {
        id: AccountId(row.get("id")?),
        generation: Generation(row.get("generation")?),
        identity: Identity {
            label: row.get("label")?,
            provider: ProviderName(row.get("provider")?),
            issuer: row.get("issuer")?,
            client_id: row.get("client_id")?,
            subject: row.get("provider_account_id")?,
            name: row.get("name")?,
            email: row.get("email")?,
            scopes: split(&scope.unwrap_or_default()),
            grant_type: grant_type(row)?,
            browser_sign_out: row.get("browser_sign_out")?,
        },
        session: Session::SignedOut,
        access,
        refreshable: row.get("refreshable")?,
        refreshed_at: row.get::<_, Option<i64>>("refreshed_at")?.map(WallTime),
        signed_in_at: row.get::<_, Option<i64>>("signed_in_at")?.map(WallTime),
        session_ends: row.get::<_, Option<i64>>("refresh_expires_at")?.map(WallTime),
        terms: terms(row)?,
        // The house sets it, where its person did.
        margin: Margin::default(),
        parts: Parts { resources: resources(row)?, ..Parts::default() },
    };
    let session: String = row.get("session")?;
    let in_flight: Option<String> = row.get("in_flight")?;
    account.session = match session.as_str() {
        "signed-in" => Session::SignedIn {
            refresh: match in_flight {
                Some(hash) => Refresh::Journaled { hash: Digest(hash) },
                None => next_due(&account, account.access),
            },
        },
        "needs-sign-in" => {
            let why: Option<String> = row.get("why")?;
            let why = why.and_then(|why| serde_json::from_value(serde_json::Value::String(why)).ok());
            Session::NeedsSignIn { why: why.unwrap_or(Why::Refused) }
        }
        // The house gives it an operation of this run. The tokens to revoke went with the run that began it.
        "clearing" => Session::Clearing(Clearing {
            moved: row.get::<_, Option<String>>("moved")?.is_some(),
            until: Some(now.plus(Duration::ZERO)),
            ..Clearing::new(Operation(0), row.get("forget")?, false)
        }),
        _ if row.get::<_, Option<String>>("moved")?.is_some() => Session::MovedAway,
        _ => Session::SignedOut,
    };
    Ok(account)
}

fn grant_type(row: &Row<'_>) -> rusqlite::Result<GrantType> {
    let name: String = row.get("grant_type")?;
    Ok(if name == CLIENT_CREDENTIALS { GrantType::ClientCredentials } else { GrantType::AuthorizationCode })
}

fn resources(row: &Row<'_>) -> rusqlite::Result<Vec<String>> {
    Ok(row.get::<_, String>("other_resources")?.split_whitespace().map(str::to_owned).collect())
}

fn terms(row: &Row<'_>) -> rusqlite::Result<Terms> {
    Ok(Terms {
        refresh_ends_access_token: row.get("refresh_ends_access_token")?,
        refresh_token_lifetime: row.get::<_, Option<u64>>("refresh_token_lifetime")?.map(Duration::from_millis),
    })
}

/// What is needed to use a grant: its endpoints, and its tokens opened.
#[derive(Debug)]
pub struct Opened {
    /// Where the tokens belong.
    pub endpoints: Endpoints,
    /// The tokens; `None` where the row has none.
    pub tokens: Option<Tokens>,
    /// The scope as granted.
    pub scope: String,
    /// When the access token ends.
    pub expires_at: Option<WallTime>,
    /// How long it lived when it was new.
    pub lifetime: Option<Duration>,
    /// `sub`, where an ID token said who signed in.
    pub subject: Option<String>,
}

/// Why a grant could not be opened.
#[derive(Debug)]
pub enum NotOpened {
    /// What is stored does not open with this key.
    Unreadable,
    /// For another reason.
    Because(Problem),
}

impl From<Unreadable> for NotOpened {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}

/// A grant as it is stored.
pub struct Sealed {
    endpoints: Endpoints,
    generation: u64,
    access_token: Option<Vec<u8>>,
    refresh_token: Option<Vec<u8>>,
    id_token: Option<Vec<u8>>,
    dpop_key: Option<Vec<u8>>,
    token_type: Option<String>,
    scope: Option<String>,
    expires_at: Option<i64>,
    lifetime: Option<u64>,
    subject: Option<String>,
    session_ends: Option<WallTime>,
}

/// The row of this account.
///
/// # Errors
/// [`Problem::NoSuchAccount`]; SQLite's.
pub fn sealed(connection: &rusqlite::Connection, account: &AccountId) -> Result<Sealed, Failed> {
    let mut statement = connection.prepare_cached(
            "SELECT issuer, client_id, token_endpoint_auth_method, token_endpoint, revocation_endpoint, userinfo_endpoint,
               jwks_uri, resource, other_resources, grant_type, generation, access_token, refresh_token, id_token, dpop_key, token_type, scope,
               expires_at, lifetime, refresh_expires_at, refresh_ends_access_token, refresh_token_lifetime,
               CASE type WHEN 'oidc' THEN provider_account_id END AS subject
             FROM account WHERE id = ?1",
    )?;
    let row = statement
        .query_row([account.as_str()], |row| {
            Ok(Sealed {
                endpoints: Endpoints {
                    issuer: row.get("issuer")?,
                    client_id: row.get("client_id")?,
                    token_endpoint_auth_method: row.get("token_endpoint_auth_method")?,
                    token_endpoint: row.get("token_endpoint")?,
                    revocation_endpoint: row.get("revocation_endpoint")?,
                    userinfo_endpoint: row.get("userinfo_endpoint")?,
                    jwks_uri: row.get("jwks_uri")?,
                    resource: row.get("resource")?,
                    other_resources: resources(row)?,
                    grant_type: grant_type(row)?,
                    terms: terms(row)?,
                },
                generation: row.get("generation")?,
                access_token: row.get("access_token")?,
                refresh_token: row.get("refresh_token")?,
                id_token: row.get("id_token")?,
                dpop_key: row.get("dpop_key")?,
                token_type: row.get("token_type")?,
                scope: row.get("scope")?,
                expires_at: row.get("expires_at")?,
                lifetime: row.get("lifetime")?,
                subject: row.get("subject")?,
                session_ends: row.get::<_, Option<i64>>("refresh_expires_at")?.map(WallTime),
            })
        })
        .optional()?;
    row.ok_or_else(|| Failed::Because(Problem::NoSuchAccount { account: account.0.clone() }))
}

impl Sealed {
    /// Where this column of it belongs.
    pub fn place<'a>(&'a self, account: &'a AccountId, column: &'a str) -> Place<'a> {
        Place {
            account: account.as_str(),
            issuer: &self.endpoints.issuer,
            client: &self.endpoints.client_id,
            column,
            generation: self.generation,
        }
    }

    fn open(
        &self,
        account: &AccountId,
        key: &DataKey,
        column: &str,
        sealed: Option<&Vec<u8>>,
    ) -> Result<Option<SecretString>, Unreadable> {
        let Some(sealed) = sealed else { return Ok(None) };
        let plain = open(key, self.place(account, column), sealed)?;
        let text = std::str::from_utf8(&plain).map_err(|_| Unreadable)?;
        Ok(Some(SecretString::from(text)))
    }

    /// Which generation it is of.
    pub fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    /// Opens all of it.
    ///
    /// # Errors
    /// [`Unreadable`]: it was sealed with another key, or for another place.
    pub fn open_all(&self, account: &AccountId, key: &DataKey) -> Result<Opened, Unreadable> {
        Ok(Opened {
            tokens: self.tokens(account, key)?,
            scope: self.scope.clone().unwrap_or_default(),
            expires_at: self.expires_at.map(WallTime),
            lifetime: self.lifetime.map(Duration::from_millis),
            subject: self.subject.clone(),
            endpoints: self.endpoints.clone(),
        })
    }

    fn tokens(&self, account: &AccountId, key: &DataKey) -> Result<Option<Tokens>, Unreadable> {
        let Some(access_token) = self.open(account, key, "access_token", self.access_token.as_ref())? else {
            return Ok(None);
        };
        Ok(Some(Tokens {
            access_token,
            refresh_token: self.open(account, key, "refresh_token", self.refresh_token.as_ref())?,
            id_token: self.open(account, key, "id_token", self.id_token.as_ref())?,
            token_type: self.token_type.clone().unwrap_or_else(|| "Bearer".to_owned()),
            dpop_key: match &self.dpop_key {
                Some(sealed) => {
                    let pkcs8 = open(key, self.place(account, "dpop_key"), sealed)?;
                    Some(DpopKey::from_pkcs8(&pkcs8).ok_or(Unreadable)?)
                }
                None => None,
            },
        }))
    }
}

/// Reads and opens a grant.
///
/// # Errors
/// [`NotOpened`].
pub async fn read_tokens(database: &Database, account: AccountId, key: DataKey) -> Result<Opened, NotOpened> {
    let asked = account.clone();
    let sealed = database.run(move |connection| sealed(connection, &asked)).await.map_err(NotOpened::Because)?;
    Ok(sealed.open_all(&account, &key)?)
}

/// When the account's person last signed in.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn signed_in_at(database: &Database, account: AccountId) -> Result<Option<WallTime>, Problem> {
    database
        .run(move |connection| {
            let query = "SELECT signed_in_at FROM account WHERE id = ?1";
            let at: Option<i64> = connection.query_row(query, [account.as_str()], |row| row.get(0))?;
            Ok(at.map(WallTime))
        })
        .await
}

/// Where the account's person can sign out in the browser too, if the provider said so when they signed in.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn browser_sign_out(database: &Database, account: AccountId) -> Result<Option<String>, Problem> {
    database
        .run(move |connection| {
            let query = "SELECT end_session_endpoint, client_id, email FROM account WHERE id = ?1";
            let row = connection.query_row(query, [account.as_str()], |row| {
                Ok((row.get::<_, Option<String>>(0)?, row.get::<_, String>(1)?, row.get::<_, Option<String>>(2)?))
            });
            let Some((Some(endpoint), client_id, email)) = row.optional()? else { return Ok(None) };
            Ok(crate::access::browser_sign_out(&endpoint, &client_id, email.as_deref()))
        })
        .await
}

/// Where an account's tokens come from, where it is known.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn token_endpoint(database: &Database, account: AccountId) -> Result<Option<String>, Problem> {
    database
        .transact(move |transaction| {
            let query = "SELECT token_endpoint FROM account WHERE id = ?1";
            Ok(transaction.query_row(query, [account.as_str()], |row| row.get(0)).optional()?)
        })
        .await
}

/// Writes down that this refresh token is about to be sent. Returns how many runs of the agent began to send it.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin: then nothing is sent.
pub async fn journal(
    database: &Database,
    account: AccountId,
    generation: Generation,
    hash: Digest,
    resumed: bool,
) -> Result<u32, Problem> {
    database
        .transact(move |transaction| {
            Ok(transaction.query_row(
                "UPDATE account SET in_flight = :hash,
                   in_flight_tries = CASE WHEN :resumed AND in_flight IS :hash THEN in_flight_tries + 1 ELSE 1 END
                 WHERE id = :id AND generation = :generation RETURNING in_flight_tries",
                named_params! {
                    ":id": account.as_str(),
                    ":generation": generation.0,
                    ":hash": hash.as_str(),
                    ":resumed": resumed,
                },
                |row| row.get(0),
            )?)
        })
        .await
}

/// Takes the journal's mark back: the request ended without new tokens.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn unjournal(database: &Database, account: AccountId, hash: Digest) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            transaction.execute(
                "UPDATE account SET in_flight = NULL, in_flight_tries = 0 WHERE id = ?1 AND in_flight = ?2",
                [account.as_str(), hash.as_str()],
            )?;
            Ok(())
        })
        .await
}

/// The columns that every write of tokens has in common.
fn write_tokens(
    transaction: &Transaction<'_>,
    account: &AccountId,
    key: &DataKey,
    generation: Generation,
    tokens: &Tokens,
    (part, grant): (&Part, &Grant),
    session_ends: Option<WallTime>,
) -> Result<(), Failed> {
    let before = sealed(transaction, account)?;
    let endpoints = &before.endpoints;
    let place = |column| Place {
        account: account.as_str(),
        issuer: &endpoints.issuer,
        client: &endpoints.client_id,
        column,
        generation: generation.0,
    };
    let sealed_bytes = |column, secret: Option<&[u8]>| {
        secret
            .map(|secret| seal(key, place(column), secret))
            .transpose()
            .map_err(|_| Problem::Internal { detail: "sealing failed".to_owned() })
    };
    // Sealing is one of the three places that tokens are exposed for.
    let sealed = |column, secret: Option<&SecretString>| {
        sealed_bytes(column, secret.map(|secret| secret.expose_secret().as_bytes()))
    };
    transaction.execute(
        "UPDATE account SET generation = :generation, refresh_token = :refresh_token, id_token = :id_token,
           dpop_key = :dpop_key, refreshed_at = :now, refresh_expires_at = :session_ends, in_flight = NULL, in_flight_tries = 0
         WHERE id = :id",
        named_params! {
            ":id": account.as_str(),
            ":generation": generation.0,
            ":refresh_token": sealed("refresh_token", tokens.refresh_token.as_ref())?,
            ":id_token": sealed("id_token", tokens.id_token.as_ref())?,
            ":dpop_key": sealed_bytes("dpop_key", tokens.dpop_key.as_ref().map(DpopKey::pkcs8))?,
            ":now": grant.sent.wall.0,
            ":session_ends": session_ends.map(|ends| ends.0),
        },
    )?;
    if part.is_whole() {
        let expires = grant.expires();
        transaction.execute(
            "UPDATE account SET access_token = :access_token, token_type = :token_type, scope = coalesce(:scope, scope),
               expires_at = :expires_at, lifetime = :lifetime, boot_id = :boot_id, expires_boot = :expires_boot
             WHERE id = :id",
            named_params! {
                ":id": account.as_str(),
                ":access_token": sealed("access_token", Some(&tokens.access_token))?,
                ":token_type": tokens.token_type,
                ":scope": grant.scopes.as_ref().map(|scopes| join(scopes)),
                ":expires_at": expires.map(|expires| expires.wall.0),
                ":lifetime": grant.lifetime.map(larder_core::time::millis),
                ":boot_id": boot_id(),
                ":expires_boot": expires.and_then(|expires| expires.boot).map(|boot| boot.0),
            },
        )?;
        return Ok(());
    }
    // The account's own stays, sealed anew.
    let own = before.open(account, key, "access_token", before.access_token.as_ref());
    let own = own.map_err(|_| Problem::Internal { detail: "the access token does not open".to_owned() })?;
    transaction.execute(
        "UPDATE account SET access_token = ?2 WHERE id = ?1",
        rusqlite::params![account.as_str(), sealed("access_token", own.as_ref())?],
    )?;
    if endpoints.terms.refresh_ends_access_token {
        transaction.execute(
            "UPDATE account SET expires_at = ?2, expires_boot = ?3 WHERE id = ?1",
            rusqlite::params![account.as_str(), grant.sent.wall.0, grant.sent.boot.0],
        )?;
    }
    let new = (&tokens.access_token, tokens.token_type.as_str());
    access_tokens::keep(transaction, account, key, place("access_token"), part, new, grant)
}

/// The scopes of a row.
pub fn split(scopes: &str) -> Vec<Scope> {
    scopes.split_whitespace().map(Scope::from).collect()
}

/// Scopes as a row has them.
pub fn join(scopes: &[Scope]) -> String {
    scopes.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}

/// Writes what a refresh brought, all of it sealed anew, in one transaction.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin; [`Problem::Internal`] where the row is of another generation than the refresh.
pub async fn save_refresh(
    database: &Database,
    account: AccountId,
    key: DataKey,
    generation: Generation,
    mut tokens: Tokens,
    (part, grant): (Part, Grant),
) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            let before = sealed(transaction, &account)?;
            if before.generation.checked_add(1) != Some(generation.0) {
                return Err(Failed::Because(Problem::Internal { detail: "the account changed meanwhile".to_owned() }));
            }
            // Where the refresh brought none that passed its checks, the one before stays.
            if tokens.id_token.is_none() {
                tokens.id_token = before
                    .open(&account, &key, "id_token", before.id_token.as_ref())
                    .map_err(|_| Problem::Internal { detail: "the ID token does not open".to_owned() })?;
            }
            if before.endpoints.terms.refresh_ends_access_token {
                transaction.execute("DELETE FROM access_token WHERE account = ?1", [account.as_str()])?;
            } else {
                access_tokens::seal_anew(transaction, &account, &key, before.place(&account, ""), generation)?;
            }
            let ends = session_ends(before.session_ends, before.endpoints.terms, &grant);
            write_tokens(transaction, &account, &key, generation, &tokens, (&part, &grant), ends)
        })
        .await
}

/// Writes a finished sign-in; makes the row where the account is new. Returns the generation that was written.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn save_sign_in(database: &Database, sign_in: SignIn, key: DataKey) -> Result<Generation, Problem> {
    database
        .transact(move |transaction| {
            let SignIn { account, label, provider, openid, subject, name, email, grant, tokens, endpoints, .. } =
                sign_in;
            let end_session_endpoint = sign_in.end_session_endpoint;
            let before: Option<u64> = transaction
                .query_row("SELECT generation FROM account WHERE id = ?1", [account.as_str()], |row| row.get(0))
                .optional()?;
            let generation = Generation(before.unwrap_or_default()).next();
            transaction.execute(
                "INSERT INTO account (id, provider, provider_account_id, type, issuer, client_id,
                   token_endpoint_auth_method, token_endpoint, revocation_endpoint, userinfo_endpoint, jwks_uri, resource,
                   end_session_endpoint, other_resources, grant_type, refresh_ends_access_token, refresh_token_lifetime, generation, label,
                   position, name, email, session, signed_in_at)
                 VALUES (:id, :provider, :subject, :type, :issuer, :client_id, :auth_method, :token_endpoint,
                   :revocation_endpoint, :userinfo_endpoint, :jwks_uri, :resource, :end_session_endpoint, :other_resources, :grant_type,
                   :refresh_ends_access_token, :refresh_token_lifetime, :generation, :label,
                   (SELECT coalesce(max(position), 0) + 1 FROM account), :name, :email, 'signed-in', :now)
                 ON CONFLICT (id) DO UPDATE SET type = excluded.type, issuer = excluded.issuer,
                   client_id = excluded.client_id, token_endpoint_auth_method = excluded.token_endpoint_auth_method,
                   token_endpoint = excluded.token_endpoint, revocation_endpoint = excluded.revocation_endpoint,
                   userinfo_endpoint = excluded.userinfo_endpoint, jwks_uri = excluded.jwks_uri,
                   resource = excluded.resource,
                   other_resources = excluded.other_resources,
                   grant_type = excluded.grant_type,
                   refresh_ends_access_token = excluded.refresh_ends_access_token,
                   refresh_token_lifetime = excluded.refresh_token_lifetime,
                   end_session_endpoint = excluded.end_session_endpoint,
                   name = excluded.name, email = excluded.email, session = 'signed-in', why = NULL, forget = 0, moved = NULL,
                   signed_in_at = excluded.signed_in_at",
                named_params! {
                    ":id": account.as_str(),
                    ":provider": provider.as_str(),
                    ":subject": subject,
                    ":type": if openid { "oidc" } else { "oauth" },
                    ":issuer": endpoints.issuer,
                    ":client_id": endpoints.client_id,
                    ":auth_method": endpoints.token_endpoint_auth_method,
                    ":token_endpoint": endpoints.token_endpoint,
                    ":revocation_endpoint": endpoints.revocation_endpoint,
                    ":userinfo_endpoint": endpoints.userinfo_endpoint,
                    ":jwks_uri": endpoints.jwks_uri,
                    ":resource": endpoints.resource,
                    ":other_resources": endpoints.other_resources.join(" "),
                    ":grant_type": match endpoints.grant_type {
                        GrantType::AuthorizationCode => "authorization_code",
                        GrantType::ClientCredentials => CLIENT_CREDENTIALS,
                    },
                    ":refresh_ends_access_token": endpoints.terms.refresh_ends_access_token,
                    ":refresh_token_lifetime": endpoints.terms.refresh_token_lifetime.map(larder_core::time::millis),
                    ":end_session_endpoint": end_session_endpoint,
                    ":generation": generation.0,
                    ":label": label,
                    ":name": name,
                    ":email": email,
                    ":now": grant.sent.wall.0,
                },
            )?;
            let ends = session_ends(None, endpoints.terms, &grant);
            // They were of the session before, and perhaps sealed with another key.
            transaction.execute("DELETE FROM access_token WHERE account = ?1", [account.as_str()])?;
            write_tokens(transaction, &account, &key, generation, &tokens, (&Part::default(), &grant), ends)?;
            Ok(generation)
        })
        .await
}

/// Writes down that only its person can go on.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn save_needs_sign_in(
    database: &Database,
    account: AccountId,
    generation: Generation,
    why: Why,
) -> Result<(), Problem> {
    let why = serde_json::to_value(why).ok().and_then(|why| why.as_str().map(str::to_owned));
    database
        .transact(move |transaction| {
            transaction.execute(
                "UPDATE account SET session = 'needs-sign-in', why = ?2, in_flight = NULL, in_flight_tries = 0
                 WHERE id = ?1 AND generation = ?3 AND session = 'signed-in'",
                rusqlite::params![account.as_str(), why, generation.0],
            )?;
            Ok(())
        })
        .await
}

/// Writes down that the account is being cleared: from here on, whatever happens, it ends signed out.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn mark_clearing(
    database: &Database,
    account: AccountId,
    generation: Generation,
    forget: bool,
    moved: bool,
) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            // The tokens stay sealed for the generation before: they are never opened again.
            transaction.execute(
                "UPDATE account SET session = 'clearing', forget = ?2, generation = ?3,
                   moved = CASE WHEN ?4 THEN coalesce(moved, '') END WHERE id = ?1",
                rusqlite::params![account.as_str(), forget, generation.0, moved],
            )?;
            Ok(())
        })
        .await
}

/// Overwrites the sealed tokens (`secure_delete` fills them with zeros) and empties the write-ahead log.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn clear(database: &Database, account: AccountId) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            transaction.execute("DELETE FROM access_token WHERE account = ?1", [account.as_str()])?;
            transaction.execute(
                "UPDATE account SET access_token = NULL, refresh_token = NULL, id_token = NULL, dpop_key = NULL,
                   token_type = NULL, expires_at = NULL, refresh_expires_at = NULL, lifetime = NULL, expires_boot = NULL,
                   session_state = NULL, in_flight = NULL, in_flight_tries = 0
                 WHERE id = ?1",
                [account.as_str()],
            )?;
            Ok(())
        })
        .await?;
    database.truncate_log().await
}

/// Ends a sign-out: the row says so, or goes.
///
/// # Errors
/// [`Problem::DiskFull`] and its kin.
pub async fn close(database: &Database, account: AccountId, forget: bool) -> Result<(), Problem> {
    database
        .transact(move |transaction| {
            let statement = if forget {
                "DELETE FROM account WHERE id = ?1"
            } else {
                "UPDATE account SET session = 'signed-out', why = NULL, forget = 0 WHERE id = ?1"
            };
            transaction.execute(statement, [account.as_str()])?;
            Ok(())
        })
        .await?;
    database.truncate_log().await
}
