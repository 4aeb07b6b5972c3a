//! Who waits for a token, and what each gets: an answer, a refusal, or a refresh first.

use super::{Ask, House, MOST_ASKS, Want, Wanted, happen};
use crate::account::{Account, Clearing, Event, Key, Refresh, Session};
use crate::effect::HouseEffect;
use crate::names::{AccountId, Scope};
use crate::problem::{Exit, Problem};
use crate::schedule;
use crate::time::Now;

pub(super) fn asked(house: &mut House, ask: Ask, effects: &mut Vec<HouseEffect>) {
    if house.asks.len() >= MOST_ASKS {
        let account =
            house.find(ask.account.as_str()).map_or_else(|_| ask.account.0.clone(), |a| a.identity.label.clone());
        effects.push(HouseEffect::Refuse { ask: ask.id, problem: Problem::NotYet { account } });
    } else {
        house.asks.push(ask);
    }
}

/// What an asker gets now: an answer, a refusal, or nothing yet.
enum Verdict {
    Now(HouseEffect),
    Wait,
    /// A refresh is wanted first.
    Refresh,
}

/// Tells the askers from this place on what there is to tell.
pub(super) fn answer_askers(house: &mut House, mut place: usize, now: Now, effects: &mut Vec<HouseEffect>) {
    while place < house.asks.len() {
        let ask = house.asks[place].clone();
        let account = house.get(&ask.account);
        let verdict = match account {
            // Signed out, as far as its person is concerned.
            Some(account) if ask.want != Want::SignOut && house.parked.iter().any(|(id, _)| *id == account.id) => {
                let problem = Problem::SignedOut { account: account.identity.label.clone() };
                Verdict::Now(HouseEffect::Refuse { ask: ask.id, problem })
            }
            Some(account) => verdict(account, &ask, now),
            None => Verdict::Now(HouseEffect::Refuse {
                ask: ask.id,
                problem: Problem::NoSuchAccount { account: ask.account.0.clone() },
            }),
        };
        let verdict = match (verdict, account) {
            (Verdict::Refresh, Some(account)) if house.may_start(account, now) => {
                let id = account.id.clone();
                let event = match &ask.want {
                    Want::Token(wanted) if !wanted.part.is_whole() => Event::RefreshFor(wanted.part.clone()),
                    _ => Event::RefreshNow,
                };
                happen(house, &id, event, now, effects);
                Verdict::Wait
            }
            (Verdict::Refresh, _) => Verdict::Wait,
            (verdict, _) => verdict,
        };
        if let (Verdict::Wait, Want::Token(wanted)) = (&verdict, &ask.want) {
            doubt(house, &ask.account, wanted);
        }
        match verdict {
            Verdict::Now(effect) => {
                effects.push(effect);
                house.asks.remove(place);
            }
            Verdict::Refresh | Verdict::Wait if ask.until.wait(now) <= 0 => {
                let problem = house
                    .accounts
                    .iter()
                    .find(|account| account.id == ask.account)
                    .map_or(Problem::NotYet { account: ask.account.0.clone() }, |account| {
                        trouble(account).unwrap_or(Problem::NotYet { account: account.identity.label.clone() })
                    });
                effects.push(HouseEffect::Refuse { ask: ask.id, problem });
                house.asks.remove(place);
            }
            Verdict::Refresh | Verdict::Wait => place += 1,
        }
    }
}

/// Somebody waits for a token because this one was rejected: the next one is known to have come instead of it.
fn doubt(house: &mut House, account: &AccountId, wanted: &Wanted) {
    let place = house.calendar.place(account);
    let known = place.and_then(|place| house.accounts.get_mut(place));
    // What it changes is no deadline.
    if let Some(access) = known.and_then(|known| known.token_mut(&wanted.part)) {
        access.rejected |= access.is_rejected(wanted.rejected);
    }
}

/// What is in an account's way.
pub fn trouble(account: &Account) -> Option<Problem> {
    let label = || account.identity.label.clone();
    match &account.session {
        Session::SignedIn { refresh } => match refresh {
            Refresh::Waiting { problem, .. } | Refresh::Unsaved { problem: Some(problem), .. } => Some(problem.clone()),
            Refresh::Blocked { fix, .. } => Some(fix.clone()),
            _ => None,
        },
        Session::NeedsSignIn { why } => Some(Problem::SignInNeeded { account: label(), why: *why }),
        Session::Clearing(clearing) | Session::ShredPending { clearing, .. } => clearing.problem.clone(),
        Session::MovedAway => Some(Problem::MovedAway { account: label() }),
        Session::SignedOut | Session::Undoable { .. } | Session::Moving { .. } => None,
    }
}

