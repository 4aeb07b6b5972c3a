//! A resource server: it takes Basic and Bearer, asks the authorization server about each token, and notes what came.

use super::PATIENCE;
use base64::Engine;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request with a token.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Behind the `?`.
    pub query: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
    /// `Basic`, `Bearer` or nothing.
    pub scheme: String,
    /// The user name beside the token (Basic).
    pub user: String,
    /// The token.
    pub token: String,
    /// What it was answered.
    pub status: u16,
}

/// Status, headers and body.
pub type Answered = (u16, Vec<(String, String)>, Vec<u8>);

/// What is noted, and which tokens are refused although they are good.
#[derive(Default)]
struct Books {
    seen: Vec<Asked>,
    refused: Vec<String>,
}

/// The server. It ends with the test's process.
pub struct Resource {
    /// Where it is, without a slash at the end.
    pub at: String,
    books: Arc<Mutex<Books>>,
}

impl Resource {
    /// Whoever has a good token of this issuer is answered so; everybody else is challenged with these, each a header.
    pub fn start(
        issuer: &str,
        challenges: &[&str],
        answer: impl Fn(&Asked) -> Answered + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let at = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
        let books: Arc<Mutex<Books>> = Arc::default();
        let challenges: Vec<String> = challenges.iter().map(|text| (*text).to_owned()).collect();
        let server = Arc::new(Server { issuer: issuer.to_owned(), challenges, books: Arc::clone(&books), answer });
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&server);
                // A client that has gone away concerns nobody else.
                std::thread::spawn(move || server.serve(stream));
            }
        });
        Self { at, books }
    }

    /// One that says the same to everybody with a good token.
    pub fn saying(issuer: &str, text: &'static str) -> Self {
        Self::start(issuer, &["Bearer"], move |_| (200, Vec::new(), text.as_bytes().to_vec()))
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.at.trim_start_matches("http://")
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Asked> {
        self.books.lock().expect("no test has panicked in between").seen.clone()
    }

    /// From now on this token is answered 401, as one that was revoked.
    pub fn refuse(&self, token: &str) {
        self.books.lock().expect("no test has panicked in between").refused.push(token.to_owned());
    }
}

struct Server<A> {
    issuer: String,
    challenges: Vec<String>,
    books: Arc<Mutex<Books>>,
    answer: A,
}

impl<A: Fn(&Asked) -> Answered> Server<A> {
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream.try_clone().ok()?);
        let mut asked = read(&mut lines, &stream)?;
        let good = !asked.token.is_empty() && !self.is_refused(&asked.token) && self.is_known(&asked.token);
        let (status, headers, body) = if good {
            (self.answer)(&asked)
        } else {
            let challenges = self.challenges.iter().map(|text| ("WWW-Authenticate".to_owned(), text.clone())).collect();
            (401, challenges, Vec::new())
        };
        asked.status = status;
        self.books.lock().ok()?.seen.push(asked);
        let mut out = stream;
        write!(out, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n", body.len()).ok()?;
        headers.iter().try_for_each(|(name, value)| write!(out, "{name}: {value}\r\n")).ok()?;
        out.write_all(b"\r\n").and_then(|()| out.write_all(&body)).ok()
    }

    fn is_refused(&self, token: &str) -> bool {
        self.books.lock().is_ok_and(|books| books.refused.iter().any(|refused| refused == token))
    }

    fn is_known(&self, token: &str) -> bool {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent: ureq::Agent = config.proxy(None).build().into();
        let request = agent.get(format!("{}/userinfo", self.issuer)).header("Authorization", format!("Bearer {token}"));
        request.call().is_ok_and(|answer| answer.status().as_u16() == 200)
    }
}

fn read(lines: &mut BufReader<TcpStream>, mut out: &TcpStream) -> Option<Asked> {
    let mut line = String::new();
    lines.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut asked = Asked { method, path: path.to_owned(), query: query.to_owned(), ..Asked::default() };
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    if asked.headers.get("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
    }
    if asked.headers.get("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        loop {
            let mut size = String::new();
            lines.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            lines.read_exact(&mut chunk).ok()?;
            asked.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else {
        let length = asked.headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        asked.body = vec![0; length];
        lines.read_exact(&mut asked.body).ok()?;
    }
    if let Some((scheme, rest)) = asked.headers.get("authorization").and_then(|value| value.split_once(' ')) {
        asked.scheme = scheme.to_owned();
        if scheme == "Basic" {
            let plain = base64::prelude::BASE64_STANDARD.decode(rest).ok()?;
            let plain = String::from_utf8(plain).ok()?;
            let (user, password) = plain.split_once(':')?;
            (asked.user, asked.token) = (user.to_owned(), password.to_owned());
        } else {
            asked.token = rest.to_owned();
        }
    }
    Some(asked)
}
