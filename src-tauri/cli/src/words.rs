//! How things stand, in words.

use crate::duration;
use larder_core::account::GrantType;
use larder_core::problem::Problem;
use larder_core::protocol::{Decision, Revocation};
use larder_core::time::WallTime;
use larder_core::view::{AccountState, AccountView, ClientKind, EventKind, KeychainState, RedirectKind, TrayState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How an account stood at `at`, by the agent's clock.
pub fn state(account: &AccountView, at: WallTime) -> String {
    let left = account.expires_at.map(|ends| ends.0.saturating_sub(at.0));
    let fresh = match left {
        Some(left) if left > 0 => format!("fresh for {}", duration::words(left)),
        Some(_) => "token ended".to_owned(),
        None => "fresh".to_owned(),
    };
    match account.state {
        AccountState::Fresh => fresh,
        AccountState::Refreshing => "refreshing".to_owned(),
        AccountState::Waiting => match account.refresh_at.map(|due| due.0.saturating_sub(at.0)) {
            Some(wait) if wait > 0 => format!("{fresh}, trying again in {}", duration::words(wait)),
            _ => format!("{fresh}, trying again"),
        },
        AccountState::SignInAgain => "sign in again".to_owned(),
        AccountState::Blocked => "needs a correction".to_owned(),
        AccountState::Undoable | AccountState::SigningOut => "signing out".to_owned(),
        AccountState::SignedOut => "signed out".to_owned(),
    }
}

/// That a session ends in so many milliseconds.
pub fn session_ends(account: &str, left: i64) -> String {
    let parameters = [("account", account.to_owned()), ("when", duration::words(left))];
    let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    larder_core::words::message("status.session-ends", &parameters)
}

/// A state that several accounts can have.
pub fn state_name(state: AccountState) -> &'static str {
    match state {
        AccountState::Fresh => "fresh",
        AccountState::Refreshing => "refreshing",
        AccountState::Waiting => "trying again",
        AccountState::SignInAgain => "to sign in again",
        AccountState::Blocked => "to correct",
        AccountState::Undoable | AccountState::SigningOut => "signing out",
        AccountState::SignedOut => "signed out",
    }
}

/// Who an account belongs to, as far as the provider said.
pub fn who(account: &AccountView) -> String {
    if account.grant_type == GrantType::ClientCredentials {
        return "a client, no person".to_owned();
    }
    match (&account.name, &account.email) {
        (Some(name), Some(email)) => format!("{name} <{email}>"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => String::new(),
    }
}

/// What came of a sign-out.
pub fn signed_out(account: &str, revocation: Revocation) -> String {
    let provider = match revocation {
        Revocation::Done => "the provider has ended the session too",
        Revocation::Pending => "the provider could not be told yet, Larder goes on trying",
        Revocation::Failed => {
            "the provider could not be told (the tokens did not open); end the session on its own pages"
        }
        Revocation::NotOffered => "the provider offers no way to end the session there",
        Revocation::NotTried => "the provider was not told",
    };
    format!("{account} is signed out here; {provider}.")
}

/// The keychain's state.
pub fn keychain(state: KeychainState) -> &'static str {
    match state {
        KeychainState::Unasked => "not asked yet",
        KeychainState::Open => "open",
        KeychainState::Locked => "locked, see `larder unlock`",
        KeychainState::Absent => "none answers",
        KeychainState::Silent => "did not answer in time",
    }
}

/// The tray's shape.
pub fn tray(state: TrayState) -> &'static str {
    match state {
        TrayState::Fresh => "fresh",
        TrayState::Refreshing => "refreshing",
        TrayState::Attention => "wants attention",
    }
}

/// A redirect, as it is written on the command line and in `providers.toml`.
pub fn redirect(kind: RedirectKind) -> &'static str {
    match kind {
        RedirectKind::DeepLink => "deep-link",
        RedirectKind::Loopback => "loopback",
        RedirectKind::Paste => "paste",
        RedirectKind::Device => "device",
        RedirectKind::ClientCredentials => "client-credentials",
    }
}

/// As which client Larder signs in.
pub fn client(kind: ClientKind) -> &'static str {
    match kind {
        ClientKind::Own => "with the client that you registered",
        ClientKind::MetadataDocument => "with the client that Larder's metadata document describes",
        ClientKind::Registration => "with a client that Larder registered there",
    }
}

