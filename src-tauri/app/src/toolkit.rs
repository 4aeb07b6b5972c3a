//! Carries the menus' plain data over to the toolkit. Everything here runs on the main thread.

use crate::act::Act;
use crate::menu::{BAR, Entry, TRAY};
use tauri::menu::{CheckMenuItem, IsMenuItem, Menu, MenuItem, MenuItemKind, PredefinedMenuItem, Submenu};
use tauri::{AppHandle, Wry};

/// A menu of these entries, whose ids begin with `name`.
fn menu(app: &AppHandle, name: &str, entries: &[Entry]) -> tauri::Result<Menu<Wry>> {
    let menu = Menu::new(app)?;
    change(app, name, &menu, &[], entries)?;
    Ok(menu)
}

fn item(app: &AppHandle, name: &str, entry: &Entry) -> tauri::Result<Box<dyn IsMenuItem<Wry>>> {
    Ok(match entry {
        Entry::Line => Box::new(PredefinedMenuItem::separator(app)?),
        Entry::Sub { name: sub, text, entries } => {
            let sub = Submenu::with_id(app, sub_id(name, sub), text, !entries.is_empty())?;
            change(app, name, &sub, &[], entries)?;
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
        change(app, BAR, &self.bar, &self.entries, &entries)?;
        self.entries = entries;
        Ok(())
    }
}

/// The tray's menu on the screen.
pub struct TrayMenu {
    entries: Vec<Entry>,
    menu: Menu<Wry>,
}

impl TrayMenu {
    /// Makes the menu.
    pub fn new(app: &AppHandle, entries: Vec<Entry>) -> tauri::Result<Self> {
        Ok(Self { menu: menu(app, TRAY, &entries)?, entries })
    }

    /// What is given to the tray, once.
    pub fn menu(&self) -> &Menu<Wry> {
        &self.menu
    }

    /// Shows what changed.
    pub fn show(&mut self, app: &AppHandle, entries: Vec<Entry>) -> tauri::Result<()> {
        change(app, TRAY, &self.menu, &self.entries, &entries)?;
        self.entries = entries;
        Ok(())
    }
}

/// What items are in: a menu, or one within it.
trait Holder {
    fn items(&self) -> tauri::Result<Vec<MenuItemKind<Wry>>>;
    fn insert(&self, item: &dyn IsMenuItem<Wry>, at: usize) -> tauri::Result<()>;
    fn remove_at(&self, at: usize) -> tauri::Result<()>;
}

// Both have these by themselves, and no trait of the toolkit's says so.
macro_rules! holder {
    ($($menu:ty),*) => {$(
        impl Holder for $menu {
            fn items(&self) -> tauri::Result<Vec<MenuItemKind<Wry>>> {
                self.items()
            }

            fn insert(&self, item: &dyn IsMenuItem<Wry>, at: usize) -> tauri::Result<()> {
                self.insert(item, at)
            }

            fn remove_at(&self, at: usize) -> tauri::Result<()> {
                self.remove_at(at).map(drop)
            }
        }
    )*};
}
holder!(Menu<Wry>, Submenu<Wry>);

/// Makes a menu that shows `old` show `new`. An item that stays is not replaced: a click on one that goes while the
/// mouse is down is lost, and a menu that is replaced closes under the hand.
fn change(app: &AppHandle, name: &str, holder: &dyn Holder, old: &[Entry], new: &[Entry]) -> tauri::Result<()> {
    // The tray shows no new name of a menu in the menu.
    let stays = |(old, new): (&Entry, &Entry)| old.is_in_place_of(new) && (name != TRAY || !is_renamed(old, new));
    let above = old.iter().zip(new).take_while(|pair| stays(*pair)).count();
    let below = old[above..].iter().rev().zip(new[above..].iter().rev()).take_while(|pair| stays(*pair)).count();
    for _ in above..old.len() - below {
        holder.remove_at(above)?;
    }
    for (at, entry) in new.iter().enumerate().take(new.len() - below).skip(above) {
        holder.insert(item(app, name, entry)?.as_ref(), at)?;
    }
    let items = holder.items()?;
    let above = (0..above).map(|at| (at, at));
    for (before, now) in above.chain((1..=below).map(|back| (old.len() - back, new.len() - back))) {
        if let Some(item) = items.get(now) {
            show(app, name, item, &old[before], &new[now])?;
        }
    }
    Ok(())
}

fn is_renamed(old: &Entry, new: &Entry) -> bool {
    matches!((old, new), (Entry::Sub { text: before, .. }, Entry::Sub { text, .. }) if before != text)
}

/// Shows what changed of one item.
fn show(app: &AppHandle, name: &str, item: &MenuItemKind<Wry>, old: &Entry, new: &Entry) -> tauri::Result<()> {
    match (item, new) {
        // Whatever was drawn last: a click ticks an item by itself, whether or not what it asks for succeeds.
        (MenuItemKind::Check(item), Entry::Check { text, on, .. }) => {
            item.set_checked(*on)?;
            if old != new {
                item.set_text(text)?;
            }
        }
        _ if old == new => {}
        (MenuItemKind::Submenu(sub), Entry::Sub { text, entries, .. }) => {
            let Entry::Sub { text: before, entries: shown, .. } = old else { return Ok(()) };
            if before != text {
                sub.set_text(text)?;
                rename(app, before, text);
            }
            change(app, name, sub, shown, entries)?;
            sub.set_enabled(!entries.is_empty())?;
        }
        (MenuItemKind::MenuItem(item), Entry::Item { text, enabled, .. }) => {
            item.set_text(shown(text))?;
            item.set_enabled(*enabled)?;
        }
        (MenuItemKind::Predefined(item), Entry::Item { text, .. }) => item.set_text(text)?,
        _ => {}
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
