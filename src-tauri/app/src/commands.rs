//! The window's commands: exactly these, each allowed by name in `capabilities/main.json`. None takes or gives a
//! token, verifier, code or key; a client secret comes in by one, and out by none. A command that fails rejects with the [`Problem`].

use crate::actions::{self, More, SignOut, Tested};
use crate::consent::{self, Policy};
use crate::link::Link;
use crate::picture::{self, Picture};
use crate::preferences::{self, Settings};
use crate::providers::{self, Found, NewProvider, Secret};
use crate::window;
use crate::{activity, choose};
use larder_core::names::{AccountId, AttemptId, PromptId, ProviderName};
use larder_core::problem::Problem;
use larder_core::protocol::{Choice, Decision, OnWire};
use larder_core::time::WallTime;
use larder_core::view::{EventView, HouseView, LastUse, RedirectKind, ReportLine};
use std::sync::Arc;
use tauri::{AppHandle, State};
use tauri_plugin_clipboard_manager::ClipboardExt;

type Agent<'a> = State<'a, Arc<Link>>;

/// Asks off the main thread: the window never waits for the agent.
async fn off<T: Send + 'static>(
    agent: &Agent<'_>,
    ask: impl FnOnce(&Link) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let link = Arc::clone(agent.inner());
    tauri::async_runtime::spawn_blocking(move || ask(&link))
        .await
        .unwrap_or_else(|error| Err(Problem::Internal { detail: error.to_string() }))
}

fn copy(app: &AppHandle, text: String) -> Result<(), Problem> {
    let written = app.clipboard().write_text(text);
    written.map_err(|error| Problem::Internal { detail: format!("the clipboard cannot be written: {error}") })
}

#[tauri::command]
pub async fn house(agent: Agent<'_>) -> Result<HouseView, Problem> {
    off(&agent, Link::house).await
}

#[tauri::command]
pub async fn sign_in(
    agent: Agent<'_>,
    provider: ProviderName,
    account: Option<AccountId>,
    redirect: Option<RedirectKind>,
    more: More,
) -> Result<AttemptId, Problem> {
    off(&agent, move |link| actions::sign_in(link, provider, account, redirect, more)).await
}

#[tauri::command]
pub async fn cancel_sign_in(agent: Agent<'_>, attempt: AttemptId) -> Result<(), Problem> {
    off(&agent, |link| actions::cancel_sign_in(link, attempt)).await
}

#[tauri::command]
pub async fn open_again(agent: Agent<'_>, attempt: AttemptId) -> Result<(), Problem> {
    off(&agent, |link| actions::open_again(link, attempt)).await
}

/// The URL goes to the clipboard from here; the web view never sees it.
#[tauri::command]
pub async fn copy_link(app: AppHandle, agent: Agent<'_>, attempt: AttemptId) -> Result<(), Problem> {
    off(&agent, move |link| copy(&app, actions::authorization_url(link, attempt)?)).await
}

/// The address comes from the clipboard to here; the web view never sees it.
#[tauri::command]
pub async fn paste_address(app: AppHandle, agent: Agent<'_>) -> Result<(), Problem> {
    off(&agent, move |link| {
        // A clipboard that holds a picture, or nothing, is one without an address.
        let text = app.clipboard().read_text().unwrap_or_default();
        actions::hand_over(link, OnWire::new(text.trim().to_owned()))
    })
    .await
}

#[tauri::command]
pub async fn open_registration(agent: Agent<'_>, provider: ProviderName) -> Result<(), Problem> {
    off(&agent, move |link| providers::open_registration(link, &provider)).await
}

#[tauri::command]
pub async fn copy_redirect(app: AppHandle, agent: Agent<'_>, provider: ProviderName) -> Result<(), Problem> {
    off(&agent, move |link| copy(&app, providers::redirect_of(link, &provider)?)).await
}

#[tauri::command]
pub async fn own_redirect(kind: RedirectKind) -> Result<String, Problem> {
    providers::own_redirect(kind)
}

#[tauri::command]
pub async fn copy_own_redirect(app: AppHandle, agent: Agent<'_>, kind: RedirectKind) -> Result<(), Problem> {
    off(&agent, move |_| copy(&app, providers::own_redirect(kind)?)).await
}

