//! Programs that ask: what they get, when, and what their asking sets off.

mod common;

use common::*;
use larder_core::account::{Event, Refresh, UNDO};
use larder_core::effect::{Arrival, HouseEffect, Outcome, Trouble};
use larder_core::house::{ASK_PATIENCE, HouseEvent, MOST_ASKS, Want, Wanted};
use larder_core::names::{Generation, Part};
use larder_core::problem::{Problem, Why};
use larder_core::schedule;

#[test]
fn a_token_that_is_good_is_handed_out_at_once() {
    let mut home = Home::with_many(1);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(effects, [HouseEffect::HandOut { ask, account: "0".into(), part: Part::default() }]);
}

#[test]
fn a_token_that_would_end_on_the_way_is_refreshed_first() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR * 19 / 20);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1));
    home.arrive("0", prepared());
    assert_eq!(answer(&home.refreshed("0"), ask), Some(Ok(())));
}

#[test]
fn whoever_asks_for_more_life_than_is_left_waits_for_a_refresh() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR * 2 / 3);
    let want = Want::Token(Wanted { least: Some(seconds(25 * 60)), ..Wanted::default() });
    let (ask, effects) = home.ask("0", want);
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1));
}

#[test]
fn asking_for_more_life_than_any_token_has_does_not_refresh_a_fresh_one() {
    let mut home = Home::with_many(1);
    let (ask, effects) = home.ask("0", Want::Token(Wanted { least: Some(seconds(86_400)), ..Wanted::default() }));
    assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Ok(())), 0));
}

#[test]
fn the_old_token_is_served_while_a_refresh_is_under_way_or_fails() {
    let mut home = Home::with_many(1);
    home.pass(HOUR * 8 / 10);
    assert_eq!(home.under_way(), 1);
    let asks = |home: &mut Home| {
        let (ask, effects) = home.ask_for_token("0");
        answer(&effects, ask)
    };
    assert_eq!(asks(&mut home), Some(Ok(())));
    home.arrive("0", prepared());
    assert_eq!(asks(&mut home), Some(Ok(())));
    home.arrive("0", transient(unreachable()));
    assert_eq!(asks(&mut home), Some(Ok(())));
    home.pass_to_wake();
    home.arrive("0", prepared());
    home.arrive("0", tokens(home.now));
    assert_eq!(asks(&mut home), Some(Ok(())));
    home.arrive("0", Arrival::NotSaved(disk_full()));
    assert_eq!(asks(&mut home), Some(Ok(())));
}

#[test]
fn a_thousand_asks_at_expiry_make_one_refresh() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let mut asks = Vec::new();
    let mut refreshes = 0;
    for _ in 0..1000 {
        let (ask, effects) = home.ask_for_token("0");
        assert_eq!(answer(&effects, ask), None);
        refreshes += begun(&effects);
        asks.push(ask);
    }
    assert_eq!(refreshes, 1);
    home.arrive("0", prepared());
    let effects = home.refreshed("0");
    assert!(asks.iter().all(|ask| answer(&effects, *ask) == Some(Ok(()))));
    assert_eq!(home.under_way(), 0);
}

#[test]
fn a_thousand_asks_while_the_provider_is_down_make_one_request_and_hear_why() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let asks: Vec<_> = (0..1000).map(|_| home.ask_for_token("0").0).collect();
    home.arrive("0", prepared());
    let effects = home.arrive("0", transient(unreachable()));
    assert!(asks.iter().all(|ask| answer(&effects, *ask) == Some(Err(unreachable()))));
    assert_eq!(home.under_way(), 0);
    for _ in 0..1000 {
        let (ask, effects) = home.ask_for_token("0");
        assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Err(unreachable())), 0));
    }
}

#[test]
fn an_asker_brings_a_retry_forward_after_ten_seconds() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    home.tick();
    for _ in 0..4 {
        home.arrive("0", prepared());
        home.arrive("0", transient(unreachable()));
        home.pass_to_wake();
    }
    home.arrive("0", prepared());
    home.arrive("0", transient(unreachable()));
    assert!(home.house.wake(home.now).is_some_and(|left| left > 60_000));
    home.now = later(home.now, seconds(9));
    assert_eq!(begun(&home.ask_for_token("0").1), 0);
    home.now = later(home.now, seconds(1));
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1));
}

#[test]
fn an_asker_has_the_keychain_looked_at_at_once() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    home.tick();
    home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    home.now = later(home.now, seconds(1));
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1));
    let effects = home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Err(Problem::KeychainLocked)), 0));
}

#[test]
fn an_asker_that_is_gone_leaves_its_refresh_to_the_others() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let (first, _) = home.ask_for_token("0");
    let (second, _) = home.ask_for_token("0");
    home.happen(HouseEvent::AskerGone { ask: first });
    home.arrive("0", prepared());
    let effects = home.refreshed("0");
    assert_eq!((answer(&effects, first), answer(&effects, second)), (None, Some(Ok(()))));
}

#[test]
fn nobody_waits_longer_than_their_patience() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let (ask, _) = home.ask_for_token("0");
    home.arrive("0", prepared());
    let effects = home.pass(ASK_PATIENCE);
    assert_eq!(answer(&effects, ask), Some(Err(Problem::NotYet { account: "0".to_owned() })));
    assert!(home.house.asks.is_empty());
    assert_eq!(home.under_way(), 1, "the refresh goes on");
}

#[test]
fn whoever_wants_a_refresh_is_answered_by_the_next_one_and_not_by_an_older_one() {
    let mut home = Home::with_many(1);
    let (ask, effects) = home.ask("0", Want::Refresh { from: home.get("0").generation });
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1), "however fresh the token is");
    home.arrive("0", prepared());
    assert_eq!(answer(&home.refreshed("0"), ask), Some(Ok(())));
}

