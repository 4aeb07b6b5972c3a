//! One account: how its session stands, and what follows when something happens to it.

mod clearing;
pub mod parts;
mod refreshing;

use crate::effect::{Arrival, Effect, Grant};
use crate::names::{AccountId, Digest, Generation, Operation, Part, ProviderName, Scope};
use crate::problem::{Problem, Why};
use crate::schedule::{self, Margin};
use crate::time::{BootTime, Moment, Now, WallTime, millis};
use crate::view::EventKind;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use ts_rs::TS;

/// How long a sign-out from the window can be undone.
pub const UNDO: Duration = Duration::from_secs(5);

/// An account, as far as deciding needs it. Tokens are elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its random id.
    pub id: AccountId,
    /// Rises with every change of its credentials.
    pub generation: Generation,
    /// What people see of it.
    pub identity: Identity,
    /// How its session stands.
    pub session: Session,
    /// The access token's facts, while there is one.
    pub access: Option<Access>,
    /// Whether there is a refresh token, or none is needed.
    pub refreshable: bool,
    /// When it was last refreshed or signed in.
    pub refreshed_at: Option<WallTime>,
    /// When its person last signed in.
    pub signed_in_at: Option<WallTime>,
    /// When the provider ends the session unless somebody signs in again, as far as is known.
    pub session_ends: Option<WallTime>,
    /// What its provider's refreshes do.
    pub terms: Terms,
    /// How early it is refreshed, as its person set it for all of them.
    pub margin: Margin,
    /// Its further access tokens.
    pub parts: parts::Parts,
}

impl Account {
    /// Whether the refresh that is under way may have ended the access token that is kept, where refreshes do that: then
    /// nobody is given it.
    pub fn may_have_ended(&self) -> bool {
        let (Session::SignedIn { refresh } | Session::Undoable { refresh, .. }) = &self.session else { return false };
        self.terms.refresh_ends_access_token
            && !matches!(
                refresh,
                Refresh::Idle { .. } | Refresh::Waiting { resumed: false, .. } | Refresh::Blocked { .. }
            )
    }
}

/// What a provider's refreshes do, as signed in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// One ends the access tokens before it (GitHub Apps, GitLab, Nextcloud).
    pub refresh_ends_access_token: bool,
    /// How long a refresh token lives when it is new, where the provider's answers do not say.
    pub refresh_token_lifetime: Option<Duration>,
}

/// When the provider ends a session that has come to this grant, as far as is known. What the answer says counts; else a new
/// refresh token begins a new lifetime, and one that is kept keeps its end.
pub fn session_ends(before: Option<WallTime>, terms: Terms, grant: &Grant) -> Option<WallTime> {
    let lifetime = grant.refresh_token_lifetime.or(terms.refresh_token_lifetime.filter(|_| grant.new_refresh_token));
    match lifetime {
        Some(lifetime) => Some(grant.sent.plus(lifetime).wall),
        None if grant.new_refresh_token => None,
        None => before,
    }
}

/// Who the account is, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What its person calls it.
    pub label: String,
    /// The provider's name.
    pub provider: ProviderName,
    /// The issuer or host it signed in with; never read again from configuration.
    pub issuer: String,
    /// The client it signed in with.
    pub client_id: String,
    /// The provider's name for the person (`sub`).
    pub subject: String,
    /// From ID token or userinfo.
    pub name: Option<String>,
    /// From ID token or userinfo.
    pub email: Option<String>,
    /// As granted.
    pub scopes: Vec<Scope>,
    /// How its tokens come.
    pub grant_type: GrantType,
    /// Whether the provider said where its person can sign out in the browser.
    pub browser_sign_out: bool,
}

/// How an account's tokens come, as it was signed in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum GrantType {
    /// A person signed in, by whatever way; a refresh token goes on with that (RFC 6749 section 6).
    #[default]
    AuthorizationCode,
    /// There is no person: the client asks for itself, and anew each time (RFC 6749 section 4.4).
    ClientCredentials,
}

