//! Sign-ins under way: from the redirect to the account that is stored.

use super::{House, record};
use crate::account::{self, Account, Identity, Refresh, Session};
use crate::arranging::free_label;
use crate::attempt::{self, Attempt, Person, Phase, Redirected};
use crate::effect::{Effect, HouseEffect};
use crate::names::{AccountId, AttemptId, Digest, Generation, ProviderName};
use crate::problem::Problem;
use crate::time::Now;
use crate::view::EventKind;

/// Ends the sign-ins whose time is over, and takes away those that have been shown as failed for long enough.
pub(super) fn expire(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    house.attempts.retain(|attempt| !matches!(attempt.phase, Phase::Failed { .. }) || attempt.until.wait(now) > 0);
    for attempt in &mut house.attempts {
        if attempt.until.wait(now) <= 0 && matches!(attempt.phase, Phase::Waiting) {
            let minutes = u32::try_from(attempt::LIFETIME.as_secs() / 60).unwrap_or_default();
            fail(attempt, Problem::AttemptExpired { minutes }, now, effects);
        }
    }
}

fn fail(attempt: &mut Attempt, problem: Problem, now: Now, effects: &mut Vec<HouseEffect>) {
    // It is shown as failed for as long as it could have waited.
    attempt.until = now.plus(attempt::LIFETIME);
    effects.push(HouseEffect::ForgetAttempt { attempt: attempt.id.clone() });
    effects.push(record(EventKind::SignInFailed, attempt.account.clone(), Some(problem.clone())));
    attempt.phase = Phase::Failed { problem };
}

pub(super) fn redirected_to(house: &mut House, redirected: Redirected, now: Now, effects: &mut Vec<HouseEffect>) {
    let waiting = house
        .attempts
        .iter_mut()
        .find(|attempt| attempt.state == redirected.state && matches!(attempt.phase, Phase::Waiting));
    let Some(attempt) = waiting else {
        let problem =
            if house.used.contains(&redirected.state) { Problem::CallbackUsed } else { Problem::UnknownCallback };
        // A second copy is an everyday thing (a page reloaded, a link delivered twice); a forgery is not.
        if problem == Problem::UnknownCallback {
            effects.push(record(EventKind::CallbackRefused, None, Some(problem)));
        }
        return;
    };
    house.used.push_back(redirected.state);
    if house.used.len() > attempt::MOST_USED {
        house.used.pop_front();
    }
    match redirected.answer {
        Ok(()) => {
            attempt.phase = Phase::Exchanging;
            effects.push(HouseEffect::Exchange { attempt: attempt.id.clone() });
        }
        Err(error) => {
            let provider = attempt.provider.0.clone();
            let problem = if error.error == "access_denied" {
                Problem::ConsentDenied { provider }
            } else {
                Problem::AuthorizationFailed { provider, error: error.error, detail: error.description }
            };
            fail(attempt, problem, now, effects);
        }
    }
}

/// What became of the redirect with this `state`, for whoever brought it.
pub fn callback_verdict(house: &House, state: &Digest, now: Now) -> Result<AttemptId, Problem> {
    match house.attempts.iter().find(|attempt| attempt.state == *state) {
        Some(attempt) if matches!(attempt.phase, Phase::Waiting) && attempt.until.wait(now) > 0 => {
            Ok(attempt.id.clone())
        }
        _ if house.used.contains(state) => Err(Problem::CallbackUsed),
        _ => Err(Problem::UnknownCallback),
    }
}

