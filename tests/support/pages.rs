//! A server of a few pages that a test wrote: a protected resource, or an authorization server with a mistake in it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A page: how it is answered.
#[derive(Clone, Debug)]
pub struct Page {
    status: u16,
    header: String,
    body: String,
}

impl Page {
    /// A document.
    pub fn json(body: Value) -> Self {
        Self::answer(200, body)
    }

    /// A document, with another status.
    pub fn answer(status: u16, body: Value) -> Self {
        Self { status, header: String::new(), body: body.to_string() }
    }

    /// What a protected resource answers to whoever brings no token.
    pub fn challenge(value: &str) -> Self {
        Self { status: 401, header: format!("www-authenticate: {value}\r\n"), body: String::new() }
    }

    /// A redirect.
    pub fn redirect(to: &str) -> Self {
        Self { status: 302, header: format!("location: {to}\r\n"), body: String::new() }
    }
}

/// The server. It ends with the test's process.
#[derive(Debug)]
pub struct Pages {
    /// Its origin.
    pub origin: String,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Pages {
    /// A server with these pages, by their paths; all others are not found.
    pub fn start<P: Into<String>>(pages: impl FnOnce(&str) -> Vec<(P, Page)>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let pages: BTreeMap<String, Page> =
            pages(&origin).into_iter().map(|(path, page)| (path.into(), page)).collect();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(stream, &pages, &log);
            }
        });
        Self { origin, seen }
    }

    /// The bodies of what came so far with this method to this path.
    pub fn seen(&self, request: &str) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|(known, _)| known == request).map(|(_, body)| body.clone()).collect()
    }

    /// Every request that came so far: method and path.
    pub fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|(request, _)| request.clone()).collect()
    }
}

fn answer(
    mut stream: TcpStream,
    pages: &BTreeMap<String, Page>,
    seen: &Mutex<Vec<(String, String)>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push((format!("{method} {path}"), body));
    let missing = Page { status: 404, header: String::new(), body: String::new() };
    let Page { status, header, body } = pages.get(path).unwrap_or(&missing);
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    write!(stream, "HTTP/1.1 {status} -\r\n{header}{head}\r\n{body}")
}
