//! Every effect runs through [`Hands::perform`]; what it came to goes back to where it is decided what follows.

use crate::clock::Clock;
use crate::database::Database;
use crate::discovery_cache::Discovery;
use crate::dpop::DpopKey;
use crate::grants::{self, Endpoints, NotOpened, Tokens};
use crate::http::Http;
use crate::identity::{Finder, Renewed};
use crate::jwks::Jwks;
use crate::keychain::{Keychain, keychain_state};
use crate::providers::Userinfo;
use crate::rows::Rows;
use crate::seal::DataKey;
use crate::sign_in::token_digest;
use crate::token_endpoint::{Client, Ended};
use crate::{access_tokens, failpoint, registration, token_endpoint};
use larder_core::account::GrantType;
use larder_core::effect::{Arrival, Effect, Grant, Outcome, Trouble};
use larder_core::names::{AccountId, Digest, Generation, Operation, Part, Scope};
use larder_core::problem::{Problem, Why};
use larder_core::view::KeychainState;
use oauth2::{AuthorizationCode, PkceCodeVerifier};
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

/// An interrupted refresh may begin so many times: once, and once more after a crash.
const MOST_TRIES: u32 = 2;

/// What acts: keychain, database and provider, and what must not leave memory.
pub struct Hands {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// `larder.db`.
    pub database: Database,
    /// Holds the data keys.
    pub keychain: Arc<Keychain>,
    /// The issuers' keys.
    pub jwks: Jwks,
    /// Asks providers; made anew when the settings change.
    http: RwLock<Http>,
    /// What providers offer.
    pub discovery: Discovery,
    /// Held while a client is registered, or its registration changed: one at a time.
    pub registering: tokio::sync::Mutex<()>,
    held: Mutex<HashMap<Operation, Held>>,
    keys: Mutex<HashMap<AccountId, DataKey>>,
    /// What is handed out, sealed.
    pub rows: Rows,
    /// While Larder is sealed: the accounts whose keys are used to the end of what is in flight.
    sealed: Mutex<Option<Vec<AccountId>>>,
}

/// What one operation holds in memory.
#[derive(Clone, Debug)]
struct Held {
    endpoints: Endpoints,
    /// What was read, to be sent or revoked.
    before: Tokens,
    /// The client's own, where it has one.
    secret: Option<SecretString>,
    /// How long access tokens of this grant lived so far.
    lifetime: Option<Duration>,
    /// Whose session it is, where an ID token said so.
    subject: Option<String>,
    /// As granted.
    scopes: Vec<Scope>,
    /// What is asked for.
    part: Part,
    /// Further access tokens, to be revoked.
    others: Vec<SecretString>,
    /// What came, to be stored.
    after: Option<(Tokens, Grant)>,
}

/// What was asked of [`Hands::perform`].
#[derive(Clone, Debug)]
pub struct Task {
    /// The account.
    pub account: AccountId,
    /// Its label and provider, for people.
    pub provider: String,
    /// The operation.
    pub operation: Operation,
    /// The account's generation when this was decided.
    pub generation: Generation,
    /// Remove the row at the end of the sign-out.
    pub forget: bool,
    /// At its end another machine has the session.
    pub moved: bool,
    /// What to do.
    pub effect: Effect,
}

