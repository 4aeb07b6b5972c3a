//! A sign-in: single use, bound to what it began with, and known only at its end.

mod common;

use common::*;
use larder_core::account::{Event, GrantType, Session};
use larder_core::arranging::free_label;
use larder_core::attempt::{Attempt, AuthorizationError, LIFETIME, Phase, Redirected};
use larder_core::effect::{Arrival, Effect, HouseEffect};
use larder_core::house::{HouseEvent, callback_verdict};
use larder_core::names::Generation;
use larder_core::problem::{Problem, Why};
use larder_core::view::{AttemptPhase, EventKind, RedirectKind};

fn start(home: &mut Home, attempt: Attempt) {
    home.happen(HouseEvent::AttemptStarted(Box::new(attempt)));
}

/// A sign-in that waits in a house without accounts.
fn waiting() -> Home {
    let mut home = Home::with(Vec::new());
    start(&mut home, attempt("t", START));
    home
}

fn phase<'a>(home: &'a Home, attempt: &str) -> &'a Phase {
    let found = home.house.attempts.iter().find(|known| known.id.as_str() == attempt);
    let Some(found) = found else { panic!("there is no sign-in {attempt}") };
    &found.phase
}

fn store(effects: &[HouseEffect]) -> Option<(&str, &str, bool)> {
    effects.iter().find_map(|effect| match effect {
        HouseEffect::Store { account, label, keep_key, .. } => Some((account.as_str(), label.as_str(), *keep_key)),
        _ => None,
    })
}

fn gives_back(effects: &[HouseEffect], attempt: &str) -> bool {
    effects.contains(&HouseEffect::RevokeAttempt { attempt: id(attempt) })
}

fn forgets(effects: &[HouseEffect], attempt: &str) -> bool {
    effects.contains(&HouseEffect::ForgetAttempt { attempt: id(attempt) })
}

fn exchanges(effects: &[HouseEffect]) -> bool {
    effects.iter().any(|effect| matches!(effect, HouseEffect::Exchange { .. }))
}

#[test]
fn a_sign_in_is_exchanged_then_stored_then_said() {
    let mut home = waiting();
    assert_eq!(home.happen(redirect("t")), [HouseEffect::Exchange { attempt: id("t") }]);
    let effects = home.happen(exchanged("t", "ada", "new", START));
    assert_eq!(store(&effects), Some(("new", "work", false)));
    assert!(home.house.accounts.is_empty(), "stored before published");
    let effects = home.stored("t", 1);
    assert!(forgets(&effects, "t"));
    assert!(matches!(effects.last(), Some(HouseEffect::Record { kind: EventKind::SignedIn, .. })));
    assert!(matches!(home.session("new"), Session::SignedIn { .. }));
    assert_eq!(home.get("new").identity.subject, "ada");
    assert!(home.house.attempts.is_empty());
}

#[test]
fn a_second_copy_of_a_redirect_is_a_silent_no_op() {
    let mut home = waiting();
    home.happen(redirect("t"));
    assert_eq!(home.happen(redirect("t")), []);
    home.happen(exchanged("t", "ada", "new", START));
    assert_eq!(home.happen(redirect("t")), []);
    home.stored("t", 1);
    assert_eq!(home.happen(redirect("t")), []);
    assert_eq!(callback_verdict(&home.house, &state("t"), home.now), Err(Problem::CallbackUsed));
}

#[test]
fn a_redirect_without_a_waiting_sign_in_sends_nothing() {
    let mut home = waiting();
    let effects = home.happen(redirect("forged"));
    assert!(matches!(
        effects.as_slice(),
        [HouseEffect::Record {
            kind: EventKind::CallbackRefused,
            account: None,
            program: None,
            problem: Some(Problem::UnknownCallback)
        }]
    ));
    assert_eq!(phase(&home, "t"), &Phase::Waiting, "the one that waits is not touched");
    assert_eq!(callback_verdict(&home.house, &state("forged"), home.now), Err(Problem::UnknownCallback));
    assert_eq!(callback_verdict(&home.house, &state("t"), home.now), Ok(id("t")));
}

