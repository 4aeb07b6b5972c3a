//! Ten thousand accounts cost what is due of them.

mod common;

use common::*;
use larder_core::account::{Access, Account, Session, next_due};
use larder_core::house::MOST_AT_ONCE;
use larder_core::time::Now;
use std::time::{Duration, Instant};

const MANY: usize = 10_000;

/// So many accounts, each at a provider of its own, with tokens that end at different times.
fn apart(number: usize) -> Account {
    let mut account = account(&number.to_string());
    account.identity.issuer = format!("https://{number}.example");
    let lifetime = HOUR + seconds(u64::try_from(number).unwrap_or_default());
    let access = Access {
        expires: Some(START.plus(lifetime)),
        lifetime: i64::try_from(lifetime.as_millis()).ok(),
        ..account.access.unwrap_or_default()
    };
    account.access = Some(access);
    account.session = Session::SignedIn { refresh: next_due(&account, Some(access)) };
    account
}

/// How long so many askers take with so many accounts, none of which is due.
fn ask_of(accounts: usize) -> Duration {
    let mut home = Home::with((0..accounts).map(apart).collect());
    home.tick();
    let began = Instant::now();
    for _ in 0..500 {
        let (ask, effects) = home.ask_for_token("0");
        assert_eq!(answer(&effects, ask), Some(Ok(())));
        home.house.wake(home.now);
    }
    began.elapsed()
}

#[test]
fn what_is_not_due_costs_nothing() {
    // The best of some runs: what else the machine does is no cost of ours.
    let best = |accounts| (0..3).map(|_| ask_of(accounts)).min().unwrap();
    let (few, many) = (best(10), best(MANY));
    // A thousand times as many; a search among them may take its steps, a look at each may not.
    assert!(many < few * 20, "{few:?} with ten accounts, {many:?} with ten thousand");
}

#[test]
fn a_mass_expiry_is_worked_off_a_few_at_a_time_and_each_once() {
    let many = MANY / 10;
    let mut home = Home::with_many(many);
    home.now = later(home.now, HOUR);
    home.tick();
    let mut refreshed = std::collections::BTreeSet::new();
    while let Some(account) = home.pending.first().map(|pending| pending.account.0.clone()) {
        assert!(home.under_way() <= MOST_AT_ONCE, "{}", home.under_way());
        home.ends_well(&account);
        assert!(refreshed.insert(account.clone()), "{account} twice");
    }
    assert_eq!(refreshed.len(), many);
}

#[test]
fn a_clock_that_is_set_is_noticed_whatever_was_reckoned_before() {
    let mut home = Home::with((0..100).map(apart).collect());
    home.tick();
    assert!(home.house.wake(home.now).unwrap() > 0);
    let ahead = later(home.now, HOUR * 2);
    home.now = Now { wall: ahead.wall, boot: home.now.boot };
    assert_eq!(home.house.wake(home.now), Some(0));
    home.tick();
    assert_eq!(home.under_way(), 100, "each at a provider of its own");
}
