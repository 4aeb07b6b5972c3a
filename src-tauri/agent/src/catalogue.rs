//! The catalogue: providers that Larder knows, compiled in as data.

use crate::providers::Written;
use larder_core::names::Scope;
use larder_core::view::{ProviderHelp, ScopeHelp, ServerHelp, Usable};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::OnceLock;

const CATALOGUE: &str = include_str!("catalogue.toml");

/// A provider that Larder knows.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    /// What a person has to bring.
    usable: Usable,
    /// Whether the facts were found in public documentation.
    verified: bool,
    /// Where a client is registered; may hold `{server}`.
    register: String,
    /// Whether the redirect is written down there.
    #[serde(default = "usually")]
    registers_redirect: bool,
    /// How many sentences say what to do there.
    steps: u8,
    /// A refresh token of a project that is not published ends after so many days.
    #[serde(default)]
    testing_days: Option<i64>,
    /// What a person's server looks like, where every person has one: it stands for `{server}` in the addresses.
    #[serde(default)]
    server_example: Option<String>,
    /// Scopes that people want beside those that are asked for.
    #[serde(default)]
    known_scopes: Vec<Scope>,
    /// What git has to know of it, where it has repositories.
    #[serde(default)]
    pub git: Option<Git>,
    /// How its token responses are unlike RFC 6749's; `token_response.rs` reads all of these from anybody.
    #[serde(default)]
    pub token_response: Vec<Quirk>,
    /// What a person would otherwise write down.
    #[serde(flatten)]
    fields: toml::Table,
    /// The same, read.
    #[serde(skip)]
    pub written: Written,
    #[serde(skip)]
    name: String,
}

/// What git has to know of a provider that has repositories.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// The user name beside an access token (Basic).
    pub username: String,
    /// Hosts of repositories beside the one that signs in.
    #[serde(default)]
    pub hosts: Vec<String>,
}

/// How a token response may be unlike what RFC 6749 section 5.1 says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// A form, where JSON is not asked for.
    FormEncoded,
    /// An error with status 200.
    #[serde(rename = "errors-in-200")]
    ErrorsIn200,
    /// The person's token inside `authed_user`.
    SlackUser,
    /// `expires_in` as a string.
    ExpiresAsString,
    /// Access tokens never end.
    NoExpiry,
}

fn usually() -> bool {
    true
}

/// Scopes of OpenID Connect Core, whose meaning is the same everywhere.
const STANDARD: &[&str] = &["openid", "profile", "email", "offline_access"];

impl Entry {
    /// How to register a client, with the redirect that is written down there.
    pub fn help(&self, redirect: Option<&str>, server: Option<&str>) -> ProviderHelp {
        let message = |part: &str| format!("catalogue.{}.{part}", self.name);
        let scopes = self.written.scopes.iter().flatten().chain(&self.known_scopes);
        ProviderHelp {
            register: match server {
                Some(server) => with_server(&self.register, server),
                None if self.register.contains("{server}") => String::new(),
                None => self.register.clone(),
            },
            redirect: redirect.filter(|_| self.registers_redirect).map(str::to_owned),
            steps: (1..=self.steps).map(|step| message(&format!("step-{step}"))).collect(),
            usable: self.usable,
            why: message("usable"),
            verified: self.verified,
            server: self.server_example.as_ref().map(|example| ServerHelp {
                label: message("server"),
                example: example.clone(),
                value: server.map(str::to_owned),
            }),
            scopes: scopes
                .map(|scope| ScopeHelp {
                    scope: scope.clone(),
                    meaning: match scope.as_str() {
                        known if STANDARD.contains(&known) => format!("scope.{known}"),
                        other => message(&format!("scope.{other}")),
                    },
                })
                .collect(),
        }
    }

    /// Whether this is where it signs people in; where everybody has a server, any may be it.
    pub fn is_at(&self, issuer: &str) -> bool {
        let origin = |text: &str| url::Url::parse(text).ok().map(|url| url.origin());
        let own = self.written.issuer.as_deref().or(self.written.authorization_endpoint.as_deref());
        self.needs_server() || own.and_then(origin).is_some_and(|own| Some(own) == origin(issuer))
    }

    /// Whether its addresses depend on whose server it is.
    pub fn needs_server(&self) -> bool {
        self.server_example.is_some()
    }

    /// What it says, for this server.
    pub fn written_for(&self, server: &str) -> Written {
        let mut written = self.written.clone();
        for address in [
            &mut written.issuer,
            &mut written.authorization_endpoint,
            &mut written.token_endpoint,
            &mut written.revocation_endpoint,
            &mut written.userinfo_endpoint,
            &mut written.device_authorization_endpoint,
        ] {
            *address = address.take().map(|address| with_server(&address, server));
        }
        written
    }
}

/// An address with this server in it: a whole URL, or a part of one.
fn with_server(address: &str, server: &str) -> String {
    address.replace("{server}", server.trim().trim_end_matches('/'))
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
    fn what_git_has_to_know_is_said_of_those_that_have_repositories() {
        let username = |name: &str| entry(name).and_then(|entry| entry.git.as_ref()).map(|git| git.username.as_str());
        assert_eq!(username("github"), Some("x-access-token"));
        assert_eq!(username("gitlab"), Some("oauth2"));
        assert_eq!(username("bitbucket"), Some("x-token-auth"));
        assert_eq!((username("forgejo"), username("google")), (Some("oauth2"), None));
        let github = entry("github").unwrap();
        assert!(github.is_at("https://github.com") && !github.is_at("https://github.com.evil.example"));
        assert!(entry("gitea").unwrap().is_at("https://git.example"));
    }

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
