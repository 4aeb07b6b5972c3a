//! How Larder's client proves to an authorization server that it is itself: with nothing, a secret, or a private key
//! that signs an assertion (RFC 7523 section 2.2, OpenID Connect Core section 9).

use crate::client_key::ClientKey;
use crate::grants::Endpoints;
use crate::providers::AuthMethod;
use larder_core::problem::Problem;
use larder_core::time::WallTime;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use std::time::Duration;
use url::Url;

/// RFC 7591's name of the method whose secret is a private key.
pub const PRIVATE_KEY_JWT: &str = "private_key_jwt";

/// How long an assertion is good for. It is used at once; the rest is for clocks that differ.
const LIFETIME: Duration = Duration::from_secs(120);

/// What goes with a request so that the server believes the client. Parts of a form, and at most one secret for HTTP Basic.
#[derive(Debug)]
pub struct Authentication {
    client_id: String,
    /// Beside `client_id`.
    fields: Vec<(&'static str, SecretString)>,
    /// RFC 6749 section 2.3.1: then the form holds none of it.
    basic: Option<SecretString>,
}

impl Authentication {
    /// A form with these fields, and what proves the client.
    pub fn form<T: AsRef<str>>(&self, fields: &[(T, T)]) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        if self.basic.is_none() {
            // A public client names itself too (RFC 6749 section 3.2.1).
            form.append_pair("client_id", &self.client_id);
        }
        for (name, value) in &self.fields {
            form.append_pair(name, value.expose_secret());
        }
        form.finish()
    }

    /// User name and password for HTTP Basic, as [`crate::http::Http::post_form`] takes them.
    pub fn credentials(&self) -> Option<(&str, &SecretString)> {
        self.basic.as_ref().map(|secret| (self.client_id.as_str(), secret))
    }
}

/// A client that proves itself, once for each request: a server takes an assertion once.
pub struct Authenticator<'a> {
    endpoints: &'a Endpoints,
    secret: Option<&'a SecretString>,
    key: Option<ClientKey>,
    provider: &'a str,
}

impl<'a> Authenticator<'a> {
    /// A client with what is kept for it.
    ///
    /// # Errors
    /// [`Problem::BadClientKey`] where the method needs a private key, and what is kept is none, or the other way round;
    /// [`Problem::SecretNeeded`] where nothing is kept.
    pub fn new(endpoints: &'a Endpoints, secret: Option<&'a SecretString>, provider: &'a str) -> Result<Self, Problem> {
        let bad = |detail: &str| Problem::BadClientKey { provider: provider.to_owned(), detail: detail.to_owned() };
        let key = match (endpoints.token_endpoint_auth_method == PRIVATE_KEY_JWT, secret) {
            (true, Some(secret)) => Some(ClientKey::parse(secret).map_err(bad)?),
            (true, None) => return Err(Problem::SecretNeeded { provider: provider.to_owned() }),
            // An account keeps the method that it was signed in with, whatever is kept for its client since.
            (false, Some(secret)) if ClientKey::parse(secret).is_ok() => {
                return Err(bad("this account was signed in with a secret, and a key is never sent; sign in again"));
            }
            (false, _) => None,
        };
        Ok(Self { endpoints, secret, key, provider })
    }

    /// What proves it in one request.
    ///
    /// # Errors
    /// [`Problem::BadClientKey`].
    pub fn prove(&self, now: WallTime) -> Result<Authentication, Problem> {
        let mut proof = Authentication { client_id: self.endpoints.client_id.clone(), fields: Vec::new(), basic: None };
        match (self.assertion(now)?, self.secret) {
            (Some(fields), _) => proof.fields.extend(fields),
            (None, Some(secret)) if self.endpoints.token_endpoint_auth_method == "client_secret_basic" => {
                proof.basic = Some(secret.clone());
            }
            // It is the person's own client, and the provider demands it (RFC 8252 section 8.5).
            (None, Some(secret)) => proof.fields.push(("client_secret", secret.clone())),
            (None, None) => {}
        }
        Ok(proof)
    }

