//! The machine's sleep: what is waited for before it, what does not start, and how all is fresh again after it.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]
#![allow(clippy::print_stdout, reason = "the figures of docs/RELIABILITY.md")]

mod common;

use common::*;
use larder_core::account::{Access, Refresh, Session};
use larder_core::effect::{Effect, HouseEffect, Outcome, Trouble};
use larder_core::house::{HouseEvent, MOST_AT_ONCE, Want};
use larder_core::names::{Generation, Part};
use larder_core::problem::Problem;
use larder_core::schedule::{WOKEN_FIRST, WOKEN_SPREAD};
use larder_core::sleep::{ANNOUNCED_MOST, HOLD_MOST};
use larder_core::time::{BootTime, Moment, Now};
use larder_core::{account::next_due, effect::Arrival};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whether the machine may sleep from now on, or not, or nothing was said.
fn held(effects: &[HouseEffect]) -> Option<bool> {
    effects.iter().find_map(|effect| match effect {
        HouseEffect::HoldSleep { hold } => Some(*hold),
        _ => None,
    })
}

fn suspend(home: &mut Home) -> Vec<HouseEffect> {
    home.happen(HouseEvent::Suspending)
}

fn resume(home: &mut Home) -> Vec<HouseEffect> {
    home.happen(HouseEvent::Resumed)
}

/// So many accounts, each at a provider of its own, with tokens for an hour.
fn strangers(accounts: usize) -> Vec<larder_core::account::Account> {
    let mut all: Vec<_> = (0..accounts).map(|number| account(&number.to_string())).collect();
    for account in &mut all {
        account.identity.issuer = format!("https://{}.example", account.id);
    }
    all
}

#[test]
fn with_nothing_in_flight_the_machine_may_sleep_at_once() {
    let mut home = Home::with_many(3);
    assert_eq!(held(&suspend(&mut home)), Some(false));
    assert_eq!(held(&suspend(&mut home)), None, "said once");
    assert_eq!(held(&resume(&mut home)), Some(true));
    assert_eq!(held(&resume(&mut home)), None);
}

#[test]
fn the_machine_is_held_until_the_new_token_is_on_the_disk() {
    let mut home = Home::with_many(1);
    home.send("0");
    assert_eq!(held(&suspend(&mut home)), None);
    assert_eq!(held(&home.arrive("0", tokens(home.now))), None, "not written yet");
    assert_eq!(held(&home.arrive("0", Arrival::Saved)), Some(false));
}

#[test]
fn the_machine_is_held_for_four_seconds_at_most() {
    let mut home = Home::with_many(1);
    home.send("0");
    suspend(&mut home);
    assert_eq!(home.house.wake(home.now), Some(4000));
    assert_eq!(held(&home.pass(HOLD_MOST - seconds(1))), None);
    assert_eq!(held(&home.pass(seconds(1))), Some(false));
    // What comes all the same is kept.
    home.refreshed("0");
    assert_eq!(home.get("0").generation, Generation(2));
}

#[test]
fn a_token_that_cannot_be_written_does_not_hold_the_machine_for_ever() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    home.arrive("0", Arrival::NotSaved(disk_full()));
    let effects = suspend(&mut home);
    assert!(account_effects(&effects).iter().any(|effect| matches!(effect, Effect::Save { .. })), "written once more");
    assert_eq!(held(&effects), None);
    home.arrive("0", Arrival::NotSaved(disk_full()));
    assert_eq!(held(&home.pass(HOLD_MOST)), Some(false));
}

#[test]
fn what_is_ready_but_not_sent_is_not_sent_and_leaves_no_mark() {
    let mut home = Home::with_many(1);
    home.to("0", larder_core::account::Event::RefreshNow);
    suspend(&mut home);
    let effects = home.arrive("0", prepared());
    assert!(!sent(&effects));
    assert!(has(&effects, &Effect::Discard { spent: false }), "the journal's mark goes");
    assert_eq!(held(&effects), Some(false));
    resume(&mut home);
    assert_eq!(begun(&home.pass(WOKEN_FIRST + WOKEN_SPREAD)), 1);
    assert!(sent(&home.arrive("0", prepared())));
}

#[test]
fn the_one_more_try_of_an_interrupted_refresh_goes_on() {
    let mut home = Home::with(vec![with_refresh("0", Refresh::Journaled { hash: "hash".into() })]);
    home.tick();
    suspend(&mut home);
    assert!(sent(&home.arrive("0", prepared())), "it counts already");
    home.refreshed("0");
}

