//! The lock: whether tokens are handed out at all. Locked, accounts stay fresh; sealed, nothing opens.

use crate::account::{Account, Refresh, Session};
use crate::effect::HouseEffect;
use crate::house::{House, Want, record_of, refuse};
use crate::names::AccountId;
use crate::problem::Problem;
use crate::time::{Moment, Now};
use crate::view::{EventKind, LapsingView, LockState};
use std::time::Duration;

/// What happens to the lock.
#[derive(Clone, Debug)]
pub enum LockEvent {
    /// Somebody locks, seals or unlocks.
    Turned {
        /// To what.
        to: LockState,
        /// Which program, where it is known.
        by: Option<String>,
    },
    /// Somebody did something, or a program got a token.
    Used,
    /// It locks by itself after so long without that; never, where none is given.
    IdleAfter(Option<Duration>),
}

/// The lock.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// How it stands.
    pub state: LockState,
    idle_after: Option<Duration>,
    /// When it locks by itself.
    idle: Option<Moment>,
    /// While it is sealed: the accounts whose keys the agent was told to keep, for what is in flight.
    kept: Option<Vec<AccountId>>,
}

impl Lock {
    /// A lock as an earlier run of the agent left it.
    pub fn new(state: LockState) -> Self {
        Self { state, ..Self::default() }
    }

    /// Why no token is handed out, if none is.
    pub fn refusal(&self) -> Option<Problem> {
        match self.state {
            LockState::Unlocked => None,
            LockState::Locked => Some(Problem::Locked),
            LockState::Sealed => Some(Problem::Sealed),
        }
    }

    /// Whether nothing opens.
    pub fn sealed(&self) -> bool {
        self.state == LockState::Sealed
    }

    /// Milliseconds until it locks by itself.
    pub fn wake(&self, now: Now) -> Option<i64> {
        self.idle.filter(|_| self.state == LockState::Unlocked).map(|idle| idle.wait(now))
    }

    fn used(&mut self, now: Now) {
        self.idle = self.idle_after.map(|after| now.plus(after));
    }
}

/// What follows for the house.
pub(crate) fn happen(house: &mut House, event: LockEvent, now: Now, effects: &mut Vec<HouseEffect>) {
    match event {
        LockEvent::Turned { to, by } => {
            house.lock.used(now);
            turn(house, to, by, effects);
        }
        LockEvent::Used => house.lock.used(now),
        LockEvent::IdleAfter(after) => {
            if house.lock.idle_after != after {
                house.lock.idle_after = after;
                house.lock.used(now);
            }
        }
    }
}

/// Locks where nobody did anything for long enough.
pub(crate) fn expire(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    if house.lock.wake(now).is_some_and(|left| left <= 0) {
        turn(house, LockState::Locked, None, effects);
    }
}

fn turn(house: &mut House, to: LockState, by: Option<String>, effects: &mut Vec<HouseEffect>) {
    if house.lock.state == to {
        return;
    }
    house.lock.state = to;
    let kind = match to {
        LockState::Unlocked => EventKind::Unlocked,
        LockState::Locked => EventKind::Locked,
        LockState::Sealed => EventKind::Sealed,
    };
    effects.push(record_of(kind, None, by, None));
    effects.push(HouseEffect::Locked { state: to });
}

/// Refuses whoever waits for what the lock forbids, and lets go of the keys that nothing in flight needs.
pub(crate) fn enforce(house: &mut House, effects: &mut Vec<HouseEffect>) {
    if let Some(problem) = house.lock.refusal() {
        let sealed = house.lock.sealed();
        let forbidden = |want: &Want| match want {
            Want::Token(_) => true,
            Want::Refresh { .. } => sealed,
            Want::SignOut => false,
        };
        let (refused, left) =
            std::mem::take(&mut house.asks).into_iter().partition(|ask: &crate::house::Ask| forbidden(&ask.want));
        house.asks = left;
        let refused: Vec<_> = refused;
        effects.extend(refused.iter().map(|ask| refuse(ask, problem.clone())));
    }
    let kept = house.lock.sealed().then(|| {
        let in_flight = house.accounts.iter().filter(|account| in_flight(account));
        in_flight.map(|account| account.id.clone()).collect::<Vec<_>>()
    });
    if house.lock.kept != kept {
        if let Some(keep) = &kept {
            effects.push(HouseEffect::DropKeys { keep: keep.clone() });
        }
        house.lock.kept = kept;
    }
}

/// Whether tokens of this account are on their way to the disk: without its key they would be lost.
fn in_flight(account: &Account) -> bool {
    match &account.session {
        Session::SignedIn { refresh } | Session::Undoable { refresh, .. } => {
            refresh.in_flight() || matches!(refresh, Refresh::Unsaved { .. })
        }
        _ => false,
    }
}

/// The sessions that go without refreshes while it is sealed.
pub fn lapsing(house: &House) -> Vec<LapsingView> {
    let refreshed = |account: &&Account| matches!(account.session, Session::SignedIn { .. }) && account.refreshable;
    let view = |account: &Account| LapsingView {
        account: account.identity.label.clone(),
        refresh_at: match &account.session {
            Session::SignedIn { refresh: Refresh::Idle { due: Some(at) } | Refresh::Waiting { until: at, .. } } => {
                Some(at.wall)
            }
            _ => None,
        },
        expires_at: account.access.and_then(|access| access.expires).map(|expires| expires.wall),
    };
    house.accounts.iter().filter(refreshed).map(view).collect()
}
