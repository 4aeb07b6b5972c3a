//! Follows the desktop's choice of light or dark (org.freedesktop.portal.Settings, `color-scheme`), which GTK 3 does not
//! by itself. By GLib on the main thread, which sleeps until there is news: the toolkit's own way is a thread that wakes up
//! every five seconds and a question that keeps a window waiting.

use crate::say::say;
use gtk::gio::prelude::*;
use gtk::gio::{BusType, Cancellable, DBusCallFlags, DBusSignalFlags, bus_get};
use gtk::glib::{Variant, VariantTy};
use gtk::prelude::GtkSettingsExt;

const PORTAL: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const SETTINGS: &str = "org.freedesktop.portal.Settings";
const SETTING: (&str, &str) = ("org.freedesktop.appearance", "color-scheme");

/// Takes on the desktop's choice, now and whenever it changes. Where nobody tells, GTK's own setting stays.
pub fn follow() {
    bus_get(BusType::Session, None::<&Cancellable>, |bus| {
        let bus = match bus {
            Ok(bus) => bus,
            Err(error) => return say(&format!("The desktop's light or dark is not followed: {}", error.message())),
        };
        bus.signal_subscribe(
            Some(PORTAL),
            Some(SETTINGS),
            Some("SettingChanged"),
            Some(PATH),
            Some(SETTING.0),
            DBusSignalFlags::NONE,
            |_, _, _, _, _, parameters| {
                if let Some((_, name, value)) = parameters.get::<(String, String, Variant)>()
                    && name == SETTING.1
                {
                    take_on(&value);
                }
            },
        );
        bus.call(
            Some(PORTAL),
            PATH,
            SETTINGS,
            "Read",
            Some(&SETTING.to_variant()),
            None::<&VariantTy>,
            DBusCallFlags::NONE,
            -1,
            None::<&Cancellable>,
            |answer| {
                // Many desktops have no such portal: nothing to tell anybody.
                if let Some((value,)) = answer.ok().and_then(|answer| answer.get::<(Variant,)>()) {
                    take_on(&value);
                }
            },
        );
    });
}

fn take_on(value: &Variant) {
    if let (Some(dark), Some(settings)) = (dark(value), gtk::Settings::default()) {
        settings.set_gtk_application_prefer_dark_theme(dark);
    }
}

/// The portal's 1 is dark, 2 is light, and 0 no preference. `Read` wraps the value once more.
fn dark(value: &Variant) -> Option<bool> {
    if value.type_() == VariantTy::VARIANT {
        return value.as_variant().and_then(|inner| dark(&inner));
    }
    match value.get::<u32>() {
        Some(1) => Some(true),
        Some(2) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_followed_and_none_changes_nothing() {
        for (value, expected) in [(0u32, None), (1, Some(true)), (2, Some(false)), (7, None)] {
            let value = value.to_variant();
            assert_eq!(dark(&value), expected);
            assert_eq!(dark(&Variant::from_variant(&value)), expected, "wrapped, as `Read` answers");
        }
        assert_eq!(dark(&"dark".to_variant()), None);
    }
}
