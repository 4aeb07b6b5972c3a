//! The loopback redirect (RFC 8252 section 7.3): a listener on this computer's own address, open only while a sign-in waits.

use crate::agent::{Message, Peer};
use crate::pages::{self, Page};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderValue, LOCATION,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use larder_core::problem::Problem;
use larder_core::protocol::{self, OnWire};
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use url::{Host, Url};

/// Who connects and says nothing, or slowly, is let go after this.
const HEADER_PATIENCE: Duration = Duration::from_secs(10);

/// The page waits so long for how the sign-in ended, before it says that Larder goes on.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// Where the browser is sent when the sign-in has ended: a page whose address holds no code, so that none stays in the
/// address bar or in the history (RFC 8252 section 8.10, RFC 9700 section 4.3.1 know what becomes of it there).
const ENDED: &str = "/ended";

/// How long the listener stays after the sign-in's end, for the browser to fetch that page.
const LAST_PAGE: Duration = Duration::from_secs(5);

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
        let (listener, other) = listen(wanted, name == "localhost").await.map_err(taken)?;
        let port = listener.local_addr().map_err(taken)?.port();
        let authority = format!("{name}:{port}");
        let redirect_uri = format!("http://{authority}{}", uri.path());
        let serving = Arc::new(Serving {
            authority,
            redirect_uri: redirect_uri.clone(),
            path: uri.path().to_owned(),
            outbox,
            ended: OnceLock::new(),
        });
        let mut tasks = JoinSet::new();
        if let Some(other) = other {
            tasks.spawn(serve(other, Arc::clone(&serving)));
        }
        tasks.spawn(serve(listener, serving));
        Ok(Self { redirect_uri, tasks })
    }

    /// Lets the last page reach the browser, then closes.
    pub fn close_soon(mut self) {
        tokio::spawn(async move {
            tokio::time::sleep(LAST_PAGE).await;
            self.tasks.abort_all();
        });
    }
}

/// Listens at `wanted`, and where the redirect has a name at the other family's address too: a browser may take it for that
/// one, and who has that port there would get the code. A machine may have no such address.
async fn listen(wanted: SocketAddr, named: bool) -> io::Result<(TcpListener, Option<TcpListener>)> {
    /// A port of the system's choice may be somebody else's there; the next one is most likely not.
    const TRIES: usize = 16;
    let mut tries = 0;
    loop {
        let listener = TcpListener::bind(wanted).await?;
        if !named {
            return Ok((listener, None));
        }
        let other = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), listener.local_addr()?.port());
        match TcpListener::bind(other).await {
            Ok(other) => return Ok((listener, Some(other))),
            Err(error) if error.kind() != io::ErrorKind::AddrInUse => return Ok((listener, None)),
            Err(error) if wanted.port() != 0 || tries == TRIES => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

struct Serving {
    authority: String,
    redirect_uri: String,
    path: String,
    outbox: mpsc::Sender<Message>,
    /// How the sign-in ended, for the page that says so.
    ended: OnceLock<Ended>,
}

enum Ended {
    SignedIn {
        account: String,
    },
    Failed {
        sentence: String,
    },
    /// Not within [`END_PATIENCE`].
    GoesOn,
}

impl Ended {
    fn page(&self) -> Page<'_> {
        match self {
            Self::SignedIn { account } => Page::SignedIn { account },
            Self::Failed { sentence } => Page::Failed { sentence },
            Self::GoesOn => Page::GoesOn,
        }
    }
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
    let get = request.method() == Method::GET;
    if get && request.uri().path() == serving.path && !query.is_empty() {
        return Ok(redirected(query, language, &serving).await);
    }
    match serving.ended.get().filter(|_| get && request.uri().path() == ENDED) {
        Some(ended) => Ok(page(StatusCode::OK, &pages::write(language, ended.page()))),
        None => Ok(page(StatusCode::NOT_FOUND, &pages::write(language, Page::Nothing))),
    }
}

/// Hands the provider's answer over, and sends the browser to the page that says what came of it.
async fn redirected(query: &str, language: &str, serving: &Serving) -> Response<Full<Bytes>> {
    let (reply, answered) = oneshot::channel();
    let url = OnWire::new(format!("{}?{query}", serving.redirect_uri));
    let message = Message::Request {
        peer: Peer { connection: 0, process: None, program: None },
        request: protocol::Request::Callback { url, activation_token: None },
        reply,
    };
    if serving.outbox.send(message).await.is_err() {
        return page(StatusCode::SERVICE_UNAVAILABLE, &pages::write(language, Page::Nothing));
    }
    let ended = match tokio::time::timeout(END_PATIENCE, answered).await {
        Ok(Ok(Ok(protocol::Answer::Account(account)))) => Ended::SignedIn { account: account.label },
        // Not the answer that the sign-in waits for; it goes on waiting.
        Ok(Ok(Err(Problem::UnknownCallback | Problem::BadCallback { .. }))) => {
            return page(StatusCode::BAD_REQUEST, &pages::write(language, Page::Nothing));
        }
        Ok(Ok(Err(problem))) => Ended::Failed { sentence: larder_core::words::sentence(&problem) },
        Ok(Ok(Ok(_)) | Err(_)) | Err(_) => Ended::GoesOn,
    };
    // The first answer is the one that counts: the code works once.
    let _ = serving.ended.set(ended);
    let mut response = page(StatusCode::SEE_OTHER, "");
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(ENDED));
    response
}

fn page(status: StatusCode, html: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(html.to_owned())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"));
    // The address that leads here holds the code; nothing that it could lead to may learn it.
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    response
}
