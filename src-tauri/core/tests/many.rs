//! Many accounts at once: each is refreshed once, a few at a time. What they cost is measured by `make bench`.

mod common;

use common::*;
use larder_core::house::MOST_AT_ONCE;
use larder_core::time::Now;

const MANY: usize = 1000;

#[test]
fn a_mass_expiry_is_worked_off_a_few_at_a_time_and_each_once() {
    let mut home = Home::with_many(MANY);
    home.now = later(home.now, HOUR);
    home.tick();
    let mut refreshed = std::collections::BTreeSet::new();
    while let Some(account) = home.pending.first().map(|pending| pending.account.0.clone()) {
        assert!(home.under_way() <= MOST_AT_ONCE, "{}", home.under_way());
        home.ends_well(&account);
        assert!(refreshed.insert(account.clone()), "{account} twice");
    }
    assert_eq!(refreshed.len(), MANY);
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
