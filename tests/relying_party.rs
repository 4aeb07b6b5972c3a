//! The relying-party modules of OpenID Connect's basic certification profile, and what belongs beside them: against a provider
//! that signs with real keys and says what it must not (tests/support/openid_provider.rs).
//!
//! A module's name stands above its test. Whatever is refused is one sentence with its reason; nothing of it is stored, and
//! what the provider had given is given back.

use crate::support::larder::Ran;
use crate::support::openid_provider::{By, CLIENT_ID, CLIENT_SECRET, Key, OpenIdProvider, SUBJECT, Told, now};
use crate::support::{Session, files_below, holds};
use base64::Engine as _;
use serde_json::{Value, json};

pub fn set_up() -> (Session, OpenIdProvider) {
    let (session, provider) = (Session::new(), OpenIdProvider::start());
    provider.add(&session, "op", &[]);
    (session, provider)
}

pub fn sign_in(session: &Session, provider: &OpenIdProvider) -> Ran {
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    session.larder_reads(&["callback"], &provider.authorize(&url))
}

/// What is signed in, by label.
pub fn accounts(session: &Session) -> Vec<String> {
    let accounts: Value = serde_json::from_str(&session.larder(&["accounts", "--json"]).ok()).expect("JSON");
    let list = accounts.as_array().or_else(|| accounts["accounts"].as_array()).expect("a list").clone();
    list.iter().map(|account| account["label"].as_str().expect("text").to_owned()).collect()
}

/// The sentence holds this part, and the problem that is written down with it has this code.
#[track_caller]
fn says(session: &Session, said: &str, code: &str, part: &str) {
    assert!(said.contains(part), "{part}: {said}");
    session.wait_for(code, || {
        let events = session.larder(&["events", "--json"]).ok();
        let last = events
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .rfind(|event| event["kind"] == "sign-in-failed");
        last.is_some_and(|event| event["problem"]["code"] == code)
    });
}

/// A sign-in with this provider fails with this problem, for this reason; nothing of it is left.
#[track_caller]
fn fails_with(code: &str, part: &str, tell: impl FnOnce(&mut Told)) {
    let (session, provider) = set_up();
    provider.tell(tell);
    let said = sign_in(&session, &provider).fails(1);
    assert!(said.contains("nothing was stored"), "{said}");
    says(&session, &said, code, part);
    leaves_nothing(&session, &provider);
}

#[track_caller]
pub fn leaves_nothing(session: &Session, provider: &OpenIdProvider) {
    assert!(accounts(session).is_empty());
    assert_eq!(session.keychain_items(), 0);
    let given = provider.told().given.clone();
    assert_eq!(given.len(), 3, "a token response was given");
    session.wait_for("the revocation", || provider.revoked(&given[1]));
    session.stop_agent();
    for file in files_below(session.home()) {
        for token in &given {
            assert!(!holds(&file, token.as_bytes()), "{} holds a token", file.display());
        }
    }
}

/// The ID token is refused, for this reason.
#[track_caller]
pub fn refused(part: &str, tell: impl FnOnce(&mut Told)) {
    fails_with("id-token-rejected", part, tell);
}

/// The sign-in ends with an account of the ID token's subject, whose token works.
#[track_caller]
pub fn accepted(tell: impl FnOnce(&mut Told)) -> (Session, OpenIdProvider) {
    let (session, provider) = set_up();
    provider.tell(tell);
    sign_in(&session, &provider).ok();
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("the database");
    let query = "SELECT provider_account_id || ' ' || type FROM account";
    let who: String = database.query_row(query, [], |row| row.get(0)).expect("a row");
    assert_eq!(who, format!("{SUBJECT} oidc"));
    assert_eq!(session.larder(&["token", "op"]).ok(), provider.told().given[0]);
    (session, provider)
}

// ── What is accepted ────────────────────────────────────────────────────────────────────────────────────────────────

/// oidcc-client-test, oidcc-client-test-discovery-openid-config, oidcc-client-test-discovery-jwks-uri-keys,
/// oidcc-client-test-nonce-unless-code-flow, oidcc-client-test-idtoken-sig-rs256,
/// oidcc-client-test-userinfo-bearer-header, oidcc-client-test-scope-userinfo-claims
#[test]
fn a_provider_that_behaves_is_discovered_checked_and_asked_who_it_was() {
    let (session, provider) = accepted(|_| ());
    assert_eq!(
        (session.account("op")["name"].clone(), session.account("op")["email"].clone()),
        (json!("Jane Doe"), json!("jane@example.com"))
    );
    let asked = |path| provider.asked(path);
    assert_eq!((asked("/jwks"), asked("/token"), asked("/userinfo"), asked("/revoke")), (1, 1, 1, 0));
    let bearer = format!("Bearer {}", provider.told().given[0]);
    assert!(
        provider.told().seen.iter().any(|(path, authorization, _)| path == "/userinfo" && *authorization == bearer)
    );
}