/// An access token's facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// When it ends; unknown where the provider did not say.
    pub expires: Option<Moment>,
    /// How long it was good for when it was new, in milliseconds.
    pub lifetime: Option<i64>,
    /// When it was asked for, where that was in this start of the machine.
    pub since: Option<Now>,
    /// The generation that it came with, which names it: no two access tokens of an account have the same one.
    pub issued: Generation,
    /// Somebody was answered 401 with it.
    pub rejected: bool,
    /// It came instead of one that was rejected, then.
    pub instead: Option<Now>,
}

impl Access {
    /// The access token of this grant, which came with this generation.
    pub fn of(grant: &Grant, issued: Generation) -> Self {
        let (expires, lifetime) = (grant.expires(), grant.lifetime.map(millis));
        Self { expires, lifetime, since: Some(grant.sent), issued, ..Self::default() }
    }

    /// Whether an asker means this one when it says which token was rejected, or one that is newer still.
    pub fn is_rejected(&self, rejected: Option<Generation>) -> bool {
        rejected.is_some_and(|rejected| rejected >= self.issued)
    }

    /// Whether it came so short a time ago instead of one that was rejected that yet another one would not help.
    pub fn replaced_lately(&self, now: Now) -> bool {
        let rest = millis(schedule::REJECTED_REST);
        self.instead.is_some_and(|since| now.boot.0.saturating_sub(since.boot.0) < rest)
    }

    /// Whether it is good for at least this many milliseconds more.
    pub fn good_for(&self, least: i64, now: Now) -> bool {
        self.expires.is_none_or(|expires| {
            let left = expires.left(now);
            left >= least && !self.impossible(left)
        })
    }

    /// It must be taken for ended: the provider may have done so.
    pub fn end(&mut self, now: Now) {
        self.expires = Some(now.plus(Duration::ZERO));
    }

    /// No token has more life left than it had when it was new: then the wall clock is behind, and says nothing.
    fn impossible(&self, left: i64) -> bool {
        self.lifetime.is_some_and(|lifetime| left > lifetime)
    }
}

/// How a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// Nothing is kept that opens.
    SignedOut,
    /// Tokens are kept.
    SignedIn {
        /// How its refresh stands.
        refresh: Refresh,
    },
    /// Only its person can go on.
    NeedsSignIn {
        /// Why.
        why: Why,
    },
    /// Signed out from the window a moment ago. Nothing is cleared yet, nothing is handed out.
    Undoable {
        /// Until when it can be undone.
        until: Moment,
        /// A refresh in flight goes on, so that an undone sign-out has lost nothing; no new one starts.
        refresh: Refresh,
        /// Remove the row as well.
        forget: bool,
        /// Tell the provider.
        revoke: bool,
    },
    /// It is being written into a file for another machine. Nothing starts, nothing is handed out.
    Moving {
        /// As it stood, and stands again where the file could not be written.
        refresh: Refresh,
    },
    /// Another machine has it. Nothing is kept here that opens; its file can be imported here too.
    MovedAway,
    /// The sign-out is being carried out; a restart finishes it.
    Clearing(Clearing),
    /// All is cleared, but the keychain does not let go of the key yet.
    ShredPending {
        /// The sign-out.
        clearing: Clearing,
        /// When it is tried again.
        until: Moment,
    },
}

/// A sign-out under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clearing {
    /// Its operation; tokens to revoke are kept in memory under it.
    pub operation: Operation,
    /// Remove the row as well.
    pub forget: bool,
    /// Tell the provider.
    pub revoke: bool,
    /// It ends as moved away: another machine goes on with the session.
    pub moved: bool,
    /// The sealed tokens are gone from the files.
    pub files_cleared: bool,
    /// How the key stands.
    pub key: Key,
    /// Whether the row is being closed, and then whether it is removed.
    pub closing: Option<bool>,
    /// What was tried in vain.
    pub attempt: u32,
    /// When to try again, after something failed.
    pub until: Option<Moment>,
    /// What was in the way.
    pub problem: Option<Problem>,
}

/// How the key of an account stands that is being signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// In the keychain.
    There,
    /// The keychain was told to delete it.
    Leaving,
    /// Gone.
    Gone,
}

