//! ID tokens and key sets that an attacker makes. What is refused is refused for a reason of its own, and no account comes of it;
//! keys are not asked for without end. The certification's own cases are in `relying_party.rs`.

use crate::relying_party::{accepted, accounts, refused, set_up, sign_in};
use crate::support::Session;
use crate::support::openid_provider::{By, CLIENT_ID, Key, OpenIdProvider, SUBJECT, Told, now};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::KeyPair;
use base64::Engine as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Nothing that an issuer sends keeps anybody longer; tests run on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A sign-in that is answered so fails; the reason, as the record has it. Nothing of it is stored.
#[track_caller]
fn reason(session: &Session, provider: &OpenIdProvider, tell: impl FnOnce(&mut Told)) -> String {
    provider.tell(tell);
    let since = Instant::now();
    let said = sign_in(session, provider).fails(1);
    assert!(said.contains("nothing was stored"), "{said}");
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert!(accounts(session).is_empty());
    let problem = || -> Option<Value> {
        let events = session.larder(&["events", "--json", "--limit", "5"]).ok();
        let mut events = events.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Some(events.rfind(|event| event["kind"] == "sign-in-failed")?["problem"].clone())
    };
    session.wait_for("the record", || {
        problem().is_some_and(|problem| said.contains(problem["detail"].as_str().unwrap_or("?")))
    });
    let problem = problem().expect("a problem");
    assert_eq!(problem["code"], "id-token-rejected", "{problem}");
    problem["detail"].as_str().expect("text").to_owned()
}

/// As it was at first.
fn behave(told: &mut Told) {
    (told.header, told.claims, told.response) = (json!({}), json!({}), json!({}));
    (told.by, told.broken, told.id_token, told.jwks, told.date) = (By::Key(0), false, None, None, None);
    told.claims_text.clear();
}

#[test]
fn alg_none_hs256_with_the_public_key_and_unregistered_algorithms_are_refused() {
    let (session, provider) = set_up();
    let public: Vec<Vec<u8>> = {
        let told = provider.told();
        let Key::Rsa(pair) = &told.keys[0] else { panic!("an RSA key") };
        let der = pair.public_key().as_der().expect("DER").as_ref().to_vec();
        let body = base64::prelude::BASE64_STANDARD.encode(&der);
        let lines: Vec<&str> =
            body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("text")).collect();
        let pem =
            |end: &str| format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----{end}", lines.join("\n"));
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero().to_vec();
        vec![der, pem("").into(), pem("\n").into(), modulus, told.keys[0].jwk().to_string().into(), Vec::new()]
    };
    for key in public {
        for header in [json!({}), json!({ "kid": "key-0" })] {
            let detail = reason(&session, &provider, |told| {
                (told.by, told.shared, told.header) = (By::Secret, key.clone(), header);
            });
            assert_eq!(detail, "it is signed in a way that Larder does not accept");
        }
    }
    for alg in [
        "none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "ES256K", "RS1", "A128KW", "dir", "RS256 ",
        "rs256",
    ] {
        for by in [By::Nobody, By::Key(0), By::Secret] {
            let detail = reason(&session, &provider, |told| {
                behave(told);
                (told.by, told.header) = (by, json!({ "alg": alg }));
            });
            assert!(detail.starts_with("it"), "{alg:?}: {detail}");
        }
    }
    for odd in [json!(null), json!(7), json!(["none", "RS256"]), json!({})] {
        reason(&session, &provider, |told| {
            behave(told);
            told.header = json!({ "alg": odd });
        });
    }
    // The public key as a shared one, published as such.
    reason(&session, &provider, |told| {
        behave(told);
        let shared = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(b"known to everybody");
        told.jwks =
            Some(json!({ "keys": [{ "kty": "oct", "k": shared, "kid": "key-0", "alg": "HS256" }] }).to_string());
        (told.by, told.shared, told.header) = (By::Secret, b"known to everybody".to_vec(), json!({ "kid": "key-0" }));
    });
    assert_eq!(session.keychain_items(), 0);
    // The provider is none the worse for it.
    provider.tell(behave);
    sign_in(&session, &provider).ok();
}

