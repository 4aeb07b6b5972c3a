//! A sign-in under way. Who signs in is known only at its end.

use crate::account::{GrantType, Terms};
use crate::effect::Grant;
use crate::names::{AccountId, AttemptId, Digest, ProviderName};
use crate::problem::Problem;
use crate::time::Moment;
use crate::view::{AttemptPhase, AttemptView, DeviceCode, RedirectKind};
use std::time::Duration;

/// How long a sign-in may take. Codes live a minute, people look for their phone; ten minutes is what providers give
/// their own login pages.
pub const LIFETIME: Duration = Duration::from_secs(10 * 60);

/// At most so many sign-ins wait at once: nobody answers more, and each holds memory that any local program can claim.
pub const MOST: usize = 16;

/// So many redirects that were used are remembered, to tell a second copy from a forgery.
pub const MOST_USED: usize = 256;

/// A sign-in: single use, bound to issuer, client and redirect. Its secrets are elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its random id.
    pub id: AttemptId,
    /// The provider.
    pub provider: ProviderName,
    /// The issuer or host the browser was sent to.
    pub issuer: String,
    /// The client.
    pub client_id: String,
    /// Host and port of the authorization endpoint, for people.
    pub host: String,
    /// The account it must end at, if it is for one.
    pub account: Option<AccountId>,
    /// What the provider's refreshes do.
    pub terms: Terms,
    /// Whom tokens can be asked for (RFC 8707), beside the account's own.
    pub resources: Vec<String>,
    /// What to call a new account.
    pub label: Option<String>,
    /// How the redirect comes back.
    pub redirect: RedirectKind,
    /// Whether the provider says where its person can sign out in the browser.
    pub browser_sign_out: bool,
    /// SHA-256 of the `state` that must come back. Where nothing comes back there is one that nobody is told.
    pub state: Digest,
    /// What its person types in elsewhere, where it is a device authorization.
    pub device: Option<DeviceCode>,
    /// When it ends by itself.
    pub until: Moment,
    /// How far it is.
    pub phase: Phase,
}

/// How far a sign-in is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The browser has the word.
    Waiting,
    /// The code is with the token endpoint.
    Exchanging,
    /// Key and row are being stored, for this account.
    Storing {
        /// New or known.
        account: AccountId,
        /// Its label.
        label: String,
        /// Who signed in.
        person: Box<Person>,
    },
    /// It failed; nothing was stored.
    Failed {
        /// Why.
        problem: Problem,
    },
}

/// Who signed in, and what was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The provider's name for the person (`sub`).
    pub subject: String,
    /// From ID token or userinfo.
    pub name: Option<String>,
    /// From ID token or userinfo.
    pub email: Option<String>,
    /// What was granted.
    pub grant: Grant,
}

/// What a redirect says, once it is parsed. The code itself is elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirected {
    /// SHA-256 of its `state`.
    pub state: Digest,
    /// A code, or why there is none.
    pub answer: Result<(), AuthorizationError>,
}

/// An error response of the authorization endpoint (RFC 6749 section 4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationError {
    /// `error`.
    pub error: String,
    /// `error_description`, as the provider wrote it.
    pub description: String,
}

impl Attempt {
    /// What people see of it.
    pub fn view(&self) -> AttemptView {
        let (phase, problem) = match &self.phase {
            Phase::Waiting => (AttemptPhase::Waiting, None),
            Phase::Exchanging | Phase::Storing { .. } => (AttemptPhase::Finishing, None),
            Phase::Failed { problem } => (AttemptPhase::Failed, Some(problem.clone())),
        };
        AttemptView {
            id: self.id.clone(),
            provider: self.provider.clone(),
            account: self.account.clone(),
            redirect: self.redirect,
            host: self.host.clone(),
            phase,
            until: self.until.wall,
            problem,
            device: self.device.clone(),
        }
    }

    /// How the tokens of its account will come.
    pub fn grant_type(&self) -> GrantType {
        match self.redirect {
            RedirectKind::ClientCredentials => GrantType::ClientCredentials,
            RedirectKind::DeepLink | RedirectKind::Loopback | RedirectKind::Paste | RedirectKind::Device => {
                GrantType::AuthorizationCode
            }
        }
    }

    /// Whether only time or a person can end it.
    pub fn idle(&self) -> bool {
        matches!(self.phase, Phase::Waiting | Phase::Failed { .. })
    }

    /// Whether it is about to give this label to a new account.
    pub fn takes(&self, label: &str) -> bool {
        matches!(&self.phase, Phase::Storing { label: ours, .. } if ours == label)
    }
}
