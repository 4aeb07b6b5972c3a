//! Proofs that a token's key is here (DPoP, RFC 9449): a token that is bound to a key is worth nothing without it.

use crate::clock::Clock;
use crate::grants::Tokens;
use crate::http::{Http, Response, is_loopback};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use larder_core::problem::Problem;
use larder_core::protocol::{OnWire, ProofFor};
use larder_core::time::WallTime;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use url::Url;

/// What a server calls the type of a token that is bound (RFC 9449 section 5).
pub const TOKEN_TYPE: &str = "DPoP";

/// The algorithm of every proof: the one that servers have in common.
pub const ALGORITHM: &str = "ES256";

/// The longest nonce that is kept or sent on, in bytes. Servers' have below a hundred; a header line holds 8 KiB.
const MOST_NONCE: usize = 1024;

/// The longest URL that is proved for, in bytes: the proof repeats it, and a header line holds 8 KiB.
const MOST_URL: usize = 4096;

/// The longest method, in bytes. The longest that is registered (RFC 9110 section 16.1) has 17.
const MOST_METHOD: usize = 32;

/// An account's key. It leaves this type only to be sealed.
#[derive(Clone)]
pub struct DpopKey(Arc<Parts>);

struct Parts {
    /// Zeroized on drop.
    key: EncodingKey,
    public: Jwk,
    thumbprint: String,
}

impl fmt::Debug for DpopKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopKey([redacted])")
    }
}

impl DpopKey {
    /// A new one.
    ///
    /// # Errors
    /// [`Problem::Internal`] where the system has no random numbers to give.
    pub fn generate() -> Result<Self, Problem> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        pkcs8
            .ok()
            .and_then(|pkcs8| Self::from_pkcs8(pkcs8.as_ref()))
            .ok_or_else(|| Problem::Internal { detail: "the system has no random numbers".to_owned() })
    }

    /// The one that was sealed.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Option<Self> {
        let key = EncodingKey::from_ec_der(pkcs8);
        let mut public = Jwk::from_encoding_key(&key, Algorithm::ES256).ok()?;
        // The header says it already.
        public.common.key_algorithm = None;
        let thumbprint = public.thumbprint(ThumbprintHash::SHA256).ok()?;
        Some(Self(Arc::new(Parts { key, public, thumbprint })))
    }

    /// PKCS#8, to be sealed.
    pub fn pkcs8(&self) -> &[u8] {
        self.0.key.as_bytes()
    }

    /// RFC 7638: what `dpop_jkt` and a token's `cnf` name the key by.
    pub fn thumbprint(&self) -> &str {
        &self.0.thumbprint
    }

    /// A proof for one request (RFC 9449 section 4.2), with the token's hash where it goes to a resource server.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub fn prove(
        &self,
        method: &str,
        url: &Url,
        now: WallTime,
        nonce: Option<&str>,
        token: Option<&SecretString>,
    ) -> Result<OnWire, Problem> {
        #[derive(Serialize)]
        struct Claims<'a> {
            jti: String,
            htm: &'a str,
            htu: String,
            iat: i64,
            #[serde(skip_serializing_if = "Option::is_none")]
            ath: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            nonce: Option<&'a str>,
        }
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.0.public.clone());
        let claims = Claims {
            // 122 random bits; section 4.2 asks for 96.
            jti: uuid::Uuid::new_v4().to_string(),
            htm: method,
            htu: target(url),
            iat: now.0.div_euclid(1000),
            ath: token.map(|token| URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose_secret()))),
            nonce,
        };
        jsonwebtoken::encode(&header, &claims, &self.0.key)
            .map(OnWire::new)
            .map_err(|_| Problem::Internal { detail: "a proof cannot be signed".to_owned() })
    }
}

/// The URL of a request as a proof names it: without query and fragment.
fn target(url: &Url) -> String {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    bare.into()
}

impl Tokens {
    /// The key that the access token is bound to; `None` for a bearer token. A refresh token may be bound all the same.
    pub fn bound_to(&self) -> Option<&DpopKey> {
        self.dpop_key.as_ref().filter(|_| self.token_type.eq_ignore_ascii_case(TOKEN_TYPE))
    }
}

/// The newest nonce of each server that wants one (RFC 9449 section 8), by origin. In memory alone: a server that
/// wants a newer one says so. There are as many as providers are written down.
#[derive(Debug, Default)]
pub struct Nonces(Mutex<HashMap<String, String>>);

impl Nonces {
    /// The newest one of this URL's server.
    pub fn of(&self, url: &Url) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&url.origin().ascii_serialization()).cloned()
    }

    /// Remembers what an answer said; whether it said anything.
    pub fn learn(&self, url: &Url, headers: &HeaderMap) -> bool {
        let Some(nonce) = headers.get("dpop-nonce").and_then(|nonce| nonce.to_str().ok()).filter(|n| is_nonce(n))
        else {
            return false;
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(url.origin().ascii_serialization(), nonce.to_owned());
        true
    }
}

