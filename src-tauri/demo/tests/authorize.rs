//! The authorization endpoint and its pages.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use larder_demo::{CLIENT_ID, Options};
use openidconnect::PkceCodeChallenge;
use reqwest::StatusCode;
use support::{Demo, redirected, transaction};

#[tokio::test]
async fn a_wrong_client_or_redirect_gets_a_page_and_no_redirect() {
    let demo = Demo::start(Options::default()).await;
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    for change in [
        ("client_id", "somebody-else"),
        ("client_id", ""),
        ("redirect_uri", ""),
        ("redirect_uri", "https://example.com/callback"),
        ("redirect_uri", "dev.larder.desktop:/other"),
        ("redirect_uri", "http://localhost:8080/callback"),
    ] {
        let answer = demo.get(demo.request(&challenge, &[change])).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{change:?}");
        assert!(!answer.headers().contains_key("location"), "{change:?}");
        assert!(answer.text().await.unwrap().contains("<h1>"), "{change:?}");
    }
    let mut twice = demo.request(&challenge, &[]);
    twice.query_pairs_mut().append_pair("redirect_uri", "http://127.0.0.1:9/callback");
    assert_eq!(demo.get(twice).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn other_errors_go_to_the_client_with_state_and_issuer() {
    let demo = Demo::start(Options::default()).await;
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    for (change, error) in [
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "too-short"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("scope", "openid no.such.scope"), "invalid_scope"),
        (("prompt", "none"), "login_required"),
        (("prompt", "none login"), "invalid_request"),
        (("request_uri", "https://example.com/x"), "request_uri_not_supported"),
    ] {
        let answer = demo.get(demo.request(&challenge, &[change])).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{change:?}");
        let answer = redirected(&answer);
        assert_eq!(answer["error"], error, "{change:?}");
        assert!(!answer["error_description"].is_empty());
        assert_eq!(answer["state"], "state&1");
        assert_eq!(answer["iss"], demo.server.issuer());
        assert!(!answer.contains_key("code"));
    }
}

#[tokio::test]
async fn saying_no_is_access_denied_on_either_page() {
    let demo = Demo::start(Options::default()).await;
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    let answer = demo.browse(demo.request(&challenge, &[]), "ada", "deny").await;
    assert_eq!((answer["error"].as_str(), answer["state"].as_str()), ("access_denied", "state&1"));
    assert_eq!(answer["iss"], demo.server.issuer());

    let page = demo.get(demo.request(&challenge, &[])).await.text().await.unwrap();
    let cancel = [("transaction", transaction(&page)), ("username", "ada"), ("decision", "deny")];
    assert_eq!(redirected(&demo.post("/login", &cancel).await)["error"], "access_denied");
}

#[tokio::test]
async fn the_loopback_redirect_takes_any_port() {
    let demo = Demo::start(Options::default()).await;
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    let request = demo.request(&challenge, &[("redirect_uri", "http://127.0.0.1:51234/callback")]);
    let answer = demo.browse(request, "ada", "allow").await;
    assert!(answer.contains_key("code"));
}

#[tokio::test]
async fn a_transaction_is_answered_once_and_not_before_somebody_signed_in() {
    let demo = Demo::start(Options::default()).await;
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    let page = demo.get(demo.request(&challenge, &[])).await.text().await.unwrap();
    let allow = [("transaction", transaction(&page)), ("decision", "allow")];
    assert_eq!(demo.post("/consent", &allow).await.status(), StatusCode::BAD_REQUEST);

    let page = demo.get(demo.request(&challenge, &[])).await.text().await.unwrap();
    let allow = [("transaction", transaction(&page)), ("decision", "allow")];
    demo.post("/login", &[("transaction", transaction(&page)), ("username", "ada")]).await;
    assert_eq!(demo.post("/consent", &allow).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(demo.post("/consent", &allow).await.status(), StatusCode::BAD_REQUEST);

    let page = demo.get(demo.request(&challenge, &[])).await.text().await.unwrap();
    demo.server.advance(std::time::Duration::from_secs(601));
    let late = demo.post("/login", &[("transaction", transaction(&page)), ("username", "ada")]).await;
    assert_eq!(late.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn pages_escape_what_they_are_given_and_allow_no_script() {
    let demo = Demo::start(Options::default()).await;
    let (challenge, _) = PkceCodeChallenge::new_random_sha256();
    let answer = demo.get(demo.request(&challenge, &[("login_hint", "grace@example.com")])).await;
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("form-action"), "{policy}");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let page = answer.text().await.unwrap();
    assert!(page.contains("value=\"grace\"") && !page.contains("<script"));

    let name = "\"><script>alert(1)</script>";
    let again = demo.post("/login", &[("transaction", transaction(&page)), ("username", name)]).await;
    assert_eq!(again.status(), StatusCode::BAD_REQUEST);
    let again = again.text().await.unwrap();
    assert!(again.contains("&quot;&gt;&lt;script&gt;") && !again.contains("<script"));

    let consent = demo.post("/login", &[("transaction", transaction(&again)), ("username", "Grace Hopper")]).await;
    let consent = consent.text().await.unwrap();
    assert!(consent.contains("Grace Hopper, grace.hopper@example.com") && consent.contains("See your name"));
}

#[tokio::test]
async fn only_its_own_address_is_answered() {
    let demo = Demo::start(Options::default()).await;
    let rebound = demo.http.get(demo.url("/jwks")).header("host", "evil.example:4747").send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
    let metadata = demo.json("/.well-known/openid-configuration").await;
    assert_eq!(metadata["issuer"], demo.server.issuer());
    assert_eq!(metadata, demo.json("/.well-known/oauth-authorization-server").await);
    assert_eq!(demo.server.client_id(), CLIENT_ID);
}
