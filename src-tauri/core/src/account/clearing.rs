//! Signing out: clear here first, whatever happens, then tell the provider.

use super::{Account, Clearing, Decided, Key, Refresh, Session, UNDO};
use crate::effect::{Arrival, Effect};
use crate::names::Operation;
use crate::schedule;
use crate::time::Now;
use crate::view::EventKind;
use std::time::Duration;

pub(super) fn sign_out(account: &mut Account, undoable: bool, mut clearing: Clearing, now: Now, decided: &mut Decided) {
    if let Session::Undoable { forget, .. } = &account.session {
        // What was asked for with the first word is not taken back by the second.
        clearing.forget |= *forget;
    }
    match &mut account.session {
        Session::ShredPending { clearing: under_way, .. } if clearing.forget && !under_way.forget => {
            // It may wait long for the keychain: a restart must know it too.
            let again = Clearing { forget: true, files_cleared: false, key: Key::There, ..under_way.clone() };
            let (operation, generation) = (again.operation, account.generation);
            account.session = Session::Clearing(again);
            decided.act(operation, Effect::MarkClearing { generation, revoke: false });
        }
        // Whoever asks again may have made room, or unlocked the keychain: what was in the way is looked at now.
        Session::Clearing(under_way) => {
            under_way.forget |= clearing.forget;
            under_way.until = under_way.until.map(|_| now.plus(Duration::ZERO));
        }
        Session::ShredPending { clearing: under_way, until } => {
            under_way.forget |= clearing.forget;
            *until = now.plus(Duration::ZERO);
        }
        Session::SignedOut | Session::MovedAway if !clearing.forget => {}
        Session::Undoable { forget, .. } if undoable => *forget |= clearing.forget,
        Session::SignedIn { refresh } if undoable => {
            let refresh = refresh.clone();
            let Clearing { forget, revoke, .. } = clearing;
            account.session = Session::Undoable { until: now.plus(UNDO), refresh, forget, revoke };
        }
        Session::SignedIn { refresh } | Session::Undoable { refresh, .. } => {
            // Tokens that came and could not be written yet are given back, not kept.
            if let Refresh::Unsaved { operation, .. } = refresh {
                decided.act(*operation, Effect::RevokeLate);
            }
            clear(account, clearing, decided);
        }
        Session::SignedOut | Session::MovedAway | Session::Moving { .. } | Session::NeedsSignIn { .. } => {
            clear(account, clearing, decided);
        }
    }
}

/// Another machine has the session: nothing that opens is left here, and nobody is told.
pub(super) fn move_away(account: &mut Account, operation: Operation, decided: &mut Decided) {
    clear(account, Clearing { moved: true, ..Clearing::new(operation, false, false) }, decided);
}

fn clear(account: &mut Account, clearing: Clearing, decided: &mut Decided) {
    account.generation = account.generation.next();
    decided.act(clearing.operation, Effect::MarkClearing { generation: account.generation, revoke: clearing.revoke });
    account.session = Session::Clearing(clearing);
    account.access = None;
    account.refreshable = false;
}

/// A step of the sign-out has ended. Files and key go on side by side where one of them is held up; the row is closed
/// once both are done.
pub(super) fn arrived(account: &mut Account, operation: Operation, arrival: Arrival, now: Now, decided: &mut Decided) {
    let Session::Clearing(clearing) = &mut account.session else { return };
    if clearing.operation != operation {
        return;
    }
    match arrival {
        Arrival::Marked => decided.act(operation, Effect::Clear),
        Arrival::Cleared => {
            clearing.files_cleared = true;
            clearing.problem = None;
        }
        Arrival::NotSaved(problem) => {
            clearing.files_cleared = false;
            clearing.closing = None;
            clearing.attempt += 1;
            let wait = schedule::retry(&account.id, account.generation, clearing.attempt, &problem, None);
            clearing.until = Some(now.plus(wait));
            clearing.problem = Some(problem.clone());
            decided.record(EventKind::Unsaved, Some(problem));
            // A full disk, or somebody who reads the file, keeps the sealed bytes there; without the key they are
            // noise, so the key does not wait for them.
            if clearing.key == Key::There {
                clearing.key = Key::Leaving;
                decided.act(operation, Effect::DeleteKey);
            }
            return;
        }
        Arrival::KeyDeleted => clearing.key = Key::Gone,
        Arrival::KeyKept(problem) => {
            clearing.key = Key::There;
            if clearing.files_cleared {
                clearing.attempt += 1;
                let wait = schedule::retry(&account.id, account.generation, clearing.attempt, &problem, None);
                let clearing = Clearing { problem: Some(problem), ..clearing.clone() };
                account.session = Session::ShredPending { clearing, until: now.plus(wait) };
            }
            return;
        }
        Arrival::Closed if clearing.closing == Some(clearing.forget) => {
            let Clearing { forget, revoke, moved, .. } = *clearing;
            account.session = if moved { Session::MovedAway } else { Session::SignedOut };
            decided.forgotten = forget;
            decided.record(if moved { EventKind::Exported } else { EventKind::SignedOut }, None);
            decided.act(operation, if revoke { Effect::Revoke } else { Effect::Discard { spent: true } });
            return;
        }
        // To be forgotten was asked for in the last moment.
        Arrival::Closed => clearing.closing = None,
        _ => return,
    }
    match clearing.key {
        _ if !clearing.files_cleared => {}
        Key::There => {
            clearing.key = Key::Leaving;
            decided.act(operation, Effect::DeleteKey);
        }
        Key::Leaving => {}
        Key::Gone if clearing.closing.is_none() => {
            clearing.closing = Some(clearing.forget);
            decided.act(operation, Effect::Close { forget: clearing.forget });
        }
        Key::Gone => {}
    }
}
