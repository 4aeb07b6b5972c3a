//! HTTP as the token endpoint's client needs it: bounded, no redirects followed, no body in an error.

use crate::client_auth::Authenticator;
use crate::clock::Clock;
use crate::dpop::{Again, Complaint, DpopKey, Nonces};
use crate::settings::Settings;
use crate::token_endpoint::Client;
use larder_core::problem::Problem;
use larder_core::protocol::OnWire;
use larder_core::time::WallTime;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use url::Url;

/// A whole request, body included. Providers answer within a second; one that needs 30 is down.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connecting alone: a host that does not answer is to be noticed before its person wonders.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes. Token responses and metadata take a few kilobytes, large JWKS a few dozen.
const MOST_BODY: usize = 1024 * 1024;

/// Larder's HTTP client.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    /// For this computer's own addresses, which no proxy has any business with.
    direct: reqwest::Client,
    nonces: Arc<Nonces>,
}

/// An answer, read whole. Its Debug does not show the body, which may hold tokens.
pub struct Response {
    /// RFC 9110 section 15.
    pub status: u16,
    /// `Retry-After`, as a waiting time.
    pub retry_after: Option<Duration>,
    /// All header fields.
    pub headers: reqwest::header::HeaderMap,
    /// At most [`MOST_BODY`] bytes.
    pub body: zeroize::Zeroizing<Vec<u8>>,
}

impl Response {
    /// The body as JSON, whatever type it says that it has: servers that write none write the right thing.
    ///
    /// # Errors
    /// Where it is none, or another. The error may hold parts of the body.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(without_mark(&self.body))
    }
}

/// JSON without the mark that some editors and frameworks put before it (RFC 8259 section 8.1 lets a reader ignore it).
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}

/// No answer came. It says which host, never which URL: a query may hold what must not be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no answer from {host}")]
pub struct NoAnswer {
    /// Host and port.
    pub host: String,
    /// Whether the request may have been received all the same.
    pub sent: bool,
}

impl From<NoAnswer> for Problem {
    fn from(error: NoAnswer) -> Self {
        Self::Unreachable { host: error.host }
    }
}