fn verdict(account: &Account, ask: &Ask, now: Now) -> Verdict {
    let refuse = |problem| Verdict::Now(HouseEffect::Refuse { ask: ask.id, problem });
    let done = || Verdict::Now(HouseEffect::Answer { ask: ask.id });
    let signed_out = || Problem::SignedOut { account: account.identity.label.clone() };
    let refresh = match (&account.session, &ask.want) {
        (Session::SignedOut | Session::MovedAway, Want::SignOut) => return done(),
        (Session::ShredPending { .. }, Want::SignOut) => {
            return refuse(trouble(account).unwrap_or(Problem::KeychainLocked));
        }
        // It goes on by itself, but not while anybody waits.
        (Session::Clearing(Clearing { until: Some(_), problem: Some(problem), key, .. }), Want::SignOut)
            if *key != Key::Leaving =>
        {
            return refuse(problem.clone());
        }
        (_, Want::SignOut) => return Verdict::Wait,
        (Session::SignedIn { refresh }, _) => refresh,
        (Session::Moving { .. }, _) => {
            return refuse(Problem::NotYet { account: account.identity.label.clone() });
        }
        (Session::NeedsSignIn { .. } | Session::MovedAway, _) => {
            return refuse(trouble(account).unwrap_or_else(signed_out));
        }
        _ => return refuse(signed_out()),
    };
    match &ask.want {
        Want::Token(Wanted { least, rejected, part }) => {
            let label = || account.identity.label.clone();
            let not_granted = account.not_granted(part);
            if !not_granted.is_empty() {
                let scope = not_granted.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
                return refuse(Problem::ScopeNotGranted { account: label(), scope });
            }
            if account.signed_in_elsewhere(part) {
                return refuse(Problem::ResourceNotGranted { account: label(), resource: part.resource.clone() });
            }
            if let Some(problem) = account.parts.refusal(part, now) {
                return refuse(problem);
            }
            let access = account.token(part);
            let rejected = access.filter(|access| access.is_rejected(*rejected));
            if rejected.is_some_and(|access| access.replaced_lately(now)) {
                return refuse(Problem::TokenRejected { account: label() });
            }
            let good =
                access.is_some_and(|access| access.good_for(schedule::least_validity(*least, access.lifetime), now));
            if good && rejected.is_none() && !account.may_have_ended() {
                return Verdict::Now(HouseEffect::HandOut {
                    ask: ask.id,
                    account: account.id.clone(),
                    part: part.clone(),
                });
            }
        }
        Want::Refresh { from } if account.generation > *from => return done(),
        Want::Refresh { .. } | Want::SignOut => {}
    }
    // Whether this was asked after the last try ended, and that a while ago where it must rest.
    let asked_after = |since: &Now, rest: bool| {
        let rested = now.boot.0.saturating_sub(since.boot.0) >= crate::time::millis(schedule::ASKER_RETRY);
        ask.since.boot > since.boot && (rested || !rest)
    };
    match refresh {
        // What was corrected at the provider is only known by trying; a person may, programs do not.
        Refresh::Blocked { since, .. } if matches!(ask.want, Want::Refresh { .. }) && asked_after(since, true) => {
            Verdict::Refresh
        }
        Refresh::Blocked { fix, .. } => refuse(fix.clone()),
        Refresh::Unsaved { until: Some(_), problem: Some(problem), .. } => refuse(problem.clone()),
        Refresh::Idle { .. } if !account.refreshable => refuse(Problem::SignInNeeded {
            account: account.identity.label.clone(),
            why: crate::problem::Why::NoRefreshToken,
        }),
        Refresh::Idle { .. } | Refresh::Journaled { .. } => Verdict::Refresh,
        Refresh::Waiting { since, problem, not_before, .. } => {
            // An asker brings a retry forward, but never against a provider that asked for a pause. What is on this
            // machine can be looked at any time.
            let local = matches!(problem.exit(), Exit::Keychain | Exit::Disk);
            let paused = not_before.is_some_and(|moment| moment.wait(now) > 0);
            if paused || !asked_after(since, !local) { refuse(problem.clone()) } else { Verdict::Refresh }
        }
        Refresh::Opening { .. } | Refresh::Sent { .. } | Refresh::Unsaved { .. } => Verdict::Wait,
    }
}
