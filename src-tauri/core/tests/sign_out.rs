//! A sign-out leaves nothing that opens, and ends where it was begun to end.

mod common;

use common::*;
use larder_core::account::{Account, Clearing, Event, Session, UNDO};
use larder_core::effect::{Arrival, Effect, HouseEffect, Outcome};
use larder_core::house::{HouseEvent, Want};
use larder_core::names::{Generation, Operation};
use larder_core::problem::{Problem, Why};
use larder_core::view::{EventKind, KeychainState};

/// As read from the database of a run that did not come to its end.
fn begun_earlier(name: &str, forget: bool) -> Account {
    let clearing = Clearing { until: Some(START.plus(seconds(0))), ..Clearing::new(Operation(0), forget, false) };
    Account { session: Session::Clearing(clearing), ..account(name) }
}

#[test]
fn a_sign_out_is_written_down_then_cleared_then_its_key_deleted_then_said_then_told_to_the_provider() {
    let mut home = Home::with_many(1);
    let effects = home.sign_out("0");
    assert_eq!(account_effects(&effects), [&Effect::MarkClearing { generation: Generation(2), revoke: true }]);
    assert_eq!((home.get("0").access, home.get("0").refreshable), (None, false));
    assert_eq!(account_effects(&home.arrive("0", Arrival::Marked)), [&Effect::Clear]);
    assert_eq!(account_effects(&home.arrive("0", Arrival::Cleared)), [&Effect::DeleteKey]);
    assert_eq!(account_effects(&home.arrive("0", Arrival::KeyDeleted)), [&Effect::Close { forget: false }]);
    assert!(matches!(home.session("0"), Session::Clearing(_)));
    let effects = home.arrive("0", Arrival::Closed);
    assert_eq!(home.session("0"), &Session::SignedOut);
    assert_eq!(account_effects(&effects), [&Effect::Revoke]);
    assert!(matches!(effects.first(), Some(HouseEffect::Record { kind: EventKind::SignedOut, .. })));
}

#[test]
fn here_only_tells_the_provider_nothing() {
    let mut home = Home::with_many(1);
    let effects = home.to("0", Event::SignOut { undoable: false, forget: false, revoke: false });
    assert!(has(&effects, &Effect::MarkClearing { generation: Generation(2), revoke: false }));
    let effects = home.cleared("0");
    assert!(!has(&effects, &Effect::Revoke) && discards(&effects));
}

#[test]
fn the_accounts_row_stays_unless_it_is_to_be_forgotten() {
    for forget in [false, true] {
        let mut home = Home::with_many(2);
        home.to("0", Event::SignOut { undoable: false, forget, revoke: true });
        let effects = home.cleared("0");
        assert_eq!(home.house.accounts.iter().any(|account| account.id.as_str() == "0"), !forget);
        assert!(has(&effects, &Effect::Revoke));
        assert!(matches!(home.session("1"), Session::SignedIn { .. }));
    }
}

#[test]
fn an_account_that_is_signed_out_can_still_be_forgotten() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.cleared("0");
    assert!(account_effects(&home.sign_out("0")).is_empty(), "signed out is signed out");
    home.to("0", Event::SignOut { undoable: false, forget: true, revoke: false });
    home.cleared("0");
    assert!(home.house.accounts.is_empty());
}

#[test]
fn forgetting_is_not_lost_on_a_sign_out_that_is_under_way() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.to("0", Event::SignOut { undoable: false, forget: true, revoke: true });
    home.cleared("0");
    assert!(home.house.accounts.is_empty(), "`sign-out --forget` was asked for, and the row is still there");
}

#[test]
fn forgetting_is_not_taken_back_by_a_second_word_that_does_not_name_it() {
    let mut home = Home::with_many(1);
    home.to("0", Event::SignOut { undoable: true, forget: true, revoke: true });
    home.to("0", Event::SignOut { undoable: false, forget: false, revoke: true });
    home.cleared("0");
    assert!(home.house.accounts.is_empty(), "forgetting was asked for, and the row is still there");
}

