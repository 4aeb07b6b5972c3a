//! Further access tokens of a grant: for some of its scopes, or for another resource.

use super::{Access, Account, Decided, GrantType, Refresh, Session, next_due};
use crate::effect::{Effect, Outcome};
use crate::names::{Operation, Part, Scope};
use crate::problem::{Problem, Why};
use crate::schedule;
use crate::time::{Now, millis};
use crate::view::EventKind;
use std::collections::BTreeMap;

/// So many further access tokens of one account are kept; beyond, the one that ends first makes room. Programs that need
/// more at once are not known, and each costs a refresh.
pub const MOST: usize = 16;

/// An account's further access tokens, as far as deciding needs them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// The resources (RFC 8707) that the account was signed in for, beside its own.
    pub resources: Vec<String>,
    /// Those that are kept.
    pub access: BTreeMap<Part, Access>,
    /// What the refresh under way asks for; the whole, where it is an ordinary one.
    pub asking: Part,
    /// What the provider refused, why, and when: it is not asked for the same again at once.
    pub refused: BTreeMap<Part, (Problem, Now)>,
}

impl Parts {
    /// Keeps one more, and lets go of what is too much: the row with the earliest end, as the agent's own table does.
    pub(super) fn keep(&mut self, part: Part, access: Access) {
        self.refused.remove(&part);
        while self.access.len() >= MOST && !self.access.contains_key(&part) {
            let first = self.access.iter().min_by_key(|(part, access)| (access.expires.map(|at| at.wall), *part));
            let Some(first) = first.map(|(part, _)| part.clone()) else { break };
            self.access.remove(&first);
        }
        self.access.insert(part, access);
    }

    /// Why the provider gave none for this part, where that was a short while ago.
    pub fn refusal(&self, part: &Part, now: Now) -> Option<Problem> {
        let (problem, since) = self.refused.get(part)?;
        let rested = now.boot.0.saturating_sub(since.boot.0) >= millis(schedule::REJECTED_REST);
        (!rested).then(|| problem.clone())
    }
}

impl Account {
    /// The access token for this part of the grant, while there is one.
    pub fn token(&self, part: &Part) -> Option<&Access> {
        if part.is_whole() { self.access.as_ref() } else { self.parts.access.get(part) }
    }

    /// The same, to be changed.
    pub fn token_mut(&mut self, part: &Part) -> Option<&mut Access> {
        if part.is_whole() { self.access.as_mut() } else { self.parts.access.get_mut(part) }
    }

    /// The access token by which the next refresh is reckoned: where a refresh ends the others, the newest.
    pub fn reckoned(&self) -> Option<Access> {
        let ends = self.terms.refresh_ends_access_token;
        let others = self.parts.access.values().filter(|_| ends);
        self.access.iter().chain(others).max_by_key(|access| access.expires.map(|at| at.wall)).copied()
    }

    /// A token came. It stands for what was asked for, and where a refresh ends the others, they are gone.
    pub(super) fn came(&mut self, access: Access, now: Now) {
        let part = std::mem::take(&mut self.parts.asking);
        if self.terms.refresh_ends_access_token {
            self.ended(now);
        }
        if part.is_whole() {
            self.access = Some(access);
        } else {
            self.parts.keep(part, access);
        }
    }

    /// All access tokens must be taken for ended: the provider has done so, or may have.
    pub(super) fn ended(&mut self, now: Now) {
        self.parts.access.clear();
        if let Some(own) = &mut self.access {
            own.end(now);
        }
    }

    /// The scopes of this part that were never granted, as far as it is known what was: the answer to a sign-in names those
    /// of its own token, not what another resource knows.
    pub fn not_granted(&self, part: &Part) -> Vec<Scope> {
        let granted = &self.identity.scopes;
        let known = !granted.is_empty() && part.resource.is_empty();
        part.scopes().filter(|scope| known && !granted.contains(scope)).collect()
    }

    /// Whether this part is for a resource that the account was not signed in for. There are servers that have spent the
    /// refresh token before they look at that, so they are not asked; without a refresh token, nothing can be spent.
    pub fn signed_in_elsewhere(&self, part: &Part) -> bool {
        let own = part.resource.is_empty() || self.parts.resources.contains(&part.resource);
        !own && self.identity.grant_type == GrantType::AuthorizationCode
    }
}

/// The provider gave no token for a part. That says nothing about the session: an ordinary refresh does, at once where the
/// answer may have meant it. Returns whether that was it.
pub(super) fn refused(
    account: &mut Account,
    outcome: &Outcome,
    operation: Operation,
    now: Now,
    decided: &mut Decided,
) -> bool {
    if account.parts.asking.is_whole() {
        return false;
    }
    let (detail, doubt) = match outcome {
        Outcome::NeedsFix(Problem::ScopeRefused { detail, .. }) => (detail.clone(), false),
        Outcome::NeedsFix(Problem::ClientRefused { error, detail, .. }) => (format!("{error}: {detail}"), false),
        Outcome::NeedsSignIn(Why::Interaction) => ("it wants you to be there".to_owned(), false),
        Outcome::NeedsSignIn(_) if !outcome.holds_tokens() => ("invalid_grant".to_owned(), true),
        _ => return false,
    };
    let problem = Problem::PartRefused { account: account.identity.label.clone(), detail };
    decided.record(EventKind::RefreshFailed, Some(problem.clone()));
    decided.act(operation, Effect::Discard { spent: false });
    let part = std::mem::take(&mut account.parts.asking);
    let rest = millis(schedule::REJECTED_REST);
    account.parts.refused.retain(|_, (_, since)| now.boot.0.saturating_sub(since.boot.0) < rest);
    if account.parts.refused.len() >= MOST {
        account.parts.refused.pop_first();
    }
    account.parts.refused.insert(part, (problem, now));
    let next = match next_due(account, account.reckoned()) {
        Refresh::Idle { .. } if doubt => Refresh::Idle { due: Some(now.plus(std::time::Duration::ZERO)) },
        next => next,
    };
    if let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } = &mut account.session {
        *refresh = next;
    }
    true
}
