//! A client that proves itself with a private key (RFC 7523), and tokens that are worth nothing without theirs
//! (RFC 9449): against a certified provider that demands both, and a nonce in every proof.

use crate::support::oidc_provider::{OidcProvider, client_keys};
use crate::support::{PATIENCE, Provider, Session, files_below, holds};
use serde_json::{Value, json};

/// Signs in by the listener on this computer.
#[track_caller]
fn sign_in(session: &Session, provider: &OidcProvider, name: &str) {
    let url = session.larder(&["sign-in", name, "--no-browser"]).ok();
    let (status, page) = open(&provider.browse(&url, "ada"));
    assert!(status == 200 && page.contains(&format!("{name} is signed in")), "{status} {page}");
}

fn open(address: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
    let agent: ureq::Agent = config.build().into();
    let mut answer = agent.get(address).header("Accept-Language", "en").call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a page"))
}

/// What came to the token endpoint: how the grant, the proof and the answer were.
fn seen(provider: &OidcProvider) -> Vec<(String, bool, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let row = |seen: &Value| {
        let proof = seen["proof"].as_bool().expect("a flag");
        (text(&seen["grant_type"]), proof, seen["status"].as_u64().expect("a status"), text(&seen["error"]))
    };
    provider.seen().iter().filter(|seen| seen["path"] == "/token").map(row).collect()
}

/// The account's sealed key, as it lies in the database.
fn sealed_key(session: &Session) -> Option<Vec<u8>> {
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("a database");
    database.query_row("SELECT dpop_key FROM account", [], |row| row.get(0)).expect("a row")
}

