//! Further access tokens of a grant: for some of its scopes, or for another resource.

mod common;

use common::*;
use larder_core::account::parts::MOST;
use larder_core::account::{Account, Event, GrantType, Refresh, Session, Terms, next_due};
use larder_core::effect::{Arrival, Effect, Grant, HouseEffect, Outcome};
use larder_core::house::{Want, Wanted};
use larder_core::names::{Generation, Part, Scope};
use larder_core::problem::{Problem, Why};
use larder_core::schedule::REJECTED_REST;

fn email() -> Part {
    Part::new(None, &["email".into()])
}

fn resource(number: usize) -> Part {
    Part::new(Some(&format!("https://{number:02}.example")), &[])
}

/// An account that was signed in for these resources too.
fn home() -> Home {
    let mut account = account("0");
    account.parts.resources = (0..MOST + 3).map(|number| resource(number).resource).collect();
    Home::with(vec![account])
}

fn ask(home: &mut Home, part: &Part) -> (u64, Vec<HouseEffect>) {
    home.ask("0", Want::Token(Wanted { part: part.clone(), ..Wanted::default() }))
}

/// Asks for this part, which is not kept yet, and lets its refresh end well.
fn get(home: &mut Home, part: &Part) -> Vec<HouseEffect> {
    let (ask, effects) = ask(home, part);
    assert_eq!((answer(&effects, ask), begun(&effects)), (None, 1), "{part:?}");
    assert!(has(&effects, &Effect::Prepare { resumed: false, part: part.clone() }), "{effects:?}");
    home.arrive("0", prepared());
    let effects = home.refreshed("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
    effects
}

fn hands_out(home: &mut Home, part: &Part) -> bool {
    let (ask, effects) = ask(home, part);
    effects == [HouseEffect::HandOut { ask, account: "0".into(), part: part.clone() }]
}

#[test]
fn a_part_has_one_name_whatever_order_its_scopes_come_in() {
    let scopes = |text: &str| text.split(' ').map(Scope::from).collect::<Vec<_>>();
    assert_eq!(Part::new(None, &scopes("b a b")), Part::new(None, &scopes("a b")));
    assert!(Part::new(None, &[]).is_whole() && !email().is_whole() && !resource(0).is_whole());
}

#[test]
fn another_token_is_asked_for_once_and_served_while_it_lives() {
    let mut home = home();
    let own = home.get("0").access;
    get(&mut home, &email());
    assert!(hands_out(&mut home, &email()));
    assert!(hands_out(&mut home, &Part::default()), "the account's own is still there");
    assert_eq!(home.get("0").access, own);
    assert_eq!(home.get("0").generation, Generation(2), "a rotated refresh token is stored with it");
    // The account's own is refreshed when it was due anyway, and leaves the other alone.
    home.pass(HOUR * 8 / 10);
    home.arrive("0", prepared());
    home.refreshed("0");
    home.pass(HOUR / 20);
    assert!(hands_out(&mut home, &email()));
    home.pass(HOUR / 10);
    get(&mut home, &email());
}

#[test]
fn one_request_of_a_grant_is_in_flight_whatever_is_asked_for() {
    let mut home = home();
    home.now = later(home.now, HOUR);
    home.tick();
    let asks: Vec<_> =
        (0..50).map(|number| ask(&mut home, &if number % 2 == 0 { email() } else { resource(0) })).collect();
    assert_eq!(asks.iter().map(|(_, effects)| begun(effects)).sum::<usize>(), 0);
    assert_eq!(home.under_way(), 1);
    for _ in 0..3 {
        home.arrive("0", prepared());
        home.refreshed("0");
        assert!(home.under_way() <= 1);
    }
    assert_eq!(home.under_way(), 0, "its own, and one for each part");
    assert!(hands_out(&mut home, &email()) && hands_out(&mut home, &resource(0)));
}

#[test]
fn a_scope_that_was_not_granted_is_refused_before_anything_is_sent() {
    let mut home = home();
    let (asker, effects) = ask(&mut home, &Part::new(None, &["email".into(), "files".into()]));
    let problem = Problem::ScopeNotGranted { account: "0".to_owned(), scope: "files".to_owned() };
    assert_eq!((answer(&effects, asker), begun(&effects)), (Some(Err(problem)), 0));
}

#[test]
fn a_resource_that_was_not_signed_in_for_is_refused_unless_nothing_can_be_spent() {
    let mut home = Home::with_many(1);
    let (asker, effects) = ask(&mut home, &resource(0));
    let problem = Problem::ResourceNotGranted { account: "0".to_owned(), resource: resource(0).resource };
    assert_eq!((answer(&effects, asker), begun(&effects)), (Some(Err(problem)), 0));
    let mut account = account("0");
    account.identity.grant_type = GrantType::ClientCredentials;
    get(&mut Home::with(vec![account]), &resource(0));
}

#[test]
fn what_the_provider_refuses_a_part_is_told_and_the_account_goes_on() {
    let refused = Problem::ScopeRefused { provider: "work".to_owned(), detail: "not that one".to_owned() };
    let mut home = home();
    let due = home.refresh("0").clone();
    let (asker, _) = ask(&mut home, &email());
    home.arrive("0", prepared());
    let effects = home.arrive("0", Arrival::Answered(Outcome::NeedsFix(refused)));
    let problem = Problem::PartRefused { account: "0".to_owned(), detail: "not that one".to_owned() };
    assert_eq!(answer(&effects, asker), Some(Err(problem.clone())));
    assert!(discards(&effects));
    assert_eq!(*home.refresh("0"), due, "as if nothing had been");
    assert!(hands_out(&mut home, &Part::default()));
    // Whoever asks for it in a loop troubles nobody.
    let (asker, effects) = ask(&mut home, &email());
    assert_eq!((answer(&effects, asker), begun(&effects)), (Some(Err(problem)), 0));
    home.pass(REJECTED_REST);
    assert_eq!(begun(&ask(&mut home, &email()).1), 1);
}

#[test]
fn only_an_ordinary_refresh_says_that_a_session_is_over() {
    for (why, refreshes) in [(Why::Refused, 1), (Why::Interaction, 0)] {
        let mut home = home();
        let (asker, _) = ask(&mut home, &resource(0));
        home.arrive("0", prepared());
        let effects = home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(why)));
        assert!(matches!(answer(&effects, asker), Some(Err(Problem::PartRefused { .. }))), "{effects:?}");
        assert_eq!(begun(&effects) + begun(&home.tick()), refreshes, "{why:?}");
        assert!(matches!(home.session("0"), Session::SignedIn { .. }));
    }
    let mut home = home();
    ask(&mut home, &resource(0));
    for _ in 0..2 {
        home.arrive("0", prepared());
        home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(Why::Refused)));
    }
    assert_eq!(*home.session("0"), Session::NeedsSignIn { why: Why::Refused });
}

