//! A keychain that is locked or absent ends in a sentence: never a hang, and never a prompt that nobody asked for.

use crate::support::prompts::Prompts;
use crate::support::{Keyring, Provider, Session};
use std::time::{Duration, Instant};

/// What the keychain may take to say no, whole command included; the agent's own bound is 5 s.
const PROMPT: Duration = Duration::from_secs(8);

#[test]
fn a_locked_keychain_is_a_sentence_and_no_prompt_and_opening_it_goes_on_by_itself() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.stop_agent();
    session.lock_keyring();
    let prompts = Prompts::watch(&session);
    let start = Instant::now();
    let said = session.larder(&["token", "work"]).fails(6);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert!(said.contains("Your keychain is locked; unlock it"), "{said}");
    session.larder(&["refresh", "work"]).fails(6);
    assert_eq!(session.larder(&["status"]).code, 6);
    prompts.none();
    session.unlock_keyring();
    session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(session.account("work")["state"], "fresh");
}

#[test]
fn signing_out_with_a_locked_keychain_clears_now_and_shreds_the_key_once_it_opens() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.lock_keyring();
    let prompts = Prompts::watch(&session);
    session.larder(&["sign-out", "work"]).fails(6);
    assert_eq!(session.account("work")["state"], "signing-out");
    prompts.none();
    session.unlock_keyring();
    let events = session.events();
    session.larder(&["unlock"]).ok();
    events.wait("signed-out");
    assert_eq!(session.keychain_items(), 0);
    assert_eq!(session.account("work")["state"], "signed-out");
}

#[test]
fn a_sign_out_that_a_locked_keychain_held_up_is_finished_by_the_next_agent() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.lock_keyring();
    session.larder(&["sign-out", "work"]).fails(6);
    session.kill_agent();
    session.unlock_keyring();
    // It begins as the next agent does, which may be before anybody listens for events.
    session.wait_for("the end of the sign-out", || session.account("work")["state"] == "signed-out");
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn without_a_keychain_nothing_is_stored_and_the_provider_gets_its_tokens_back() {
    let session = Session::with(Keyring::None);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    let start = Instant::now();
    let said = session.larder_reads(&["callback"], &redirect).fails(6);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert!(said.contains("No keychain answers"), "{said}");
    assert_eq!(session.larder(&["accounts", "--json"]).ok().matches("label").count(), 0);
    session.wait_for("the revocation", || provider.live_sessions() == 0);
}

#[test]
fn a_locked_keychain_at_a_sign_in_stores_nothing() {
    let session = Session::with(Keyring::Locked);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let prompts = Prompts::watch(&session);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    session.larder_reads(&["callback"], &redirect).fails(6);
    prompts.none();
    session.wait_for("the revocation", || provider.live_sessions() == 0);
}

#[test]
fn a_keychain_that_starts_later_is_found_without_a_restart_of_the_agent() {
    let mut session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.stop_agent();
    session.stop_keyring();
    session.larder(&["token", "work"]).fails(6);
    session.start_keyring();
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_key_that_somebody_deleted_asks_for_a_sign_in_and_leaves_the_others_alone() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.sign_in("work", "grace");
    session.stop_agent();
    let id = session.account("work")["id"].as_str().unwrap().to_owned();
    session.stop_agent();
    session.ran("secret-tool", &["clear", "service", "dev.larder.desktop", "username", &id]);
    let said = session.larder(&["token", "work"]).fails(3);
    assert!(said.contains("no longer holds this account's key"), "{said}");
    session.larder(&["token", "work-2"]).ok();
    let events = session.events();
    events.wait("refresh-failed");
    assert_eq!(session.account("work")["state"], "sign-in-again");
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
}
