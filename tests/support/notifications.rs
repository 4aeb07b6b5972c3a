//! The desktop's notifications, and the clicks on them.

use super::{Child, PATIENCE, Session, support};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What shows them. An app that begins after it finds it.
#[derive(Debug)]
pub struct Notifications {
    stdin: ChildStdin,
    lines: mpsc::Receiver<Value>,
    _child: Child,
}

/// One that is shown.
#[derive(Debug)]
pub struct Notification {
    number: u64,
    /// Its title.
    pub title: String,
    /// What stands beneath.
    pub body: String,
    /// What it can be clicked for: key and label.
    pub actions: Vec<(String, String)>,
}

impl Notifications {
    /// With nothing on the screen yet.
    pub fn start(session: &Session) -> Self {
        let mut command = session.command(support("notification-daemon"));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tests/support/notification-daemon");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        let stdin = child.stdin.take().expect("piped");
        let notifications = Self { stdin, lines, _child: Child(child) };
        notifications.next("ready", PATIENCE).expect("it listens");
        notifications
    }

    fn next(&self, what: &str, patience: Duration) -> Option<Value> {
        let until = Instant::now() + patience;
        loop {
            let line = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            if line.get(what).is_some() {
                return Some(line);
            }
        }
    }

    /// The next one that is shown.
    #[track_caller]
    pub fn shown(&self) -> Notification {
        let Some(line) = self.next("shown", PATIENCE) else { panic!("waited in vain for a notification") };
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let actions = line["actions"].as_array().expect("a list");
        Notification {
            number: line["shown"].as_u64().expect("a number"),
            title: text(&line["title"]),
            body: text(&line["body"]),
            actions: actions.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
        }
    }

    /// Waits until it is taken back by its program.
    #[track_caller]
    pub fn taken_back(&self, notification: &Notification) {
        let closed = self.next("closed", PATIENCE).and_then(|line| line["closed"].as_u64());
        assert_eq!(closed, Some(notification.number), "{notification:?}");
    }

    /// Clicks what has this label.
    #[track_caller]
    pub fn click(&mut self, notification: &Notification, label: &str) {
        let found = notification.actions.iter().rfind(|(_, known)| known == label);
        let Some((key, _)) = found else { panic!("there is no {label}: {notification:?}") };
        let key = key.clone();
        self.invoke(notification, &key);
    }

    /// Says that this was clicked, whether or not there is such a thing.
    pub fn invoke(&mut self, notification: &Notification, key: &str) {
        writeln!(self.stdin, "invoke {} {key}", notification.number).expect("it listens");
    }

    /// Says the same as any other program can that is no such daemon.
    pub fn forge(&self, session: &Session, notification: &Notification, key: &str) {
        let path = "/org/freedesktop/Notifications";
        let signal = "org.freedesktop.Notifications.ActionInvoked";
        let number = format!("uint32 {}", notification.number);
        session.ran("gdbus", &["emit", "--session", "--object-path", path, "--signal", signal, &number, key]);
    }
}
