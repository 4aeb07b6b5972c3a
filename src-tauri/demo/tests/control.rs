//! The control interface: absent by default, and what it does where it was asked for.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

use larder_demo::Options;
use reqwest::StatusCode;
use serde_json::{Value, json};
use support::{Demo, assert_error, refresh_form};

#[tokio::test]
async fn without_control_there_is_nothing() {
    let demo = Demo::start(Options::default()).await;
    for path in [
        "/_demo/log",
        "/_demo/grants",
        "/_demo/behave",
        "/_demo/expire",
        "/_demo/advance",
        "/_demo/revoke_user",
        "/_demo",
    ] {
        assert_eq!(demo.get(demo.url(path)).await.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(demo.post(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn the_log_tells_requests_apart_and_holds_no_token() {
    let demo = Demo::controlled().await;
    let first = demo.sign_in("ada").await;
    let second: Value = demo.refresh(&first).await.json().await.unwrap();
    demo.refresh(&first).await;
    demo.revoke(&second["refresh_token"]).await;

    let log = demo.json("/_demo/log").await;
    for token in [&first["refresh_token"], &first["access_token"], &second["refresh_token"]] {
        assert!(!log.to_string().contains(token.as_str().unwrap()));
    }
    let log = log.as_array().unwrap();
    let token: Vec<_> = log.iter().filter(|seen| seen["path"] == "/token").collect();
    let outcomes: Vec<_> =
        token.iter().map(|seen| (seen["grant_type"].as_str().unwrap(), seen["outcome"].as_str().unwrap())).collect();
    let expected = [("authorization_code", "tokens"), ("refresh_token", "tokens"), ("refresh_token", "refresh_reused")];
    assert_eq!(outcomes, expected);
    // The same token has the same name wherever it turns up.
    assert_eq!(token[0]["refresh_token"], token[1]["presented"]);
    assert_eq!(token[1]["presented"], token[2]["presented"]);
    assert_eq!(token[0]["username"], "ada");
    let last = log.last().unwrap();
    assert_eq!((&last["path"], &last["outcome"]), (&"/revoke".into(), &"token_unknown".into()));
}

#[tokio::test]
async fn endpoints_misbehave_as_told_and_as_often() {
    let demo = Demo::controlled().await;
    let tokens = demo.sign_in("ada").await;
    let behave = |mode: Value| {
        let mut body = json!({ "endpoint": "token", "times": 1 });
        body.as_object_mut().unwrap().extend(mode.as_object().unwrap().clone());
        demo.control("/_demo/behave", body)
    };
    behave(json!({ "mode": "down", "retry_after": 7 })).await;
    let down = demo.refresh(&tokens).await;
    assert_eq!(
        (down.status(), &down.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"7".parse().unwrap())
    );
    behave(json!({ "mode": "rate_limited" })).await;
    assert_eq!(demo.refresh(&tokens).await.status(), StatusCode::TOO_MANY_REQUESTS);
    behave(json!({ "mode": "html" })).await;
    assert!(demo.refresh(&tokens).await.text().await.unwrap().starts_with("<!doctype html>"));
    behave(json!({ "mode": "error", "error": "invalid_client", "status": 401 })).await;
    assert_error(demo.refresh(&tokens).await, 401, "invalid_client").await;

    // None of these took the token.
    behave(json!({ "mode": "normal", "delay_ms": 1 })).await;
    let tokens: Value = demo.refresh(&tokens).await.json().await.unwrap();

    behave(json!({ "mode": "lost_answer" })).await;
    let lost = demo.http.post(demo.url("/token")).form(&refresh_form(&tokens)).send().await;
    assert!(lost.is_err());
    assert_error(demo.refresh(&tokens).await, 400, "invalid_grant").await;
    let log = demo.json("/_demo/log").await;
    let lost: Vec<_> = log.as_array().unwrap().iter().filter(|seen| seen["behaviour"] == "lost_answer").collect();
    assert_eq!((lost.len(), &lost[0]["outcome"]), (1, &"tokens".into()));
}

#[tokio::test]
async fn a_hanging_endpoint_is_seen_in_the_log_and_takes_nothing() {
    let demo = Demo::controlled().await;
    let tokens = demo.sign_in("ada").await;
    demo.control("/_demo/behave", json!({ "endpoint": "token", "mode": "hang", "times": 1 })).await;
    let seen = async {
        loop {
            let log = demo.json("/_demo/log").await;
            if log.as_array().unwrap().iter().any(|seen| seen["behaviour"] == "hang" && seen.get("status").is_none()) {
                return;
            }
        }
    };
    tokio::select! {
        _ = demo.refresh(&tokens) => panic!("it answered"),
        () = seen => {}
    }
    assert_eq!(demo.refresh(&tokens).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn terms_clock_and_grants_are_steered() {
    let demo = Demo::controlled().await;
    demo.control("/_demo/expire", json!({ "access_lifetime": 50 })).await;
    let ada = demo.sign_in("ada").await;
    assert_eq!(ada["expires_in"], 50);
    demo.sign_in("grace").await;
    let grants = demo.json("/_demo/grants").await;
    let expected = json!({ "username": "ada", "refresh_live": true, "access_live": 1 });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&grants[0][name], value, "{name}");
    }
    demo.control("/_demo/advance", json!({ "seconds": 50 })).await;
    assert_eq!(demo.userinfo(&ada).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(demo.json("/_demo/grants").await[0]["access_live"], 0);

    demo.control("/_demo/expire", json!({ "rotate": false, "refresh_ends_access": true })).await;
    let second: Value = demo.refresh(&ada).await.json().await.unwrap();
    assert!(second.get("refresh_token").is_none());
    let third: Value = demo.refresh(&ada).await.json().await.unwrap();
    assert_eq!(demo.userinfo(&second).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(demo.userinfo(&third).await.status(), StatusCode::OK);

    demo.control("/_demo/revoke_user", json!({ "username": "ada" })).await;
    assert_eq!(demo.userinfo(&third).await.status(), StatusCode::UNAUTHORIZED);
    assert_error(demo.refresh(&ada).await, 400, "invalid_grant").await;
    assert_eq!(demo.json("/_demo/grants").await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_web_page_cannot_steer() {
    let demo = Demo::controlled().await;
    let request = demo.http.post(demo.url("/_demo/expire")).header("origin", "https://example.com");
    assert_eq!(request.json(&json!({})).send().await.unwrap().status(), StatusCode::FORBIDDEN);
}
