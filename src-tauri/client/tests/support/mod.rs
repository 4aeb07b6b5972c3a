//! A profile in a temporary folder, and an agent that says what a test tells it to.

use larder_client::Profile;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A profile of its own, gone with the test.
pub struct Home {
    pub profile: Profile,
    folder: PathBuf,
}

impl Home {
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("larder-client-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let home = folder.clone().into_os_string();
        let profile = Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone())).unwrap();
        Self { profile, folder }
    }

    pub fn listen(&self) -> UnixListener {
        fs::create_dir_all(&self.profile.run).unwrap();
        let socket = self.profile.socket().unwrap();
        let _ = fs::remove_file(&socket);
        UnixListener::bind(socket).unwrap()
    }

    /// A program to be started as the agent.
    pub fn program(&self, script: &str) -> PathBuf {
        let path = self.folder.join("agent");
        // Written by a process of its own: a file that another test's child inherits open for writing cannot be
        // executed ("text file busy").
        let written = Command::new("/bin/sh")
            .args(["-c", "printf '%s' \"$1\" > \"$0\""])
            .arg(&path)
            .arg(format!("#!/bin/sh\n{script}\n"))
            .status();
        assert!(written.unwrap().success());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// A pipe with a name, for a script to say that it has come so far.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The agent's end of one connection.
pub struct Peer {
    lines: BufReader<UnixStream>,
}

impl Peer {
    pub fn accept(listener: &UnixListener) -> Self {
        Self { lines: BufReader::new(listener.accept().unwrap().0) }
    }

    /// Accepts, and answers the Hello as an agent of version `build`.
    pub fn greet(listener: &UnixListener, build: &str) -> Self {
        let mut peer = Self::accept(listener);
        assert!(peer.expect("hello").contains(r#""protocol":1"#));
        peer.answer(1, &format!(r#"{{"is":"hello","protocol":1,"build":"{build}","profile":"/p","pid":7}}"#));
        peer
    }

    /// The next request, which must be `kind`; the line.
    pub fn expect(&mut self, kind: &str) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        assert!(line.contains(&format!(r#""do":"{kind}""#)), "expected {kind}, got {line}");
        line
    }

    /// Waits for the client to go.
    pub fn expect_end(&mut self) {
        let mut line = String::new();
        assert_eq!(self.lines.read_line(&mut line).unwrap(), 0, "{line}");
    }

    pub fn answer(&mut self, id: u64, answer: &str) {
        self.say(&format!("{{\"id\":{id},\"answer\":{answer}}}\n"));
    }

    /// Bytes as they stand.
    pub fn say(&mut self, text: &str) {
        self.lines.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// As [`Peer::say`], to a client that may hang up before the end.
    pub fn try_say(&mut self, text: &str) {
        let _ = self.lines.get_mut().write_all(text.as_bytes());
    }
}
