//! The providers' side of thirty days: strict, with a true clock of its own.

/// An access token, as its provider knows it.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    pub number: u64,
    pub expires: i64,
    pub lifetime: i64,
    pub alive: bool,
}

/// How long a session lives that nobody uses.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    pub millis: i64,
    /// Whether the responses say so.
    pub said: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// 503, with `Retry-After` in seconds or without.
    Down { after: Option<u64> },
    /// 429.
    RateLimited { after: u64 },
    /// It takes the request, and nothing comes back; nor does it act on it.
    Silent,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answered {
    Tokens { lifetime: i64 },
    Refused,
    Trouble(Trouble),
    Unreachable,
}

/// One account at its provider, and what Larder keeps of it.
#[derive(Clone, Debug)]
pub struct Grantee {
    pub provider: usize,
    /// In milliseconds.
    pub lifetime: i64,
    /// From then on, access tokens live an hour at least; in a short run, so that a life of seconds costs no hours.
    pub longer_from: i64,
    pub says_lifetime: bool,
    /// A refresh ends the access token before it.
    pub refresh_ends: bool,
    pub idle: Option<Idle>,
    /// On average, in milliseconds.
    pub asked_every: i64,

    /// The refresh token that counts; every other one is spent, and whoever sends it is a thief.
    pub refresh: u64,
    /// When it was last given.
    pub used: i64,
    pub newest: Access,
    pub stored_access: Access,
    pub stored_refresh: u64,
    pub over: bool,

    pub requests: usize,
    pub in_vain: usize,
    pub asks: usize,
    pub asks_in_trouble: usize,
    pub rejected: usize,
    pub sign_ins: usize,
}

impl Grantee {
    pub fn new(provider: usize, lifetime: i64, asked_every: i64) -> Self {
        let access = Access { number: 1, expires: lifetime, lifetime, alive: true };
        Self {
            provider,
            lifetime,
            longer_from: i64::MAX,
            says_lifetime: true,
            refresh_ends: false,
            idle: None,
            asked_every,
            refresh: 1,
            used: 0,
            newest: access,
            stored_access: access,
            stored_refresh: 1,
            over: false,
            requests: 0,
            in_vain: 0,
            asks: 0,
            asks_in_trouble: 0,
            rejected: 0,
            sign_ins: 0,
        }
    }

    pub fn lifetime_at(&self, t: i64) -> i64 {
        if t < self.longer_from { self.lifetime } else { self.lifetime.max(60 * 60 * 1000) }
    }

    /// New tokens; the refresh token before them is spent.
    pub fn issue(&mut self, t: i64, lifetime: i64) {
        self.refresh += 1;
        self.used = t;
        if self.refresh_ends && self.stored_access.number == self.newest.number {
            self.stored_access.alive = false;
        }
        self.newest = Access { number: self.newest.number + 1, expires: t + lifetime, lifetime, alive: true };
    }

    /// They are on the disk.
    pub fn stored(&mut self) {
        self.stored_access = self.newest;
        self.stored_refresh = self.refresh;
    }
}