#[test]
fn each_claim_that_is_wrong_or_missing_has_a_reason_of_its_own() {
    let (session, provider) = set_up();
    let cases = [
        json!({ "iss": "https://evil.example" }),
        json!({ "iss": null }),
        json!({ "aud": "another-client" }),
        json!({ "aud": null }),
        json!({ "aud": [CLIENT_ID, "untrusted"] }),
        json!({ "azp": "another-client" }),
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "iat": null }),
        json!({ "exp": null }),
        json!({ "nonce": null }),
        json!({ "exp": now() - 300 }),
        json!({ "iat": now() + 300 }),
        json!({ "iat": now() - 2 * 86_400 }),
        json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }),
    ];
    let mut reasons = BTreeSet::new();
    for claims in cases {
        let detail = reason(&session, &provider, |told| told.claims = claims.clone());
        assert!(reasons.insert(detail.clone()), "{claims}: {detail} is another one's reason too");
    }
    // The same thing in another shape.
    let at = provider.issuer.clone();
    for (claims, part) in [
        (json!({ "iss": format!("{at}/") }), "another issuer"),
        (json!({ "iss": at.to_uppercase() }), "another issuer"),
        (json!({ "iss": at.replace("127", "%3127") }), "another issuer"),
        (json!({ "iss": [at] }), "it"),
        (json!({ "aud": { "client": CLIENT_ID } }), "it"),
        (json!({ "aud": [[CLIENT_ID]] }), "it"),
        (json!({ "aud": CLIENT_ID.to_uppercase() }), "another client"),
        (json!({ "aud": format!("{CLIENT_ID} ") }), "another client"),
        (json!({ "azp": [CLIENT_ID] }), "another client"),
        (json!({ "sub": { "a": 1 } }), "sub"),
        (json!({ "sub": "a\u{0}b\u{e9}" }), "sub"),
        (json!({ "exp": "9999999999" }), "it"),
        (json!({ "iat": format!("{}", now()) }), "it"),
        (json!({ "exp": -1 }), "it"),
        (json!({ "nonce": ["x"] }), "it"),
    ] {
        let detail = reason(&session, &provider, |told| told.claims = claims.clone());
        assert!(detail.contains(part), "{claims}: {detail}");
    }
    assert_eq!(session.keychain_items(), 0);
}

#[test]
fn a_nonce_or_a_whole_token_of_an_earlier_sign_in_is_refused() {
    let (session, provider) = accepted(|_| ());
    let earlier = provider.told().nonce.clone();
    let whole = provider.told().given[2].clone();
    session.larder(&["sign-out", "op", "--forget"]).ok();
    for nonce in [json!(earlier), json!(""), json!(null), json!(format!("{earlier} "))] {
        let detail = reason(&session, &provider, |told| told.claims = json!({ "nonce": nonce }));
        assert_eq!(detail, "it is not the answer to this sign-in", "{nonce}");
    }
    reason(&session, &provider, |told| {
        behave(told);
        told.id_token = Some(whole);
    });
}

#[test]
fn a_clock_that_is_off_by_half_a_minute_is_forgiven_and_by_more_is_named_where_the_server_says_the_time() {
    let (session, provider) = set_up();
    let years = 10 * 365 * 86_400;
    for (claims, part) in [
        (json!({ "exp": now() - 300, "iat": now() - 900 }), "it has ended already"),
        (json!({ "exp": now() - years, "iat": now() - years - 600 }), "it has ended already"),
        (json!({ "iat": now() + 300, "exp": now() + 900 }), "it was issued in the future"),
        (json!({ "iat": now() + years, "exp": now() + years + 600 }), "it was issued in the future"),
    ] {
        // The server's clock, as the token has it; then one that agrees with ours; then none.
        let detail = reason(&session, &provider, |told| {
            told.date = claims["iat"].as_u64();
            told.claims = claims.clone();
        });
        let direction = if part.contains("future") { "behind the provider's" } else { "ahead of the provider's" };
        assert!(detail.starts_with(part) && detail.contains("this computer's clock is"), "{detail}");
        assert!(detail.ends_with(direction), "{detail}");
        for date in [Some(now()), None] {
            assert_eq!(reason(&session, &provider, |told| told.date = date), part);
        }
    }
    // What does not go by the clock has nothing to do with it.
    let detail = reason(&session, &provider, |told| {
        (told.claims, told.date) = (json!({ "aud": "another-client" }), Some(now() - years));
    });
    assert_eq!(detail, "it is for another client");
    for skew in [-30_i64, 30] {
        provider.tell(|told| {
            behave(told);
            let at = now().saturating_add_signed(skew);
            told.claims = json!({ "iat": at, "exp": if skew < 0 { now() - 30 } else { at + 600 } });
        });
        sign_in(&session, &provider).ok();
    }
}

