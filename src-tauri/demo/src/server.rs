//! The listening server: how it starts, what it listens on, how it ends.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tower::ServiceExt as _;

use crate::app::{App, Terms};
use crate::control;
use crate::grants::Grants;
use crate::observe::NoAnswer;
use crate::signing::SigningKey;
use crate::store::StateFile;
use crate::{authorize, device, metadata, revoke, token, userinfo};

/// The one client: public (RFC 6749 2.1), as every app on a person's computer is.
pub const CLIENT_ID: &str = "larder-desktop";

/// The client's redirect by deep link. Beside it stands `http://127.0.0.1:ANY PORT/callback` (RFC 8252 7.3).
pub const DEEP_LINK: &str = "dev.larder.desktop:/callback";

/// The largest body that is read. Forms here have a few hundred bytes; behaviours to be set a few hundred more.
pub(crate) const MAX_BODY: usize = 64 * 1024;

/// Connections at a time: more than a browser and a busy test suite open together, fewer than the usual limit of open
/// files.
const MAX_CONNECTIONS: usize = 256;

/// How long a connection may be idle or take over its headers. Longer than clients keep idle connections for a next
/// request on the same page; bounded, so that forgotten ones do not fill [`MAX_CONNECTIONS`].
const HEADER_TIMEOUT: Duration = Duration::from_secs(120);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 takes a free one.
    pub port: u16,
    /// How long access tokens are good.
    pub access_lifetime: Duration,
    /// How long refresh tokens are good; a rotated one counts anew.
    pub refresh_lifetime: Duration,
    /// Where grants and signing key are kept, so that a restart on the same port ends nobody's session. Nowhere by
    /// default.
    pub state: Option<PathBuf>,
    /// Serves `/_demo/…`, by which tests steer and watch. Anybody on this computer could use it, hence off by default.
    pub control: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 0,
            access_lifetime: Duration::from_secs(60),
            refresh_lifetime: Duration::from_secs(30 * 24 * 60 * 60),
            state: None,
            control: false,
        }
    }
}

/// A running server. It ends when this is dropped; [`Server::stop`] also waits until the port is free.
#[derive(Debug)]
pub struct Server {
    app: Arc<App>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// Starts to listen on 127.0.0.1. Has to be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the port is taken, the state file cannot be read or written, or the system gives no randomness.
    pub async fn start(options: Options) -> io::Result<Self> {
        // The port first: where it is taken, that is the answer, and no key needs to be made.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let address = listener.local_addr()?;

        let file = options.state.as_deref().map(StateFile::at);
        let kept = file.as_ref().map(StateFile::read).transpose()?.flatten();
        let (key, grants) = match kept {
            Some(kept) => kept,
            None => (SigningKey::generate()?, Grants::default()),
        };
        let terms = Terms {
            access_lifetime: options.access_lifetime,
            refresh_lifetime: options.refresh_lifetime,
            rotate: true,
            refresh_ends_access: false,
            reuse_leeway: Duration::ZERO,
        };
        let app = Arc::new(App::new(format!("http://{address}"), terms, key, grants, file));
        // At once, so that the key is kept, and a file that cannot be written is known before anybody signs in.
        app.save().await?;

        let accepting = tokio::spawn(accept(listener, router(&app, options.control)));
        Ok(Self { app, accepting })
    }

    /// The issuer, which is also where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.app.issuer
    }

    /// The client that may sign people in here: [`CLIENT_ID`].
    #[must_use]
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Moves the server's clock ahead, so that a test need not wait for an expiry.
    pub fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
    }

    /// Ends the server and all its connections, and returns when the port is free again.
    pub async fn stop(mut self) {
        self.accepting.abort();
        // The error is the abort itself.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn router(app: &Arc<App>, controlled: bool) -> Router {
    let mut router = Router::new()
        .route("/", get(metadata::front))
        .route("/style.css", get(metadata::style))
        .route("/.well-known/openid-configuration", get(metadata::discovery))
        .route("/.well-known/oauth-authorization-server", get(metadata::discovery))
        .route("/jwks", get(metadata::jwks))
        .route("/authorize", get(authorize::authorize))
        .route("/login", post(authorize::login))
        .route("/consent", post(authorize::consent))
        .route("/device_authorization", post(device::authorization))
        .route("/device", get(device::page).post(device::entered))
        .route("/token", post(token::token))
        .route("/revoke", post(revoke::revoke))
        .route("/userinfo", get(userinfo::userinfo).post(userinfo::userinfo))
        .with_state(Arc::clone(app));
    if controlled {
        router = control::watched(router, app);
    }
    router.layer(DefaultBodyLimit::max(MAX_BODY)).layer(middleware::from_fn_with_state(Arc::clone(app), own_host))
}

/// Refuses requests that were addressed to another name: a web page whose name was made to point at 127.0.0.1 (DNS
/// rebinding) could otherwise read these pages as its own.
async fn own_host(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let authority = app.issuer.strip_prefix("http://").unwrap_or_default();
    if host == authority { next.run(request).await } else { StatusCode::MISDIRECTED_REQUEST.into_response() }
}

async fn accept(listener: TcpListener, router: Router) {
    /// Pause after a refused accept (no file descriptors left), so that it does not turn into a busy loop.
    const PAUSE: Duration = Duration::from_millis(50);

    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        match listener.accept().await {
            Ok((stream, _)) => drop(connections.spawn(serve(stream, router.clone()))),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, router: Router) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let router = router.clone();
        async move {
            let Ok(answer) = router.oneshot(request.map(Body::new)).await;
            // An error makes hyper close the connection without a word, which is what a lost answer looks like.
            match answer.extensions().get::<NoAnswer>() {
                Some(lost) => Err(*lost),
                None => Ok(answer),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    // Its errors are those of one client: gone, or speaking no HTTP. Nobody else is concerned.
    let _ = connection.await;
}