#[test]
fn what_is_no_redirect_at_all_is_written_down_and_touches_nothing() {
    let mut home = waiting();
    let problem = Problem::BadCallback { detail: "code twice".to_owned() };
    let effects = home.happen(HouseEvent::CallbackRefused(problem.clone()));
    let refused =
        HouseEffect::Record { kind: EventKind::CallbackRefused, account: None, program: None, problem: Some(problem) };
    assert_eq!(effects, [refused]);
    assert_eq!(phase(&home, "t"), &Phase::Waiting);
}

#[test]
fn each_of_several_sign_ins_gets_its_own_redirect() {
    let mut home = waiting();
    start(&mut home, attempt("u", START));
    assert_eq!(home.happen(redirect("u")), [HouseEffect::Exchange { attempt: id("u") }]);
    assert_eq!(phase(&home, "t"), &Phase::Waiting);
}

#[test]
fn a_sign_in_ends_after_ten_minutes_and_its_redirect_sends_nothing() {
    let mut home = waiting();
    assert_eq!(home.house.wake(home.now), Some(600_000));
    assert!(forgets(&home.pass(LIFETIME), "t"));
    assert_eq!(phase(&home, "t"), &Phase::Failed { problem: Problem::AttemptExpired { minutes: 10 } });
    assert!(!exchanges(&home.happen(redirect("t"))));
    home.pass(LIFETIME);
    assert!(home.house.attempts.is_empty(), "what failed is shown for a while, then goes");
    assert_eq!(home.house.wake(home.now), None);
}

#[test]
fn ten_minutes_are_ten_minutes_whether_or_not_anybody_looked() {
    let mut home = waiting();
    home.now = later(home.now, seconds(12 * 3600));
    assert_eq!(callback_verdict(&home.house, &state("t"), home.now), Err(Problem::UnknownCallback));
    assert!(!exchanges(&home.happen(redirect("t"))), "the machine slept, and this is the first thing that happens");
}

#[test]
fn saying_no_at_the_provider_is_not_an_error_of_anybody() {
    let mut home = waiting();
    let no = AuthorizationError { error: "access_denied".to_owned(), description: String::new() };
    let effects = home.happen(HouseEvent::Redirected(Redirected { state: state("t"), answer: Err(no) }));
    assert!(!exchanges(&effects) && forgets(&effects, "t"));
    assert_eq!(phase(&home, "t"), &Phase::Failed { problem: Problem::ConsentDenied { provider: "work".to_owned() } });
}

#[test]
fn an_error_of_the_providers_page_ends_the_sign_in_and_says_which() {
    let mut home = waiting();
    let error = AuthorizationError { error: "server_error".to_owned(), description: "sorry".to_owned() };
    home.happen(HouseEvent::Redirected(Redirected { state: state("t"), answer: Err(error) }));
    assert!(matches!(
        phase(&home, "t"),
        Phase::Failed { problem: Problem::AuthorizationFailed { error, .. } } if error == "server_error"
    ));
}

#[test]
fn an_error_without_a_description_makes_a_whole_sentence() {
    let mut home = waiting();
    let error = AuthorizationError { error: "server_error".to_owned(), description: String::new() };
    home.happen(HouseEvent::Redirected(Redirected { state: state("t"), answer: Err(error) }));
    let Phase::Failed { problem } = phase(&home, "t") else { panic!("{:?}", phase(&home, "t")) };
    let sentence = larder_core::words::sentence(problem);
    assert!(!sentence.contains(": )") && !sentence.contains("()"), "{sentence}");
}

#[test]
fn a_failed_exchange_stores_nothing_and_says_why() {
    let mut home = waiting();
    home.happen(redirect("t"));
    let event = HouseEvent::Exchanged { attempt: id("t"), result: Err(unreachable()), fresh: "new".into() };
    let effects = home.happen(event);
    assert_eq!(store(&effects), None);
    assert_eq!(phase(&home, "t"), &Phase::Failed { problem: unreachable() });
    assert!(home.house.accounts.is_empty());
}

#[test]
fn a_sign_in_that_fails_late_still_says_why() {
    let mut home = waiting();
    home.pass(LIFETIME - seconds(1));
    home.happen(redirect("t"));
    home.pass(seconds(20));
    let event = HouseEvent::Exchanged { attempt: id("t"), result: Err(unreachable()), fresh: "new".into() };
    home.happen(event);
    let shown = home.house.attempts.iter().map(|attempt| attempt.view().problem).collect::<Vec<_>>();
    assert_eq!(shown, [Some(unreachable())], "its person is told that it was cancelled");
}