/// oidcc-client-test-client-secret-basic
#[test]
fn a_client_with_a_secret_authenticates_in_the_header() {
    let (session, provider) = (Session::new(), OpenIdProvider::start());
    provider.add(&session, "op", &["--auth-method", "client_secret_basic"]);
    session.larder_reads(&["providers", "secret", "op"], &format!("{CLIENT_SECRET}\n")).ok();
    sign_in(&session, &provider).ok();
    // RFC 6749 section 2.3.1: form-encoded first.
    let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    let basic = base64::prelude::BASE64_STANDARD.encode(format!("{CLIENT_ID}:{encoded}"));
    let told = provider.told();
    let (_, authorization, form) = told.seen.iter().find(|(path, ..)| path == "/token").expect("a request");
    assert_eq!(*authorization, format!("Basic {basic}"));
    assert!(!form.contains_key("client_secret"));
}

/// oidcc-client-test-idtoken-sig-es256, and the other algorithms that are accepted
#[test]
fn es256_eddsa_and_ps256_are_accepted_with_keys_of_their_kind() {
    for (key, header) in [(Key::ec(), json!({})), (Key::ed(), json!({})), (Key::rsa(), json!({ "alg": "PS256" }))] {
        accepted(|told| {
            told.keys.push(key);
            (told.published, told.by, told.header) = (vec![0, 1], By::Key(1), header);
        });
    }
}

/// oidcc-client-test-kid-absent-single-jwks
#[test]
fn without_key_names_the_only_key_is_the_one() {
    accepted(|told| told.kids = false);
}

/// oidcc-client-test-kid-absent-multiple-jwks
#[test]
fn without_key_names_the_key_that_fits_is_the_one() {
    accepted(|told| {
        told.keys.extend([Key::rsa(), Key::ec(), Key::rsa()]);
        (told.kids, told.published, told.by) = (false, vec![0, 1, 2, 3], By::Key(1));
    });
}

/// oidcc-client-test-signing-key-rotation
#[test]
fn a_new_key_is_asked_for_once_and_accepted() {
    let (session, provider) = accepted(|told| told.keys.push(Key::rsa()));
    sign_in(&session, &provider).ok();
    assert_eq!(provider.asked("/jwks"), 1, "keys are kept");
    provider.tell(|told| (told.published, told.by) = (vec![1], By::Key(1)));
    sign_in(&session, &provider).ok();
    assert_eq!(provider.asked("/jwks"), 2);
    sign_in(&session, &provider).ok();
    assert_eq!(provider.asked("/jwks"), 2);
}

/// oidcc-client-test-signing-key-rotation-just-before-signing
#[test]
fn a_key_that_changes_between_discovery_and_signing_is_accepted() {
    let (session, provider) = set_up();
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    provider.tell(|told| {
        told.keys.push(Key::rsa());
        (told.published, told.by) = (vec![1], By::Key(1));
    });
    session.larder_reads(&["callback"], &provider.authorize(&url)).ok();
}

/// A rotation at a provider whose keys have no names.
#[test]
fn a_new_key_without_a_name_is_asked_for_once_and_accepted() {
    let (session, provider) = accepted(|told| {
        told.keys.push(Key::rsa());
        told.kids = false;
    });
    provider.tell(|told| (told.published, told.by) = (vec![1], By::Key(1)));
    sign_in(&session, &provider).ok();
    assert_eq!(provider.asked("/jwks"), 2);
}

