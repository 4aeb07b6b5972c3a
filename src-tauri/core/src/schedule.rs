//! When: due times, backoff and jitter, as functions of what is known.

use crate::names::{AccountId, Generation};
use crate::problem::{Exit, Problem};
use crate::time::{Moment, millis};
use backon::{BackoffBuilder, ExponentialBuilder};
use serde::Deserialize;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How much of an access token's lifetime is left when a refresh is due, in percent. It is a part of the lifetime and no
/// span of time, so that a token that lives a minute is not refreshed the moment it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "u32")]
pub struct Margin(u32);

impl Margin {
    /// A tenth of the lifetime is what every asker demands ([`least_validity`]); half of that more is time for the refresh
    /// itself, so that nobody has to wait for one in ordinary times.
    pub const LEAST: u32 = 15;

    /// No asker can demand more than half ([`least_validity`]): beyond it, requests would cost providers and help nobody.
    pub const MOST: u32 = 50;

    /// How long before its end a token that was good for `lifetime` is refreshed.
    fn of(self, lifetime: Duration) -> Duration {
        lifetime.saturating_mul(self.0) / 100
    }

    /// In percent.
    pub fn percent(self) -> u32 {
        self.0
    }
}

impl Default for Margin {
    /// A fifth: twice what askers demand where they do not say it.
    fn default() -> Self {
        Self(20)
    }
}

impl TryFrom<u32> for Margin {
    type Error = String;

    fn try_from(percent: u32) -> Result<Self, Self::Error> {
        let known = (Self::LEAST..=Self::MOST).contains(&percent);
        known.then_some(Self(percent)).ok_or_else(|| {
            format!("{percent} is not a margin: from {} to {} percent of a token's life", Self::LEAST, Self::MOST)
        })
    }
}

/// A session that ends unless it is used is used when this part of its life is left.
pub const SESSION_PART: u32 = 5;

/// A session that the provider ends earlier than this is not refreshed for its own sake: its access tokens are.
pub const SESSION_LEAST: Duration = Duration::from_secs(60 * 60);

/// Where a refresh ends the access token before it, each one costs programs the rest of a token's life: it is due this
/// long before the end, or a part of the lifetime where that is shorter.
const LATE_MARGIN: Duration = Duration::from_secs(60);

/// See [`LATE_MARGIN`].
const LATE_PART: u32 = 20;

/// Due times are spread over this part of the margin, so that accounts which expire together do not ask together.
const SPREAD_PART: u32 = 4;

/// The first retry comes after this.
const RETRY_FIRST: Duration = Duration::from_secs(5);

/// No retry waits longer. With it, a provider that is down for 24 h sees 56 requests of one account.
const RETRY_MOST: Duration = Duration::from_secs(30 * 60);

/// What is on this machine (keychain, disk) is looked at more often: it costs the provider nothing.
const LOCAL_RETRY_MOST: Duration = Duration::from_secs(30);

/// The keychain and the disk are looked at after as long as a third try waits: some 20 s.
pub const LOCAL_TRY: u32 = 3;

/// `Retry-After` is honoured up to this; a provider that asks for more is asked once an hour.
pub const RETRY_AFTER_MOST: Duration = Duration::from_secs(60 * 60);

/// Between two tries that askers bring forward.
pub const ASKER_RETRY: Duration = Duration::from_secs(10);

/// A token that came instead of a rejected one is not replaced in turn before this: a program that is answered 401 whatever
/// it sends costs a provider one request in that time, however often it asks.
pub const REJECTED_REST: Duration = Duration::from_secs(5 * 60);

/// After the machine's sleep, refreshes begin after this: a network is seldom there at once.
pub const WOKEN_FIRST: Duration = Duration::from_secs(2);

/// They are spread over this much more, whoever's they are; so are those that waited for a provider that could not be reached.
pub const WOKEN_SPREAD: Duration = Duration::from_secs(10);