impl Http {
    /// A client with the system's trust store and proxy, and what the person's settings add.
    ///
    /// # Errors
    /// [`Problem::BadConfig`] where proxy or certificates cannot be used as they are written down.
    pub fn new(settings: &Settings, file: &Path) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::BadConfig { file: file.display().to_string(), line: 1, detail };
        let mut authorities = Vec::new();
        if let Some(path) = &settings.ca_file {
            let pem =
                std::fs::read(path).map_err(|error| bad(format!("ca_file {}: {}", path.display(), error.kind())))?;
            authorities = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|_| bad(format!("ca_file {} holds no PEM certificates", path.display())))?;
        }
        let proxy = settings
            .proxy
            .as_ref()
            .map(|proxy| reqwest::Proxy::all(proxy).map_err(|_| bad("proxy is not a URL".to_owned())))
            .transpose()?;
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("Larder/", env!("CARGO_PKG_VERSION")))
                // A redirected token request would carry the refresh token to wherever it points.
                .redirect(Policy::none())
                .connect_timeout(CONNECT_PATIENCE)
                .timeout(PATIENCE)
                .tls_certs_merge(authorities.clone())
        };
        let failed = |_| Problem::Internal { detail: "HTTPS cannot be set up".to_owned() };
        let through = match proxy {
            Some(proxy) => builder().proxy(proxy),
            None => builder(),
        };
        Ok(Self {
            client: through.build().map_err(failed)?,
            direct: builder().no_proxy().build().map_err(failed)?,
            nonces: Arc::default(),
        })
    }

    /// GET, with a bearer token where one is given.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn get(&self, url: &Url, bearer: Option<&OnWire>) -> Result<Response, NoAnswer> {
        let mut request = self.for_host(url).get(url.clone()).header("accept", "application/json");
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer.expose());
        }
        self.send(request, url).await
    }

    /// GET of which the body is left unread: what answers may be a stream without an end.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn knock(&self, url: &Url) -> Result<(u16, reqwest::header::HeaderMap), NoAnswer> {
        let request = self.for_host(url).get(url.clone()).header("accept", "application/json, text/event-stream");
        let response = request.send().await.map_err(|error| NoAnswer { host: host(url), sent: !error.is_connect() })?;
        Ok((response.status().as_u16(), response.headers().clone()))
    }

    /// A request about a client's registration (RFC 7591, RFC 7592), with JSON where there is some.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn manage(
        &self,
        method: reqwest::Method,
        url: &Url,
        bearer: Option<&str>,
        json: Option<Vec<u8>>,
    ) -> Result<Response, NoAnswer> {
        let mut request = self.for_host(url).request(method, url.clone()).header("accept", "application/json");
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        if let Some(json) = json {
            request = request.header("content-type", "application/json").body(json);
        }
        self.send(request, url).await
    }

    /// GET, with a token that is bound to a key, and its proof (RFC 9449 section 7.1).
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn get_proven(&self, url: &Url, token: &OnWire, proof: &OnWire) -> Result<Response, NoAnswer> {
        let authorization = zeroize::Zeroizing::new(format!("{} {}", crate::dpop::TOKEN_TYPE, token.expose()));
        // What cannot stand in a header was not sent.
        let mut authorization =
            HeaderValue::from_str(&authorization).map_err(|_| NoAnswer { host: host(url), sent: false })?;
        authorization.set_sensitive(true);
        let request = self.for_host(url).get(url.clone()).header("accept", "application/json");
        self.send(request.header("authorization", authorization).header("dpop", proof.expose()), url).await
    }

    /// What servers want in the proofs to come.
    pub fn nonces(&self) -> &Nonces {
        &self.nonces
    }

    /// POST of a form.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn post_form(
        &self,
        url: &Url,
        body: String,
        credentials: Option<(&str, &secrecy::SecretString)>,
    ) -> Result<Response, NoAnswer> {
        let mut request = self
            .for_host(url)
            .post(url.clone())
            .header("accept", "application/json")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        if let Some((client, secret)) = credentials {
            // RFC 6749 section 2.3.1: both are form-encoded before they go into the header.
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            request = request.basic_auth(encode(client), Some(encode(secret.expose_secret())));
        }
        self.send(request, url).await
    }

    /// A request of a provider's own kind for what its bearer is, with headers that it demands.
    ///
    /// # Errors
    /// [`NoAnswer`].
    pub async fn ask(
        &self,
        post: bool,
        url: &Url,
        bearer: &OnWire,
        headers: &BTreeMap<String, String>,
    ) -> Result<Response, NoAnswer> {
        let client = self.for_host(url);
        let request = if post { client.post(url.clone()) } else { client.get(url.clone()) };
        let request = request.header("accept", "application/json").bearer_auth(bearer.expose());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        self.send(request, url).await
    }

    fn for_host(&self, url: &Url) -> &reqwest::Client {
        if is_loopback(url) { &self.direct } else { &self.client }
    }

    async fn send(&self, request: reqwest::RequestBuilder, url: &Url) -> Result<Response, NoAnswer> {
        let no_answer = || NoAnswer { host: host(url), sent: true };
        // Only what failed to connect was certainly not received.
        let mut response =
            request.send().await.map_err(|error| NoAnswer { sent: !error.is_connect(), ..no_answer() })?;
        let mut body = zeroize::Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(|_| no_answer())? {
            if body.len() + chunk.len() > MOST_BODY {
                return Err(no_answer());
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers().clone();
        Ok(Response { status: response.status().as_u16(), retry_after: retry_after(&headers), headers, body })
    }
}

/// One request in the shape that `oauth2` asks for; it remembers what `oauth2` does not pass on.
///
/// Whatever `oauth2` sends goes out with an assertion of its own where the client proves itself with one, and with a
/// proof of the tokens' key where there is one. It goes out again where a server wants another proof (RFC 9449 section 8).
pub struct Call<'a> {
    http: &'a Http,
    clock: &'a dyn Clock,
    client: Authenticator<'a>,
    key: Mutex<Option<DpopKey>>,
    seen: Seen,
}

impl<'a> Call<'a> {
    /// A request through this HTTP client, as this client.
    ///
    /// # Errors
    /// As [`Authenticator::new`].
    pub fn new(http: &'a Http, clock: &'a dyn Clock, asks: Client<'a>) -> Result<Self, Problem> {
        let client = Authenticator::new(asks.endpoints, asks.secret, asks.provider)?;
        Ok(Self { http, clock, client, key: Mutex::new(asks.dpop.cloned()), seen: Seen::default() })
    }

    /// What the answer said beside its body.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The key that was proved: the one it was given, or one that the server made it draw.
    pub fn key(&self) -> Option<DpopKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A form with a new assertion, and a proof for it.
    fn proven(&self, form: &[u8], method: &str, url: &Url) -> Result<(Vec<u8>, Option<OnWire>), Problem> {
        let now = self.clock.now().wall;
        let mut form = form.to_vec();
        if let Some(fields) = self.client.assertion(now)? {
            let mut more = url::form_urlencoded::Serializer::new(String::new());
            more.extend_pairs(fields.iter().map(|(name, value)| (name, value.expose_secret())));
            form.push(b'&');
            form.extend_from_slice(more.finish().as_bytes());
        }
        let nonce = self.http.nonces.of(url);
        let prove = |key: DpopKey| key.prove(method, url, now, nonce.as_deref(), None);
        Ok((form, self.key().map(prove).transpose()?))
    }
}

