//! The language is a setting, of the window and of all that stands around it.

use super::signed_in;

#[test]
fn window_menus_and_tray_speak_the_language_that_is_chosen_at_once() {
    let (mut desktop, provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    desktop.menu(&["Larder", "Settings…"]);
    desktop.reads("Start when you log in");
    desktop.click("radio button", "Deutsch");
    desktop.reads("Ohne Fenster starten");
    let labels = |desktop: &crate::support::Desktop| -> Vec<String> {
        desktop.tray().entries.iter().map(|entry| entry.label.clone()).collect()
    };
    desktop.wait_for_tray("German", |tray| tray.entry(&["Larder ganz beenden"]).is_some());
    let german = labels(&desktop);
    assert!(german[0].starts_with("work — frisch bis "), "{german:?}");
    assert_eq!(
        german[1..],
        [
            "Jetzt erneuern",
            "Anmelden…",
            "Abmelden",
            "Herausgabe sperren",
            "Larder öffnen",
            "Bei der Anmeldung starten",
            "Beenden",
            "Larder ganz beenden"
        ]
    );
    // The bar is the same one, and its keys still are what they were.
    desktop.menu(&["Ansicht", "Verlauf"]);
    desktop.reads("Im Verlauf suchen");
    desktop.keys(&["ctrl+comma"]);
    desktop.reads("Ohne Fenster starten");
    desktop.keys(&["ctrl+r"]);
    desktop.session.wait_for("the refresh", || provider.seen("/token").len() == 2);
    desktop.menu(&["Larder", "Abmelden", "work"]);
    desktop.wait_for_tray("the sign-out", |tray| tray.words("work") == Some("abgemeldet"));
    // It outlives the app.
    desktop.menu(&["Larder", "Beenden"]);
    assert_eq!(desktop.app_ended(), 0);
    desktop.start(&["--hidden"]);
    desktop.wait_for_tray("German", |tray| tray.entry(&["Larder öffnen"]).is_some());
}
