//! What is shown is what is: one word for each account, three shapes for the tray.

mod common;

use common::*;
use larder_core::account::{Access, Account, Event, UNDO};
use larder_core::effect::{Arrival, Outcome, Trouble};
use larder_core::house::HouseEvent;
use larder_core::problem::{Problem, Why};
use larder_core::show;
use larder_core::view::{AccountState, AccountView, HouseView, KeychainState, TrayState};

fn view(home: &Home) -> HouseView {
    show::house(&home.house, Vec::new(), Vec::new(), "Secret Service", home.now)
}

fn shown(home: &Home, account: &str) -> AccountView {
    let found = view(home).accounts.into_iter().find(|known| known.id.as_str() == account);
    let Some(found) = found else { panic!("{account} is not shown") };
    found
}

fn state(home: &Home) -> (AccountState, TrayState) {
    (shown(home, "0").state, view(home).tray)
}

#[test]
fn a_refresh_shows_as_one_from_its_first_step_to_its_last() {
    let mut home = Home::with_many(1);
    assert_eq!(state(&home), (AccountState::Fresh, TrayState::Fresh));
    home.to("0", Event::RefreshNow);
    assert_eq!(state(&home), (AccountState::Refreshing, TrayState::Refreshing));
    home.arrive("0", prepared());
    assert_eq!(state(&home), (AccountState::Refreshing, TrayState::Refreshing));
    home.arrive("0", tokens(home.now));
    assert_eq!(state(&home), (AccountState::Refreshing, TrayState::Refreshing));
    home.arrive("0", Arrival::Saved);
    assert_eq!(state(&home), (AccountState::Fresh, TrayState::Fresh));
}

#[test]
fn an_account_says_what_is_in_its_way_and_when_it_is_tried_again() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", transient(unreachable()));
    let shown = shown(&home, "0");
    assert_eq!((shown.state, shown.problem), (AccountState::Waiting, Some(unreachable())));
    assert!(shown.refresh_at.is_some_and(|at| at > home.now.wall));
}

#[test]
fn only_what_a_person_can_do_something_about_wants_attention() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", transient(unreachable()));
    assert_eq!(view(&home).tray, TrayState::Fresh, "offline for a moment, and the token is good");

    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(Why::Refused)));
    assert_eq!(state(&home), (AccountState::SignInAgain, TrayState::Attention));
    let problem = Problem::SignInNeeded { account: "0".to_owned(), why: Why::Refused };
    assert_eq!(shown(&home, "0").problem, Some(problem));

    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsFix(unreachable())));
    assert_eq!(state(&home), (AccountState::Blocked, TrayState::Attention));

    let mut home = Home::with_many(1);
    home.to("0", Event::RefreshNow);
    home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
    assert_eq!(state(&home), (AccountState::Waiting, TrayState::Attention));
}

#[test]
fn a_rotated_token_that_cannot_be_written_wants_attention() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    home.arrive("0", Arrival::NotSaved(disk_full()));
    assert_eq!(shown(&home, "0").problem, Some(disk_full()));
    assert_eq!(state(&home), (AccountState::Waiting, TrayState::Attention), "the session ends with the agent");
}

#[test]
fn a_problem_of_the_whole_house_wants_attention() {
    let home = Home::with_many(1);
    let view = show::house(&home.house, Vec::new(), vec![disk_full()], "Secret Service", home.now);
    assert_eq!((view.tray, view.problems), (TrayState::Attention, vec![disk_full()]));
}