impl<'c> oauth2::AsyncHttpClient<'c> for Call<'_> {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let (parts, form) = request.into_parts();
            let url = Url::parse(&parts.uri.to_string()).map_err(|_| NoAnswer { host: String::new(), sent: false })?;
            let unsent = |_| NoAnswer { host: host(&url), sent: false };
            let mut again = Again::default();
            loop {
                let (form, proof) = self.proven(&form, parts.method.as_str(), &url).map_err(unsent)?;
                let client = self.http.for_host(&url);
                let mut request = client.request(parts.method.clone(), url.clone()).headers(parts.headers.clone());
                if let Some(proof) = proof {
                    request = request.header("dpop", proof.expose());
                }
                let response = self.http.send(request.body(form), &url).await?;
                self.http.nonces.learn(&url, &response.headers);
                let complaint = Complaint::of(&response);
                if again
                    .after(complaint, &mut self.key.lock().unwrap_or_else(PoisonError::into_inner))
                    .map_err(unsent)?
                {
                    continue;
                }
                self.seen.note(&response);
                return Ok(crate::token_response::straighten(response));
            }
        })
    }
}

/// What an answer said beside its body.
#[derive(Debug, Default)]
pub struct Seen(Mutex<Beside>);

#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    status: u16,
    retry_after: Option<Duration>,
    date: Option<WallTime>,
    page: bool,
}

impl Seen {
    fn note(&self, response: &Response) {
        let Response { status, retry_after, .. } = *response;
        let (date, page) = (date(&response.headers), is_page(&response.body));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Beside { status, retry_after, date, page };
    }

    fn beside(&self) -> Beside {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status, 0 where there was no answer, and what `Retry-After` said.
    pub fn last(&self) -> (u16, Option<Duration>) {
        let Beside { status, retry_after, .. } = self.beside();
        (status, retry_after)
    }

    /// Whether the body was one for people.
    pub fn is_page(&self) -> bool {
        self.beside().page
    }

    /// What the server's clock said, to the second.
    pub fn server_clock(&self) -> Option<WallTime> {
        self.beside().date
    }
}

/// Whether a body begins as HTML or XML does, whatever type it says that it has.
fn is_page(body: &[u8]) -> bool {
    without_mark(body).trim_ascii_start().starts_with(b"<")
}

/// RFC 9110 section 6.6.1.
fn date(headers: &reqwest::header::HeaderMap) -> Option<WallTime> {
    let date = httpdate::parse_http_date(headers.get("date")?.to_str().ok()?).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(WallTime(larder_core::time::millis(since)))
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // The provider's own clock says how far away that is; ours may be wrong.
    let sent = headers.get("date").and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok())?;
    date.duration_since(sent).ok()
}

/// Host and port, for people.
pub fn host(url: &Url) -> String {
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => url.scheme().to_owned(),
    }
}

/// Whether a URL is this computer's own: the literal addresses, and the one name that the system keeps for them.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Parses an endpoint: https, or http to this computer's own addresses, without a fragment or a user name.
///
/// # Errors
/// [`Problem::NotLoopback`], [`Problem::BadProvider`].
pub fn endpoint(provider: &str, field: &str, text: &str) -> Result<Url, Problem> {
    let bad = |detail: &str| Problem::BadProvider {
        provider: provider.to_owned(),
        field: field.to_owned(),
        detail: detail.to_owned(),
    };
    let url = Url::parse(text).map_err(|_| bad("it is not a URL"))?;
    if url.host().is_none() {
        return Err(bad("it names no host"));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(Problem::NotLoopback { field: field.to_owned(), url: text.to_owned() }),
        _ => return Err(bad("it must be an https URL")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold a user name"));
    }
    if url.fragment().is_some() {
        return Err(bad("it must not hold a fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderMap, HeaderValue};

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_by_the_providers_own_clock() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("120"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
        headers.insert("retry-after", HeaderValue::from_static("Tue, 24 Nov 2026 08:02:00 GMT"));
        headers.insert("date", HeaderValue::from_static("Tue, 24 Nov 2026 08:00:00 GMT"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(120)));
        headers.insert("retry-after", HeaderValue::from_static("soon"));
        assert_eq!(retry_after(&headers), None);
    }

    #[test]
    fn plain_http_is_for_this_computer_alone() {
        for good in ["https://id.example", "http://127.0.0.1:4747/token", "http://[::1]/x", "http://localhost:1/"] {
            assert!(endpoint("p", "token_endpoint", good).is_ok(), "{good}");
        }
        for bad in ["http://id.example", "http://127.0.0.1.evil.example", "http://10.0.0.1/"] {
            assert!(matches!(endpoint("p", "token_endpoint", bad), Err(Problem::NotLoopback { .. })), "{bad}");
        }
        for bad in
            ["file:///etc/passwd", "javascript:alert(1)", "--help", "https://u:p@id.example", "https://h/#f", "data:,x"]
        {
            assert!(matches!(endpoint("p", "issuer", bad), Err(Problem::BadProvider { .. })), "{bad}");
        }
    }
}
