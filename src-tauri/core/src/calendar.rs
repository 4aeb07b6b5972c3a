//! When each account is to be looked at, and how many refreshes are under way. It is kept as accounts change, so that looking
//! costs what is due, and not what exists.

use crate::account::{self, Account, Refresh, Session};
use crate::names::AccountId;
use crate::time::Now;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The two clocks may drift so far apart, in milliseconds, before all is reckoned anew: less than anybody notices of a token's
/// life, more than lies between reading the one and the other.
const DRIFT: i128 = 100;

/// Whose refreshes are limited together: an issuer, and a client there.
pub type Budget = (String, String);

/// The budget that an account belongs to.
pub fn budget(account: &Account) -> Budget {
    (account.identity.issuer.clone(), account.identity.client_id.clone())
}

/// Moments on the boot clock, in milliseconds, and the places of the accounts that they are those of.
type Deadlines = BTreeSet<(i64, usize)>;

/// See above.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    noted: HashMap<AccountId, Noted>,
    refreshes: BTreeMap<Budget, Deadlines>,
    others: Deadlines,
    /// The budgets by their first deadlines: those that none is due of cost nothing.
    firsts: BTreeSet<(i64, Budget)>,
    under_way: HashMap<Budget, usize>,
    /// By how much the wall clock was ahead of the boot clock when this was reckoned.
    ahead: Option<i128>,
}

/// What is written down of one account.
#[derive(Clone, Debug)]
struct Noted {
    place: usize,
    budget: Budget,
    deadline: Option<(i64, Kind)>,
    in_flight: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refresh,
    Other,
}

impl Calendar {
    /// Whether deadlines that were reckoned before still hold: not once a clock was set.
    pub fn holds(&self, now: Now) -> bool {
        self.ahead.is_some_and(|before| (ahead(now) - before).abs() <= DRIFT)
    }

    /// Reckons everything anew.
    pub fn reckon(&mut self, accounts: &[Account], now: Now) {
        *self = Self { ahead: Some(ahead(now)), ..Self::default() };
        for (place, account) in accounts.iter().enumerate() {
            self.note(account, place, now);
        }
    }

    /// An account is new, or changed.
    pub fn note(&mut self, account: &Account, place: usize, now: Now) {
        self.strike(&account.id);
        let kind = match &account.session {
            Session::SignedIn {
                refresh: Refresh::Idle { due: Some(_) } | Refresh::Waiting { .. } | Refresh::Journaled { .. },
            } => Kind::Refresh,
            _ => Kind::Other,
        };
        let deadline = account::wake(account, now).map(|left| (now.boot.0.saturating_add(left), kind));
        let in_flight = matches!(
            &account.session,
            Session::SignedIn { refresh } | Session::Undoable { refresh, .. } if refresh.in_flight()
        );
        let noted = Noted { place, budget: budget(account), deadline, in_flight };
        match deadline {
            Some((at, Kind::Refresh)) => self.change(&noted.budget, |deadlines| {
                deadlines.insert((at, place));
            }),
            Some((at, Kind::Other)) => {
                self.others.insert((at, place));
            }
            None => {}
        }
        if in_flight {
            *self.under_way.entry(noted.budget.clone()).or_default() += 1;
        }
        self.noted.insert(account.id.clone(), noted);
    }

    fn strike(&mut self, id: &AccountId) {
        let Some(Noted { place, budget, deadline, in_flight }) = self.noted.remove(id) else { return };
        match deadline {
            Some((at, Kind::Refresh)) => self.change(&budget, |deadlines| {
                deadlines.remove(&(at, place));
            }),
            Some((at, Kind::Other)) => {
                self.others.remove(&(at, place));
            }
            None => {}
        }
        if in_flight && let Some(count) = self.under_way.get_mut(&budget) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.under_way.remove(&budget);
            }
        }
    }

    fn change(&mut self, budget: &Budget, change: impl FnOnce(&mut Deadlines)) {
        let deadlines = self.refreshes.entry(budget.clone()).or_default();
        let before = deadlines.first().map(|(at, _)| *at);
        change(deadlines);
        let after = deadlines.first().map(|(at, _)| *at);
        if after.is_none() {
            self.refreshes.remove(budget);
        }
        if before != after {
            before.map(|at| self.firsts.remove(&(at, budget.clone())));
            after.map(|at| self.firsts.insert((at, budget.clone())));
        }
    }

    /// Where an account stands in the list.
    pub fn place(&self, id: &AccountId) -> Option<usize> {
        self.noted.get(id).map(|noted| noted.place)
    }

    /// Refreshes under way in this budget.
    pub fn under_way(&self, budget: &Budget) -> usize {
        self.under_way.get(budget).copied().unwrap_or_default()
    }

    /// The places of what is no refresh and is due, the first first.
    pub fn others(&self, now: Now) -> impl Iterator<Item = usize> {
        due(&self.others, now)
    }

    /// The places of the refreshes that are due, in each budget the first first.
    pub fn refreshes(&self, now: Now) -> impl Iterator<Item = (&Budget, impl Iterator<Item = usize>)> {
        self.due_budgets(now).map(move |(budget, deadlines)| (budget, due(deadlines, now)))
    }

    fn due_budgets(&self, now: Now) -> impl Iterator<Item = (&Budget, &Deadlines)> {
        let due = self.firsts.iter().take_while(move |(at, _)| *at <= now.boot.0);
        due.filter_map(|(_, budget)| Some((budget, self.refreshes.get(budget)?)))
    }

    /// Milliseconds until the next account that counts is due that is not due yet.
    pub fn next(&self, now: Now, counts: impl Fn(usize) -> bool) -> Option<i64> {
        let later = (now.boot.0.saturating_add(1), 0);
        let next = |deadlines: &Deadlines| {
            let mut later = deadlines.range(later..);
            later.find(|(_, place)| counts(*place)).map(|(at, _)| *at)
        };
        // Of the budgets that none is due of: most often the first one's first.
        let mut waiting: Option<i64> = None;
        for (at, budget) in self.firsts.range((now.boot.0.saturating_add(1), Budget::default())..) {
            if waiting.is_some_and(|found| found <= *at) {
                break;
            }
            waiting = waiting.into_iter().chain(self.refreshes.get(budget).and_then(next)).min();
        }
        let others = next(&self.others);
        let due = self.due_budgets(now).filter_map(|(_, deadlines)| next(deadlines));
        due.chain(waiting).chain(others).min().map(|at| at.saturating_sub(now.boot.0))
    }
}

fn due(deadlines: &Deadlines, now: Now) -> impl Iterator<Item = usize> {
    deadlines.iter().take_while(move |(at, _)| *at <= now.boot.0).map(|(_, place)| *place)
}

fn ahead(now: Now) -> i128 {
    i128::from(now.wall.0) - i128::from(now.boot.0)
}
