//! The loopback redirect (RFC 8252 section 7.3): a listener on this computer's own address, open only while a sign-in waits.

use crate::agent::{Message, Peer};
use crate::pages::{self, Page};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use larder_core::problem::Problem;
use larder_core::protocol::{self, OnWire};
use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use url::{Host, Url};

/// Who connects and says nothing, or slowly, is let go after this.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);

/// The page waits so long for how the sign-in ended, before it says that Larder goes on.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// Connections at once: a browser opens a few (preconnect, favicon), a port scan more.
const MOST: usize = 32;

/// A listener. It closes when this is dropped.
pub struct Loopback {
    /// What the provider is told: the address with its port.
    pub redirect_uri: String,
    tasks: JoinSet<()>,
}

impl Loopback {
    /// Listens where `uri` says; on a port of the system's choice where it names none.
    ///
    /// # Errors
    /// [`Problem::PortTaken`], at once.
    pub async fn open(uri: &Url, outbox: mpsc::Sender<Message>) -> Result<Self, Problem> {
        let (address, name) = match uri.host() {
            Some(Host::Ipv4(address)) => (IpAddr::V4(address), address.to_string()),
            Some(Host::Ipv6(address)) => (IpAddr::V6(address), format!("[{address}]")),
            // Some providers know this name alone. It is bound as the literal, so that no resolver has a say.
            _ => (IpAddr::V4(Ipv4Addr::LOCALHOST), "localhost".to_owned()),
        };
        let taken = |error: std::io::Error| Problem::PortTaken {
            address: format!("{name}:{}", uri.port().unwrap_or_default()),
            detail: error.kind().to_string(),
        };
        let wanted = SocketAddr::new(address, uri.port().unwrap_or_default());
        let listener = TcpListener::bind(wanted).await.map_err(taken)?;
        let port = listener.local_addr().map_err(taken)?.port();
        let authority = format!("{name}:{port}");
        let redirect_uri = format!("http://{authority}{}", uri.path());
        let serving =
            Arc::new(Serving { authority, redirect_uri: redirect_uri.clone(), path: uri.path().to_owned(), outbox });
        let mut tasks = JoinSet::new();
        // A browser may take the name for the other family's address.
        if name == "localhost"
            && let Ok(other) = TcpListener::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port)).await
        {
            tasks.spawn(serve(other, Arc::clone(&serving)));
        }
        tasks.spawn(serve(listener, serving));
        Ok(Self { redirect_uri, tasks })
    }

    /// Lets pages that are being written reach the browser, then closes.
    pub fn close_soon(mut self) {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            self.tasks.abort_all();
        });
    }
}

struct Serving {
    authority: String,
    redirect_uri: String,
    path: String,
    outbox: mpsc::Sender<Message>,
}

async fn serve(listener: TcpListener, serving: Arc<Serving>) {
    let places = Arc::new(Semaphore::new(MOST));
    // Connections end with the listener.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let serving = Arc::clone(&serving);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&serving)));
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new())
                .header_read_timeout(HEADER_PATIENCE)
                .keep_alive(false)
                .max_buf_size(protocol::MOST_CALLBACK + 8 * 1024);
            // A connection that breaks is the browser's affair.
            let _ = http.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>, serving: Arc<Serving>) -> Result<Response<Full<Bytes>>, Infallible> {
    let language = request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let language = pages::language(language);
    // A page from elsewhere that reaches this address under a name of its own gets nothing.
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    if host != Some(serving.authority.as_str()) {
        return Ok(page(StatusCode::MISDIRECTED_REQUEST, &pages::write(language, Page::Nothing)));
    }
    let query = request.uri().query().unwrap_or_default();
    let redirect = request.method() == Method::GET && request.uri().path() == serving.path && !query.is_empty();
    if !redirect {
        return Ok(page(StatusCode::NOT_FOUND, &pages::write(language, Page::Nothing)));
    }
    let (reply, answered) = oneshot::channel();
    let url = OnWire::new(format!("{}?{query}", serving.redirect_uri));
    let message = Message::Request {
        peer: Peer { connection: 0, program: None },
        request: protocol::Request::Callback { url, activation_token: None },
        reply,
    };
    if serving.outbox.send(message).await.is_err() {
        return Ok(page(StatusCode::SERVICE_UNAVAILABLE, &pages::write(language, Page::Nothing)));
    }
    let (status, text) = match tokio::time::timeout(END_PATIENCE, answered).await {
        Ok(Ok(Ok(protocol::Answer::Account(account)))) => {
            (StatusCode::OK, pages::write(language, Page::SignedIn { account: &account.label }))
        }
        Ok(Ok(Err(Problem::UnknownCallback | Problem::BadCallback { .. }))) => {
            (StatusCode::BAD_REQUEST, pages::write(language, Page::Nothing))
        }
        Ok(Ok(Err(problem))) => {
            let sentence = larder_core::words::sentence(&problem);
            (StatusCode::OK, pages::write(language, Page::Failed { sentence: &sentence }))
        }
        Ok(Ok(Ok(_)) | Err(_)) | Err(_) => (StatusCode::OK, pages::write(language, Page::GoesOn)),
    };
    Ok(page(status, &text))
}

fn page(status: StatusCode, html: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(html.to_owned())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"));
    // The address of this page holds the code; nothing that it could lead to may learn it.
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}
