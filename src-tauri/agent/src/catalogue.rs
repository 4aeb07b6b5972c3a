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
    pub testing_days: Option<i64>,
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

/// After how many days the sessions of an unpublished project end at this issuer.
pub fn testing_days(issuer: &str) -> Option<i64> {
    all().values().find(|entry| entry.written.issuer.as_deref() == Some(issuer))?.testing_days
}