/// RFC 9449 section 8.1: the characters of a scope (RFC 6749 appendix A.4).
fn is_nonce(text: &str) -> bool {
    (1..=MOST_NONCE).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

/// What a token endpoint has against a request's proof. It says so before it looks at code or refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// It wants its nonce in the proof (section 8).
    Nonce,
    /// There is none, or none that it accepts (section 5).
    Proof,
}

impl Complaint {
    /// The one in this answer of a token endpoint, if it is one.
    pub fn of(response: &Response) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Error {
            error: String,
        }
        if !matches!(response.status, 400 | 401) {
            return None;
        }
        match serde_json::from_slice::<Error>(&response.body).ok()?.error.as_str() {
            "use_dpop_nonce" => Some(Self::Nonce),
            "invalid_dpop_proof" => Some(Self::Proof),
            _ => None,
        }
    }
}

/// Whether a request goes out again, and how: once with the nonce that the server wants, once with a key if there was
/// none. Nothing was spent in either case.
#[derive(Debug, Default)]
pub struct Again {
    with_nonce: bool,
}

impl Again {
    /// Decides. Draws a key into `key` where the server wants a proof and there was none.
    ///
    /// # Errors
    /// As [`DpopKey::generate`].
    pub fn after(&mut self, complaint: Option<Complaint>, key: &mut Option<DpopKey>) -> Result<bool, Problem> {
        let Some(complaint) = complaint else { return Ok(false) };
        if key.is_none() {
            *key = Some(DpopKey::generate()?);
            // The nonce came with it; there may be a newer one.
            return Ok(true);
        }
        Ok(complaint == Complaint::Nonce && !std::mem::replace(&mut self.with_nonce, true))
    }
}

/// GET from a resource server, as the tokens want it: with a bearer token, or with a bound one and its proof.
///
/// # Errors
/// [`Problem::Unreachable`]; [`Problem::Internal`].
pub async fn get(http: &Http, clock: &dyn Clock, url: &Url, tokens: &Tokens) -> Result<Response, Problem> {
    let token = OnWire::new(tokens.access_token.expose_secret().to_owned());
    let Some(key) = tokens.bound_to() else { return Ok(http.get(url, Some(&token)).await?) };
    let prove = || {
        let nonce = http.nonces().of(url);
        key.prove("GET", url, clock.now().wall, nonce.as_deref(), Some(&tokens.access_token))
    };
    let response = http.get_proven(url, &token, &prove()?).await?;
    // Section 9: another nonce, once.
    if http.nonces().learn(url, &response.headers) && wants_nonce(&response) {
        let response = http.get_proven(url, &token, &prove()?).await?;
        http.nonces().learn(url, &response.headers);
        return Ok(response);
    }
    Ok(response)
}

fn wants_nonce(response: &Response) -> bool {
    let mut challenges = response.headers.get_all("www-authenticate").iter();
    response.status == 401
        && challenges.any(|challenge| challenge.to_str().is_ok_and(|text| text.contains("use_dpop_nonce")))
}

