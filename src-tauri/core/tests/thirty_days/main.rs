//! Thirty days of fifty accounts: nights and naps, days without a network, providers in trouble, clocks that jump by years,
//! and programs that ask at any time. The providers are strict and have a true clock of their own.
//!
//! `LARDER_MONTHS` says how many such months to live (`make soak`); the month with the seed that failed is lived alone with
//! `LARDER_SEED`.

#![allow(clippy::expect_used, reason = "a test may fail loudly")]
#![allow(clippy::print_stdout, reason = "the figures of docs/RELIABILITY.md")]

#[path = "../common/mod.rs"]
mod common;
mod dice;
mod plot;
mod provider;
mod world;

use provider::{Grantee, Idle};
use std::sync::OnceLock;
use world::{DAY, HOUR, MINUTE, SECOND, Told, World};

const DAYS: i64 = 30;

/// After a sleep that somebody told of, so many requests begin in any one second, of fifty accounts at fourteen providers:
/// seven and a half were the mean if all were due and spread over ten seconds evenly.
const MOST_A_SECOND: usize = 25;

/// Fifty, with lives from five seconds to sixty days.
fn grantees(short_for: i64) -> Vec<Grantee> {
    let said = |days: i64| Some(Idle { millis: days * DAY, said: true });
    let unsaid = |days: i64| Some(Idle { millis: days * DAY, said: false });
    let mut all = Vec::new();
    // Of one client at one provider: many of an hour, as a company's.
    all.extend((0..14).map(|_| Grantee::new(0, HOUR, 40 * MINUTE)));
    all.extend((0..6).map(|_| Grantee { idle: unsaid(2), ..Grantee::new(1, HOUR, 2 * HOUR) }));
    // Ten minutes, and a session that a day without use ends.
    all.extend((0..4).map(|_| Grantee { idle: unsaid(1), ..Grantee::new(2, 10 * MINUTE, HOUR) }));
    // A refresh ends the token before it.
    all.extend((0..5).map(|_| Grantee { refresh_ends: true, idle: said(180), ..Grantee::new(3, 8 * HOUR, HOUR) }));
    all.extend((0..2).map(|_| Grantee { refresh_ends: true, ..Grantee::new(4, 2 * HOUR, 20 * MINUTE) }));
    // Nobody says how long; one of them says when the session ends.
    all.extend((0..2).map(|_| Grantee { says_lifetime: false, ..Grantee::new(5, 2 * HOUR, HOUR) }));
    all.extend((0..2).map(|_| Grantee { says_lifetime: false, idle: said(7), ..Grantee::new(6, 2 * HOUR, 20 * DAY) }));
    // Lives of seconds.
    for lifetime in [5, 30, 60] {
        let short = Grantee::new(7, lifetime * SECOND, 10 * MINUTE);
        all.push(Grantee { longer_from: short_for, ..short });
    }
    all.push(Grantee::new(8, 5 * MINUTE, HOUR));
    all.push(Grantee { idle: unsaid(1), ..Grantee::new(8, 5 * MINUTE, 10 * HOUR) });
    all.extend((0..3).map(|_| Grantee { idle: said(14), ..Grantee::new(9, DAY, 3 * HOUR) }));
    all.extend((0..2).map(|_| Grantee { idle: unsaid(30), ..Grantee::new(10, 7 * DAY, 6 * HOUR) }));
    all.extend((0..2).map(|_| Grantee { idle: said(10), ..Grantee::new(11, 30 * DAY, DAY) }));
    // The session ends long before the access token does.
    all.extend((0..2).map(|_| Grantee { idle: said(7), ..Grantee::new(12, 60 * DAY, DAY) }));
    all.push(Grantee::new(13, 60 * DAY, DAY));
    assert_eq!(all.len(), 50);
    all
}

fn month(seed: u64, short_for: i64) -> World {
    let told = [Told::Announced, Told::ByClocks, Told::Announced, Told::Never];
    let told = told[usize::try_from(seed % 4).expect("small")];
    let mut world = World::new(seed, told, grantees(short_for), DAYS);
    world.live();
    world
}

/// How many requests an account may make in its month, and why.
fn most_requests(world: &World, grantee: &Grantee) -> usize {
    // Whoever wants half of the life at least, which is the most that can be had, makes two refreshes in one life.
    let lifetime = if grantee.says_lifetime { grantee.lifetime } else { i64::MAX };
    let idle = grantee.idle.filter(|idle| idle.said).map_or(i64::MAX, |idle| idle.millis);
    let short = grantee.longer_from.min(world.end);
    let long = lifetime.max(HOUR).min(idle);
    let lives = short / lifetime.min(idle) + (world.end - short) / long;
    let lives = usize::try_from(lives).expect("a number") * 2;
    // A jump costs one refresh for each token that it makes look old; a wake, or the end of an outage, the backoff's first few tries.
    let jumps = world.counted.jumps * 2;
    let wakes = world.counted.wakes.len() * 2;
    // A day of trouble is 56 tries, and of those there are two at the most here; whoever asks meanwhile brings one try forward.
    let trouble = 2 * 60 + 3 * 30 + grantee.asks_in_trouble;
    lives + jumps + wakes + trouble + 2 * (grantee.rejected + grantee.sign_ins) + 10
}

