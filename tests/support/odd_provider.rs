//! A provider that answers what a test writes down, to the byte. The test itself is its authorization endpoint.

use super::Session;
use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use url::Url;

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Got {
    /// GET or POST.
    pub method: String,
    /// Without a query.
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body, as a form.
    pub form: HashMap<String, String>,
}

/// What it answers to token requests, one after the other, the last one for good: type and body, with status 200.
type Answers = VecDeque<(&'static str, String)>;

/// The server. It ends with the test's process.
pub struct OddProvider {
    /// Where it is.
    pub at: String,
    got: Arc<Mutex<Vec<Got>>>,
}

impl OddProvider {
    /// A server that answers these to token requests, and this to userinfo.
    pub fn start(tokens: &[(&'static str, &str)], userinfo: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let at = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
        let got = Arc::new(Mutex::new(Vec::new()));
        let mut answers: Answers = tokens.iter().map(|(kind, body)| (*kind, (*body).to_owned())).collect();
        let (seen, userinfo) = (Arc::clone(&got), userinfo.to_owned());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that has gone away concerns nobody else.
                let _ = answer(stream, &mut answers, &userinfo, &seen);
            }
        });
        Self { at, got }
    }

    /// The requests to this path.
    pub fn got(&self, path: &str) -> Vec<Got> {
        let got = self.got.lock().expect("no test has panicked in between");
        got.iter().filter(|got| got.path == path).cloned().collect()
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

    /// Begins to sign in; returns what the browser would be sent with.
    pub fn begin(&self, session: &Session) -> HashMap<String, String> {
        let url = session.larder(&["sign-in", "odd", "--no-browser"]).ok();
        assert!(url.starts_with(&self.at), "{url}");
        Url::parse(&url).expect("a URL").query_pairs().into_owned().collect()
    }

    /// The browser's answer to that.
    pub fn redirect(query: &HashMap<String, String>) -> String {
        let mut redirect = Url::parse(&query["redirect_uri"]).expect("a URL");
        redirect.query_pairs_mut().append_pair("code", "a-code").append_pair("state", &query["state"]);
        redirect.into()
    }
}

fn answer(mut stream: TcpStream, answers: &mut Answers, userinfo: &str, got: &Mutex<Vec<Got>>) -> std::io::Result<()> {
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
    let (status, kind, body) = match path.as_str() {
        "/token" => {
            let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
            let (kind, body) = answer.expect("an answer");
            (200, kind, body)
        }
        "/userinfo" => (200, "application/json", userinfo.to_owned()),
        "/revoke" => (200, "application/json", "{}".to_owned()),
        _ => (404, "text/plain", "nothing".to_owned()),
    };
    got.lock().expect("no test has panicked in between").push(Got { method, path, headers, form });
    let head = format!("content-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    write!(stream, "HTTP/1.1 {status} X\r\n{head}\r\n{body}")
}
