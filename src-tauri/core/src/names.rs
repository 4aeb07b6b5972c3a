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
