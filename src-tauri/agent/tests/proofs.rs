//! Token requests and resource requests with proofs (RFC 9449), against a server that says what the test tells it to.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as its test does")]

use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use larder_agent::clock::{Clock, SystemClock};
use larder_agent::discovery_cache::Discovery;
use larder_agent::dpop::{self, DpopKey};
use larder_agent::grants::{Endpoints, Tokens};
use larder_agent::http::Http;
use larder_agent::providers;
use larder_agent::settings::Settings;
use larder_agent::token_endpoint::{Client, client_credentials, exchange, refresh};
use larder_agent::{device, grants, pushed};
use larder_core::account::GrantType;
use larder_core::effect::Outcome;
use larder_core::names::{Part, ProviderName};
use larder_core::problem::Problem;
use larder_core::time::{BootTime, Now, WallTime};
use oauth2::{AuthorizationCode, PkceCodeVerifier};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// RFC 7515 appendix A.3.
const CLIENT_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

struct At(Now);

impl Clock for At {
    fn now(&self) -> Now {
        self.0
    }
}

const CLOCK: At = At(Now { wall: WallTime(1_790_000_000_000), boot: BootTime(0) });

/// What the server answers: status, further header lines, body.
type Answer = (u16, &'static str, Value);

/// A request that came.
struct Came {
    headers: BTreeMap<String, String>,
    form: BTreeMap<String, String>,
}

impl Came {
    /// The claims of its proof, verified with the key that it names, and that key's thumbprint.
    fn proof(&self) -> Option<(Value, String)> {
        let proof = self.headers.get("dpop")?;
        let jwk = decode_header(proof).unwrap().jwk.unwrap();
        let mut validation = Validation::new(Algorithm::ES256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let claims = decode::<Value>(proof, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap().claims;
        Some((claims, jwk.thumbprint(ThumbprintHash::SHA256).unwrap()))
    }

    fn nonce(&self) -> Value {
        self.proof().unwrap().0["nonce"].clone()
    }
}

/// Answers one request after the other, and gives back what came. A request that is not expected finds nobody.
async fn server(answers: Vec<Answer>) -> (Url, JoinHandle<Vec<Came>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let serving = tokio::spawn(async move {
        let mut came = Vec::new();
        for (status, more, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = Vec::new();
            let (headers, body_at) = loop {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).await.unwrap();
                read.extend_from_slice(&part[..length]);
                let text = std::str::from_utf8(&read).unwrap();
                if let Some((head, _)) = text.split_once("\r\n\r\n") {
                    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
                    let headers: BTreeMap<_, _> =
                        lines.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect();
                    break (headers, head.len() + 4);
                }
            };
            let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
            while read.len() < body_at + length {
                let mut part = [0; 4096];
                let length = stream.read(&mut part).await.unwrap();
                read.extend_from_slice(&part[..length]);
            }
            let form = url::form_urlencoded::parse(&read[body_at..]).into_owned().collect();
            came.push(Came { headers, form });
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status} Fine\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{more}connection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        came
    });
    (url, serving)
}

fn http() -> Http {
    Http::new(&Settings::default(), Path::new("config.toml")).unwrap()
}

fn endpoints(at: &Url, method: &str) -> Endpoints {
    Endpoints {
        issuer: at.to_string(),
        client_id: "me".to_owned(),
        token_endpoint_auth_method: method.to_owned(),
        token_endpoint: at.join("/token").unwrap().into(),
        revocation_endpoint: None,
        userinfo_endpoint: None,
        jwks_uri: None,
        resource: None,
        other_resources: Vec::new(),
        grant_type: GrantType::AuthorizationCode,
        terms: larder_core::account::Terms::default(),
    }
}

fn granted(kind: &str) -> Value {
    json!({ "access_token": "at-2", "refresh_token": "rt-2", "token_type": kind, "expires_in": 600 })
}

fn refused(error: &str) -> Value {
    json!({ "error": error, "error_description": "the server's words" })
}

const FIRST: &str = "dpop-nonce: n-1\r\n";
const SECOND: &str = "dpop-nonce: n-2\r\n";

async fn refreshed(http: &Http, at: &Url, key: Option<&DpopKey>) -> (Outcome, Option<Tokens>) {
    let endpoints = endpoints(at, "none");
    let client = Client { endpoints: &endpoints, secret: None, provider: "work", dpop: key };
    let ended = refresh(http, &CLOCK, client, &"rt-1".into(), &Part::default()).await;
    (ended.outcome, ended.tokens)
}

/// Refused for its proof, with the token as good as before.
#[track_caller]
fn waits(outcome: &Outcome) {
    let Outcome::Transient { problem: Problem::ProofRefused { provider, detail }, spent: false, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!((provider.as_str(), detail.as_str()), ("work", "the server's words"));
}

#[tokio::test]
async fn a_refresh_goes_out_once_more_with_the_nonce_that_the_server_wants() {
    let answers =
        vec![(400, FIRST, refused("use_dpop_nonce")), (200, SECOND, granted("dpop")), (200, "", granted("DPoP"))];
    let (at, serving) = server(answers).await;
    let (http, key) = (http(), DpopKey::generate().unwrap());
    for _ in 0..2 {
        let (outcome, tokens) = refreshed(&http, &at, Some(&key)).await;
        assert!(matches!(outcome, Outcome::Tokens(_)), "{outcome:?}");
        let tokens = tokens.unwrap();
        assert_eq!(tokens.token_type, "DPoP");
        assert_eq!(tokens.bound_to().unwrap().thumbprint(), key.thumbprint());
    }
    let came = serving.await.unwrap();
    let nonces: Vec<_> = came.iter().map(Came::nonce).collect();
    assert_eq!(nonces, [Value::Null, "n-1".into(), "n-2".into()]);
    let mut ids = HashSet::new();
    for request in &came {
        assert_eq!(request.form["refresh_token"], "rt-1");
        let (claims, thumbprint) = request.proof().unwrap();
        assert_eq!(thumbprint, key.thumbprint());
        assert_eq!((&claims["htm"], &claims["htu"]), (&json!("POST"), &json!(at.join("/token").unwrap().as_str())));
        assert_eq!(claims["iat"], 1_790_000_000);
        assert!(claims.get("ath").is_none());
        assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_is_never_content_is_asked_twice_and_nothing_is_spent() {
    let answers = vec![(400, FIRST, refused("use_dpop_nonce")), (401, SECOND, refused("use_dpop_nonce"))];
    let (at, serving) = server(answers).await;
    let key = DpopKey::generate().unwrap();
    waits(&refreshed(&http(), &at, Some(&key)).await.0);
    assert_eq!(serving.await.unwrap().len(), 2);

    let (at, serving) = server(vec![(400, FIRST, refused("invalid_dpop_proof"))]).await;
    waits(&refreshed(&http(), &at, Some(&key)).await.0);
    assert_eq!(serving.await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_wants_a_proof_gets_one_though_nobody_wrote_that_down() {
    let answers = vec![
        (400, "", refused("invalid_dpop_proof")),
        (400, FIRST, refused("use_dpop_nonce")),
        (200, "", granted("DPoP")),
    ];
    let (at, serving) = server(answers).await;
    let endpoints = endpoints(&at, "none");
    let client = Client { endpoints: &endpoints, secret: None, provider: "work", dpop: None };
    let code = AuthorizationCode::new("c".to_owned());
    let verifier = PkceCodeVerifier::new("v".repeat(43));
    let ended = exchange(&http(), &CLOCK, client, code, verifier, "http://127.0.0.1/callback").await;
    assert!(matches!(ended.outcome, Outcome::Tokens(_)), "{:?}", ended.outcome);
    let key = ended.tokens.as_ref().unwrap().bound_to().unwrap().thumbprint().to_owned();
    let came = serving.await.unwrap();
    assert!(came[0].proof().is_none());
    assert_eq!((came[1].proof().unwrap().1, came[2].proof().unwrap().1), (key.clone(), key));
    assert_eq!((came[1].nonce(), came[2].nonce()), (Value::Null, "n-1".into()));
    for request in &came {
        assert_eq!((request.form["code"].as_str(), request.form["code_verifier"].len()), ("c", 43));
    }
}

#[tokio::test]
async fn a_refresh_token_stays_with_its_key_where_the_access_token_is_a_bearer_s() {
    let (at, serving) = server(vec![(200, "", granted("Bearer"))]).await;
    let key = DpopKey::generate().unwrap();
    let tokens = refreshed(&http(), &at, Some(&key)).await.1.unwrap();
    assert!(tokens.bound_to().is_none());
    assert_eq!(tokens.dpop_key.unwrap().thumbprint(), key.thumbprint());
    serving.await.unwrap();
}

#[tokio::test]
async fn a_client_that_asks_for_itself_proves_its_key_and_keeps_no_refresh_token() {
    let answers =
        vec![(400, FIRST, refused("use_dpop_nonce")), (200, "", granted("DPoP")), (401, "", refused("invalid_client"))];
    let (at, serving) = server(answers).await;
    let endpoints = Endpoints { grant_type: GrantType::ClientCredentials, ..endpoints(&at, "client_secret_post") };
    let (http, key, secret) = (http(), DpopKey::generate().unwrap(), SecretString::from("s3cret"));
    let client = Client { endpoints: &endpoints, secret: Some(&secret), provider: "work", dpop: Some(&key) };
    let ended = client_credentials(&http, &CLOCK, client, &["a".into(), "b".into()], &Part::default()).await;
    let Outcome::Tokens(grant) = ended.outcome else { panic!("{:?}", ended.outcome) };
    // RFC 6749 section 4.4.3: there should have been none, and none is needed.
    assert!(grant.refreshable);
    let tokens = ended.tokens.unwrap();
    assert!(tokens.refresh_token.is_none());
    assert_eq!(tokens.bound_to().unwrap().thumbprint(), key.thumbprint());
    let ended = client_credentials(&http, &CLOCK, client, &[], &Part::default()).await;
    assert!(matches!(ended.outcome, Outcome::NeedsFix(Problem::ClientRefused { .. })), "{:?}", ended.outcome);
    let came = serving.await.unwrap();
    assert_eq!(came[1].nonce(), "n-1");
    assert_eq!(
        came.iter().map(|came| came.form.get("scope").map(String::as_str)).collect::<Vec<_>>(),
        [Some("a b"), Some("a b"), None]
    );
    for request in &came {
        let sent = ["grant_type", "client_id", "client_secret"].map(|name| request.form[name].as_str());
        assert_eq!(sent, ["client_credentials", "me", "s3cret"]);
    }
}

#[tokio::test]
async fn every_request_has_an_assertion_of_its_own() {
    let answers = vec![(400, FIRST, refused("use_dpop_nonce")), (200, "", granted("DPoP"))];
    let (at, serving) = server(answers).await;
    let (endpoints, secret, key) =
        (endpoints(&at, "private_key_jwt"), SecretString::from(CLIENT_KEY), DpopKey::generate().unwrap());
    let client = Client { endpoints: &endpoints, secret: Some(&secret), provider: "work", dpop: Some(&key) };
    let ended = refresh(&http(), &CLOCK, client, &"rt-1".into(), &Part::default()).await;
    assert!(matches!(ended.outcome, Outcome::Tokens(_)), "{:?}", ended.outcome);
    let came = serving.await.unwrap();
    assert_ne!(came[0].form["client_assertion"], came[1].form["client_assertion"]);
    for request in &came {
        assert_eq!(request.form["client_id"], "me");
        assert!(!request.headers.contains_key("authorization") && !request.form.contains_key("client_secret"));
    }

    // A key that cannot be used is found out before anything is sent.
    let secret = SecretString::from("not a key");
    let client = Client { endpoints: &endpoints, secret: Some(&secret), provider: "work", dpop: Some(&key) };
    let ended = refresh(&http(), &CLOCK, client, &"rt-1".into(), &Part::default()).await;
    assert!(matches!(ended.outcome, Outcome::NeedsFix(Problem::BadClientKey { .. })), "{:?}", ended.outcome);
}

#[tokio::test]
async fn other_endpoints_of_the_server_get_an_assertion_too() {
    let code = json!({
        "device_code": "d", "user_code": "AB-CD", "verification_uri": "https://id.example/device", "expires_in": 600,
    });
    let pushed = json!({ "request_uri": "urn:ietf:params:oauth:request_uri:x", "expires_in": 60 });
    let (at, serving) = server(vec![(200, "", code), (201, "", pushed.clone()), (201, "", pushed)]).await;
    let (keyed, secret) = (endpoints(&at, "private_key_jwt"), SecretString::from(CLIENT_KEY));
    let client = Client { endpoints: &keyed, secret: Some(&secret), provider: "work", dpop: None };
    let definition = format!("issuer = \"{at}\"\nclient_id = \"me\"");
    let provider = providers::parse_one(&"work".into(), &definition).unwrap();
    let device_endpoint = at.join("/device_authorization").unwrap();
    let begun = device::begin(&http(), &CLOCK, client, &device_endpoint, &provider).await.unwrap();
    assert_eq!(begun.code.user_code, "AB-CD");
    let request = at.join("/auth?client_id=me&state=s").unwrap();
    let browser = pushed::push(&http(), &CLOCK, client, &at.join("/par").unwrap(), &request).await.unwrap().unwrap();
    assert_eq!(browser.query(), Some("client_id=me&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3Ax"));
    // RFC 9126 section 2.1: the pushed request names the client, also where the header does.
    let (basic, secret) = (endpoints(&at, "client_secret_basic"), SecretString::from("s"));
    let client = Client { endpoints: &basic, secret: Some(&secret), provider: "work", dpop: None };
    pushed::push(&http(), &CLOCK, client, &at.join("/par").unwrap(), &request).await.unwrap();
    let came = serving.await.unwrap();
    for request in &came {
        assert_eq!(request.form["client_id"], "me");
    }
    assert_ne!(came[0].form["client_assertion"], came[1].form["client_assertion"]);
    assert_eq!(came[1].form["state"], "s");
    assert!(came[2].headers["authorization"].starts_with("Basic ") && !came[2].form.contains_key("client_secret"));
}

fn tokens(kind: &str, key: Option<DpopKey>) -> grants::Tokens {
    Tokens {
        access_token: "at-1".into(),
        refresh_token: None,
        id_token: None,
        token_type: kind.to_owned(),
        dpop_key: key,
    }
}

#[tokio::test]
async fn a_resource_server_gets_a_bound_token_with_its_proof_and_a_bearer_s_without() {
    const CHALLENGE: &str = "www-authenticate: DPoP error=\"use_dpop_nonce\"\r\ndpop-nonce: r-1\r\n";
    let answers = vec![(401, CHALLENGE, json!({})), (200, "", json!({ "sub": "ada" })), (200, "", json!({}))];
    let (at, serving) = server(answers).await;
    let (http, me) = (http(), at.join("/me?fields=all").unwrap());
    let bound = tokens("DPoP", Some(DpopKey::generate().unwrap()));
    assert_eq!(dpop::get(&http, &CLOCK, &me, &bound).await.unwrap().status, 200);
    assert_eq!(dpop::get(&http, &CLOCK, &me, &tokens("Bearer", None)).await.unwrap().status, 200);
    let came = serving.await.unwrap();
    assert_eq!((came[0].nonce(), came[1].nonce()), (Value::Null, "r-1".into()));
    for request in &came[..2] {
        assert_eq!(request.headers["authorization"], format!("DPoP {}", bound.access_token.expose_secret()));
        let (claims, thumbprint) = request.proof().unwrap();
        assert_eq!(thumbprint, bound.bound_to().unwrap().thumbprint());
        assert_eq!(
            (&claims["htm"], &claims["htu"]),
            (&json!("GET"), &json!(at.join("/me").unwrap().as_str())),
            "{claims}"
        );
        // SHA-256 of "at-1".
        assert_eq!(claims["ath"], "R8PYaIQdcYEdkSc9TeGyiUqSAedmCQuOQImPRh1E3HI", "{claims}");
    }
    assert_eq!(came[2].headers["authorization"], "Bearer at-1");
    assert!(came[2].proof().is_none());
}

#[tokio::test]
async fn a_provider_that_takes_no_es256_is_refused_where_its_tokens_are_to_be_bound() {
    for (algorithms, bound, good) in [
        (json!(["RS256", "ES256"]), true, true),
        (json!(["RS256"]), true, false),
        (json!(["RS256"]), false, true),
        (json!(null), true, true),
    ] {
        // The issuer is known once the server listens; the metadata must name it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let body = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}/token"),
            "dpop_signing_alg_values_supported": algorithms,
        })
        .to_string();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = [0; 4096];
            let _ = stream.read(&mut read).await.unwrap();
            let head = format!("HTTP/1.1 200 Fine\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        });
        let name = ProviderName::from("work");
        let definition = format!("issuer = \"{issuer}\"\nclient_id = \"c\"\ndpop_bound_access_tokens = {bound}");
        let provider = providers::parse_one(&name, &definition).unwrap();
        let discovery = Discovery::new(Arc::new(SystemClock));
        match discovery.discover(&http(), &name, &provider).await {
            Ok(_) => assert!(good, "{algorithms} {bound}"),
            Err(Problem::BadProvider { field, .. }) => {
                assert!(!good && field == "dpop_signing_alg_values_supported", "{algorithms} {bound}");
            }
            Err(other) => panic!("{other:?}"),
        }
        serving.await.unwrap();
    }
}