/// The request that a proof is wanted for, looked at.
///
/// # Errors
/// [`Problem::BadRequest`].
pub fn checked(wanted: &ProofFor) -> Result<Url, Problem> {
    let bad = |detail: &str| Err(Problem::BadRequest { detail: detail.to_owned() });
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=MOST_METHOD).contains(&wanted.method.len()) || !wanted.method.bytes().all(letter) {
        return bad("the method of a proof is an HTTP method in capital letters, such as GET");
    }
    if wanted.nonce.as_deref().is_some_and(|nonce| !is_nonce(nonce)) {
        return bad("that is no nonce; give what the server sent as DPoP-Nonce");
    }
    let Ok(url) = Url::parse(&wanted.url) else { return bad("the URL of a proof begins with https://") };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback(&url)) {
        return bad("a proof is for an https:// URL, or http:// to this computer's own addresses");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return bad("the URL of a proof holds no user name");
    }
    if target(&url).len() > MOST_URL {
        return bad("the URL of a proof is too long");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::jwk::AlgorithmParameters;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::Value;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// The header and the claims of a proof, verified with the key that it names.
    fn verified(proof: &OnWire) -> (Header, Value) {
        let header = decode_header(proof.expose()).unwrap();
        let key = DecodingKey::from_jwk(header.jwk.as_ref().unwrap()).unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let claims = decode::<Value>(proof.expose(), &key, &validation).unwrap().claims;
        (header, claims)
    }

    #[test]
    fn a_proof_is_signed_by_the_key_that_it_names_and_holds_what_rfc_9449_asks_for() {
        let key = DpopKey::generate().unwrap();
        let token = SecretString::from("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        let at = WallTime(1_790_000_000_999);
        let proof =
            key.prove("POST", &url("https://server.example/token?a=b#c"), at, Some("n-1"), Some(&token)).unwrap();
        let (header, claims) = verified(&proof);
        assert_eq!((header.typ.as_deref(), header.alg), (Some("dpop+jwt"), Algorithm::ES256));
        let public = header.jwk.unwrap();
        assert_eq!(public.thumbprint(ThumbprintHash::SHA256).unwrap(), key.thumbprint());
        // Section 4.2: the public key, and nothing of the private one.
        assert!(matches!(public.algorithm, AlgorithmParameters::EllipticCurve(_)));
        let members = serde_json::to_value(&public).unwrap();
        assert_eq!(members.as_object().unwrap().keys().collect::<Vec<_>>(), ["crv", "kty", "x", "y"]);
        assert_eq!(claims["htm"], "POST");
        assert_eq!(claims["htu"], "https://server.example/token");
        assert_eq!(claims["iat"], 1_790_000_000);
        assert_eq!(claims["nonce"], "n-1");
        // The example of RFC 9449 section 7.1.
        assert_eq!(claims["ath"], "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        let again = key.prove("POST", &url("https://server.example/token"), at, None, None).unwrap();
        let (_, again) = verified(&again);
        assert_ne!(again["jti"], claims["jti"]);
        assert!(again.get("ath").is_none() && again.get("nonce").is_none(), "{again}");
    }

    #[test]
    fn a_key_is_the_same_when_it_comes_back_and_does_not_show_itself() {
        let key = DpopKey::generate().unwrap();
        let back = DpopKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(back.thumbprint(), key.thumbprint());
        assert_ne!(DpopKey::generate().unwrap().thumbprint(), key.thumbprint());
        assert!(DpopKey::from_pkcs8(b"no key").is_none());
        assert_eq!(format!("{key:?}"), "DpopKey([redacted])");
    }

    #[test]
    fn a_nonce_is_kept_for_its_origin_and_only_if_it_is_one() {
        let nonces = Nonces::default();
        let answer = |nonce: &str| HeaderMap::from_iter([("dpop-nonce".parse().unwrap(), nonce.parse().unwrap())]);
        assert!(nonces.learn(&url("https://a.example/token"), &answer("one")));
        assert!(nonces.learn(&url("https://a.example:443/other"), &answer("two")));
        for bad in ["", "a b", "a\"b", "a\\b", &"n".repeat(MOST_NONCE + 1)] {
            assert!(!nonces.learn(&url("https://a.example/token"), &answer(bad)), "{bad:?}");
        }
        assert_eq!(nonces.of(&url("https://a.example/me")).as_deref(), Some("two"));
        assert_eq!(nonces.of(&url("https://a.example:8443/me")), None);
        assert_eq!(nonces.of(&url("http://a.example/me")), None);
    }

    #[test]
    fn a_request_goes_out_again_once_for_a_nonce_and_once_for_a_key() {
        let mut key = None;
        let mut again = Again::default();
        assert!(!again.after(None, &mut key).unwrap());
        assert!(again.after(Some(Complaint::Proof), &mut key).unwrap());
        assert!(key.is_some());
        assert!(again.after(Some(Complaint::Nonce), &mut key).unwrap());
        assert!(!again.after(Some(Complaint::Nonce), &mut key).unwrap());
        assert!(!again.after(Some(Complaint::Proof), &mut key).unwrap());
    }

    #[test]
    fn what_a_proof_is_asked_for_is_looked_at() {
        let wanted = |method: &str, url: &str, nonce: Option<&str>| {
            checked(&ProofFor { method: method.to_owned(), url: url.to_owned(), nonce: nonce.map(str::to_owned) })
        };
        for good in ["https://api.example/me?a=b#c", "http://127.0.0.1:8080/me", "http://localhost/"] {
            assert!(wanted("GET", good, None).is_ok(), "{good}");
        }
        assert!(wanted("VERSION-CONTROL", "https://a.example", Some("n")).is_ok());
        let long = format!("https://a.example/{}", "a".repeat(MOST_URL));
        for (method, url, nonce) in [
            ("get", "https://a.example", None),
            ("", "https://a.example", None),
            ("GET POST", "https://a.example", None),
            ("GET", "http://a.example", None),
            ("GET", "file:///etc/passwd", None),
            ("GET", "a.example/me", None),
            ("GET", "https://u:p@a.example", None),
            ("GET", &long, None),
            ("GET", "https://a.example", Some("a b")),
            ("GET", "https://a.example", Some("")),
        ] {
            assert!(matches!(wanted(method, url, nonce), Err(Problem::BadRequest { .. })), "{method} {url} {nonce:?}");
        }
    }
}
