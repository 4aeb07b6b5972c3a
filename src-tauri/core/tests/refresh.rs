//! A refresh: prepared, journaled, sent once, stored before it counts.

mod common;

use common::*;
use larder_core::account::{Access, Account, Event, Refresh, Session, Terms, UNDO, next_due, session_ends};
use larder_core::effect::{Arrival, Effect, Grant, Outcome, Trouble};
use larder_core::house::{HouseEvent, Want};
use larder_core::names::{Generation, Part};
use larder_core::problem::Problem;
use larder_core::schedule::Margin;
use larder_core::time::Now;
use larder_core::view::EventKind;
use larder_core::{schedule, show};
use std::time::Duration;

fn interrupted(name: &str) -> larder_core::account::Account {
    with_refresh(name, Refresh::Journaled { hash: "hash".into() })
}

#[test]
fn a_refresh_begins_by_itself_in_the_last_quarter_of_the_lifetime() {
    let mut home = Home::with_many(1);
    assert_eq!(begun(&home.tick()), 0);
    assert_eq!(begun(&home.pass(HOUR * 3 / 4 - seconds(1))), 0, "earlier than a quarter before the end");
    assert_eq!(begun(&home.pass_to_wake()), 1);
    assert!(home.get("0").access.is_some_and(|access| access.good_for(12 * 60 * 1000, home.now)));
}

#[test]
fn nothing_is_sent_before_key_disk_and_journal_are_ready() {
    let mut home = Home::with_many(1);
    let effects = home.to("0", Event::RefreshNow);
    assert_eq!(account_effects(&effects), [&Effect::Prepare { resumed: false, part: Part::default() }]);
    assert_eq!(account_effects(&home.arrive("0", prepared())), [&Effect::Send]);
}

#[test]
fn a_refresh_that_cannot_be_prepared_sends_nothing_and_is_tried_again() {
    let mut home = Home::with_many(1);
    home.to("0", Event::RefreshNow);
    let effects = home.arrive("0", Arrival::NotPrepared(Trouble::Passing(disk_full())));
    assert!(account_effects(&effects).is_empty());
    assert_eq!(begun(&home.pass_to_wake()), 1);
}

#[test]
fn new_tokens_count_only_once_they_are_on_the_disk() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.now = later(home.now, seconds(2));
    let before = home.get("0").access;
    let effects = home.arrive("0", tokens(home.now));
    assert_eq!(account_effects(&effects), [&Effect::Save { generation: Generation(2) }]);
    assert_eq!((home.get("0").generation, home.get("0").access), (Generation(1), before));
    home.arrive("0", Arrival::Saved);
    assert_eq!(home.get("0").generation, Generation(2));
    assert_eq!(home.get("0").access, Some(Access::of(&grant(home.now), Generation(2))));
    assert_eq!(home.get("0").refreshed_at, Some(home.now.wall));
}

#[test]
fn a_lifetime_counts_from_when_the_request_was_sent() {
    let mut home = Home::with_many(1);
    home.send("0");
    let sent = home.now;
    home.now = later(home.now, seconds(30));
    home.arrive("0", tokens(sent));
    home.arrive("0", Arrival::Saved);
    assert_eq!(home.get("0").access.and_then(|access| access.expires), Some(sent.plus(HOUR)));
}

#[test]
fn a_second_wish_to_refresh_joins_the_one_under_way() {
    let mut home = Home::with_many(1);
    home.to("0", Event::RefreshNow);
    assert_eq!(begun(&home.to("0", Event::RefreshNow)), 0);
    home.arrive("0", prepared());
    assert_eq!(begun(&home.to("0", Event::RefreshNow)), 0);
    home.arrive("0", tokens(home.now));
    assert_eq!(begun(&home.to("0", Event::RefreshNow)), 0);
}

#[test]
fn a_rotated_token_that_cannot_be_written_is_written_again_and_never_replaced_by_the_old_one() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    for _ in 0..50 {
        let effects = home.arrive("0", Arrival::NotSaved(disk_full()));
        assert!(account_effects(&effects).is_empty());
        assert_eq!(begun(&home.to("0", Event::RefreshNow)), 0, "the old token is spent");
        assert_eq!(begun(&home.ask_for_token("0").1), 0, "the old token is spent");
        let effects = home.pass_to_wake();
        assert_eq!(account_effects(&effects), [&Effect::Save { generation: Generation(2) }]);
    }
    home.arrive("0", Arrival::Saved);
    assert_eq!(home.get("0").generation, Generation(2));
}

