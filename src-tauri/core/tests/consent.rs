//! Who is asked, what the answer covers, and how no program can nag.

mod common;

use common::*;
use larder_core::consent::{FREE_WITHDRAWALS, MOST_PROMPTS, PROMPT_PATIENCE, QUIET_FIRST, QUIET_MOST, Way, prompts};
use larder_core::house::HouseEvent;
use larder_core::problem::Problem;
use larder_core::protocol::Choice;
use larder_core::view::LockState;

const MAIL: &str = "/usr/bin/mbsync";
const PYTHON: &str = "/usr/bin/python3";

fn home() -> Home {
    let mut home = Home::with_many(2);
    home.asked_via(Way::Window);
    home
}

fn refused(effects: &[larder_core::effect::HouseEffect], ask: u64) -> Problem {
    match answer(effects, ask) {
        Some(Err(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn asks_that_look_the_same_share_a_prompt_and_its_answer() {
    let mut home = home();
    let asks: Vec<_> = (0..1000).map(|_| home.consult("0", program(MAIL, &["-a"])).0).collect();
    let shown = prompts(&home.house);
    assert_eq!((shown.len(), shown[0].waiting), (1, 1000));
    let effects = home.answer_first(Choice::Once);
    assert!(asks.iter().all(|ask| answer(&effects, *ask) == Some(Ok(()))));
    // Another process of the same program is the same to a person; other arguments are not.
    home.consult("0", program(PYTHON, &["a.py"]));
    let mut other = program(PYTHON, &["a.py"]);
    other.pid = 1;
    home.consult("0", other);
    home.consult("0", program(PYTHON, &["b.py"]));
    home.consult("1", program(PYTHON, &["a.py"]));
    assert_eq!(prompts(&home.house).iter().map(|prompt| prompt.waiting).collect::<Vec<_>>(), [2, 1, 1]);
}

#[test]
fn once_is_once_and_a_session_is_until_the_lock() {
    let mut home = home();
    home.consult("0", program(MAIL, &[]));
    home.answer_first(Choice::Once);
    let (ask, effects) = home.consult("0", program(MAIL, &[]));
    assert_eq!(answer(&effects, ask), None);
    home.answer_first(Choice::Session);
    let (ask, effects) = home.consult("0", program(MAIL, &["other", "arguments"]));
    assert_eq!(answer(&effects, ask), Some(Ok(())));
    let (ask, effects) = home.consult("1", program(MAIL, &[]));
    assert_eq!(answer(&effects, ask), None, "another account");
    let effects = home.turn(LockState::Locked);
    assert_eq!(refused(&effects, ask), Problem::Locked);
    home.turn(LockState::Unlocked);
    let (ask, effects) = home.consult("0", program(MAIL, &[]));
    assert_eq!(answer(&effects, ask), None);
}

#[test]
fn what_runs_others_is_allowed_for_the_session_with_what_was_shown_alone() {
    let mut home = home();
    home.consult("0", program(PYTHON, &["sync.py"]));
    home.answer_first(Choice::Session);
    let (ask, effects) = home.consult("0", program(PYTHON, &["sync.py"]));
    assert_eq!(answer(&effects, ask), Some(Ok(())));
    let (ask, effects) = home.consult("0", program(PYTHON, &["other.py"]));
    assert_eq!(answer(&effects, ask), None);
}

#[test]
fn nobody_answers_in_time_and_nobody_there_are_a_no() {
    let mut home = home();
    let (ask, _) = home.consult("0", program(MAIL, &[]));
    assert_eq!(home.house.wake(home.now), Some(120_000));
    let effects = home.pass(PROMPT_PATIENCE);
    assert!(matches!(refused(&effects, ask), Problem::ConsentTimeout { seconds: 120, .. }));
    let (ask, _) = home.consult("1", program(MAIL, &[]));
    assert!(matches!(refused(&home.asked_via(Way::Nobody), ask), Problem::NobodyToAsk { .. }));
    let (ask, effects) = home.consult("1", program(MAIL, &[]));
    assert!(matches!(refused(&effects, ask), Problem::NobodyToAsk { .. }));
}

#[test]
fn a_program_that_was_refused_is_not_asked_about_again_for_a_while_and_then_for_longer() {
    let mut home = home();
    let mut quiet = QUIET_FIRST;
    for _ in 0..8 {
        home.consult("0", program(PYTHON, &["a.py"]));
        home.answer_first(Choice::NotNow);
        // Other arguments are no way around it.
        let (ask, effects) = home.consult("0", program(PYTHON, &["b.py"]));
        assert!(matches!(refused(&effects, ask), Problem::ConsentRefused { .. }));
        home.pass(quiet.min(QUIET_MOST) - seconds(1));
        let (ask, effects) = home.consult("0", program(PYTHON, &["a.py"]));
        assert!(matches!(refused(&effects, ask), Problem::ConsentRefused { .. }), "{quiet:?}");
        home.pass(seconds(1));
        quiet *= 2;
    }
    home.consult("0", program(PYTHON, &["a.py"]));
    home.answer_first(Choice::Once);
    home.consult("0", program(PYTHON, &["a.py"]));
    home.answer_first(Choice::NotNow);
    home.pass(QUIET_FIRST);
    home.consult("0", program(PYTHON, &["a.py"]));
    assert_eq!(prompts(&home.house).len(), 1, "a yes is a new beginning");
}

#[test]
fn a_prompt_goes_with_whoever_waits_for_it_and_cannot_blink() {
    let mut home = home();
    for _ in 0..=FREE_WITHDRAWALS {
        let (ask, effects) = home.consult("0", program(MAIL, &[]));
        assert_eq!((answer(&effects, ask), prompts(&home.house).len()), (None, 1));
        home.happen(HouseEvent::AskerGone { ask });
        assert!(prompts(&home.house).is_empty());
    }
    let (ask, effects) = home.consult("0", program(MAIL, &[]));
    assert!(matches!(refused(&effects, ask), Problem::ConsentRefused { .. }));
}

#[test]
fn prompts_are_bounded_and_never_for_an_account_that_has_no_token() {
    let mut home = home();
    for number in 0..MOST_PROMPTS {
        home.consult("0", program(&format!("/usr/bin/p{number}"), &[]));
    }
    let (ask, effects) = home.consult("0", program(MAIL, &[]));
    assert!(matches!(refused(&effects, ask), Problem::TooManyPrompts { .. }));
    home.sign_out("0");
    assert!(prompts(&home.house).is_empty());
    let (ask, effects) = home.consult("0", program(MAIL, &[]));
    assert!(matches!(refused(&effects, ask), Problem::SignedOut { .. }));
}
