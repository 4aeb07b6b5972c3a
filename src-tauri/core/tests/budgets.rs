//! What one client may ask of one issuer: four refreshes at once, none during a pause, none while nothing is to start.

mod common;

use common::*;
use larder_core::account::{Account, Event, Identity};
use larder_core::effect::{Arrival, Trouble};
use larder_core::house::{HouseEvent, MOST_AT_ONCE};
use larder_core::problem::Problem;
use larder_core::time::Now;
use larder_core::view::KeychainState;

fn all(home: &mut Home, event: &Event) {
    for id in home.house.accounts.iter().map(|account| account.id.0.clone()).collect::<Vec<_>>() {
        home.to(&id, event.clone());
    }
}

/// Twenty accounts of one client whose refreshes wait for the keychain.
fn locked() -> Home {
    let mut home = Home::with_many(20);
    home.happen(HouseEvent::Keychain(KeychainState::Locked));
    home.now = later(home.now, HOUR);
    home.tick();
    while let Some(next) = home.pending.first().map(|pending| pending.account.0.clone()) {
        home.arrive(&next, Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    }
    home
}

#[test]
fn the_budget_is_each_clients_own() {
    let of = |name: &str, client: &str| {
        let account = account(name);
        Account { identity: Identity { client_id: client.to_owned(), ..account.identity.clone() }, ..account }
    };
    let accounts = (0..20).map(|n| of(&n.to_string(), if n % 2 == 0 { "mine" } else { "yours" })).collect();
    let mut home = Home::with(accounts);
    home.pass(HOUR);
    assert_eq!(home.under_way(), 2 * MOST_AT_ONCE);
}

#[test]
fn twenty_that_are_due_are_refreshed_four_at_a_time_and_none_is_forgotten() {
    let mut home = Home::with_many(20);
    home.pass(HOUR);
    let mut done = 0;
    while let Some(next) = home.pending.first().map(|pending| pending.account.0.clone()) {
        assert!(home.under_way() <= MOST_AT_ONCE);
        home.arrive(&next, prepared());
        home.refreshed(&next);
        done += 1;
    }
    assert_eq!(done, 20);
}

#[test]
fn who_waits_for_a_place_does_not_keep_the_house_awake() {
    let mut home = Home::with_many(20);
    home.pass(HOUR);
    assert!(home.house.wake(home.now).is_none_or(|left| left > 0));
}

#[test]
fn a_pause_holds_for_every_account_of_the_client_and_then_all_go_on() {
    let mut home = Home::with_many(20);
    home.pass(HOUR);
    for name in ["0", "1", "2", "3"] {
        home.arrive(name, prepared());
    }
    home.arrive("0", rate_limited(home.now, seconds(120)));
    for name in ["1", "2", "3"] {
        home.refreshed(name);
    }
    assert_eq!(home.under_way(), 0);
    home.ask_for_token("9");
    assert_eq!(home.under_way(), 0, "not even for an asker");
    assert_eq!(begun(&home.pass(seconds(119))), 0);
    assert!(home.house.wake(home.now).is_some_and(|left| left > 0 && left <= 2000));
    home.pass(seconds(2));
    assert_eq!(home.under_way(), MOST_AT_ONCE);
}

#[test]
fn a_pause_holds_for_what_is_ready_and_not_sent_yet() {
    let mut home = Home::with_many(4);
    home.pass(HOUR);
    home.arrive("0", prepared());
    home.arrive("0", rate_limited(home.now, seconds(120)));
    for name in ["1", "2", "3"] {
        let effects = home.arrive(name, prepared());
        assert!(!sent(&effects) && discards(&effects), "{name}");
    }
    assert_eq!(begun(&home.pass(seconds(119))), 0);
}

#[test]
fn a_pause_of_ten_to_the_nine_seconds_is_one_hour() {
    let mut home = Home::with_many(2);
    home.pass(HOUR);
    home.arrive("0", prepared());
    home.arrive("1", prepared());
    home.arrive("0", rate_limited(home.now, seconds(1_000_000_000)));
    home.arrive("1", rate_limited(home.now, seconds(1_000_000_000)));
    home.pass(seconds(3599));
    assert_eq!(home.under_way(), 0);
    home.pass(seconds(60));
    assert_eq!(home.under_way(), 2);
}

#[test]
fn nothing_starts_while_the_machine_is_about_to_sleep_and_what_is_due_does_after() {
    let mut home = Home::with_many(2);
    home.send("0");
    home.happen(HouseEvent::Suspending);
    // By the wall clock, which is set.
    home.now = Now { wall: later(home.now, HOUR).wall, ..home.now };
    home.tick();
    home.ask_for_token("1");
    assert_eq!(home.under_way(), 1, "only what was in flight");
    assert!(home.house.wake(home.now).is_none_or(|left| left > 0));
    home.refreshed("0");
    assert_eq!(begun(&home.happen(HouseEvent::Resumed)), 1);
}

#[test]
fn an_opened_keychain_starts_at_most_four_refreshes_of_one_client() {
    let mut home = locked();
    home.happen(HouseEvent::Keychain(KeychainState::Open));
    assert_eq!(home.under_way(), MOST_AT_ONCE);
}

#[test]
fn an_opened_keychain_gets_every_account_fresh_that_waited_for_it() {
    let mut home = locked();
    home.happen(HouseEvent::Keychain(KeychainState::Open));
    let mut done = 0;
    while let Some(next) = home.pending.first().map(|pending| pending.account.0.clone()) {
        home.arrive(&next, prepared());
        home.refreshed(&next);
        done += 1;
    }
    assert_eq!(done, 20);
}

#[test]
fn an_opened_keychain_starts_nothing_while_the_machine_is_about_to_sleep() {
    let mut home = locked();
    home.happen(HouseEvent::Suspending);
    home.happen(HouseEvent::Keychain(KeychainState::Open));
    assert_eq!(home.under_way(), 0);
}

#[test]
fn refreshing_all_is_four_at_a_time_as_well_and_none_is_forgotten() {
    let mut home = Home::with_many(20);
    all(&mut home, &Event::RefreshSoon);
    assert_eq!(home.under_way(), MOST_AT_ONCE);
    let mut done = 0;
    while let Some(next) = home.pending.first().map(|pending| pending.account.0.clone()) {
        home.arrive(&next, prepared());
        home.refreshed(&next);
        done += 1;
    }
    assert_eq!(done, 20);
}

#[test]
fn refreshing_all_keeps_a_pause_that_the_provider_asked_for() {
    let mut home = Home::with_many(3);
    home.send("0");
    home.arrive("0", rate_limited(home.now, seconds(120)));
    all(&mut home, &Event::RefreshSoon);
    assert_eq!(home.under_way(), 0);
}

#[test]
fn refreshing_all_starts_nothing_while_the_machine_is_about_to_sleep() {
    let mut home = Home::with_many(3);
    home.happen(HouseEvent::Suspending);
    all(&mut home, &Event::RefreshSoon);
    assert_eq!(home.under_way(), 0);
}

#[test]
fn a_sign_out_that_can_be_undone_frees_no_place_while_its_request_is_in_flight() {
    let mut home = Home::with_many(5);
    home.pass(HOUR);
    for name in ["0", "1", "2", "3"] {
        home.arrive(name, prepared());
    }
    home.sign_out_undoably("0");
    assert_eq!(home.under_way(), MOST_AT_ONCE);
}
