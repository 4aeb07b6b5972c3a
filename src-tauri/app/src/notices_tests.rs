//! What is told, and what is not.

use super::*;
use crate::menu::tests::{account, house, prompt};
use AccountState as S;

/// The notices of one app, at moments of the test's own.
struct Story {
    notices: Notices,
    start: Instant,
}

impl Story {
    fn new() -> Self {
        Self { notices: Notices::default(), start: Instant::now() }
    }

    fn at(&self, seconds: u64) -> Instant {
        self.start + Duration::from_secs(seconds)
    }

    fn see(&mut self, seconds: u64, accounts: &[(&str, AccountState)]) -> Option<Notice> {
        let now = self.at(seconds);
        self.notices.see(&standing(accounts), now)
    }

    fn due(&mut self, seconds: u64) -> Vec<String> {
        let now = self.at(seconds);
        self.notices.due(now).iter().map(|notice| notice.words(Spoken::English).title).collect()
    }
}

fn standing(accounts: &[(&str, AccountState)]) -> HouseView {
    house(accounts.iter().map(|(label, state)| account(label, label, *state)).collect())
}

#[test]
fn an_account_that_needs_its_person_is_told_of_once() {
    let mut story = Story::new();
    story.see(0, &[("work", S::Fresh)]);
    assert_eq!(story.notices.next(), None);
    story.see(100, &[("work", S::Refreshing)]);
    story.see(101, &[("work", S::SignInAgain)]);
    assert_eq!(story.due(105), [""; 0]);
    assert_eq!(story.notices.next(), Some(story.at(111)));
    assert_eq!(story.due(111), ["work needs you to sign in again"]);
    for (seconds, state) in [(200, S::SignInAgain), (300, S::Undoable), (301, S::SignInAgain), (400, S::Refreshing)] {
        story.see(seconds, &[("work", state)]);
    }
    story.see(401, &[("work", S::SignInAgain)]);
    assert_eq!(story.notices.next(), None);
    story.see(500, &[("work", S::Fresh)]);
    story.see(600, &[("work", S::SignInAgain)]);
    assert_eq!(story.due(610), ["work needs you to sign in again"]);
}

#[test]
fn several_within_ten_seconds_are_one() {
    let mut story = Story::new();
    story.see(0, &[("work", S::Fresh), ("mail", S::Fresh), ("music", S::Fresh)]);
    story.see(1, &[("work", S::SignInAgain), ("mail", S::Fresh), ("music", S::Fresh)]);
    story.see(9, &[("work", S::SignInAgain), ("mail", S::SignInAgain), ("music", S::Fresh)]);
    assert_eq!(story.due(11), ["2 accounts need you to sign in again"]);
    story.see(12, &[("work", S::SignInAgain), ("mail", S::SignInAgain), ("music", S::SignInAgain)]);
    assert_eq!(story.due(22), ["music needs you to sign in again"]);
}

#[test]
fn whoever_was_quicker_is_not_told() {
    let mut story = Story::new();
    story.see(0, &[("work", S::Fresh)]);
    story.see(1, &[("work", S::SignInAgain)]);
    story.see(5, &[("work", S::Fresh)]);
    assert_eq!(story.notices.next(), None);
    story.see(6, &[("work", S::SignInAgain)]);
    story.see(7, &[]);
    assert_eq!(story.due(100), [""; 0]);
}

#[test]
fn only_trouble_that_lasted_is_told_of_when_it_has_passed() {
    let mut story = Story::new();
    story.see(0, &[("work", S::Fresh), ("mail", S::Fresh)]);
    story.see(10, &[("work", S::Waiting), ("mail", S::Fresh)]);
    story.see(200, &[("work", S::Refreshing), ("mail", S::Waiting)]);
    story.see(201, &[("work", S::Waiting), ("mail", S::Waiting)]);
    story.see(311, &[("work", S::Fresh), ("mail", S::Fresh)]);
    assert_eq!(story.due(321), ["work is fresh again"]);
    story.see(400, &[("work", S::Fresh), ("mail", S::Fresh)]);
    assert_eq!(story.notices.next(), None);
}

#[test]
fn trouble_that_became_a_sign_in_is_that() {
    let mut story = Story::new();
    story.see(0, &[("work", S::Waiting)]);
    story.see(400, &[("work", S::SignInAgain)]);
    assert_eq!(story.due(410), ["work needs you to sign in again"]);
    story.see(500, &[("work", S::Fresh)]);
    assert_eq!(story.notices.next(), None);
}

