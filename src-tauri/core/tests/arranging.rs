//! What accounts are called, and in which order they stand.

mod common;

use common::*;
use larder_core::arranging::{LONGEST_LABEL, arranged, free_label, may_be_called};
use larder_core::effect::HouseEffect;
use larder_core::house::HouseEvent;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::view::EventKind;

fn id(name: &str) -> AccountId {
    account(name).id
}

fn labels(home: &Home) -> Vec<&str> {
    home.house.accounts.iter().map(|account| account.identity.label.as_str()).collect()
}

#[test]
fn a_label_is_a_word_that_nobody_else_has() {
    let home = Home::with(vec![account("a"), account("b")]);
    let call = |label: &str| may_be_called(&home.house, Some(&id("a")), label);
    assert_eq!(call("work"), Ok(()));
    assert_eq!(call("a"), Ok(()), "what it is called already");
    assert_eq!(call(&"ü".repeat(LONGEST_LABEL)), Ok(()));
    let taken = |label: &str| Err(Problem::LabelTaken { label: label.to_owned() });
    assert_eq!(call("b"), taken("b"));
    for bad in ["", " ", " work", "work ", "wo\nrk", "*", &"x".repeat(LONGEST_LABEL + 1)] {
        assert!(matches!(call(bad), Err(Problem::BadRequest { .. })), "{bad:?}");
    }
}

#[test]
fn while_a_label_is_written_nobody_else_gets_it() {
    let mut home = Home::with(vec![account("a"), account("b")]);
    home.happen(HouseEvent::Rename { account: id("a"), label: "work".to_owned() });
    assert!(may_be_called(&home.house, Some(&id("b")), "work").is_err());
    assert_eq!(free_label(&home.house, "work"), "work-2");
    home.happen(HouseEvent::Renamed { account: id("a"), label: "work".to_owned(), written: false });
    assert_eq!(labels(&home), ["a", "b"]);
    assert_eq!(may_be_called(&home.house, Some(&id("b")), "work"), Ok(()));
}

#[test]
fn a_label_that_is_written_is_the_account_s_and_told() {
    let mut home = Home::with(vec![account("a"), account("b")]);
    home.happen(HouseEvent::Rename { account: id("a"), label: "work".to_owned() });
    let effects = home.happen(HouseEvent::Renamed { account: id("a"), label: "work".to_owned(), written: true });
    assert_eq!(labels(&home), ["work", "b"]);
    assert_eq!(home.house.find("work").unwrap().id, id("a"));
    // The one that has the id must be found by it.
    assert!(may_be_called(&home.house, Some(&id("b")), id("a").as_str()).is_err());
    let told = |effect: &HouseEffect| matches!(effect, HouseEffect::Record { kind: EventKind::Renamed, .. });
    assert!(effects.iter().any(told));
}

#[test]
fn accounts_stand_where_they_were_put_and_a_new_one_last() {
    let mut home = Home::with(["a", "b", "c"].map(account).to_vec());
    let order = arranged(&home.house, &id("c"), Some(&id("a")));
    home.happen(HouseEvent::Arranged(order));
    assert_eq!(labels(&home), ["c", "a", "b"]);
    let order = arranged(&home.house, &id("c"), None);
    // One came while that was written.
    home.happen(HouseEvent::Imported(Box::new(account("d"))));
    home.happen(HouseEvent::Arranged(order));
    assert_eq!(labels(&home), ["a", "b", "c", "d"]);
    assert_eq!(arranged(&home.house, &id("x"), None).len(), 4, "one that is not there moves nobody");
}

#[test]
fn an_account_goes_on_being_refreshed_wherever_it_stands() {
    let mut home = Home::with(vec![apart(0), apart(1), apart(2)]);
    let first = home.house.accounts[0].id.clone();
    let order = arranged(&home.house, &first, None);
    home.happen(HouseEvent::Arranged(order));
    for _ in 0..3 {
        let effects = home.pass_to_wake();
        assert!(!effects.is_empty(), "each is begun when it is due");
    }
}
