//! Accounts without a person: the client asks for itself (RFC 6749 section 4.4), against a certified provider.

use crate::support::oidc_provider::{CLIENT_SECRET, OidcProvider, client_keys};
use crate::support::{Child, Session, files_below, holds, program};
use serde_json::{Value, json};
use std::process::Stdio;

const CLIENT: &str = "client_secret_post";

/// A provider whose tokens live so many seconds, and which takes clients without a person.
fn provider(session: &Session, lifetime: u32) -> OidcProvider {
    OidcProvider::start_with(session, &[("MACHINE_LIFETIME", &lifetime.to_string())])
}

fn add(session: &Session, provider: &OidcProvider, client: &str, more: &[&str]) {
    let add = ["providers", "add", "work", "--issuer", &provider.issuer, "--client-id", client];
    session.larder(&[&add[..], more].concat()).ok();
}

fn give_secret(session: &Session, secret: &str) {
    session.larder_reads(&["providers", "secret", "work"], secret).ok();
}

/// Its provider is named `work`, the account `bot`.
fn signed_in(lifetime: u32) -> (Session, OidcProvider) {
    let session = Session::new();
    let provider = provider(&session, lifetime);
    add(&session, &provider, CLIENT, &["--auth-method", CLIENT, "--scope", "read", "--scope", "write"]);
    give_secret(&session, CLIENT_SECRET);
    assert_eq!(session.larder(&["sign-in", "work", "--client-credentials", "--label", "bot"]).ok(), "bot");
    (session, provider)
}

/// What came to the token endpoint.
fn asked(provider: &OidcProvider) -> Vec<Value> {
    provider.seen().into_iter().filter(|seen| seen["path"] == "/token").collect()
}

/// One value of the account's row.
fn row<T: rusqlite::types::FromSql>(session: &Session, column: &str) -> T {
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("a database");
    database.query_row(&format!("SELECT {column} FROM account"), [], |row| row.get(0)).expect("a row")
}

#[test]
fn a_client_signs_in_as_itself_and_its_token_works() {
    let (session, provider) = signed_in(600);
    let account = session.account("bot");
    assert_eq!((&account["state"], &account["name"]), (&json!("fresh"), &json!(CLIENT)), "{account}");
    assert_eq!(account["grant_type"], "client-credentials");
    assert_eq!(row::<String>(&session, "provider_account_id"), CLIENT);
    assert_eq!(row::<String>(&session, "grant_type"), "client_credentials");
    assert_eq!(row::<Option<Vec<u8>>>(&session, "refresh_token"), None);
    let first = session.larder(&["token", "bot"]).ok();
    let said = provider.introspect(CLIENT, &first);
    assert_eq!((&said["active"], &said["client_id"]), (&json!(true), &json!(CLIENT)), "{said}");
    // A refresh is the same request, with the same scopes.
    session.larder(&["refresh", "bot"]).ok();
    let second = session.larder(&["token", "bot"]).ok();
    assert_ne!(first, second);
    assert_eq!(provider.introspect(CLIENT, &second)["active"], true);
    assert_eq!(asked(&provider).len(), 2);
    for seen in asked(&provider) {
        assert_eq!((&seen["grant_type"], &seen["status"]), (&json!("client_credentials"), &json!(200)), "{seen}");
        assert_eq!(seen["scope"], "read write");
    }
    // No browser was sent anywhere.
    assert!(provider.pushed().is_empty());
    for file in files_below(&session.profile()) {
        for token in [&first, &second] {
            assert!(!holds(&file, token.as_bytes()), "{} holds a token", file.display());
        }
    }
}

#[test]
fn its_token_is_asked_for_anew_before_it_ends() {
    let (session, provider) = signed_in(5);
    let events = session.events();
    let first = session.larder(&["token", "bot"]).ok();
    events.wait("refreshed");
    events.wait("refreshed");
    let newest = session.larder(&["token", "bot"]).ok();
    assert_ne!(first, newest);
    assert_eq!(provider.introspect(CLIENT, &newest)["active"], true);
    assert_eq!(session.account("bot")["state"], "fresh");
}

#[test]
fn a_restart_changes_nothing_and_signing_in_again_needs_no_browser() {
    let (session, provider) = signed_in(600);
    let first = session.larder(&["token", "bot"]).ok();
    session.stop_agent();
    assert_eq!(session.larder(&["token", "bot"]).ok(), first);
    session.larder(&["refresh", "bot"]).ok();
    assert_eq!(session.account("bot")["state"], "fresh");
    assert_eq!(asked(&provider).len(), 2);
    assert_eq!(session.larder(&["sign-in", "--account", "bot"]).ok(), "bot");
    assert_eq!(asked(&provider).len(), 3);
    // The client is one account, whatever it is to be called.
    assert_eq!(session.larder(&["sign-in", "work", "--client-credentials", "--label", "other"]).ok(), "bot");
}

#[test]
fn a_request_that_was_cut_off_loses_nothing_however_often() {
    let (session, provider) = signed_in(600);
    for point in ["send.before", "send.after", "send.after", "save.before"] {
        session.stop_agent();
        let mut command = session.command(program("larder-agent"));
        command.env("LARDER_FAIL_AT", point).stdout(Stdio::null()).stderr(Stdio::null());
        let mut agent = Child(command.spawn().expect("larder-agent"));
        session.wait_for("the agent", || session.larder(&["status", "--no-start"]).code == 0);
        assert_ne!(session.larder(&["refresh", "bot", "--no-start"]).code, 0, "{point}");
        session.wait_for("the agent's end", || agent.0.try_wait().expect("wait").is_some());
        assert_eq!(row::<Option<String>>(&session, "in_flight"), None, "{point}");
        assert_eq!(session.account("bot")["state"], "fresh", "{point}");
    }
    session.larder(&["refresh", "bot"]).ok();
    assert!(asked(&provider).iter().all(|seen| seen["status"] == 200));
    assert_eq!(asked(&provider).len(), 5);
}

