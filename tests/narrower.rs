//! Further access tokens of one grant: for some of its scopes, or for another resource, each asked for once.

use crate::support::oidc_provider::{CLIENT_SECRET, OidcProvider};
use crate::support::{Session, files_below, holds};
use base64::Engine;
use rusqlite::Connection;
use serde_json::{Value, json};

/// The token for this part of the account's grant, as JSON.
#[track_caller]
fn token(session: &Session, account: &str, more: &[&str]) -> Value {
    let said = session.larder(&[&["token", account, "--format", "json"], more].concat()).ok();
    serde_json::from_str(&said).expect("JSON")
}

fn database(session: &Session) -> Connection {
    Connection::open(session.profile().join("larder.db")).expect("a database")
}

#[test]
fn a_narrower_token_is_asked_for_once_and_the_accounts_own_stays() {
    let (session, provider) = Session::signed_in(600);
    let own = token(&session, "work", &[]);
    let narrow = token(&session, "work", &["--scope", "openid", "--scope", "email"]);
    assert_eq!(narrow["scope"], "email openid");
    assert_ne!(narrow["access_token"], own["access_token"]);
    // The same again, however it is said; and by the next agent.
    assert_eq!(token(&session, "work", &["--scope", "email openid"]), narrow);
    session.stop_agent();
    assert_eq!(token(&session, "work", &["--scope", "openid", "--scope", "email"]), narrow);
    assert_eq!(token(&session, "work", &[]), own);
    assert_eq!(provider.refreshes().len(), 1);
    let said = provider.userinfo(narrow["access_token"].as_str().unwrap());
    assert_eq!((said.0, &said.1["email"], &said.1["name"]), (200, &json!("ada@example.com"), &Value::Null), "{said:?}");
    assert_eq!(provider.userinfo(own["access_token"].as_str().unwrap()).0, 200);
    // The refresh token that came with it is the one that is used next; the other is sealed anew, and goes on opening.
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(token(&session, "work", &["--scope", "email openid"]), narrow);
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    assert_eq!(provider.live_sessions(), 1);
    let granted = session.account("work")["scopes"].as_array().unwrap().len();
    assert_eq!(granted, 4, "what was granted is what it was");
}

#[test]
fn a_scope_that_was_not_granted_is_not_asked_for() {
    let (session, provider) = Session::signed_in(600);
    let said = session.larder(&["token", "work", "--scope", "email", "--scope", "files"]).fails(3);
    assert!(said.contains("larder sign-in --account work --add-scope files"), "{said}");
    session.larder(&["token", "work", "--resource", "not a URI"]).fails(2);
    session.larder(&["token", "work", "--resource", "https://api.example/#there"]).fails(2);
    assert!(provider.refreshes().is_empty());
}

#[test]
fn many_that_ask_for_the_same_make_one_request_and_a_crash_loses_nothing() {
    let (session, provider) = Session::signed_in(600);
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 500 }));
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let ask = || session.larder(&["token", "work", "--scope", "email"]).ok();
        let asks: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        asks.into_iter().map(|ask| ask.join().unwrap()).collect()
    });
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(provider.refreshes().len(), 1);
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 0 }));
    // Killed after the rotated refresh token is on the disk, before anybody hears of it.
    session.stop_agent();
    let agent = session.agent_that_ends_at("save.after");
    // The client starts another agent, which asks for nothing again.
    let kept = session.larder(&["token", "work", "--scope", "profile"]).ok();
    session.ended(agent);
    assert_eq!(session.larder(&["token", "work", "--scope", "profile"]).ok(), kept);
    let asked = provider.refreshes().len();
    assert_eq!(asked, 2);
    session.larder(&["refresh", "work"]).ok();
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"), "none was sent twice");
    assert_eq!(provider.refreshes().len(), asked + 1);
}

#[test]
fn one_that_was_moved_or_altered_does_not_open_and_is_asked_for_anew() {
    let (session, provider) = Session::signed_in(600);
    let email = token(&session, "work", &["--scope", "email"]);
    let profile = token(&session, "work", &["--scope", "profile"]);
    session.stop_agent();
    let swap = "UPDATE access_token SET sealed = (SELECT other.sealed FROM access_token AS other
                  WHERE other.scope = 'profile') WHERE scope = 'email'";
    assert_eq!(database(&session).execute(swap, []).unwrap(), 1);
    session.larder(&["token", "work", "--scope", "email"]).fails(4);
    let again = token(&session, "work", &["--scope", "email"]);
    assert_ne!(again["access_token"], email["access_token"]);
    assert_eq!(again["scope"], "email");
    assert_eq!(token(&session, "work", &["--scope", "profile"]), profile, "the other is not affected");
    assert_eq!(provider.refreshes().len(), 3);
}