/// What an effect came to, and how the keychain stood if it was asked.
pub struct Performed {
    /// The result; `None` for effects that have none.
    pub arrival: Option<Arrival>,
    /// How the keychain stood.
    pub keychain: Option<KeychainState>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hands {
    /// Hands that hold nothing yet.
    pub fn new(clock: Arc<dyn Clock>, database: Database, keychain: impl Into<Arc<Keychain>>, http: Http) -> Self {
        Self {
            discovery: Discovery::new(Arc::clone(&clock)),
            clock,
            database,
            keychain: keychain.into(),
            jwks: Jwks::new(),
            http: RwLock::new(http),
            registering: tokio::sync::Mutex::default(),
            held: Mutex::default(),
            keys: Mutex::default(),
            rows: Rows::default(),
            sealed: Mutex::default(),
        }
    }

    /// Lets go of every key in memory but those of these accounts, and opens nothing else.
    pub fn seal(&self, keep: Vec<AccountId>) {
        let mut sealed = lock(&self.sealed);
        // They are zeroized as they go.
        lock(&self.keys).retain(|account, _| keep.contains(account));
        *sealed = Some(keep);
    }

    /// Opens again what the keychain opens.
    pub fn unseal(&self) {
        *lock(&self.sealed) = None;
    }

    fn may_open(&self, account: &AccountId) -> Result<(), Problem> {
        match &*lock(&self.sealed) {
            Some(keep) if !keep.contains(account) => Err(Problem::Sealed),
            _ => Ok(()),
        }
    }

    /// The account's key: from memory, else from the keychain. Keys are read when first needed.
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] and its kin.
    pub async fn key(&self, account: &AccountId) -> Result<Option<DataKey>, Problem> {
        self.may_open(account)?;
        if let Some(key) = lock(&self.keys).get(account) {
            return Ok(Some(key.clone()));
        }
        let key = self.keychain.key(account).await?;
        if let Some(key) = &key {
            self.remember_key(account, key);
        }
        Ok(key)
    }

    /// Lets go of a key with which nothing was written. What cannot be deleted opens nothing, and stays.
    pub async fn drop_key(&self, account: &AccountId) {
        lock(&self.keys).remove(account);
        if let Err(problem) = self.keychain.delete(account).await {
            tracing::warn!("a key that opens nothing stays: {}", larder_core::words::sentence(&problem));
        }
    }

    /// The secret of a grant's client, where it authenticates with one.
    ///
    /// # Errors
    /// [`Problem::SecretNeeded`]; [`Problem::KeychainLocked`] and its kin.
    pub async fn client_secret(&self, endpoints: &Endpoints) -> Result<Option<SecretString>, Problem> {
        if endpoints.token_endpoint_auth_method == "none" {
            return Ok(None);
        }
        if lock(&self.sealed).as_ref().is_some_and(Vec::is_empty) {
            return Err(Problem::Sealed);
        }
        let secret = registration::secret(self, &endpoints.issuer, &endpoints.client_id).await?;
        secret.map(Some).ok_or_else(|| Problem::SecretNeeded { provider: endpoints.issuer.clone() })
    }

    /// Exchanges an authorization code.
    pub async fn exchange(
        &self,
        endpoints: &Endpoints,
        provider: &str,
        code: AuthorizationCode,
        verifier: PkceCodeVerifier,
        redirect_uri: &str,
        dpop: Option<&DpopKey>,
    ) -> Ended {
        match self.client_secret(endpoints).await {
            Ok(secret) => {
                let client = Client { endpoints, secret: secret.as_ref(), provider, dpop };
                token_endpoint::exchange(&self.http(), self.clock.as_ref(), client, code, verifier, redirect_uri).await
            }
            Err(problem) => Ended::of(Outcome::NeedsFix(problem)),
        }
    }

    /// Asks in a client's own name.
    pub async fn client_credentials(
        &self,
        endpoints: &Endpoints,
        provider: &str,
        scopes: &[Scope],
        dpop: Option<&DpopKey>,
    ) -> Ended {
        match self.client_secret(endpoints).await {
            Ok(secret) => {
                let client = Client { endpoints, secret: secret.as_ref(), provider, dpop };
                {
                    let (http, clock) = (&self.http(), self.clock.as_ref());
                    token_endpoint::client_credentials(http, clock, client, scopes, &Part::default()).await
                }
            }
            Err(problem) => Ended::of(Outcome::NeedsFix(problem)),
        }
    }

