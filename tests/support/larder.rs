//! The `larder` command, as a person or a script runs it.

use super::{Child, PATIENCE, Provider, Session, program};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};
use std::sync::mpsc;

/// What a command came to.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code.
    pub code: i32,
    /// What it answered.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
}

impl Ran {
    /// Of a command that has ended.
    pub fn new(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// The answer of a command that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout.trim_end().to_owned()
    }

    /// The sentence of a command that must fail with this code, and say nothing on stdout.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "{self:?}");
        self.stderr.trim_end().to_owned()
    }
}

impl Session {
    /// Runs `larder`.
    pub fn larder(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(program("larder")).args(arguments).output().expect("larder"))
    }

    /// Runs `larder` with this on its stdin.
    pub fn larder_reads(&self, arguments: &[&str], text: &str) -> Ran {
        let mut command = self.command(program("larder"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("larder");
        child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
        Ran::new(child.wait_with_output().expect("larder"))
    }

    /// Writes the provider down under this name.
    pub fn add(&self, name: &str, provider: &Provider) {
        let scopes = ["openid", "profile", "email", "offline_access"];
        let mut arguments =
            vec!["providers", "add", name, "--issuer", &provider.issuer, "--client-id", "larder-desktop"];
        scopes.iter().for_each(|scope| arguments.extend(["--scope", scope]));
        self.larder(&arguments).ok();
    }

    /// A session in which Ada is signed in as `work`, with tokens that live so many seconds.
    pub fn signed_in(access_lifetime: u32) -> (Self, Provider) {
        let session = Self::new();
        let provider = Provider::start(&session, access_lifetime);
        session.add("work", &provider);
        session.sign_in("work", "ada");
        (session, provider)
    }

    /// Signs `user` in, with the redirect handed over by hand.
    pub fn sign_in(&self, provider: &str, user: &str) -> String {
        let url = self.larder(&["sign-in", provider, "--no-browser"]).ok();
        let redirect = self.browse(&url, user, "allow");
        self.larder_reads(&["callback"], &redirect).ok()
    }

    /// The account as `larder accounts --json` shows it.
    #[track_caller]
    pub fn account(&self, label: &str) -> Value {
        let accounts: Value = serde_json::from_str(&self.larder(&["accounts", "--json"]).ok()).expect("JSON");
        let accounts = accounts.as_array().or_else(|| accounts["accounts"].as_array()).expect("a list").clone();
        accounts.into_iter().find(|account| account["label"] == label).unwrap_or_else(|| panic!("no account {label}"))
    }

    /// Follows what happens, from now on.
    pub fn events(&self) -> Events {
        let mut command = self.command(program("larder"));
        command.args(["events", "--follow", "--json", "--limit", "1000"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("larder");
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Events { lines, _child: Child(child) }
    }

    /// Stops the agent, and waits until it has.
    pub fn stop_agent(&self) {
        self.larder(&["agent", "--stop"]).ok();
    }

    /// An agent that ends at this failpoint as `kill -9` would.
    pub fn agent_that_ends_at(&self, point: &str) -> Child {
        self.agent_with(&[("LARDER_FAIL_AT", point)])
    }

    /// An agent with these variables. It may have ended already.
    pub fn agent_with(&self, variables: &[(&str, &str)]) -> Child {
        let mut command = self.command(program("larder-agent"));
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut agent = Child(command.spawn().expect("larder-agent"));
        self.wait_for("the agent", || {
            agent.0.try_wait().expect("wait").is_some() || self.larder(&["status", "--no-start"]).code == 0
        });
        agent
    }

    /// Waits until an agent has ended by itself.
    pub fn ended(&self, mut agent: Child) {
        self.wait_for("the agent's end", || agent.0.try_wait().expect("wait").is_some());
    }

    /// The agent's process id.
    pub fn agent_pid(&self) -> i32 {
        let status: Value = serde_json::from_str(&self.larder(&["status", "--json"]).stdout).expect("JSON");
        status["agent"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process id")
    }

    /// Ends the agent as `kill -9` does, and waits until it is gone.
    pub fn kill_agent(&self) {
        let pid = self.agent_pid();
        self.ran("kill", &["-9", &pid.to_string()]);
        self.wait_for("the agent's end", || !std::path::Path::new(&format!("/proc/{pid}/exe")).exists());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // An agent that a test left behind ends with it; where none runs, nothing is started.
        let _ = self.command(program("larder")).args(["agent", "--stop"]).output();
    }
}

/// What happens, as it happens.
pub struct Events {
    lines: mpsc::Receiver<String>,
    _child: Child,
}

impl Events {
    /// Waits for the next event of this kind.
    #[track_caller]
    pub fn wait(&self, kind: &str) -> Value {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(std::time::Instant::now());
            let line = self.lines.recv_timeout(left).unwrap_or_else(|_| panic!("waited in vain for {kind}"));
            let event: Value = serde_json::from_str(&line).expect("JSON");
            if event["kind"] == kind {
                return event;
            }
        }
    }
}
