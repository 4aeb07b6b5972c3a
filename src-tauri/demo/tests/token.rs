//! Tokens: given, refreshed, expired, revoked.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use larder_demo::{CLIENT_ID, Options};
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreProviderMetadata};
use openidconnect::{AccessToken, AccessTokenHash, ClientId, IssuerUrl, Nonce};
use reqwest::StatusCode;
use serde_json::Value;
use support::{Demo, SCOPE, VERIFIER, assert_error, refresh_form};

#[tokio::test]
async fn a_code_with_its_verifier_gives_tokens_and_an_id_token_that_verifies() {
    let demo = Demo::start(Options::default()).await;
    let metadata: CoreProviderMetadata =
        serde_json::from_value(demo.json("/.well-known/openid-configuration").await).unwrap();
    assert_eq!(metadata.issuer().as_str(), demo.server.issuer());
    let code = demo.code("ada").await;
    let answer = demo.exchange(&code, VERIFIER).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let tokens: Value = answer.json().await.unwrap();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&"Bearer".into(), &60.into()));
    assert_eq!(tokens["scope"], SCOPE);

    let id_token: CoreIdToken = serde_json::from_value(tokens["id_token"].clone()).unwrap();
    let jwks: CoreJsonWebKeySet = serde_json::from_value(demo.json("/jwks").await).unwrap();
    let issuer = IssuerUrl::new(demo.server.issuer().to_owned()).unwrap();
    let checks = CoreIdTokenVerifier::new_public_client(ClientId::new(CLIENT_ID.to_owned()), issuer, jwks);
    let claims = id_token.claims(&checks, &Nonce::new("nonce-1".to_owned())).unwrap();
    assert_eq!(claims.email().unwrap().as_str(), "ada@example.com");
    let access_token = AccessToken::new(tokens["access_token"].as_str().unwrap().to_owned());
    let (algorithm, key) = (id_token.signing_alg().unwrap(), id_token.signing_key(&checks).unwrap());
    let hash = AccessTokenHash::from_token(&access_token, algorithm, key).unwrap();
    assert_eq!(claims.access_token_hash(), Some(&hash));

    let info: Value = demo.userinfo(&tokens).await.json().await.unwrap();
    assert_eq!(info["sub"], claims.subject().as_str());
    assert_eq!((&info["name"], &info["email"]), (&"Ada Lovelace".into(), &"ada@example.com".into()));
    assert_eq!(info["preferred_username"], "ada");

    // OpenID Connect Core 12.2: after a refresh the same person, no nonce.
    let refreshed: Value = demo.refresh(&tokens).await.json().await.unwrap();
    let again: CoreIdToken = serde_json::from_value(refreshed["id_token"].clone()).unwrap();
    let again =
        again.claims(&checks, |nonce: Option<&Nonce>| nonce.map_or(Ok(()), |_| Err("a nonce".to_owned()))).unwrap();
    assert_eq!((again.subject(), again.auth_time()), (claims.subject(), claims.auth_time()));
}

#[tokio::test]
async fn a_code_is_bound_to_verifier_redirect_and_time() {
    let demo = Demo::start(Options::default()).await;
    let code = demo.code("ada").await;
    let other = "x".repeat(43);
    assert_error(demo.exchange(&code, &other).await, 400, "invalid_grant").await;

    let code = demo.code("ada").await;
    let mut form = vec![("grant_type", "authorization_code"), ("client_id", CLIENT_ID), ("code", code.as_str())];
    assert_error(demo.post("/token", &form).await, 400, "invalid_request").await;
    form.extend([("redirect_uri", "http://127.0.0.1:1/callback"), ("code_verifier", VERIFIER)]);
    assert_error(demo.post("/token", &form).await, 400, "invalid_grant").await;

    let code = demo.code("ada").await;
    demo.server.advance(Duration::from_secs(60));
    assert_error(demo.exchange(&code, VERIFIER).await, 400, "invalid_grant").await;
}

#[tokio::test]
async fn a_code_used_twice_ends_what_it_gave() {
    let demo = Demo::start(Options::default()).await;
    let code = demo.code("ada").await;
    let tokens: Value = demo.exchange(&code, VERIFIER).await.json().await.unwrap();
    assert_eq!(demo.userinfo(&tokens).await.status(), StatusCode::OK);
    assert_error(demo.exchange(&code, VERIFIER).await, 400, "invalid_grant").await;
    assert_eq!(demo.userinfo(&tokens).await.status(), StatusCode::UNAUTHORIZED);
    assert_error(demo.refresh(&tokens).await, 400, "invalid_grant").await;
}

