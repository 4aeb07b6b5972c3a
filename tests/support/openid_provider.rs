//! An OpenID provider that says what a test tells it to: real keys and real signatures, around claims that may be wrong. The
//! test itself is its authorization endpoint, and the person's browser.
//!
//! It shares no code with what it tests: tokens are put together by hand (RFC 7515 section 3.1), and aws-lc-rs signs.

use super::Session;
use aws_lc_rs::digest::{SHA256, SHA512, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use url::Url;

/// The client.
pub const CLIENT_ID: &str = "larder-test";

/// Its secret, where it has one. Some of its characters mean something in a form.
pub const CLIENT_SECRET: &str = "s3cret/with+odd=characters";

/// Who signs in.
pub const SUBJECT: &str = "248289761001";

/// Makes signatures.
#[derive(Debug)]
pub enum Key {
    /// RS256, or PS256 where the header says so.
    Rsa(Box<RsaKeyPair>),
    /// ES256.
    Ec(Box<EcdsaKeyPair>),
    /// EdDSA.
    Ed(Box<Ed25519KeyPair>),
}

impl Key {
    /// A new RSA key.
    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")))
    }

    /// A new key on P-256.
    pub fn ec() -> Self {
        Self::Ec(Box::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")))
    }

    /// A new key on Ed25519.
    pub fn ed() -> Self {
        Self::Ed(Box::new(Ed25519KeyPair::generate().expect("a key")))
    }

    fn alg(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RS256",
            Self::Ec(_) => "ES256",
            Self::Ed(_) => "EdDSA",
        }
    }

    fn sign(&self, alg: &str, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding: &dyn aws_lc_rs::signature::RsaEncoding =
                    if alg == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                pair.sign(padding, &random, input, &mut signature).expect("a signature");
                signature
            }
            Self::Ec(pair) => pair.sign(&random, input).expect("a signature").as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(input).as_ref().to_vec(),
        }
    }

    /// Its public half (RFC 7517).
    pub fn jwk(&self) -> Value {
        match self {
            Self::Rsa(pair) => {
                let public = pair.public_key();
                let number = |number: &[u8]| BASE64.encode(number);
                json!({
                    "kty": "RSA", "use": "sig",
                    "n": number(public.modulus().big_endian_without_leading_zero()),
                    "e": number(public.exponent().big_endian_without_leading_zero()),
                })
            }
            Self::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({
                    "kty": "EC", "crv": "P-256", "use": "sig",
                    "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..]),
                })
            }
            Self::Ed(pair) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "x": BASE64.encode(pair.public_key().as_ref()) })
            }
        }
    }
}

/// Who signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The key of this number.
    Key(usize),
    /// The client's secret (HS256).
    Secret,
    /// Nobody (`alg` none).
    Nobody,
}

/// What the provider was told. The values are merged into what it would say (RFC 7396): null takes a member away.
#[derive(Debug)]
pub struct Told {
    /// Its keys.
    pub keys: Vec<Key>,
    /// Which of them it publishes.
    pub published: Vec<usize>,
    /// Whether keys have names, in the set and in headers.
    pub kids: bool,
    /// Who signs.
    pub by: By,
    /// Of ID tokens.
    pub header: Value,
    /// Of ID tokens.
    pub claims: Value,
    /// Whether the signature is broken.
    pub broken: bool,
    /// Discovery.
    pub metadata: Value,
    /// Userinfo.
    pub userinfo: Value,
    /// Userinfo's type.
    pub userinfo_type: &'static str,
    /// The token response.
    pub response: Value,
    /// The status of the key set's address.
    pub jwks_status: u16,
    /// The key set, as it stands, instead of the keys that are published.
    pub jwks: Option<String>,
    /// Before the claims, as it stands: members, each ended by a comma.
    pub claims_text: String,
    /// What a shared key would be.
    pub shared: Vec<u8>,
    /// An ID token, as it stands, instead of one that is made.
    pub id_token: Option<String>,
    /// What the token response says of the time (seconds since 1970), where it does.
    pub date: Option<u64>,
    /// Requests so far: path, `Authorization` and form.
    pub seen: Vec<(String, String, HashMap<String, String>)>,
    /// Every token that was given.
    pub given: Vec<String>,
    /// Of the last authorization request.
    pub nonce: String,
}