/// A stable number in 0..1000 for this account, generation and attempt.
fn permille(account: &AccountId, generation: Generation, attempt: u32) -> u32 {
    let mut hasher = DefaultHasher::new();
    (account, generation, attempt).hash(&mut hasher);
    u32::try_from(hasher.finish() % 1000).unwrap_or_default()
}

/// When a token that ends at `expires` and was good for `lifetime` is to be refreshed.
pub fn due(account: &AccountId, generation: Generation, expires: Moment, lifetime: Duration, margin: Margin) -> Moment {
    spread(account, generation, expires, margin.of(lifetime))
}

/// As [`due`], where a refresh ends the access token before it: whatever the margin is, an early one would cost programs that.
pub fn due_late(account: &AccountId, generation: Generation, expires: Moment, lifetime: Duration) -> Moment {
    spread(account, generation, expires, LATE_MARGIN.min(lifetime / LATE_PART))
}

fn spread(account: &AccountId, generation: Generation, expires: Moment, margin: Duration) -> Moment {
    let spread = margin / SPREAD_PART * permille(account, generation, 0) / 1000;
    expires.earlier(margin + spread)
}

/// How long after the machine woke up what became due in its sleep is begun: never longer than half of what a new token
/// lives, since whoever has short ones has programs that need them soon.
pub fn woken(account: &AccountId, generation: Generation, lifetime: Option<i64>) -> Duration {
    let soon = WOKEN_FIRST + reached(account, generation);
    let lifetime = lifetime.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    lifetime.map_or(soon, |lifetime| soon.min(lifetime / 2))
}

/// How long after a provider was reached again the others that wait for it begin.
pub fn reached(account: &AccountId, generation: Generation) -> Duration {
    WOKEN_SPREAD * permille(account, generation, 0) / 1000
}

/// How long to wait before try number `attempt` (the first retry is 1).
pub fn retry(
    account: &AccountId,
    generation: Generation,
    attempt: u32,
    problem: &Problem,
    retry_after: Option<Duration>,
) -> Duration {
    let local = matches!(problem.exit(), Exit::Keychain | Exit::Disk);
    let most = if local { LOCAL_RETRY_MOST } else { RETRY_MOST };
    let backoff = ExponentialBuilder::new()
        .with_min_delay(RETRY_FIRST)
        .with_max_delay(most)
        .without_max_times()
        .build()
        .nth(usize::try_from(attempt.saturating_sub(1).min(64)).unwrap_or_default())
        .unwrap_or(most);
    // Up to a fifth more, never less: nobody is asked earlier than the backoff says.
    let jitter = backoff / 5 * permille(account, generation, attempt) / 1000;
    backoff.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MOST)) + jitter
}

