//! What the tray says of refreshes, and that they need no app.

use super::signed_in;
use serde_json::json;

#[test]
fn refreshes_show_in_the_tray_while_no_window_is_open_and_a_session_that_ended_asks_for_its_person() {
    let (desktop, provider) = signed_in(8, &[]);
    desktop.wait_for_window();
    desktop.close_window();
    // Held in flight, so that a person could see it.
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 700 }));
    let mut at = desktop.tray_history().len() - 1;
    for _ in 0..2 {
        let (refreshing, tray) = desktop.wait_for_tray_since(at, "a refresh", |tray| tray.shows("refreshing"));
        assert_eq!(tray.words("work"), Some("refreshing"));
        let (fresh, tray) = desktop.wait_for_tray_since(refreshing, "its end", |tray| tray.shows("fresh"));
        assert!(tray.words("work").is_some_and(|words| words.starts_with("fresh until ")), "{tray:?}");
        at = fresh;
    }
    assert_eq!(desktop.window(), None);
    provider.revoke_user("ada");
    let (_, tray) = desktop.wait_for_tray_since(at, "that somebody should look", |tray| tray.shows("attention"));
    assert_eq!(tray.words("work"), Some("sign in again…"));
    // The line itself signs in again.
    desktop.click_tray(&["work — sign in again…"]);
    let tray = desktop.wait_for_tray("a fresh account", |tray| tray.shows("fresh"));
    assert!(tray.words("work").is_some_and(|words| words.starts_with("fresh until ")), "{tray:?}");
}

#[test]
fn tokens_are_refreshed_on_after_the_app_was_killed() {
    let (mut desktop, provider) = signed_in(5, &[]);
    desktop.wait_for_window();
    let agent = desktop.session.agent_pid();
    desktop.kill_app();
    let events = desktop.session.events();
    events.wait("refreshed");
    events.wait("refreshed");
    let (status, _) = provider.userinfo(&desktop.session.larder(&["token", "work"]).ok());
    assert_eq!(status, 200);
    assert_eq!(desktop.session.agent_pid(), agent);
    // Another app finds all as it is.
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("ada@example.com");
}
