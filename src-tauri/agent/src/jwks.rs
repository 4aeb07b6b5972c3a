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
        self.keep(clock.now().boot, jwks_uri, keys.clone());
        Ok(keys)
    }

    fn keep(&self, now: BootTime, jwks_uri: &str, keys: CoreJsonWebKeySet) {
        let mut kept = self.lock();
        kept.retain(|_, kept| now < kept.until);
        if kept.len() >= MOST
            && !kept.contains_key(jwks_uri)
            && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.until).map(|(uri, _)| uri.clone())
        {
            kept.remove(&oldest);
        }
        let until = BootTime(now.0.saturating_add(millis(KEPT_FOR)));
        kept.insert(jwks_uri.to_owned(), Kept { keys, until });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::time::{Now, WallTime};

    /// So many milliseconds after the machine started; the wall clock says nothing.
    struct At(i64);

    impl Clock for At {
        fn now(&self) -> Now {
            Now { wall: WallTime(0), boot: BootTime(self.0) }
        }
    }

    fn keys() -> CoreJsonWebKeySet {
        CoreJsonWebKeySet::new(Vec::new())
    }

    #[test]
    fn keys_are_kept_for_an_hour_and_for_their_issuer_alone() {
        let jwks = Jwks::new();
        jwks.keep(BootTime(1_000), "https://a.example/jwks", keys());
        assert!(jwks.kept(&At(3_600_999), "https://a.example/jwks").is_some());
        assert!(jwks.kept(&At(3_601_000), "https://a.example/jwks").is_none());
        assert!(jwks.kept(&At(1_000), "https://b.example/jwks").is_none());
    }

    #[test]
    fn the_oldest_keys_make_room() {
        let jwks = Jwks::new();
        let uri = |number: usize| format!("https://{number}.example/jwks");
        for number in 0..=MOST {
            jwks.keep(BootTime(number as i64), &uri(number), keys());
        }
        // Those that are there already need no room.
        jwks.keep(BootTime(50), &uri(MOST), keys());
        let at = At(60);
        let kept: Vec<_> = (0..=MOST).filter(|number| jwks.kept(&at, &uri(*number)).is_some()).collect();
        assert_eq!(kept, (1..=MOST).collect::<Vec<_>>());
    }
}