#[test]
fn what_is_odd_but_harmless_is_accepted() {
    let (session, _) = accepted(|told| {
        told.claims = json!({
            "aud": [CLIENT_ID],
            "azp": CLIENT_ID,
            "name": "Jane Doe",
            "email": "jane@example.com",
            "email_verified": "true",
            "phone_number_verified": "perhaps",
            "updated_at": "1700000000",
            "address": "12 Main Street",
            "locale": ["en", 7],
            "birthdate": 1970,
            "amr": "pwd",
            "acr": 1,
            "auth_time": "now",
            "https://op.example/roles": { "admin": [true, null] },
            "name#ja": 5,
        });
        told.metadata = json!({
            "revocation_endpoint": null,
            "code_challenge_methods_supported": ["plain", "S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "something_new": { "of": ["any", "shape"] },
        });
    });
    assert_eq!(session.account("op")["email"], "jane@example.com");
    let (session, _) = accepted(|told| {
        told.claims =
            json!({ "aud": [CLIENT_ID, "https://api.example"], "azp": CLIENT_ID, "updated_at": 1700000000.5 });
        told.userinfo = json!({ "updated_at": "yesterday", "email_verified": 1, "address": [], "name": 7 });
    });
    assert_eq!(
        (session.account("op")["name"].clone(), session.account("op")["email"].clone()),
        (Value::Null, json!("jane@example.com"))
    );
}

#[test]
fn a_minute_of_skew_is_forgiven() {
    accepted(|told| told.claims = json!({ "iat": now() + 30, "exp": now() + 630 }));
    accepted(|told| told.claims = json!({ "iat": now() - 330, "exp": now() - 30 }));
}

// ── What is refused ─────────────────────────────────────────────────────────────────────────────────────────────────

/// oidcc-client-test-invalid-iss
#[test]
fn invalid_iss() {
    refused("it is from another issuer", |told| told.claims = json!({ "iss": "https://evil.example" }));
}

/// Beside oidcc-client-test-invalid-iss
#[test]
fn missing_iss() {
    refused("it has no iss", |told| told.claims = json!({ "iss": null }));
}

/// oidcc-client-test-missing-sub
#[test]
fn missing_sub() {
    refused("it has no sub", |told| told.claims = json!({ "sub": null }));
}

/// Beside oidcc-client-test-missing-sub (OpenID Connect Core 2: at most 255 ASCII characters)
#[test]
fn invalid_sub() {
    for sub in [json!(""), json!("x".repeat(256)), json!("jané"), json!(7)] {
        refused("its sub is not 1 to 255 ASCII characters", |told| told.claims = json!({ "sub": sub }));
    }
}

/// oidcc-client-test-invalid-aud
#[test]
fn invalid_aud() {
    for aud in [json!("another-client"), json!(["another-client", "https://api.example"]), json!([])] {
        refused("it is for another client", |told| told.claims = json!({ "aud": aud }));
    }
}

/// oidcc-client-test-missing-aud
#[test]
fn missing_aud() {
    refused("it has no aud", |told| told.claims = json!({ "aud": null }));
}

/// oidcc-client-test-invalid-azp
#[test]
fn invalid_azp() {
    for aud in [json!(CLIENT_ID), json!([CLIENT_ID, "another-client"])] {
        let claims = json!({ "aud": aud, "azp": "another-client" });
        refused("it was given to another client", |told| told.claims = claims);
    }
}

/// Beside oidcc-client-test-invalid-azp
#[test]
fn missing_azp_of_several_audiences() {
    let claims = json!({ "aud": [CLIENT_ID, "another-client"] });
    refused("it is for several clients, and names none in azp", |told| told.claims = claims);
}

/// oidcc-client-test-missing-iat
#[test]
fn missing_iat() {
    refused("it has no iat", |told| told.claims = json!({ "iat": null }));
}

/// Beside oidcc-client-test-missing-iat
#[test]
fn iat_in_the_future_or_long_ago() {
    refused("it was issued in the future", |told| told.claims = json!({ "iat": now() + 300, "exp": now() + 900 }));
    refused("it was issued too long ago", |told| told.claims = json!({ "iat": now() - 2 * 86_400 }));
}

/// Beside oidcc-client-test-missing-iat
#[test]
fn expired_or_without_an_end() {
    refused("it has ended already", |told| told.claims = json!({ "iat": now() - 900, "exp": now() - 300 }));
    refused("it has no exp", |told| told.claims = json!({ "exp": null }));
    refused("cannot be read", |told| told.claims = json!({ "exp": "never" }));
}

/// oidcc-client-test-nonce-invalid
#[test]
fn nonce_invalid() {
    refused("it is not the answer to this sign-in", |told| told.claims = json!({ "nonce": "another-nonce" }));
}

/// Beside oidcc-client-test-nonce-invalid
#[test]
fn nonce_missing() {
    refused("it is not the answer to this sign-in", |told| told.claims = json!({ "nonce": null }));
}

/// oidcc-client-test-invalid-sig-rs256
#[test]
fn invalid_sig_rs256_is_refused_and_keys_are_not_asked_for_again() {
    refused("its signature is not by the issuer's keys", |told| told.broken = true);
    // The key is known: another set would not make the signature right.
    let (session, provider) = accepted(|_| ());
    provider.tell(|told| told.broken = true);
    let said = sign_in(&session, &provider).fails(1);
    says(&session, &said, "id-token-rejected", "its signature is not by the issuer's keys");
    assert_eq!(provider.asked("/jwks"), 1);
}

/// oidcc-client-test-invalid-sig-es256
#[test]
fn invalid_sig_es256() {
    refused("its signature is not by the issuer's keys", |told| {
        (told.keys, told.broken) = (vec![Key::ec()], true);
    });
}

/// oidcc-client-test-invalid-sig-hs256, and the right HS256, which anybody could make who has the public client's "secret"
#[test]
fn sig_hs256() {
    refused("signed in a way that Larder does not accept", |told| told.by = By::Secret);
    refused("signed in a way that Larder does not accept", |told| (told.by, told.broken) = (By::Secret, true));
}

/// oidcc-client-test-idtoken-sig-none: a client may take it in the code flow if it registered for it; Larder never does
#[test]
fn idtoken_sig_none() {
    refused("it is not signed", |told| told.by = By::Nobody);
    refused("it, or a claim of it, cannot be read", |told| {
        (told.by, told.header) = (By::Nobody, json!({ "alg": "NONE" }));
    });
}

#[test]
fn a_right_looking_token_by_another_key_is_refused() {
    for kids in [true, false] {
        // The key bears the published one's name, or none.
        refused("its signature is not by the issuer's keys", |told| {
            told.keys.push(Key::rsa());
            told.by = By::Key(1);
            told.kids = kids;
            told.header = if kids { json!({ "kid": "key-0" }) } else { json!({}) };
        });
    }
    refused("its issuer publishes no key that could have signed it", |told| {
        told.keys.push(Key::rsa());
        told.by = By::Key(1);
    });
}

#[test]
fn an_unknown_key_is_asked_for_once_a_sign_in() {
    let (session, provider) = accepted(|told| told.keys.push(Key::rsa()));
    provider.tell(|told| told.by = By::Key(1));
    for asked in [2, 3] {
        let said = sign_in(&session, &provider).fails(1);
        says(&session, &said, "id-token-rejected", "its issuer publishes no key that could have signed it");
        assert_eq!(provider.asked("/jwks"), asked);
    }
}

#[test]
fn an_algorithm_that_the_named_key_cannot_have_is_refused() {
    refused("its issuer publishes no key that could have signed it", |told| {
        told.keys.push(Key::ec());
        (told.published, told.by, told.header) = (vec![0, 1], By::Key(0), json!({ "alg": "ES256", "kid": "key-0" }));
    });
}

#[test]
fn header_fields_that_must_be_understood_and_other_kinds_of_token_are_refused() {
    refused("of a kind that Larder does not accept", |told| told.header = json!({ "crit": ["exp"], "exp": 1 }));
    refused("of a kind that Larder does not accept", |told| told.header = json!({ "typ": "at+jwt" }));
}

#[test]
fn at_hash_of_another_access_token() {
    refused("it belongs to another access token", |told| told.claims = json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }));
}

