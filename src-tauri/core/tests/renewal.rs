//! A session that its provider ends when nobody uses it is used in time, whatever its access tokens live.

mod common;

use common::*;
use larder_core::account::{Access, Account, Refresh, Session, Terms, next_due};
use larder_core::effect::{Arrival, Grant, Outcome};
use larder_core::time::{Now, WallTime};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// An account whose access tokens live so long, or nobody says how long, and whose refresh token two weeks.
fn two_weeks(lifetime: Option<Duration>) -> Account {
    let millis = lifetime.and_then(|lifetime| i64::try_from(lifetime.as_millis()).ok());
    let access = Access {
        expires: lifetime.map(|lifetime| START.plus(lifetime)),
        lifetime: millis,
        since: Some(START),
        ..Access::default()
    };
    let mut account = signed_in("0", access, true);
    account.terms = Terms { refresh_token_lifetime: Some(DAY * 14), ..Terms::default() };
    account.session_ends = Some(START.plus(DAY * 14).wall);
    account.session = Session::SignedIn { refresh: next_due(&account, account.access) };
    account
}

fn days_until_due(home: &Home) -> f64 {
    let left = home.house.wake(home.now).map_or(f64::INFINITY, |left| left as f64);
    left / 86_400_000.0
}

fn refresh(home: &mut Home, lifetime: Option<Duration>, new_refresh_token: bool) {
    home.arrive("0", prepared());
    let grant = Grant { lifetime, new_refresh_token, ..grant(home.now) };
    home.arrive("0", Arrival::Answered(Outcome::Tokens(grant)));
    home.arrive("0", Arrival::Saved);
}

#[test]
fn a_refresh_token_that_ends_before_the_access_token_is_used_in_time() {
    for lifetime in [None, Some(DAY * 60)] {
        let mut home = Home::with(vec![two_weeks(lifetime)]);
        home.tick();
        for _ in 0..10 {
            let days = days_until_due(&home);
            assert!(days > 11.0 && days < 11.3, "{lifetime:?}: due in {days} days");
            assert_eq!(begun(&home.pass_to_wake()), 1);
            refresh(&mut home, lifetime, true);
        }
    }
}

#[test]
fn a_clock_set_back_does_not_let_a_session_end() {
    let mut home = Home::with(vec![two_weeks(None)]);
    home.now = Now { wall: WallTime(home.now.wall.0 - 365 * 86_400_000), ..home.now };
    home.tick();
    let days = days_until_due(&home);
    assert!(days > 11.0 && days < 11.3, "due in {days} days");
}

#[test]
fn an_access_token_that_ends_first_decides() {
    let mut home = Home::with(vec![two_weeks(Some(HOUR))]);
    home.tick();
    assert!(days_until_due(&home) < 1.0 / 24.0);
}

#[test]
fn an_end_that_no_refresh_moves_is_no_reason_to_ask_on_and_on() {
    let mut home = Home::with(vec![two_weeks(None)]);
    home.tick();
    let mut refreshes = 0;
    while days_until_due(&home).is_finite() {
        assert_eq!(begun(&home.pass_to_wake()), 1);
        refresh(&mut home, None, false);
        refreshes += 1;
        assert!(refreshes < 10, "again and again");
    }
    assert!(matches!(home.refresh("0"), Refresh::Idle { due: None }));
    assert!(refreshes <= 5, "{refreshes}");
}
