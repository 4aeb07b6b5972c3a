//! The tray's icon and menu. Where there is no tray, the app works without.

use crate::folder::private;
use crate::language::Spoken;
use crate::link::{Link, Picture};
use crate::login;
use crate::menu;
use crate::moment::Zone;
use crate::toolkit::TrayMenu;
use larder_core::profile::Profile;
use larder_core::view::TrayState;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::PathBuf;
use tauri::image::Image;
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Wry, include_image};

/// The icon in the tray, and what it shows.
pub struct Tray {
    icon: TrayIcon<Wry>,
    state: TrayState,
    spoken: Spoken,
    menu: TrayMenu,
}

impl Tray {
    /// Puts the icon into the tray, with its menu: one without a menu cannot be seen on Linux.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub fn new(app: &AppHandle, link: &Link) -> Result<Self, String> {
        let (profile, picture, spoken) = (link.profile(), link.picture(), link.spoken());
        let state = picture.tray();
        let entries = menu::tray(&picture, &Zone::here(), login::state(profile), spoken);
        let build = || {
            let menu = TrayMenu::new(app, entries)?;
            let mut builder = TrayIconBuilder::with_id("larder").icon(image(state)).menu(menu.menu());
            builder = builder.tooltip(tooltip(state, spoken));
            if let Some(folder) = icons(profile) {
                builder = builder.temp_dir_path(folder);
            }
            builder.build(app).map(|icon| (icon, menu))
        };
        match quietly(build) {
            Ok(Ok((icon, menu))) => Ok(Self { icon, state, spoken, menu }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("libayatana-appindicator3 cannot be loaded".to_owned()),
        }
    }

    /// Shows how things stand now. Only what changed is touched.
    pub fn show(
        &mut self,
        app: &AppHandle,
        picture: &Picture,
        login: Option<bool>,
        spoken: Spoken,
    ) -> tauri::Result<()> {
        self.menu.show(app, menu::tray(picture, &Zone::here(), login, spoken))?;
        let state = picture.tray();
        if state != self.state {
            self.icon.set_icon(Some(image(state)))?;
        }
        if (state, spoken) != (self.state, self.spoken) {
            self.icon.set_tooltip(Some(tooltip(state, spoken)))?;
            (self.state, self.spoken) = (state, spoken);
        }
        Ok(())
    }
}

/// On Linux the tray's library is loaded when the first icon is made, and a missing one is a panic, not an error. It
/// comes back as one, and without its backtrace: nothing is wrong with the app.
fn quietly<T>(build: impl FnOnce() -> T) -> std::thread::Result<T> {
    let hook = take_hook();
    set_hook(Box::new(|_| {}));
    let built = catch_unwind(AssertUnwindSafe(build));
    set_hook(hook);
    built
}

fn image(state: TrayState) -> Image<'static> {
    match state {
        TrayState::Fresh => include_image!("icons/tray-fresh.png"),
        TrayState::Refreshing => include_image!("icons/tray-refreshing.png"),
        TrayState::Attention => include_image!("icons/tray-attention.png"),
    }
}

/// Shown on macOS and Windows; on Linux the first lines of the menu say it.
fn tooltip(state: TrayState, spoken: Spoken) -> String {
    spoken.text(match state {
        TrayState::Fresh => "tray.fresh",
        TrayState::Refreshing => "tray.refreshing",
        TrayState::Attention => "tray.attention",
    })
}

/// Where the toolkit writes the icon for the panel to read: the profile's own folder, so that two profiles do not
/// overwrite each other's.
fn icons(profile: &Profile) -> Option<PathBuf> {
    let folder = profile.run.join("tray");
    private(&folder).ok()?;
    Some(folder)
}