/// A secret comes in here and goes to the agent, which seals it. None ever goes out.
#[tauri::command]
pub async fn save_client(
    agent: Agent<'_>,
    provider: ProviderName,
    client_id: String,
    server: Option<String>,
    secret: Option<Secret>,
) -> Result<(), Problem> {
    off(&agent, move |link| providers::save_client(link, &provider, &client_id, server.as_deref(), secret)).await
}

/// What can be signed in to at an address. Changes nothing.
#[tauri::command]
pub async fn find(agent: Agent<'_>, url: String) -> Result<Found, Problem> {
    off(&agent, move |link| providers::find(link, url)).await
}

/// Has what is at an address written down as a provider.
#[tauri::command]
pub async fn adopt(agent: Agent<'_>, url: String) -> Result<ProviderName, Problem> {
    off(&agent, move |link| providers::adopt(link, url)).await
}

/// The picture of a device authorization's address, for a phone.
#[tauri::command]
pub async fn picture(agent: Agent<'_>, attempt: AttemptId) -> Result<Picture, Problem> {
    off(&agent, move |link| picture::of(link, &attempt)).await
}

#[tauri::command]
pub async fn add_provider(agent: Agent<'_>, provider: NewProvider) -> Result<(ProviderName, AttemptId), Problem> {
    off(&agent, move |link| providers::add(link, provider)).await
}

/// What a provider offers, and what is wrong, without signing in.
#[tauri::command]
pub async fn check_provider(agent: Agent<'_>, provider: ProviderName) -> Result<Vec<ReportLine>, Problem> {
    off(&agent, move |link| providers::check(link, provider)).await
}

#[tauri::command]
pub async fn refresh(agent: Agent<'_>, account: AccountId) -> Result<(), Problem> {
    off(&agent, |link| actions::refresh(link, account)).await
}

#[tauri::command]
pub async fn refresh_all(agent: Agent<'_>) -> Result<(), Problem> {
    off(&agent, actions::refresh_all).await
}

#[tauri::command]
pub async fn sign_out(agent: Agent<'_>, account: AccountId) -> Result<(), Problem> {
    off(&agent, |link| actions::sign_out(link, account, SignOut::Undoable)).await
}

/// The address goes from here to the browser; the web view never sees it.
#[tauri::command]
pub async fn sign_out_in_browser(agent: Agent<'_>, account: AccountId) -> Result<(), Problem> {
    off(&agent, |link| actions::sign_out_in_browser(link, account)).await
}

#[tauri::command]
pub async fn undo_sign_out(agent: Agent<'_>, account: AccountId) -> Result<(), Problem> {
    off(&agent, |link| actions::undo_sign_out(link, account)).await
}

#[tauri::command]
pub async fn forget(agent: Agent<'_>, account: AccountId) -> Result<(), Problem> {
    off(&agent, |link| actions::sign_out(link, account, SignOut::Forget)).await
}

#[tauri::command]
pub async fn unlock(agent: Agent<'_>) -> Result<(), Problem> {
    off(&agent, actions::unlock).await
}

/// What its person says to the program that asks. The window alone may: the agent takes it from this process.
#[tauri::command]
pub async fn answer_prompt(agent: Agent<'_>, prompt: PromptId, choice: Choice) -> Result<(), Problem> {
    off(&agent, move |link| consent::answer(link, prompt, choice)).await
}

#[tauri::command]
pub async fn policy(agent: Agent<'_>) -> Result<Policy, Problem> {
    off(&agent, consent::policy).await
}

#[tauri::command]
pub async fn set_policy(
    agent: Agent<'_>,
    program: Option<String>,
    account: Option<String>,
    decision: Decision,
) -> Result<(), Problem> {
    off(&agent, move |link| consent::set_policy(link, program, account, decision)).await
}

#[tauri::command]
pub async fn remove_rule(agent: Agent<'_>, program: String, account: String) -> Result<(), Problem> {
    off(&agent, move |link| consent::remove_rule(link, program, account)).await
}

#[tauri::command]
pub async fn lock(agent: Agent<'_>) -> Result<(), Problem> {
    off(&agent, consent::lock).await
}

#[tauri::command]
pub async fn events(agent: Agent<'_>) -> Result<Vec<EventView>, Problem> {
    off(&agent, actions::events).await
}