    /// Keeps a key in memory.
    pub fn remember_key(&self, account: &AccountId, key: &DataKey) {
        // Held, so that a seal that comes meanwhile finds it.
        let sealed = lock(&self.sealed);
        if sealed.as_ref().is_none_or(|keep| keep.contains(account)) {
            lock(&self.keys).insert(account.clone(), key.clone());
        }
    }

    /// What asks providers.
    pub fn http(&self) -> Http {
        self.http.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on, providers are asked this way.
    pub fn ask_through(&self, http: Http) {
        *self.http.write().unwrap_or_else(PoisonError::into_inner) = http;
        self.discovery.forget();
    }

    /// Performs one effect.
    pub async fn perform(&self, task: Task) -> Performed {
        let name = name(&task.effect);
        failpoint::pass(name, "before");
        let performed = self.act(task).await;
        failpoint::pass(name, "after");
        performed
    }

    async fn act(&self, task: Task) -> Performed {
        let Task { account, provider, operation, generation: decided_in, forget, moved, effect } = task;
        let saved = |result: Result<(), Problem>, done: Arrival| match result {
            Ok(()) => done,
            Err(problem) => Arrival::NotSaved(problem),
        };
        let mut keychain = None;
        let arrival = match effect {
            Effect::Prepare { resumed, part } => {
                // A key that is in memory says nothing about the keychain.
                let asked = !lock(&self.keys).contains_key(&account);
                let arrival = self.prepare(&account, operation, decided_in, resumed, part).await;
                keychain = match &arrival {
                    Arrival::NotPrepared(Trouble::Passing(problem)) => keychain_state(problem),
                    _ => asked.then_some(KeychainState::Open),
                };
                Some(arrival)
            }
            Effect::Send => Some(self.send(&account, &provider, operation).await),
            Effect::Save { generation } => {
                Some(saved(self.save(&account, operation, generation).await, Arrival::Saved))
            }
            Effect::SaveNeedsSignIn { why } => {
                let result = grants::save_needs_sign_in(&self.database, account, decided_in, why).await;
                // It is in memory in any case; a restart would ask the provider once more, and learn it again.
                if let Err(problem) = result {
                    tracing::warn!("{}", larder_core::words::sentence(&problem));
                }
                None
            }
            Effect::MarkClearing { generation, revoke } => {
                if revoke {
                    self.take_for_revocation(&account, operation).await;
                }
                let result = grants::mark_clearing(&self.database, account, generation, forget, moved).await;
                Some(saved(result, Arrival::Marked))
            }
            Effect::Clear => Some(saved(grants::clear(&self.database, account).await, Arrival::Cleared)),
            Effect::DeleteKey => {
                lock(&self.keys).remove(&account);
                self.rows.drop(&account);
                match self.keychain.delete(&account).await {
                    Ok(()) => {
                        // Whoever read it while it was being deleted has put it back.
                        lock(&self.keys).remove(&account);
                        keychain = Some(KeychainState::Open);
                        Some(Arrival::KeyDeleted)
                    }
                    Err(problem) => {
                        keychain = keychain_state(&problem);
                        Some(Arrival::KeyKept(problem))
                    }
                }
            }
            Effect::Close { forget } => {
                Some(saved(grants::close(&self.database, account, forget).await, Arrival::Closed))
            }
            Effect::Revoke => Some(Arrival::Revoked(self.revoke(operation).await)),
            Effect::RevokeLate => {
                self.revoke_late(operation).await;
                None
            }
            Effect::Discard { spent } => {
                let held = lock(&self.held).remove(&operation);
                let hash = held.and_then(|held| held.before.refresh_token.as_ref().map(token_digest));
                // The journal's mark says that a token may be spent. It goes when the answer says that it is not.
                if let Some(hash) = hash.filter(|_| !spent)
                    && let Err(problem) = grants::unjournal(&self.database, account, hash).await
                {
                    tracing::warn!("{}", larder_core::words::sentence(&problem));
                }
                None
            }
        };
        Performed { arrival, keychain }
    }

    async fn prepare(
        &self,
        account: &AccountId,
        operation: Operation,
        generation: Generation,
        resumed: bool,
        part: Part,
    ) -> Arrival {
        let not = Arrival::NotPrepared;
        let key = match self.key(account).await {
            Ok(Some(key)) => key,
            Ok(None) => return not(Trouble::Lasting(Why::KeyMissing)),
            Err(problem) => return not(Trouble::Passing(problem)),
        };
        let opened = match grants::read_tokens(&self.database, account.clone(), key).await {
            Ok(opened) => opened,
            Err(NotOpened::Unreadable) => return not(Trouble::Lasting(Why::Unreadable)),
            Err(NotOpened::Because(problem)) => return not(Trouble::Passing(problem)),
        };
        let Some(before) = opened.tokens else { return not(Trouble::Lasting(Why::NoRefreshToken)) };
        let hash = match (&before.refresh_token, opened.endpoints.grant_type) {
            // A client that asks for itself sends nothing that could be spent: a crash loses nothing.
            (_, GrantType::ClientCredentials) => None,
            (Some(refresh_token), GrantType::AuthorizationCode) => Some(token_digest(refresh_token)),
            (None, GrantType::AuthorizationCode) => return not(Trouble::Lasting(Why::NoRefreshToken)),
        };
        let secret = match self.client_secret(&opened.endpoints).await {
            Ok(secret) => secret,
            Err(problem) => return not(Trouble::Passing(problem)),
        };
        if let Some(hash) = &hash
            && let Err(trouble) = self.journal(account, generation, hash, resumed).await
        {
            return not(trouble);
        }
        lock(&self.held).insert(
            operation,
            Held {
                endpoints: opened.endpoints,
                before,
                secret,
                lifetime: opened.lifetime,
                subject: opened.subject,
                scopes: grants::split(&opened.scope),
                part,
                others: Vec::new(),
                after: None,
            },
        );
        Arrival::Prepared { hash }
    }

    /// Writing the journal is the proof that the new token can be written, before the old one is spent.
    async fn journal(
        &self,
        account: &AccountId,
        generation: Generation,
        hash: &Digest,
        resumed: bool,
    ) -> Result<(), Trouble> {
        match grants::journal(&self.database, account.clone(), generation, hash.clone(), resumed).await {
            Ok(tries) if tries > MOST_TRIES => Err(Trouble::Lasting(Why::Refused)),
            Ok(_) => Ok(()),
            Err(problem) => Err(Trouble::Passing(problem)),
        }
    }

    async fn send(&self, account: &AccountId, provider: &str, operation: Operation) -> Arrival {
        let nothing = || {
            Arrival::Answered(Outcome::Transient {
                problem: Problem::Internal { detail: format!("nothing to send for {account}") },
                retry_after: None,
                spent: false,
            })
        };
        let Some(held) = lock(&self.held).get(&operation).cloned() else { return nothing() };
        let client = Client {
            endpoints: &held.endpoints,
            secret: held.secret.as_ref(),
            provider,
            dpop: held.before.dpop_key.as_ref(),
        };
        let (http, clock) = (&self.http(), self.clock.as_ref());
        let mut ended = match (held.endpoints.grant_type, &held.before.refresh_token) {
            (GrantType::ClientCredentials, _) => {
                token_endpoint::client_credentials(http, clock, client, &held.scopes, &held.part).await
            }
            (GrantType::AuthorizationCode, Some(refresh_token)) => {
                token_endpoint::refresh(http, clock, client, refresh_token, &held.part).await
            }
            (GrantType::AuthorizationCode, None) => return nothing(),
        };
        if ended.outcome == Outcome::NeedsSignIn(Why::Refused) && self.tested_too_long(account, &held.endpoints).await {
            ended.outcome = Outcome::NeedsSignIn(Why::Testing);
        }
        if let Outcome::Tokens(grant) = &mut ended.outcome {
            // A provider that says nothing this time means what it said before: else an ended token would pass for good.
            grant.lifetime = grant.lifetime.or(held.lifetime);
        }
        if let (Some(mut tokens), Outcome::Tokens(grant)) = (ended.tokens, ended.outcome.clone()) {
            if !self.about_the_same(&held, provider, &mut tokens).await {
                ended.outcome = Outcome::NeedsSignIn(Why::IdTokenRejected);
            }
            if let Some(held) = lock(&self.held).get_mut(&operation) {
                held.after = Some((tokens, grant));
            }
        }
        Arrival::Answered(ended.outcome)
    }

    /// Whether a refresh is not known to be about somebody else. An ID token that was not checked is dropped.
    async fn about_the_same(&self, held: &Held, provider: &str, tokens: &mut Tokens) -> bool {
        let renewed = match &held.subject {
            Some(subject) if tokens.id_token.is_some() => {
                let (http, clock) = (&self.http(), self.clock.as_ref());
                // Not asked for here.
                let userinfo = &Userinfo::default();
                let (jwks, endpoints) = (&self.jwks, &held.endpoints);
                let finder = Finder { http, clock, jwks, endpoints, provider, userinfo, server_clock: None };
                finder.renewed(tokens, &held.before, subject).await
            }
            _ => Renewed::Unchecked("nothing to compare it with"),
        };
        match renewed {
            Renewed::Same => return true,
            Renewed::Unchecked(why) => tracing::debug!("the ID token of a refresh is not kept: {why}"),
            Renewed::Other(why) => tracing::warn!("the ID token of a refresh is not this session's: {why}"),
        }
        tokens.id_token = None;
        matches!(renewed, Renewed::Unchecked(_))
    }

    /// Whether the session ended about when this provider ends those of projects that are not published.
    async fn tested_too_long(&self, account: &AccountId, endpoints: &Endpoints) -> bool {
        let signed_in_at = grants::signed_in_at(&self.database, account.clone()).await.ok().flatten();
        signed_in_at.is_some_and(|signed_in_at| {
            crate::catalogue::ended_for_testing(&endpoints.issuer, self.clock.now().wall.0 - signed_in_at.0)
        })
    }

    async fn save(&self, account: &AccountId, operation: Operation, generation: Generation) -> Result<(), Problem> {
        let held = lock(&self.held).get(&operation).cloned();
        let after = held.and_then(|held| Some((held.part, held.after?)));
        let (part, (tokens, grant)) =
            after.ok_or_else(|| Problem::Internal { detail: "nothing to save".to_owned() })?;
        let key = self.key(account).await?.ok_or(Problem::KeychainLocked)?;
        grants::save_refresh(&self.database, account.clone(), key, generation, tokens, (part, grant)).await?;
        lock(&self.held).remove(&operation);
        Ok(())
    }

    /// Signing out must not depend on it: where the tokens do not open, there is nothing to revoke.
    async fn take_for_revocation(&self, account: &AccountId, operation: Operation) {
        if lock(&self.held).contains_key(&operation) {
            return;
        }
        let Ok(Some(key)) = self.key(account).await else { return };
        let Ok(opened) = grants::read_tokens(&self.database, account.clone(), key.clone()).await else { return };
        let others = access_tokens::all(&self.database, account.clone(), key).await.unwrap_or_default();
        if let Some(before) = opened.tokens {
            // Without its secret the client may not be believed; then the provider says so.
            let secret = self.client_secret(&opened.endpoints).await.unwrap_or_default();
            lock(&self.held).insert(
                operation,
                Held {
                    endpoints: opened.endpoints,
                    before,
                    secret,
                    lifetime: None,
                    subject: None,
                    scopes: Vec::new(),
                    part: Part::default(),
                    others,
                    after: None,
                },
            );
        }
    }

    async fn revoke(&self, operation: Operation) -> Result<(), Option<Problem>> {
        let Some(held) = lock(&self.held).remove(&operation) else { return Err(Some(Problem::KeychainLocked)) };
        let result = self.revoke_tokens(&held.endpoints, held.secret.as_ref(), &held.before).await;
        // RFC 7009 section 2.1: with a refresh token end the access tokens that came of it. Where there is none, each is told.
        if held.before.refresh_token.is_none() && result.is_ok() {
            for other in &held.others {
                let (http, clock, secret) = (&self.http(), self.clock.as_ref(), held.secret.as_ref());
                let told = token_endpoint::revoke(http, clock, &held.endpoints, secret, other, "access_token").await;
                told.map_err(Some)?;
            }
        }
        result
    }

    async fn revoke_late(&self, operation: Operation) {
        let held = lock(&self.held).remove(&operation);
        if let Some(Held { endpoints, after: Some((tokens, _)), .. }) = held {
            self.give_back(&endpoints, &tokens).await;
        }
    }

    /// Revokes tokens that nothing was or will be stored of.
    pub async fn give_back(&self, endpoints: &Endpoints, tokens: &Tokens) {
        let secret = self.client_secret(endpoints).await.unwrap_or_default();
        if let Err(Some(problem)) = self.revoke_tokens(endpoints, secret.as_ref(), tokens).await {
            tracing::warn!("tokens that came too late: {}", larder_core::words::sentence(&problem));
        }
    }

    /// The refresh token first: it is what lives long. The access token only where there is no other.
    async fn revoke_tokens(
        &self,
        endpoints: &Endpoints,
        secret: Option<&SecretString>,
        tokens: &Tokens,
    ) -> Result<(), Option<Problem>> {
        if endpoints.revocation_endpoint.is_none() {
            return Err(None);
        }
        let (token, hint) = match &tokens.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&tokens.access_token, "access_token"),
        };
        let mut last = Ok(());
        // Within a quarter of an hour; a token that is lost after that ends by the provider's own clock.
        for wait in [0, 1, 3, 10, 30, 60, 180, 600] {
            self.clock.pass(Duration::from_secs(wait)).await;
            let clock = self.clock.as_ref();
            last = token_endpoint::revoke(&self.http(), clock, endpoints, secret, token, hint).await;
            if !matches!(&last, Err(problem) if problem.passes()) {
                break;
            }
        }
        last.map_err(Some)
    }
}