/// The life that a token handed out has at the least, in milliseconds: what was asked for, but never under 1 s or a tenth
/// of the lifetime (it would end on the way), and never over half of it (no refresh could satisfy that for long).
pub fn least_validity(asked: Option<Duration>, lifetime: Option<i64>) -> i64 {
    const SECOND: i64 = 1000;
    let asked = asked.map_or(0, millis);
    match lifetime {
        Some(lifetime) => asked.max(SECOND).max(lifetime / 10).min(lifetime / 2),
        None => asked.max(SECOND),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Now;

    fn account() -> AccountId {
        AccountId("a".to_owned())
    }

    fn unreachable() -> Problem {
        Problem::Unreachable { host: "h".to_owned() }
    }

    #[test]
    fn a_refresh_is_due_between_a_fifth_and_a_quarter_of_the_lifetime_before_the_end() {
        for seconds in [1, 5, 60, 3600, 60 * 86_400] {
            let lifetime = Duration::from_secs(seconds);
            let now = Now::default();
            for generation in 0..50 {
                let due = due(&account(), Generation(generation), now.plus(lifetime), lifetime, Margin::default());
                let margin = millis(lifetime) - due.left(now);
                assert!(
                    margin >= millis(lifetime) / 5 - 1 && margin <= millis(lifetime) / 4 + 1,
                    "{seconds} s: {margin}"
                );
            }
        }
    }

    #[test]
    fn whatever_the_margin_is_no_asker_waits_and_a_new_token_rests_first() {
        for percent in Margin::LEAST..=Margin::MOST {
            let margin = Margin::try_from(percent).unwrap();
            for seconds in [20, 60, 3600, 60 * 86_400] {
                let lifetime = Duration::from_secs(seconds);
                let now = Now::default();
                for generation in 0..50 {
                    let due = due(&account(), Generation(generation), now.plus(lifetime), lifetime, margin);
                    let left = millis(lifetime) - due.left(now);
                    // A twentieth of the lifetime is there for the refresh before whoever does not say how long would wait.
                    let least = least_validity(None, Some(millis(lifetime)));
                    assert!(left >= least + millis(lifetime) / 20 - 1, "{percent} % of {seconds} s: {left}");
                    assert!(due.left(now) >= millis(lifetime) / 3, "{percent} % of {seconds} s: {left}");
                }
            }
        }
        for refused in [0, Margin::LEAST - 1, Margin::MOST + 1, u32::MAX] {
            assert!(Margin::try_from(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_refresh_that_ends_the_token_is_due_in_its_last_minute() {
        for seconds in [1, 5, 60, 3600, 60 * 86_400] {
            let lifetime = Duration::from_secs(seconds);
            let now = Now::default();
            for generation in 0..50 {
                let due = due_late(&account(), Generation(generation), now.plus(lifetime), lifetime);
                let margin = millis(lifetime) - due.left(now);
                let most = millis(LATE_MARGIN.min(lifetime / LATE_PART));
                assert!(margin >= most - 1 && margin <= most * 5 / 4 + 1, "{seconds} s: {margin}");
                // Whoever does not say how long gets a token until then, and makes nobody refresh earlier.
                assert!(margin <= least_validity(None, Some(millis(lifetime))), "{seconds} s: {margin}");
            }
        }
    }

    #[test]
    fn a_provider_that_is_down_for_a_day_sees_fewer_than_sixty_requests() {
        let mut waited = Duration::ZERO;
        let mut requests = 0;
        while waited < Duration::from_secs(86_400) {
            requests += 1;
            waited += retry(&account(), Generation(1), requests, &unreachable(), None);
        }
        assert!(requests < 60, "{requests}");
    }

    #[test]
    fn retry_after_is_honoured_and_clamped_to_an_hour() {
        let wait = |after| retry(&account(), Generation(1), 1, &unreachable(), Some(Duration::from_secs(after)));
        assert!(wait(120) >= Duration::from_secs(120));
        assert!(wait(1_000_000_000) <= Duration::from_secs(3601));
    }

    #[test]
    fn the_keychain_and_the_disk_are_looked_at_every_half_minute() {
        let wait = retry(&account(), Generation(1), 20, &Problem::KeychainLocked, None);
        assert!(wait <= Duration::from_secs(36), "{wait:?}");
    }

    #[test]
    fn the_least_validity_lies_between_a_tenth_and_a_half_of_the_lifetime() {
        let hour = Some(3_600_000);
        assert_eq!(least_validity(None, hour), 360_000);
        assert_eq!(least_validity(Some(Duration::from_secs(900)), hour), 900_000);
        assert_eq!(least_validity(Some(Duration::from_secs(90_000)), hour), 1_800_000);
        assert_eq!(least_validity(None, Some(5_000)), 1_000);
        // Less than a second of a token that lives two is all that any refresh could give for a while.
        assert_eq!(least_validity(Some(Duration::from_secs(60)), Some(1_500)), 750);
        assert_eq!(least_validity(Some(Duration::ZERO), hour), 360_000);
        assert_eq!(least_validity(Some(Duration::from_secs(u64::MAX)), hour), 1_800_000);
        assert_eq!(least_validity(Some(Duration::from_secs(u64::MAX)), None), i64::MAX);
        assert_eq!(least_validity(None, None), 1_000);
    }
}