#[test]
fn an_id_token_that_is_missing_or_none_is_refused() {
    fn without(response: Value, part: &str) {
        let (session, provider) = set_up();
        provider.tell(|told| told.response = response);
        let said = sign_in(&session, &provider).fails(1);
        says(&session, &said, "id-token-rejected", part);
        leaves_nothing(&session, &provider);
    }
    without(json!({ "id_token": null }), "it is missing");
    without(json!({ "id_token": "" }), "it is missing");
    without(json!({ "id_token": "not.a-jwt" }), "it is no signed JWT");
    without(json!({ "id_token": "a.b.c.d.e" }), "it is no signed JWT");
}

/// oidcc-client-test-userinfo-invalid-sub
#[test]
fn userinfo_invalid_sub() {
    fails_with("userinfo-rejected", "it is about somebody else than the ID token", |told| {
        told.userinfo = json!({ "sub": "somebody-else" });
    });
}

#[test]
fn userinfo_that_is_a_jwt_or_names_nobody_is_left_aside() {
    let (session, _) = accepted(|told| told.userinfo_type = "application/jwt");
    assert_eq!(session.account("op")["email"], Value::Null);
    let (session, _) = accepted(|told| told.userinfo = json!({ "sub": null }));
    assert_eq!(session.account("op")["email"], Value::Null);
}