/// What an effect came to that broke off: as if it had failed.
pub fn broke_off(effect: &Effect) -> Option<Arrival> {
    let problem = Problem::Internal { detail: format!("{} broke off", name(effect)) };
    match effect {
        Effect::Prepare { .. } => Some(Arrival::NotPrepared(Trouble::Passing(problem))),
        Effect::Send => Some(Arrival::Answered(Outcome::Transient { problem, retry_after: None, spent: true })),
        Effect::Save { .. } | Effect::MarkClearing { .. } | Effect::Clear | Effect::Close { .. } => {
            Some(Arrival::NotSaved(problem))
        }
        Effect::DeleteKey => Some(Arrival::KeyKept(problem)),
        Effect::Revoke => Some(Arrival::Revoked(Err(Some(problem)))),
        Effect::SaveNeedsSignIn { .. } | Effect::RevokeLate | Effect::Discard { .. } => None,
    }
}

fn name(effect: &Effect) -> &'static str {
    match effect {
        Effect::Prepare { .. } => "prepare",
        Effect::Send => "send",
        Effect::Save { .. } => "save",
        Effect::SaveNeedsSignIn { .. } => "save-needs-sign-in",
        Effect::MarkClearing { .. } => "mark-clearing",
        Effect::Clear => "clear",
        Effect::DeleteKey => "delete-key",
        Effect::Close { .. } => "close",
        Effect::Revoke => "revoke",
        Effect::RevokeLate => "revoke-late",
        Effect::Discard { .. } => "discard",
    }
}