#[test]
fn what_cannot_be_stored_is_given_back() {
    let mut home = waiting();
    home.happen(redirect("t"));
    home.happen(exchanged("t", "ada", "new", START));
    let effects = home.happen(HouseEvent::Stored { attempt: id("t"), result: Err(Problem::KeychainLocked) });
    assert!(gives_back(&effects, "t"));
    assert_eq!(phase(&home, "t"), &Phase::Failed { problem: Problem::KeychainLocked });
    assert!(home.house.accounts.is_empty());
}

#[test]
fn a_failed_sign_in_goes_when_its_person_has_seen_it() {
    let mut home = waiting();
    home.pass(LIFETIME);
    home.happen(HouseEvent::AttemptDismissed { attempt: id("t") });
    assert!(home.house.attempts.is_empty());
}

#[test]
fn a_cancelled_sign_in_gives_its_tokens_back() {
    let mut home = waiting();
    home.happen(redirect("t"));
    home.happen(HouseEvent::AttemptDismissed { attempt: id("t") });
    let effects = home.happen(exchanged("t", "ada", "new", START));
    assert!(gives_back(&effects, "t"));
    assert_eq!(store(&effects), None);
    assert!(home.house.accounts.is_empty());
}

#[test]
fn a_cancelled_sign_in_is_forgotten_only_once_its_tokens_are_given_back() {
    let mut home = waiting();
    home.happen(redirect("t"));
    let mut effects = home.happen(HouseEvent::AttemptDismissed { attempt: id("t") });
    effects.extend(home.happen(exchanged("t", "ada", "new", START)));
    let first = |wanted: &HouseEffect| effects.iter().position(|effect| effect == wanted);
    let given_back = first(&HouseEffect::RevokeAttempt { attempt: id("t") });
    let forgotten = first(&HouseEffect::ForgetAttempt { attempt: id("t") });
    assert!(given_back < forgotten, "with its endpoints forgotten, nothing can be given back: {effects:?}");
}

#[test]
fn cancelling_what_is_being_stored_leaves_no_account_that_nobody_knows() {
    let mut home = waiting();
    home.happen(redirect("t"));
    home.happen(exchanged("t", "ada", "new", START));
    home.happen(HouseEvent::AttemptDismissed { attempt: id("t") });
    home.stored("t", 1);
    assert!(home.house.accounts.iter().any(|account| account.id.as_str() == "new"), "key and row are on the disk");
}

#[test]
fn signing_in_again_renews_the_account_it_belongs_to() {
    let mut home = Home::with_many(2);
    home.send("0");
    home.arrive("0", Arrival::Answered(larder_core::effect::Outcome::NeedsSignIn(Why::Refused)));
    let again = Attempt { account: Some("0".into()), ..attempt("t", home.now) };
    let effects = home.sign_in(again, "sub-0", "new");
    assert_eq!(store(&effects), Some(("0", "0", false)));
    home.stored("t", 2);
    assert!(matches!(home.session("0"), Session::SignedIn { .. }));
    assert_eq!((home.get("0").generation, home.house.accounts.len()), (Generation(2), 2));
}

#[test]
fn a_person_who_is_known_already_gets_no_second_account() {
    let mut home = Home::with_many(2);
    let effects = home.sign_in(attempt("t", START), "sub-1", "new");
    assert_eq!(store(&effects), Some(("1", "1", true)), "and its key goes on being used");
}

#[test]
fn two_sign_ins_by_one_person_end_in_one_account() {
    let mut home = Home::with(Vec::new());
    let first = store(&home.sign_in(attempt("t", START), "ada", "one")).map(|(account, ..)| account.to_owned());
    let effects = home.sign_in(attempt("u", START), "ada", "two");
    let second = store(&effects).map(|(account, ..)| account.to_owned());
    assert!(second.is_none() || second == first, "{first:?} and {second:?} are the same person");
}

