//! oidc-agent, which Larder is measured against, with one account signed in.
//!
//! The server that it signs in to is the least that it accepts: the demonstration's has no confidential client, which
//! oidc-agent needs. It is asked once, before anything is measured; `oidc-token` asks the agent alone.

use super::support::{Child, PATIENCE, Session};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// As long as the demonstration's.
const TOKEN: &str = "NmM0ZTk1ZDAtYjM4Yi00YzY2LWFhYjQtZjA0ZTVhZTk0";

/// The account's name.
const ACCOUNT: &str = "work";

/// A running oidc-agent. It ends with this.
pub struct Peer {
    socket: String,
    _agent: Child,
}

impl Peer {
    /// Starts it, and signs in.
    pub fn start(session: &Session) -> Self {
        let issuer = serve();
        let socket = session.home().join("oidc-agent.sock").display().to_string();
        let agent = session
            .command("oidc-agent")
            .args(["--console", "--quiet", "--no-autoload", "-t", "0", "-a", &socket])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("oidc-agent: `.ci/packages bench`");
        let peer = Self { socket, _agent: Child(agent) };
        session.wait_for("oidc-agent", || std::path::Path::new(&peer.socket).exists());
        std::fs::create_dir_all(session.home().join(".oidc-agent")).expect("a folder");
        let port = free_port();
        let redirect = format!("http://localhost:{port}");
        let mut generate = session.command("oidc-gen");
        generate
            .args([ACCOUNT, "-m", "--issuer", &issuer, "--client-id", "bench", "--client-secret", "bench"])
            .args(["--redirect-uri", &redirect, "--scope", "openid offline_access", "--flow", "code"])
            .args(["--no-url-call", "--pw-cmd", "echo pw", "--prompt", "none"])
            .env("OIDC_SOCK", &peer.socket)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut generate = generate.spawn().expect("oidc-gen");
        let (sender, said) = std::sync::mpsc::channel();
        for pipe in [read_lines(generate.stdout.take()), read_lines(generate.stderr.take())] {
            let sender = sender.clone();
            std::thread::spawn(move || pipe.for_each(|line| drop(sender.send(line))));
        }
        drop(sender);
        let mut all = Vec::new();
        let mut opened = false;
        while let Ok(line) = said.recv_timeout(PATIENCE) {
            if let Some(at) = line.find(&format!("{issuer}/authorize?")).filter(|_| !opened) {
                opened = true;
                let redirect = location(line[at..].split_whitespace().next().unwrap_or_default());
                get(&redirect);
            }
            all.push(line);
        }
        let status = generate.wait().expect("it ends");
        assert!(status.success(), "oidc-gen: {}", all.join("\n"));
        peer
    }

    /// `oidc-token` for the account.
    pub fn token_command(&self, session: &Session) -> Command {
        let mut command = session.command("oidc-token");
        command.arg(ACCOUNT).env("OIDC_SOCK", &self.socket);
        command
    }
}

fn read_lines(pipe: Option<impl Read + Send + 'static>) -> Box<dyn Iterator<Item = String> + Send> {
    Box::new(BufReader::new(pipe.expect("piped")).lines().map_while(Result::ok))
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a port").port()
}

/// Serves discovery, an authorization that asks nobody, and tokens, until the process ends. Returns the issuer.
fn serve() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let issuer = format!("http://127.0.0.1:{}", listener.local_addr().expect("an address").port());
    let own = issuer.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = answer(stream, &own);
        }
    });
    issuer
}

fn answer(mut stream: TcpStream, issuer: &str) -> std::io::Result<()> {
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
    reader.read_exact(&mut vec![0; length])?;
    let target = first.split(' ').nth(1).unwrap_or_default();
    let url = url::Url::parse(&format!("{issuer}{target}")).map_err(std::io::Error::other)?;
    let (status, header, body) = match url.path() {
        "/.well-known/openid-configuration" => ("200 OK", String::new(), metadata(issuer)),
        "/authorize" => {
            let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
            let of = |name: &str| query.get(name).map_or("", String::as_str);
            let to = format!("location: {}?code=code&state={}\r\n", of("redirect_uri"), of("state"));
            ("302 Found", to, String::new())
        }
        "/token" => ("200 OK", String::new(), tokens()),
        _ => ("404 Not Found", String::new(), String::new()),
    };
    let head = format!("content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
    write!(stream, "HTTP/1.1 {status}\r\n{header}{head}\r\n{body}")
}

fn metadata(issuer: &str) -> String {
    serde_json::json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "scopes_supported": ["openid", "offline_access"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic"],
    })
    .to_string()
}

fn tokens() -> String {
    serde_json::json!({
        "access_token": TOKEN,
        "token_type": "Bearer",
        "expires_in": 3600,
        "refresh_token": "a-refresh-token-that-is-never-used",
        "scope": "openid offline_access",
    })
    .to_string()
}

/// Where this page redirects to.
fn location(page: &str) -> String {
    let answer = get(page);
    let line = answer.lines().find_map(|line| line.strip_prefix("location: ")).expect("a redirect");
    line.trim().to_owned()
}

/// GET, by hand, so that a redirect is seen. oidc-agent may be a moment late to listen.
fn get(page: &str) -> String {
    let url = url::Url::parse(page).expect("a URL");
    let address = ("127.0.0.1", url.port().expect("a port"));
    let until = Instant::now() + PATIENCE;
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(error) if Instant::now() >= until => panic!("{page}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let target = &url[url::Position::BeforePath..];
    write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    // What listens there may close without a word once it has the code.
    let _ = stream.read_to_string(&mut answer);
    answer
}
