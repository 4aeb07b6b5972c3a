//! The keys of issuers (RFC 7517), kept for a while: a refresh need not ask for them each time.

use crate::clock::Clock;
use crate::http::{Http, host};
use crate::id_token::BASE64;
use base64::Engine as _;
use larder_core::problem::Problem;
use larder_core::time::{BootTime, millis};
use openidconnect::core::CoreJsonWebKeySet;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use url::Url;

/// How long keys are used without asking again. A key that its issuer has withdrawn is trusted no longer than this; a new
/// one is found at once, because no key that is kept has its name.
const KEPT_FOR: Duration = Duration::from_secs(60 * 60);

/// Issuers whose keys are kept. People have a few; each set is at most as long as an answer may be (`http::MOST_BODY`).
const MOST: usize = 16;

/// How often an issuer is asked again for keys that it was asked for already, in [`AGAIN_WITHIN`]. A rotation needs one; keys
/// that change more often than this are made up.
const MOST_AGAIN: usize = 5;

/// See [`MOST_AGAIN`].
const AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// RFC 7518 section 3.3: shorter RSA keys must not be used. What they sign, others can sign too.
const LEAST_RSA_BITS: usize = 2048;

/// The keys that are kept, by `jwks_uri`.
#[derive(Debug, Default)]
pub struct Jwks(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    keys: CoreJsonWebKeySet,
    until: BootTime,
    /// When they were asked for, lately.
    asked: Vec<BootTime>,
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
        let document = response.json().map_err(|_| rejected("its issuer's keys cannot be read"))?;
        let keys = strong(document).ok_or_else(|| rejected("its issuer's keys cannot be read"))?;
        self.keep(clock.now().boot, jwks_uri, keys.clone());
        Ok(keys)
    }

    /// Whether the issuer may be asked for newer keys than those that are kept; counts as if it was then.
    pub fn may_ask_again(&self, clock: &dyn Clock, jwks_uri: &str) -> bool {
        let now = clock.now().boot;
        let mut all = self.lock();
        let Some(kept) = all.get_mut(jwks_uri).filter(|kept| now < kept.until) else { return true };
        kept.asked.retain(|asked| now.0.saturating_sub(asked.0) < millis(AGAIN_WITHIN));
        let may = kept.asked.len() < MOST_AGAIN;
        if may {
            kept.asked.push(now);
        }
        may
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
        let asked = kept.remove(jwks_uri).map_or_else(Vec::new, |before| before.asked);
        kept.insert(jwks_uri.to_owned(), Kept { keys, until, asked });
    }
}

/// The keys that may be used, of any size where size means nothing; what cannot be read is passed over.
fn strong(mut document: Value) -> Option<CoreJsonWebKeySet> {
    document.get_mut("keys")?.as_array_mut()?.retain(|key| {
        let long = |n: &str| BASE64.decode(n).is_ok_and(|n| bits(&n) >= LEAST_RSA_BITS);
        key["kty"] != "RSA" || key["n"].as_str().is_some_and(long)
    });
    serde_json::from_value(document).ok()
}

/// The length of a number, most significant byte first.
fn bits(number: &[u8]) -> usize {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let first = number.get(zeros).map_or(0, |first| first.leading_zeros() as usize);
    (number.len() - zeros) * 8 - first
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
    fn an_issuer_is_asked_again_a_few_times_a_minute_and_then_what_is_kept_counts() {
        let jwks = Jwks::new();
        let uri = "https://a.example/jwks";
        jwks.keep(BootTime(0), uri, keys());
        let mut asked = Vec::new();
        for second in 0..180 {
            if jwks.may_ask_again(&At(second * 1000), uri) {
                asked.push(second);
                jwks.keep(BootTime(second * 1000), uri, keys());
            }
        }
        assert_eq!(asked, [0, 1, 2, 3, 4, 60, 61, 62, 63, 64, 120, 121, 122, 123, 124]);
        assert!(jwks.may_ask_again(&At(179_000), "https://b.example/jwks"), "another issuer's");
    }

    #[test]
    fn rsa_keys_that_others_can_sign_with_are_passed_over() {
        let key = |bytes: usize, first: u8| {
            let mut n = vec![0xff; bytes];
            n[0] = first;
            serde_json::json!({ "kty": "RSA", "n": BASE64.encode(n), "e": "AQAB" })
        };
        let weak = [key(64, 0xff), key(128, 0xff), key(256, 0x7f), key(300, 0)].into_iter().chain([
            serde_json::json!({ "kty": "RSA", "n": "", "e": "AQAB" }),
            serde_json::json!({ "kty": "RSA", "n": 7 }),
        ]);
        let mut document = serde_json::json!({ "keys": weak.collect::<Vec<_>>() });
        document["keys"][3]["n"] = Value::String(BASE64.encode([&[0; 100][..], &[0xff; 200]].concat()));
        assert_eq!(strong(document).unwrap().keys().len(), 0);
        let document = serde_json::json!({ "keys": [key(256, 0x80), { "kty": "future" }, "nonsense", key(512, 1)] });
        assert_eq!(strong(document).unwrap().keys().len(), 2);
        for nothing in [serde_json::json!({}), serde_json::json!({ "keys": 7 }), serde_json::json!([])] {
            assert!(strong(nothing).is_none());
        }
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