#[test]
fn whoever_asks_for_what_is_not_there_is_told_at_once() {
    let mut home = Home::with_many(1);
    let (ask, effects) = home.ask_for_token("nobody");
    assert_eq!(answer(&effects, ask), Some(Err(Problem::NoSuchAccount { account: "nobody".to_owned() })));
}

#[test]
fn a_rotated_token_that_is_not_on_the_disk_yet_is_not_promised() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let (ask, _) = home.ask_for_token("0");
    home.arrive("0", prepared());
    assert_eq!(answer(&home.arrive("0", tokens(home.now)), ask), None);
    assert_eq!(answer(&home.arrive("0", Arrival::NotSaved(disk_full())), ask), Some(Err(disk_full())));
}

#[test]
fn an_account_that_needs_its_person_says_so() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let (ask, _) = home.ask_for_token("0");
    let effects = home.arrive("0", Arrival::NotPrepared(Trouble::Lasting(Why::KeyMissing)));
    let needs = Some(Err(Problem::SignInNeeded { account: "0".to_owned(), why: Why::KeyMissing }));
    assert_eq!(answer(&effects, ask), needs);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), needs);
}

#[test]
fn an_undone_sign_out_hands_out_again() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    home.pass(UNDO / 2);
    home.to("0", larder_core::account::Event::Undo);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
}

#[test]
fn more_askers_than_can_wait_are_turned_away_and_the_others_served() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let asks: Vec<_> = (0..MOST_ASKS).map(|_| home.ask_for_token("0").0).collect();
    let (one_more, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, one_more), Some(Err(Problem::NotYet { account: "0".to_owned() })));
    home.arrive("0", prepared());
    let effects = home.refreshed("0");
    assert!(asks.iter().all(|ask| answer(&effects, *ask) == Some(Ok(()))));
}

#[test]
fn one_accounts_trouble_keeps_nobody_waiting_for_another() {
    let mut home = Home::with_many(2);
    home.send("0");
    home.arrive("0", transient(unreachable()));
    let (ask, effects) = home.ask_for_token("1");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
    assert!(matches!(home.refresh("0"), Refresh::Waiting { .. }));
}

/// Asks for a token, and says that the one of this generation was answered 401.
fn ask_for_newer(home: &mut Home, rejected: u64) -> (u64, Vec<HouseEffect>) {
    home.ask("0", Want::Token(Wanted { rejected: Some(Generation(rejected)), ..Wanted::default() }))
}

#[test]
fn a_rejected_token_is_replaced_once_for_however_many_say_so() {
    let mut home = Home::with_many(1);
    let asks: Vec<_> = (0..100).map(|_| ask_for_newer(&mut home, 1)).collect();
    let begun: usize = asks.iter().map(|(_, effects)| begun(effects)).sum();
    assert_eq!(begun, 1);
    // Whoever does not complain is not made to wait.
    let (other, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, other), Some(Ok(())));
    home.arrive("0", prepared());
    let effects = home.refreshed("0");
    assert!(asks.iter().all(|(ask, _)| answer(&effects, *ask) == Some(Ok(()))));
    assert_eq!(home.under_way(), 0);
}

#[test]
fn a_token_that_was_replaced_since_is_no_reason_for_a_refresh() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.refreshed("0");
    let (ask, effects) = ask_for_newer(&mut home, 1);
    assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Ok(())), 0));
}

#[test]
fn a_program_that_is_rejected_whatever_it_sends_costs_one_request_in_five_minutes() {
    let mut home = Home::with_many(1);
    let mut requests = 0;
    let mut refused = 0;
    let rejected = Problem::TokenRejected { account: "0".to_owned() };
    // Once a second, for ten minutes, which the token outlives.
    for _ in 0..600 {
        let newest = home.get("0").access.unwrap().issued;
        let (ask, effects) = ask_for_newer(&mut home, newest.0);
        requests += begun(&effects);
        if begun(&effects) == 1 {
            home.arrive("0", prepared());
            assert_eq!(answer(&home.refreshed("0"), ask), Some(Ok(())));
        } else {
            assert_eq!(answer(&effects, ask), Some(Err(rejected.clone())));
            refused += 1;
        }
        home.pass(seconds(1));
    }
    assert_eq!((requests, refused), (2, 598));
    assert_eq!(schedule::REJECTED_REST, seconds(300));
    let (other, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, other), Some(Ok(())), "others are served");
}

#[test]
fn a_rejected_token_in_an_account_that_cannot_be_refreshed_now_ends_in_the_reason() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", transient(unreachable()));
    // Others still get it; whoever was answered 401 with it hears why there is no newer one.
    let (ask, effects) = ask_for_newer(&mut home, 1);
    assert_eq!(answer(&effects, ask), Some(Err(unreachable())));
    home.pass(schedule::ASKER_RETRY);
    home.arrive("0", prepared());
    let fix = Problem::ScopeRefused { provider: "work".to_owned(), detail: "d".to_owned() };
    home.arrive("0", Arrival::Answered(Outcome::NeedsFix(fix.clone())));
    let (ask, effects) = ask_for_newer(&mut home, 1);
    assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Err(fix)), 0));
    home.to("0", Event::Corrected);
    home.arrive("0", prepared());
    home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(Why::Refused)));
    let (ask, effects) = ask_for_newer(&mut home, 1);
    let needs = Problem::SignInNeeded { account: "0".to_owned(), why: Why::Refused };
    assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Err(needs)), 0));
}
