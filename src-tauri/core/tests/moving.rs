//! Moving an account to another machine: it stops here first, and is never used in both places.

mod common;

use common::*;
use larder_core::account::{Account, Clearing, Event, Refresh, Session};
use larder_core::effect::{Arrival, Effect, HouseEffect};
use larder_core::house::{HouseEvent, Want, Wanted};
use larder_core::names::Operation;
use larder_core::problem::Problem;
use larder_core::view::EventKind;

fn to(event: Event) -> HouseEvent {
    HouseEvent::Account { account: "work".into(), event }
}

fn session(home: &Home) -> Session {
    home.house.accounts.first().map_or(Session::SignedOut, |account| account.session.clone())
}

#[test]
fn an_account_that_moves_starts_nothing_and_hands_nothing_out() {
    let mut home = Home::with(vec![account("work")]);
    home.happen(to(Event::Move));
    assert!(matches!(session(&home), Session::Moving { .. }));
    home.now = later(home.now, HOUR * 2);
    assert!(home.tick().is_empty());
    assert_eq!(home.house.wake(home.now), None);
    let (_, effects) = home.ask("work", Want::Token(Wanted::default()));
    assert!(matches!(effects.as_slice(), [HouseEffect::Refuse { problem: Problem::NotYet { .. }, .. }]), "{effects:?}");
    // Where the file could not be written, all goes on.
    let effects = home.happen(to(Event::StayHere));
    assert!(effects.iter().any(|effect| matches!(effect, HouseEffect::Account { effect: Effect::Prepare { .. }, .. })));
}

#[test]
fn an_account_that_moved_is_cleared_without_telling_the_provider() {
    let mut home = Home::with(vec![account("work")]);
    home.happen(to(Event::Move));
    let mut all = home.happen(to(Event::MovedAway));
    for arrival in [Arrival::Marked, Arrival::Cleared, Arrival::KeyDeleted, Arrival::Closed] {
        let pending = home.pending.remove(0);
        let (generation, operation) = (pending.generation, pending.operation);
        all.extend(home.happen(to(Event::Arrived { generation, operation, arrival })));
    }
    assert_eq!(session(&home), Session::MovedAway);
    let told = all.iter().any(|effect| {
        matches!(effect, HouseEffect::Account { effect: Effect::Revoke | Effect::RevokeLate, .. })
            || matches!(effect, HouseEffect::Account { effect: Effect::MarkClearing { revoke: true, .. }, .. })
    });
    assert!(!told, "{all:?}");
    assert!(all.iter().any(|effect| matches!(effect, HouseEffect::Record { kind: EventKind::Exported, .. })));
    let (_, effects) = home.ask("work", Want::Token(Wanted::default()));
    assert!(matches!(effects.as_slice(), [HouseEffect::Refuse { problem: Problem::MovedAway { .. }, .. }]));
    // It comes back as it is stored.
    home.happen(HouseEvent::Imported(Box::new(account("work"))));
    assert!(matches!(session(&home), Session::SignedIn { .. }));
}

#[test]
fn an_account_whose_refresh_is_with_the_provider_does_not_move() {
    let resting = account("work");
    let operation = Operation(1);
    let sent = with_refresh("work", Refresh::Sent { operation, attempt: 0 });
    let journaled = with_refresh("work", Refresh::Journaled { hash: "hash".into() });
    let opening = with_refresh("work", Refresh::Opening { operation, attempt: 0, resumed: false });
    let unsaved = Refresh::Unsaved { operation, attempt: 1, grant: grant(START), until: None, problem: None };
    let clearing = Session::Clearing(Clearing::new(operation, false, true));
    let leaving = Account { session: clearing, ..account("work") };
    for account in [sent, journaled, opening, with_refresh("work", unsaved), leaving] {
        let home = Home::with(vec![account.clone()]);
        assert!(!home.house.can_move(&account), "{account:?}");
        let mut home = home;
        home.happen(to(Event::Move));
        assert!(!matches!(session(&home), Session::Moving { .. }), "{account:?}");
    }
    assert!(Home::with(vec![resting.clone()]).house.can_move(&resting));
}

#[test]
fn a_sign_out_while_it_moves_is_carried_out_as_one() {
    let mut home = Home::with(vec![account("work")]);
    home.happen(to(Event::Move));
    home.happen(to(Event::SignOut { undoable: false, forget: false, revoke: true }));
    home.happen(to(Event::MovedAway));
    match session(&home) {
        Session::Clearing(clearing) => assert!(clearing.revoke && !clearing.moved),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sign_in_that_ends_while_its_account_moves_is_refused() {
    let mut home = Home::with(vec![account("work")]);
    home.happen(HouseEvent::AttemptStarted(Box::new(attempt("t", home.now))));
    home.happen(redirect("t"));
    home.happen(to(Event::Move));
    let effects = home.happen(exchanged("t", "sub-work", "fresh", home.now));
    assert!(effects.iter().any(|effect| matches!(effect, HouseEffect::RevokeAttempt { .. })), "{effects:?}");
    assert!(matches!(session(&home), Session::Moving { .. }));
}