impl Clearing {
    /// A sign-out that begins.
    pub fn new(operation: Operation, forget: bool, revoke: bool) -> Self {
        Self {
            operation,
            forget,
            revoke,
            moved: false,
            files_cleared: false,
            key: Key::There,
            closing: None,
            attempt: 0,
            until: None,
            problem: None,
        }
    }
}

/// How a refresh stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// Nothing to do before `due`; never, where no time is known or no refresh token is there.
    Idle {
        /// When the next refresh is due.
        due: Option<Moment>,
    },
    /// Key, database and refresh token are being made ready.
    Opening {
        /// The operation.
        operation: Operation,
        /// The try this is, from 0.
        attempt: u32,
        /// Whether it follows a refresh that an earlier run of the agent did not finish.
        resumed: bool,
    },
    /// An earlier run of the agent journaled a refresh and did not come back to say how it ended.
    Journaled {
        /// Of the refresh token that may have been sent.
        hash: Digest,
    },
    /// The refresh token is with the provider.
    Sent {
        /// The operation.
        operation: Operation,
        /// The try this is, from 0.
        attempt: u32,
    },
    /// New tokens are in memory and not yet on the disk. The old ones are never sent again.
    Unsaved {
        /// The operation that holds them.
        operation: Operation,
        /// What was tried in vain.
        attempt: u32,
        /// What the provider granted.
        grant: Grant,
        /// When to write again; `None` while a write is under way.
        until: Option<Moment>,
        /// What was in the way.
        problem: Option<Problem>,
    },
    /// A try failed in a way that passes.
    Waiting {
        /// When it is tried again.
        until: Moment,
        /// Since when it waits.
        since: Now,
        /// The try that comes, from 1.
        attempt: u32,
        /// Before this nobody brings it forward: the provider asked for the pause.
        not_before: Option<Moment>,
        /// Whether the refresh of an earlier run of the agent is still to be had its one more try.
        resumed: bool,
        /// What was in the way.
        problem: Problem,
    },
    /// Nothing is tried until something is corrected.
    Blocked {
        /// What.
        fix: Problem,
        /// Since when.
        since: Now,
    },
}

impl Refresh {
    /// Whether a request, or the work around it, is under way.
    pub fn in_flight(&self) -> bool {
        matches!(self, Self::Opening { .. } | Self::Sent { .. } | Self::Unsaved { until: None, .. })
    }
}

/// What happens to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Time has passed, or something changed that is worth another look.
    Look,
    /// A person or an asker wants a refresh, and the budgets allow one now.
    RefreshNow,
    /// The same, for a token for a part of the grant.
    RefreshFor(Part),
    /// A token for a part of the grant that was believed to be kept is not there, or does not open.
    Lost(Part),
    /// A refresh is wanted as soon as the budgets allow one.
    RefreshSoon,
    /// The agent is about to end, or the machine to sleep: what would wait does not.
    Hurry,
    /// The machine was asleep, and is awake.
    Woken,
    /// The provider can be reached again.
    Reached,
    /// A refresh that is made ready is not to be sent now.
    PutOff {
        /// Which.
        operation: Operation,
    },
    /// The keychain opens again.
    KeychainOpen,
    /// The configuration of its provider changed.
    Corrected,
    /// Sign out.
    SignOut {
        /// Wait first.
        undoable: bool,
        /// Remove the row as well.
        forget: bool,
        /// Tell the provider.
        revoke: bool,
    },
    /// Take an undoable sign-out back.
    Undo,
    /// It is about to be written into a file for another machine. Only for one that can be: see [`can_move`].
    Move,
    /// The file could not be written: all is as before.
    StayHere,
    /// The file is on the disk, whole: the other machine has it now.
    MovedAway,
    /// An effect has ended.
    Arrived {
        /// The generation it was decided in.
        generation: Generation,
        /// The operation it belongs to.
        operation: Operation,
        /// How it ended.
        arrival: Arrival,
    },
}

/// What `step` decided, beside the account's new state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// To do, in this order.
    pub effects: Vec<(Operation, Effect)>,
    /// To write down.
    pub records: Vec<(EventKind, Option<Problem>)>,
    /// The row is gone.
    pub forgotten: bool,
}