#[test]
fn somebody_else_signing_in_changes_nothing() {
    for subject in ["somebody", "sub-1"] {
        let mut home = Home::with_many(2);
        let before = home.house.accounts.clone();
        let again = Attempt { account: Some("0".into()), ..attempt("t", START) };
        let effects = home.sign_in(again, subject, "new");
        assert_eq!(store(&effects), None);
        assert!(gives_back(&effects, "t"));
        assert_eq!(home.house.accounts, before);
        assert_eq!(phase(&home, "t"), &Phase::Failed { problem: Problem::OtherSubject { account: "0".to_owned() } });
    }
}

#[test]
fn a_client_and_a_person_of_the_same_name_are_two() {
    for (first, second) in [
        (RedirectKind::ClientCredentials, RedirectKind::DeepLink),
        (RedirectKind::Device, RedirectKind::ClientCredentials),
    ] {
        let mut home = Home::with(Vec::new());
        home.sign_in(Attempt { redirect: first, ..attempt("t", START) }, "larder", "new");
        home.stored("t", 1);
        let before = home.house.accounts.clone();
        let machine = before[0].identity.grant_type == GrantType::ClientCredentials;
        assert_eq!(machine, first == RedirectKind::ClientCredentials);
        let effects = home.sign_in(Attempt { redirect: second, ..attempt("u", START) }, "larder", "other");
        assert_eq!(store(&effects), None, "{second:?}");
        assert!(gives_back(&effects, "u"));
        assert_eq!(home.house.accounts, before);
        // The same client again is the same account.
        let effects = home.sign_in(Attempt { redirect: first, ..attempt("v", START) }, "larder", "other");
        assert_eq!(store(&effects), Some(("new", "work", true)));
    }
}

#[test]
fn the_same_subject_of_another_issuer_never_takes_an_account_over() {
    let mut home = Home::with_many(1);
    let before = home.house.accounts.clone();
    let elsewhere = Attempt { issuer: "https://evil.example".to_owned(), ..attempt("t", START) };
    let effects = home.sign_in(elsewhere, "sub-0", "new");
    assert_eq!(store(&effects), None);
    assert!(gives_back(&effects, "t"));
    assert_eq!(home.house.accounts, before);
    assert!(matches!(phase(&home, "t"), Phase::Failed { problem: Problem::OtherIssuer { .. } }));
}

#[test]
fn an_account_that_is_signed_out_can_move_to_another_issuer_of_its_provider() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.cleared("0");
    let elsewhere = Attempt { issuer: "https://new.example".to_owned(), ..attempt("t", START) };
    let effects = home.sign_in(elsewhere, "sub-0", "new");
    assert_eq!(store(&effects), Some(("0", "0", false)));
    home.stored("t", 3);
    assert_eq!(home.get("0").identity.issuer, "https://new.example");
}

#[test]
fn an_account_stays_fresh_while_more_access_is_being_added() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let more = Attempt { account: Some("0".into()), ..attempt("t", home.now) };
    start(&mut home, more);
    assert_eq!(home.under_way(), 1);
    home.arrive("0", prepared());
    home.refreshed("0");
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), Some(Ok(())));
}

#[test]
fn a_late_result_is_only_forgotten_where_a_newer_sign_in_exists() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.sign_in(attempt("t", START), "sub-0", "new");
    home.stored("t", 2);
    let before = home.get("0").clone();
    let effects = home.arrive("0", tokens(home.now));
    assert!(discards(&effects) && !has(&effects, &Effect::RevokeLate), "revoking could end the newer session too");
    assert_eq!(home.get("0"), &before);
}

#[test]
fn a_newer_sign_in_forgets_what_could_not_be_written() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    home.arrive("0", Arrival::NotSaved(disk_full()));
    home.sign_in(attempt("t", START), "sub-0", "new");
    let effects = home.stored("t", 2);
    assert!(discards(&effects), "the older tokens stay in memory for ever: {effects:?}");
}

#[test]
fn a_newer_sign_in_forgets_what_was_being_written() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    home.sign_in(attempt("t", START), "sub-0", "new");
    let mut effects = home.stored("t", 2);
    effects.extend(home.arrive("0", Arrival::NotSaved(disk_full())));
    assert!(discards(&effects), "the older tokens stay in memory for ever: {effects:?}");
}

