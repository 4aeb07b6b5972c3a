//! A configuration that is wrong is named with its file and line, and loses nothing.

use crate::support::{Provider, Session};
use std::fs;

fn write(session: &Session, name: &str, text: &str) {
    fs::write(session.profile().join(name), text).unwrap();
}

#[test]
fn a_malformed_providers_file_names_file_and_line_and_accounts_go_on() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let good = fs::read_to_string(session.profile().join("providers.toml")).unwrap();
    write(&session, "providers.toml", &format!("{good}\n[provider.other\n"));
    let said = session.larder(&["sign-in", "other", "--no-browser"]).fails(8);
    let line = good.lines().count() + 2;
    assert!(said.contains(&format!("providers.toml, line {line}")), "{said}");
    session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(session.larder(&["status"]).code, 8);
    // Nor does a command write over what it cannot read.
    let add = ["providers", "add", "third", "--issuer", "https://id.example", "--client-id", "c"];
    session.larder(&add).fails(8);
    assert!(fs::read_to_string(session.profile().join("providers.toml")).unwrap().ends_with("[provider.other\n"));
    write(&session, "providers.toml", &good);
    assert_eq!(session.larder(&["status"]).code, 0);
}

#[test]
fn an_unknown_key_names_its_line() {
    let session = Session::new();
    write(
        &session,
        "providers.toml",
        "[provider.work]\nissuer = \"https://id.example\"\nclient_id = \"c\"\nscope = [\"openid\"]\n",
    );
    let said = session.larder(&["sign-in", "work", "--no-browser"]).fails(8);
    assert!(said.contains("line 4") && said.contains("scope"), "{said}");
}

#[test]
fn a_provider_without_an_issuer_or_with_plain_http_elsewhere_names_the_field() {
    let session = Session::new();
    let said =
        session.larder(&["providers", "add", "work", "--issuer", "http://id.example", "--client-id", "c"]).fails(8);
    assert!(said.contains("issuer is http://id.example"), "{said}");
    let said = session.larder(&["providers", "add", "work", "--issuer", "id.example", "--client-id", "c"]).fails(8);
    assert!(said.contains("“work”, issuer"), "{said}");
    let said = session.larder(&["providers", "add", "work", "--client-id", "c"]).fails(8);
    assert!(said.contains("issuer"), "{said}");
    assert!(!session.profile().join("providers.toml").exists());
}

#[test]
fn an_address_that_is_no_issuer_and_one_that_is_another_say_so() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    let add = |name: &str, issuer: &str| {
        session.larder(&["providers", "add", name, "--issuer", issuer, "--client-id", "larder-desktop"]).ok();
    };
    add("nothing", &format!("{}/nothing", provider.issuer));
    let said = session.larder(&["sign-in", "nothing", "--no-browser"]).fails(8);
    assert!(said.contains("is not an issuer"), "{said}");
    add("slash", &format!("{}/", provider.issuer));
    let said = session.larder(&["sign-in", "slash", "--no-browser"]).fails(8);
    assert!(said.contains("another issuer") && said.contains("to the letter"), "{said}");
    let gone = provider.issuer.clone();
    drop(provider);
    add("gone", &gone);
    let said = session.larder(&["sign-in", "gone", "--no-browser"]).fails(4);
    assert!(said.contains("cannot be reached"), "{said}");
}

#[test]
fn an_unknown_provider_and_an_unknown_account_say_how_to_find_the_right_one() {
    let session = Session::new();
    let said = session.larder(&["sign-in", "nobody", "--no-browser"]).fails(2);
    assert!(said.contains("no provider “nobody”") && said.contains("larder providers list"), "{said}");
    let said = session.larder(&["token", "nobody"]).fails(2);
    assert!(said.contains("no account “nobody”") && said.contains("larder accounts"), "{said}");
}

#[test]
fn a_provider_with_accounts_is_not_removed_and_they_are_named() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.sign_in("work", "grace");
    let said = session.larder(&["providers", "remove", "work"]).fails(1);
    assert!(said.contains("work, work-2"), "{said}");
    session.larder(&["sign-out", "--all"]).ok();
    session.larder(&["providers", "remove", "work"]).ok();
    session.larder(&["sign-in", "work", "--no-browser"]).fails(2);
}

#[test]
fn a_policy_that_cannot_be_read_hands_out_nothing() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    write(&session, "policy.toml", "default = \"alow\"\n");
    let said = session.larder(&["token", "work"]).fails(8);
    assert!(said.contains("policy.toml, line 1"), "{said}");
    let said = session.larder(&["status"]);
    assert!(said.stdout.contains("policy.toml, line 1") || said.stderr.contains("policy.toml, line 1"), "{said:?}");
    write(&session, "policy.toml", "default = \"allow\"\n");
    session.larder(&["token", "work"]).ok();
}