#[test]
fn at_the_start_only_what_needs_its_person_is_told() {
    let mut story = Story::new();
    assert_eq!(story.see(0, &[("a", S::SignInAgain), ("b", S::Waiting), ("c", S::Blocked), ("d", S::SignedOut)]), None);
    assert_eq!(story.due(10), ["a needs you to sign in again"]);
    // The waiting began before this start; how long before is not known.
    story.see(60, &[("a", S::SignInAgain), ("b", S::Fresh), ("c", S::Blocked), ("d", S::SignedOut)]);
    assert_eq!(story.notices.next(), None);
}

#[test]
fn a_sign_in_is_told_of_once_and_only_after_a_redirect() {
    let mut story = Story::new();
    let signed_in = |at: i64| {
        let mut work = account("a", "work", S::Fresh);
        work.signed_in_at = Some(WallTime(at));
        work.email = Some("ada@example.com".to_owned());
        house(vec![work])
    };
    let who = Some(Notice::SignedIn { who: "ada@example.com".to_owned() });
    story.notices.redirect_came(story.at(0));
    assert_eq!(story.notices.see(&signed_in(1), story.at(1)), None, "older than this start");
    assert_eq!(story.notices.see(&signed_in(2), story.at(2)), who);
    assert_eq!(story.notices.see(&signed_in(3), story.at(3)), None, "by another way");
    story.notices.redirect_came(story.at(10));
    assert_eq!(story.notices.see(&signed_in(4), story.at(100)), None, "long after the redirect");
}

#[test]
fn a_notice_is_over_when_nobody_in_it_asks_any_more() {
    let named = |label: &str| Named { id: label.into(), label: label.to_owned() };
    let notice = Notice::SignIn(vec![named("work"), named("mail")]);
    assert!(!notice.is_over(&standing(&[("work", S::Fresh), ("mail", S::SignInAgain)])));
    assert!(notice.is_over(&standing(&[("work", S::Fresh), ("mail", S::SignedOut)])));
    assert!(notice.is_over(&standing(&[])));
    assert!(!Notice::Background.is_over(&standing(&[])));
    let words = notice.words(Spoken::English);
    assert_eq!((words.body.as_str(), words.button.as_deref()), ("work, mail", Some("Open Larder")));
}

#[test]
fn its_person_is_called_once_for_each_question_whose_turn_it_is() {
    let mut notices = Notices::default();
    let mut house = standing(&[("work", S::Fresh)]);
    assert_eq!(notices.asks(&house, Spoken::English), None);
    house.prompts = vec![prompt("1", "/usr/bin/git"), prompt("2", "/usr/bin/curl")];
    let first = notices.asks(&house, Spoken::English).expect("a question");
    assert_eq!(first.words(Spoken::English).title, "git asks for work");
    assert_eq!(notices.asks(&house, Spoken::English), None, "it was called for");
    assert!(!first.is_over(&house));
    house.prompts.remove(0);
    assert!(first.is_over(&house));
    assert_eq!(
        notices.asks(&house, Spoken::English).expect("the next").words(Spoken::English).title,
        "curl asks for work"
    );
    house.prompts.clear();
    assert_eq!(notices.asks(&house, Spoken::English), None);
}

#[test]
fn a_notice_is_said_in_the_language_that_is_spoken() {
    let named = |label: &str| Named { id: label.into(), label: label.to_owned() };
    let said = |notice: Notice| {
        let words = notice.words(Spoken::German);
        (words.title, words.body, words.button.unwrap_or_default())
    };
    let expected = |title: &str, body: &str, button: &str| (title.to_owned(), body.to_owned(), button.to_owned());
    assert_eq!(
        said(Notice::SignIn(vec![named("arbeit")])),
        expected(
            "arbeit braucht eine neue Anmeldung",
            "Es dauert ein paar Sekunden; sonst ist nichts betroffen.",
            "Anmelden"
        )
    );
    assert_eq!(
        said(Notice::SignIn(vec![named("arbeit"), named("post")])),
        expected("2 Konten brauchen eine neue Anmeldung", "arbeit, post", "Larder öffnen")
    );
    assert_eq!(
        said(Notice::Recovered(vec![named("arbeit")])),
        expected("arbeit ist wieder frisch", "Die Störung ist vorbei; es ist nichts zu tun.", "")
    );
    let asks = Notice::Asks { prompt: PromptId("1".to_owned()), program: "git".to_owned(), label: "arbeit".to_owned() };
    assert_eq!(
        said(asks),
        expected(
            "git fragt nach arbeit",
            "Nichts wird herausgegeben, bis in Larders Fenster geantwortet ist.",
            "Antworten"
        )
    );
}