    /// A new assertion, as the two fields of a form, where the client proves itself with one.
    ///
    /// # Errors
    /// [`Problem::BadClientKey`].
    pub fn assertion(&self, now: WallTime) -> Result<Option<[(&'static str, SecretString); 2]>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let assertion = key.sign(&Claims::new(self.endpoints, now));
        let assertion = assertion.map_err(|detail| Problem::BadClientKey {
            provider: self.provider.to_owned(),
            detail: detail.to_owned(),
        })?;
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        Ok(Some([("client_assertion_type", kind.into()), ("client_assertion", assertion)]))
    }
}

/// Authenticates one request to an endpoint of this server, whichever it is.
///
/// # Errors
/// As [`Authenticator::new`].
pub fn authenticate(
    endpoints: &Endpoints,
    secret: Option<&SecretString>,
    provider: &str,
    now: WallTime,
) -> Result<Authentication, Problem> {
    Authenticator::new(endpoints, secret, provider)?.prove(now)
}

/// Looks at what is to be kept for a client: a private key where it proves itself with one, and else none, for a
/// secret is sent.
///
/// # Errors
/// [`Problem::BadClientKey`], which says what is wrong with it and never what stands in it.
pub fn check(provider: &str, method: AuthMethod, secret: &SecretString) -> Result<(), Problem> {
    let detail = match (method, ClientKey::parse(secret)) {
        (AuthMethod::PrivateKeyJwt, Ok(_)) => return Ok(()),
        (AuthMethod::PrivateKeyJwt, Err(detail)) => detail,
        (_, Ok(_)) => "token_endpoint_auth_method is another one than private_key_jwt, and a key is never sent",
        (_, Err(_)) => return Ok(()),
    };
    Err(Problem::BadClientKey { provider: provider.to_owned(), detail: detail.to_owned() })
}

/// Whom an assertion is for: the server's issuer identifier, as its only audience, so that no other server can use it
/// (OpenID Foundation, January 2025; draft-ietf-oauth-rfc7523bis). Where endpoints were written down by hand there is
/// no issuer, only the place where the authorization endpoint lies: then it is the token endpoint (RFC 7523 section 3).
fn audience(endpoints: &Endpoints) -> &str {
    let a_place = Url::parse(&endpoints.issuer).is_ok_and(|url| url.origin().ascii_serialization() == endpoints.issuer);
    // Keys are known from an issuer's metadata alone.
    if a_place && endpoints.jwks_uri.is_none() { &endpoints.token_endpoint } else { &endpoints.issuer }
}

/// What an assertion claims (RFC 7523 section 3).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    jti: String,
    iat: i64,
    exp: i64,
}

