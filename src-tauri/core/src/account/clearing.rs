//! Signing out: clear here first, whatever happens, then tell the provider.

use super::{Account, Clearing, Decided, Refresh, Session, UNDO};
use crate::effect::{Arrival, Effect};
use crate::names::Operation;
use crate::problem::Problem;
use crate::schedule;
use crate::time::Now;
use crate::view::EventKind;

pub(super) fn sign_out(account: &mut Account, undoable: bool, clearing: Clearing, now: Now, decided: &mut Decided) {
    match &mut account.session {
        Session::Clearing(under_way) | Session::ShredPending { clearing: under_way, .. } => {
            under_way.forget |= clearing.forget;
        }
        Session::SignedOut if !clearing.forget => {}
        Session::SignedIn { refresh } if undoable => {
            account.session = Session::Undoable { until: now.plus(UNDO), refresh: refresh.clone() };
        }
        Session::SignedIn { refresh } | Session::Undoable { refresh, .. } => {
            // Tokens that came and could not be written yet are given back, not kept.
            if let Refresh::Unsaved { operation, .. } = refresh {
                decided.act(*operation, Effect::RevokeLate);
            }
            clear(account, clearing, decided);
        }
        Session::SignedOut | Session::NeedsSignIn { .. } => clear(account, clearing, decided),
    }
}

fn clear(account: &mut Account, clearing: Clearing, decided: &mut Decided) {
    account.generation = account.generation.next();
    account.session = Session::Clearing(clearing);
    account.access = None;
    account.refreshable = false;
    decided.act(clearing.operation, Effect::MarkClearing { generation: account.generation, revoke: clearing.revoke });
}

/// A step of the sign-out has ended.
pub(super) fn arrived(account: &mut Account, operation: Operation, arrival: Arrival, now: Now, decided: &mut Decided) {
    let wait =
        |attempt, problem: &Problem| now.plus(schedule::retry(&account.id, account.generation, attempt, problem, None));
    let Session::Clearing(clearing) = &mut account.session else { return };
    if clearing.operation != operation {
        return;
    }
    match arrival {
        Arrival::Marked => decided.act(operation, Effect::Clear),
        Arrival::Cleared if clearing.key_gone => decided.act(operation, Effect::Close { forget: clearing.forget }),
        Arrival::Cleared => decided.act(operation, Effect::DeleteKey),
        Arrival::NotSaved(problem) => {
            clearing.attempt += 1;
            clearing.until = Some(wait(clearing.attempt, &problem));
            decided.record(EventKind::Unsaved, Some(problem));
            // A full disk, or somebody who reads the file, keeps the sealed bytes there; without the key they are
            // noise, so the key does not wait for them.
            if !clearing.key_gone {
                decided.act(operation, Effect::DeleteKey);
            }
        }
        Arrival::KeyDeleted => {
            clearing.key_gone = true;
            if clearing.until.is_none() {
                decided.act(operation, Effect::Close { forget: clearing.forget });
            }
        }
        // The files are tried again anyway, and the key after them.
        Arrival::KeyKept(_) if clearing.until.is_some() => {}
        Arrival::KeyKept(problem) => {
            let attempt = clearing.attempt + 1;
            let until = wait(attempt, &problem);
            account.session = Session::ShredPending { clearing: Clearing { attempt, ..*clearing }, until };
        }
        Arrival::Closed => {
            let Clearing { forget, revoke, .. } = *clearing;
            account.session = Session::SignedOut;
            decided.forgotten = forget;
            decided.record(EventKind::SignedOut, None);
            decided.act(operation, if revoke { Effect::Revoke } else { Effect::Discard { spent: true } });
        }
        _ => {}
    }
}