pub(super) fn exchanged(
    house: &mut House,
    id: &AttemptId,
    result: Result<Box<Person>, Problem>,
    fresh: AccountId,
    now: Now,
    effects: &mut Vec<HouseEffect>,
) {
    let Some(place) = house.attempts.iter().position(|attempt| attempt.id == *id) else {
        // Cancelled meanwhile: what was granted is given back.
        if result.is_ok() {
            effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        }
        effects.push(HouseEffect::ForgetAttempt { attempt: id.clone() });
        return;
    };
    let person = match result {
        Ok(person) => person,
        Err(problem) => return fail(&mut house.attempts[place], problem, now, effects),
    };
    let attempt = &house.attempts[place];
    let same_person =
        |provider: &ProviderName, subject: &str| *provider == attempt.provider && subject == person.subject;
    // Two windows, one person: the first that is written wins. Revoking what the second got could end the first.
    let twice = house.attempts.iter().any(|other| match &other.phase {
        Phase::Storing { person, .. } => same_person(&other.provider, &person.subject),
        _ => false,
    });
    if twice {
        return fail(&mut house.attempts[place], Problem::AttemptCancelled, now, effects);
    }
    let known =
        house.accounts.iter().find(|account| same_person(&account.identity.provider, &account.identity.subject));
    if let Some(known) = known.filter(|known| known.identity.issuer != attempt.issuer && !gone(known)) {
        let problem =
            Problem::OtherIssuer { account: known.identity.label.clone(), issuer: known.identity.issuer.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    // RFC 9068 section 5: a provider may let people choose a name that is a client's id, or clients a person's.
    if let Some(known) = known.filter(|known| known.identity.grant_type != attempt.grant_type() && !gone(known)) {
        let problem = Problem::OtherSubject { account: known.identity.label.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    let expected = attempt.account.as_ref().and_then(|id| house.accounts.iter().find(|account| account.id == *id));
    if let Some(expected) = expected
        && known.is_none_or(|known| known.id != expected.id)
    {
        let problem = Problem::OtherSubject { account: expected.identity.label.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    if let Some(known) = known.filter(|known| matches!(known.session, Session::Moving { .. })) {
        let problem = Problem::NotYet { account: known.identity.label.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    if known.is_some_and(|known| matches!(known.session, Session::Clearing(_) | Session::ShredPending { .. })) {
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], Problem::KeychainLocked, now, effects);
    }
    let (account, label, keep_key) = match known {
        Some(known) => (
            known.id.clone(),
            known.identity.label.clone(),
            matches!(known.session, Session::SignedIn { .. } | Session::Undoable { .. }),
        ),
        None => (fresh, free_label(house, attempt.label.as_deref().unwrap_or(attempt.provider.as_str())), false),
    };
    effects.push(HouseEffect::Store { attempt: id.clone(), account: account.clone(), label: label.clone(), keep_key });
    house.attempts[place].phase = Phase::Storing { account, label, person };
}

/// Whether nothing of the account is kept that opens.
pub fn gone(account: &Account) -> bool {
    matches!(account.session, Session::SignedOut | Session::MovedAway)
}

pub(super) fn stored(
    house: &mut House,
    id: &AttemptId,
    result: Result<Generation, Problem>,
    now: Now,
    effects: &mut Vec<HouseEffect>,
) {
    let Some(place) = house.attempts.iter().position(|attempt| attempt.id == *id) else { return };
    let Phase::Storing { account: account_id, label, person } = house.attempts[place].phase.clone() else { return };
    let generation = match result {
        Ok(generation) => generation,
        Err(problem) => {
            effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
            return fail(&mut house.attempts[place], problem, now, effects);
        }
    };
    let attempt = house.attempts.remove(place);
    let grant_type = attempt.grant_type();
    effects.push(HouseEffect::ForgetAttempt { attempt: id.clone() });
    let known = house.get(&account_id).cloned();
    let access = account::Access::of(&person.grant, generation);
    let mut account = Account {
        id: account_id.clone(),
        generation,
        identity: Identity {
            label,
            provider: attempt.provider,
            issuer: attempt.issuer,
            client_id: attempt.client_id,
            subject: person.subject,
            name: person.name,
            email: person.email,
            scopes: person.grant.scopes.clone().unwrap_or_default(),
            grant_type,
            browser_sign_out: attempt.browser_sign_out,
        },
        session: Session::SignedOut,
        access: Some(access),
        refreshable: person.grant.refreshable,
        refreshed_at: Some(now.wall),
        signed_in_at: Some(now.wall),
        session_ends: account::session_ends(None, attempt.terms, &person.grant),
        terms: attempt.terms,
        margin: house.margin,
        parts: account::parts::Parts { resources: attempt.resources, ..Default::default() },
    };
    account.session = Session::SignedIn { refresh: account::next_due(&account, Some(access)) };
    house.put(account, now);
    if let Some(before) = known
        && let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } = before.session
        && let Refresh::Unsaved { operation, until: Some(_), .. } = refresh
    {
        // Of the session before; nobody would write it any more.
        effects.push(HouseEffect::Account {
            account: account_id.clone(),
            generation: before.generation,
            operation,
            effect: Effect::Discard { spent: true },
        });
    }
    effects.push(record(EventKind::SignedIn, Some(account_id), None));
}