#[tokio::test]
async fn a_refresh_token_rotates_and_its_reuse_ends_the_family_but_no_other() {
    let demo = Demo::start(Options::default()).await;
    let other = demo.sign_in("ada").await;
    let first = demo.sign_in("ada").await;
    let second: Value = demo.refresh(&first).await.json().await.unwrap();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // A refresh leaves the access token before it good.
    assert_eq!(demo.userinfo(&first).await.status(), StatusCode::OK);
    assert_eq!(demo.userinfo(&second).await.status(), StatusCode::OK);

    assert_error(demo.refresh(&first).await, 400, "invalid_grant").await;
    assert_error(demo.refresh(&second).await, 400, "invalid_grant").await;
    assert_eq!(demo.userinfo(&second).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(demo.refresh(&other).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn of_many_refreshes_at_once_one_wins_and_the_family_ends() {
    let demo = Demo::start(Options::default()).await;
    let tokens = demo.sign_in("ada").await;
    let (a, b) = tokio::join!(demo.refresh(&tokens), demo.refresh(&tokens));
    let (won, lost) = if a.status() == StatusCode::OK { (a, b) } else { (b, a) };
    assert_eq!((won.status(), lost.status()), (StatusCode::OK, StatusCode::BAD_REQUEST));
    let won: Value = won.json().await.unwrap();
    assert_error(demo.refresh(&won).await, 400, "invalid_grant").await;
}

#[tokio::test]
async fn a_refresh_asks_for_less_never_for_more() {
    let demo = Demo::start(Options::default()).await;
    let tokens = demo.sign_in("ada").await;
    let with = |scope: &'static str| refresh_form(&tokens).into_iter().chain([("scope", scope)]).collect::<Vec<_>>();
    assert_error(demo.post("/token", &with("openid notes.read")).await, 400, "invalid_scope").await;
    let narrow: Value = demo.post("/token", &with("email")).await.json().await.unwrap();
    assert_eq!(narrow["scope"], "email");
    let info: Value = demo.userinfo(&narrow).await.json().await.unwrap();
    assert!(info.get("name").is_none() && info.get("email").is_some());
    // The grant itself is not narrowed.
    let wide: Value = demo.refresh(&narrow).await.json().await.unwrap();
    assert_eq!(wide["scope"], SCOPE);
}

#[tokio::test]
async fn access_and_refresh_tokens_expire() {
    let demo = Demo::start(Options { refresh_lifetime: Duration::from_secs(100), ..Options::default() }).await;
    let tokens = demo.sign_in("ada").await;
    demo.server.advance(Duration::from_secs(60));
    let answer = demo.userinfo(&tokens).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().contains("error=\"invalid_token\""));
    // A rotated refresh token counts anew.
    let tokens: Value = demo.refresh(&tokens).await.json().await.unwrap();
    demo.server.advance(Duration::from_secs(60));
    let tokens: Value = demo.refresh(&tokens).await.json().await.unwrap();
    demo.server.advance(Duration::from_secs(100));
    assert_error(demo.refresh(&tokens).await, 400, "invalid_grant").await;
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_everything_and_an_access_token_itself() {
    let demo = Demo::start(Options::default()).await;
    let tokens = demo.sign_in("ada").await;
    assert_eq!(demo.revoke(&tokens["access_token"]).await, StatusCode::OK);
    assert_eq!(demo.userinfo(&tokens).await.status(), StatusCode::UNAUTHORIZED);
    let tokens: Value = demo.refresh(&tokens).await.json().await.unwrap();
    assert_eq!(demo.revoke(&tokens["refresh_token"]).await, StatusCode::OK);
    assert_eq!(demo.userinfo(&tokens).await.status(), StatusCode::UNAUTHORIZED);
    assert_error(demo.refresh(&tokens).await, 400, "invalid_grant").await;
    assert_eq!(demo.revoke(&"never seen".into()).await, StatusCode::OK);
    assert_error(demo.post("/revoke", &[("client_id", CLIENT_ID)]).await, 400, "invalid_request").await;
    assert_error(demo.post("/revoke", &[("token", "x")]).await, 401, "invalid_client").await;
}

#[tokio::test]
async fn the_token_endpoint_names_what_is_wrong() {
    let demo = Demo::start(Options::default()).await;
    let client = ("client_id", CLIENT_ID);
    assert_error(demo.post("/token", &[client]).await, 400, "invalid_request").await;
    assert_error(demo.post("/token", &[client, ("grant_type", "password")]).await, 400, "unsupported_grant_type").await;
    assert_error(demo.post("/token", &[("client_id", "x")]).await, 401, "invalid_client").await;
    assert_error(demo.post("/token", &[client, ("client_secret", "x")]).await, 401, "invalid_client").await;
    assert_error(demo.post("/token", &[client, client]).await, 400, "invalid_request").await;
    let json = demo.http.post(demo.url("/token")).json(&serde_json::json!({})).send().await.unwrap();
    assert_error(json, 400, "invalid_request").await;
    assert_eq!(demo.get(demo.url("/token")).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let huge = demo.http.post(demo.url("/token")).body("x".repeat(70_000)).send().await.unwrap();
    assert_eq!(huge.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let bare = demo.get(demo.url("/userinfo")).await;
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert!(!bare.headers()["www-authenticate"].to_str().unwrap().contains("error"));
}

#[tokio::test]
async fn a_device_signs_in_with_a_code_typed_elsewhere() {
    let demo = Demo::start(Options::default()).await;
    let asked = [("client_id", CLIENT_ID), ("scope", "openid email")];
    let device: Value = demo.post("/device_authorization", &asked).await.json().await.unwrap();
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let poll =
        [("grant_type", grant), ("client_id", CLIENT_ID), ("device_code", device["device_code"].as_str().unwrap())];
    // At once, so that a slow machine does not put the interval between them.
    let (a, b) = tokio::join!(demo.post("/token", &poll), demo.post("/token", &poll));
    let mut errors = [a.json::<Value>().await.unwrap(), b.json().await.unwrap()].map(|body| body["error"].to_string());
    errors.sort();
    assert_eq!(errors, ["\"authorization_pending\"", "\"slow_down\""]);

    let page = demo.get(device["verification_uri_complete"].as_str().unwrap()).await.text().await.unwrap();
    assert!(page.contains(device["user_code"].as_str().unwrap()));
    assert_eq!(demo.post("/device", &[("user_code", "AAAA-AAAA")]).await.status(), StatusCode::BAD_REQUEST);
    let typed = device["user_code"].as_str().unwrap().to_lowercase();
    let login = demo.post("/device", &[("user_code", &typed)]).await.text().await.unwrap();
    let login = [("transaction", support::transaction(&login)), ("username", "grace")];
    let consent = demo.post("/login", &login).await.text().await.unwrap();
    let allow = [("transaction", support::transaction(&consent)), ("decision", "allow")];
    assert_eq!(demo.post("/consent", &allow).await.status(), StatusCode::OK);

    demo.server.advance(Duration::from_secs(1));
    let tokens: Value = demo.post("/token", &poll).await.json().await.unwrap();
    let info: Value = demo.userinfo(&tokens).await.json().await.unwrap();
    assert_eq!(info["email"], "grace@example.com");
    assert_error(demo.post("/token", &poll).await, 400, "expired_token").await;
}

#[tokio::test]
async fn a_restart_with_a_state_file_ends_nobodys_session() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("demo.json");
    let options = Options { state: Some(path.clone()), ..Options::default() };
    let demo = Demo::start(options.clone()).await;
    let first = demo.sign_in("ada").await;
    let second: Value = demo.refresh(&first).await.json().await.unwrap();
    let keys = demo.json("/jwks").await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains(second["refresh_token"].as_str().unwrap()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let port = url::Url::parse(demo.server.issuer()).unwrap().port().unwrap();
    demo.server.stop().await;

    let demo = Demo::start(Options { port, ..options }).await;
    assert_eq!(demo.json("/jwks").await, keys);
    assert_eq!(demo.userinfo(&second).await.status(), StatusCode::OK);
    let third: Value = demo.refresh(&second).await.json().await.unwrap();
    // What was spent before the restart is still known as spent.
    assert_error(demo.refresh(&first).await, 400, "invalid_grant").await;
    assert_error(demo.refresh(&third).await, 400, "invalid_grant").await;
}
