//! Errors are three: what passes, what needs its person, what needs a correction.

mod common;

use common::*;
use larder_core::account::{Access, Event, Refresh, Session};
use larder_core::effect::{Arrival, Effect, HouseEffect, Outcome, Trouble};
use larder_core::house::{HouseEvent, Want};
use larder_core::problem::{Problem, Why};
use larder_core::view::EventKind;

fn client_refused() -> Problem {
    Problem::ClientRefused {
        provider: "work".to_owned(),
        error: "invalid_client".to_owned(),
        detail: "unknown".to_owned(),
    }
}

#[test]
fn only_invalid_grant_and_its_kin_end_a_session() {
    let answers = [
        transient(unreachable()),
        transient(Problem::ProviderTrouble { host: "h".to_owned(), status: 500 }),
        transient(Problem::Internal { detail: "d".to_owned() }),
        rate_limited(START, seconds(1)),
        Arrival::Answered(Outcome::NeedsFix(client_refused())),
        tokens(START),
    ];
    for answered in answers {
        let mut home = Home::with_many(1);
        home.send("0");
        home.arrive("0", answered.clone());
        assert!(matches!(home.session("0"), Session::SignedIn { .. }), "{answered:?}");
        assert!(home.get("0").access.is_some() && home.get("0").refreshable);
    }
    for why in [Why::Refused, Why::Interaction] {
        let mut home = Home::with_many(1);
        home.send("0");
        home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(why)));
        assert_eq!(home.session("0"), &Session::NeedsSignIn { why });
    }
}

#[test]
fn what_a_refresh_brought_for_somebody_else_is_given_back_and_never_saved() {
    let mut home = Home::with_many(1);
    home.send("0");
    let why = Why::IdTokenRejected;
    let effects = home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(why)));
    assert!(has(&effects, &Effect::RevokeLate) && has(&effects, &Effect::SaveNeedsSignIn { why }));
    assert!(!effects.iter().any(|effect| {
        matches!(effect, HouseEffect::Account { effect: Effect::Save { .. } | Effect::Discard { .. }, .. })
    }));
    assert_eq!(home.session("0"), &Session::NeedsSignIn { why });
}

#[test]
fn a_session_that_ended_is_said_once_and_asked_about_never_again() {
    let mut home = Home::with_many(2);
    home.send("0");
    let effects = home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(Why::Refused)));
    assert!(has(&effects, &Effect::SaveNeedsSignIn { why: Why::Refused }));
    let failed = |effect: &HouseEffect| matches!(effect, HouseEffect::Record { kind: EventKind::RefreshFailed, .. });
    assert_eq!(effects.iter().filter(|effect| failed(effect)).count(), 1);
    home.to("0", Event::RefreshNow);
    home.ask_for_token("0");
    home.happen(HouseEvent::Corrected { provider: provider("work") });
    home.pass(seconds(86_400));
    assert!(home.pending.iter().all(|pending| pending.account.as_str() == "1"));
    assert!(matches!(home.session("1"), Session::SignedIn { .. }), "the other one is not affected");
}

#[test]
fn a_provider_that_is_down_for_a_day_sees_fewer_than_sixty_requests() {
    let mut home = Home::with_many(1);
    home.send("0");
    let (mut requests, end) = (0, later(home.now, seconds(86_400)));
    while home.now.boot < end.boot {
        requests += 1;
        home.arrive("0", transient(unreachable()));
        assert_eq!(begun(&home.pass_to_wake()), 1);
        home.arrive("0", prepared());
    }
    assert!(requests < 60, "{requests}");
    home.refreshed("0");
    assert!(matches!(home.refresh("0"), Refresh::Idle { due: Some(_) }), "and then it works again");
}

#[test]
fn a_pause_that_the_provider_asked_for_is_kept_to_the_last_moment() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", rate_limited(home.now, seconds(120)));
    let (ask, effects) = home.ask("0", Want::Refresh { from: home.get("0").generation });
    assert!(matches!(answer(&effects, ask), Some(Err(Problem::RateLimited { .. }))));
    for _ in 0..119 {
        assert_eq!(begun(&home.pass(seconds(1))), 0);
    }
    home.pass(seconds(60));
    assert_eq!(home.under_way(), 1);
}