#[test]
fn forgetting_is_written_down_while_a_sign_out_waits_for_the_keychain() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    for arrival in [Arrival::Marked, Arrival::Cleared, Arrival::KeyKept(Problem::KeychainLocked)] {
        home.arrive("0", arrival);
    }
    let effects = home.to("0", Event::SignOut { undoable: false, forget: true, revoke: true });
    assert!(matches!(account_effects(&effects)[..], [Effect::MarkClearing { revoke: false, .. }]), "{effects:?}");
}

#[test]
fn whoever_signs_out_again_has_what_was_in_the_way_looked_at_at_once() {
    for (in_the_way, forget) in [disk_full(), Problem::KeychainLocked]
        .into_iter()
        .flat_map(|problem| [(problem.clone(), false), (problem, true)])
    {
        let mut home = Home::with_many(1);
        home.sign_out("0");
        if in_the_way == Problem::KeychainLocked {
            home.arrive("0", Arrival::Marked);
            home.arrive("0", Arrival::Cleared);
            home.arrive("0", Arrival::KeyKept(in_the_way));
        } else {
            home.arrive("0", Arrival::NotSaved(in_the_way));
            home.arrive("0", Arrival::KeyDeleted);
        }
        let again = home.to("0", Event::SignOut { undoable: false, forget, revoke: true });
        assert_eq!(account_effects(&again).len(), 1, "{again:?}");
        let (ask, effects) = home.ask("0", Want::SignOut);
        assert_eq!(answer(&effects, ask), None, "what was in the way before may be there no more");
        home.ends_well("0");
        assert_eq!(home.house.accounts.is_empty(), forget);
    }
}

#[test]
fn forgetting_that_comes_in_the_last_moment_removes_the_row_too() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    for arrival in [Arrival::Marked, Arrival::Cleared, Arrival::KeyDeleted] {
        home.arrive("0", arrival);
    }
    // The row is being closed, to stay.
    home.to("0", Event::SignOut { undoable: false, forget: true, revoke: true });
    let mut row_goes = false;
    while let Some(pending) = home.pending.first().cloned() {
        row_goes |= pending.effect == Effect::Close { forget: true };
        let arrival =
            if matches!(pending.effect, Effect::Close { .. }) { Arrival::Closed } else { Arrival::Revoked(Ok(())) };
        home.arrive("0", arrival);
    }
    assert!(home.house.accounts.is_empty());
    assert!(row_goes, "the house has forgotten the account, and its row comes back with the next start");
}

#[test]
fn an_undone_sign_out_loses_nothing() {
    let mut home = Home::with_many(1);
    let before = home.get("0").clone();
    assert!(account_effects(&home.sign_out_undoably("0")).is_empty());
    home.pass(UNDO - seconds(1));
    home.to("0", Event::Undo);
    assert_eq!(home.get("0"), &before);
}

#[test]
fn an_undoable_sign_out_is_carried_out_when_its_time_is_over() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    assert_eq!(home.house.wake(home.now), Some(5000));
    let effects = home.pass_to_wake();
    assert!(has(&effects, &Effect::MarkClearing { generation: Generation(2), revoke: true }));
    home.to("0", Event::Undo);
    home.cleared("0");
    assert_eq!(home.session("0"), &Session::SignedOut);
}

#[test]
fn an_undoable_sign_out_keeps_what_was_asked_for() {
    let mut home = Home::with_many(1);
    home.to("0", Event::SignOut { undoable: true, forget: true, revoke: false });
    let effects = home.pass(UNDO);
    assert!(
        has(&effects, &Effect::MarkClearing { generation: Generation(2), revoke: false }),
        "\"here only\" was asked for: {effects:?}"
    );
    home.cleared("0");
    assert!(home.house.accounts.is_empty(), "forgetting was asked for");
}

#[test]
fn a_second_click_on_sign_out_leaves_it_undoable() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    assert!(account_effects(&home.sign_out_undoably("0")).is_empty());
    assert!(matches!(home.session("0"), Session::Undoable { .. }), "{:?}", home.session("0"));
}