#[test]
fn a_token_that_cannot_be_written_is_tried_at_least_every_forty_seconds_and_said_once() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    let mut said = 0;
    for _ in 0..50 {
        let effects = home.arrive("0", Arrival::NotSaved(disk_full()));
        said += effects
            .iter()
            .filter(|effect| {
                matches!(effect, larder_core::effect::HouseEffect::Record { kind: EventKind::Unsaved, .. })
            })
            .count();
        assert!(home.house.wake(home.now).is_some_and(|left| left > 0 && left <= 40_000));
        home.pass_to_wake();
    }
    assert_eq!(said, 1);
}

#[test]
fn a_response_without_a_refresh_token_that_keeps_the_old_one_goes_on_refreshing() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.refreshed("0");
    assert!(matches!(home.refresh("0"), Refresh::Idle { due: Some(_) }));
}

#[test]
fn a_response_without_a_lifetime_reuses_the_last_one_reported() {
    let mut home = Home::with_many(1);
    home.send("0");
    let silent = Grant { lifetime: None, ..grant(home.now) };
    home.arrive("0", Arrival::Answered(Outcome::Tokens(silent)));
    home.arrive("0", Arrival::Saved);
    let Refresh::Idle { due } = home.refresh("0") else { panic!("{:?}", home.refresh("0")) };
    assert!(due.is_some_and(|due| due.left(home.now) > 0 && due.left(home.now) < 3_600_000), "{due:?}");
}

#[test]
fn without_any_lifetime_a_token_is_refreshed_when_somebody_wants_it_and_never_by_itself() {
    let unknown = Access { expires: None, lifetime: None, ..Access::default() };
    let mut home = Home::with(vec![signed_in("a", unknown, true)]);
    assert_eq!(begun(&home.tick()), 0);
    assert_eq!(home.house.wake(home.now), None);
    assert_eq!(begun(&home.pass(seconds(365 * 86_400))), 0);
    assert_eq!(begun(&home.to("a", Event::RefreshNow)), 1);
}

#[test]
fn an_interrupted_refresh_is_resumed_at_once() {
    let mut home = Home::with(vec![interrupted("a")]);
    assert_eq!(home.house.wake(home.now), Some(0));
    assert_eq!(account_effects(&home.tick()), [&Effect::Prepare { resumed: true, part: Part::default() }]);
}

#[test]
fn an_interrupted_refresh_has_exactly_one_more_try() {
    let mut home = Home::with(vec![interrupted("a")]);
    assert_eq!(begun(&home.tick()), 1);
    home.arrive("a", prepared());
    let refused = larder_core::problem::Why::Refused;
    let effects = home.arrive("a", Arrival::Answered(Outcome::NeedsSignIn(refused)));
    assert!(has(&effects, &Effect::SaveNeedsSignIn { why: refused }));
    assert_eq!(begun(&home.pass(seconds(86_400))), 0);
    assert_eq!(home.session("a"), &Session::NeedsSignIn { why: refused });
}

#[test]
fn an_interrupted_refresh_is_still_its_one_more_try_after_the_keychain_was_locked() {
    let mut home = Home::with(vec![interrupted("a")]);
    home.tick();
    home.arrive("a", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    let effects = home.pass_to_wake();
    assert_eq!(
        account_effects(&effects),
        [&Effect::Prepare { resumed: true, part: Part::default() }],
        "the journal starts to count anew"
    );
}

#[test]
fn an_interrupted_refresh_that_somebody_asks_for_is_resumed_too() {
    let mut home = Home::with(vec![interrupted("a")]);
    let effects = home.to("a", Event::RefreshNow);
    assert_eq!(account_effects(&effects), [&Effect::Prepare { resumed: true, part: Part::default() }]);
}

#[test]
fn an_interrupted_refresh_outlasts_a_sign_out_that_is_undone() {
    let mut home = Home::with(vec![interrupted("a")]);
    home.house.quiet = true;
    home.sign_out_undoably("a");
    home.house.quiet = false;
    let effects = home.to("a", Event::Undo);
    assert_eq!(account_effects(&effects), [&Effect::Prepare { resumed: true, part: Part::default() }]);
}

#[test]
fn a_result_of_another_operation_changes_nothing() {
    let mut home = Home::with_many(1);
    home.send("0");
    let before = home.get("0").clone();
    let stray = Event::Arrived {
        generation: Generation(1),
        operation: larder_core::names::Operation(999),
        arrival: tokens(home.now),
    };
    home.to("0", stray);
    assert_eq!(home.get("0"), &before);
}

#[test]
fn a_refresh_in_flight_goes_on_while_a_sign_out_can_be_undone() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.sign_out_undoably("0");
    home.refreshed("0");
    assert!(matches!(home.session("0"), Session::Undoable { .. }));
    home.to("0", Event::Undo);
    assert_eq!(home.get("0").generation, Generation(2));
    assert!(matches!(home.refresh("0"), Refresh::Idle { due: Some(_) }));
}

