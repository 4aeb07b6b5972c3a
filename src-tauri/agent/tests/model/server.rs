//! An authorization server on an address of its own of this computer's: strict, rotating, and it notices reuse. It writes down
//! all that it was asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Access tokens live so long, in milliseconds.
pub const LIFETIME: i64 = 3_600_000;

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Net {
    /// As it should.
    Up,
    /// Nothing listens.
    Refused,
    /// It does what it is asked, and the connection ends before the answer.
    Lost,
    /// 503, and nothing is done.
    Busy,
    /// A network's own page answers, with 200; the server hears nothing.
    Portal,
    /// It does what it is asked to refresh, and the answer waits until the test lets it go.
    Slow,
}

/// A session, as the server knows it.
#[derive(Debug)]
pub struct Session {
    pub subject: String,
    /// The refresh token that is good, by number; those before it are spent.
    pub current: usize,
    /// How often each refresh token came in.
    pub came: HashMap<usize, u32>,
    /// Whether the agent is known to have received the answer to this one.
    pub received: HashMap<usize, bool>,
    /// Access tokens by number, with the true time at which each ends.
    pub access: Vec<i64>,
    /// Why it is over.
    pub over: Option<&'static str>,
    /// Its person signs out: nothing may be refreshed any more.
    pub leaving: bool,
    in_flight: u32,
}

/// What the server knows.
#[derive(Debug, Default)]
pub struct Record {
    pub sessions: Vec<Session>,
    codes: HashMap<String, (String, String)>,
    /// Promises that were broken.
    pub broken: Vec<String>,
    /// All requests.
    pub requests: u64,
    /// Those that were hurt by a fault.
    pub hurt: u64,
    pub refreshes: u64,
    pub revocations: u64,
    /// The true time, in milliseconds.
    pub now: i64,
    /// Connections of which the request has not come yet, and those that are being answered.
    reading: u32,
    active: u32,
    pub held: u32,
    releases: u64,
    net: Option<Net>,
}

struct Shared {
    record: Mutex<Record>,
    changed: Condvar,
}

pub struct Server {
    shared: Arc<Shared>,
    pub address: SocketAddr,
    accepting: Option<std::thread::JoinHandle<()>>,
}

static NEXT: AtomicU16 = AtomicU16::new(1);

impl Server {
    pub fn start() -> Self {
        // An address that nobody else has, so that the port stays free while nothing listens.
        let [high, low] = NEXT.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        let process = u8::try_from(std::process::id() % 200).unwrap_or_default() + 20;
        let listener = TcpListener::bind((Ipv4Addr::new(127, process, high, low), 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            record: Mutex::new(Record { net: Some(Net::Up), ..Record::default() }),
            changed: Condvar::new(),
        });
        let mut server = Self { shared, address, accepting: None };
        server.accept(listener);
        server
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.record.lock().unwrap()
    }

    pub fn net(&self) -> Net {
        self.record().net.unwrap()
    }

    pub fn set(&mut self, net: Net) {
        let before = self.record().net.replace(net).unwrap();
        if net == Net::Refused && before != Net::Refused {
            // Wakes the thread, which then ends and with it the listener.
            drop(TcpStream::connect(self.address));
            self.accepting.take().unwrap().join().unwrap();
        } else if net != Net::Refused && before == Net::Refused {
            self.accept(TcpListener::bind(self.address).unwrap());
        }
        if net != Net::Slow {
            self.release();
        }
    }

    /// Lets go of the answers that wait.
    pub fn release(&self) {
        self.record().releases += 1;
        self.shared.changed.notify_all();
        let mut record = self.record();
        while record.held > 0 {
            record = self.shared.changed.wait(record).unwrap();
        }
    }

    /// Returns when all requests that have come in are answered, or held, and says whether no other is on its way.
    pub fn rest(&self) -> bool {
        if self.net() != Net::Refused {
            let mut ping = TcpStream::connect(self.address).unwrap();
            ping.write_all(b"PING / HTTP/1.1\r\n\r\n").unwrap();
            ping.read_to_end(&mut Vec::new()).unwrap();
        }
        let mut record = self.record();
        while record.active > record.held {
            record = self.shared.changed.wait(record).unwrap();
        }
        record.reading == 0
    }

    /// What happens in the browser: this person signs in, and consents.
    pub fn consent(&self, subject: &str, challenge: &str) -> String {
        let mut record = self.record();
        let code = format!("code.{}", record.codes.len());
        record.codes.insert(code.clone(), (subject.to_owned(), challenge.to_owned()));
        code
    }

    /// The session and number of a token of ours.
    pub fn parse(token: &str) -> Option<(usize, usize)> {
        let mut parts = token.split('.').skip(1);
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    fn accept(&mut self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        self.accepting = Some(std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut record = shared.record.lock().unwrap();
                if record.net == Some(Net::Refused) {
                    return;
                }
                record.reading += 1;
                drop(record);
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    if let Ok(stream) = stream {
                        shared.serve(stream);
                    }
                });
            }
        }));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.set(Net::Refused);
    }
}

