//! Keeping a session fresh: when a refresh starts, and what follows from each answer.

use super::{
    Access, Account, Clearing, Decided, Key, Refresh, Session, clearing, next_due, parts, refresh_is_due, session_ends,
};
use crate::effect::{Arrival, Effect, Outcome, Trouble};
use crate::names::{Operation, Part};
use crate::problem::{Problem, Why};
use crate::schedule;
use crate::time::{Moment, Now};
use crate::view::EventKind;
use std::time::Duration;

/// A refresh begins.
pub(super) fn open(account: &mut Account, part: Part, operation: Operation, decided: &mut Decided) {
    let (attempt, resumed) = match &account.session {
        Session::SignedIn { refresh: Refresh::Waiting { attempt, resumed, .. } } => (*attempt, *resumed),
        Session::SignedIn { refresh: Refresh::Journaled { .. } } => (0, true),
        _ => (0, false),
    };
    account.session = Session::SignedIn { refresh: Refresh::Opening { operation, attempt, resumed } };
    account.parts.asking = part.clone();
    decided.act(operation, Effect::Prepare { resumed, part });
}

/// Time has passed: what is due is begun.
pub(super) fn look(account: &mut Account, next: Operation, now: Now, decided: &mut Decided) {
    let over = |moment: Moment| moment.wait(now) <= 0;
    if refresh_is_due(account, now) {
        // An interrupted refresh has its one more try at once: the provider may forgive a quick repetition.
        return open(account, Part::default(), next, decided);
    }
    if let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } = &mut account.session
        && let Refresh::Unsaved { operation, until: until @ Some(_), .. } = refresh
        && until.is_some_and(over)
    {
        *until = None;
        return decided.act(*operation, Effect::Save { generation: account.generation.next() });
    }
    match &mut account.session {
        Session::SignedIn { refresh: Refresh::Idle { due: None } } if !account.refreshable => {
            let ended = account.access.is_none_or(|access| !access.good_for(1, now));
            if ended {
                needs_sign_in(account, Why::NoRefreshToken, next, now, decided);
            }
        }
        Session::Undoable { until, forget, revoke, .. } if over(*until) => {
            let clearing = Clearing::new(next, *forget, *revoke);
            clearing::sign_out(account, false, clearing, now, decided);
        }
        Session::ShredPending { clearing, until } if over(*until) => {
            let clearing = Clearing { key: Key::Leaving, ..clearing.clone() };
            decided.act(clearing.operation, Effect::DeleteKey);
            account.session = Session::Clearing(clearing);
        }
        Session::Clearing(clearing) if clearing.until.is_some_and(over) => {
            clearing.until = None;
            let (operation, revoke) = (clearing.operation, clearing.revoke);
            decided.act(operation, Effect::MarkClearing { generation: account.generation, revoke });
        }
        _ => {}
    }
}

/// The machine was asleep. What became due meanwhile, or did not reach its provider before, is begun in a moment: when the
/// network had time to come back, and not at the same time as every other account.
pub(super) fn woken(account: &mut Account, now: Now) {
    let lifetime = account.reckoned().and_then(|access| access.lifetime);
    let soon = now.plus(schedule::woken(&account.id, account.generation, lifetime));
    if let Session::SignedIn { refresh: Refresh::Idle { due: Some(due) } } = &mut account.session
        && due.left(now) <= 0
    {
        *due = soon;
    }
    if let Session::SignedIn { refresh: Refresh::Waiting { until, .. } } = &mut account.session
        && until.wait(now) <= 0
    {
        *until = soon;
    }
    again(account, soon, now);
}

/// Its provider can be reached again.
pub(super) fn reached(account: &mut Account, now: Now) {
    let soon = now.plus(schedule::reached(&account.id, account.generation));
    again(account, soon, now);
}