#[test]
fn no_refresh_starts_while_a_sign_out_can_be_undone() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR - UNDO - seconds(1));
    home.house.quiet = true;
    home.sign_out_undoably("0");
    home.house.quiet = false;
    assert_eq!(begun(&home.pass(seconds(2))), 0);
    assert_eq!(begun(&home.to("0", Event::RefreshNow)), 0);
}

#[test]
fn a_token_that_lives_for_a_second_makes_no_tight_loop() {
    let mut home = Home::with_many(1);
    home.send("0");
    let mut requests = 0;
    let end = later(home.now, seconds(60));
    while home.now.boot < end.boot {
        requests += 1;
        home.arrive("0", Arrival::Answered(Outcome::Tokens(Grant { lifetime: Some(seconds(1)), ..grant(home.now) })));
        let at_once = begun(&home.arrive("0", Arrival::Saved));
        assert_eq!(at_once, 0, "refreshed again in the same moment");
        home.pass_to_wake();
        home.arrive("0", prepared());
        home.now = later(home.now, Duration::from_millis(1));
    }
    assert!(requests <= 81, "{requests} in a minute");
}

#[test]
fn what_was_granted_is_what_is_known() {
    let mut home = Home::with_many(1);
    home.send("0");
    let narrower = Grant { scopes: Some(vec!["email".into()]), refreshable: false, ..grant(home.now) };
    home.arrive("0", Arrival::Answered(Outcome::Tokens(narrower)));
    home.arrive("0", Arrival::Saved);
    assert_eq!(home.get("0").identity.scopes, ["email".into()]);
    assert!(!home.get("0").refreshable);
}

/// An account at a provider whose refreshes end the access token before.
fn strict() -> Home {
    let terms = Terms { refresh_ends_access_token: true, ..Terms::default() };
    let mut account = Account { terms, ..account("0") };
    account.session = Session::SignedIn { refresh: next_due(&account, account.access) };
    Home::with(vec![account])
}

#[test]
fn where_a_refresh_ends_the_token_it_comes_late_and_askers_wait_for_it() {
    let mut home = strict();
    home.pass(HOUR - seconds(90));
    assert_eq!(home.under_way(), 0, "an ordinary refresh would have begun half an hour ago");
    let (_, effects) = home.ask("0", Want::Refresh { from: Generation(1) });
    assert_eq!(begun(&effects), 1);
    let mut asks = Vec::new();
    let mut ask = |home: &mut Home| {
        let (ask, effects) = home.ask_for_token("0");
        assert_eq!(answer(&effects, ask), None, "{:?}", home.refresh("0"));
        asks.push(ask);
    };
    ask(&mut home);
    home.arrive("0", prepared());
    ask(&mut home);
    home.arrive("0", tokens(home.now));
    ask(&mut home);
    let effects = home.arrive("0", Arrival::Saved);
    assert!(asks.iter().all(|ask| answer(&effects, *ask) == Some(Ok(()))), "{effects:?}");
}

#[test]
fn a_token_that_a_refresh_did_not_end_is_served_again() {
    let mut home = strict();
    home.send("0");
    home.arrive("0", transient(unreachable()));
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())), "the request never arrived");
    home.pass(schedule::ASKER_RETRY);
    home.to("0", Event::RefreshNow);
    home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())), "nothing was sent");
    home.to("0", Event::RefreshNow);
    home.arrive("0", prepared());
    let fix = Problem::ScopeRefused { provider: "work".to_owned(), detail: "d".to_owned() };
    home.arrive("0", Arrival::Answered(Outcome::NeedsFix(fix)));
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())), "the provider refused");
}

#[test]
fn a_token_that_a_refresh_may_have_ended_is_not_served() {
    let host = || "login.example.com".to_owned();
    let mut home = strict();
    home.send("0");
    let problem = Problem::ProviderTrouble { host: host(), status: 200 };
    home.arrive(
        "0",
        Arrival::Answered(Outcome::Transient { problem: problem.clone(), retry_after: None, spent: true }),
    );
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Err(problem)));
    // A run of the agent that ended while one was with the provider.
    let mut account = strict().get("0").clone();
    account.session = Session::SignedIn { refresh: Refresh::Journaled { hash: "hash".into() } };
    let mut home = Home::with(vec![account]);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1));
    home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    let (ask, effects) = home.ask_for_token("0");
    assert_ne!(answer(&effects, ask), Some(Ok(())));
}

