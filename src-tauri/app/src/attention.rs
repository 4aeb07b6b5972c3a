//! Sees to it that a person hears of what happened while nobody looked. What is told is decided in `notices.rs`.

use crate::folder::private;
use crate::link::lock;
use crate::notices::Notice;
use crate::notify;
use crate::shell::{self, Shell};
use crate::window::{self, Page};
use larder_core::preferences::Notify;
use larder_core::view::HouseView;
use std::time::{Duration, Instant};
use tauri::{AppHandle, Manager};

/// How long a window may take to come to the front, before it counts as one that may not.
const TO_THE_FRONT: Duration = Duration::from_millis(1500);

/// Beside the configuration: this profile's person knows that Larder goes on without its window.
const TOLD: &str = "told-background";

/// A redirect came; its window is being brought to the front.
pub fn redirect_came(app: &AppHandle) {
    lock(&app.state::<Shell>().notices).redirect_came(Instant::now());
}

/// The agent said how things stand. On the main thread.
pub fn see(app: &AppHandle, house: &HouseView) {
    notify::take_back(house);
    let shell = app.state::<Shell>();
    let mut notices = lock(&shell.notices);
    let before = notices.next();
    let signed_in = notices.see(house, Instant::now());
    let next = notices.next();
    let asks = notices.asks(house, shell.link.spoken());
    drop(notices);
    let told = shell.link.notify();
    if let Some(notice) = asks {
        // Only its person can go on, and a program waits.
        window::open(app, None, None);
        later(app, TO_THE_FRONT, move |app| {
            let house = app.state::<Shell>().link.shown();
            // It may be answered by now, or its window be seen.
            if !window::is_in_front(app) && house.is_some_and(|house| !notice.is_over(&house)) {
                window::call(app);
                if wanted(&notice, told) {
                    notify::show(app, notice, |_| {});
                }
            }
        });
    }
    if let Some(next) = next.filter(|next| before != Some(*next)) {
        later(app, next.saturating_duration_since(Instant::now()), |app| {
            let shell = app.state::<Shell>();
            let told = shell.link.notify();
            for notice in lock(&shell.notices).due(Instant::now()) {
                if wanted(&notice, told) {
                    notify::show(app, notice, |_| {});
                }
            }
        });
    }
    if let Some(notice) = signed_in {
        later(app, TO_THE_FRONT, move |app| {
            // Whoever sees the window sees the new row.
            if !window::is_in_front(app) {
                notify::show(app, notice, |_| {});
            }
        });
    }
}

/// The window was closed. On the main thread. Once a profile, its person hears that Larder goes on, where no tray shows it.
pub fn closed(app: &AppHandle) {
    let shell = app.state::<Shell>();
    let told = shell.link.profile().config.join(TOLD);
    if shell.link.is_leaving() || !shell.has_tray() || told.exists() {
        return;
    }
    let app = app.clone();
    notify::tray_host(move |hosted| {
        if hosted {
            return;
        }
        notify::show(&app, Notice::Background, move |shown| {
            if !shown {
                return;
            }
            let written = told.parent().map_or(Ok(()), private).and_then(|()| std::fs::write(&told, ""));
            if let Err(error) = written {
                crate::say::say(&format!("{} cannot be written: {error}", told.display()));
            }
        });
    });
}

/// A notification was clicked; `token` is what the desktop gave to bring a window to the front (Wayland).
pub fn clicked(app: &AppHandle, notice: &Notice, token: Option<String>) {
    match notice {
        Notice::SignIn(accounts) => match accounts.as_slice() {
            [one] => shell::account_line(app, one.id.clone()),
            _ => window::open(app, Some(Page::Accounts), token),
        },
        // Over whatever page it shows.
        Notice::Asks { .. } => window::open(app, None, token),
        Notice::Recovered(_) | Notice::SignedIn { .. } | Notice::Background => {
            window::open(app, Some(Page::Accounts), token);
        }
    }
}

/// Whether its person wants to be told of it.
fn wanted(notice: &Notice, told: Notify) -> bool {
    match notice {
        Notice::SignIn(_) => told.sign_in,
        Notice::Recovered(_) => told.recovered,
        Notice::Asks { .. } => told.asks,
        Notice::SignedIn { .. } | Notice::Background => true,
    }
}

/// Does something on the main thread, later.
fn later(app: &AppHandle, pause: Duration, act: impl FnOnce(&AppHandle) + Send + 'static) {
    let app = app.clone();
    std::thread::spawn(move || {
        std::thread::sleep(pause);
        let main = app.clone();
        // Fails only when the app is ending.
        let _ = app.run_on_main_thread(move || act(&main));
    });
}