/// Who waits because the provider could not be reached begins anew then, if it would not do so earlier.
fn again(account: &mut Account, soon: Moment, now: Now) {
    if let Session::SignedIn {
        refresh: Refresh::Waiting { until, attempt, problem: Problem::Unreachable { .. }, .. },
    } = &mut account.session
    {
        *attempt = 0;
        if soon.wait(now) < until.wait(now) {
            *until = soon;
        }
    }
}

/// What is ready to be sent is not. Nothing was sent, so the journal's mark goes.
pub(super) fn put_off(account: &mut Account, operation: Operation, now: Now, decided: &mut Decided) {
    if let Session::SignedIn { refresh } = &mut account.session
        && matches!(refresh, Refresh::Opening { operation: ours, resumed: false, .. } if *ours == operation)
    {
        *refresh = Refresh::Idle { due: Some(now.plus(Duration::ZERO)) };
        decided.act(operation, Effect::Discard { spent: false });
    }
}

/// Only its person can go on.
fn needs_sign_in(account: &mut Account, why: Why, operation: Operation, now: Now, decided: &mut Decided) {
    if let Session::Undoable { refresh, .. } = &mut account.session {
        // The sign-out goes on. Where it is taken back, a refresh will learn it again.
        *refresh = Refresh::Idle { due: Some(now.plus(Duration::ZERO)) };
        return;
    }
    account.session = Session::NeedsSignIn { why };
    decided.act(operation, Effect::SaveNeedsSignIn { why });
    let problem = Problem::SignInNeeded { account: account.identity.label.clone(), why };
    decided.record(EventKind::RefreshFailed, Some(problem));
}

/// The result of an older generation: tokens in it belong to nobody, so they are given back where the account
/// is signed out, and forgotten where it has newer ones (revoking those could end the newer session too).
pub(super) fn late(account: &Account, operation: Operation, arrival: &Arrival, decided: &mut Decided) {
    match arrival {
        Arrival::Answered(outcome) if outcome.holds_tokens() => {
            let gone =
                matches!(account.session, Session::SignedOut | Session::Clearing(_) | Session::ShredPending { .. });
            decided.act(operation, if gone { Effect::RevokeLate } else { Effect::Discard { spent: true } });
        }
        Arrival::Prepared { .. } | Arrival::Answered(_) | Arrival::NotSaved(_) => {
            decided.act(operation, Effect::Discard { spent: true });
        }
        _ => {}
    }
}

