//! The one window. It is built when it is wanted and gone when it is closed, and its web process with it.

use crate::attention;
use crate::folder::private;
use crate::link::lock;
use crate::preferences::Chosen;
use crate::shell::{self, Shell};
use larder_core::view::HouseView;
use serde::Serialize;
use std::time::Duration;
use tauri::webview::{NewWindowResponse, PermissionResponse};
use tauri::{AppHandle, Emitter, Manager, Url, WebviewUrl, WebviewWindow, WebviewWindowBuilder};

/// Its label, which the capabilities name.
pub const LABEL: &str = "main";

/// A window that has not said it is drawn by then is shown as it is: an empty window says more than none.
const PATIENCE: Duration = Duration::from_secs(2);

/// A page of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// The accounts.
    Accounts,
    /// What can be signed in to.
    SignIn,
    /// What happened.
    Activity,
    /// Which programs may ask.
    Programs,
    /// What can be set.
    Settings,
}

impl Page {
    fn name(self) -> &'static str {
        match self {
            Self::Accounts => "accounts",
            Self::SignIn => "sign-in",
            Self::Activity => "activity",
            Self::Programs => "programs",
            Self::Settings => "settings",
        }
    }
}

/// How far the window is.
#[derive(Debug, Default)]
pub struct Opening {
    /// It said that events reach it.
    hears: bool,
    /// It is on the screen, drawn or not.
    shown: bool,
    /// The page to turn to when it is.
    page: Option<Page>,
    /// What the desktop gave to bring it to the front (Wayland).
    activation_token: Option<String>,
}

/// Builds the first window. On the main thread, before anybody else can want one.
pub fn first(app: &AppHandle) {
    if let Err(error) = build(app) {
        cannot_be_opened(&error);
        shell::beside(app);
    }
}

fn cannot_be_opened(error: &tauri::Error) {
    crate::say::say(&format!("Larder's window cannot be opened: {error}"));
}

/// Brings the window to the front, building it where there is none, and turns to `page`.
/// Building waits for the main thread, so this happens on another one.
pub fn open(app: &AppHandle, page: Option<Page>, activation_token: Option<String>) {
    let app = app.clone();
    std::thread::spawn(move || {
        // One at a time: two clicks are one window.
        let shell = app.state::<Shell>();
        let _turn = lock(&shell.turn);
        let mut opening = lock(&shell.opening);
        opening.activation_token = activation_token;
        match app.get_webview_window(LABEL) {
            Some(window) if opening.hears => {
                drop(opening);
                if let Some(page) = page {
                    let _ = app.emit("page", page.name());
                }
                show(&app, &window);
            }
            Some(window) => {
                opening.page = page.or(opening.page);
                if opening.shown {
                    drop(opening);
                    show(&app, &window);
                }
            }
            None => {
                opening.hears = false;
                opening.shown = false;
                opening.page = page;
                drop(opening);
                if let Err(error) = build(&app) {
                    cannot_be_opened(&error);
                }
            }
        }
    });
}

fn build(app: &AppHandle) -> tauri::Result<()> {
    #[cfg(target_os = "linux")]
    crate::drawing::decided();
    // Each profile has its own, so that one's window cannot read what another's has kept.
    let kept = app.state::<Shell>().link.profile().data.join("window");
    private(&kept)?;
    let mut window = WebviewWindowBuilder::new(app, LABEL, WebviewUrl::App("index.html".into()));
    if let Some(script) = beginning(&app.state::<Shell>()) {
        window = window.initialization_script(script);
    }
    window
        .title("Larder")
        .inner_size(860.0, 580.0)
        .min_inner_size(420.0, 400.0)
        .visible(false)
        .data_directory(kept)
        .on_navigation(is_our_own)
        .on_new_window(|_, _| NewWindowResponse::Deny)
        .on_download(|_, _| false)
        .on_permission_request(|_, _| PermissionResponse::Deny)
        .build()?;
    let app = app.clone();
    std::thread::spawn(move || {
        std::thread::sleep(PATIENCE);
        drawn(&app);
    });
    Ok(())
}

