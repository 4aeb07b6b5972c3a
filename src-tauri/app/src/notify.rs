//! Puts notices on the screen: org.freedesktop.Notifications (Desktop Notifications Specification 1.3) over the session
//! bus, by GLib, which every GTK program has at hand. Elsewhere nothing is shown yet: window and tray say it all.
//! Everything here runs on the main thread.

#[cfg(target_os = "linux")]
pub use linux::{show, take_back, tray_host};

/// Shows nothing.
#[cfg(not(target_os = "linux"))]
pub fn show(_app: &tauri::AppHandle, _notice: crate::notices::Notice, then: impl FnOnce(bool) + 'static) {
    then(false);
}

/// There is nothing to take back.
#[cfg(not(target_os = "linux"))]
pub fn take_back(_house: &larder_core::view::HouseView) {}

/// These systems always have one.
#[cfg(not(target_os = "linux"))]
pub fn tray_host(then: impl FnOnce(bool) + 'static) {
    then(true);
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::attention;
    use crate::language::Spoken;
    use crate::notices::Notice;
    use crate::say::say;
    use crate::shell::Shell;
    use gtk::gio::prelude::*;
    use gtk::gio::{BusType, Cancellable, DBusCallFlags, DBusConnection, DBusSignalFlags, bus_get_sync};
    use gtk::glib::{Error, Variant, VariantTy};
    use larder_core::view::HouseView;
    use std::cell::RefCell;
    use std::collections::HashMap;
    use tauri::{AppHandle, Manager};

    const NAME: &str = "org.freedesktop.Notifications";
    const PATH: &str = "/org/freedesktop/Notifications";

    /// The key of what a click on the notification itself does.
    const DEFAULT: &str = "default";
    /// The key of its button.
    const BUTTON: &str = "button";

    /// What stands on the screen, by the desktop's number for it.
    struct Shown {
        id: u32,
        notice: Notice,
        /// Given just before a click is told of (Wayland).
        token: Option<String>,
    }

    thread_local! {
        static SHOWN: RefCell<Vec<Shown>> = const { RefCell::new(Vec::new()) };
        static BUS: RefCell<Option<DBusConnection>> = const { RefCell::new(None) };
    }

    /// Shows a notice, and then says whether the desktop took it.
    pub fn show(app: &AppHandle, notice: Notice, then: impl FnOnce(bool) + 'static) {
        let bus = match bus(app) {
            Ok(bus) => bus,
            Err(error) => {
                missing(&error);
                return then(false);
            }
        };
        let spoken = app.state::<Shell>().link.spoken();
        // Asked each time: notices are rare, and the desktop's program for them may have been replaced.
        call(&bus.clone(), "GetCapabilities", None, move |answer| {
            let found = answer.ok().and_then(|answer| answer.get::<(Vec<String>,)>());
            let capabilities = found.map(|(list,)| list).unwrap_or_default();
            let can = |what: &str| capabilities.iter().any(|capability| capability == what);
            let parameters = parameters(&notice, spoken, can("body-markup"), can("actions"));
            call(&bus, "Notify", Some(&parameters), move |answer| {
                let id = answer.map(|answer| answer.get::<(u32,)>());
                match id {
                    Ok(Some((id,))) => SHOWN.with_borrow_mut(|shown| shown.push(Shown { id, notice, token: None })),
                    Ok(None) => return then(false),
                    Err(error) => {
                        missing(&error);
                        return then(false);
                    }
                }
                then(true);
            });
        });
    }

    fn parameters(notice: &Notice, spoken: Spoken, markup: bool, actions: bool) -> Variant {
        let words = notice.words(spoken);
        let body = if markup { escaped(&words.body) } else { words.body };
        let mut buttons = Vec::new();
        if actions {
            buttons.extend([DEFAULT.to_owned(), words.button.clone().unwrap_or_else(|| spoken.text("menu.open"))]);
            buttons.extend(words.button.into_iter().flat_map(|button| [BUTTON.to_owned(), button]));
        }
        let mut hints = HashMap::from([
            ("desktop-entry".to_owned(), "Larder".to_variant()),
            ("urgency".to_owned(), u8::from(!words.passing).to_variant()),
        ]);
        if words.passing {
            hints.insert("transient".to_owned(), true.to_variant());
        }
        ("Larder", 0u32, "larder-desktop", words.title, body, buttons, hints, -1i32).to_variant()
    }

    /// A label is a person's own; where a body may hold markup, it must not become any.
    fn escaped(text: &str) -> String {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    }

    /// Takes back what asks for something that was done meanwhile.
    pub fn take_back(house: &HouseView) {
        let over: Vec<u32> = SHOWN.with_borrow(|shown| {
            shown.iter().filter(|shown| shown.notice.is_over(house)).map(|shown| shown.id).collect()
        });
        let Some(bus) = BUS.with_borrow(Clone::clone).filter(|_| !over.is_empty()) else { return };
        for id in over {
            forget(id);
            call(&bus, "CloseNotification", Some(&(id,).to_variant()), |_| {});
        }
    }

    /// Whether a panel shows tray icons: a program that holds them may run without anything that shows them.
    pub fn tray_host(then: impl FnOnce(bool) + 'static) {
        let Ok(bus) = bus_get_sync(BusType::Session, None::<&Cancellable>) else { return then(false) };
        let watcher = "org.kde.StatusNotifierWatcher";
        bus.call(
            Some(watcher),
            "/StatusNotifierWatcher",
            "org.freedesktop.DBus.Properties",
            "Get",
            Some(&(watcher, "IsStatusNotifierHostRegistered").to_variant()),
            None,
            DBusCallFlags::NO_AUTO_START,
            -1,
            None::<&Cancellable>,
            move |answer| {
                let value = answer.ok().and_then(|answer| answer.get::<(Variant,)>());
                then(value.and_then(|(value,)| value.get::<bool>()).unwrap_or(false));
            },
        );
    }

    /// The session bus; the first time, what is clicked is listened for from then on.
    fn bus(app: &AppHandle) -> Result<DBusConnection, Error> {
        if let Some(bus) = BUS.with_borrow(Clone::clone) {
            return Ok(bus);
        }
        let bus = bus_get_sync(BusType::Session, None::<&Cancellable>)?;
        let app = app.clone();
        bus.signal_subscribe(
            Some(NAME),
            Some(NAME),
            None,
            Some(PATH),
            None,
            DBusSignalFlags::NONE,
            move |_, _, _, _, signal, parameters| hear(&app, signal, parameters),
        );
        BUS.set(Some(bus.clone()));
        Ok(bus)
    }

    fn hear(app: &AppHandle, signal: &str, parameters: &Variant) {
        match signal {
            "ActivationToken" => {
                let Some((id, token)) = parameters.get::<(u32, String)>() else { return };
                SHOWN.with_borrow_mut(|shown| {
                    if let Some(shown) = shown.iter_mut().find(|shown| shown.id == id) {
                        shown.token = Some(token);
                    }
                });
            }
            "ActionInvoked" => {
                let Some((id, key)) = parameters.get::<(u32, String)>() else { return };
                // The numbers are the desktop's: others' notifications are told of as well.
                if let Some(shown) = forget(id).filter(|_| key == DEFAULT || key == BUTTON) {
                    attention::clicked(app, &shown.notice, shown.token);
                }
            }
            "NotificationClosed" => {
                if let Some((id, _reason)) = parameters.get::<(u32, u32)>() {
                    forget(id);
                }
            }
            _ => {}
        }
    }

    fn forget(id: u32) -> Option<Shown> {
        SHOWN.with_borrow_mut(|shown| {
            let at = shown.iter().position(|shown| shown.id == id)?;
            Some(shown.swap_remove(at))
        })
    }

    fn call(
        bus: &DBusConnection,
        method: &str,
        parameters: Option<&Variant>,
        then: impl FnOnce(Result<Variant, Error>) + 'static,
    ) {
        let (flags, time) = (DBusCallFlags::NONE, -1);
        bus.call(
            Some(NAME),
            PATH,
            NAME,
            method,
            parameters,
            None::<&VariantTy>,
            flags,
            time,
            None::<&Cancellable>,
            then,
        );
    }

    fn missing(error: &Error) {
        say(&format!("This desktop shows no notifications: {}", error.message()));
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::notices::Named;

        fn sign_in(labels: &[&str]) -> Notice {
            Notice::SignIn(
                labels.iter().map(|label| Named { id: (*label).into(), label: (*label).to_owned() }).collect(),
            )
        }

        #[test]
        fn what_is_sent_is_what_the_specification_names() {
            let sent = parameters(&sign_in(&["work"]), Spoken::English, true, true);
            assert_eq!(sent.type_().as_str(), "(susssasa{sv}i)");
            let buttons: Vec<String> = sent.child_value(5).get().unwrap();
            assert_eq!(buttons, ["default", "Sign in", "button", "Sign in"]);
            let none: Vec<String> =
                parameters(&Notice::Background, Spoken::English, true, false).child_value(5).get().unwrap();
            assert_eq!(none, [""; 0]);
        }

        #[test]
        fn a_label_becomes_no_markup() {
            let notice = sign_in(&["<b>a</b>", "b&c"]);
            let body = |markup| parameters(&notice, Spoken::English, markup, true).child_value(4).get::<String>();
            assert_eq!(body(true).unwrap(), "&lt;b&gt;a&lt;/b&gt;, b&amp;c");
            assert_eq!(body(false).unwrap(), "<b>a</b>, b&c");
        }
    }
}