#[test]
fn where_a_refresh_ends_the_others_one_token_is_kept_at_a_time() {
    let terms = Terms { refresh_ends_access_token: true, ..Terms::default() };
    let mut account = Account { terms, ..account("0") };
    account.session = Session::SignedIn { refresh: next_due(&account, account.access) };
    let mut home = Home::with(vec![account]);
    get(&mut home, &email());
    assert!(hands_out(&mut home, &email()));
    // The account's own has ended: it is asked for when somebody wants it, not before the other's last minute.
    assert_eq!(begun(&home.pass(HOUR / 2)), 0);
    let (asker, effects) = ask(&mut home, &Part::default());
    assert_eq!((answer(&effects, asker), begun(&effects)), (None, 1));
    home.arrive("0", prepared());
    home.refreshed("0");
    assert!(home.get("0").parts.access.is_empty(), "that one has ended in turn");
}

#[test]
fn a_narrower_answer_changes_nothing_of_what_was_granted() {
    let mut home = home();
    let granted = home.get("0").identity.scopes.clone();
    ask(&mut home, &email());
    home.arrive("0", prepared());
    let grant = Grant { scopes: Some(vec!["email".into()]), ..grant(home.now) };
    home.arrive("0", Arrival::Answered(Outcome::Tokens(grant)));
    home.arrive("0", Arrival::Saved);
    assert_eq!(home.get("0").identity.scopes, granted);
}

#[test]
fn so_many_are_kept_and_the_first_to_end_makes_room() {
    let mut home = home();
    for number in 0..MOST + 3 {
        get(&mut home, &resource(number));
        home.pass(seconds(1));
    }
    assert_eq!(home.get("0").parts.access.len(), MOST);
    assert!(!home.get("0").parts.access.contains_key(&resource(2)));
    assert!(hands_out(&mut home, &resource(MOST + 2)));
}

#[test]
fn one_that_is_lost_is_asked_for_anew_and_one_that_is_rejected_is_replaced_once() {
    let mut home = home();
    get(&mut home, &email());
    home.to("0", Event::Lost(email()));
    get(&mut home, &email());
    let rejects = |home: &mut Home| {
        let rejected = home.get("0").token(&email()).map(|access| access.issued);
        home.ask("0", Want::Token(Wanted { rejected, part: email(), ..Wanted::default() }))
    };
    let (asker, effects) = rejects(&mut home);
    assert_eq!(begun(&effects), 1);
    home.arrive("0", prepared());
    assert_eq!(answer(&home.refreshed("0"), asker), Some(Ok(())));
    let (asker, effects) = rejects(&mut home);
    assert_eq!(answer(&effects, asker), Some(Err(Problem::TokenRejected { account: "0".to_owned() })));
    assert!(hands_out(&mut home, &Part::default()));
}

#[test]
fn a_try_that_failed_goes_on_as_an_ordinary_refresh() {
    let mut home = home();
    let (asker, _) = ask(&mut home, &email());
    home.arrive("0", prepared());
    let effects = home.arrive("0", transient(unreachable()));
    assert_eq!(answer(&effects, asker), Some(Err(unreachable())));
    assert!(matches!(home.refresh("0"), Refresh::Waiting { .. }));
    let effects = home.pass_to_wake();
    assert!(has(&effects, &Effect::Prepare { resumed: false, part: Part::default() }), "{effects:?}");
}