#[test]
fn a_sign_out_from_the_command_line_does_not_wait_for_one_from_the_window() {
    let mut home = Home::with_many(1);
    home.sign_out_undoably("0");
    assert!(has(&home.sign_out("0"), &Effect::MarkClearing { generation: Generation(2), revoke: true }));
}

#[test]
fn a_session_that_ends_during_an_undoable_sign_out_is_still_signed_out() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.sign_out_undoably("0");
    home.arrive("0", Arrival::Answered(Outcome::NeedsSignIn(Why::Refused)));
    home.pass(UNDO);
    assert!(
        matches!(home.session("0"), Session::Clearing(_)),
        "its person signed out, and key and tokens stay: {:?}",
        home.session("0")
    );
}

#[test]
fn a_session_that_needs_its_person_can_be_signed_out() {
    let needs = Account { session: Session::NeedsSignIn { why: Why::Refused }, ..account("a") };
    let mut home = Home::with(vec![needs]);
    home.sign_out("a");
    home.cleared("a");
    assert_eq!(home.session("a"), &Session::SignedOut);
}

#[test]
fn nothing_is_handed_out_from_the_click_on() {
    let mut home = Home::with_many(1);
    let refused = Some(Err(Problem::SignedOut { account: "0".to_owned() }));
    home.sign_out_undoably("0");
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), refused);
    home.sign_out("0");
    for arrival in [Arrival::Marked, Arrival::Cleared, Arrival::KeyDeleted, Arrival::Closed] {
        let (ask, effects) = home.ask_for_token("0");
        assert_eq!(answer(&effects, ask), refused);
        home.arrive("0", arrival);
    }
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), refused);
}

#[test]
fn who_waits_for_a_token_when_the_account_is_signed_out_is_told_so() {
    let mut home = Home::with_many(1);
    home.now = later(home.now, HOUR);
    let (ask, effects) = home.ask_for_token("0");
    assert_eq!(answer(&effects, ask), None);
    let effects = home.sign_out("0");
    assert_eq!(answer(&effects, ask), Some(Err(Problem::SignedOut { account: "0".to_owned() })));
}

#[test]
fn who_signs_out_is_answered_once_it_is_done_even_where_the_row_goes() {
    for forget in [false, true] {
        let mut home = Home::with_many(1);
        home.to("0", Event::SignOut { undoable: false, forget, revoke: true });
        let (ask, effects) = home.ask("0", Want::SignOut);
        assert_eq!(answer(&effects, ask), None);
        assert_eq!(answer(&home.cleared("0"), ask), Some(Ok(())));
    }
}

#[test]
fn a_late_result_of_an_older_generation_is_dropped_and_its_token_revoked_when_signed_out() {
    for steps in 0..5 {
        let mut home = Home::with_many(1);
        home.send("0");
        home.sign_out("0");
        for arrival in [Arrival::Marked, Arrival::Cleared, Arrival::KeyDeleted, Arrival::Closed].into_iter().take(steps)
        {
            home.arrive("0", arrival);
        }
        let before = home.get("0").clone();
        let effects = home.arrive("0", tokens(home.now));
        assert_eq!(account_effects(&effects), [&Effect::RevokeLate]);
        assert_eq!(home.get("0"), &before);
    }
}

#[test]
fn a_late_token_of_a_forgotten_account_is_revoked_too() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.to("0", Event::SignOut { undoable: false, forget: true, revoke: true });
    home.cleared("0");
    let effects = home.arrive("0", tokens(home.now));
    assert!(has(&effects, &Effect::RevokeLate), "a live refresh token is kept in memory, and by the provider");
}

#[test]
fn a_late_answer_without_tokens_is_forgotten() {
    for answered in [transient(unreachable()), Arrival::Answered(Outcome::NeedsSignIn(Why::Refused))] {
        let mut home = Home::with_many(1);
        home.send("0");
        home.sign_out("0");
        assert!(discards(&home.arrive("0", answered)));
        assert!(matches!(home.session("0"), Session::Clearing(_)));
    }
}

