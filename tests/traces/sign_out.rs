//! A copy of the database from before a sign-out stays closed, whichever way the sign-out came. The command, the menu, the tray
//! and the window's page have their tests in `sign_out` and `desktop`.

use crate::desktop::signed_in;
use crate::sign_out::leaves_nothing_that_opens;
use crate::support::{Desktop, Session};
use serde_json::json;

const PASSPHRASE: &str = "correct horse battery\n";

#[track_caller]
fn wait_until_signed_out(session: &Session) {
    session.wait_for("the sign-out", || session.account("work")["state"] == "signed-out");
}

/// Opens the menu of the account's row.
fn open_menu(desktop: &Desktop) {
    let button = desktop.find("the menu's button", |seen| seen.name == "More for work");
    desktop.click(&button.role, &button.name);
}

#[test]
fn by_each_of_the_commands_words() {
    for words in [&["work", "--forget"][..], &["--all"], &["--all", "--forget"], &["work", "--here-only"]] {
        let (session, _provider) = Session::signed_in(600);
        leaves_nothing_that_opens(&session, || {
            session.larder(&[&["sign-out"], words].concat()).ok();
        });
    }
}

#[test]
fn while_the_provider_is_down() {
    let (session, provider) = Session::signed_in(600);
    drop(provider);
    leaves_nothing_that_opens(&session, || {
        session.larder(&["sign-out", "work"]).ok();
    });
}

#[test]
fn with_a_keychain_that_is_locked_until_it_opens_again() {
    let (session, _provider) = Session::signed_in(600);
    leaves_nothing_that_opens(&session, || {
        session.lock_keyring();
        session.larder(&["sign-out", "work"]).fails(6);
        session.unlock_keyring();
        session.larder(&["unlock"]).ok();
        wait_until_signed_out(&session);
    });
}

#[test]
fn with_a_locked_keychain_and_an_agent_that_is_killed_meanwhile() {
    let (session, _provider) = Session::signed_in(600);
    leaves_nothing_that_opens(&session, || {
        session.lock_keyring();
        session.larder(&["sign-out", "work"]).fails(6);
        session.kill_agent();
        session.unlock_keyring();
        wait_until_signed_out(&session);
    });
}

#[test]
fn finished_by_the_next_agent_after_a_crash_at_every_point() {
    // Before the mark nothing had begun, so nothing is finished.
    let points = ["mark-clearing.after", "clear.before", "clear.after", "delete-key.before", "delete-key.after"];
    for point in points.into_iter().chain(["close.before", "close.after"]) {
        let (session, _provider) = Session::signed_in(600);
        leaves_nothing_that_opens(&session, || {
            session.stop_agent();
            let agent = session.agent_that_ends_at(point);
            assert_ne!(session.larder(&["sign-out", "work", "--no-start"]).code, 0, "{point}");
            session.ended(agent);
            wait_until_signed_out(&session);
        });
    }
}

#[test]
fn sealed_or_locked() {
    for lock in [&["lock"][..], &["lock", "--seal"]] {
        let (session, _provider) = Session::signed_in(600);
        leaves_nothing_that_opens(&session, || {
            session.larder(lock).ok();
            session.larder(&["sign-out", "work"]).ok();
            session.larder(&["unlock"]).ok();
        });
    }
}

#[test]
fn while_a_refresh_is_with_the_provider() {
    let (session, provider) = Session::signed_in(600);
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1000 }));
    let before = provider.seen("/token").len();
    leaves_nothing_that_opens(&session, || {
        std::thread::scope(|scope| {
            let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
            session.wait_for("the refresh to be sent", || provider.seen("/token").len() > before);
            session.larder(&["sign-out", "work"]).ok();
            refresh.join().unwrap().fails(3);
        });
        session.wait_for("the late token's revocation", || provider.live_sessions() == 0);
    });
}

#[test]
fn when_the_session_had_ended_at_the_provider_before() {
    let (session, provider) = Session::signed_in(600);
    provider.revoke_user("ada");
    session.larder(&["refresh", "work"]).fails(3);
    leaves_nothing_that_opens(&session, || {
        session.larder(&["sign-out", "work"]).ok();
    });
}

#[test]
fn by_moving_to_another_machine() {
    let (session, _provider) = Session::signed_in(600);
    leaves_nothing_that_opens(&session, || {
        let path = session.home().join("moved.age").display().to_string();
        session.larder_reads(&["export", &path, "--all"], PASSPHRASE).ok();
        wait_until_signed_out(&session);
    });
}

#[test]
fn after_a_sign_in_that_took_the_place_of_the_copys() {
    let (session, _provider) = Session::signed_in(600);
    leaves_nothing_that_opens(&session, || {
        let id = session.account("work")["id"].clone();
        session.sign_in("work", "ada");
        assert_eq!((session.account("work")["id"].clone(), session.keychain_items()), (id, 1));
        session.larder(&["sign-out", "work"]).ok();
    });
}

#[test]
fn from_the_menu_of_the_windows_row() {
    let (desktop, provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    leaves_nothing_that_opens(&desktop.session, || {
        open_menu(&desktop);
        desktop.click("menu item", "Sign out");
        wait_until_signed_out(&desktop.session);
    });
    desktop.session.wait_for("the revocation", || provider.live_sessions() == 0);
}

#[test]
fn by_forgetting_in_the_window() {
    let (desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    leaves_nothing_that_opens(&desktop.session, || {
        open_menu(&desktop);
        desktop.click("menu item", "Sign out");
        wait_until_signed_out(&desktop.session);
        open_menu(&desktop);
        desktop.click("menu item", "Forget…");
        desktop.press("Forget");
        desktop.no_longer_reads("ada@example.com");
    });
}

#[test]
fn in_the_window_by_whoever_quits_before_the_time_to_take_it_back_is_over() {
    let (mut desktop, _provider) = signed_in(600, &[]);
    desktop.wait_for_window();
    leaves_nothing_that_opens(&desktop.session, || {
        open_menu(&desktop);
        desktop.click("menu item", "Sign out");
        desktop.session.wait_for("the click", || desktop.session.account("work")["state"] != "fresh");
        desktop.click_tray(&["Quit Larder completely"]);
        desktop.session.wait_for("the agent's end", || desktop.running("larder-agent").is_empty());
        wait_until_signed_out(&desktop.session);
    });
    assert_eq!(desktop.app_ended(), 0);
}
