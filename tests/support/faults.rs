//! Faults of the system under a running agent: its calls fail as a failing disk's do.

use super::disk::root_line;
use super::{Child, Session};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// What this is asked to run as, to see that it is attached.
const ATTACHED: &str = "attached";

/// From its beginning to its end, system calls of a process fail.
#[derive(Debug)]
pub struct Fault(Option<Child>);

impl Fault {
    /// These calls (`fsync,fdatasync`) of the process fail with this error (`EIO`).
    pub fn inject(session: &Session, process: i32, calls: &str, error: &str) -> Self {
        let line = root_line(&[
            "strace",
            "-f",
            "-e",
            &format!("trace={calls}"),
            "-e",
            &format!("inject={calls}:error={error}"),
            "-p",
            &process.to_string(),
        ]);
        let mut command = session.command(&line[0]);
        let mut child = command.args(&line[1..]).stderr(Stdio::piped()).spawn().expect("strace");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let child = Child(child);
        let first = lines.next().expect("a line").expect("text");
        assert!(first.contains(ATTACHED), "strace needs root, or sudo without a password: {first}");
        // Read on, so that it is never stopped by a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self(Some(child))
    }

    /// Ends it; the process goes on.
    pub fn end(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // On this signal it lets go of the process, which `kill -9` would leave stopped.
        let pid = child.0.id().to_string();
        let _ = std::process::Command::new("kill").args(["-TERM", &pid]).status();
        let _ = child.0.wait();
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        self.stop();
    }
}
