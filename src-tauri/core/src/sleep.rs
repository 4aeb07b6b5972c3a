//! The machine's sleep: what is kept from starting before it, how long it may be held up, and what follows when it is over.

use crate::account::{Account, Event, Refresh, Session};
use crate::attempt::Phase;
use crate::effect::{Arrival, HouseEffect};
use crate::house::{House, every};
use crate::names::AccountId;
use crate::time::{Moment, Now};
use std::time::Duration;

/// How long the machine is kept from sleeping for what is in flight. systemd-logind waits 5 s (`InhibitDelayMaxSec`, logind.conf(5))
/// and then sleeps whoever asks it not to; letting go before it does leaves time for the last write.
pub const HOLD_MOST: Duration = Duration::from_secs(4);

/// A sleep that was announced and of whose end nobody told is over after this, counted on the clock that goes on in it: a
/// failed suspend, or a logind that was restarted meanwhile, does not keep tokens from being refreshed. Longer than any
/// desktop's own preparations take.
pub const ANNOUNCED_MOST: Duration = Duration::from_secs(2 * 60);

/// A sleep of the machine that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// When it is let go of, whatever is in flight.
    hold: Moment,
    /// When it is taken for over.
    over: Moment,
    /// It is not held up any more.
    let_go: bool,
}

impl Sleep {
    /// Milliseconds until something follows by itself.
    pub(crate) fn wake(self, now: Now) -> i64 {
        if self.let_go { self.over.wait(now) } else { self.hold.wait(now).min(self.over.wait(now)) }
    }
}

/// The machine is about to sleep: nothing starts any more.
pub(crate) fn announced(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    if house.sleep.is_some() {
        return;
    }
    house.sleep = Some(Sleep { hold: now.plus(HOLD_MOST), over: now.plus(ANNOUNCED_MOST), let_go: false });
    every(house, |_| true, &Event::Hurry, now, effects);
}

/// It is awake. What the clocks told before is not news.
pub(crate) fn over(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    if house.sleep.is_some() {
        slept(house, now, effects);
    }
}

/// It was asleep: what became due meanwhile is begun, each account a little apart from the others.
pub(crate) fn slept(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    if house.sleep.take().is_some() {
        effects.push(HouseEffect::HoldSleep { hold: true });
    }
    every(house, |_| true, &Event::Woken, now, effects);
}

/// Nobody told that it is awake, and it is.
pub(crate) fn expire(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    if house.sleep.is_some_and(|sleep| sleep.over.wait(now) <= 0) {
        over(house, now, effects);
    }
}

/// Lets the machine sleep once nothing is in flight, or it was held up long enough.
pub(crate) fn let_go(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    let Some(sleep) = house.sleep.filter(|sleep| !sleep.let_go) else { return };
    if sleep.hold.wait(now) <= 0 || at_rest(house) {
        house.sleep = Some(Sleep { let_go: true, ..sleep });
        effects.push(HouseEffect::HoldSleep { hold: false });
    }
}

/// Whether nothing would be lost by an end, or a long sleep, now: nothing is with a provider, nothing waits to be written.
pub fn at_rest(house: &House) -> bool {
    let account_rests = |account: &Account| match &account.session {
        // A token that is not on the disk yet is worth waiting for.
        Session::SignedIn { refresh } => !refresh.in_flight() && !matches!(refresh, Refresh::Unsaved { .. }),
        Session::Undoable { .. } | Session::Clearing(_) | Session::Moving { .. } => false,
        _ => true,
    };
    let attempt_rests = |phase: &Phase| !matches!(phase, Phase::Exchanging | Phase::Storing { .. });
    house.accounts.iter().all(account_rests) && house.attempts.iter().all(|attempt| attempt_rests(&attempt.phase))
}

/// A refresh that was made ready, and not sent, is put off while the machine is about to sleep, and where the provider asked for
/// a pause meanwhile. One that an earlier run of the agent began is not: its one more try counts already.
pub(crate) fn put_off(house: &House, account: &Account, event: Event, now: Now) -> Event {
    let wait = || house.sleep.is_some() || house.pause_left(&crate::calendar::budget(account), now).is_some();
    match event {
        Event::Arrived { generation, operation, arrival: Arrival::Prepared { .. } }
            if generation == account.generation
                && matches!(
                    &account.session,
                    Session::SignedIn { refresh: Refresh::Opening { operation: ours, resumed: false, .. } }
                        if *ours == operation
                )
                && wait() =>
        {
            Event::PutOff { operation }
        }
        event => event,
    }
}

/// A provider that could not be reached answers again: whoever waits for it goes on.
pub(crate) fn reached(house: &mut House, by: &AccountId, now: Now, effects: &mut Vec<HouseEffect>) {
    let Some(budget) = house.accounts.iter().find(|account| account.id == *by).map(crate::calendar::budget) else {
        return;
    };
    if house.unreached.remove(&budget) {
        every(house, |account| crate::calendar::budget(account) == budget, &Event::Reached, now, effects);
    }
}