#[test]
fn a_key_that_does_not_open_meanwhile_is_tried_again_after_the_sleep() {
    let mut home = Home::with_many(1);
    home.to("0", larder_core::account::Event::RefreshNow);
    suspend(&mut home);
    let effects = home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    assert_eq!(held(&effects), Some(false));
}

#[test]
fn whoever_asks_before_the_sleep_gets_the_token_that_still_works() {
    let mut home = Home::with_many(2);
    home.send("0");
    suspend(&mut home);
    for name in ["0", "1"] {
        let (ask, effects) = home.ask_for_token(name);
        assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Ok(())), 0));
    }
}

#[test]
fn whoever_needs_a_new_one_waits_for_the_end_of_a_short_sleep() {
    let mut home = Home::with_many(1);
    suspend(&mut home);
    let (ask, effects) = home.ask("0", Want::Refresh { from: Generation(1) });
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 0));
    home.now = later(home.now, seconds(10));
    assert_eq!(begun(&resume(&mut home)), 1, "somebody waits, so at once");
    home.arrive("0", prepared());
    assert_eq!(answer(&home.refreshed("0"), ask), Some(Ok(())));
}

#[test]
fn a_sleep_that_nobody_ends_is_over_after_two_minutes() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    suspend(&mut home);
    assert_eq!(begun(&home.pass(ANNOUNCED_MOST - seconds(1))), 0);
    assert_eq!(held(&home.pass(seconds(1))), Some(true));
    assert_eq!(begun(&home.pass(WOKEN_FIRST + WOKEN_SPREAD)), 1);
}

#[test]
fn a_sign_out_that_waits_for_an_undo_is_carried_out_before_the_sleep() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    assert_eq!(held(&suspend(&mut home)), None);
    assert_eq!(held(&home.cleared("0")), Some(false));
    assert!(matches!(home.session("0"), Session::SignedOut));
}

#[test]
fn making_way_goes_on_after_a_sleep() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    home.happen(HouseEvent::Quiet(true));
    suspend(&mut home);
    resume(&mut home);
    assert_eq!(begun(&home.pass(HOUR)), 0);
}

/// The seconds after `from` in which refreshes begin, if each goes well at once.
fn begins(home: &mut Home, from: Now, until: Duration) -> BTreeMap<i64, usize> {
    let mut seconds_of = BTreeMap::new();
    while home.now.boot.0 - from.boot.0 < i64::try_from(until.as_millis()).expect("a time") {
        let effects = home.pass(Duration::from_millis(100));
        let second = (home.now.boot.0 - from.boot.0) / 1000;
        let mut begun = begun(&effects);
        while let Some(next) = home.pending.first().map(|pending| pending.account.0.clone()) {
            assert!(home.under_way() <= 20);
            let arrival = if home.pending[0].effect == Effect::Send { tokens(home.now) } else { prepared() };
            let arrival = if matches!(home.pending[0].effect, Effect::Save { .. }) { Arrival::Saved } else { arrival };
            begun += common::begun(&home.arrive(&next, arrival));
        }
        *seconds_of.entry(second).or_default() += begun;
    }
    seconds_of
}

#[test]
fn after_a_sleep_accounts_of_many_providers_begin_one_after_another() {
    let mut home = Home::with(strangers(50));
    suspend(&mut home);
    home.now = later(home.now, HOUR * 12);
    resume(&mut home);
    let from = home.now;
    let begins = begins(&mut home, from, seconds(30));
    assert_eq!(begins.values().sum::<usize>(), 50, "each once");
    let first = begins.iter().find(|(_, begun)| **begun > 0).map(|(second, _)| *second);
    assert!(first >= Some(2), "{begins:?}");
    assert!(begins.values().all(|begun| *begun <= 15), "{begins:?}");
    let last = begins.iter().rev().find(|(_, begun)| **begun > 0).map(|(second, _)| *second);
    assert!(last <= Some(12), "{begins:?}");
}