impl Decided {
    fn act(&mut self, operation: Operation, effect: Effect) {
        self.effects.push((operation, effect));
    }

    fn record(&mut self, kind: EventKind, problem: Option<Problem>) {
        self.records.push((kind, problem));
    }
}

/// What follows for one account. `next` is an operation number that was never used.
pub fn step(mut account: Account, event: Event, next: Operation, now: Now) -> (Account, Decided) {
    let mut decided = Decided::default();
    match event {
        Event::Arrived { generation, operation, arrival } => {
            // The one place where what belongs to an older generation is dropped.
            if generation == account.generation {
                refreshing::arrived(&mut account, operation, arrival, now, &mut decided);
            } else {
                refreshing::late(&account, operation, &arrival, &mut decided);
            }
        }
        Event::Look => refreshing::look(&mut account, next, now, &mut decided),
        Event::Lost(part) => {
            account.parts.access.remove(&part);
        }
        Event::RefreshNow | Event::RefreshFor(_) => {
            let part = if let Event::RefreshFor(part) = event { part } else { Part::default() };
            let ready = matches!(
                &account.session,
                Session::SignedIn {
                    refresh: Refresh::Idle { .. }
                        | Refresh::Waiting { .. }
                        | Refresh::Journaled { .. }
                        | Refresh::Blocked { .. }
                }
            );
            if ready && account.refreshable {
                refreshing::open(&mut account, part, next, &mut decided);
            }
        }
        Event::RefreshSoon if account.refreshable => match &mut account.session {
            Session::SignedIn { refresh: Refresh::Idle { due } } => *due = Some(now.plus(Duration::ZERO)),
            Session::SignedIn { refresh: Refresh::Waiting { until, not_before, .. } }
                if not_before.is_none_or(|moment| moment.wait(now) <= 0) =>
            {
                *until = now.plus(Duration::ZERO);
            }
            _ => {}
        },
        Event::RefreshSoon => {}
        Event::Hurry => match &mut account.session {
            Session::SignedIn { refresh: Refresh::Unsaved { until: until @ Some(_), .. } } => {
                *until = Some(now.plus(Duration::ZERO));
            }
            Session::Undoable { until, .. } => *until = now.plus(Duration::ZERO),
            _ => {}
        },
        Event::Woken => refreshing::woken(&mut account, now),
        Event::Reached => refreshing::reached(&mut account, now),
        Event::PutOff { operation } => refreshing::put_off(&mut account, operation, now, &mut decided),
        Event::KeychainOpen => match &mut account.session {
            Session::SignedIn { refresh: Refresh::Waiting { until, problem, .. } }
                if problem.exit() == crate::problem::Exit::Keychain =>
            {
                *until = now.plus(Duration::ZERO);
            }
            Session::ShredPending { until, .. } => *until = now.plus(Duration::ZERO),
            _ => {}
        },
        Event::Corrected => {
            if let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } = &mut account.session
                && matches!(refresh, Refresh::Blocked { .. })
            {
                *refresh = Refresh::Idle { due: Some(now.plus(Duration::ZERO)) };
            }
        }
        Event::SignOut { undoable, forget, revoke } => {
            clearing::sign_out(&mut account, undoable, Clearing::new(next, forget, revoke), now, &mut decided);
        }
        Event::Move => {
            if can_move(&account)
                && let Session::SignedIn { refresh } = &account.session
            {
                account.session = Session::Moving { refresh: refresh.clone() };
            }
        }
        Event::StayHere => {
            if let Session::Moving { refresh } = &account.session {
                account.session = Session::SignedIn { refresh: refresh.clone() };
            }
        }
        Event::MovedAway => {
            if matches!(account.session, Session::Moving { .. }) {
                clearing::move_away(&mut account, next, &mut decided);
            }
        }
        Event::Undo => {
            if let Session::Undoable { refresh, .. } = &account.session {
                account.session = Session::SignedIn { refresh: refresh.clone() };
            }
        }
    }
    (account, decided)
}