/// The server.
#[derive(Debug)]
pub struct OpenIdProvider {
    /// Its issuer.
    pub issuer: String,
    told: Arc<Mutex<Told>>,
}

impl OpenIdProvider {
    /// A server with one RSA key, that behaves. It ends with the test's process.
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let issuer = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
        let nothing = || json!({});
        let told = Arc::new(Mutex::new(Told {
            keys: vec![Key::rsa()],
            published: vec![0],
            kids: true,
            by: By::Key(0),
            header: nothing(),
            claims: nothing(),
            broken: false,
            metadata: nothing(),
            userinfo: nothing(),
            userinfo_type: "application/json",
            response: nothing(),
            jwks_status: 200,
            jwks: None,
            claims_text: String::new(),
            shared: CLIENT_SECRET.as_bytes().to_vec(),
            id_token: None,
            date: None,
            seen: Vec::new(),
            given: Vec::new(),
            nonce: String::new(),
        }));
        let (own, shared) = (issuer.clone(), Arc::clone(&told));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that has gone away concerns nobody else.
                let _ = answer(stream, &own, &shared);
            }
        });
        Self { issuer, told }
    }

    /// Tells it what to say from now on.
    pub fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told());
    }

    /// What it was told, and has seen.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("no test has panicked in between")
    }

    /// How many requests came to this path.
    pub fn asked(&self, path: &str) -> usize {
        self.told().seen.iter().filter(|(seen, ..)| seen == path).count()
    }

    /// Whether this token was given back (RFC 7009).
    pub fn revoked(&self, token: &str) -> bool {
        self.told()
            .seen
            .iter()
            .any(|(path, _, form)| path == "/revoke" && form.get("token").is_some_and(|t| t == token))
    }

    /// Writes it down under this name.
    pub fn add(&self, session: &Session, name: &str, more: &[&str]) {
        let mut arguments = vec!["providers", "add", name, "--issuer", &self.issuer, "--client-id", CLIENT_ID];
        ["openid", "profile", "email", "offline_access"].iter().for_each(|scope| arguments.extend(["--scope", scope]));
        arguments.extend(more);
        session.larder(&arguments).ok();
    }

    /// The browser's way through its pages: where it is sent in the end.
    pub fn authorize(&self, url: &str) -> String {
        let url = Url::parse(url).expect("a URL");
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!(query["code_challenge_method"], "S256");
        self.told().nonce.clone_from(&query["nonce"]);
        let mut redirect = Url::parse(&query["redirect_uri"]).expect("a URL");
        redirect.query_pairs_mut().append_pair("code", "a-code").append_pair("state", &query["state"]);
        redirect.into()
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn answer(mut stream: TcpStream, issuer: &str, told: &Mutex<Told>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or_default(),
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let form: HashMap<String, String> = url::form_urlencoded::parse(&body).into_owned().collect();
    let mut told = told.lock().expect("no test has panicked in between");
    told.seen.push((path.clone(), authorization, form.clone()));
    let (status, kind, body) = match path.as_str() {
        "/.well-known/openid-configuration" => (200, "application/json", metadata(&told, issuer)),
        "/jwks" => (told.jwks_status, "application/json", jwks(&told)),
        "/token" => {
            let answer = tokens(&mut told, issuer, &form);
            // RFC 6749 section 5.2.
            (if answer.get("error").is_some() { 400 } else { 200 }, "application/json", answer)
        }
        "/userinfo" => (200, told.userinfo_type, userinfo(&told)),
        "/revoke" => (200, "application/json", json!({})),
        _ => (404, "text/plain", json!("nothing")),
    };
    let date = told.date.filter(|_| path == "/token").map(|date| UNIX_EPOCH + Duration::from_secs(date));
    let date = date.map(|date| format!("date: {}\r\n", httpdate::fmt_http_date(date))).unwrap_or_default();
    let body = if path == "/jwks" { told.jwks.clone() } else { None }.unwrap_or_else(|| body.to_string());
    drop(told);
    let head = format!("content-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n{date}", body.len());
    write!(stream, "HTTP/1.1 {status} X\r\n{head}\r\n{body}")
}

fn metadata(told: &Told, issuer: &str) -> Value {
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_basic"],
    });
    merged(metadata, &told.metadata)
}