/// Works through what is under way, without a network, and counts the tries; or with one, and counts what is refreshed.
fn answers(home: &mut Home, network: bool, of: &mut BTreeMap<String, usize>) {
    while let Some(pending) = home.pending.first().cloned() {
        assert!(home.under_way() <= MOST_AT_ONCE, "{}", home.under_way());
        let name = pending.account.0.clone();
        match pending.effect {
            Effect::Prepare { .. } => drop(home.arrive(&name, prepared())),
            Effect::Send if network => drop(home.arrive(&name, tokens(home.now))),
            Effect::Send => {
                *of.entry(name.clone()).or_default() += 1;
                home.arrive(&name, transient(unreachable()));
            }
            _ => {
                *of.entry(name.clone()).or_default() += 1;
                home.arrive(&name, Arrival::Saved);
            }
        }
    }
}

#[test]
fn after_twelve_hours_of_sleep_and_half_a_minute_without_network_all_are_fresh_within_a_minute_with_one_refresh_each() {
    let mut home = Home::with_many(20);
    suspend(&mut home);
    home.now = later(home.now, HOUR * 12);
    resume(&mut home);
    let woken = home.now;
    let (mut tries, mut refreshed, mut fresh) = (BTreeMap::new(), BTreeMap::new(), 0);
    while home.now.boot.0 - woken.boot.0 < 60_000 {
        home.pass(Duration::from_millis(250));
        let network = home.now.boot.0 - woken.boot.0 >= 30_000;
        answers(&mut home, network, if network { &mut refreshed } else { &mut tries });
        if refreshed.len() == 20 && fresh == 0 {
            fresh = home.now.boot.0 - woken.boot.0;
        }
    }
    println!("{:?} tries each without a network; all fresh {} s after the wake", tries.values().max(), fresh / 1000);
    assert!(tries.values().all(|tries| *tries <= 3), "{tries:?}");
    assert!(refreshed.len() == 20 && refreshed.values().all(|times| *times == 1), "{refreshed:?}");
    let signed_in = |account: &larder_core::account::Account| matches!(account.session, Session::SignedIn { .. });
    assert!(home.house.accounts.iter().all(signed_in), "0 sign-outs");
    for number in 0..20 {
        let (ask, effects) = home.ask_for_token(&number.to_string());
        assert_eq!(answer(&effects, ask), Some(Ok(())));
    }
}

#[test]
fn a_wait_that_grew_long_without_a_network_ends_soon_after_a_sleep() {
    let mut home = Home::with_many(1);
    home.send("0");
    for _ in 0..12 {
        home.arrive("0", transient(unreachable()));
        home.pass_to_wake();
        home.arrive("0", prepared());
    }
    home.arrive("0", transient(unreachable()));
    assert!(home.house.wake(home.now) >= Some(1_800_000));
    suspend(&mut home);
    home.now = later(home.now, seconds(60));
    resume(&mut home);
    assert_eq!(begun(&home.pass(WOKEN_FIRST + WOKEN_SPREAD)), 1);
}

#[test]
fn a_pause_that_a_provider_asked_for_holds_through_a_sleep() {
    let mut home = Home::with_many(3);
    home.send("0");
    home.arrive("0", rate_limited(home.now, seconds(1800)));
    suspend(&mut home);
    home.now = later(home.now, seconds(900));
    resume(&mut home);
    assert_eq!(begun(&home.pass(seconds(890))), 0);
    assert_eq!(begun(&home.pass(seconds(400))), 1);
}

#[test]
fn the_first_that_reaches_the_provider_again_calls_the_others() {
    let mut home = Home::with_many(20);
    home.now = later(home.now, HOUR);
    home.tick();
    for _ in 0..10 {
        answers(&mut home, false, &mut BTreeMap::new());
        home.pass(seconds(300));
    }
    // The network is back, and the next of the twenty finds out.
    let mut refreshed = BTreeMap::new();
    while refreshed.is_empty() {
        home.pass_to_wake();
        answers(&mut home, true, &mut refreshed);
    }
    let from = home.now;
    while home.now.boot.0 - from.boot.0 < 11_000 {
        home.pass(Duration::from_millis(250));
        answers(&mut home, true, &mut refreshed);
    }
    assert!(refreshed.len() == 20 && refreshed.values().all(|times| *times == 1), "{refreshed:?}");
}

