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
    /// The address of the document that describes this client, where its publisher hosts one
    /// (OAuth Client ID Metadata Document).
    pub client_id_metadata_document: Option<String>,
    /// Commands, each a program with its arguments. No shell reads them.
    #[serde(default)]
    pub hooks: Hooks,
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
}
