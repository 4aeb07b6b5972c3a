//! The keys of issuers (RFC 7517), kept for a while: a refresh need not ask for them each time.

use crate::clock::Clock;
use crate::http::{Http, host};
use larder_core::problem::Problem;
use larder_core::time::{BootTime, millis};
use openidconnect::core::CoreJsonWebKeySet;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

/// How long keys are used without asking again. A key that its issuer has withdrawn is trusted no longer than this; a new
/// one is found at once, because no key that is kept has its name.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// Issuers whose keys are kept. People have a few; each set is at most as long as an answer may be (`http::MOST_BODY`).
const MOST: usize = 16;

/// The keys that are kept, by `jwks_uri`.
#[derive(Debug, Default)]
pub struct Jwks(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    keys: CoreJsonWebKeySet,
    until: BootTime,
}

impl Jwks {
    /// Nothing is kept yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys that are kept, if their time is not over.
    pub fn kept(&self, clock: &dyn Clock, jwks_uri: &str) -> Option<CoreJsonWebKeySet> {
        let now = clock.now().boot;
        self.lock().get(jwks_uri).filter(|kept| now < kept.until).map(|kept| kept.keys.clone())
    }

    /// Asks the issuer, and keeps its answer. Where it fails, what was kept stays.
    ///
    /// # Errors
    /// [`Problem::Unreachable`], [`Problem::ProviderTrouble`]; [`Problem::IdTokenRejected`] where there is nothing to check
    /// a token with.
    pub async fn fetch(
        &self,
        http: &Http,
        clock: &dyn Clock,
        provider: &str,
        jwks_uri: &str,
    ) -> Result<CoreJsonWebKeySet, Problem> {
        let rejected =
            |detail: &str| Problem::IdTokenRejected { provider: provider.to_owned(), detail: detail.to_owned() };
        let url = Url::parse(jwks_uri).map_err(|_| rejected("the address of its issuer's keys is no URL"))?;
        let response = http.get(&url, None).await?;
        if response.status != 200 {
            return Err(Problem::ProviderTrouble { host: host(&url), status: response.status });
        }
        let keys: CoreJsonWebKeySet =
            serde_json::from_slice(&response.body).map_err(|_| rejected("its issuer's keys cannot be read"))?;
        let now = clock.now().boot;
        let mut kept = self.lock();
        kept.retain(|_, kept| now < kept.until);
        if kept.len() >= MOST
            && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.until).map(|(uri, _)| uri.clone())
        {
            kept.remove(&oldest);
        }
        let until = BootTime(now.0.saturating_add(millis(KEPT_FOR)));
        kept.insert(jwks_uri.to_owned(), Kept { keys: keys.clone(), until });
        Ok(keys)
    }
}
