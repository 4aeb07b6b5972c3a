//! A provider that answers what a test writes down, to the byte. The test itself is its authorization endpoint.

use super::Session;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use url::Url;

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Got {
    /// When.
    pub at: Instant,
    /// GET or POST.
    pub method: String,
    /// Without a query.
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body, as a form.
    pub form: HashMap<String, String>,
}

/// An answer, as it goes out.
#[derive(Clone, Debug)]
pub struct Odd {
    bytes: Vec<u8>,
    /// Byte by byte with so long between them, until whoever asked goes away.
    pause: Option<Duration>,
}

impl Odd {
    /// Whatever these bytes are.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), pause: None }
    }

    /// With this status, these lines of header fields, each ended, and this body.
    pub fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        Self::bytes([head.as_bytes(), headers.as_bytes(), b"\r\n", body].concat())
    }

    /// A body of this type, with status 200.
    pub fn of(kind: &str, body: impl AsRef<[u8]>) -> Self {
        Self::answer(200, &format!("content-type: {kind}\r\n"), body)
    }

    /// JSON, with status 200.
    pub fn json(body: impl AsRef<[u8]>) -> Self {
        Self::of("application/json", body)
    }

    /// To elsewhere, where there is one.
    pub fn redirect(status: u16, to: Option<&str>) -> Self {
        Self::answer(status, &to.map(|to| format!("location: {to}\r\n")).unwrap_or_default(), "")
    }

    /// The same, one byte at a time with so long between them.
    pub fn dripping(self, pause: Duration) -> Self {
        Self { pause: Some(pause), ..self }
    }

    fn write(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(pause) = self.pause else { return stream.write_all(&self.bytes) };
        for byte in &self.bytes {
            stream.write_all(&[*byte])?;
            std::thread::sleep(pause);
        }
        Ok(())
    }
}

/// What it answers to a path: one after the other, the last one for good.
type Answers = HashMap<String, VecDeque<Odd>>;

#[derive(Default)]
struct Books {
    got: Vec<Got>,
    answers: Answers,
}

/// The server. It ends with the test's process.
pub struct OddProvider {
    /// Where it is.
    pub at: String,
    books: Arc<Mutex<Books>>,
}

