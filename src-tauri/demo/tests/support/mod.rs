//! A browser and a client, as far as these tests need them.
#![allow(dead_code, clippy::unwrap_used, reason = "every test file uses a part of it, and a test may fail loudly")]

use std::collections::HashMap;

use larder_demo::{CLIENT_ID, DEEP_LINK, Options, Server};
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use reqwest::{Client, Response, StatusCode, redirect};
use serde_json::Value;
use url::Url;

pub const SCOPE: &str = "openid profile email offline_access";

/// The example of RFC 7636 appendix B.
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A server and somebody who speaks to it.
pub struct Demo {
    pub server: Server,
    pub http: Client,
}

/// What a redirect brought back.
pub type Answer = HashMap<String, String>;

impl Demo {
    pub async fn start(options: Options) -> Self {
        let server = Server::start(options).await.unwrap();
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { server, http }
    }

    pub async fn controlled() -> Self {
        Self::start(Options { control: true, ..Options::default() }).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.issuer())
    }

    /// An authorization request that is right, but for what `changes` says; an empty value leaves a parameter out.
    pub fn request(&self, challenge: &PkceCodeChallenge, changes: &[(&str, &str)]) -> Url {
        let mut params: HashMap<&str, &str> = HashMap::from([
            ("response_type", "code"),
            ("client_id", CLIENT_ID),
            ("redirect_uri", DEEP_LINK),
            ("scope", SCOPE),
            ("state", "state&1"),
            ("nonce", "nonce-1"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        params.extend(changes.iter().copied());
        let params = params.into_iter().filter(|(_, value)| !value.is_empty());
        Url::parse_with_params(&self.url("/authorize"), params).unwrap()
    }

    pub async fn get(&self, url: impl reqwest::IntoUrl) -> Response {
        self.http.get(url).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        self.http.post(self.url(path)).form(form).send().await.unwrap()
    }

    pub async fn json(&self, path: &str) -> Value {
        self.get(self.url(path)).await.json().await.unwrap()
    }

    pub async fn control(&self, path: &str, body: Value) {
        let answer = self.http.post(self.url(path)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
    }

    /// Goes through both pages, as a person would.
    pub async fn browse(&self, request: Url, username: &str, decision: &str) -> Answer {
        let page = self.get(request).await.text().await.unwrap();
        self.decide(&page, username, decision).await
    }

    /// From the login page on.
    pub async fn decide(&self, login_page: &str, username: &str, decision: &str) -> Answer {
        let form = [("transaction", transaction(login_page)), ("username", username)];
        let page = self.post("/login", &form).await.text().await.unwrap();
        let answer = self.post("/consent", &[("transaction", transaction(&page)), ("decision", decision)]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        redirected(&answer)
    }

    /// A code that was asked for with the challenge of [`VERIFIER`].
    pub async fn code(&self, username: &str) -> String {
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(VERIFIER.to_owned()));
        let answer = self.browse(self.request(&challenge, &[]), username, "allow").await;
        answer["code"].clone()
    }

    pub async fn exchange(&self, code: &str, verifier: &str) -> Response {
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", CLIENT_ID),
            ("code", code),
            ("redirect_uri", DEEP_LINK),
            ("code_verifier", verifier),
        ];
        self.post("/token", &form).await
    }

    /// The whole way, to the first tokens.
    pub async fn sign_in(&self, username: &str) -> Value {
        let code = self.code(username).await;
        let answer = self.exchange(&code, VERIFIER).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer.json().await.unwrap()
    }

    pub async fn refresh(&self, tokens: &Value) -> Response {
        self.post("/token", &refresh_form(tokens)).await
    }

    pub async fn revoke(&self, token: &Value) -> StatusCode {
        self.post("/revoke", &[("client_id", CLIENT_ID), ("token", token.as_str().unwrap())]).await.status()
    }

    pub async fn userinfo(&self, tokens: &Value) -> Response {
        let token = tokens["access_token"].as_str().unwrap();
        self.http.get(self.url("/userinfo")).bearer_auth(token).send().await.unwrap()
    }
}

pub fn refresh_form(tokens: &Value) -> [(&str, &str); 3] {
    let token = tokens["refresh_token"].as_str().unwrap();
    [("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token)]
}

/// The hidden field of a page.
pub fn transaction(page: &str) -> &str {
    let (_, rest) = page.split_once("name=\"transaction\" value=\"").unwrap();
    rest.split_once('"').unwrap().0
}

/// What a redirect to the client carries.
pub fn redirected(answer: &Response) -> Answer {
    let location = answer.headers()["location"].to_str().unwrap();
    let (to, _) = location.split_once('?').unwrap();
    assert!(to == DEEP_LINK || to.starts_with("http://127.0.0.1:"), "{to}");
    Url::parse(location).unwrap().query_pairs().into_owned().collect()
}

/// Asserts an error as RFC 6749 5.2 has it.
pub async fn assert_error(answer: Response, status: u16, error: &str) {
    assert_eq!(answer.status().as_u16(), status, "{error}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["error"], error, "{body}");
}