/// An effect of this generation has ended.
pub(super) fn arrived(account: &mut Account, operation: Operation, arrival: Arrival, now: Now, decided: &mut Decided) {
    match arrival {
        Arrival::Revoked(result) => {
            match result {
                Ok(()) => decided.record(EventKind::Revoked, None),
                Err(problem) => decided.record(EventKind::RevocationFailed, problem),
            }
            return;
        }
        Arrival::Marked | Arrival::Cleared | Arrival::KeyDeleted | Arrival::KeyKept(_) | Arrival::Closed => {
            clearing::arrived(account, operation, arrival, now, decided);
            return;
        }
        Arrival::NotSaved(_) if matches!(account.session, Session::Clearing(_)) => {
            clearing::arrived(account, operation, arrival, now, decided);
            return;
        }
        _ => {}
    }
    if let (Session::SignedIn { refresh } | Session::Undoable { refresh, .. }, Arrival::Answered(outcome)) =
        (&account.session, &arrival)
        && matches!(refresh, Refresh::Sent { operation: ours, .. } if *ours == operation)
        && parts::refused(account, outcome, operation, now, decided)
    {
        return;
    }
    let (Session::SignedIn { refresh } | Session::Undoable { refresh, .. }) = &mut account.session else {
        return;
    };
    let retry = |attempt: u32, problem: Problem, after: Option<Duration>| Refresh::Waiting {
        until: now.plus(schedule::retry(&account.id, account.generation, attempt + 1, &problem, after)),
        since: now,
        attempt: attempt + 1,
        not_before: after.map(|after| now.plus(after.min(schedule::RETRY_AFTER_MOST))),
        resumed: false,
        problem,
    };
    match (&mut *refresh, arrival) {
        (Refresh::Opening { operation: ours, attempt, .. }, Arrival::Prepared { .. }) if *ours == operation => {
            *refresh = Refresh::Sent { operation, attempt: *attempt };
            decided.act(operation, Effect::Send);
        }
        (Refresh::Opening { operation: ours, attempt, resumed }, Arrival::NotPrepared(trouble))
            if *ours == operation =>
        {
            match trouble {
                Trouble::Passing(problem) => {
                    decided.record(EventKind::RefreshFailed, Some(problem.clone()));
                    // What is on this machine does not count against the provider's backoff.
                    let wait = schedule::retry(&account.id, account.generation, schedule::LOCAL_TRY, &problem, None);
                    *refresh = Refresh::Waiting {
                        until: now.plus(wait),
                        since: now,
                        attempt: *attempt,
                        not_before: None,
                        resumed: *resumed,
                        problem,
                    };
                }
                Trouble::Lasting(why) => needs_sign_in(account, why, operation, now, decided),
            }
        }
        (Refresh::Sent { operation: ours, attempt }, Arrival::Answered(outcome)) if *ours == operation => match outcome
        {
            Outcome::Tokens(mut grant) => {
                // A provider that says nothing this time means what it said before.
                let last = account.access.and_then(|access| access.lifetime);
                let last = last.and_then(|lifetime| Some(Duration::from_millis(u64::try_from(lifetime).ok()?)));
                grant.lifetime = grant.lifetime.or(last);
                *refresh = Refresh::Unsaved { operation, attempt: 0, grant, until: None, problem: None };
                decided.act(operation, Effect::Save { generation: account.generation.next() });
            }
            Outcome::Transient { problem, retry_after, spent } => {
                decided.record(EventKind::RefreshFailed, Some(problem.clone()));
                *refresh = retry(*attempt, problem, retry_after);
                decided.act(operation, Effect::Discard { spent });
                if spent && account.terms.refresh_ends_access_token {
                    account.ended(now);
                }
            }
            Outcome::NeedsSignIn(why) => {
                // What came with another session's ID token is given back.
                let holds = Outcome::NeedsSignIn(why).holds_tokens();
                decided.act(operation, if holds { Effect::RevokeLate } else { Effect::Discard { spent: false } });
                needs_sign_in(account, why, operation, now, decided);
            }
            Outcome::NeedsFix(fix) => {
                decided.record(EventKind::RefreshFailed, Some(fix.clone()));
                *refresh = Refresh::Blocked { fix, since: now };
                decided.act(operation, Effect::Discard { spent: false });
            }
        },
        (Refresh::Unsaved { operation: ours, grant, .. }, Arrival::Saved) if *ours == operation => {
            let grant = grant.clone();
            account.generation = account.generation.next();
            let whole = account.parts.asking.is_whole();
            let instead = account.token(&account.parts.asking).filter(|before| before.rejected).map(|_| now);
            account.came(Access { instead, ..Access::of(&grant, account.generation) }, now);
            account.refreshable = grant.refreshable;
            account.session_ends = session_ends(account.session_ends, account.terms, &grant);
            if let Some(scopes) = grant.scopes.filter(|_| whole) {
                account.identity.scopes = scopes;
            }
            account.refreshed_at = Some(now.wall);
            let next = next_due(account, account.reckoned());
            if let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } = &mut account.session {
                *refresh = next;
            }
            decided.record(EventKind::Refreshed, None);
        }
        (Refresh::Unsaved { operation: ours, attempt, until, problem: last, .. }, Arrival::NotSaved(problem))
            if *ours == operation =>
        {
            if *attempt == 0 {
                decided.record(EventKind::Unsaved, Some(problem.clone()));
            }
            *attempt += 1;
            *until = Some(now.plus(schedule::retry(&account.id, account.generation, *attempt, &problem, None)));
            *last = Some(problem);
        }
        _ => {}
    }
}