impl Shared {
    fn serve(&self, mut stream: TcpStream) {
        let request = read(&mut stream);
        let mut record = self.record.lock().unwrap();
        record.reading -= 1;
        let Some((line, authorization, body)) = request.filter(|(line, ..)| !line.starts_with("PING")) else { return };
        let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        record.active += 1;
        record.requests += 1;
        let net = record.net.unwrap();
        record.hurt += u64::from(net != Net::Up);
        let answer = match net {
            Net::Busy => (503, "{\"error\":\"temporarily_unavailable\"}".to_owned()),
            Net::Portal => (200, "<html><title>Welcome to the hotel</title></html>".to_owned()),
            _ => record.answer(&line, &authorization, &form),
        };
        let refreshing = session(&form);
        if net == Net::Slow && refreshing.is_some() {
            record.held += 1;
            let releases = record.releases;
            // Held counts as active too: those who wait for the rest must look again.
            self.changed.notify_all();
            while record.releases == releases {
                record = self.changed.wait(record).unwrap();
            }
            record.held -= 1;
        }
        if let Some(session) = refreshing.filter(|_| !matches!(net, Net::Busy | Net::Portal)) {
            record.sessions[session].in_flight -= 1;
        }
        drop(record);
        if net != Net::Lost {
            let (status, body) = answer;
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncache-control: no-store\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
        drop(stream);
        self.record.lock().unwrap().active -= 1;
        self.changed.notify_all();
    }
}

/// Of which session this is a refresh.
fn session(form: &HashMap<String, String>) -> Option<usize> {
    let refreshes = form.get("grant_type").is_some_and(|grant| grant == "refresh_token");
    refreshes.then(|| Server::parse(form.get("refresh_token")?)).flatten().map(|(session, _)| session)
}

fn read(stream: &mut TcpStream) -> Option<(String, String, String)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| {
                let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
                line.map(|line| line[name.len()..].trim().to_owned()).unwrap_or_default()
            };
            if body.len() >= header("content-length:").parse().unwrap_or(0) {
                let first = head.lines().next().unwrap_or_default().to_owned();
                return Some((first, header("authorization:"), body.to_owned()));
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
}

impl Record {
    fn answer(&mut self, line: &str, authorization: &str, form: &HashMap<String, String>) -> (u16, String) {
        let refused = |error: &str| (400, format!("{{\"error\":\"{error}\"}}"));
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        if line.starts_with("POST /token") && field("grant_type") == "authorization_code" {
            // RFC 6749 section 4.1.2: once. RFC 7636 section 4.6: only to whoever asked for it.
            let Some((subject, challenge)) = self.codes.remove(&field("code")) else { return refused("invalid_grant") };
            if URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))) != challenge {
                self.broken.push("a code came with another verifier".to_owned());
                return refused("invalid_grant");
            }
            self.sessions.push(Session {
                subject,
                current: 0,
                came: HashMap::new(),
                received: HashMap::new(),
                access: Vec::new(),
                over: None,
                leaving: false,
                in_flight: 0,
            });
            return self.grant(self.sessions.len() - 1);
        }
        if line.starts_with("POST /token") {
            return self.refresh(&field("refresh_token"));
        }
        if line.starts_with("POST /revoke") {
            self.revocations += 1;
            // RFC 7009 section 2.1: with any refresh token of it, the whole session.
            if let Some((session, _)) = Server::parse(&field("token")).filter(|_| field("token").starts_with("r.")) {
                self.sessions[session].over.get_or_insert("revoked");
            }
            return (200, String::new());
        }
        let bearer = authorization.trim_start_matches("Bearer ");
        match Server::parse(bearer) {
            Some((session, _)) if self.accepts(bearer).is_ok() => {
                let subject = &self.sessions[session].subject;
                (200, format!("{{\"sub\":\"{subject}\",\"name\":\"{subject}\"}}"))
            }
            _ => (401, "{}".to_owned()),
        }
    }

    fn refresh(&mut self, token: &str) -> (u16, String) {
        self.refreshes += 1;
        let Some((session, number)) = Server::parse(token) else {
            self.broken.push(format!("a refresh token that was never given: {token}"));
            return (400, "{\"error\":\"invalid_grant\"}".to_owned());
        };
        let found = &mut self.sessions[session];
        found.in_flight += 1;
        *found.came.entry(number).or_default() += 1;
        if found.in_flight > 1 {
            self.broken.push(format!("two refreshes of session {session} at once"));
        }
        if found.leaving {
            self.broken.push(format!("session {session} was refreshed after its sign-out began"));
        }
        if found.received.get(&number) == Some(&true) {
            self.broken.push(format!("{token} was sent again after its answer had been received"));
        }
        if number != found.current {
            // Whoever has it stole it, or lost the answer: it cannot be told.
            found.over.get_or_insert("reuse");
        }
        if found.over.is_some() {
            return (400, "{\"error\":\"invalid_grant\"}".to_owned());
        }
        found.current += 1;
        self.grant(session)
    }

    fn grant(&mut self, session: usize) -> (u16, String) {
        let ends = self.now + LIFETIME;
        let found = &mut self.sessions[session];
        found.access.push(ends);
        let (access, refresh) = (found.access.len() - 1, found.current);
        let body = format!(
            "{{\"access_token\":\"a.{session}.{access}\",\"refresh_token\":\"r.{session}.{refresh}\",\"token_type\":\"Bearer\",\"expires_in\":{}}}",
            LIFETIME / 1000
        );
        (200, body)
    }

    /// Whether a resource server accepts this token now, and of which session it is.
    pub fn accepts(&self, token: &str) -> Result<usize, String> {
        let (session, number) = Server::parse(token).ok_or_else(|| format!("{token} is none of ours"))?;
        let found = self.sessions.get(session).ok_or_else(|| format!("{token} is of no session"))?;
        match (found.over, found.access.get(number)) {
            (Some(why), _) => Err(format!("{token}: the session is over, {why}")),
            (None, Some(ends)) if *ends > self.now => Ok(session),
            (None, _) => Err(format!("{token} has ended")),
        }
    }
}
