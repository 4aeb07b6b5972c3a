//! The demonstration server as a process of its own, and what it saw.

use super::session::first_line;
use super::{Child, PATIENCE, Session, program};
use serde_json::{Value, json};
use std::process::{ChildStdin, Stdio};

/// The server.
#[derive(Debug)]
pub struct Provider {
    /// Its issuer.
    pub issuer: String,
    _stdin: ChildStdin,
    _child: Child,
}

impl Provider {
    /// A server whose access tokens live this long, in seconds.
    pub fn start(session: &Session, access_lifetime: u32) -> Self {
        Self::start_at(session, access_lifetime, 0)
    }

    /// The same, on this port.
    pub fn start_at(session: &Session, access_lifetime: u32, port: u16) -> Self {
        let state = session.home().join("provider.json");
        let mut child = session
            .command(program("larder-demo"))
            .args(["--control", "--with-parent", "--port", &port.to_string()])
            .args(["--access-lifetime", &access_lifetime.to_string(), "--state"])
            .arg(state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("larder-demo");
        let line = first_line(child.stdout.take().expect("piped"));
        let issuer = line.strip_prefix("listening ").expect("an address").to_owned();
        Self { issuer, _stdin: child.stdin.take().expect("piped"), _child: Child(child) }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.issuer.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Tells the server how to behave from now on.
    pub fn behave(&self, behaviour: Value) {
        self.post("/_demo/behave", &behaviour);
    }

    /// Ends every session of this person at the provider, as if they had removed the app there.
    pub fn revoke_user(&self, user: &str) {
        self.post("/_demo/revoke_user", &json!({ "username": user }));
    }

    /// Changes how long tokens live from now on.
    pub fn access_lifetime(&self, seconds: u32) {
        self.post("/_demo/expire", &json!({ "access_lifetime": seconds }));
    }

    /// Changes how tokens are given from now on.
    pub fn expire(&self, terms: Value) {
        self.post("/_demo/expire", &terms);
    }

    /// Requests so far at this path, as the server saw them.
    pub fn seen(&self, path: &str) -> Vec<Value> {
        self.log().into_iter().filter(|entry| entry["path"] == path).collect()
    }

    /// The last 10,000 requests, as the server saw them.
    pub fn log(&self) -> Vec<Value> {
        self.get("/_demo/log", None).1.as_array().expect("a list").clone()
    }

    /// Refreshes so far, as the server saw them.
    pub fn refreshes(&self) -> Vec<Value> {
        self.seen("/token").into_iter().filter(|entry| entry["grant_type"] == "refresh_token").collect()
    }

    /// Sessions that live at the provider.
    pub fn live_sessions(&self) -> usize {
        let grants = self.get("/_demo/grants", None).1;
        grants.as_array().expect("a list").iter().filter(|grant| grant["refresh_live"] == true).count()
    }

    /// Asks userinfo with this token; the status, and what it says.
    pub fn userinfo(&self, token: &str) -> (u16, Value) {
        self.get("/userinfo", Some(token))
    }

    fn agent() -> ureq::Agent {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
        config.build().into()
    }

    fn get(&self, path: &str, token: Option<&str>) -> (u16, Value) {
        let mut request = Self::agent().get(format!("{}{path}", self.issuer));
        if let Some(token) = token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let mut answer = request.call().expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    fn post(&self, path: &str, body: &Value) {
        let answer = Self::agent()
            .post(format!("{}{path}", self.issuer))
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "{path}");
    }
}