impl OddProvider {
    /// A server that answers these to token requests, and this to userinfo.
    pub fn start(tokens: &[(&'static str, &str)], userinfo: &str) -> Self {
        let provider = Self::at(("127.0.0.1", 0));
        provider.answers("/token", tokens.iter().map(|(kind, body)| Odd::of(kind, body)));
        provider.answers("/userinfo", [Odd::json(userinfo)]);
        provider
    }

    /// One that gives tokens, says who it was, and has metadata: an issuer that a test can make odd.
    pub fn issuer() -> Self {
        Self::issuer_at(("127.0.0.1", 0))
    }

    /// The same, at this address of this computer.
    pub fn issuer_at(address: impl ToSocketAddrs) -> Self {
        let provider = Self::at(address);
        provider.answers("/token", [Odd::json(tokens(1))]);
        provider.answers("/userinfo", [Odd::json(WHO)]);
        provider.publishes(json!({}));
        provider
    }

    fn at(address: impl ToSocketAddrs) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let at = format!("http://{}", listener.local_addr().expect("an address"));
        let books: Arc<Mutex<Books>> = Arc::default();
        let shared = Arc::clone(&books);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                // A client that has gone away concerns nobody else, nor one that is answered slowly.
                std::thread::spawn(move || answer(stream, &shared));
            }
        });
        let provider = Self { at, books };
        provider.answers("/revoke", [Odd::json("{}")]);
        provider
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on it answers these to this path, one after the other, the last one for good.
    pub fn answers(&self, path: &str, answers: impl IntoIterator<Item = Odd>) {
        self.books().answers.insert(path.to_owned(), answers.into_iter().collect());
    }

    /// Its metadata with these members besides or instead; null takes one away.
    pub fn metadata(&self, change: &Value) -> Value {
        let mut metadata = json!({ "issuer": self.at });
        for name in ["authorization", "token", "userinfo", "revocation"] {
            let path = if name == "authorization" {
                "authorize"
            } else if name == "revocation" {
                "revoke"
            } else {
                name
            };
            metadata[format!("{name}_endpoint")] = json!(format!("{}/{path}", self.at));
        }
        let object = metadata.as_object_mut().expect("an object");
        for (name, member) in change.as_object().expect("an object") {
            object.insert(name.clone(), member.clone());
        }
        object.retain(|_, member| !member.is_null());
        metadata
    }

    /// Publishes its metadata, changed so.
    pub fn publishes(&self, change: Value) {
        self.answers(WELL_KNOWN, [Odd::json(self.metadata(&change).to_string())]);
    }

    /// The requests to this path.
    pub fn got(&self, path: &str) -> Vec<Got> {
        self.books().got.iter().filter(|got| got.path == path).cloned().collect()
    }

    /// How many requests there were at all.
    pub fn asked(&self) -> usize {
        self.books().got.len()
    }

    /// Writes it down as this entry of the catalogue, which it stands in for.
    pub fn add(&self, session: &Session, entry: &str, more: &[&str]) {
        let endpoint = |name: &str| format!("{}/{name}", self.at);
        let (authorize, token, revoke, userinfo) =
            (endpoint("authorize"), endpoint("token"), endpoint("revoke"), endpoint("userinfo"));
        let arguments = [
            "providers",
            "add",
            "odd",
            "--catalogue",
            entry,
            "--client-id",
            "id",
            "--redirect",
            "deep-link",
            "--authorization-endpoint",
            &authorize,
            "--token-endpoint",
            &token,
            "--revocation-endpoint",
            &revoke,
            "--userinfo-endpoint",
            &userinfo,
        ];
        session.larder(&[&arguments[..], more].concat()).ok();
    }

    /// Writes it down as the issuer that it is.
    pub fn add_issuer(&self, session: &Session, more: &[&str]) {
        let arguments = ["providers", "add", "odd", "--issuer", &self.at, "--client-id", "id", "--scope", "a"];
        session.larder(&[&arguments[..], more].concat()).ok();
    }

    /// Begins to sign in; returns what the browser would be sent with.
    pub fn begin(&self, session: &Session) -> HashMap<String, String> {
        let url = session.larder(&["sign-in", "odd", "--no-browser"]).ok();
        assert!(url.starts_with(&self.at), "{url}");
        Url::parse(&url).expect("a URL").query_pairs().into_owned().collect()
    }

    /// Signs in.
    pub fn sign_in(&self, session: &Session) -> super::larder::Ran {
        let query = self.begin(session);
        session.larder_reads(&["callback"], &Self::redirect(&query))
    }

    /// The browser's answer to that.
    pub fn redirect(query: &HashMap<String, String>) -> String {
        let mut redirect = Url::parse(&query["redirect_uri"]).expect("a URL");
        redirect.query_pairs_mut().append_pair("code", "a-code").append_pair("state", &query["state"]);
        redirect.into()
    }
}

/// Where an issuer's metadata lies.
pub const WELL_KNOWN: &str = "/.well-known/openid-configuration";

const WHO: &str = r#"{"sub":"ada","name":"Ada Lovelace","email":"ada@example.com"}"#;

/// A token response as it should be, of this number.
pub fn tokens(number: usize) -> String {
    json!({
        "access_token": format!("access-{number}-of-ada"),
        "refresh_token": format!("refresh-{number}-of-ada"),
        "token_type": "Bearer",
        "expires_in": 3600,
    })
    .to_string()
}

fn answer(stream: TcpStream, books: &Mutex<Books>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default().to_owned();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let odd = {
        let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
        let odd = match books.answers.get_mut(&path) {
            Some(answers) if answers.len() > 1 => answers.pop_front(),
            Some(answers) => answers.front().cloned(),
            None => None,
        };
        books.got.push(Got { at: Instant::now(), method, path, headers, form });
        odd.unwrap_or_else(|| Odd::answer(404, "content-type: text/plain\r\n", "nothing"))
    };
    odd.write(stream)
}