#[test]
fn a_rotated_key_is_fetched_once_and_random_key_names_start_no_storm() {
    let (session, provider) = accepted(|told| told.keys.push(Key::rsa()));
    provider.tell(|told| (told.published, told.by) = (vec![1], By::Key(1)));
    sign_in(&session, &provider).ok();
    assert_eq!(provider.asked("/jwks"), 2, "one for the keys, one for the new one");
    for number in 0..12 {
        provider.tell(|told| told.header = json!({ "kid": format!("../../{number}\u{1b}") }));
        let said = sign_in(&session, &provider).fails(1);
        assert!(said.contains("publishes no key that could have signed it"), "{said}");
    }
    assert!(provider.asked("/jwks") <= 6, "{} requests", provider.asked("/jwks"));
    // Nor by refreshes, which go on without.
    for _ in 0..5 {
        session.larder(&["refresh", "op"]).ok();
    }
    assert!(provider.asked("/jwks") <= 6, "{} requests", provider.asked("/jwks"));
    provider.tell(behave);
    provider.tell(|told| told.by = By::Key(1));
    sign_in(&session, &provider).ok();
}

#[test]
fn a_key_that_a_token_brings_along_or_points_to_is_not_looked_at() {
    let elsewhere = OpenIdProvider::start();
    let (session, provider) = set_up();
    let mine = Key::rsa();
    let jwk = mine.jwk();
    provider.tell(|told| told.keys.push(mine));
    for header in [
        json!({ "jwk": jwk }),
        json!({ "jku": format!("{}/jwks", elsewhere.issuer) }),
        json!({ "x5u": format!("{}/jwks", elsewhere.issuer) }),
        json!({ "x5c": ["MIIB"], "x5t": "x" }),
        json!({ "kid": format!("{}/jwks", elsewhere.issuer) }),
        json!({ "kid": "key-0" }),
    ] {
        reason(&session, &provider, |told| (told.by, told.header) = (By::Key(1), header));
    }
    assert!(elsewhere.told().seen.is_empty());
}

#[test]
fn headers_that_must_be_understood_nested_tokens_and_members_without_a_bottom_are_refused() {
    let (session, provider) = set_up();
    for header in [
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "crit": [] }),
        json!({ "crit": "exp" }),
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "logout+jwt" }),
        json!({ "cty": "JWT" }),
        json!({ "enc": "A128GCM", "alg": "RSA-OAEP" }),
    ] {
        reason(&session, &provider, |told| told.header = header);
    }
    provider.tell(behave);
    let deep = format!("\"x\":{}{},", "[".repeat(50_000), "]".repeat(50_000));
    for text in [deep.as_str(), "\"exp\":1e309,", "\"x\":1e309,", "\"sub\":\"\\ud800\","] {
        let detail = reason(&session, &provider, |told| text.clone_into(&mut told.claims_text));
        assert!(detail.starts_with("it"), "{detail}");
    }
    for whole in [
        "a.b",
        "...",
        "..",
        "a.b.c.d",
        "{}",
        "e30.e30.",
        "eyJhbGciOiJub25lIn0.e30.",
        "\u{e9}.\u{e9}.\u{e9}",
        &".".repeat(300_000),
    ] {
        reason(&session, &provider, |told| {
            behave(told);
            told.id_token = Some(whole.to_owned());
        });
    }
    assert_eq!(session.keychain_items(), 0);
}