#[test]
fn a_refresh_that_was_only_prepared_is_not_sent_after_a_sign_out() {
    let mut home = Home::with_many(1);
    home.to("0", Event::RefreshNow);
    home.sign_out("0");
    let effects = home.arrive("0", prepared());
    assert!(discards(&effects) && !sent(&effects), "{effects:?}");
}

#[test]
fn tokens_that_could_not_be_written_are_given_back_on_sign_out() {
    let mut home = Home::with_many(1);
    home.send("0");
    home.arrive("0", tokens(home.now));
    home.arrive("0", Arrival::NotSaved(disk_full()));
    let effects = home.sign_out("0");
    assert_eq!(
        account_effects(&effects),
        [&Effect::RevokeLate, &Effect::MarkClearing { generation: Generation(2), revoke: true }]
    );
}

#[test]
fn a_write_that_ends_after_the_sign_out_revives_nothing() {
    for arrival in [Arrival::Saved, Arrival::NotSaved(disk_full())] {
        let mut home = Home::with_many(1);
        home.send("0");
        home.arrive("0", tokens(home.now));
        home.sign_out("0");
        home.arrive("0", arrival);
        assert!(matches!(home.session("0"), Session::Clearing(clearing) if clearing.until.is_none()));
        assert_eq!(home.get("0").access, None);
    }
}

#[test]
fn a_sign_out_that_cannot_be_written_is_tried_again_from_its_beginning() {
    for steps in [0, 1, 3] {
        let mut home = Home::with_many(1);
        home.sign_out("0");
        for arrival in [Arrival::Marked, Arrival::Cleared, Arrival::KeyDeleted].into_iter().take(steps) {
            home.arrive("0", arrival);
        }
        for _ in 0..20 {
            home.arrive("0", Arrival::NotSaved(disk_full()));
            assert!(home.house.wake(home.now).is_some_and(|left| left > 0 && left <= 40_000));
            let effects = home.pass_to_wake();
            assert!(has(&effects, &Effect::MarkClearing { generation: Generation(2), revoke: true }), "{effects:?}");
        }
        home.ends_well("0");
        assert_eq!(home.session("0"), &Session::SignedOut);
    }
}

#[test]
fn a_full_disk_keeps_no_key_alive() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    let effects = home.arrive("0", Arrival::NotSaved(disk_full()));
    assert_eq!(account_effects(&effects), [&Effect::DeleteKey], "without it the sealed bytes are noise");
    home.arrive("0", Arrival::KeyDeleted);
    assert!(matches!(home.session("0"), Session::Clearing(_)), "and the files are still cleared");
    home.pass_to_wake();
    home.arrive("0", Arrival::Marked);
    let effects = home.arrive("0", Arrival::Cleared);
    assert_eq!(account_effects(&effects), [&Effect::Close { forget: false }]);
}

#[test]
fn a_slow_keychain_does_not_end_a_sign_out_whose_files_are_not_cleared() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.arrive("0", Arrival::NotSaved(disk_full()));
    home.pass_to_wake();
    // The key of the first round goes while the second one is being marked.
    let effects = home.arrive("0", Arrival::KeyDeleted);
    assert!(!has(&effects, &Effect::Close { forget: false }), "the sealed tokens are still in the file");
    home.ends_well("0");
    assert_eq!(home.session("0"), &Session::SignedOut);
}

#[test]
fn a_keychain_that_keeps_the_key_late_does_not_skip_the_files() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.arrive("0", Arrival::NotSaved(disk_full()));
    home.pass_to_wake();
    home.arrive("0", Arrival::KeyKept(Problem::KeychainTimeout { seconds: 5 }));
    home.arrive("0", Arrival::Marked);
    let cleared = home.pending.iter().any(|pending| pending.effect == Effect::Clear);
    assert!(cleared, "{:?}, and the sealed tokens are still in the file", home.session("0"));
}