#[test]
fn signing_out_leaves_none_of_them_and_signing_in_again_starts_anew() {
    let (session, provider) = Session::signed_in(600);
    let kept = [token(&session, "work", &["--scope", "email"]), token(&session, "work", &["--scope", "profile"])];
    let sealed: Vec<Vec<u8>> = {
        let database = database(&session);
        let mut statement = database.prepare("SELECT sealed FROM access_token").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(sealed.len(), 2);
    session.larder(&["sign-out", "work"]).ok();
    for file in files_below(&session.profile()) {
        assert!(!sealed.iter().any(|bytes| holds(&file, bytes)), "{} holds a sealed token", file.display());
        for token in &kept {
            let text = token["access_token"].as_str().unwrap();
            assert!(!holds(&file, text.as_bytes()), "{} holds a token", file.display());
        }
    }
    session.larder(&["token", "work", "--scope", "email"]).fails(3);
    session.sign_in("work", "ada");
    let asked = provider.refreshes().len();
    assert_ne!(token(&session, "work", &["--scope", "email"])["access_token"], kept[0]["access_token"]);
    assert_eq!(provider.refreshes().len(), asked + 1);
    session.larder(&["sign-out", "work", "--forget"]).ok();
    let rows: i64 = database(&session).query_row("SELECT count(*) FROM access_token", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0);
}

#[test]
fn where_a_refresh_ends_the_others_no_dead_one_is_given() {
    let (session, provider) = Session::signed_in(600);
    session.larder(&["sign-out", "work", "--forget"]).ok();
    provider.expire(json!({ "refresh_ends_access": true }));
    let file = session.profile().join("providers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}refresh_ends_access_token = true\n")).unwrap();
    session.sign_in("work", "ada");
    for more in [&[][..], &["--scope", "email openid"], &["--scope", "openid"], &["--scope", "email openid"], &[]] {
        let token = token(&session, "work", more);
        assert_eq!(provider.userinfo(token["access_token"].as_str().unwrap()).0, 200, "{more:?}");
    }
    // After a restart no more than one is believed in.
    session.stop_agent();
    let token = token(&session, "work", &["--scope", "openid"]);
    assert_eq!(provider.userinfo(token["access_token"].as_str().unwrap()).0, 200);
}

/// A certified provider, and an account of its client.
fn certified(client: &str) -> (Session, OidcProvider) {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    provider.add(&session, "work", client, &["--redirect", "loopback", "--dpop-bound"]);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    session.larder_reads(&["callback"], &provider.browse(&url, "ada")).ok();
    (session, provider)
}

#[test]
fn a_certified_provider_gives_narrower_tokens_that_are_bound_to_the_same_key() {
    let (session, provider) = certified("bound");
    let own = token(&session, "work", &[]);
    let narrow = token(&session, "work", &["--scope", "openid email"]);
    assert_eq!((&narrow["token_type"], &narrow["scope"]), (&json!("DPoP"), &json!("openid email")), "{narrow}");
    assert_ne!(narrow["access_token"], own["access_token"]);
    let url = format!("{}/me", provider.issuer);
    let proven = |nonce: Option<&str>| {
        let mut more = vec!["--scope", "openid email", "--dpop", "GET", &url];
        more.extend(nonce.iter().flat_map(|nonce| ["--dpop-nonce", nonce]));
        token(&session, "work", &more)
    };
    let asks = |token: &Value| {
        let authorization = format!("DPoP {}", token["access_token"].as_str().unwrap());
        provider.userinfo(&[("Authorization", &authorization), ("DPoP", token["dpop"].as_str().unwrap())])
    };
    let (mut status, mut said, nonce) = asks(&proven(None));
    if let (401, Some(nonce)) = (status, nonce) {
        (status, said, _) = asks(&proven(Some(&nonce)));
    }
    assert_eq!((status, &said["email"], &said["name"]), (200, &json!("ada@example.com"), &Value::Null), "{said}");
    assert_eq!(token(&session, "work", &[]), own);
}