/// Nothing here is what an attacker can use: who may sign may say what he likes. It must only be bounded.
#[test]
fn a_token_with_half_a_megabyte_of_claims_or_a_name_twice_is_one_person() {
    let (session, provider) = set_up();
    provider.tell(|told| told.claims = json!({ "padding": "x".repeat(300_000), "name": "N".repeat(300_000) }));
    let since = Instant::now();
    sign_in(&session, &provider).ok();
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());
    assert!(session.account("op")["name"].as_str().expect("a name").len() <= 200);
    session.larder(&["refresh", "op"]).ok();
    // Of two, the last one counts for the check and for the account alike.
    provider.tell(|told| {
        behave(told);
        told.claims_text = "\"sub\":\"somebody-else\",".to_owned();
    });
    sign_in(&session, &provider).ok();
    assert_eq!(accounts(&session), ["op"]);
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("the database");
    let who = database.query_row("SELECT provider_account_id FROM account", [], |row| row.get::<_, String>(0));
    assert_eq!(who.expect("a row"), SUBJECT);
}

#[test]
fn a_key_set_of_any_size_or_kind_is_read_in_bounded_time_and_weak_keys_are_none() {
    let good = |told: &Told| {
        let mut key = told.keys[0].jwk();
        key["kid"] = json!("key-0");
        key
    };
    // So many keys that are somebody else's, and the right one at the end: its name finds it.
    let (session, provider) = set_up();
    let point = Key::ec().jwk();
    provider.tell(|told| {
        let mut keys: Vec<Value> = (0..5_000)
            .map(|number| json!({ "kty": "EC", "crv": "P-256", "x": point["x"], "y": point["y"], "kid": number.to_string() }))
            .collect();
        keys.push(good(told));
        told.jwks = Some(json!({ "keys": keys }).to_string());
    });
    let since = Instant::now();
    sign_in(&session, &provider).ok();
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());

    // Without names, and all of the same kind: after some it is given up.
    let other = Key::rsa().jwk();
    let since = Instant::now();
    refused("it", |told| {
        told.kids = false;
        let keys = vec![json!({ "kty": "RSA", "n": other["n"], "e": "AQAB" }); 2_000];
        told.jwks = Some(json!({ "keys": keys }).to_string());
    });
    assert!(since.elapsed() < AT_ONCE, "{:?}", since.elapsed());

    let short = "v".repeat(86);
    for odd in [
        json!({ "keys": [{ "kty": "RSA", "n": short, "e": "AQAB", "kid": "key-0" }] }).to_string(),
        json!({ "keys": [{ "kty": "RSA", "n": other["n"], "e": "AQ", "kid": "key-0" }] }).to_string(),
        json!({ "keys": [{ "kty": "RSA", "n": "", "e": "", "kid": "key-0" }] }).to_string(),
        json!({ "keys": [{ "kty": "RSA", "kid": "key-0" }, { "kty": "EC", "crv": "P-256", "kid": "key-0" }] })
            .to_string(),
        json!({ "keys": [] }).to_string(),
        json!({ "keys": { "key-0": {} } }).to_string(),
        json!({}).to_string(),
        "[".repeat(100_000),
        "<html>".to_owned(),
    ] {
        let (session, provider) = set_up();
        provider.tell(|told| told.jwks = Some(odd.clone()));
        let said = sign_in(&session, &provider).fails(1);
        assert!(said.contains("fails a check") && !said.contains("html"), "{odd:.60}: {said}");
        assert!(accounts(&session).is_empty());
    }
    // More than an answer may have: as if there were none.
    let (session, provider) = set_up();
    provider.tell(|told| told.jwks = Some(format!("{}{}", json!({ "keys": [good(told)] }), " ".repeat(2 << 20))));
    sign_in(&session, &provider).fails(4);
}
