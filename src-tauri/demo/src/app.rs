//! What all endpoints share.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::HeaderMap;

use crate::answer::Refusal;
use crate::clock::{Clock, Millis};
use crate::grants::Grants;
use crate::params::{self, Params};
use crate::pending::Pending;
use crate::server::CLIENT_ID;
use crate::signing::SigningKey;
use crate::store::StateFile;

/// How tokens are given from now on. Providers differ in each of these.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) access_lifetime: Duration,
    pub(crate) refresh_lifetime: Duration,
    /// A refresh gives a new refresh token. Google's does not.
    pub(crate) rotate: bool,
    /// A refresh ends the access tokens given before. GitHub's and GitLab's does.
    pub(crate) refresh_ends_access: bool,
    /// For so long the refresh token that was spent last may come again. Auth0 and Okta call it leeway and grace period.
    pub(crate) reuse_leeway: Duration,
}

/// The server's state. Locks are held for a look or a change, never over an await.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) issuer: String,
    pub(crate) clock: Clock,
    pub(crate) key: SigningKey,
    terms: Mutex<Terms>,
    pending: Mutex<Pending>,
    grants: Mutex<Numbered>,
    file: Option<Arc<StateFile>>,
}

/// The grants, and how many times they were written.
#[derive(Debug)]
struct Numbered {
    grants: Grants,
    change: u64,
}

impl App {
    pub(crate) fn new(issuer: String, terms: Terms, key: SigningKey, grants: Grants, file: Option<StateFile>) -> Self {
        Self {
            issuer,
            clock: Clock::default(),
            key,
            terms: Mutex::new(terms),
            pending: Mutex::default(),
            grants: Mutex::new(Numbered { grants, change: 0 }),
            file: file.map(Arc::new),
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.clock.now()
    }

    pub(crate) fn terms(&self) -> Terms {
        *lock(&self.terms)
    }

    pub(crate) fn set_terms(&self, change: impl FnOnce(&mut Terms)) {
        change(&mut lock(&self.terms));
    }

    pub(crate) fn pending<R>(&self, act: impl FnOnce(&mut Pending) -> R) -> R {
        act(&mut lock(&self.pending))
    }

    pub(crate) fn grants<R>(&self, act: impl FnOnce(&mut Grants) -> R) -> R {
        act(&mut lock(&self.grants).grants)
    }

    /// Writes the grants to the state file, where there is one. Endpoints await it before they answer: a client that
    /// was told of a token finds it good after a restart.
    pub(crate) async fn save(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let (change, content) = {
            let mut numbered = lock(&self.grants);
            numbered.change += 1;
            (numbered.change, StateFile::content(&self.key, &numbered.grants)?)
        };
        let file = Arc::clone(file);
        tokio::task::spawn_blocking(move || file.write(change, &content)).await.map_err(io::Error::other)?
    }

    /// [`Self::save`], as an answer: a token that could not be kept is not given.
    pub(crate) async fn saved(&self) -> Result<(), Refusal> {
        let failed = |_| Refusal::new("server_error", "The state file cannot be written").seen_as("not_saved");
        self.save().await.map_err(failed)
    }
}

/// A lock whose holder panicked is taken all the same: every change here is complete or not begun.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the token endpoint and its kin have in common: a form, no parameter twice, and the one public client (RFC 6749
/// 2.1 and 3.2.1), which names itself and holds no secret.
pub(crate) fn client_form(headers: &HeaderMap, body: &[u8]) -> Result<Params, Refusal> {
    if !params::is_form(headers) {
        return Err(Refusal::new("invalid_request", "The body has to be application/x-www-form-urlencoded"));
    }
    let form = Params::parse(body);
    if let Some(name) = form.repeated() {
        return Err(Refusal::new("invalid_request", format!("{} comes more than once", plain(name))));
    }
    let authenticates = headers.contains_key("authorization")
        || ["client_secret", "client_assertion"].iter().any(|name| form.get(name).is_some());
    if authenticates {
        return Err(Refusal::new("invalid_client", "This client is public: it does not authenticate"));
    }
    if form.get("client_id") != Some(CLIENT_ID) {
        return Err(Refusal::new("invalid_client", "Unknown client"));
    }
    Ok(form)
}

/// Text from a request, as an error_description may hold it: printable ASCII without quotes and backslash (RFC 6749
/// 5.2), not long.
pub(crate) fn plain(text: &str) -> String {
    const LONG_ENOUGH_TO_RECOGNISE: usize = 60;
    let allowed = |c: &char| matches!(c, ' '..='~') && !matches!(c, '"' | '\\');
    text.chars().filter(allowed).take(LONG_ENOUGH_TO_RECOGNISE).collect()
}
