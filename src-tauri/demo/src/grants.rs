//! Grants: what a person has allowed, and the tokens that came of it.
//!
//! All tokens that descend from one consent are a family. A refresh token is good once; one that comes a second time is
//! in two hands, and ends its family (RFC 9700 4.14.2).

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::secret::SecretHash;

/// Live families. Beyond it the oldest ends, as providers do that cap the grants of a client: memory stays bounded, and
/// nobody is locked out of signing in.
const MAX_FAMILIES: usize = 10_000;

/// Spent refresh tokens that a family remembers. A copy older than a thousand rotations is refused as unknown all the
/// same; it merely no longer ends the family.
const MAX_SPENT: usize = 1_000;

/// Live access tokens of one family: far more than a client needs, few enough that a loop of refreshes cannot fill the
/// memory.
const MAX_ACCESS: usize = 100;

/// Names a family; they count up, so the lowest is the oldest.
pub(crate) type FamilyId = u64;

/// An access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) hash: SecretHash,
    pub(crate) scope: Vec<String>,
    pub(crate) expires_at: Millis,
}

/// A refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Refresh {
    pub(crate) hash: SecretHash,
    pub(crate) expires_at: Millis,
}

/// One consent and its tokens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Family {
    pub(crate) username: String,
    pub(crate) scope: Vec<String>,
    pub(crate) auth_time: Millis,
    pub(crate) refresh: Refresh,
    spent: VecDeque<SecretHash>,
    /// The token that was spent last, while a leeway forgives that it comes again.
    #[serde(default)]
    forgiven: Option<Refresh>,
    access: Vec<Access>,
}

/// Why a refresh token was not taken. To the client all but `Scope` are `invalid_grant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Unknown,
    Expired,
    Reused,
    Scope,
}

/// What a refresh puts in place. `refresh` is `None` where the old refresh token stays.
#[derive(Debug)]
pub(crate) struct Renewal {
    pub(crate) refresh: Option<Refresh>,
    pub(crate) access: SecretHash,
    pub(crate) access_expires_at: Millis,
    pub(crate) scope: Option<Vec<String>>,
    pub(crate) ends_access: bool,
    /// Until when the token that is spent now may come again, as from a client that never saw the answer.
    pub(crate) forgiven_until: Option<Millis>,
}

/// What came of a refresh: for whom, and the scope of the new access token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Renewed {
    pub(crate) username: String,
    pub(crate) auth_time: Millis,
    pub(crate) scope: Vec<String>,
}

/// What a revocation met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revoked {
    Family,
    AccessToken,
    Unknown,
}

/// A family as the control interface shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    username: String,
    scope: String,
    refresh_live: bool,
    refresh_token: String,
    access_live: usize,
}

/// All grants. Only the families are written to the state file; the two indexes follow from them.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Grants {
    next: FamilyId,
    families: BTreeMap<FamilyId, Family>,
    #[serde(skip)]
    by_refresh: HashMap<SecretHash, FamilyId>,
    #[serde(skip)]
    by_access: HashMap<SecretHash, FamilyId>,
}

impl Grants {
    /// Makes the indexes anew, after the families were read from the state file.
    pub(crate) fn indexed(mut self) -> Self {
        for (id, family) in &self.families {
            let refresh = family.spent.iter().chain([&family.refresh.hash]);
            self.by_refresh.extend(refresh.map(|hash| (hash.clone(), *id)));
            self.by_access.extend(family.access.iter().map(|access| (access.hash.clone(), *id)));
        }
        self
    }

    pub(crate) fn open(
        &mut self,
        now: Millis,
        username: &str,
        auth_time: Millis,
        refresh: Refresh,
        access: Access,
    ) -> FamilyId {
        self.make_room(now);
        let id = self.next;
        self.next += 1;
        self.by_refresh.insert(refresh.hash.clone(), id);
        self.by_access.insert(access.hash.clone(), id);
        let family = Family {
            username: username.to_owned(),
            scope: access.scope.clone(),
            auth_time,
            refresh,
            spent: VecDeque::new(),
            forgiven: None,
            access: vec![access],
        };
        self.families.insert(id, family);
        id
    }