#[tauri::command]
pub async fn rename(agent: Agent<'_>, account: AccountId, label: String) -> Result<(), Problem> {
    off(&agent, move |link| actions::rename(link, account, label)).await
}

#[tauri::command]
pub async fn place(agent: Agent<'_>, account: AccountId, before: Option<AccountId>) -> Result<(), Problem> {
    off(&agent, move |link| actions::place(link, account, before)).await
}

/// The token goes from the agent to the provider; what comes here is whether it was accepted.
#[tauri::command]
pub async fn test(agent: Agent<'_>, account: AccountId) -> Result<Tested, Problem> {
    off(&agent, |link| actions::test(link, account)).await
}

#[tauri::command]
pub async fn history(agent: Agent<'_>, account: AccountId, since: WallTime) -> Result<Vec<EventView>, Problem> {
    off(&agent, move |link| activity::history(link, account, since)).await
}

#[tauri::command]
pub async fn last_uses(agent: Agent<'_>) -> Result<Vec<LastUse>, Problem> {
    off(&agent, activity::last_uses).await
}

#[tauri::command]
pub async fn activity(agent: Agent<'_>, filter: activity::Filter) -> Result<Vec<EventView>, Problem> {
    off(&agent, move |link| activity::search(link, &filter)).await
}

/// Where the file is.
#[tauri::command]
pub async fn save_activity(
    agent: Agent<'_>,
    filter: activity::Filter,
    format: activity::Format,
) -> Result<String, Problem> {
    off(&agent, move |link| activity::save(link, &filter, format)).await
}

#[tauri::command]
pub async fn settings(agent: Agent<'_>) -> Result<Settings, Problem> {
    off(&agent, preferences::settings).await
}

#[tauri::command]
pub async fn change_settings(agent: Agent<'_>, change: preferences::Change) -> Result<Settings, Problem> {
    off(&agent, |link| preferences::change(link, change)).await
}

#[tauri::command]
pub async fn open_folder(agent: Agent<'_>) -> Result<(), Problem> {
    off(&agent, preferences::open_folder).await
}

/// A passphrase comes in here and goes to the agent. Where the file is goes out.
#[tauri::command]
pub async fn export_accounts(
    agent: Agent<'_>,
    accounts: Vec<AccountId>,
    passphrase: Secret,
) -> Result<String, Problem> {
    off(&agent, move |link| preferences::export(link, accounts, passphrase)).await
}

/// The file is chosen in the system's own dialog.
#[tauri::command]
pub async fn import_accounts(app: AppHandle, agent: Agent<'_>, passphrase: Secret) -> Result<usize, Problem> {
    match choose::file(&app, agent.spoken().text("choose.accounts")).await {
        Some(path) => off(&agent, move |link| preferences::import(link, path, passphrase)).await,
        None => Ok(0),
    }
}

#[tauri::command]
pub async fn reset(agent: Agent<'_>) -> Result<(), Problem> {
    off(&agent, preferences::reset).await
}

/// The window has drawn what there is: it may be seen.
#[tauri::command]
pub async fn ready(app: AppHandle) {
    window::drawn(&app);
}

/// The window hears what changes, and which page it is asked for.
#[tauri::command]
pub async fn hears(app: AppHandle) {
    window::hears(&app);
}

#[cfg(test)]
mod tests {
    /// A command that is not allowed by name could not be called; one that is no more should not be allowed.
    #[test]
    fn the_window_may_call_exactly_these_and_hear_events() {
        let capability: serde_json::Value = serde_json::from_str(include_str!("../capabilities/main.json")).unwrap();
        let source = include_str!("commands.rs");
        let commands = source.split("#[tauri::command]\n").skip(1);
        let mut expected: Vec<String> = commands
            .filter_map(|text| text.strip_prefix("pub async fn ")?.split('(').next())
            .map(|name| format!("allow-{}", name.replace('_', "-")))
            .collect();
        assert_eq!(expected.len(), 44);
        expected.extend(["core:event:allow-listen", "core:event:allow-unlisten"].map(str::to_owned));
        expected.sort();
        let mut allowed: Vec<&str> =
            capability["permissions"].as_array().unwrap().iter().filter_map(|name| name.as_str()).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, expected);
        assert_eq!(capability["windows"], serde_json::json!(["main"]));
    }
}
