//! TLS for servers that programs do not talk to without it.

use super::session::first_line;
use super::{Child, Session, support};
use std::path::PathBuf;
use std::process::Stdio;

/// A certificate for `localhost`, signed by itself, and its key, in the session's home.
pub fn certificate(session: &Session) -> (PathBuf, PathBuf) {
    let (certificate, key) = (session.home().join("localhost.pem"), session.home().join("localhost.key"));
    let (out, keyout) = (certificate.display().to_string(), key.display().to_string());
    let names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-out", &out, "-keyout", &keyout];
    session.ran("openssl", &[&request[..], &names].concat());
    (certificate, key)
}

/// TLS before a port of this computer. It ends with its test.
pub struct TlsFront {
    /// Where it is.
    pub port: u16,
    /// What it proves itself with.
    pub certificate: PathBuf,
    _child: Child,
}

impl TlsFront {
    /// Before this port.
    pub fn start(session: &Session, port: u16) -> Self {
        let (certificate, key) = certificate(session);
        let mut command = session.command(support("tls-front"));
        command.arg(&certificate).arg(key).arg(port.to_string()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("tls-front");
        let port = first_line(child.stdout.take().expect("piped")).trim().parse().expect("a port");
        Self { port, certificate, _child: Child(child) }
    }
}
