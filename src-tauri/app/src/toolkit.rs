//! Carries the menus' plain data over to the toolkit. Everything here runs on the main thread.

use crate::act::Act;
use crate::menu::{BAR, Entry, LARDER};
use tauri::menu::{CheckMenuItem, IsMenuItem, Menu, MenuItem, MenuItemKind, PredefinedMenuItem, Submenu};
use tauri::{AppHandle, Wry};

/// A menu of these entries, whose ids begin with `name`.
pub fn menu(app: &AppHandle, name: &str, entries: &[Entry]) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    for entry in entries {
        menu.append(item(app, name, entry)?.as_ref())?;
    }
    Ok(menu)
}

fn item(app: &AppHandle, name: &str, entry: &Entry) -> tauri::Result<Box<dyn IsMenuItem<Wry>>> {
    Ok(match entry {
        Entry::Line => Box::new(PredefinedMenuItem::separator(app)?),
        Entry::Sub { text, entries } => {
            let sub = Submenu::with_id(app, sub_id(name, text), text, !entries.is_empty())?;
            fill(app, name, &sub, entries)?;
            Box::new(sub)
        }
        Entry::Item { text, act: Some(Act::Edit(command)), .. } if !cfg!(target_os = "linux") => {
            Box::new(predefined(app, text, command)?)
        }
        Entry::Item { text, act: Some(act), enabled, key } => {
            Box::new(MenuItem::with_id(app, act.id(name), shown(text), *enabled, *key)?)
        }
        Entry::Check { text, act, on } => {
            Box::new(CheckMenuItem::with_id(app, act.id(name), text, true, *on, None::<&str>)?)
        }
        Entry::Item { text, act: None, key, .. } => Box::new(MenuItem::new(app, shown(text), false, *key)?),
    })
}

fn fill(app: &AppHandle, name: &str, sub: &Submenu<Wry>, entries: &[Entry]) -> tauri::Result<()> {
    for entry in entries {
        sub.append(item(app, name, entry)?.as_ref())?;
    }
    Ok(())
}

fn sub_id(name: &str, text: &str) -> String {
    format!("{name}/menu/{text}")
}

/// The window's menu bar on the screen.
pub struct Bar {
    entries: Vec<Entry>,
    #[cfg(target_os = "linux")]
    bar: Menu<Wry>,
    larder: Submenu<Wry>,
}

impl Bar {
    /// Puts the bar up, for the window that is open and those that come.
    pub fn new(app: &AppHandle, entries: Vec<Entry>) -> tauri::Result<Self> {
        let bar = menu(app, BAR, &entries)?;
        let found = bar.get(&sub_id(BAR, LARDER)).and_then(|kind| kind.as_submenu().cloned());
        let larder = found.ok_or_else(|| tauri::Error::AssetNotFound(LARDER.to_owned()))?;
        app.set_menu(bar.clone())?;
        Ok(Self {
            entries,
            #[cfg(target_os = "linux")]
            bar,
            larder,
        })
    }

    /// Leaves a window that is about to close. The toolkit knows a bar by its window's address, which the next window
    /// may get: left behind, it would keep the bar from the next one. Its keys go first, because the toolkit takes them
    /// off items that have left their menu already, and complains to the terminal.
    #[cfg(target_os = "linux")]
    pub fn leave(&self, window: &tauri::Window) -> tauri::Result<()> {
        self.keys(false)?;
        window.remove_menu()?;
        self.keys(true)
    }

    /// Gives the items their keys, or takes them away.
    #[cfg(target_os = "linux")]
    fn keys(&self, given: bool) -> tauri::Result<()> {
        for sub in &self.entries {
            let Entry::Sub { text, entries } = sub else { continue };
            let found = self.bar.get(&sub_id(BAR, text));
            let Some(menu) = found.as_ref().and_then(MenuItemKind::as_submenu) else { continue };
            for entry in entries {
                if let Entry::Item { act: Some(act), key: Some(key), .. } = entry
                    && let Some(item) = menu.get(&act.id(BAR)).as_ref().and_then(MenuItemKind::as_menuitem)
                {
                    item.set_accelerator(given.then_some(*key))?;
                }
            }
        }
        Ok(())
    }

    /// Shows what changed: see [`crate::menu::bar`].
    pub fn show(&mut self, app: &AppHandle, entries: Vec<Entry>) -> tauri::Result<()> {
        let Some(Entry::Sub { entries: larder, .. }) = entries.first() else { return Ok(()) };
        // Whatever was drawn last: a click ticks an item by itself, whether or not what it asks for succeeds.
        for entry in larder {
            if let Entry::Check { act, on, .. } = entry
                && let Some(item) = self.larder.get(&act.id(BAR)).as_ref().and_then(MenuItemKind::as_check_menuitem)
            {
                item.set_checked(*on)?;
            }
        }
        if entries == self.entries {
            return Ok(());
        }
        for entry in larder {
            match entry {
                Entry::Sub { text, entries } => {
                    let found = self.larder.get(&sub_id(BAR, text));
                    if let Some(sub) = found.as_ref().and_then(MenuItemKind::as_submenu) {
                        for old in sub.items()? {
                            sub.remove(&old)?;
                        }
                        fill(app, BAR, sub, entries)?;
                        sub.set_enabled(!entries.is_empty())?;
                    }
                }
                Entry::Item { act: Some(act), enabled, .. } => {
                    let found = self.larder.get(&act.id(BAR));
                    if let Some(item) = found.as_ref().and_then(MenuItemKind::as_menuitem) {
                        item.set_enabled(*enabled)?;
                    }
                }
                Entry::Check { .. } | Entry::Item { .. } | Entry::Line => {}
            }
        }
        self.entries = entries;
        Ok(())
    }
}

/// The system's own item: there it finds by itself where the cursor is. (On Linux it would need libxdo and X11.)
fn predefined(app: &AppHandle, text: &str, command: &str) -> tauri::Result<PredefinedMenuItem<Wry>> {
    match command {
        "Cut" => PredefinedMenuItem::cut(app, Some(text)),
        "Copy" => PredefinedMenuItem::copy(app, Some(text)),
        "Paste" => PredefinedMenuItem::paste(app, Some(text)),
        _ => PredefinedMenuItem::select_all(app, Some(text)),
    }
}

/// A label of a person's own may hold `&`, which would underline the letter after it.
fn shown(text: &str) -> String {
    text.replace('&', "&&")
}