fn jwks(told: &Told) -> Value {
    let keys: Vec<Value> = told.published.iter().map(|number| named(told, *number, told.keys[*number].jwk())).collect();
    json!({ "keys": keys })
}

/// With the key's name, where keys have names.
fn named(told: &Told, number: usize, value: Value) -> Value {
    if told.kids { merged(value, &json!({ "kid": format!("key-{number}") })) } else { value }
}

fn userinfo(told: &Told) -> Value {
    let claims = json!({ "sub": SUBJECT, "name": "Jane Doe", "email": "jane@example.com" });
    merged(claims, &told.userinfo)
}

fn tokens(told: &mut Told, issuer: &str, form: &HashMap<String, String>) -> Value {
    let number = told.given.len();
    let (access_token, refresh_token) = (format!("access-{number}-of-jane"), format!("refresh-{number}-of-jane"));
    let signs_in = form.get("grant_type").is_some_and(|grant| grant == "authorization_code");
    let id_token = id_token(told, issuer, &access_token, signs_in);
    told.given.extend([access_token.clone(), refresh_token.clone(), id_token.clone()]);
    let response = json!({
        "access_token": access_token,
        "refresh_token": refresh_token,
        "id_token": id_token,
        "token_type": "Bearer",
        "expires_in": 3600,
    });
    merged(response, &told.response)
}

fn id_token(told: &Told, issuer: &str, access_token: &str, signs_in: bool) -> String {
    if let Some(whole) = &told.id_token {
        return whole.clone();
    }
    let header = match told.by {
        By::Key(number) => named(told, number, json!({ "alg": told.keys[number].alg() })),
        By::Secret => json!({ "alg": "HS256" }),
        By::Nobody => json!({ "alg": "none" }),
    };
    let header = merged(header, &told.header);
    let hashed = digest(if header["alg"] == "EdDSA" { &SHA512 } else { &SHA256 }, access_token.as_bytes());
    let mut claims = json!({
        "iss": issuer,
        "sub": SUBJECT,
        "aud": CLIENT_ID,
        "iat": now(),
        "exp": now() + 600,
        "at_hash": BASE64.encode(&hashed.as_ref()[..hashed.as_ref().len() / 2]),
    });
    if signs_in {
        claims["nonce"] = json!(told.nonce);
    }
    let claims = merged(claims, &told.claims);
    let claims = claims.to_string().replacen('{', &format!("{{{}", told.claims_text), 1);
    let input = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims));
    let mut signature = match told.by {
        By::Key(number) => told.keys[number].sign(header["alg"].as_str().unwrap_or_default(), input.as_bytes()),
        By::Secret => {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &told.shared);
            hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
        }
        By::Nobody => Vec::new(),
    };
    if told.broken {
        signature[7] ^= 1;
    }
    format!("{input}.{}", BASE64.encode(signature))
}

/// RFC 7396, one level deep.
fn merged(mut value: Value, patch: &Value) -> Value {
    let object = value.as_object_mut().expect("an object");
    for (name, member) in patch.as_object().expect("an object") {
        match member {
            Value::Null => object.remove(name),
            member => object.insert(name.clone(), member.clone()),
        };
    }
    value
}