impl<'a> Claims<'a> {
    fn new(endpoints: &'a Endpoints, now: WallTime) -> Self {
        let iat = now.0.div_euclid(1000);
        Self {
            iss: &endpoints.client_id,
            sub: &endpoints.client_id,
            aud: audience(endpoints),
            jti: uuid::Uuid::new_v4().to_string(),
            iat,
            exp: iat.saturating_add(LIFETIME.as_secs().cast_signed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client_key::UNUSABLE;
    use aws_lc_rs::encoding::AsDer;
    use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    use serde_json::{Value, json};
    use std::collections::HashSet;

    /// RFC 7515 appendix A.3.
    const EC: &str = r#"{"kty":"EC","crv":"P-256","kid":"ec-1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;
    /// RFC 8037 appendix A.1.
    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn endpoints(method: &str) -> Endpoints {
        Endpoints {
            issuer: "https://id.example/tenant".to_owned(),
            client_id: "me&co".to_owned(),
            token_endpoint_auth_method: method.to_owned(),
            token_endpoint: "https://id.example/tenant/token".to_owned(),
            revocation_endpoint: None,
            userinfo_endpoint: None,
            jwks_uri: None,
            resource: None,
            other_resources: Vec::new(),
            grant_type: larder_core::account::GrantType::AuthorizationCode,
            terms: larder_core::account::Terms::default(),
        }
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", wrapped(&STANDARD.encode(der)))
    }

    /// RFC 7468 section 2: lines of 64.
    fn wrapped(text: &str) -> String {
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect::<Vec<_>>().join("\n")
    }

    fn rsa() -> String {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = key.as_der().unwrap();
        pem("PRIVATE KEY", der.as_ref())
    }

    fn form(authentication: &Authentication) -> Vec<(String, String)> {
        url::form_urlencoded::parse(authentication.form::<&str>(&[]).as_bytes()).into_owned().collect()
    }

    #[test]
    fn an_assertion_says_who_it_is_from_and_for_whom_and_verifies_with_the_public_key() {
        let now = WallTime(1_790_000_000_500);
        let mut ids = HashSet::new();
        for (secret, algorithm, kid) in [
            (rsa(), Algorithm::RS256, None),
            (EC.to_owned(), Algorithm::ES256, Some("ec-1")),
            (ED.to_owned(), Algorithm::EdDSA, None),
        ] {
            let secret = SecretString::from(secret);
            let public = Jwk::from_encoding_key(&ClientKey::parse(&secret).unwrap().key, algorithm).unwrap();
            let key = DecodingKey::from_jwk(&public).unwrap();
            let form = form(&authenticate(&endpoints(PRIVATE_KEY_JWT), Some(&secret), "work", now).unwrap());
            let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["client_id", "client_assertion_type", "client_assertion"]);
            assert_eq!(form[0].1, "me&co");
            assert_eq!(form[1].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
            let assertion = &form[2].1;
            let header = decode_header(assertion).unwrap();
            assert_eq!((header.alg, header.kid.as_deref()), (algorithm, kid));
            assert!(header.jwk.is_none());
            let mut validation = Validation::new(algorithm);
            validation.validate_exp = false;
            validation.set_audience(&["https://id.example/tenant"]);
            let mut claims = decode::<Value>(assertion, &key, &validation).unwrap().claims;
            let jti = claims["jti"].take();
            assert!(ids.insert(jti.as_str().unwrap().to_owned()));
            assert_eq!(
                claims,
                json!({
                    "iss": "me&co", "sub": "me&co", "aud": "https://id.example/tenant", "jti": null,
                    "iat": 1_790_000_000, "exp": 1_790_000_120,
                })
            );
        }
    }

    #[test]
    fn the_audience_is_the_issuer_where_there_is_one() {
        let mut endpoints = endpoints(PRIVATE_KEY_JWT);
        assert_eq!(audience(&endpoints), "https://id.example/tenant");
        // Where the authorization endpoint lies, of endpoints that were written down by hand.
        endpoints.issuer = "https://id.example".to_owned();
        assert_eq!(audience(&endpoints), "https://id.example/tenant/token");
        endpoints.jwks_uri = Some("https://id.example/jwks".to_owned());
        assert_eq!(audience(&endpoints), "https://id.example");
    }

    #[test]
    fn a_secret_goes_where_the_method_says() {
        let secret = SecretString::from("s e/c");
        let now = WallTime(0);
        let post = authenticate(&endpoints("client_secret_post"), Some(&secret), "work", now).unwrap();
        assert_eq!(form(&post), [("client_id".into(), "me&co".into()), ("client_secret".into(), "s e/c".into())]);
        assert!(post.credentials().is_none());
        let basic = authenticate(&endpoints("client_secret_basic"), Some(&secret), "work", now).unwrap();
        assert!(form(&basic).is_empty());
        assert_eq!(
            basic.credentials().map(|(client, secret)| (client, secret.expose_secret())),
            Some(("me&co", "s e/c"))
        );
        let none = authenticate(&endpoints("none"), None, "work", now).unwrap();
        assert_eq!(form(&none), [("client_id".into(), "me&co".into())]);
        let missing = authenticate(&endpoints(PRIVATE_KEY_JWT), None, "work", now).unwrap_err();
        assert!(matches!(missing, Problem::SecretNeeded { .. }), "{missing:?}");
    }

    #[test]
    fn a_private_key_is_never_sent_for_a_secret() {
        let key = SecretString::from(EC);
        for method in [AuthMethod::ClientSecretPost, AuthMethod::ClientSecretBasic] {
            for found in [
                check("work", method, &key).unwrap_err(),
                authenticate(&endpoints(method.name()), Some(&key), "work", WallTime(0)).unwrap_err(),
            ] {
                assert!(matches!(found, Problem::BadClientKey { .. }), "{found:?}");
            }
            assert_eq!(check("work", method, &"p/q+r s:t".into()), Ok(()));
        }
    }

    #[test]
    fn the_algorithm_that_a_jwk_names_must_fit_its_key() {
        let mut jwk: Value = serde_json::from_str(EC).unwrap();
        jwk["alg"] = "ES256".into();
        assert!(ClientKey::parse(&jwk.to_string().into()).is_ok());
        jwk["alg"] = "RS256".into();
        assert_eq!(ClientKey::parse(&jwk.to_string().into()).err(), Some("its alg does not fit its key"));
    }

    #[test]
    fn what_is_no_key_is_refused_with_its_reason_and_without_its_text() {
        let reason = |text: &str| match check("work", AuthMethod::PrivateKeyJwt, &text.to_owned().into()) {
            Err(Problem::BadClientKey { provider, detail }) if provider == "work" => detail,
            other => panic!("{text}: {other:?}"),
        };
        let without = |jwk: &str, part: &str| {
            let mut jwk: Value = serde_json::from_str(jwk).unwrap();
            jwk.as_object_mut().unwrap().remove(part);
            jwk.to_string()
        };
        let changed = |jwk: &str, part: &str, value: &str| {
            let mut jwk: Value = serde_json::from_str(jwk).unwrap();
            jwk[part] = value.into();
            jwk.to_string()
        };
        assert!(reason("p/q+r s:t").contains("neither complete PEM nor"));
        assert!(reason("{\"kty\":7}").contains("no JSON Web Key"));
        assert!(reason(&pem("RSA PRIVATE KEY", &[0x30, 0])).contains("older form"));
        assert!(reason(&pem("ENCRYPTED PRIVATE KEY", &[0x30, 0])).contains("encrypted"));
        assert!(reason(&pem("PUBLIC KEY", &[0x30, 0])).contains("no private key"));
        assert_eq!(reason(&pem("PRIVATE KEY", &[0x30, 0])), UNUSABLE);
        assert!(reason(&without(EC, "d")).contains("private key are missing"));
        assert!(reason(&without(ED, "x")).contains("public key are missing"));
        assert!(reason(&changed(EC, "crv", "P-384")).contains("another kind"));
        assert!(reason(&changed(EC, "kty", "oct")).contains("another kind"));
        assert!(reason(&changed(EC, "d", "a b")).contains("base64url"));
        // The public part of another key.
        assert_eq!(reason(&changed(EC, "x", &"A".repeat(43))), UNUSABLE);
        assert_eq!(reason(&changed(ED, "x", &"A".repeat(43))), UNUSABLE);
        let whole = rsa();
        assert!(reason(&whole[..whole.len() / 2]).contains("neither complete PEM nor"));
    }
}