#[test]
fn signing_out_tells_the_provider_and_leaves_nothing() {
    let (session, provider) = signed_in(600);
    let token = session.larder(&["token", "bot"]).ok();
    let sealed: Vec<u8> = row(&session, "access_token");
    // The account's key, and the client's secret.
    assert_eq!(session.keychain_items(), 2);
    session.larder(&["sign-out", "bot"]).ok();
    session.wait_for("the revocation", || provider.introspect(CLIENT, &token)["active"] == false);
    assert_eq!(session.keychain_items(), 1);
    for file in files_below(&session.profile()) {
        assert!(!holds(&file, &sealed), "{} still holds the sealed token", file.display());
    }
    session.stop_agent();
    session.larder(&["token", "bot"]).fails(3);
    session.larder(&["refresh", "bot"]).fails(3);
    assert_eq!(asked(&provider).len(), 1);
    // It comes back as what it was.
    assert_eq!(session.larder(&["sign-in", "--account", "bot"]).ok(), "bot");
    session.larder(&["token", "bot"]).ok();
}

#[test]
fn a_public_client_is_refused_with_its_sentence() {
    let session = Session::new();
    let provider = provider(&session, 600);
    add(&session, &provider, "desktop", &[]);
    let said = session.larder(&["sign-in", "work", "--client-credentials"]).fails(8);
    assert!(said.contains("only a client with a secret or a private key"), "{said}");
    assert!(asked(&provider).is_empty());
    assert_eq!((session.larder(&["accounts"]).ok().as_str(), session.keychain_items()), ("", 0));
}

#[test]
fn where_it_is_the_providers_own_way_nothing_has_to_be_said() {
    let session = Session::new();
    let provider = provider(&session, 600);
    let definition = |method: &str| {
        format!(
            "issuer = \"{}\"\nclient_id = \"{CLIENT}\"\nredirects = [\"client-credentials\"]\n\
             token_endpoint_auth_method = \"{method}\"\n",
            provider.issuer
        )
    };
    session.larder_reads(&["providers", "add", "work", "--from", "-"], &definition("none")).ok();
    let checked = session.larder(&["providers", "check", "work"]);
    assert!(checked.code == 8 && checked.stdout.contains("only a client with a secret"), "{checked:?}");
    session.larder_reads(&["providers", "add", "work", "--from", "-"], &definition(CLIENT)).ok();
    give_secret(&session, CLIENT_SECRET);
    let checked = session.larder(&["providers", "check", "work"]).ok();
    assert!(checked.contains("without a person") && !checked.contains("wrong"), "{checked}");
    assert_eq!(session.larder(&["sign-in", "work"]).ok(), "work");
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_wrong_secret_is_to_be_corrected_and_the_right_one_lifts_that() {
    let (session, provider) = signed_in(600);
    let first = session.larder(&["token", "bot"]).ok();
    give_secret(&session, "another");
    let said = session.larder(&["refresh", "bot"]).fails(8);
    assert!(said.contains("invalid_client"), "{said}");
    assert_eq!(session.account("bot")["state"], "blocked");
    // The token that still works goes on being handed out.
    assert_eq!(session.larder(&["token", "bot"]).ok(), first);
    let said = session.larder(&["sign-in", "--account", "bot"]).fails(8);
    assert!(said.contains("invalid_client"), "{said}");
    give_secret(&session, CLIENT_SECRET);
    session.wait_for("the refresh", || session.account("bot")["state"] == "fresh");
    assert_ne!(session.larder(&["token", "bot"]).ok(), first);
    assert!(asked(&provider).last().is_some_and(|seen| seen["status"] == 200));
}

#[test]
fn a_client_with_a_private_key_and_bound_tokens_signs_in_as_itself() {
    let session = Session::new();
    let keys = client_keys(&session);
    let jwks = keys["jwks"].to_string();
    let provider = OidcProvider::start_with(&session, &[("MACHINE_LIFETIME", "600"), ("CLIENT_JWKS", &jwks)]);
    add(&session, &provider, "keyed-and-bound", &["--auth-method", "private_key_jwt", "--dpop-bound"]);
    give_secret(&session, keys["ec"].as_str().expect("a key"));
    assert_eq!(session.larder(&["sign-in", "work", "--client-credentials"]).ok(), "work");
    let key: Option<Vec<u8>> = row(&session, "dpop_key");
    assert!(key.is_some());
    session.larder(&["refresh", "work"]).ok();
    let token: Value = serde_json::from_str(&session.larder(&["token", "work", "--json"]).ok()).expect("JSON");
    assert_eq!(token["token_type"], "DPoP");
    let good: Vec<_> = asked(&provider).into_iter().filter(|seen| seen["status"] == 200).collect();
    assert_eq!(good.len(), 2);
    for seen in good {
        assert_eq!(seen["grant_type"], "client_credentials");
        assert_eq!((&seen["proof"], &seen["assertion"]["iss"]), (&json!(true), &json!("keyed-and-bound")), "{seen}");
    }
}