/// The most requests that began in any one second of the minute after a wake.
fn worst_second(world: &World) -> usize {
    let starts = &world.counted.starts;
    let mut worst = 0;
    for woke in &world.counted.wakes {
        let from = starts.partition_point(|(at, _)| at < woke);
        let soon: Vec<i64> = starts[from..].iter().map(|(at, _)| *at).take_while(|at| at - woke < MINUTE).collect();
        for (place, at) in soon.iter().enumerate() {
            worst = worst.max(soon[place..].iter().take_while(|later| *later - at < SECOND).count());
        }
    }
    worst
}

/// What the months came to, for whoever asks about one promise.
struct Lived {
    broken: Vec<String>,
    /// Seed, account, requests, most.
    requests: Vec<(u64, usize, usize, usize)>,
    worst_told: usize,
    worst_untold: usize,
    at_once: usize,
}

fn lived() -> &'static Lived {
    static LIVED: OnceLock<Lived> = OnceLock::new();
    LIVED.get_or_init(|| {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let months = number("LARDER_MONTHS");
        let seeds: Vec<u64> = match number("LARDER_SEED") {
            Some(seed) => vec![seed],
            None => (0..months.unwrap_or(4)).collect(),
        };
        // In a long run, tokens of five seconds live so for three days; in a short one, for three hours.
        let short_for = if months.is_some() { 3 * DAY } else { 3 * HOUR };
        let mut lived = Lived { broken: vec![], requests: vec![], worst_told: 0, worst_untold: 0, at_once: 0 };
        for seed in seeds {
            let world = month(seed, short_for);
            lived.broken.extend(world.broken.iter().map(|how| format!("LARDER_SEED={seed} ({:?}): {how}", world.told)));
            for (account, grantee) in world.grantees.iter().enumerate() {
                lived.requests.push((seed, account, grantee.requests, most_requests(&world, grantee)));
            }
            let worst = worst_second(&world);
            let of = if world.told == Told::Never { &mut lived.worst_untold } else { &mut lived.worst_told };
            *of = worst.max(*of);
            lived.at_once = lived.at_once.max(world.counted.most_at_once);
            let counted = &world.counted;
            let most = world.grantees.iter().map(|grantee| grantee.requests).max().unwrap_or_default();
            let hours: Vec<usize> =
                world.grantees.iter().filter(|grantee| grantee.lifetime == HOUR).map(|grantee| grantee.requests).collect();
            println!(
                "month {seed} ({:?}): {} requests (hour-long tokens {:?} to {:?}, most {most}), {} connects in vain, {} sleeps, \
                 {} jumps, {} asks, {} handed out, {} sessions ended while away, {worst} a second after a wake at worst",
                world.told,
                counted.starts.len(),
                hours.iter().min(),
                hours.iter().max(),
                counted.connects_in_vain,
                counted.sleeps,
                counted.jumps,
                counted.asks,
                counted.handed_out,
                counted.ended_while_away,
            );
        }
        lived
    })
}

#[test]
fn in_thirty_days_no_token_is_handed_out_that_ends_within_its_promise_and_no_session_ends_by_our_fault() {
    assert!(lived().broken.is_empty(), "{:#?}", lived().broken);
}

#[test]
fn in_thirty_days_each_account_makes_a_bounded_number_of_requests() {
    for (seed, account, requests, most) in &lived().requests {
        assert!(requests <= most, "LARDER_SEED={seed}: account {account} makes {requests} requests, more than {most}");
    }
}

#[test]
fn no_wake_is_a_storm() {
    let lived = lived();
    println!("{} a second at worst after a sleep that is told of, {} else", lived.worst_told, lived.worst_untold);
    assert!(lived.at_once <= larder_core::house::MOST_AT_ONCE);
    assert!(lived.worst_told <= MOST_A_SECOND, "{}", lived.worst_told);
    // What nobody tells of is bounded by what one client may ask of one provider at once.
    assert!(lived.worst_untold <= 14 * larder_core::house::MOST_AT_ONCE, "{}", lived.worst_untold);
}

/// `make soak` draws it; see `docs/refreshes.svg`.
#[test]
#[ignore = "needs gnuplot; draws a picture"]
fn draw() {
    plot::draw(&month(0, 3 * HOUR), &month(3, 3 * HOUR));
}