    /// Takes a refresh token and puts its successor in place (RFC 6749 6).
    pub(crate) fn renew(&mut self, now: Millis, presented: &SecretHash, renewal: Renewal) -> Result<Renewed, Refused> {
        let id = *self.by_refresh.get(presented).ok_or(Refused::Unknown)?;
        let family = self.families.get_mut(&id).ok_or(Refused::Unknown)?;
        let again = family.refresh.hash != *presented;
        let forgives = |old: &Refresh| old.hash == *presented && old.expires_at > now;
        if again && !family.forgiven.as_ref().is_some_and(forgives) {
            self.end(id);
            return Err(Refused::Reused);
        }
        if family.refresh.expires_at <= now {
            return Err(Refused::Expired);
        }
        // RFC 6749 6: less may be asked for than was granted, never more.
        let scope = renewal.scope.unwrap_or_else(|| family.scope.clone());
        if scope.iter().any(|name| !family.scope.contains(name)) {
            return Err(Refused::Scope);
        }

        if let Some(next) = renewal.refresh {
            self.by_refresh.insert(next.hash.clone(), id);
            let spent = std::mem::replace(&mut family.refresh, next);
            // What comes again has been spent before; the token that it brought, and that nobody saw, is spent with it.
            if !again {
                family.forgiven =
                    renewal.forgiven_until.map(|until| Refresh { hash: spent.hash.clone(), expires_at: until });
            }
            family.spent.push_back(spent.hash);
            if family.spent.len() > MAX_SPENT
                && let Some(forgotten) = family.spent.pop_front()
            {
                self.by_refresh.remove(&forgotten);
            }
        }
        let full = family.access.len().saturating_sub(MAX_ACCESS - 1);
        for (position, access) in std::mem::take(&mut family.access).into_iter().enumerate() {
            if renewal.ends_access || access.expires_at <= now || position < full {
                self.by_access.remove(&access.hash);
            } else {
                family.access.push(access);
            }
        }
        self.by_access.insert(renewal.access.clone(), id);
        family.access.push(Access {
            hash: renewal.access,
            scope: scope.clone(),
            expires_at: renewal.access_expires_at,
        });
        Ok(Renewed { username: family.username.clone(), auth_time: family.auth_time, scope })
    }

    /// RFC 7009 2.1: a refresh token takes its access tokens with it; an access token goes alone.
    pub(crate) fn revoke(&mut self, presented: &SecretHash) -> Revoked {
        if let Some(id) = self.by_refresh.get(presented) {
            self.end(*id);
            return Revoked::Family;
        }
        let Some(id) = self.by_access.remove(presented) else { return Revoked::Unknown };
        if let Some(family) = self.families.get_mut(&id) {
            family.access.retain(|access| access.hash != *presented);
        }
        Revoked::AccessToken
    }

    /// Whom a live access token speaks for, and what it may see.
    pub(crate) fn bearer(&self, now: Millis, presented: &SecretHash) -> Option<(&str, &[String])> {
        let family = self.families.get(self.by_access.get(presented)?)?;
        let access = family.access.iter().find(|access| access.hash == *presented)?;
        (access.expires_at > now).then_some((family.username.as_str(), access.scope.as_slice()))
    }

    /// Ends a family; its tokens are unknown from now on.
    pub(crate) fn end(&mut self, id: FamilyId) {
        let Some(family) = self.families.remove(&id) else { return };
        for hash in family.spent.iter().chain([&family.refresh.hash]) {
            self.by_refresh.remove(hash);
        }
        for access in &family.access {
            self.by_access.remove(&access.hash);
        }
    }

    /// Ends all families of a user, and says how many there were.
    pub(crate) fn end_user(&mut self, username: &str) -> usize {
        let ids: Vec<_> =
            self.families.iter().filter(|(_, family)| family.username == username).map(|(id, _)| *id).collect();
        for id in &ids {
            self.end(*id);
        }
        ids.len()
    }

