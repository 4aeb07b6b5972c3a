//! The lock: what it forbids, when it locks by itself, and what a seal leaves in memory.

mod common;

use common::*;
use larder_core::effect::{Arrival, HouseEffect};
use larder_core::house::{HouseEvent, Want};
use larder_core::lock::{LockEvent, lapsing};
use larder_core::names::{AccountId, Generation};
use larder_core::problem::Problem;
use larder_core::view::LockState;

fn dropped(effects: &[HouseEffect]) -> Vec<Vec<AccountId>> {
    let keys = |effect: &HouseEffect| match effect {
        HouseEffect::DropKeys { keep } => Some(keep.clone()),
        _ => None,
    };
    effects.iter().filter_map(keys).collect()
}

#[test]
fn locked_it_refuses_tokens_and_refreshes_on() {
    let mut home = Home::with_many(1);
    home.turn(LockState::Locked);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Err(Problem::Locked)));
    home.now = later(home.now, HOUR * 9 / 10);
    assert_eq!(begun(&home.tick()), 1);
    home.turn(LockState::Unlocked);
    home.arrive("0", prepared());
    home.refreshed("0");
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
}

#[test]
fn sealed_nothing_is_refreshed_and_the_keys_go_as_soon_as_nothing_is_in_flight() {
    let mut home = Home::with_many(2);
    home.send("0");
    let effects = home.turn(LockState::Sealed);
    assert_eq!(dropped(&effects), [vec![AccountId::from("0")]]);
    // What was sent may have been spent: what comes is kept.
    home.arrive("0", tokens(home.now));
    assert_eq!(dropped(&home.arrive("0", Arrival::Saved)), [Vec::<AccountId>::new()]);
    let (ask, effects) = home.ask("1", Want::Refresh { from: Generation(1) });
    assert_eq!(answer(&effects, ask), Some(Err(Problem::Sealed)));
    assert_eq!(begun(&home.pass(HOUR * 2)), 0);
    assert_eq!(home.house.wake(home.now), None, "nothing wakes it for nothing");
    assert_eq!(lapsing(&home.house).iter().map(|it| it.account.as_str()).collect::<Vec<_>>(), ["0", "1"]);
    assert_eq!(begun(&home.turn(LockState::Unlocked)), 2);
}

#[test]
fn it_locks_by_itself_when_nothing_happens_for_so_long() {
    let mut home = Home::with_many(1);
    home.happen(HouseEvent::Lock(LockEvent::IdleAfter(Some(seconds(600)))));
    home.pass(seconds(599));
    home.ask_for_token("0");
    home.pass(seconds(599));
    home.happen(HouseEvent::Lock(LockEvent::Used));
    home.pass(seconds(599));
    assert_eq!((home.house.lock.state, home.house.wake(home.now)), (LockState::Unlocked, Some(1000)));
    let effects = home.pass(seconds(1));
    assert!(effects.contains(&HouseEffect::Locked { state: LockState::Locked }));
    home.turn(LockState::Unlocked);
    home.pass(seconds(599));
    assert_eq!(home.house.lock.state, LockState::Unlocked, "unlocking is somebody who is there");
}