#[test]
fn keys_that_cannot_be_had_are_trouble_that_passes() {
    let (session, provider) = set_up();
    provider.tell(|told| told.jwks_status = 503);
    let said = sign_in(&session, &provider).fails(4);
    says(&session, &said, "provider-trouble", "127.0.0.1");
    leaves_nothing(&session, &provider);
}

/// oidcc-client-test-discovery-issuer-mismatch
#[test]
fn discovery_issuer_mismatch() {
    let (session, provider) = set_up();
    provider.tell(|told| told.metadata = json!({ "issuer": "https://evil.example" }));
    let said = session.larder(&["sign-in", "op", "--no-browser"]).fails(8);
    says(&session, &said, "issuer-mismatch", "https://evil.example");
    assert_eq!(provider.asked("/token"), 0);
}

#[test]
fn a_downgrade_to_plain_pkce_is_refused() {
    let (session, provider) = set_up();
    provider.tell(|told| told.metadata = json!({ "code_challenge_methods_supported": ["plain"] }));
    let said = session.larder(&["sign-in", "op", "--no-browser"]).fails(8);
    says(&session, &said, "bad-provider", "does not offer S256");
}

/// RFC 9207: compared as text, and demanded where it was announced.
#[test]
fn an_answer_of_another_issuer_is_refused_before_the_code_is_sent() {
    let (session, provider) = set_up();
    provider.tell(|told| told.metadata = json!({ "authorization_response_iss_parameter_supported": true }));
    let issuer = &provider.issuer;
    for (iss, part) in [
        (None, "does not say which server"),
        (Some("https://evil.example".to_owned()), "came from another server"),
        (Some(format!("{issuer}/")), "came from another server"),
        (Some(issuer.to_uppercase()), "came from another server"),
    ] {
        let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
        let mut redirect = url::Url::parse(&provider.authorize(&url)).expect("a URL");
        if let Some(iss) = &iss {
            redirect.query_pairs_mut().append_pair("iss", iss);
        }
        let said = session.larder_reads(&["callback"], redirect.as_str()).fails(1);
        says(&session, &said, "authorization-failed", part);
    }
    assert_eq!(provider.asked("/token"), 0);
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    let mut redirect = url::Url::parse(&provider.authorize(&url)).expect("a URL");
    redirect.query_pairs_mut().append_pair("iss", issuer);
    session.larder_reads(&["callback"], redirect.as_str()).ok();
}

/// Where no issuer was announced, one that is named all the same must be right.
#[test]
fn a_mix_up_is_refused_although_the_provider_announces_no_iss() {
    let (session, provider) = set_up();
    let url = session.larder(&["sign-in", "op", "--no-browser"]).ok();
    let redirect = format!("{}&iss=https%3A%2F%2Fevil.example", provider.authorize(&url));
    let said = session.larder_reads(&["callback"], &redirect).fails(1);
    says(&session, &said, "authorization-failed", "came from another server");
    assert_eq!(provider.asked("/token"), 0);
}

#[test]
fn an_account_is_not_signed_in_again_at_another_issuer() {
    let (session, provider) = accepted(|_| ());
    let elsewhere = OpenIdProvider::start();
    let file = session.profile().join("providers.toml");
    let moved = std::fs::read_to_string(&file).expect("the file").replace(&provider.issuer, &elsewhere.issuer);
    std::fs::write(&file, moved).expect("the file");
    // Before anybody is sent there.
    let said = session.larder(&["sign-in", "--account", "op", "--no-browser"]).fails(1);
    assert!(said.contains(&format!("op is signed in at {}", provider.issuer)), "{said}");
    assert!(elsewhere.told().seen.is_empty());
    // Nor by a sign-in that turns out to be by the same subject; what was given for it is given back.
    let said = sign_in(&session, &elsewhere).fails(1);
    says(&session, &said, "other-issuer", &provider.issuer);
    session.wait_for("the revocation", || elsewhere.revoked("refresh-0-of-jane"));
    // The account stays where it is, and is refreshed there.
    session.larder(&["refresh", "op"]).ok();
    assert_eq!((provider.asked("/token"), elsewhere.asked("/token")), (2, 1));
    assert_eq!(provider.told().given.len(), 6);
}

// ── Refreshing (OpenID Connect Core 12.2) ───────────────────────────────────────────────────────────────────────────