#[test]
fn a_token_is_bound_to_a_key_from_the_code_on_and_opens_nothing_without_it() {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    provider.add(&session, "work", "bound", &["--redirect", "loopback", "--dpop-bound"]);
    sign_in(&session, &provider, "work");
    let pushed = provider.pushed();
    assert_eq!(pushed.iter().map(|request| request["status"].as_u64()).collect::<Vec<_>>(), [Some(201)]);
    // The key's name goes with the authorization request: SHA-256, in base64url.
    assert_eq!(pushed[0]["dpop_jkt"].as_str().map(str::len), Some(43));
    // Refused once for want of the server's nonce; the code is not spent by that.
    let row = |grant: &str, status, error: &str| (grant.to_owned(), true, status, error.to_owned());
    let wants_nonce = |grant| row(grant, 400, "use_dpop_nonce");
    assert_eq!(seen(&provider), [wants_nonce("authorization_code"), row("authorization_code", 200, "")]);
    // Userinfo said who it was, so it took the token with its proof.
    assert_eq!(session.account("work")["email"], "ada@example.com");
    let first_key = sealed_key(&session).expect("a key");

    // The key goes on, sealed anew for each generation; the nonce is known now.
    let before: Value = serde_json::from_str(&session.larder(&["token", "work", "--json"]).ok()).expect("JSON");
    assert_eq!(before["token_type"], "DPoP");
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(seen(&provider)[2..], [row("refresh_token", 200, "")]);
    let second_key = sealed_key(&session).expect("a key");
    assert_ne!(first_key, second_key);
    // A new run of the agent has forgotten the nonce: what it sent without it is not a spent token.
    session.stop_agent();
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(seen(&provider)[3..], [wants_nonce("refresh_token"), row("refresh_token", 200, "")]);
    assert_eq!(session.account("work")["state"], "fresh");

    // Without a proof it is printed all the same, and said what is missing.
    let raw = session.larder(&["token", "work"]);
    assert!(raw.stderr.contains("larder token work --dpop METHOD URL"), "{}", raw.stderr);
    let token = raw.ok();
    assert_ne!(token, before["access_token"].as_str().expect("text"));
    let me = format!("{}/me", provider.issuer);
    assert_eq!(provider.userinfo(&[("Authorization", &format!("Bearer {token}"))]).0, 401);
    let bound = format!("DPoP {token}");
    assert_ne!(provider.userinfo(&[("Authorization", &bound)]).0, 200);
    let proven = |arguments: &[&str]| {
        let lines = session.larder(&[&["token", "work", "--dpop"], arguments].concat()).ok();
        let (same, proof) = lines.split_once('\n').expect("two lines");
        assert_eq!(same, token);
        proof.to_owned()
    };
    let ask = |proof: &str| provider.userinfo(&[("Authorization", &bound), ("DPoP", proof)]);
    // For another method, or another address.
    assert_eq!(ask(&proven(&["POST", &me])).0, 401);
    assert_eq!(ask(&proven(&["GET", &provider.issuer])).0, 401);
    // A nonce that is none of the server's: it says which one it wants.
    let (status, _, nonce) = ask(&proven(&["GET", &me, "--dpop-nonce", "stale"]));
    assert_eq!(status, 401);
    let nonce = nonce.expect("a nonce");
    let right = proven(&["GET", &format!("{me}?a=b#c"), "--dpop-nonce", &nonce]);
    let (status, claims, _) = ask(&right);
    assert_eq!((status, &claims["email"]), (200, &json!("ada@example.com")));
    // A proof is for one request.
    assert_eq!(ask(&right).0, 401);
    // As curl reads it: the nonce that the agent knows is the server's still.
    let headers = session.larder(&["token", "work", "--dpop", "GET", &me, "--format", "header"]).ok();
    let headers: Vec<_> = headers.lines().map(|line| line.split_once(": ").expect("a header")).collect();
    assert_eq!(headers.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Authorization", "DPoP"]);
    assert_eq!(provider.userinfo(&headers).0, 200);
    let json: Value =
        serde_json::from_str(&session.larder(&["token", "work", "--dpop", "GET", &me, "--json"]).ok()).expect("JSON");
    assert_eq!((&json["access_token"], &json["token_type"]), (&json!(token), &json!("DPoP")));
    assert_eq!(ask(json["dpop"].as_str().expect("a proof")).0, 200);
    // What is no request is refused before anything is asked.
    for (method, url) in [("get", me.as_str()), ("GET", "http://api.example/me"), ("GET", "https://u:p@api.example/")] {
        let said = session.larder(&["token", "work", "--dpop", method, url]).fails(2);
        assert!(said.contains("of a proof") || said.contains("a proof is for"), "{said}");
    }
    // A key that is put back from before does not open: it was sealed for another generation.
    session.stop_agent();
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("a database");
    let newest = sealed_key(&session);
    let put = |key: Option<&[u8]>| database.execute("UPDATE account SET dpop_key = ?1", [key]).expect("a row");
    put(Some(&first_key));
    assert!(session.larder(&["token", "work"]).fails(3).contains("does not open"));
    session.stop_agent();
    put(newest.as_deref());
    // Signing out clears the key with the tokens.
    session.larder(&["sign-out", "work"]).ok();
    assert_eq!(sealed_key(&session), None);
}

#[test]
fn who_asks_for_a_proof_of_a_bearer_token_is_told_that_there_is_nothing_to_prove() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    assert_eq!(sealed_key(&session), None);
    let said = session.larder(&["token", "work", "--dpop", "GET", "https://api.example/me"]).fails(2);
    assert!(said.contains("work is bound to no key"), "{said}");
}

#[test]
fn a_provider_that_binds_no_token_where_that_is_demanded_signs_nobody_in() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    let add = ["providers", "add", "work", "--issuer", &provider.issuer, "--client-id", "larder-desktop"];
    session.larder(&[&add[..], &["--scope", "openid", "--scope", "offline_access", "--dpop-bound"]].concat()).ok();
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    let said = session.larder_reads(&["callback"], &redirect).fails(8);
    assert!(said.contains("dpop_bound_access_tokens") && said.contains("not bound to the key"), "{said}");
    assert_eq!(session.larder(&["accounts"]).ok(), "");
    session.wait_for("the revocation", || provider.live_sessions() == 0);
}

#[test]
fn another_key_than_the_registered_one_is_to_be_corrected_and_the_right_one_lifts_that() {
    let session = Session::new();
    let keys = client_keys(&session);
    let provider = OidcProvider::start_with(&session, &[("CLIENT_JWKS", &keys["jwks"].to_string())]);
    provider.add(&session, "work", "keyed", &["--auth-method", "private_key_jwt", "--redirect", "loopback"]);
    let give = |key: &str| {
        session.larder_reads(&["providers", "secret", "work"], keys[key].as_str().expect("a key")).ok();
    };
    give("ec");
    sign_in(&session, &provider, "work");
    give("other");
    let said = session.larder(&["refresh", "work"]).fails(8);
    assert!(said.contains("invalid_client"), "{said}");
    assert_eq!(session.account("work")["state"], "blocked");
    let asked = provider.seen().len();
    give("ec");
    session.wait_for("the refresh", || session.account("work")["state"] == "fresh");
    assert_eq!(provider.seen().len(), asked + 1);
}