#[test]
fn the_end_of_a_session_rolls_with_each_new_refresh_token_and_stays_where_it_is_kept() {
    let days = |days: u32| Duration::from_secs(86_400) * days;
    let ends = |before: Option<Now>, written: Option<u32>, said: Option<u32>, new: bool| {
        let terms = Terms { refresh_token_lifetime: written.map(days), ..Terms::default() };
        let refresh_token_lifetime = said.map(days);
        let grant = Grant { new_refresh_token: new, refresh_token_lifetime, ..grant(START) };
        session_ends(before.map(|before| before.wall), terms, &grant)
    };
    let at = |number| Some(later(START, days(number)).wall);
    let before = Some(later(START, days(7)));
    // What the answer says counts, whether it is the rest of a fixed lifetime or a new one.
    assert_eq!(ends(before, Some(90), Some(6), true), at(6));
    assert_eq!(ends(before, Some(90), Some(6), false), at(6));
    assert_eq!(ends(before, Some(90), None, true), at(90));
    assert_eq!(ends(before, Some(90), None, false), at(7));
    assert_eq!(ends(before, None, None, true), None, "nothing is known of the new one");
    assert_eq!(ends(None, Some(90), None, false), None, "an account without a refresh token");
}

#[test]
fn the_end_of_a_session_is_shown_while_there_is_one() {
    let mut home = Home::with_many(1);
    home.send("0");
    let day = Duration::from_secs(86_400);
    let outcome = Outcome::Tokens(Grant { refresh_token_lifetime: Some(day), ..grant(home.now) });
    home.arrive("0", Arrival::Answered(outcome));
    home.arrive("0", Arrival::Saved);
    let shown = |home: &Home| show::account(home.get("0"), home.now).session_ends_at;
    assert_eq!(shown(&home), Some(later(home.now, day).wall));
    home.sign_out("0");
    assert_eq!(shown(&home), None);
}

#[test]
fn a_margin_that_is_set_holds_at_once_for_whoever_is_there_and_whoever_comes() {
    let left = |home: &Home, account: &str| match home.refresh(account) {
        Refresh::Idle { due: Some(due) } => due.left(home.now),
        other => panic!("{other:?}"),
    };
    let margin = |percent| HouseEvent::Margin(Margin::try_from(percent).unwrap());
    let mut home = Home::with_many(1);
    let own = left(&home, "0");
    home.happen(margin(50));
    // Of an hour: a half and up to a quarter of that more.
    let early = left(&home, "0");
    assert!((1_350_000..=1_800_000).contains(&early), "{early}");
    assert!(home.house.wake(home.now).is_some_and(|wake| wake <= early));
    home.sign_in(attempt("t1", home.now), "new", "new");
    home.stored("t1", 1);
    let new = left(&home, "new");
    assert!((1_350_000..=1_800_000).contains(&new), "{new}");
    // After a refresh too.
    home.send("0");
    home.refreshed("0");
    let next = left(&home, "0");
    assert!((1_350_000..=1_800_000).contains(&next), "{next}");
    home.happen(HouseEvent::Margin(Margin::default()));
    assert!((own - 180_000..=own + 180_000).contains(&left(&home, "0")), "{own} {}", left(&home, "0"));
    // An account that was there when it was set is refreshed then, and not before.
    let mut home = Home::with_many(1);
    home.happen(margin(50));
    assert_eq!(begun(&home.pass(Duration::from_millis(u64::try_from(early - 1).unwrap()))), 0);
    assert_eq!(begun(&home.pass(Duration::from_millis(1))), 1);
}

#[test]
fn a_margin_changes_nothing_about_what_is_due_for_another_reason() {
    let late = Terms { refresh_ends_access_token: true, ..Terms::default() };
    let mut last_minute = Account { terms: late, ..account("late") };
    last_minute.session = Session::SignedIn { refresh: next_due(&last_minute, last_minute.access) };
    let waits = with_refresh(
        "waits",
        Refresh::Waiting {
            until: START.plus(seconds(60)),
            since: START,
            attempt: 3,
            not_before: None,
            resumed: false,
            problem: unreachable(),
        },
    );
    // Put off because the machine has just woken up.
    let woken = with_refresh("woken", Refresh::Idle { due: Some(START.plus(seconds(7))) });
    let mut home = Home::with(vec![last_minute, waits, woken, interrupted("cut-off")]);
    home.house.quiet = true;
    let before = ["late", "waits", "woken", "cut-off"].map(|name| home.session(name).clone());
    home.happen(HouseEvent::Margin(Margin::try_from(50).unwrap()));
    assert_eq!(["late", "waits", "woken", "cut-off"].map(|name| home.session(name).clone()), before);
}