/// What the page begins with, so that it draws without asking first; where that is not known yet, it asks.
fn beginning(Shell { link, opening, .. }: &Shell) -> Option<String> {
    #[derive(Serialize)]
    struct Beginning {
        house: HouseView,
        chosen: Chosen,
        page: &'static str,
    }
    let (house, chosen) = (link.shown()?, link.chosen()?);
    let page = lock(opening).page.take().unwrap_or(Page::Accounts).name();
    let beginning = Beginning { house, chosen, page };
    let json = serde_json::to_string(&beginning).ok()?;
    // Read as text: a name that somebody gave to an account is no part of a program.
    Some(format!("globalThis.larder = JSON.parse({})", serde_json::to_string(&json).ok()?))
}

/// Whether the window may go there: to the app's own pages alone. Everything else belongs into the browser.
fn is_our_own(url: &Url) -> bool {
    match (url.scheme(), url.host_str()) {
        ("tauri", Some("localhost")) => true,
        ("http" | "https", Some("tauri.localhost")) => cfg!(windows),
        _ => false,
    }
}

/// The window has drawn what there is, or its time is up: it is shown, unless it is already. The page to turn to waits
/// until somebody hears of it.
pub fn drawn(app: &AppHandle) {
    let Some(window) = app.get_webview_window(LABEL) else { return };
    let shell = app.state::<Shell>();
    let shown = std::mem::replace(&mut lock(&shell.opening).shown, true);
    if !shown {
        show(app, &window);
    }
}

/// The window hears events from now on: it turns to the page that it was asked for meanwhile.
pub fn hears(app: &AppHandle) {
    let shell = app.state::<Shell>();
    let mut opening = lock(&shell.opening);
    opening.hears = true;
    let page = opening.page.take();
    drop(opening);
    if let Some(page) = page {
        let _ = app.emit("page", page.name());
    }
}

/// The window was closed: the next one begins anew.
pub fn closed(app: &AppHandle) {
    *lock(&app.state::<Shell>().opening) = Opening::default();
    attention::closed(app);
}

/// Whether its person has it before them.
pub fn is_in_front(app: &AppHandle) -> bool {
    app.get_webview_window(LABEL).is_some_and(|window| window.is_focused().unwrap_or(false))
}

/// Where the desktop does not let it come to the front, its entry in the task bar calls.
pub fn call(app: &AppHandle) {
    if let Some(window) = app.get_webview_window(LABEL) {
        let _ = window.request_user_attention(Some(tauri::UserAttentionType::Critical));
    }
}

/// Each of these may fail where the window is just being closed; then there is nothing to show.
fn show(app: &AppHandle, window: &WebviewWindow) {
    if let Some(token) = lock(&app.state::<Shell>().opening).activation_token.take() {
        startup_id(window, token);
    }
    let _ = window.show();
    let _ = window.unminimize();
    let _ = window.set_focus();
    shell::beside(app);
}

/// What lets a window come to the front on Wayland, where nobody may do so unasked.
#[cfg(target_os = "linux")]
fn startup_id(window: &WebviewWindow, token: String) {
    use gtk::prelude::GtkWindowExt;
    let window = window.clone();
    let _ = window.clone().run_on_main_thread(move || {
        if let Ok(window) = window.gtk_window() {
            window.set_startup_id(&token);
        }
    });
}

#[cfg(not(target_os = "linux"))]
fn startup_id(_window: &WebviewWindow, _token: String) {}

/// Carries out an editing command where the cursor is: the toolkit's own items would need libxdo, and X11, on Linux.
#[cfg(target_os = "linux")]
pub fn edit(app: &AppHandle, command: &'static str) {
    use webkit2gtk::WebViewExt;
    if let Some(window) = app.get_webview_window(LABEL) {
        let _ = window.with_webview(move |view| view.inner().execute_editing_command(command));
    }
}

#[cfg(not(target_os = "linux"))]
pub fn edit(_app: &AppHandle, _command: &'static str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_goes_nowhere_else() {
        let may = |text: &str| is_our_own(&text.parse().unwrap());
        assert!(may("tauri://localhost/index.html"));
        for elsewhere in [
            "https://example.com/",
            "tauri://example.com/",
            "file:///etc/passwd",
            "data:text/html,x",
            "about:blank",
            "dev.larder.desktop:/callback",
        ] {
            assert!(!may(elsewhere), "{elsewhere}");
        }
    }
}