#[test]
fn a_client_proves_itself_with_a_private_key_that_lies_nowhere_in_the_open() {
    let session = Session::new();
    let keys = client_keys(&session);
    let provider = OidcProvider::start_with(&session, &[("CLIENT_JWKS", &keys["jwks"].to_string())]);
    for (client, kind) in [("keyed", "ec"), ("keyed-and-bound", "rsa")] {
        let bound = client == "keyed-and-bound";
        let more: &[&str] = if bound { &["--dpop-bound"] } else { &[] };
        let add = ["--auth-method", "private_key_jwt", "--redirect", "loopback"];
        provider.add(&session, client, client, &[&add[..], more].concat());
        let earlier = provider.seen().len();
        let said = session.larder(&["sign-in", client, "--no-browser"]).fails(8);
        assert!(said.contains(&format!("larder providers secret {client}")), "{said}");
        // What is no key is refused at once, and nothing of it repeated.
        let give = |text: &str| session.larder_reads(&["providers", "secret", client], text);
        let small = keys["small"].as_str().expect("PEM");
        for bad in ["p/q+r s:t", small, r#"{"kty":"oct","k":"c2VjcmV0"}"#] {
            let said = give(bad).fails(8);
            assert!(said.contains("cannot be used") && !said.contains(bad), "{said}");
        }
        session.larder(&["sign-in", client, "--no-browser"]).fails(8);
        let key = keys[kind].as_str().expect("a key");
        assert_eq!(give(&format!("{key}\n")).ok(), "");

        sign_in(&session, &provider, client);
        let first = session.larder(&["token", client]).ok();
        session.larder(&["refresh", client]).ok();
        // The key outlives the agent, and opens again.
        session.stop_agent();
        session.larder(&["refresh", client]).ok();
        assert_ne!(session.larder(&["token", client]).ok(), first);
        let inside = files_below(&session.profile());
        session.larder(&["sign-out", client]).ok();
        let since = || provider.seen().split_off(earlier);
        session.wait_for("the revocation", || since().iter().any(|seen| seen["path"] == "/token/revocation"));

        let seen = since();
        let good: Vec<_> = seen.iter().filter(|seen| seen["status"] == 200).collect();
        let kinds: Vec<_> = good.iter().map(|seen| seen["grant_type"].as_str().unwrap_or("revocation")).collect();
        assert_eq!(kinds.get(..4), Some(&["authorization_code", "refresh_token", "refresh_token", "revocation"][..]));
        for request in &seen {
            // Again for a nonce: with an assertion of its own, for the server takes each once.
            let fine = request["status"] == 200 || (bound && request["error"] == "use_dpop_nonce");
            assert!(fine && request["header"] == "" && request["form"] == false, "{request}");
            let claims = &request["assertion"];
            let said = (&claims["iss"], &claims["sub"], &claims["aud"]);
            assert_eq!(said, (&json!(client), &json!(client), &json!(provider.issuer)), "{request}");
            let lifetime = claims["exp"].as_i64().expect("a time") - claims["iat"].as_i64().expect("a time");
            assert!((1..=300).contains(&lifetime), "{request}");
        }
        // The authorization request is pushed, which takes a proof of the client too.
        let pushed = provider.pushed();
        let request = pushed.last().expect("a request");
        assert_eq!((&request["status"], &request["assertion"]["iss"]), (&json!(201), &json!(client)), "{request}");
        let asked_again = seen.len() - good.len();
        assert_eq!(asked_again, if bound { 2 } else { 0 }, "{seen:?}");
        session.stop_agent();
        // A line of the PEM, or the private exponent of the JWK.
        let part = match kind {
            "ec" => key.lines().nth(1).expect("a line").to_owned(),
            _ => serde_json::from_str::<Value>(key).expect("JSON")["d"].as_str().expect("text").to_owned(),
        };
        for file in inside.into_iter().chain(files_below(session.home())) {
            assert!(!holds(&file, part.as_bytes()), "{} holds the key", file.display());
        }
        let written = std::fs::read_to_string(session.profile().join("providers.toml")).expect("providers.toml");
        assert!(written.contains("private_key_jwt"), "{written}");
    }
}
