//! ID tokens. Claims are signed here, by the key that the issuer publishes, so that what is checked after the signature is
//! reached; whatever comes already signed, nobody but the issuer can have signed.

use super::text;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use larder_agent::id_token::{Expected, SKEW, To, check, nonce};
use larder_core::time::WallTime;
use openidconnect::core::CoreJsonWebKeySet;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::sync::LazyLock;

const ISSUER: &str = "https://id.example";
const CLIENT: &str = "client";
const NONCE: &str = "n-7";
const SUBJECT: &str = "ada";
/// Milliseconds since 1970; seeds say seconds near it.
const NOW: i64 = 1_790_000_000_000;
/// As openidconnect compares them: in seconds.
const ROUNDING: i64 = 1_000;

static KEY: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key"));
static KEYS: LazyLock<CoreJsonWebKeySet> = LazyLock::new(|| {
    let x = URL_SAFE_NO_PAD.encode(KEY.public_key().as_ref());
    let keys =
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "k", "use": "sig", "alg": "EdDSA" }] });
    serde_json::from_value(keys).expect("keys")
});
static ACCESS_TOKEN: LazyLock<SecretString> = LazyLock::new(|| SecretString::from("at"));

/// `raw:` and a whole token, or claims to be signed.
pub fn id_token(data: &[u8]) {
    let expected =
        |to| Expected { issuer: ISSUER, client_id: CLIENT, access_token: &ACCESS_TOKEN, to, now: WallTime(NOW) };
    let sign_in = expected(To::SignIn { nonce: Some(NONCE), since: None });
    let lately = expected(To::SignIn { nonce: Some(NONCE), since: Some(WallTime(NOW - 300_000)) });
    let refresh = expected(To::Refresh { subject: SUBJECT, nonce: Some(NONCE) });
    if let Some(raw) = data.strip_prefix(b"raw:") {
        let Some(raw) = text(raw) else { return };
        let _ = nonce(raw);
        for expected in [sign_in, refresh] {
            assert!(check(raw, &KEYS, expected).is_err(), "a token that nobody signed");
        }
        return;
    }
    let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","kid":"k"}"#);
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(data));
    let signature = URL_SAFE_NO_PAD.encode(KEY.sign(signed.as_bytes()).as_ref());
    let token = format!("{signed}.{signature}");
    for (expected, is_sign_in) in [(sign_in, true), (refresh, false)] {
        let Ok(claims) = check(&token, &KEYS, expected) else { continue };
        // Read by another reader, and without the library that checked them.
        let read: Value = serde_json::from_slice(data).expect("it was JSON");
        assert_eq!(read, Value::Object(claims));
        assert_eq!(read["iss"], ISSUER);
        let subject = read["sub"].as_str().expect("a subject");
        assert!(!subject.is_empty() && subject.len() <= 255 && subject.is_ascii());
        assert!(is_sign_in || subject == SUBJECT, "somebody else's");
        let ours = |audience: &Value| audience == CLIENT;
        match &read["aud"] {
            Value::Array(all) => {
                assert!(all.iter().any(ours), "for another client");
                assert!(all.iter().all(ours) || read["azp"] == CLIENT, "for several, and not for us");
            }
            one => assert!(ours(one), "for another client"),
        }
        assert!(read["azp"].is_null() || read["azp"] == CLIENT, "given to another client");
        let millis = |name: &str| read[name].as_f64().expect("a number") * 1000.0;
        let (skew, now) = ((i64::try_from(SKEW.as_millis()).expect("short") + ROUNDING) as f64, NOW as f64);
        assert!(millis("exp") + skew >= now, "ended");
        assert!(millis("iat") - skew <= now, "from the future");
        assert!(!is_sign_in || read["nonce"] == NONCE, "not the answer to this sign-in");
        assert!(read["nonce"].is_null() || read["nonce"] == NONCE, "another sign-in's nonce");
        if is_sign_in && check(&token, &KEYS, lately).is_ok() {
            let at = millis("auth_time");
            assert!(at + skew >= (NOW - 300_000) as f64 && at - skew <= now, "authenticated at another time");
        }
    }
    // Signed by another key, it is nobody's word.
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64]));
    assert!(check(&forged, &KEYS, sign_in).is_err());
}