/// Whom a signed token is for.
fn audience(token: &Value) -> Value {
    let text = token["access_token"].as_str().unwrap();
    let claims = text.split('.').nth(1).expect("a signed token");
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    serde_json::from_slice::<Value>(&claims).unwrap()["aud"].clone()
}

#[test]
fn a_certified_provider_gives_a_token_for_each_resource_that_was_signed_in_for_and_is_not_asked_for_others() {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    provider.add(&session, "work", "desktop", &["--redirect", "loopback", "--scope", "read"]);
    let file = session.profile().join("providers.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let resources = ["http://127.0.0.1/a", "http://127.0.0.1/b"];
    std::fs::write(&file, format!("{text}other_resources = {resources:?}\n")).unwrap();
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    session.larder_reads(&["callback"], &provider.browse(&url, "ada")).ok();
    let asked = || provider.seen().into_iter().filter(|seen| seen["path"] == "/token").count();
    let own = token(&session, "work", &[]);
    let before = asked();
    let tokens = resources.map(|resource| token(&session, "work", &["--resource", resource]));
    for (kept, resource) in tokens.iter().zip(resources) {
        assert_eq!((audience(kept), &kept["scope"]), (json!(resource), &json!("read")), "{kept}");
        assert_eq!(token(&session, "work", &["--resource", resource]), *kept);
    }
    assert_eq!(asked(), before + 2);
    // This server has spent a refresh token before it looks at the resource: another one would end the session.
    let said = session.larder(&["token", "work", "--resource", "http://127.0.0.1/c"]).fails(3);
    assert!(said.contains("other_resources"), "{said}");
    assert_eq!(asked(), before + 2);
    assert_eq!(token(&session, "work", &[]), own);
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(token(&session, "work", &["--resource", resources[0]]), tokens[0]);
    assert!(provider.seen().iter().all(|seen| seen["status"] == 200), "{:?}", provider.seen());
}

#[test]
fn what_the_provider_refuses_is_a_sentence_and_the_account_goes_on() {
    let (session, provider) = Session::signed_in(600);
    provider
        .behave(json!({ "endpoint": "token", "mode": "error", "error": "invalid_scope", "status": 400, "times": 1 }));
    let said = session.larder(&["token", "work", "--scope", "email"]).fails(1);
    assert!(said.contains("gives work no token for that"), "{said}");
    assert_eq!(session.larder(&["token", "work", "--scope", "email"]).fails(1), said);
    assert_eq!(provider.refreshes().len(), 1, "it is not asked the same again at once");
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(session.account("work")["state"], "fresh");
}

#[test]
fn a_client_without_a_person_gets_a_token_for_each_resource() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("MACHINE_LIFETIME", "600")]);
    let client = "client_secret_post";
    let add = ["providers", "add", "work", "--issuer", &provider.issuer, "--client-id", client];
    session.larder(&[&add[..], &["--auth-method", client, "--scope", "read"]].concat()).ok();
    session.larder_reads(&["providers", "secret", "work"], CLIENT_SECRET).ok();
    session.larder(&["sign-in", "work", "--client-credentials", "--label", "bot"]).ok();
    let own = token(&session, "bot", &[]);
    let resources = ["http://127.0.0.1/a", "http://127.0.0.1/b"];
    let tokens = resources.map(|resource| token(&session, "bot", &["--resource", resource, "--scope", "read"]));
    for (token, resource) in tokens.iter().zip(resources) {
        assert_eq!((audience(token), &token["scope"]), (json!(resource), &json!("read")));
    }
    for (kept, resource) in tokens.iter().zip(resources) {
        assert_eq!(token(&session, "bot", &["--resource", resource, "--scope", "read"]), *kept);
    }
    assert_eq!(token(&session, "bot", &[]), own);
    let seen = provider.seen();
    assert_eq!(seen.iter().filter(|seen| seen["path"] == "/token").count(), 3, "{seen:?}");
    // There is no refresh token that would take them with it: each is given back.
    session.larder(&["sign-out", "bot"]).ok();
    session.wait_for("the revocations", || {
        provider.seen().iter().filter(|seen| seen["path"] == "/token/revocation" && seen["status"] == 200).count() >= 1
    });
}
