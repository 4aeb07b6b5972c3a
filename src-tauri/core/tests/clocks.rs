//! Two clocks: the stricter one decides what is fresh, the one that nobody can set decides how long to wait.

mod common;

use common::*;
use larder_core::account::{Access, Event, UNDO};
use larder_core::time::{BootTime, Moment, Now, WallTime};

/// The wall clock is set; the boot clock goes on as ever.
fn set_by(home: &mut Home, seconds: i64) {
    home.now = Now { wall: WallTime(home.now.wall.0 + seconds * 1000), ..home.now };
}

const YEAR: i64 = 365 * 86_400;

#[test]
fn a_clock_set_back_makes_nothing_fresher() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    set_by(&mut home, -YEAR);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1), "a token that has ended is not handed out");
}

#[test]
fn a_clock_set_back_delays_no_refresh_retry_or_sign_out() {
    let mut home = Home::with_many(2);
    home.send("0");
    home.arrive("0", transient(unreachable()));
    home.sign_out_undoably("1");
    set_by(&mut home, -YEAR);
    assert!(home.house.wake(home.now).is_some_and(|left| left <= 6000));
    home.pass(seconds(6));
    assert_eq!(home.pending.len(), 2, "{:?}", home.pending);
}

#[test]
fn a_jump_ahead_starts_at_most_four_refreshes_of_one_client() {
    let mut home = Home::with_many(50);
    set_by(&mut home, YEAR);
    home.tick();
    let mut most = home.under_way();
    assert_eq!(most, 4);
    let mut refreshed = 0;
    while let Some(next) = home.pending.first().map(|pending| pending.account.0.clone()) {
        home.arrive(&next, prepared());
        home.refreshed(&next);
        refreshed += 1;
        most = most.max(home.under_way());
    }
    assert_eq!((most, refreshed), (4, 50), "each once, four at a time");
}

#[test]
fn a_jump_ahead_ends_no_wait_before_its_time() {
    let mut home = Home::with_many(2);
    home.send("0");
    home.arrive("0", rate_limited(home.now, seconds(600)));
    home.sign_out_undoably("1");
    set_by(&mut home, YEAR);
    assert!(account_effects(&home.tick()).is_empty());
    assert!(account_effects(&home.pass(UNDO - seconds(1))).is_empty());
    home.to("1", Event::Undo);
    assert_eq!(begun(&home.pass(seconds(590))), 0, "the provider's pause holds");
}

#[test]
fn a_jump_ahead_is_refreshed_once_and_then_all_is_fresh() {
    let mut home = Home::with_many(1);
    set_by(&mut home, YEAR);
    assert_eq!(begun(&home.tick()), 1);
    home.arrive("0", prepared());
    assert_eq!(begun(&home.refreshed("0")), 0);
    assert!(home.house.wake(home.now).is_some_and(|left| left > 2_000_000));
}

#[test]
fn a_jump_between_request_and_answer_costs_one_more_refresh_and_no_more() {
    let mut home = Home::with_many(1);
    home.send("0");
    let sent = home.now;
    set_by(&mut home, YEAR);
    home.arrive("0", tokens(sent));
    assert_eq!(begun(&home.arrive("0", larder_core::effect::Arrival::Saved)), 1);
    home.arrive("0", prepared());
    assert_eq!(begun(&home.refreshed("0")), 0);
}

#[test]
fn sleep_counts() {
    let mut home = Home::with_many(20);
    home.now = later(home.now, seconds(12 * 3600));
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), None, "a token that ended in the machine's sleep is not handed out");
    assert_eq!(home.under_way(), 4);
}

#[test]
fn what_an_earlier_start_of_the_machine_wrote_down_goes_by_the_wall_clock() {
    let access = Access {
        expires: Some(Moment { boot: None, ..START.plus(HOUR) }),
        lifetime: Some(3_600_000),
        ..Access::default()
    };
    let mut home = Home::with(vec![signed_in("a", access, true)]);
    home.now = Now { boot: BootTime(1000), ..home.now };
    let (ask, effects) = home.ask_for_token("a");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
    assert!(home.house.wake(home.now).is_some_and(|left| left > 2_000_000 && left < 3_000_000));
    assert_eq!(begun(&home.pass(HOUR)), 1);
}

#[test]
fn after_a_restart_a_clock_far_behind_makes_nothing_fresher() {
    let access = Access {
        expires: Some(Moment { boot: None, ..START.plus(HOUR) }),
        lifetime: Some(3_600_000),
        ..Access::default()
    };
    let mut home = Home::with(vec![signed_in("a", access, true)]);
    // As on a machine whose battery is empty: no token has more life left than it had when it was new.
    home.now = Now { wall: WallTime(START.wall.0 - YEAR * 1000), boot: BootTime(1000) };
    let (ask, effects) = home.ask_for_token("a");
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1));
}

#[test]
fn after_a_restart_a_clock_far_behind_costs_one_refresh_and_no_sleepless_night() {
    let access = Access {
        expires: Some(Moment { boot: None, ..START.plus(HOUR) }),
        lifetime: Some(3_600_000),
        ..Access::default()
    };
    let mut home = Home::with(vec![signed_in("a", access, true)]);
    home.now = Now { wall: WallTime(START.wall.0 - YEAR * 1000), boot: BootTime(1000) };
    home.tick();
    assert!(home.house.wake(home.now).is_none_or(|left| left > 0), "woken for nothing, again and again");
    assert_eq!(home.under_way(), 1);
    home.arrive("a", prepared());
    assert_eq!(begun(&home.refreshed("a")), 0);
    assert!(home.house.wake(home.now).is_some_and(|left| left > 2_000_000));
}

#[test]
fn no_clock_is_too_strange() {
    for wall in [i64::MIN, -1, 0, i64::MAX] {
        for boot in [i64::MIN, 0, i64::MAX] {
            let mut home = Home::with_many(2);
            home.send("0");
            home.sign_out_undoably("1");
            home.now = Now { wall: WallTime(wall), boot: BootTime(boot) };
            home.ask_for_token("0");
            home.tick();
            home.arrive("0", transient(unreachable()));
            home.tick();
            assert!(home.house.wake(home.now).is_none_or(|left| left > 0), "wall {wall}, boot {boot}");
        }
    }
}