#[test]
fn attention_is_not_hidden_by_a_refresh() {
    let mut home = Home::with_many(2);
    home.send("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(Why::Refused)));
    home.to("1", Event::RefreshNow);
    assert_eq!(view(&home).tray, TrayState::Attention);
}

#[test]
fn a_token_that_has_ended_is_not_shown_as_fresh() {
    let mut home = Home::with_many(5);
    home.pass(HOUR + seconds(1));
    let fresh: Vec<_> =
        view(&home).accounts.into_iter().filter(|account| account.state == AccountState::Fresh).collect();
    assert!(fresh.is_empty(), "the fifth waits for a place, and its token ended: {fresh:?}");
}

#[test]
fn a_sign_out_shows_until_when_it_can_be_undone_and_then_that_it_goes_on() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    let undoable = shown(&home, "0");
    assert_eq!((undoable.state, undoable.undo_until), (AccountState::Undoable, Some(home.now.plus(UNDO).wall)));
    assert_eq!(undoable.refresh_at, None);
    home.pass(UNDO);
    assert_eq!(state(&home).0, AccountState::SigningOut);
    home.arrive("0", Arrival::Marked);
    home.arrive("0", Arrival::Cleared);
    home.arrive("0", Arrival::KeyKept(Problem::KeychainLocked));
    assert_eq!(state(&home), (AccountState::SigningOut, TrayState::Attention));
    home.happen(HouseEvent::Keychain(KeychainState::Open));
    home.arrive("0", Arrival::KeyDeleted);
    home.arrive("0", Arrival::Closed);
    assert_eq!(state(&home), (AccountState::SignedOut, TrayState::Fresh));
}

#[test]
fn a_sign_out_that_cannot_be_written_says_so() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.arrive("0", Arrival::NotSaved(disk_full()));
    assert_eq!(shown(&home, "0").problem, Some(disk_full()));
}

#[test]
fn what_was_cleared_is_not_shown_any_more() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.cleared("0");
    let shown = shown(&home, "0");
    assert_eq!((shown.expires_at, shown.lifetime, shown.refresh_at, shown.problem), (None, None, None, None));
    assert_eq!(shown.label, "0", "the row stays, so signing in again is one click");
}

#[test]
fn the_next_refresh_is_the_earliest_one() {
    let sooner = Access { expires: Some(START.plus(HOUR / 2)), lifetime: Some(1_800_000), ..Access::default() };
    let home = Home::with(vec![account("0"), signed_in("1", sooner, true), account("2")]);
    let next = view(&home).next_refresh;
    assert_eq!(next.as_ref().map(|next| next.account.as_str()), Some("1"));
    assert_eq!(next.map(|next| next.at), shown(&home, "1").refresh_at);
    assert_eq!(view(&Home::with(Vec::new())).next_refresh, None);
}

#[test]
fn every_state_can_be_shown_before_and_after_every_time() {
    let steps: [&[Arrival]; 10] = [
        &[],
        &[prepared()],
        &[prepared(), tokens(START)],
        &[prepared(), tokens(START), Arrival::NotSaved(disk_full())],
        &[prepared(), tokens(START), Arrival::Saved],
        &[prepared(), transient(unreachable())],
        &[prepared(), rate_limited(START, HOUR)],
        &[prepared(), Arrival::Answered(Outcome::NeedsFix(unreachable()))],
        &[prepared(), Arrival::Answered(Outcome::NeedsSignIn(Why::Refused))],
        &[Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked))],
    ];
    for (sign_out, undoable) in [(false, false), (true, true), (true, false)] {
        for steps in steps {
            for access in [Some(Access { expires: None, lifetime: None, ..Access::default() }), account("0").access] {
                let mut home = Home::with(vec![Account { access, ..account("0") }]);
                home.to("0", Event::RefreshNow);
                for arrival in steps {
                    home.arrive("0", arrival.clone());
                }
                if sign_out {
                    home.to("0", Event::SignOut { undoable, forget: false, revoke: true });
                }
                for now in [larder_core::time::Now::default(), START, later(START, HOUR * 1000)] {
                    home.now = now;
                    assert_eq!(view(&home).at, now.wall);
                }
            }
        }
    }
}

#[test]
fn no_view_holds_more_than_public_facts() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.happen(HouseEvent::AttemptStarted(Box::new(attempt("t", START))));
    let Ok(json) = serde_json::to_string(&view(&home)) else { panic!("a view is JSON") };
    assert!(!json.contains("state-of-t") && !json.contains("hash"), "{json}");
}
