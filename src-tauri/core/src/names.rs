//! Names of things, as types: an account's id never stands where a provider's name belongs.

use serde::{Deserialize, Serialize};
use std::fmt;
use ts_rs::TS;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, TS)]
        pub struct $name(pub String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

name! {
    /// The random id of an account; also the name of its key's item in the keychain.
    AccountId
}
name! {
    /// The random id of a sign-in that is under way.
    AttemptId
}
name! {
    /// The random id of a question to the person: an answer to an agent that is gone means nothing to the next one.
    PromptId
}
name! {
    /// A provider's name: the table's name in `providers.toml`.
    ProviderName
}
name! {
    /// One scope value (RFC 6749 section 3.3).
    Scope
}
/// One of a grant's access tokens, by what is asked for. The default is the whole: all that was granted, for whom the
/// account was signed in for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Part {
    /// Whom it is for (RFC 8707 section 2.2); empty where nothing else is meant than at the sign-in.
    pub resource: String,
    /// Scopes (RFC 6749 section 6), sorted, separated by spaces; empty where all are meant.
    pub scope: String,
}

impl Part {
    /// The part for this resource, with these scopes.
    pub fn new(resource: Option<&str>, scopes: &[Scope]) -> Self {
        let scopes: std::collections::BTreeSet<_> = scopes.iter().map(Scope::as_str).collect();
        let scope = scopes.into_iter().collect::<Vec<_>>().join(" ");
        Self { resource: resource.unwrap_or_default().to_owned(), scope }
    }

    /// Whether it is all that was granted.
    pub fn is_whole(&self) -> bool {
        self.resource.is_empty() && self.scope.is_empty()
    }

    /// Its scopes; none where all are meant.
    pub fn scopes(&self) -> impl Iterator<Item = Scope> {
        self.scope.split_whitespace().map(Scope::from)
    }
}

name! {
    /// SHA-256 in hexadecimal: of a refresh token, to recognise it without holding it; of a `state`, likewise.
    Digest
}

/// Rises with every change of an account's credentials, so that the late result of an older
/// operation is recognised and dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Generation(pub u64);

impl Generation {
    /// The generation after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// One operation on one account (a refresh, a clearing): its results carry the number back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operation(pub u64);
