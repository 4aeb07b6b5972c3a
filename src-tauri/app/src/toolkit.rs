//! Carries the menus' plain data over to the toolkit. Everything here runs on the main thread.

use crate::act::Act;
use crate::menu::{BAR, Entry};
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
        Entry::Sub { name: sub, text, entries } => {
            let sub = Submenu::with_id(app, sub_id(name, sub), text, !entries.is_empty())?;
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

fn sub_id(name: &str, sub: &str) -> String {
    format!("{name}/menu/{sub}")
}

/// The window's menu bar on the screen.
pub struct Bar {
    entries: Vec<Entry>,
    bar: Menu<Wry>,
}

impl Bar {
    /// Puts the bar up, for the window that is open and those that come.
    pub fn new(app: &AppHandle, entries: Vec<Entry>) -> tauri::Result<Self> {
        let bar = menu(app, BAR, &entries)?;
        app.set_menu(bar.clone())?;
        Ok(Self { entries, bar })
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
            let Entry::Sub { name, entries, .. } = sub else { continue };
            let found = self.bar.get(&sub_id(BAR, name));
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
        for (old, new) in self.entries.iter().zip(&entries) {
            let (Entry::Sub { name, text, entries }, Entry::Sub { text: before, entries: shown, .. }) = (new, old)
            else {
                continue;
            };
            let found = self.bar.get(&sub_id(BAR, name));
            let Some(menu) = found.as_ref().and_then(MenuItemKind::as_submenu) else { continue };
            if text != before {
                menu.set_text(text)?;
                rename(app, before, text);
            }
            for (old, new) in shown.iter().zip(entries) {
                show_entry(app, menu, old, new)?;
            }
        }
        self.entries = entries;
        Ok(())
    }
}

/// Shows what changed of one entry in this menu of the bar.
fn show_entry(app: &AppHandle, menu: &Submenu<Wry>, old: &Entry, new: &Entry) -> tauri::Result<()> {
    match new {
        // Whatever was drawn last: a click ticks an item by itself, whether or not what it asks for succeeds.
        Entry::Check { text, act, on } => {
            if let Some(item) = menu.get(&act.id(BAR)).as_ref().and_then(MenuItemKind::as_check_menuitem) {
                item.set_checked(*on)?;
                if old != new {
                    item.set_text(text)?;
                }
            }
        }
        _ if old == new => {}
        Entry::Sub { name, text, entries } => {
            let found = menu.get(&sub_id(BAR, name));
            if let Some(sub) = found.as_ref().and_then(MenuItemKind::as_submenu) {
                if let Entry::Sub { text: before, .. } = old
                    && before != text
                {
                    sub.set_text(text)?;
                    rename(app, before, text);
                }
                for old in sub.items()? {
                    sub.remove(&old)?;
                }
                fill(app, BAR, sub, entries)?;
                sub.set_enabled(!entries.is_empty())?;
            }
        }
        Entry::Item { text, act: Some(act), enabled, .. } => match menu.get(&act.id(BAR)) {
            Some(MenuItemKind::MenuItem(item)) => {
                item.set_text(shown(text))?;
                item.set_enabled(*enabled)?;
            }
            Some(MenuItemKind::Predefined(item)) => item.set_text(text)?,
            _ => {}
        },
        Entry::Item { .. } | Entry::Line => {}
    }
    Ok(())
}

/// The toolkit draws the name of a menu in a box of its own, and does not find it there when it changes. A bar that is put up
/// later, in the next window, has the new one.
#[cfg(target_os = "linux")]
fn rename(app: &AppHandle, before: &str, now: &str) {
    use gtk::prelude::{Cast, ContainerExt};
    use tauri::Manager;
    let window = app.get_webview_window(crate::window::LABEL);
    let Some(Ok(vbox)) = window.map(|window| window.default_vbox()) else { return };
    for bar in vbox.children().iter().filter_map(|child| child.downcast_ref::<gtk::MenuBar>()) {
        rename_in(&bar.children(), before, now);
    }
}

#[cfg(target_os = "linux")]
fn rename_in(entries: &[gtk::Widget], before: &str, now: &str) {
    use gtk::prelude::{BinExt, Cast, ContainerExt, GtkMenuItemExt, LabelExt};
    for entry in entries.iter().filter_map(|entry| entry.downcast_ref::<gtk::MenuItem>()) {
        let boxed = entry.child().and_then(|child| child.downcast::<gtk::Box>().ok());
        let labels = boxed.map(|boxed| boxed.children()).unwrap_or_default();
        for label in labels.iter().filter_map(|child| child.downcast_ref::<gtk::Label>()) {
            if label.text() == before {
                label.set_label(now);
            }
        }
        if let Some(menu) = entry.submenu().and_then(|menu| menu.downcast::<gtk::Menu>().ok()) {
            rename_in(&menu.children(), before, now);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn rename(_app: &AppHandle, _before: &str, _now: &str) {}

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