/// Whether its tokens are as the provider knows them, so that another machine can go on with them: it is signed in, and no
/// refresh is with the provider or waits to be written.
pub fn can_move(account: &Account) -> bool {
    matches!(
        &account.session,
        Session::SignedIn { refresh: Refresh::Idle { .. } | Refresh::Waiting { .. } | Refresh::Blocked { .. } }
    )
}

/// Milliseconds until the account is to be looked at again, if nothing happens before. Freshness goes by the stricter
/// of the two clocks, waiting times by the one that nobody can set.
pub fn wake(account: &Account, now: Now) -> Option<i64> {
    if refresh_is_due(account, now) {
        return Some(0);
    }
    match &account.session {
        Session::SignedIn { refresh } => match refresh {
            Refresh::Idle { due: Some(due) } => Some(due.left(now)),
            Refresh::Idle { due: None } if account.refreshable => None,
            Refresh::Idle { due: None } => {
                account.access.and_then(|access| access.expires).map(|expires| expires.left(now))
            }
            Refresh::Waiting { until, .. } => Some(until.wait(now)),
            Refresh::Unsaved { until, .. } => until.map(|until| until.wait(now)),
            Refresh::Journaled { .. } => Some(0),
            _ => None,
        },
        Session::Undoable { until, .. } | Session::ShredPending { until, .. } => Some(until.wait(now)),
        Session::Clearing(clearing) => clearing.until.map(|until| until.wait(now)),
        Session::SignedOut | Session::MovedAway | Session::Moving { .. } | Session::NeedsSignIn { .. } => None,
    }
}

/// Whether a look at the account now would start a refresh.
pub fn refresh_is_due(account: &Account, now: Now) -> bool {
    match &account.session {
        Session::SignedIn { refresh: Refresh::Idle { due: Some(due) } } => {
            let left = due.left(now);
            left <= 0 || account.access.is_some_and(|access| access.impossible(left))
        }
        Session::SignedIn { refresh: Refresh::Waiting { until, .. } } => until.wait(now) <= 0,
        Session::SignedIn { refresh: Refresh::Journaled { .. } } => true,
        _ => false,
    }
}

/// When a refresh is due so that the session does not end unused, where it is known when the provider would end it: a refresh
/// may begin a new lifetime of the refresh token. Where it does not, the few tries that follow come at a fifth of what is left.
fn session_due(account: &Account, access: Option<Access>) -> Option<Moment> {
    let since = access.and_then(|access| access.since);
    let ends = account.session_ends?;
    let left = ends.0.saturating_sub(since.map_or(account.refreshed_at?, |since| since.wall).0);
    if !account.refreshable || left < millis(schedule::SESSION_LEAST) {
        return None;
    }
    let wall = WallTime(ends.0.saturating_sub(left / i64::from(schedule::SESSION_PART)));
    // By the clock that nobody can set as well, where both were read together.
    let boot = since.map(|since| BootTime(since.boot.0.saturating_add(wall.0.saturating_sub(since.wall.0))));
    Some(Moment { wall, boot })
}

/// When this account's next refresh is due: at once where only the boot clock or an interrupted run says so.
pub fn next_due(account: &Account, access: Option<Access>) -> Refresh {
    let due = access.filter(|_| account.refreshable).and_then(|access| {
        let (expires, lifetime) = (access.expires?, access.lifetime?);
        let lifetime = Duration::from_millis(u64::try_from(lifetime).ok()?);
        let (id, generation) = (&account.id, account.generation);
        Some(if account.terms.refresh_ends_access_token {
            schedule::due_late(id, generation, expires, lifetime)
        } else {
            schedule::due(id, generation, expires, lifetime, account.margin)
        })
    });
    let due = due.into_iter().chain(session_due(account, access)).min_by_key(|due| due.wall);
    Refresh::Idle { due }
}

/// From now on it is refreshed so early. A refresh that is due for another reason stays due.
pub fn set_margin(account: &mut Account, margin: Margin) {
    let before = next_due(account, account.reckoned());
    account.margin = margin;
    let after = next_due(account, account.reckoned());
    if let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } | Session::Moving { refresh } =
        &mut account.session
        && *refresh == before
    {
        *refresh = after;
    }
}