/// How often an account asks its provider in a day that goes like this, and how often a program gets a token that asks every
/// ten minutes, if one does.
fn requests_in_a_day(asked: bool, outcome: impl Fn(Now) -> Outcome) -> (usize, usize) {
    let mut home = Home::with_many(1);
    let (mut requests, mut served) = (0, 0);
    let mut minute = home.now;
    while home.now.boot.0 - START.boot.0 < 86_400_000 {
        let wake = home.house.wake(home.now).unwrap_or(60_000).clamp(1, 60_000);
        home.pass(Duration::from_millis(u64::try_from(wake).expect("ahead")));
        if asked && home.now.boot.0 - minute.boot.0 >= 600_000 {
            minute = home.now;
            let (ask, effects) = home.ask_for_token("0");
            let expired = home.now.boot.0 - START.boot.0 >= 3_600_000;
            match answer(&effects, ask) {
                Some(Ok(())) => {
                    assert!(!expired, "handed out after its end");
                    served += 1;
                }
                other => assert!(expired || other.is_none(), "{other:?}"),
            }
        }
        while let Some(pending) = home.pending.first().cloned() {
            match pending.effect {
                Effect::Prepare { .. } => drop(home.arrive("0", prepared())),
                Effect::Send => {
                    requests += 1;
                    let outcome = outcome(home.now);
                    home.arrive("0", Arrival::Answered(outcome));
                }
                effect => panic!("{effect:?}"),
            }
        }
    }
    (requests, served)
}

#[test]
fn a_provider_that_answers_503_for_a_day_is_asked_at_most_sixty_times_but_for_those_who_ask() {
    let host = || "login.example.com".to_owned();
    let trouble = |_| Outcome::Transient {
        problem: Problem::ProviderTrouble { host: host(), status: 503 },
        retry_after: None,
        spent: false,
    };
    let (alone, _) = requests_in_a_day(false, trouble);
    assert!(alone <= 60, "{alone}");
    // Whoever asks once the token has ended brings one try forward each, and no more.
    let (asked, served) = requests_in_a_day(true, trouble);
    println!(
        "{alone} requests in a day of 503, {asked} with an ask every ten minutes, of which {served} got the token that works"
    );
    assert!(asked <= 60 + 86_400 / 600, "{asked}");
    assert!(served >= 4, "the token that works is handed out to its end: {served}");
}

#[test]
fn a_provider_that_wants_two_minutes_each_time_is_never_asked_earlier() {
    let last = std::cell::Cell::new(START);
    let (requests, _) = requests_in_a_day(true, |now| {
        let since = now.boot.0 - last.replace(now).boot.0;
        assert!(since >= 120_000, "{since} ms after the last");
        Outcome::Transient {
            problem: Problem::RateLimited { host: "login.example.com".to_owned(), until: now.wall },
            retry_after: Some(seconds(120)),
            spent: false,
        }
    });
    println!("{requests} requests in a day of Retry-After: 120");
    assert!(requests <= 200, "{requests}");
}

#[test]
fn a_retry_after_of_ten_to_the_nine_seconds_is_an_hour_each_time() {
    let (requests, _) = requests_in_a_day(true, |now| Outcome::Transient {
        problem: Problem::RateLimited { host: "login.example.com".to_owned(), until: now.wall },
        retry_after: Some(seconds(1_000_000_000)),
        spent: false,
    });
    println!("{requests} requests in a day of Retry-After: 10^9");
    assert!((20..=24).contains(&requests), "{requests}");
}

/// Refreshes in an hour of an account whose tokens live so long, with somebody who asks so often.
fn refreshes_in_an_hour(lifetime: Duration, asks_every: Duration) -> usize {
    let millis = i64::try_from(lifetime.as_millis()).expect("a lifetime");
    let access = Access { expires: Some(START.plus(lifetime)), lifetime: Some(millis), ..Access::default() };
    let mut home = Home::with(vec![signed_in("0", access, true)]);
    let (mut refreshes, mut waited) = (0, Duration::ZERO);
    while home.now.boot.0 - START.boot.0 < 3_600_000 {
        let wake = home.house.wake(home.now).unwrap_or(1000);
        let wake = Duration::from_millis(u64::try_from(wake.max(1)).expect("ahead")).min(asks_every);
        home.pass(wake);
        waited += wake;
        let ask = (waited >= asks_every).then(|| {
            waited = Duration::ZERO;
            home.ask_for_token("0").0
        });
        let access = home.get("0").access.expect("a token");
        assert!(ask.is_none() || home.under_way() > 0 || access.good_for(millis / 10, home.now));
        while let Some(pending) = home.pending.first().cloned() {
            let arrival = match pending.effect {
                Effect::Prepare { .. } => prepared(),
                Effect::Send => {
                    refreshes += 1;
                    let outcome = grant(home.now);
                    Arrival::Answered(Outcome::Tokens(larder_core::effect::Grant {
                        lifetime: Some(lifetime),
                        ..outcome
                    }))
                }
                _ => Arrival::Saved,
            };
            home.arrive("0", arrival);
        }
    }
    refreshes
}

