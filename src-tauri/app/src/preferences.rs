//! What a person sets in the window: the agent keeps it, but for the start at login, which is the desktop's.

use crate::language::Spoken;
use crate::link::{Link, News, lock};
use crate::{downloads, login, providers};
use larder_client::unexpected;
use larder_core::names::AccountId;
use larder_core::preferences::{Hooks, Language, Notify, SettingsChange, SettingsView, Theme};
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Request};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is set, for the window.
#[derive(Debug, Serialize)]
pub struct Settings {
    start_at_login: bool,
    /// At login, without a window.
    start_hidden: bool,
    theme: Theme,
    language: Language,
    /// A command line; the system's own browser where it is empty.
    browser: String,
    notify: Notify,
    idle_minutes: Option<u32>,
    refresh_margin: Option<u32>,
    hooks: Hooks,
    data: String,
    config: String,
    store: String,
}

/// How the window looks and speaks.
#[derive(Debug, Serialize)]
pub struct Chosen {
    theme: Theme,
    language: Language,
}

/// What is to be set; what is left out stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Change {
    start_at_login: Option<bool>,
    start_hidden: Option<bool>,
    /// See [`Settings::browser`].
    #[serde(rename = "browser")]
    browser_line: Option<String>,
    #[serde(flatten)]
    agent: SettingsChange,
}

/// What is set.
pub fn settings(link: &Link) -> Result<Settings, Problem> {
    match link.ask(Request::Settings)? {
        Answer::Settings(settings) => Ok(shown(link, *settings)),
        _ => Err(unexpected("settings")),
    }
}

/// Sets something.
pub fn change(link: &Link, change: Change) -> Result<Settings, Problem> {
    let Change { start_at_login, start_hidden, browser_line, mut agent } = change;
    if start_at_login.is_some() || start_hidden.is_some() {
        let on = start_at_login.unwrap_or_else(|| login::state(link.profile()) == Some(true));
        login::set(on, start_hidden.unwrap_or_else(login::hidden))?;
        // The menu's tick.
        link.tell(News::Picture);
    }
    if let Some(line) = browser_line {
        let detail = "the browser's command line has a quotation mark that does not end".to_owned();
        agent.browser = Some(shlex::split(&line).ok_or(Problem::BadRequest { detail })?);
    }
    if agent != SettingsChange::default() {
        match link.ask(Request::ChangeSettings { change: Box::new(agent) })? {
            Answer::Settings(settings) => return Ok(shown(link, *settings)),
            _ => return Err(unexpected("change-settings")),
        }
    }
    settings(link)
}

fn shown(link: &Link, settings: SettingsView) -> Settings {
    link.remember(settings.clone());
    let SettingsView { theme, language, browser, notify, idle_minutes, refresh_margin, hooks, data, config, store } =
        settings;
    Settings {
        start_at_login: login::state(link.profile()) == Some(true),
        start_hidden: login::hidden(),
        theme,
        language,
        browser: shlex::try_join(browser.iter().map(String::as_str)).unwrap_or_default(),
        notify,
        idle_minutes,
        refresh_margin,
        hooks,
        data,
        config,
        store,
    }
}

/// Shows the folder of databases in the desktop's file manager.
pub fn open_folder(link: &Link) -> Result<(), Problem> {
    #[cfg(target_os = "linux")]
    crate::drawing::decided();
    let opened = open::that_detached(&link.profile().data);
    opened.map_err(|error| Problem::Internal { detail: format!("no file manager could be opened: {}", error.kind()) })
}

/// Moves accounts into a sealed file in the person's Downloads folder, and says where it is.
pub fn export(link: &Link, accounts: Vec<AccountId>, passphrase: providers::Secret) -> Result<String, Problem> {
    let path = downloads::free("larder", "export")?.display().to_string();
    let accounts = accounts.into_iter().map(|account| account.0).collect();
    let request = Request::Export {
        path: path.clone(),
        accounts,
        config_only: false,
        passphrase: Some(passphrase.into_wire()),
        recipient: None,
    };
    // It waits for what is in flight.
    match link.ask_long(request)? {
        Answer::Moved { .. } => Ok(path),
        _ => Err(unexpected("export")),
    }
}

/// Takes accounts out of a file that another machine's Larder sealed; says how many.
pub fn import(link: &Link, path: PathBuf, passphrase: providers::Secret) -> Result<usize, Problem> {
    let path = path.display().to_string();
    let request = Request::Import { path, passphrase: Some(passphrase.into_wire()), identity: None };
    match link.ask_long(request)? {
        Answer::Moved { accounts } => Ok(accounts.len()),
        _ => Err(unexpected("import")),
    }
}

/// Signs out of every account and forgets it. The first that fails stops it; what is signed out stays so.
pub fn reset(link: &Link) -> Result<(), Problem> {
    for account in link.house()?.accounts {
        crate::actions::sign_out(link, account.id, crate::actions::SignOut::Forget)?;
    }
    Ok(())
}

impl Link {
    /// What is set, as the agent last said; what it is by itself, where it said nothing yet.
    pub fn browser(&self) -> Vec<String> {
        lock(&self.settings).as_ref().map(|settings| settings.browser.clone()).unwrap_or_default()
    }

    /// How the window looks and speaks, where the agent has said it.
    pub fn chosen(&self) -> Option<Chosen> {
        lock(&self.settings).as_ref().map(|settings| Chosen { theme: settings.theme, language: settings.language })
    }

    /// What is told by notification.
    pub fn notify(&self) -> Notify {
        lock(&self.settings).as_ref().map(|settings| settings.notify).unwrap_or_default()
    }

    /// From now on, this is what is set.
    pub fn remember(&self, settings: SettingsView) {
        let before = self.spoken();
        *lock(&self.settings) = Some(settings);
        if self.spoken() != before {
            self.tell(News::Picture);
        }
    }

    /// The language of what the app says.
    pub fn spoken(&self) -> Spoken {
        Spoken::chosen(lock(&self.settings).as_ref().map(|settings| settings.language).unwrap_or_default())
    }

    /// Asks anew what is set. Where that cannot be told, it stays what it was.
    pub fn learn_settings(&self) {
        if let Ok(Answer::Settings(settings)) = self.ask(Request::Settings) {
            self.remember(*settings);
        }
    }
}