    pub(crate) fn shown(&self, now: Millis) -> Vec<Shown> {
        let live = self.families.values().map(|family| Shown {
            username: family.username.clone(),
            scope: family.scope.join(" "),
            refresh_live: family.refresh.expires_at > now,
            refresh_token: family.refresh.hash.short(),
            access_live: family.access.iter().filter(|access| access.expires_at > now).count(),
        });
        live.filter(|shown| shown.refresh_live || shown.access_live > 0).collect()
    }

    fn make_room(&mut self, now: Millis) {
        if self.families.len() < MAX_FAMILIES {
            return;
        }
        let dead = |family: &Family| {
            family.refresh.expires_at <= now && family.access.iter().all(|access| access.expires_at <= now)
        };
        let mut ids: Vec<_> = self.families.iter().filter(|(_, family)| dead(family)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            ids.extend(self.families.keys().next());
        }
        for id in ids {
            self.end(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Grants, MAX_FAMILIES, MAX_SPENT, Refresh, Refused, Renewal};
    use crate::secret::SecretHash;

    fn refresh(name: &str) -> Refresh {
        Refresh { hash: SecretHash::of(name), expires_at: 1_000 }
    }

    fn access(name: &str) -> Access {
        Access { hash: SecretHash::of(name), scope: vec!["openid".to_owned()], expires_at: 1_000 }
    }

    fn renewal(next: &str) -> Renewal {
        Renewal {
            refresh: Some(refresh(next)),
            access: SecretHash::of(&format!("access-{next}")),
            access_expires_at: 1_000,
            scope: None,
            ends_access: false,
            forgiven_until: None,
        }
    }

    #[test]
    fn the_oldest_family_makes_room_and_indexes_stay_bounded() {
        let mut grants = Grants::default();
        for n in 0..=MAX_FAMILIES {
            grants.open(0, "ada", 0, refresh(&format!("r{n}")), access(&format!("a{n}")));
        }
        assert_eq!(grants.families.len(), MAX_FAMILIES);
        assert_eq!((grants.by_refresh.len(), grants.by_access.len()), (MAX_FAMILIES, MAX_FAMILIES));
        assert!(grants.bearer(0, &SecretHash::of("a0")).is_none());
        assert!(grants.bearer(0, &SecretHash::of("a1")).is_some());
    }

    #[test]
    fn spent_tokens_are_remembered_within_bounds_and_end_the_family() {
        let mut grants = Grants::default();
        grants.open(0, "ada", 0, refresh("r0"), access("a0"));
        for n in 0..MAX_SPENT + 5 {
            let renewed = grants.renew(0, &SecretHash::of(&format!("r{n}")), renewal(&format!("r{}", n + 1)));
            assert!(renewed.is_ok());
        }
        assert_eq!(grants.by_refresh.len(), MAX_SPENT + 1);
        assert_eq!(grants.renew(0, &SecretHash::of("r0"), renewal("x")).err(), Some(Refused::Unknown));
        assert_eq!(grants.renew(0, &SecretHash::of("r9"), renewal("y")).err(), Some(Refused::Reused));
        assert!(grants.families.is_empty() && grants.by_refresh.is_empty() && grants.by_access.is_empty());
    }

    #[test]
    fn a_leeway_forgives_the_last_token_again_and_again_and_no_older_one() {
        let forgiving = |next: &str| Renewal { forgiven_until: Some(500), ..renewal(next) };
        let mut grants = Grants::default();
        grants.open(0, "ada", 0, refresh("r0"), access("a0"));
        let mut renew = |at, token: &str, next: &str| grants.renew(at, &SecretHash::of(token), forgiving(next)).err();
        assert_eq!(renew(0, "r0", "r1"), None);
        assert_eq!(renew(100, "r0", "r2"), None);
        assert_eq!(renew(499, "r0", "r3"), None);
        assert_eq!(renew(499, "r3", "r4"), None);
        assert_eq!(renew(499, "r0", "r5"), Some(Refused::Reused));
        assert!(grants.families.is_empty());
        grants.open(0, "ada", 0, refresh("s0"), access("b0"));
        assert!(grants.renew(0, &SecretHash::of("s0"), forgiving("s1")).is_ok());
        assert_eq!(grants.renew(500, &SecretHash::of("s0"), forgiving("s2")).err(), Some(Refused::Reused));
    }
}
