//! A configuration that is wrong is named with its file and line, and loses nothing.

use crate::support::{Provider, Session};
use serde_json::Value;
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

#[test]
fn a_check_says_what_a_provider_offers_and_what_is_wrong_without_signing_in() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let report = session.larder(&["providers", "check", "work"]).ok();
    for line in [
        format!("ok     {0} answers, and is the issuer that it says it is.", provider.issuer),
        format!("ok     You sign in at {}/authorize", provider.issuer),
        "ok     It takes PKCE with S256.".to_owned(),
        "ok     The client is larder-desktop".to_owned(),
    ] {
        assert!(report.lines().any(|found| found == line), "{line}\n{report}");
    }
    assert!(!report.contains("wrong"), "{report}");
    // By its address alone, where nothing is written down.
    let report = session.larder(&["providers", "check", &provider.issuer]).ok();
    assert!(report.contains("Nothing is written down for this issuer yet"), "{report}");
    // What ends a sign-in is said in the same words.
    let ran = session.larder(&["providers", "check", &format!("{}/nowhere", provider.issuer)]);
    assert_eq!(ran.code, 8, "{ran:?}");
    assert!(ran.stdout.starts_with("wrong  ") && ran.stdout.contains("is not an issuer"), "{ran:?}");
    let ran = session.larder(&["providers", "check", "mastodon"]);
    assert!(ran.code == 8 && ran.stdout.contains("It is not said whose server this is"), "{ran:?}");
    let port = provider.port();
    drop(provider);
    let ran = session.larder(&["providers", "check", &format!("http://127.0.0.1:{port}")]);
    assert_eq!(ran.code, 4, "{ran:?}");
    // Nothing was asked for but metadata.
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn the_catalogue_is_there_with_its_help_and_takes_a_server_of_ones_own() {
    let session = Session::new();
    let text = session.larder(&["providers", "list", "--json"]).ok();
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let all = all.as_array().expect("a list");
    assert!(all.len() >= 30, "{} providers", all.len());
    for provider in all {
        let help = &provider["help"];
        assert!(help["steps"].as_array().is_some_and(|steps| steps.len() >= 2), "{provider}");
        assert_eq!(provider["ready"], false, "{provider}");
    }
    let add = ["providers", "add", "social", "--catalogue", "mastodon", "--server", "https://social.example"];
    session.larder(&[&add[..], &["--client-id", "id"]].concat()).ok();
    let text = session.larder(&["providers", "list", "--json"]).ok();
    assert!(text.contains("https://social.example"), "{text}");
    let said = session.larder(&["sign-in", "mastodon", "--no-browser"]).fails(8);
    assert!(said.contains("say whose it is"), "{said}");
}
