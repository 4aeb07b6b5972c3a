//! What a person can set, as the window and programs see it; kept in `config.toml`.

use serde::{Deserialize, Deserializer, Serialize};
use ts_rs::TS;

/// How the window looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Theme {
    /// As the desktop says.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
    /// With more contrast than either.
    Contrast,
}

/// The language of the words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Language {
    /// As the desktop says.
    #[default]
    System,
    /// English.
    En,
    /// German.
    De,
}

/// What is told by notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(export)]
pub struct Notify {
    /// An account needs its person.
    pub sign_in: bool,
    /// An account is fresh again, after trouble that lasted.
    pub recovered: bool,
    /// A program asks, and the window may not come to the front.
    pub asks: bool,
}

impl Default for Notify {
    fn default() -> Self {
        Self { sign_in: true, recovered: true, asks: true }
    }
}

/// Commands that run when something happens, each a program with its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields, default)]
#[ts(export)]
pub struct Hooks {
    /// An account was signed in.
    pub on_sign_in: Vec<String>,
    /// An account was signed out.
    pub on_sign_out: Vec<String>,
    /// An account was refreshed.
    pub on_refresh: Vec<String>,
    /// An account wants its person: a sign-in, or something to correct.
    pub on_attention: Vec<String>,
}

/// What is set, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct SettingsView {
    /// How the window looks.
    pub theme: Theme,
    /// The language of the words.
    pub language: Language,
    /// The program that opens a sign-in's page, with its arguments; the system's own where it is empty.
    pub browser: Vec<String>,
    /// What is told by notification.
    pub notify: Notify,
    /// Minutes after which Larder locks by itself; never, where there are none.
    pub idle_minutes: Option<u32>,
    /// How much of a token's life is left when it is refreshed, in percent; Larder's own choice, where there is none.
    pub refresh_margin: Option<u32>,
    /// What runs when something happens.
    pub hooks: Hooks,
    /// The folder of databases.
    pub data: String,
    /// `config.toml`.
    pub config: String,
    /// What keeps the keys: `os-keychain`, `systemd-credential` or `passphrase`.
    pub store: String,
}

/// What is to be set. What is left out stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SettingsChange {
    /// How the window looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub theme: Option<Theme>,
    /// The language of the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// The program that opens a sign-in's page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub browser: Option<Vec<String>>,
    /// What is told by notification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Minutes after which Larder locks by itself; `null` is never.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "also_null")]
    pub idle_minutes: Option<Option<u32>>,
    /// How much of a token's life is left when it is refreshed, in percent; `null` is Larder's own choice.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "also_null")]
    pub refresh_margin: Option<Option<u32>>,
    /// What runs when something happens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
}

/// What is there, though it be `null`, is said.
fn also_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
