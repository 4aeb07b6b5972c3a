//! What holds the app together while it runs: keeps tray, menu bar and window in step with the agent, and carries
//! out what is clicked.

use crate::act::Act;
use crate::actions::{self, More, SignOut};
use crate::attention;
use crate::consent;
use crate::link::{Link, News, lock};
use crate::login;
use crate::menu;
use crate::notices::Notices;
use crate::say::say;
use crate::scheme;
use crate::toolkit::Bar;
use crate::tray::Tray;
use crate::window::{self, Opening, Page};
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::view::AccountState;
use std::sync::{Arc, Mutex, Once};
use tauri::{AppHandle, Emitter, Manager};

/// The state that the app's parts share.
pub struct Shell {
    /// The agent.
    pub link: Arc<Link>,
    /// How far the window is.
    pub opening: Mutex<Opening>,
    /// Held while a window is opened.
    pub turn: Mutex<()>,
    /// What was told by notification, and what is to be.
    pub notices: Mutex<Notices>,
    tray: Mutex<Option<Tray>>,
    bar: Mutex<Option<Bar>>,
}

impl Shell {
    /// With nothing on the screen yet.
    pub fn new(link: Arc<Link>) -> Self {
        Self {
            link,
            opening: Mutex::default(),
            turn: Mutex::default(),
            notices: Mutex::default(),
            tray: Mutex::default(),
            bar: Mutex::default(),
        }
    }

    /// Whether the app can be reached without its window.
    pub fn has_tray(&self) -> bool {
        lock(&self.tray).is_some()
    }
}

/// Puts up the menu bar, and follows the agent from now on. On the main thread.
pub fn set_up(app: &AppHandle) -> tauri::Result<()> {
    let shell = app.state::<Shell>();
    show(app)?;
    let handle = app.clone();
    shell.link.listen(move |news| hear(&handle, news));
    Ok(())
}

/// Puts up the tray and registers the links, the first time that it is called: when the first window shows, which either
/// would keep waiting, or at once where none will.
pub fn beside(app: &AppHandle) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let handle = app.clone();
        // Fails only when the app is ending.
        let _ = app.run_on_main_thread(move || {
            let shell = handle.state::<Shell>();
            match Tray::new(&handle, &shell.link) {
                Ok(tray) => *lock(&shell.tray) = Some(tray),
                Err(why) => say(&format!("Larder runs without a tray icon: {why}. Closing the window ends it.")),
            }
        });
        scheme::at_start(app);
    });
}

fn hear(app: &AppHandle, news: News) {
    match news {
        News::Picture => {
            let handle = app.clone();
            // Fails only when the app is ending.
            let _ = app.run_on_main_thread(move || {
                if let Err(error) = show(&handle) {
                    say(&format!("Larder's tray or menu cannot be drawn: {error}"));
                }
            });
            if let Some(house) = app.state::<Shell>().link.shown() {
                let _ = app.emit("house", house);
            }
        }
        News::ShowWindow(activation_token) => {
            attention::redirect_came(app);
            window::open(app, None, activation_token);
        }
        News::Replaced => quit(app),
    }
}

/// Draws tray and menu bar as things stand. On the main thread.
fn show(app: &AppHandle) -> tauri::Result<()> {
    let shell = app.state::<Shell>();
    let picture = shell.link.picture();
    if let Some(house) = picture.house() {
        attention::see(app, house);
    }
    let login = login::state(shell.link.profile());
    let spoken = shell.link.spoken();
    if let Some(tray) = lock(&shell.tray).as_mut() {
        tray.show(app, &picture, login, spoken)?;
    }
    let entries = menu::bar(&picture, login, spoken);
    let mut bar = lock(&shell.bar);
    match bar.as_mut() {
        Some(bar) => bar.show(app, entries),
        None => {
            *bar = Some(Bar::new(app, entries)?);
            Ok(())
        }
    }
}

/// The window is about to close. On the main thread.
#[cfg(target_os = "linux")]
pub fn closing(window: &tauri::Window) {
    if let Some(bar) = lock(&window.state::<Shell>().bar).as_ref()
        && let Err(error) = bar.leave(window)
    {
        say(&format!("Larder's menu cannot be taken down: {error}"));
    }
}

/// Carries out a click in either menu.
pub fn click(app: &AppHandle, id: &str) {
    match Act::of(id) {
        Some(Act::Account(account)) => account_line(app, account),
        Some(Act::SignOut(account)) => {
            ask(app, move |link| actions::sign_out(link, account, SignOut::AtOnce));
        }
        Some(Act::RefreshAll) => ask(app, actions::refresh_all),
        Some(Act::Unlock) => ask(app, actions::unlock),
        Some(Act::SignIn) => window::open(app, Some(Page::SignIn), None),
        Some(Act::Open) => window::open(app, None, None),
        Some(Act::Accounts) => window::open(app, Some(Page::Accounts), None),
        Some(Act::Lock) => ask(app, consent::lock),
        Some(Act::Programs) => window::open(app, Some(Page::Programs), None),
        Some(Act::Activity) => window::open(app, Some(Page::Activity), None),
        Some(Act::Settings) => window::open(app, Some(Page::Settings), None),
        Some(Act::StartAtLogin) => start_at_login(app),
        Some(Act::Edit(command)) => window::edit(app, command),
        Some(Act::Quit) => quit(app),
        Some(Act::QuitCompletely) => {
            let app = app.clone();
            std::thread::spawn(move || {
                // The person wants it to end. An agent that does not make way says why, and goes on by itself.
                if let Err(problem) = actions::stop_agent(&app.state::<Shell>().link) {
                    say(&larder_core::words::sentence(&problem));
                }
                app.exit(0);
            });
        }
        None => {}
    }
}

fn quit(app: &AppHandle) {
    app.state::<Shell>().link.leave();
    app.exit(0);
}

/// An account's own line: what it asks for, if it asks for its person; else the window has the rest.
pub fn account_line(app: &AppHandle, account: AccountId) {
    let picture = app.state::<Shell>().link.picture();
    let found = picture.house().and_then(|house| house.accounts.iter().find(|known| known.id == account));
    match found {
        Some(known) if known.state == AccountState::SignInAgain => {
            let provider = known.provider.clone();
            ask(app, move |link| actions::sign_in(link, provider, Some(account), None, More::default()).map(drop));
        }
        _ => window::open(app, Some(Page::Accounts), None),
    }
}

/// Asks off the main thread. What fails after a click in a menu is shown in the window: a menu cannot say it.
fn ask(app: &AppHandle, act: impl FnOnce(&Link) -> Result<(), Problem> + Send + 'static) {
    let app = app.clone();
    std::thread::spawn(move || {
        let link = &app.state::<Shell>().link;
        if let Err(problem) = act(link) {
            link.notice(Some(problem));
            window::open(&app, None, None);
        }
    });
}

fn start_at_login(app: &AppHandle) {
    let on = login::state(app.state::<Shell>().link.profile()) == Some(true);
    ask(app, move |link| {
        let changed = login::set(!on, login::hidden());
        // Drawn as it stands now, whether or not that succeeded.
        link.tell(News::Picture);
        changed
    });
}