#[test]
fn an_asker_brings_no_retry_forward_where_the_provider_named_the_time() {
    let mut home = Home::with_many(1);
    home.send("0");
    let busy = Problem::ProviderTrouble { host: "login.example.com".to_owned(), status: 503 };
    home.arrive(
        "0",
        Arrival::Answered(Outcome::Transient { problem: busy, retry_after: Some(seconds(120)), spent: false }),
    );
    home.pass(seconds(60));
    let (_, effects) = home.ask("0", Want::Refresh { from: home.get("0").generation });
    assert_eq!(begun(&effects), 0, "503 with Retry-After: 120, asked again after 60 s");
}

#[test]
fn a_night_with_a_locked_keychain_does_not_slow_the_first_retry_of_the_network() {
    let mut home = Home::with_many(1);
    home.to("0", Event::RefreshNow);
    for _ in 0..1000 {
        home.arrive("0", Arrival::NotPrepared(Trouble::Passing(Problem::KeychainLocked)));
        home.pass_to_wake();
    }
    home.arrive("0", prepared());
    home.arrive("0", transient(unreachable()));
    assert!(home.house.wake(home.now).is_some_and(|left| left <= 10_000), "{:?} ms", home.house.wake(home.now));
}

#[test]
fn what_needs_a_correction_is_not_tried_before_the_configuration_changes() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsFix(client_refused())));
    assert_eq!(begun(&home.pass(seconds(86_400))), 0);
    assert_eq!(home.house.wake(home.now), None);
    assert_eq!(begun(&home.to("0", Event::RefreshSoon)), 0);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!((answer(&effects, ask), begun(&effects)), (Some(Err(client_refused())), 0));
    assert_eq!(begun(&home.happen(HouseEvent::Corrected { provider: provider("other") })), 0);
    assert_eq!(begun(&home.happen(HouseEvent::Corrected { provider: provider("work") })), 1);
}

#[test]
fn what_was_corrected_at_the_provider_is_found_out_by_a_person_who_tries_and_not_by_programs() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsFix(client_refused())));
    let refresh = Want::Refresh { from: home.get("0").generation };
    home.now = later(home.now, seconds(1));
    assert_eq!(begun(&home.ask("0", refresh.clone()).1), 0, "not within moments of the last try");
    home.now = later(home.now, seconds(10));
    assert_eq!(begun(&home.ask_for_token("0").1), 0);
    assert_eq!(begun(&home.ask("0", refresh).1), 1);
}

#[test]
fn a_correction_during_a_sign_out_that_is_undone_counts_too() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsFix(client_refused())));
    home.sign_out_undoably("0");
    home.happen(HouseEvent::Corrected { provider: provider("work") });
    assert_eq!(begun(&home.to("0", Event::Undo)), 1, "{:?}", home.session("0"));
}

#[test]
fn a_missing_key_and_a_changed_row_need_their_person() {
    for why in [Why::KeyMissing, Why::Unreadable] {
        let mut home = Home::with_many(1);
        home.to("0", Event::RefreshNow);
        home.arrive("0", Arrival::NotPrepared(Trouble::Lasting(why)));
        assert_eq!(home.session("0"), &Session::NeedsSignIn { why });
        assert_eq!(home.house.wake(home.now), None);
    }
}

#[test]
fn without_a_refresh_token_the_session_ends_with_its_access_token() {
    let access = Access { expires: Some(START.plus(HOUR)), lifetime: Some(3_600_000), ..Access::default() };
    let mut home = Home::with(vec![signed_in("a", access, false)]);
    let (ask, effects) = home.ask_for_token("a");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
    assert_eq!(begun(&home.to("a", Event::RefreshNow)), 0);
    home.pass(HOUR - seconds(1));
    assert!(matches!(home.session("a"), Session::SignedIn { .. }));
    let effects = home.pass(seconds(2));
    assert!(has(&effects, &Effect::SaveNeedsSignIn { why: Why::NoRefreshToken }));
    assert_eq!(home.session("a"), &Session::NeedsSignIn { why: Why::NoRefreshToken });
}

#[test]
fn a_session_without_a_refresh_token_ends_in_the_very_moment_its_token_does() {
    let access = Access { expires: Some(START.plus(HOUR)), lifetime: Some(3_600_000), ..Access::default() };
    let mut home = Home::with(vec![signed_in("a", access, false)]);
    home.pass(HOUR);
    assert!(home.house.wake(home.now).is_none_or(|left| left > 0), "woken for nothing, again and again");
}