/// What it is called, and what the provider is told.
type Case = (&'static str, Box<dyn Fn(&mut Told)>);

/// The sealed ID token, which changes with what is in it: each sealing has a nonce of its own, so its length is compared.
fn id_token_length(session: &Session) -> usize {
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("the database");
    database.query_row("SELECT length(id_token) FROM account", [], |row| row.get(0)).expect("a row")
}

#[test]
fn the_id_token_of_a_refresh_takes_the_place_of_the_one_before_when_it_is_right() {
    let (session, provider) = accepted(|_| ());
    let before = id_token_length(&session);
    provider.tell(|told| told.claims = json!({ "padding": "x".repeat(300) }));
    session.larder(&["refresh", "op"]).ok();
    assert!(id_token_length(&session) > before + 300);
    assert_eq!(session.larder(&["token", "op"]).ok(), provider.told().given[3]);
    assert_eq!(provider.asked("/jwks"), 1);
}

#[test]
fn a_refresh_that_is_about_another_session_is_not_used_and_its_tokens_are_given_back() {
    let other_key = |told: &mut Told| {
        told.keys.push(Key::rsa());
        (told.by, told.header) = (By::Key(1), json!({ "kid": "key-0" }));
    };
    let cases: [Case; 7] = [
        ("another person", Box::new(|told| told.claims = json!({ "sub": "somebody-else" }))),
        ("nobody", Box::new(|told| told.claims = json!({ "sub": null }))),
        ("another issuer", Box::new(|told| told.claims = json!({ "iss": "https://evil.example" }))),
        ("another client", Box::new(|told| told.claims = json!({ "aud": "another-client" }))),
        ("given to another client", Box::new(|told| told.claims = json!({ "azp": "another-client" }))),
        ("another key", Box::new(other_key)),
        ("unsigned", Box::new(|told| told.by = By::Nobody)),
    ];
    for (case, tell) in cases {
        let (session, provider) = accepted(|_| ());
        provider.tell(&tell);
        let said = session.larder(&["refresh", "op"]).fails(3);
        assert!(
            said.contains("an ID token that is not this session's") && said.contains("sign in again"),
            "{case}: {said}"
        );
        session.larder(&["token", "op"]).fails(3);
        let given = provider.told().given.clone();
        session.wait_for("the revocation", || provider.revoked(&given[4]));
        // It is remembered, and nothing is asked again.
        session.stop_agent();
        session.larder(&["token", "op"]).fails(3);
        assert_eq!(
            (provider.asked("/token"), session.account("op")["state"].clone()),
            (2, json!("sign-in-again")),
            "{case}"
        );
        for file in files_below(&session.profile()) {
            assert!(given[3..].iter().all(|token| !holds(&file, token.as_bytes())), "{case}: {}", file.display());
        }
        // Signing in again is all that it takes.
        provider.tell(|told| (told.claims, told.header, told.by) = (json!({}), json!({}), By::Key(0)));
        sign_in(&session, &provider).ok();
        assert_eq!(session.larder(&["token", "op"]).ok(), provider.told().given[6], "{case}");
    }
}

#[test]
fn a_refresh_is_not_lost_for_an_id_token_that_cannot_be_checked_now() {
    let new_key = |told: &mut Told| {
        told.keys.push(Key::rsa());
        told.by = By::Key(1);
    };
    let cases: [Case; 7] = [
        ("a clock that is off", Box::new(|told| told.claims = json!({ "iat": now() + 7200, "exp": now() + 9000 }))),
        ("ended", Box::new(|told| told.claims = json!({ "iat": now() - 900, "exp": now() - 600 }))),
        ("of another access token", Box::new(|told| told.claims = json!({ "at_hash": "77QmUPtjPfzWtF2AnpK9RQ" }))),
        ("of another sign-in", Box::new(|told| told.claims = json!({ "nonce": "another" }))),
        ("a key that is not published yet", Box::new(new_key)),
        ("no token at all", Box::new(|told| told.response = json!({ "id_token": "opaque" }))),
        (
            "keys that cannot be had",
            Box::new(move |told| {
                new_key(told);
                told.jwks_status = 503;
            }),
        ),
    ];
    for (case, tell) in cases {
        let (session, provider) = accepted(|_| ());
        let before = id_token_length(&session);
        provider.tell(|told| {
            told.claims = json!({ "padding": "x".repeat(300) });
            tell(told);
        });
        session.larder(&["refresh", "op"]).ok();
        assert_eq!(session.larder(&["token", "op"]).ok(), provider.told().given[3], "{case}");
        // The one of the sign-in stays.
        assert_eq!(id_token_length(&session), before, "{case}");
        assert_eq!(provider.asked("/revoke"), 0, "{case}");
    }
}
