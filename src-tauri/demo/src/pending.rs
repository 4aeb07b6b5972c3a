//! Sign-ins on their way: transactions in the browser, codes not yet exchanged, devices that wait.

use std::collections::HashMap;

use crate::clock::Millis;
use crate::grants::FamilyId;
use crate::secret::SecretHash;
use crate::user::User;

/// How long a person may take over the pages: time for a coffee, not for a meeting.
pub(crate) const TRANSACTION_LIFETIME: Millis = 10 * 60 * 1000;

/// RFC 6749 4.1.2 allows ten minutes at most; the client is on this computer and exchanges a code at once.
pub(crate) const CODE_LIFETIME: Millis = 60 * 1000;

/// How long a used code is remembered, so that a second use is noticed.
pub(crate) const USED_CODE_MEMORY: Millis = 10 * 60 * 1000;

/// RFC 8628 3.2: the person has to find a browser and type a code.
pub(crate) const DEVICE_LIFETIME: Millis = 10 * 60 * 1000;

/// Entries of one kind. Each is made by a request that needs no sign-in, so something has to bound them; beyond it the
/// one that would have ended first goes.
const MAX_ENTRIES: usize = 10_000;

/// Entries that end by themselves, found by the hash of their secret.
#[derive(Debug)]
pub(crate) struct Expiring<V>(HashMap<SecretHash, (Millis, V)>);

impl<V> Default for Expiring<V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<V> Expiring<V> {
    pub(crate) fn insert(&mut self, now: Millis, key: SecretHash, expires_at: Millis, value: V) {
        if self.0.len() >= MAX_ENTRIES {
            self.0.retain(|_, (expires_at, _)| *expires_at > now);
        }
        if self.0.len() >= MAX_ENTRIES
            && let Some(first) =
                self.0.iter().min_by_key(|(_, (expires_at, _))| *expires_at).map(|(key, _)| key.clone())
        {
            self.0.remove(&first);
        }
        self.0.insert(key, (expires_at, value));
    }

    pub(crate) fn get_mut(&mut self, now: Millis, key: &SecretHash) -> Option<&mut V> {
        self.0.get_mut(key).filter(|(expires_at, _)| *expires_at > now).map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, now: Millis, key: &SecretHash) -> Option<V> {
        self.0.remove(key).filter(|(expires_at, _)| *expires_at > now).map(|(_, value)| value)
    }

    pub(crate) fn find(&self, now: Millis, mut fits: impl FnMut(&V) -> bool) -> Option<&SecretHash> {
        self.0.iter().find(|(_, (expires_at, value))| *expires_at > now && fits(value)).map(|(key, _)| key)
    }
}

/// Where the answer of a transaction goes.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// By redirect (RFC 6749 4.1.2), with what the exchange of the code will be held against.
    Redirect { redirect_uri: String, state: Option<String>, challenge: String, nonce: Option<String> },
    /// To the device that polls (RFC 8628 3.4).
    Device { device: SecretHash },
}

/// One sign-in in the browser, from the request to the decision.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) scope: Vec<String>,
    pub(crate) reply: Reply,
    /// Set by the login page.
    pub(crate) user: Option<User>,
}

/// An authorization code.
#[derive(Clone, Debug)]
pub(crate) enum Code {
    /// Not yet exchanged.
    Fresh(Exchange),
    /// Exchanged, or tried in vain. What it gave ends when it comes again (RFC 6749 4.1.2), and `again` says so to an
    /// exchange that is not yet finished.
    Used { family: Option<FamilyId>, again: bool },
}

/// What a code stands for.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) user: User,
    pub(crate) scope: Vec<String>,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) auth_time: Millis,
    pub(crate) expires_at: Millis,
}

/// What became of a device's request.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    Pending,
    Denied,
    Allowed { user: User, auth_time: Millis },
}

/// A device that waits.
#[derive(Clone, Debug)]
pub(crate) struct Device {
    pub(crate) user_code: String,
    pub(crate) scope: Vec<String>,
    pub(crate) decision: Decision,
    pub(crate) polled_at: Option<Millis>,
}

/// All of them. Not kept over a restart: a person starts again.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    pub(crate) transactions: Expiring<Transaction>,
    pub(crate) codes: Expiring<Code>,
    pub(crate) devices: Expiring<Device>,
}