#[test]
fn a_token_that_lives_five_seconds_is_refreshed_once_in_its_life_whoever_asks() {
    // Due when a fifth to a quarter of the life is left: 3.75 to 4 s after the last.
    for asks_every in [Duration::from_millis(50), seconds(1), seconds(600)] {
        let refreshes = refreshes_in_an_hour(seconds(5), asks_every);
        assert!((850..=961).contains(&refreshes), "{refreshes} with an ask every {asks_every:?}");
    }
}

#[test]
fn a_life_shorter_than_any_margin_makes_no_tight_loop() {
    for (lifetime, most) in [(1, 4900), (2, 2450), (60, 81)] {
        let refreshes = refreshes_in_an_hour(seconds(lifetime), seconds(1));
        assert!(refreshes <= most, "{lifetime} s: {refreshes}");
    }
}

#[test]
fn a_life_that_nobody_names_makes_no_refresh_at_all() {
    let access = Access { expires: None, lifetime: None, ..Access::default() };
    let mut home = Home::with(vec![signed_in("0", access, true)]);
    assert_eq!(begun(&home.pass(HOUR * 24 * 30)), 0);
}

#[test]
fn no_token_that_ended_in_a_sleep_is_handed_out_whatever_the_timers_did() {
    // No tick came, no end of the sleep was told; the two clocks alone say that it is over. Or one of them.
    for (wall, boot) in [(12, 12), (12, 0), (0, 12)] {
        let mut home = Home::with_many(1);
        suspend(&mut home);
        home.now = Now { wall: later(home.now, HOUR * wall).wall, boot: BootTime(later(home.now, HOUR * boot).boot.0) };
        let (ask, effects) = home.ask_for_token("0");
        assert_ne!(answer(&effects, ask), Some(Ok(())), "wall {wall} h, boot {boot} h");
    }
}

#[test]
fn short_tokens_wait_for_half_of_their_life_after_a_sleep_at_most() {
    let access = Access { expires: Some(START.plus(seconds(6))), lifetime: Some(6000), ..Access::default() };
    let mut home = Home::with((0..20).map(|number| signed_in(&number.to_string(), access, true)).collect());
    suspend(&mut home);
    home.now = later(home.now, HOUR);
    assert_eq!(begun(&resume(&mut home)), 0);
    assert_eq!(begun(&home.pass(seconds(3))), MOST_AT_ONCE);
}

#[test]
fn a_due_time_of_an_earlier_start_is_taken_up_after_a_sleep_too() {
    let expires = Some(Moment { boot: None, ..START.plus(HOUR) });
    let access = Access { expires, lifetime: Some(3_600_000), ..Access::default() };
    let mut account = signed_in("0", access, true);
    account.session = Session::SignedIn { refresh: next_due(&account, Some(access)) };
    let mut home = Home::with(vec![account]);
    suspend(&mut home);
    home.now = later(home.now, HOUR * 2);
    resume(&mut home);
    assert_eq!(begun(&home.pass(WOKEN_FIRST + WOKEN_SPREAD)), 1);
    assert!(matches!(home.pending[0].effect, Effect::Prepare { resumed: false, ref part } if *part == Part::default()));
}

#[test]
fn a_sleep_that_only_the_clocks_know_of_spreads_what_is_due_as_well() {
    let mut home = Home::with(strangers(50));
    home.now = later(home.now, HOUR * 12);
    assert_eq!(begun(&home.happen(HouseEvent::Slept)), 0);
    // And whoever tells of it later tells nothing new.
    home.pass(seconds(1));
    assert_eq!(begun(&resume(&mut home)), 0);
    let mut all = begun(&home.pass(seconds(3)));
    assert!(all > 0 && all < 30, "{all}");
    all += begun(&home.pass(seconds(8)));
    assert_eq!(all, 50);
}
