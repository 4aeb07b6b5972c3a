//! `config.toml`: how Larder reaches the network, and what it runs when something happens.

use crate::providers::{parse, unreadable};
use larder_core::git::GitRule;
use larder_core::problem::Problem;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// The person's settings. What is left out is as it was before there were any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// For every host but this computer; else the environment's (`HTTPS_PROXY` and its kin).
    pub proxy: Option<String>,
    /// Certificate authorities besides the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// The address of the document that describes this client, where its publisher hosts one
    /// (OAuth Client ID Metadata Document).
    pub client_id_metadata_document: Option<String>,
    /// What keeps the keys.
    #[serde(default)]
    pub keychain: Keychain,
    /// Which account git uses where.
    #[serde(default)]
    pub git: Git,
    /// Commands, each a program with its arguments. No shell reads them.
    #[serde(default)]
    pub hooks: Hooks,
    /// A program with its arguments that asks the person whether a program may have a token, where no window is.
    #[serde(default)]
    pub confirm_cmd: Vec<String>,
    /// When Larder locks by itself.
    #[serde(default)]
    pub lock: Lock,
}

/// When Larder locks by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// After so many minutes without a hand-out and without anything that a person does; never, where it is left out.
    pub idle_minutes: Option<NonZeroU32>,
}

impl Lock {
    /// The same as a duration.
    pub fn idle_after(self) -> Option<Duration> {
        self.idle_minutes.map(|minutes| Duration::from_secs(u64::from(minutes.get()) * 60))
    }
}

/// Which account git uses where, if the accounts' own providers do not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Git {
    /// The first that matches wins.
    #[serde(default, rename = "rule")]
    pub rules: Vec<GitRule>,
}

/// What keeps the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keychain {
    /// Which one. It is chosen when the agent begins.
    #[serde(default)]
    pub store: Store,
}

/// What keeps the keys. Nothing is ever fallen back to: one that does not open is a problem to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Store {
    /// The operating system's own.
    #[default]
    OsKeychain,
    /// A file that a credential of the agent's systemd unit opens.
    SystemdCredential,
    /// A file that a passphrase opens.
    Passphrase,
}

impl Store {
    /// As it is written in the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::OsKeychain => "os-keychain",
            Self::SystemdCredential => "systemd-credential",
            Self::Passphrase => "passphrase",
        }
    }
}

/// What runs when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hooks {
    /// An account was signed in.
    #[serde(default)]
    pub on_sign_in: Vec<String>,
    /// An account was signed out.
    #[serde(default)]
    pub on_sign_out: Vec<String>,
    /// An account was refreshed.
    #[serde(default)]
    pub on_refresh: Vec<String>,
    /// An account wants its person: a sign-in, or something to correct.
    #[serde(default)]
    pub on_attention: Vec<String>,
}

/// Reads `config.toml`. A file that is not there sets nothing.
///
/// # Errors
/// [`Problem::BadConfig`] with the line.
pub fn read(path: &Path) -> Result<Settings, Problem> {
    match crate::folders::read_text(path) {
        Ok(text) => {
            let settings: Settings = parse(path, &text)?;
            check(path, &text, &settings)?;
            Ok(settings)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The client's id is the document's address: https, a path, and nothing that two people could write in two ways.
fn check(path: &Path, text: &str, settings: &Settings) -> Result<(), Problem> {
    const KEY: &str = "client_id_metadata_document";
    let Some(document) = &settings.client_id_metadata_document else { return Ok(()) };
    let whole = Url::parse(document).is_ok_and(|url| {
        let bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
        url.scheme() == "https" && url.path() != "/" && bare && url.as_str() == document
    });
    let line = text.lines().position(|line| line.trim_start().starts_with(KEY)).unwrap_or_default() + 1;
    let detail = format!("{KEY} is the whole https address of a document, with a path and without a fragment");
    if whole { Ok(()) } else { Err(Problem::BadConfig { file: path.display().to_string(), line, detail }) }
}

/// Reads what keeps the keys, and nothing else: what is wrong elsewhere in the file does not concern them.
///
/// # Errors
/// [`Problem::BadConfig`] with the line.
pub fn store(path: &Path) -> Result<Store, Problem> {
    #[derive(Default, Deserialize)]
    struct Part {
        #[serde(default)]
        keychain: Keychain,
    }
    match crate::folders::read_text(path) {
        Ok(text) => parse(path, &text).map(|part: Part| part.keychain.store),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Store::default()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_a_program_with_its_arguments_and_an_unknown_key_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(read(&path).unwrap(), Settings::default());
        std::fs::write(
            &path,
            "proxy = \"http://proxy.example:3128\"\n[hooks]\non_refresh = [\"touch\", \"/tmp/x y\"]\n",
        )
        .unwrap();
        assert_eq!(read(&path).unwrap().hooks.on_refresh, ["touch", "/tmp/x y"]);
        std::fs::write(&path, "[hooks]\non_refrehs = [\"touch\"]\n").unwrap();
        assert!(matches!(read(&path), Err(Problem::BadConfig { line: 2, .. })));
    }

    #[test]
    fn a_rule_for_git_names_a_host_and_an_account() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[[git.rule]]\nhost = \"git.example\"\npath = \"company\"\naccount = \"work\"\n")
            .unwrap();
        let rules = read(&path).unwrap().git.rules;
        assert_eq!((rules.len(), rules[0].path.as_deref(), rules[0].account.as_str()), (1, Some("company"), "work"));
        std::fs::write(&path, "[[git.rule]]\nhost = \"git.example\"\n").unwrap();
        assert!(matches!(read(&path), Err(Problem::BadConfig { .. })));
        std::fs::write(&path, "[[git.rule]]\nhost = \"h\"\naccount = \"a\"\nuser = \"b\"\n").unwrap();
        assert!(matches!(read(&path), Err(Problem::BadConfig { line: 4, .. })));
    }

    #[test]
    fn who_is_asked_and_when_it_locks_are_settings_and_no_time_at_all_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "confirm_cmd = [\"zenity\", \"--question\"]\n[lock]\nidle_minutes = 30\n").unwrap();
        let settings = read(&path).unwrap();
        assert_eq!(settings.confirm_cmd, ["zenity", "--question"]);
        assert_eq!(settings.lock.idle_after(), Some(Duration::from_secs(1800)));
        assert_eq!(Settings::default().lock.idle_after(), None);
        std::fs::write(&path, "[lock]\nidle_minutes = 0\n").unwrap();
        assert!(matches!(read(&path), Err(Problem::BadConfig { line: 2, .. })));
    }

    #[test]
    fn the_store_is_named_and_an_unknown_one_is_no_other_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        assert_eq!(store(&path), Ok(Store::OsKeychain));
        for known in [Store::OsKeychain, Store::SystemdCredential, Store::Passphrase] {
            let text = format!("[hooks]\nunknown = 1\n[keychain]\nstore = \"{}\"\n", known.name());
            std::fs::write(&path, text).unwrap();
            assert_eq!(store(&path), Ok(known));
        }
        std::fs::write(&path, "\n[keychain]\nstore = \"file\"\n").unwrap();
        assert!(matches!(store(&path), Err(Problem::BadConfig { line: 3, .. })));
        std::fs::write(&path, "[keychain]\nshop = \"passphrase\"\n").unwrap();
        assert!(matches!(store(&path), Err(Problem::BadConfig { line: 2, .. })));
    }
}
