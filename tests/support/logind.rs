//! A system bus of the session's own, and a logind on it that puts the machine to sleep when it is told to.

use super::session::first_line;
use super::{Child, PATIENCE, Session, support};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The system bus. An agent that begins after it finds it.
#[derive(Debug)]
pub struct SystemBus {
    _bus: Child,
}

impl SystemBus {
    /// Without anybody on it.
    pub fn start(session: &mut Session) -> Self {
        let (session_bus, system_bus) = (session.home().join("bus"), session.home().join("system"));
        let config = std::fs::read_to_string(session.home().join("bus.conf")).expect("bus.conf");
        let file = session.home().join("system.conf");
        let config = config.replace(&session_bus.display().to_string(), &system_bus.display().to_string());
        std::fs::write(&file, config).expect("system.conf");
        session.set("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}", system_bus.display()));
        let mut bus = session
            .command("dbus-daemon")
            .arg(format!("--config-file={}", file.display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        first_line(bus.stdout.take().expect("piped"));
        Self { _bus: Child(bus) }
    }
}

/// systemd-logind, as far as sleep goes.
#[derive(Debug)]
pub struct Logind {
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<Value>,
    child: Child,
}

impl Logind {
    /// One that gives locks.
    pub fn start(session: &Session) -> Self {
        Self::with(session, &[])
    }

    /// One that refuses every lock, as a policy may.
    pub fn that_denies(session: &Session) -> Self {
        Self::with(session, &["--deny"])
    }

    fn with(session: &Session, arguments: &[&str]) -> Self {
        let mut command = session.command(support("logind"));
        let mut child =
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tests/support/logind");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let logind = Self { stdin: child.stdin.take(), lines, child: Child(child) };
        logind.wait("ready");
        logind
    }

    /// The next line that says this.
    #[track_caller]
    pub fn wait(&self, what: &str) -> Value {
        self.says_within(what, PATIENCE).unwrap_or_else(|| panic!("waited in vain for {what}"))
    }

    /// The next line that says this, if it comes in time.
    pub fn says_within(&self, what: &str, patience: Duration) -> Option<Value> {
        let until = Instant::now() + patience;
        loop {
            let line = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            if line.get(what).is_some() {
                return Some(line);
            }
        }
    }

    /// `suspend`, `announce` or `resume`.
    pub fn tell(&mut self, word: &str) {
        let stdin = self.stdin.as_mut().expect("it runs");
        writeln!(stdin, "{word}").expect("it listens");
    }

    /// The bus sees it go.
    pub fn stop(mut self) {
        drop(self.stdin.take());
        let _ = self.child.0.wait();
    }
}
