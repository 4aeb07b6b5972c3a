//! What the app itself says, in menus, tray, notifications and dialogs, in its person's language. The words stand in
//! `messages/`; the window has its own, and follows the same setting. What goes to a terminal is English.

use larder_core::preferences::Language;
use larder_core::words::fill;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// A language that there are words in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spoken {
    /// What every other language falls back to.
    #[default]
    English,
    /// German.
    German,
}

type Messages = BTreeMap<String, String>;

impl Spoken {
    /// The language that its person chose; that of the desktop, where they left it to it.
    pub fn chosen(language: Language) -> Self {
        match language {
            Language::En => Self::English,
            Language::De => Self::German,
            Language::System => Self::of_system(|name| std::env::var(name).ok()),
        }
    }

    /// The first language that there are words in, of those that the environment names as gettext reads it: `LANGUAGE` is a
    /// list in order, and counts only where the locale is that of a language at all.
    fn of_system(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).unwrap_or_default();
        if ["", "C", "POSIX"].contains(&locale.split('.').next().unwrap_or_default()) {
            return Self::English;
        }
        let preferred = set("LANGUAGE").unwrap_or_default();
        preferred.split(':').chain([locale.as_str()]).find_map(Self::of_locale).unwrap_or_default()
    }

    /// `de_AT.UTF-8` is German.
    fn of_locale(locale: &str) -> Option<Self> {
        match locale.split(['_', '.', '@', '-']).next() {
            Some("en") => Some(Self::English),
            Some("de") => Some(Self::German),
            _ => None,
        }
    }

    fn messages(self) -> &'static Messages {
        static MESSAGES: OnceLock<[Messages; 2]> = OnceLock::new();
        let read = |text| serde_json::from_str(text).unwrap_or_default();
        let all = MESSAGES
            .get_or_init(|| [read(include_str!("../messages/en.json")), read(include_str!("../messages/de.json"))]);
        match self {
            Self::English => &all[0],
            Self::German => &all[1],
        }
    }

    /// This message. A missing one is its key, so that nothing is ever silent.
    pub fn text(self, key: &str) -> String {
        self.with(key, &[])
    }

    /// This message, with its parameters.
    pub fn with(self, key: &str, parameters: &[(&str, &str)]) -> String {
        let template = self.messages().get(key).map_or(key, String::as_str);
        fill(template, |name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    /// The form of this message for so many, which is `{n}` in it. Both languages have two forms.
    pub fn count(self, key: &str, n: usize, parameters: &[(&str, &str)]) -> String {
        let form = if n == 1 { "one" } else { "other" };
        let n = n.to_string();
        self.with(&format!("{key}.{form}"), &[parameters, &[("n", &n)]].concat())
    }
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
