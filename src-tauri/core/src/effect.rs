//! What the agent shall do. Core decides; nothing here has happened yet.

use crate::names::{AccountId, AttemptId, Digest, Generation, Operation, Part};
use crate::problem::{Problem, Why};
use crate::time::{Moment, Now};
use crate::view::{EventKind, LockState};
use std::time::Duration;

/// One thing to do for one account; the result comes back as an [`Arrival`] with the same operation and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// See that the key opens and the database can be written, read the refresh token into memory, and journal
    /// that it is about to be sent. A client that asks for itself has none: nothing is journaled, for nothing can be spent.
    Prepare {
        /// Whether an earlier run of the agent left such a mark: then this is the one more try it may have.
        resumed: bool,
        /// What is asked for.
        part: Part,
    },
    /// Send the refresh token that [`Effect::Prepare`] read (RFC 6749 section 6), or ask without one (section 4.4).
    Send,
    /// Write what the provider answered, in one transaction, as this generation.
    Save {
        /// The generation to write.
        generation: Generation,
    },
    /// Remember that the account needs its person.
    SaveNeedsSignIn {
        /// Why.
        why: Why,
    },
    /// Remember that the account is being cleared, as this generation, and take its tokens into memory for the revocation.
    MarkClearing {
        /// The generation to write.
        generation: Generation,
        /// Whether the provider is to be told.
        revoke: bool,
    },
    /// Make the sealed tokens unreadable: NULL them, and truncate the write-ahead log.
    Clear,
    /// Delete the account's key from the keychain.
    DeleteKey,
    /// Remember that the account is signed out, or remove its row.
    Close {
        /// Remove the row.
        forget: bool,
    },
    /// Tell the provider (RFC 7009) about the tokens that [`Effect::MarkClearing`] took.
    Revoke,
    /// A token came for an account that is no longer signed in, or for another session than the account's: revoke it,
    /// keep nothing.
    RevokeLate,
    /// Forget what this operation holds in memory.
    Discard {
        /// Whether the provider may have taken the refresh token without our hearing of it: then the journal keeps its mark.
        spent: bool,
    },
}

/// What an effect came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The refresh token is in memory and the journal is written.
    Prepared {
        /// Of the refresh token, where there is one.
        hash: Option<Digest>,
    },
    /// It could not be prepared; nothing was sent.
    NotPrepared(Trouble),
    /// The provider answered, or did not.
    Answered(Outcome),
    /// Written, and on the disk.
    Saved,
    /// Not written.
    NotSaved(Problem),
    /// Marked as being cleared.
    Marked,
    /// The sealed tokens are gone from the files.
    Cleared,
    /// The key is gone.
    KeyDeleted,
    /// The key could not be deleted.
    KeyKept(Problem),
    /// Signed out, or gone.
    Closed,
    /// What came of telling the provider.
    Revoked(Result<(), Option<Problem>>),
}

/// Why a refresh could not be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It passes: keychain locked, disk full.
    Passing(Problem),
    /// It does not.
    Lasting(Why),
}

/// The three kinds of error, and success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// New tokens, held in the agent's memory.
    Tokens(Grant),
    /// Says nothing about the session: network, time-outs, 5xx, 429, anything that is not a parsed OAuth error.
    Transient {
        /// What to say.
        problem: Problem,
        /// What the provider asks for (`Retry-After`).
        retry_after: Option<Duration>,
        /// Whether the provider may have taken the refresh token all the same: a time-out after sending, a broken answer.
        spent: bool,
    },
    /// The session is over (`invalid_grant`), or wants its person.
    NeedsSignIn(Why),
    /// Nothing is tried until the configuration changes.
    NeedsFix(Problem),
}

impl Outcome {
    /// Whether new tokens came, which the agent holds until it is told what becomes of them.
    pub fn holds_tokens(&self) -> bool {
        matches!(self, Self::Tokens(_) | Self::NeedsSignIn(Why::IdTokenRejected))
    }
}

/// What the provider granted, without the tokens themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// When the request was sent: a lifetime counts from there, so that it is never overestimated.
    pub sent: Now,
    /// `expires_in`; unknown where it was left out or not positive.
    pub lifetime: Option<Duration>,
    /// Granted scopes, where the response names them.
    pub scopes: Option<Vec<crate::names::Scope>>,
    /// Whether there is a refresh token now, new or kept, or none is needed.
    pub refreshable: bool,
    /// Whether a refresh token came with it.
    pub new_refresh_token: bool,
    /// How long the refresh token goes on living, where the response says so (`refresh_token_expires_in` and its kin).
    pub refresh_token_lifetime: Option<Duration>,
}

impl Grant {
    /// When the access token ends.
    pub fn expires(&self) -> Option<Moment> {
        self.lifetime.map(|lifetime| self.sent.plus(lifetime))
    }
}

/// What the house wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HouseEffect {
    /// Something for one account.
    Account {
        /// Which.
        account: AccountId,
        /// Its generation when this was decided; comes back with the result.
        generation: Generation,
        /// The operation; comes back with the result.
        operation: Operation,
        /// What.
        effect: Effect,
    },
    /// Exchange the code of this attempt, and find out who signed in.
    Exchange {
        /// Which.
        attempt: AttemptId,
    },
    /// Store key and row of a finished sign-in.
    Store {
        /// Which.
        attempt: AttemptId,
        /// For which account, new or known.
        account: AccountId,
        /// Its label.
        label: String,
        /// Whether the account has a key that goes on being used.
        keep_key: bool,
    },
    /// Give the tokens of this attempt back to the provider; nothing of them was stored.
    RevokeAttempt {
        /// Which.
        attempt: AttemptId,
    },
    /// Forget verifier, state and nonce of this attempt.
    ForgetAttempt {
        /// Which.
        attempt: AttemptId,
    },
    /// Hand the account's access token to this asker.
    HandOut {
        /// Who asked.
        ask: u64,
        /// Of which account.
        account: AccountId,
        /// For which part of its grant.
        part: Part,
    },
    /// Tell this asker that it is done.
    Answer {
        /// Who asked.
        ask: u64,
    },
    /// Tell this asker why not.
    Refuse {
        /// Who asked.
        ask: u64,
        /// Why.
        problem: Problem,
    },
    /// Write down and announce that something happened.
    Record {
        /// What.
        kind: EventKind,
        /// To which account.
        account: Option<AccountId>,
        /// By which program.
        program: Option<String>,
        /// What was in the way.
        problem: Option<Problem>,
    },
    /// Remember how the lock stands, for the next run too.
    Locked {
        /// How.
        state: LockState,
    },
    /// Keep the machine from sleeping for a moment when it is about to, or let it sleep now.
    HoldSleep {
        /// Whether to keep it.
        hold: bool,
    },
    /// Let go of every key in memory but those of these accounts, and open nothing else, until the lock is turned.
    DropKeys {
        /// Something of theirs is in flight.
        keep: Vec<AccountId>,
    },
}
