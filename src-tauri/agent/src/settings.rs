//! `config.toml`: how Larder reaches the network, and what it runs when something happens.

use crate::providers::{parse, unreadable};
use larder_core::git::GitRule;
use larder_core::names::AccountId;
use larder_core::preferences::{Hooks, Language, Notify, SettingsChange, SettingsView, Theme};
use larder_core::problem::Problem;
use larder_core::schedule::Margin;
use serde::Deserialize;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_edit::{DocumentMut, Item, TableLike};
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
    /// When tokens are refreshed.
    #[serde(default)]
    pub refresh: Refresh,
    /// How the window is.
    #[serde(default)]
    pub window: Window,
    /// What is told by notification.
    #[serde(default)]
    pub notify: Notify,
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

/// When tokens are refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// How much of a token's life is left then; Larder's own choice, where it is left out.
    pub margin_percent: Option<Margin>,
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

/// How the window is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Window {
    /// How it looks.
    pub theme: Theme,
    /// The language of its words.
    pub language: Language,
    /// The program that opens a sign-in's page, with its arguments; the system's own where it is empty.
    pub browser: Vec<String>,
}

/// Reads `config.toml`. A file that is not there sets nothing.
///
/// # Errors
/// [`Problem::BadConfig`] with the line.
pub fn read(path: &Path) -> Result<Settings, Problem> {
    match crate::folders::read_text(path) {
        Ok(text) => written_in(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// The settings, where this is what `config.toml` holds.
///
/// # Errors
/// As [`read`].
pub fn written_in(path: &Path, text: &str) -> Result<Settings, Problem> {
    let settings: Settings = parse(path, text)?;
    check(path, text, &settings)?;
    Ok(settings)
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

impl Settings {
    /// For people.
    pub fn view(&self, file: &Path, data: &Path) -> SettingsView {
        SettingsView {
            theme: self.window.theme,
            language: self.window.language,
            browser: self.window.browser.clone(),
            notify: self.notify,
            idle_minutes: self.lock.idle_minutes.map(NonZeroU32::get),
            refresh_margin: self.refresh.margin_percent.map(Margin::percent),
            hooks: self.hooks.clone(),
            data: data.display().to_string(),
            config: file.display().to_string(),
            store: self.keychain.store.name().to_owned(),
        }
    }
}

/// Writes what is to be set into `config.toml`; what else stands there stays, comments too.
///
/// # Errors
/// [`Problem::BadConfig`] where the file cannot be read as it is, or could not afterwards; [`Problem::NotWritten`].
pub fn change(path: &Path, change: &SettingsChange) -> Result<(), Problem> {
    // One that cannot be read is its person's to correct: nothing is written over it.
    read(path)?;
    let text = match crate::folders::read_text(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| unreadable(path, &error))?,
    };
    let internal = || Problem::Internal { detail: "config.toml cannot be changed".to_owned() };
    let mut document = text.parse::<DocumentMut>().map_err(|_| internal())?;
    let mut set = |table: &str, key: &str, value: Option<Item>| -> Result<(), Problem> {
        let entry = document.entry(table).or_insert_with(toml_edit::table);
        let table = entry.as_table_like_mut().ok_or_else(internal)?;
        match value {
            Some(value) => table.insert(key, value),
            None => table.remove(key),
        };
        Ok(())
    };
    if let Some(theme) = change.theme {
        set("window", "theme", kebab(&theme))?;
    }
    if let Some(language) = change.language {
        set("window", "language", kebab(&language))?;
    }
    if let Some(browser) = &change.browser {
        set("window", "browser", list(browser))?;
    }
    if let Some(notify) = change.notify {
        for (key, on) in [("sign_in", notify.sign_in), ("recovered", notify.recovered), ("asks", notify.asks)] {
            set("notify", key, Some(toml_edit::value(on)))?;
        }
    }
    if let Some(minutes) = change.idle_minutes {
        let minutes = minutes.and_then(NonZeroU32::new);
        set("lock", "idle_minutes", minutes.map(|minutes| toml_edit::value(i64::from(minutes.get()))))?;
    }
    if let Some(percent) = change.refresh_margin {
        set("refresh", "margin_percent", percent.map(|percent| toml_edit::value(i64::from(percent))))?;
    }
    if let Some(hooks) = &change.hooks {
        let Hooks { on_sign_in, on_sign_out, on_refresh, on_attention } = hooks;
        for (key, command) in [
            ("on_sign_in", on_sign_in),
            ("on_sign_out", on_sign_out),
            ("on_refresh", on_refresh),
            ("on_attention", on_attention),
        ] {
            set("hooks", key, list(command))?;
        }
    }
    let text = document.to_string();
    let after: Settings = parse(path, &text)?;
    check(path, &text, &after)?;
    crate::folders::replace(path, &text)
}

/// Has rules for git that name an account by this label name it by its id, which stays when the label does not. Nothing is
/// written where there is none.
///
/// # Errors
/// As [`change`].
pub fn name_by_id(path: &Path, label: &str, account: &AccountId) -> Result<(), Problem> {
    if read(path)?.git.rules.iter().all(|rule| rule.account != label) {
        return Ok(());
    }
    let text = crate::folders::read_text(path).map_err(|error| unreadable(path, &error))?;
    let internal = || Problem::Internal { detail: "config.toml cannot be changed".to_owned() };
    let mut document = text.parse::<DocumentMut>().map_err(|_| internal())?;
    let rules = document.get_mut("git").and_then(|git| git.get_mut("rule")).ok_or_else(internal)?;
    let put = |rule: &mut dyn TableLike| {
        if rule.get("account").and_then(Item::as_str) == Some(label) {
            rule.insert("account", toml_edit::value(account.as_str()));
        }
    };
    match rules {
        Item::ArrayOfTables(rules) => rules.iter_mut().for_each(|rule| put(rule)),
        Item::Value(toml_edit::Value::Array(rules)) => {
            rules.iter_mut().filter_map(toml_edit::Value::as_inline_table_mut).for_each(|rule| put(rule));
        }
        _ => return Err(internal()),
    }
    crate::folders::replace(path, &document.to_string())
}

/// A word, as it is written in the file.
fn kebab(value: &impl serde::Serialize) -> Option<Item> {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(toml_edit::value))
}

/// A program with its arguments; none where there is no program.
fn list(command: &[String]) -> Option<Item> {
    (!command.is_empty()).then(|| toml_edit::value(command.iter().collect::<toml_edit::Array>()))
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
    fn a_rule_for_git_goes_on_under_the_account_s_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let rules = [
            "[[git.rule]]\nhost = \"a\"\naccount = \"work\" # mine\n[[git.rule]]\nhost = \"b\"\naccount = \"home\"\n",
            "git = { rule = [{ host = \"a\", account = \"work\" }, { host = \"b\", account = \"home\" }] }\n",
        ];
        for text in rules {
            std::fs::write(&path, text).unwrap();
            name_by_id(&path, "work", &"id-1".into()).unwrap();
            let accounts = read(&path).unwrap().git.rules.into_iter().map(|rule| rule.account).collect::<Vec<_>>();
            assert_eq!(accounts, ["id-1", "home"], "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        name_by_id(&path, "work", &"id-1".into()).unwrap();
        assert!(!path.exists(), "nothing to write");
    }

    #[test]
    fn what_is_set_stands_in_the_file_beside_what_stood_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "# mine\nproxy = \"http://proxy.example:3128\"\n\n[hooks]\non_refresh = [\"a\"] # b\n")
            .unwrap();
        let hooks = Hooks { on_attention: vec!["tell".to_owned(), "me".to_owned()], ..Hooks::default() };
        let set = SettingsChange {
            theme: Some(Theme::Dark),
            language: Some(Language::De),
            browser: Some(vec!["firefox".to_owned(), "-P".to_owned(), "my work".to_owned()]),
            notify: Some(Notify { asks: false, ..Notify::default() }),
            idle_minutes: Some(Some(30)),
            refresh_margin: Some(Some(30)),
            hooks: Some(hooks.clone()),
        };
        change(&path, &set).unwrap();
        let after = read(&path).unwrap();
        assert_eq!(after.proxy.as_deref(), Some("http://proxy.example:3128"));
        assert_eq!((after.window.theme, after.window.language), (Theme::Dark, Language::De));
        assert_eq!(after.window.browser, ["firefox", "-P", "my work"]);
        assert!(after.notify.sign_in && !after.notify.asks);
        assert_eq!(after.lock.idle_after(), Some(Duration::from_secs(1800)));
        assert_eq!(after.refresh.margin_percent.map(Margin::percent), Some(30));
        assert_eq!(after.hooks, hooks);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# mine\n"));
        change(&path, &SettingsChange { idle_minutes: Some(None), ..SettingsChange::default() }).unwrap();
        let after = Settings { lock: Lock::default(), ..after };
        assert_eq!(read(&path).unwrap(), after);
        change(&path, &SettingsChange { refresh_margin: Some(None), ..SettingsChange::default() }).unwrap();
        assert_eq!(read(&path).unwrap(), Settings { refresh: Refresh::default(), ..after });
    }

    #[test]
    fn a_margin_that_would_make_programs_wait_or_providers_work_is_refused_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for refused in ["0", "14", "51", "-20", "20.5", "\"20 %\"", "4294967316"] {
            std::fs::write(&path, format!("[refresh]\nmargin_percent = {refused}\n")).unwrap();
            assert!(matches!(read(&path), Err(Problem::BadConfig { line: 2, .. })), "{refused}: {:?}", read(&path));
        }
        std::fs::write(&path, "[refresh]\nmargin_percent = 15\n").unwrap();
        let set = SettingsChange { refresh_margin: Some(Some(51)), ..SettingsChange::default() };
        let Err(Problem::BadConfig { detail, .. }) = change(&path, &set) else { panic!("{:?}", change(&path, &set)) };
        assert!(detail.contains("from 15 to 50 percent"), "{detail}");
        assert_eq!(read(&path).unwrap().refresh.margin_percent.map(Margin::percent), Some(15));
    }

    #[test]
    fn nothing_is_written_over_settings_that_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "[hooks]\non_refrehs = []\n").unwrap();
        let set = SettingsChange { theme: Some(Theme::Dark), ..SettingsChange::default() };
        assert!(matches!(change(&path, &set), Err(Problem::BadConfig { line: 2, .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "[hooks]\non_refrehs = []\n");
    }

    #[test]
    fn what_is_left_out_of_a_change_stays_and_null_is_never() {
        let read = |text: &str| serde_json::from_str::<SettingsChange>(text).unwrap();
        assert_eq!(read("{}").idle_minutes, None);
        assert_eq!(read(r#"{"idle_minutes":null}"#).idle_minutes, Some(None));
        assert_eq!(read(r#"{"idle_minutes":5}"#).idle_minutes, Some(Some(5)));
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
