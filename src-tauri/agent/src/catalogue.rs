//! The catalogue: providers that Larder knows, compiled in as data.

use crate::providers::Written;
use larder_core::view::ProviderHelp;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

const CATALOGUE: &str = include_str!("catalogue.toml");

/// A provider that Larder knows.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// Where a client is registered.
    register: String,
    /// How many sentences say what to do there.
    steps: u8,
    /// A refresh token of a project that is not published ends after so many days.
    #[serde(default)]
    testing_days: Option<i64>,
    /// What a person would otherwise write down.
    #[serde(flatten)]
    fields: toml::Table,
    /// The same, read.
    #[serde(skip)]
    pub written: Written,
    #[serde(skip)]
    name: String,
}

impl Entry {
    /// How to register a client, with the redirect that is written down there.
    pub fn help(&self, redirect: Option<&str>) -> ProviderHelp {
        ProviderHelp {
            register: self.register.clone(),
            redirect: redirect.map(str::to_owned),
            steps: (1..=self.steps).map(|step| format!("catalogue.{}.step-{step}", self.name)).collect(),
        }
    }
}

fn all() -> &'static BTreeMap<String, Entry> {
    static ENTRIES: OnceLock<BTreeMap<String, Entry>> = OnceLock::new();
    // A test reads every entry, so that nothing is missing here without being noticed.
    ENTRIES.get_or_init(|| {
        let mut entries: BTreeMap<String, Entry> = toml::from_str(CATALOGUE).unwrap_or_default();
        for (name, entry) in &mut entries {
            entry.name.clone_from(name);
            entry.written = Written::deserialize(std::mem::take(&mut entry.fields)).unwrap_or_default();
        }
        entries
    })
}

/// The entry of this name.
pub fn entry(name: &str) -> Option<&'static Entry> {
    all().get(name)
}

/// The names of all entries, sorted.
pub fn names() -> Vec<&'static str> {
    all().keys().map(String::as_str).collect()
}

/// Whether a session of this age, in milliseconds, ended about when this issuer ends those of projects that are not
/// published: half a day early, since "7 days" need not be counted from the same moment, and up to a day late, since a
/// token that still works is not refreshed before it has to be.
pub fn ended_for_testing(issuer: &str, age: i64) -> bool {
    const DAY: i64 = 86_400_000;
    let known = all().values().find(|entry| entry.written.issuer.as_deref() == Some(issuer));
    let days = known.and_then(|entry| entry.testing_days);
    days.is_some_and(|days| age > days * DAY - DAY / 2 && age < days * DAY + DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_google_session_that_ends_after_seven_days_was_a_test_and_others_are_not() {
        let google = "https://accounts.google.com";
        let hours = |hours: i64| hours * 3_600_000;
        for (age, expected) in [(1, false), (155, false), (157, true), (168, true), (191, true), (193, false)] {
            assert_eq!(ended_for_testing(google, hours(age)), expected, "{age} hours");
        }
        assert!(!ended_for_testing("https://discord.com", hours(168)));
        assert!(!ended_for_testing("https://accounts.google.com.evil.example", hours(168)));
    }
}