#[test]
fn a_sign_out_that_cannot_be_written_says_why_as_soon_as_the_key_is_seen_to() {
    for key in [Arrival::KeyDeleted, Arrival::KeyKept(Problem::KeychainLocked)] {
        let mut home = Home::with_many(1);
        home.sign_out("0");
        let (ask, _) = home.ask("0", Want::SignOut);
        assert_eq!(answer(&home.arrive("0", Arrival::NotSaved(disk_full())), ask), None);
        assert_eq!(answer(&home.arrive("0", key), ask), Some(Err(disk_full())));
        // It goes on by itself; whoever asks while it is being tried again waits for that.
        home.pass_to_wake();
        let (ask, effects) = home.ask("0", Want::SignOut);
        assert_eq!(answer(&effects, ask), None);
    }
}

#[test]
fn a_sign_out_begun_by_an_earlier_run_goes_on() {
    for forget in [false, true] {
        let mut home = Home::with(vec![begun_earlier("a", forget), account("b"), begun_earlier("c", forget)]);
        let effects = home.tick();
        assert_eq!(
            account_effects(&effects),
            [&Effect::MarkClearing { generation: Generation(1), revoke: false }; 2],
            "the row holds the generation already"
        );
        assert_ne!(home.pending.first().map(|p| p.operation), home.pending.last().map(|p| p.operation));
        for name in ["c", "a"] {
            home.cleared(name);
        }
        assert_eq!(home.house.accounts.len(), if forget { 1 } else { 3 });
        assert!(matches!(home.session("b"), Session::SignedIn { .. }));
        assert!(forget || home.session("a") == &Session::SignedOut);
    }
}

#[test]
fn a_locked_keychain_leaves_the_key_to_be_shredded_and_the_next_opening_does_it() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.arrive("0", Arrival::Marked);
    home.arrive("0", Arrival::Cleared);
    home.happen(HouseEvent::Keychain(KeychainState::Locked));
    home.arrive("0", Arrival::KeyKept(Problem::KeychainLocked));
    assert!(matches!(home.session("0"), Session::ShredPending { .. }));
    let (ask, effects) = home.ask("0", Want::SignOut);
    assert_eq!(answer(&effects, ask), Some(Err(Problem::KeychainLocked)));
    let effects = home.happen(HouseEvent::Keychain(KeychainState::Open));
    assert_eq!(account_effects(&effects), [&Effect::DeleteKey]);
    home.arrive("0", Arrival::KeyDeleted);
    home.arrive("0", Arrival::Closed);
    assert_eq!(home.session("0"), &Session::SignedOut);
}

#[test]
fn a_key_that_cannot_be_deleted_is_tried_again_by_itself_too() {
    let mut home = Home::with_many(1);
    home.sign_out("0");
    home.arrive("0", Arrival::Marked);
    home.arrive("0", Arrival::Cleared);
    for _ in 0..100 {
        home.arrive("0", Arrival::KeyKept(Problem::KeychainTimeout { seconds: 5 }));
        assert!(matches!(home.session("0"), Session::ShredPending { .. }));
        assert!(home.house.wake(home.now).is_some_and(|left| left > 0 && left <= 40_000));
        assert_eq!(account_effects(&home.pass_to_wake()), [&Effect::DeleteKey]);
    }
}

#[test]
fn what_came_of_the_revocation_is_written_down() {
    for (result, kind) in [
        (Ok(()), EventKind::Revoked),
        (Err(Some(unreachable())), EventKind::RevocationFailed),
        (Err(None), EventKind::RevocationFailed),
    ] {
        let mut home = Home::with_many(1);
        home.sign_out("0");
        home.cleared("0");
        let effects = home.arrive("0", Arrival::Revoked(result));
        assert!(matches!(effects.as_slice(), [HouseEffect::Record { kind: told, .. }] if *told == kind));
        assert_eq!(home.session("0"), &Session::SignedOut, "signed out here in any case");
    }
}
