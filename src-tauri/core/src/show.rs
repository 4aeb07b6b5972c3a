//! From what is decided to what is shown.

use crate::account::{Account, Refresh, Session};
use crate::house::{House, trouble};
use crate::problem::{Exit, Problem};
use crate::time::Now;
use crate::view::{AccountState, AccountView, HouseView, KeychainView, NextRefresh, ProviderView, TrayState};

/// Everything there is to show.
pub fn house(
    house: &House,
    providers: Vec<ProviderView>,
    problems: Vec<Problem>,
    keychain_kind: &str,
    now: Now,
) -> HouseView {
    let accounts: Vec<_> = house.accounts.iter().map(|known| account(known, now)).collect();
    let next_refresh = accounts
        .iter()
        .filter_map(|account| {
            let at = account.refresh_at?;
            Some(NextRefresh { account: account.id.clone(), at })
        })
        .min_by_key(|next| next.at);
    let attention = accounts.iter().any(|account| account.state.wants_attention())
        || !problems.is_empty()
        || !house.consent.prompts.is_empty()
        || accounts.iter().any(|account| {
            account.problem.as_ref().is_some_and(|problem| matches!(problem.exit(), Exit::Keychain | Exit::Disk))
        });
    let tray = if attention {
        TrayState::Attention
    } else if accounts.iter().any(|account| account.state == AccountState::Refreshing) {
        TrayState::Refreshing
    } else {
        TrayState::Fresh
    };
    HouseView {
        at: now.wall,
        accounts,
        attempts: house.attempts.iter().map(crate::attempt::Attempt::view).collect(),
        providers,
        keychain: KeychainView { kind: keychain_kind.to_owned(), state: house.keychain },
        problems,
        tray,
        next_refresh,
        prompts: crate::consent::prompts(house),
        locked: house.lock.state,
    }
}

/// One account.
pub fn account(account: &Account, now: Now) -> AccountView {
    let state = match &account.session {
        Session::SignedIn { refresh } => match refresh {
            // It has ended, and waits for its turn.
            Refresh::Idle { .. }
                if account.access.is_some_and(|access| !access.good_for(1, now))
                    && !account.parts.access.values().any(|access| access.good_for(1, now)) =>
            {
                AccountState::Refreshing
            }
            Refresh::Idle { .. } => AccountState::Fresh,
            Refresh::Opening { .. } | Refresh::Journaled { .. } | Refresh::Sent { .. } => AccountState::Refreshing,
            Refresh::Unsaved { problem: None, .. } => AccountState::Refreshing,
            Refresh::Unsaved { .. } | Refresh::Waiting { .. } => AccountState::Waiting,
            Refresh::Blocked { .. } => AccountState::Blocked,
        },
        Session::NeedsSignIn { .. } => AccountState::SignInAgain,
        Session::Undoable { .. } => AccountState::Undoable,
        Session::Moving { .. } | Session::Clearing(_) | Session::ShredPending { .. } => AccountState::SigningOut,
        Session::SignedOut | Session::MovedAway => AccountState::SignedOut,
    };
    let refresh_at = match &account.session {
        Session::SignedIn { refresh: Refresh::Idle { due } } => due.map(|due| due.wall),
        Session::SignedIn { refresh: Refresh::Waiting { until, .. } } => Some(until.wall),
        _ => None,
    };
    let undo_until = match &account.session {
        Session::Undoable { until, .. } => Some(until.wall),
        _ => None,
    };
    AccountView {
        id: account.id.clone(),
        label: account.identity.label.clone(),
        provider: account.identity.provider.clone(),
        issuer: account.identity.issuer.clone(),
        grant_type: account.identity.grant_type,
        name: account.identity.name.clone(),
        email: account.identity.email.clone(),
        scopes: account.identity.scopes.clone(),
        state,
        expires_at: account.access.and_then(|access| access.expires).map(|expires| expires.wall),
        lifetime: account.access.and_then(|access| access.lifetime),
        refresh_at,
        refreshed_at: account.refreshed_at,
        signed_in_at: account.signed_in_at,
        session_ends_at: account
            .session_ends
            .filter(|_| matches!(account.session, Session::SignedIn { .. } | Session::Undoable { .. })),
        problem: trouble(account),
        undo_until,
        browser_sign_out: account.identity.browser_sign_out,
    }
}