#[test]
fn a_sign_in_does_not_end_in_an_account_that_is_being_signed_out() {
    let mut home = Home::with_many(1);
    start(&mut home, attempt("t", START));
    home.happen(redirect("t"));
    home.sign_out("0");
    let effects = home.happen(exchanged("t", "sub-0", "new", START));
    assert!(gives_back(&effects, "t"));
    assert_eq!(store(&effects), None);
    assert!(matches!(home.session("0"), Session::Clearing(_)));
}

#[test]
fn a_sign_in_that_is_stored_during_a_sign_out_does_not_stop_it() {
    let mut home = Home::with_many(1);
    home.sign_in(attempt("t", START), "sub-0", "new");
    home.sign_out("0");
    home.stored("t", 2);
    assert!(
        matches!(home.session("0"), Session::Clearing(_)),
        "its person signed out, and it is shown as signed in: {:?}",
        home.session("0")
    );
    home.cleared("0");
    assert_eq!(home.session("0"), &Session::SignedOut);
}

#[test]
fn a_sign_in_that_cannot_be_stored_does_not_stop_a_sign_out() {
    let mut home = Home::with_many(1);
    home.sign_in(attempt("t", START), "sub-0", "new");
    home.sign_out("0");
    home.happen(HouseEvent::Stored { attempt: id("t"), result: Err(Problem::KeychainLocked) });
    assert!(matches!(home.session("0"), Session::Clearing(_)), "{:?}", home.session("0"));
}

#[test]
fn nothing_is_handed_out_while_a_sign_out_waits_for_a_sign_in_to_be_stored() {
    let mut home = Home::with_many(1);
    home.sign_in(attempt("t", START), "sub-0", "new");
    home.sign_out("0");
    let (ask, effects) = home.ask_for_token("0");
    assert_ne!(answer(&effects, ask), Some(Ok(())), "its person has signed out");
}

#[test]
fn signing_in_during_the_undo_keeps_the_account() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    home.sign_in(attempt("t", START), "sub-0", "new");
    home.stored("t", 2);
    home.pass(seconds(10));
    assert!(matches!(home.session("0"), Session::SignedIn { .. }));
}

#[test]
fn signing_in_again_after_a_sign_out_is_the_same_account() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.cleared("0");
    let effects = home.sign_in(attempt("t", START), "sub-0", "new");
    assert_eq!(store(&effects), Some(("0", "0", false)), "with a key of its own");
    home.stored("t", 3);
    home.to("0", Event::Undo);
    assert!(matches!(home.session("0"), Session::SignedIn { .. }));
}

#[test]
fn labels_never_collide() {
    let mut home = Home::with(Vec::new());
    let mut labels = std::collections::HashSet::new();
    for number in 0..60 {
        let name = format!("t{number}");
        // Some are named like what Larder would make up, some are not stored yet when the next one comes.
        let label = (number % 3 == 0).then(|| format!("work-{}", number / 2));
        let effects = home.sign_in(Attempt { label, ..attempt(&name, home.now) }, &format!("sub-{name}"), &name);
        let Some((_, label, _)) = store(&effects) else { panic!("{effects:?}") };
        assert!(labels.insert(label.to_owned()), "{label} twice");
        if number % 2 == 0 {
            home.stored(&name, 1);
        }
    }
}

#[test]
fn a_label_is_the_providers_name_and_then_counts() {
    let mut home = Home::with(Vec::new());
    let mut taken = Vec::new();
    for name in ["a", "b", "c"] {
        home.sign_in(attempt(name, START), name, name);
        home.stored(name, 1);
        taken.push(home.get(name).identity.label.clone());
    }
    assert_eq!(taken, ["work", "work-2", "work-3"]);
    assert_eq!(free_label(&home.house, "home"), "home");
}

#[test]
fn a_sign_in_shows_what_it_waits_for() {
    let mut home = waiting();
    let shown = |home: &Home| home.house.attempts.iter().map(|attempt| attempt.view().phase).collect::<Vec<_>>();
    assert_eq!(shown(&home), [AttemptPhase::Waiting]);
    home.happen(redirect("t"));
    assert_eq!(shown(&home), [AttemptPhase::Finishing]);
    home.happen(exchanged("t", "ada", "new", START));
    assert_eq!(shown(&home), [AttemptPhase::Finishing]);
}
