//! `config.toml`: how Larder reaches the network, and what it runs when something happens.

use crate::providers::{parse, unreadable};
use larder_core::problem::Problem;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The person's settings. What is left out is as it was before there were any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// For every host but this computer; else the environment's (`HTTPS_PROXY` and its kin).
    pub proxy: Option<String>,
    /// Certificate authorities besides the system's, PEM.
    pub ca_file: Option<PathBuf>,
    /// What keeps the keys.
    #[serde(default)]
    pub keychain: Keychain,
    /// Commands, each a program with its arguments. No shell reads them.
    #[serde(default)]
    pub hooks: Hooks,
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
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(unreadable(path, &error)),
    }
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
    match std::fs::read_to_string(path) {
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
