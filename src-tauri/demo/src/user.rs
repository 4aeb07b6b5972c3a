//! The people who can sign in: anybody, by any name.

use crate::secret::SecretHash;

/// The longest local part of an e-mail address (RFC 5321 4.5.3.1.1).
const MAX_USERNAME: usize = 64;

/// One person at this provider, told from the name that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) username: String,
}

impl User {
    /// Reads what a person typed: "Ada " and "ada@example.com" are ada, "Grace Hopper" is grace.hopper.
    pub(crate) fn typed(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let text = text.strip_suffix("@example.com").unwrap_or(&text);
        let username = text.split_whitespace().collect::<Vec<_>>().join(".");
        let fits = !username.is_empty()
            && username.chars().count() <= MAX_USERNAME
            && username.chars().all(|c| c.is_alphanumeric() || "._-+".contains(c));
        fits.then_some(Self { username })
    }

    /// The subject (OpenID Connect Core 2): the same for the same name at every start, and not the name itself, so that
    /// nothing comes to rely on reading it.
    pub(crate) fn sub(&self) -> String {
        format!("user-{}", SecretHash::of(&format!("larder-demo:{}", self.username)).short())
    }

    pub(crate) fn email(&self) -> String {
        format!("{}@example.com", self.username)
    }

    pub(crate) fn name(&self) -> String {
        if self.username == "ada" {
            return "Ada Lovelace".to_owned();
        }
        let words = self.username.split(['.', '_', '-', '+']).filter(|word| !word.is_empty());
        let words: Vec<_> = words.map(capitalised).collect();
        if words.is_empty() { self.username.clone() } else { words.join(" ") }
    }
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::User;

    #[test]
    fn any_name_will_do() {
        let ada = User::typed(" Ada@example.com").unwrap();
        assert_eq!((ada.username.as_str(), ada.name().as_str()), ("ada", "Ada Lovelace"));
        let grace = User::typed("Grace Hopper").unwrap();
        assert_eq!((grace.email().as_str(), grace.name().as_str()), ("grace.hopper@example.com", "Grace Hopper"));
        assert_eq!(User::typed("  "), None);
        assert_eq!(User::typed("<script>"), None);
    }
}
