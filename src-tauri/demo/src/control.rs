//! The control interface of tests, `/_demo/…`. Its routes do not exist unless it was asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::observe::{Behaviour, MAX_DELAY, Watch, observe};
use crate::user::User;

/// What the handlers share.
type Control = (Arc<App>, Arc<Watch>);

/// The server's routes under observation, and the control interface beside them.
pub(crate) fn watched(router: Router, app: &Arc<App>) -> Router {
    let control: Control = (Arc::clone(app), Arc::default());
    let routes = Router::new()
        .route("/_demo/log", get(log))
        .route("/_demo/grants", get(grants))
        .route("/_demo/behave", post(behave))
        .route("/_demo/expire", post(expire))
        .route("/_demo/advance", post(advance))
        .route("/_demo/revoke_user", post(revoke_user))
        .with_state(control.clone())
        .route_layer(middleware::from_fn(no_web_page));
    router.layer(middleware::from_fn_with_state(control, observe)).merge(routes)
}

/// A web page in some browser has no business here. Browsers name the page in Origin on every POST it makes.
async fn no_web_page(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

/// GET: the requests seen, oldest first.
async fn log(State((_, watch)): State<Control>) -> Json<Value> {
    Json(watch.log())
}

/// GET: the live families.
async fn grants(State((app, _)): State<Control>) -> Json<Value> {
    let now = app.now();
    Json(json!(app.grants(|grants| grants.shown(now))))
}

/// POST: how an endpoint behaves from now on.
async fn behave(State((_, watch)): State<Control>, Json(behaviour): Json<Behaviour>) -> Response {
    if behaviour.delay_ms > MAX_DELAY {
        return (StatusCode::BAD_REQUEST, format!("delay_ms is {MAX_DELAY} at most\n")).into_response();
    }
    watch.behave(behaviour);
    Json(json!({})).into_response()
}

/// New terms for tokens given from now on; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTerms {
    access_lifetime: Option<u64>,
    refresh_lifetime: Option<u64>,
    rotate: Option<bool>,
    refresh_ends_access: Option<bool>,
    reuse_leeway: Option<u64>,
}

/// POST: sets the terms.
async fn expire(State((app, _)): State<Control>, Json(new): Json<NewTerms>) -> Json<Value> {
    app.set_terms(|terms| {
        terms.access_lifetime = new.access_lifetime.map_or(terms.access_lifetime, Duration::from_secs);
        terms.refresh_lifetime = new.refresh_lifetime.map_or(terms.refresh_lifetime, Duration::from_secs);
        terms.rotate = new.rotate.unwrap_or(terms.rotate);
        terms.refresh_ends_access = new.refresh_ends_access.unwrap_or(terms.refresh_ends_access);
        terms.reuse_leeway = new.reuse_leeway.map_or(terms.reuse_leeway, Duration::from_secs);
    });
    Json(json!({}))
}

/// By how much the server's clock is moved ahead.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ahead {
    seconds: u64,
}

/// POST: moves the clock.
async fn advance(State((app, _)): State<Control>, Json(ahead): Json<Ahead>) -> Json<Value> {
    app.clock.advance(Duration::from_secs(ahead.seconds));
    Json(json!({ "now_ms": app.now() }))
}

/// Whose grants end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Whose {
    username: String,
}

/// POST: as if the person had removed the client at the provider.
async fn revoke_user(State((app, _)): State<Control>, Json(whose): Json<Whose>) -> Response {
    let username = User::typed(&whose.username).map(|user| user.username).unwrap_or_default();
    let ended = app.grants(|grants| grants.end_user(&username));
    match app.save().await {
        Ok(()) => Json(json!({ "ended": ended })).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