/// A decision, as it is written on the command line and in `policy.toml`.
pub fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Ask => "ask",
        Decision::Deny => "deny",
    }
}

/// What happened.
pub fn event(kind: EventKind) -> &'static str {
    match kind {
        EventKind::SignInStarted => "sign-in started",
        EventKind::CallbackRefused => "redirect refused",
        EventKind::SignInFailed => "sign-in failed",
        EventKind::SignedIn => "signed in",
        EventKind::Refreshed => "refreshed",
        EventKind::RefreshFailed => "refresh failed",
        EventKind::Unsaved => "not written yet",
        EventKind::HandedOut => "token handed out",
        EventKind::Refused => "token refused",
        EventKind::AllowedOnce => "allowed once",
        EventKind::AllowedForSession => "allowed for now",
        EventKind::AllowedAlways => "allowed always",
        EventKind::Locked => "locked",
        EventKind::Sealed => "sealed",
        EventKind::Unlocked => "unlocked",
        EventKind::SignedOut => "signed out",
        EventKind::Revoked => "session revoked",
        EventKind::RevocationFailed => "not revoked",
        EventKind::Renamed => "renamed",
        EventKind::Exported => "exported",
        EventKind::Imported => "imported",
        EventKind::PolicyChanged => "policy changed",
        EventKind::ProviderChanged => "provider changed",
        EventKind::ClientRegistered => "client registered",
        EventKind::RegistrationRemoved => "registration removed",
        EventKind::EndpointMoved => "token endpoint moved",
        EventKind::RegistrationLeft => "registration not removed",
    }
}

/// A moment, in UTC to the second (RFC 3339).
pub fn moment(at: WallTime) -> String {
    let since = Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    // Past the year 9999 that notation has no word for it.
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since.min(LAST)).to_string()
}

/// What this machine's clock says.
pub fn now() -> WallTime {
    WallTime(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, larder_core::time::millis))
}

/// How long it is until `until`, by this machine's clock.
pub fn from_now(until: WallTime) -> String {
    duration::words(until.0.saturating_sub(now().0))
}

/// Whether a problem only repeats an account's state.
pub fn is_plain(problem: &Problem) -> bool {
    matches!(problem, Problem::SignedOut { .. })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An account that is good for another 42 minutes at time 0.
    pub fn account(label: &str, state: AccountState) -> AccountView {
        AccountView {
            id: format!("id-{label}").as_str().into(),
            label: label.to_owned(),
            provider: "work".into(),
            issuer: "https://login.example.com".to_owned(),
            name: Some("Ada".to_owned()),
            email: None,
            scopes: Vec::new(),
            state,
            expires_at: Some(WallTime(42 * 60_000 + 500)),
            lifetime: None,
            refresh_at: Some(WallTime(30_000)),
            refreshed_at: None,
            signed_in_at: None,
            session_ends_at: None,
            problem: None,
            undo_until: None,
            browser_sign_out: false,
            grant_type: GrantType::AuthorizationCode,
        }
    }

    #[test]
    fn an_account_stands_in_words() {
        let words = |kind, at| state(&account("a", kind), WallTime(at));
        assert_eq!(words(AccountState::Fresh, 0), "fresh for 42 min");
        assert_eq!(words(AccountState::Waiting, 0), "fresh for 42 min, trying again in 30 s");
        assert_eq!(words(AccountState::Waiting, 3_600_000), "token ended, trying again");
        assert_eq!(words(AccountState::SignInAgain, 0), "sign in again");
        assert_eq!(words(AccountState::SignedOut, 0), "signed out");
        let unknown = AccountView { expires_at: None, ..account("a", AccountState::Fresh) };
        assert_eq!(state(&unknown, WallTime(0)), "fresh");
    }

    #[test]
    fn an_account_names_whom_the_provider_named() {
        let mut account = account("a", AccountState::Fresh);
        assert_eq!(who(&account), "Ada");
        account.email = Some("ada@example.com".to_owned());
        assert_eq!(who(&account), "Ada <ada@example.com>");
    }

    #[test]
    fn moments_are_said_in_utc_whatever_their_number() {
        assert_eq!(moment(WallTime(1_700_000_000_999)), "2023-11-14T22:13:20Z");
        assert_eq!(moment(WallTime(-1)), "1970-01-01T00:00:00Z");
        assert_eq!(moment(WallTime(i64::MAX)), "9999-12-31T23:59:59Z");
    }
}
