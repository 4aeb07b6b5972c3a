//! npm's `oidc-provider`, a certified OpenID provider, as a process of its own; and the way through its pages.

use super::session::first_line;
use super::{Child, PATIENCE, Session, support};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{ChildStdin, Stdio};
use url::Url;

/// The secret of its two confidential clients. Some of its characters mean something in a form or in a header.
pub const CLIENT_SECRET: &str = "p/q+r s:t%25=u&v~w";

/// The server.
#[derive(Debug)]
pub struct OidcProvider {
    /// Its issuer.
    pub issuer: String,
    _stdin: ChildStdin,
    _child: Child,
}

impl OidcProvider {
    /// A server on a port of the system's choice.
    pub fn start(session: &Session) -> Self {
        Self::start_with(session, &[])
    }

    /// The same, with these variables.
    pub fn start_with(session: &Session, variables: &[(&str, &str)]) -> Self {
        let folder = support("oidc-provider");
        assert!(
            folder.join("node_modules/oidc-provider").is_dir(),
            "oidc-provider is missing: run `npm ci` in {} first",
            folder.display()
        );
        let mut child = session
            .command("node")
            .arg("--no-warnings")
            .arg(folder.join("server.mjs"))
            .env("CLIENT_SECRET", CLIENT_SECRET)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node");
        let line = first_line(child.stdout.take().expect("piped"));
        let issuer = line.strip_prefix("listening ").expect("an address").to_owned();
        Self { issuer, _stdin: child.stdin.take().expect("piped"), _child: Child(child) }
    }

    /// Writes one of its clients down under this name.
    pub fn add(&self, session: &Session, name: &str, client: &str, more: &[&str]) {
        let mut arguments = vec!["providers", "add", name, "--issuer", &self.issuer, "--client-id", client];
        ["openid", "profile", "email", "offline_access"].iter().for_each(|scope| arguments.extend(["--scope", scope]));
        arguments.extend(more);
        session.larder(&arguments).ok();
    }

    /// Asks userinfo with these header fields: the status, what it says, and the nonce that it wants from now on.
    pub fn userinfo(&self, headers: &[(&str, &str)]) -> (u16, Value, Option<String>) {
        let mut request = agent().get(format!("{}/me", self.issuer));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut answer = request.call().expect("an answer");
        let nonce = answer.headers().get("dpop-nonce").map(|nonce| nonce.to_str().expect("text").to_owned());
        let text = answer.body_mut().read_to_string().expect("a body");
        (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null), nonce)
    }

    /// What it says of a token (RFC 7662), asked as its client of this name that has [`CLIENT_SECRET`].
    pub fn introspect(&self, client: &str, token: &str) -> Value {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("token", token), ("client_id", client), ("client_secret", CLIENT_SECRET)]);
        let mut answer = agent()
            .post(format!("{}/token/introspection", self.issuer))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send(form.finish())
            .expect("an answer");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("a body")).expect("JSON")
    }

    /// What came to its token and revocation endpoints, and how the client proved itself.
    pub fn seen(&self) -> Vec<Value> {
        self.list("/_seen")
    }

    /// Requests about registrations: how each began, and what it was answered.
    pub fn registrations(&self) -> Vec<(String, u64)> {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let about = |seen: &Value| seen["path"].as_str().is_some_and(|path| path.starts_with("/reg"));
        let seen = self.seen().into_iter().filter(about);
        seen.map(|seen| (text(&seen["method"]), seen["status"].as_u64().expect("a status"))).collect()
    }

    /// Authorization requests that were pushed to it (RFC 9126).
    pub fn pushed(&self) -> Vec<Value> {
        self.list("/_pushed")
    }

    /// What registrations brought: secrets, and the tokens that manage them.
    pub fn secrets(&self) -> Vec<String> {
        self.list("/_secrets").iter().map(|secret| secret.as_str().expect("text").to_owned()).collect()
    }

    fn list(&self, path: &str) -> Vec<Value> {
        let mut answer = agent().get(format!("{}{path}", self.issuer)).call().expect("an answer");
        serde_json::from_str(&answer.body_mut().read_to_string().expect("a body")).expect("a list")
    }

    /// Goes through its pages as this person, with their cookies, to where the browser is sent in the end.
    pub fn browse(&self, url: &str, user: &str) -> String {
        self.walk(url, user).unwrap_or_else(|page| panic!("the pages lead nowhere: {page}"))
    }

    /// Goes through its pages as this person, who has the code of a device (RFC 8628), to the page that says that it is done.
    pub fn confirm_device(&self, url: &str, user: &str) {
        match self.walk(url, user) {
            Err(page) => assert!(page.contains("Sign-in Success"), "{page}"),
            Ok(address) => panic!("a device's browser is sent nowhere else: {address}"),
        }
    }

    /// Logs in and agrees wherever it is asked to: to the address of another origin, or to a page that asks nothing.
    fn walk(&self, url: &str, user: &str) -> Result<String, String> {
        let issuer = Url::parse(&self.issuer).expect("a URL");
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        let mut at = Url::parse(url).expect("a URL");
        let mut form: Option<String> = None;
        // Code, login and consent, each with its redirects.
        for _ in 0..20 {
            let jar = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
            let answer = match form.take() {
                Some(form) => agent()
                    .post(at.as_str())
                    .header("Cookie", jar)
                    .header("Content-Type", "application/x-www-form-urlencoded")
                    .send(form),
                None => agent().get(at.as_str()).header("Cookie", jar).call(),
            };
            let mut answer = answer.expect("an answer");
            for cookie in answer.headers().get_all("set-cookie") {
                let cookie = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
                let (name, value) = cookie.split_once('=').expect("a cookie");
                if value.is_empty() {
                    cookies.remove(name);
                } else {
                    cookies.insert(name.to_owned(), value.to_owned());
                }
            }
            if let Some(location) = answer.headers().get("location") {
                at = at.join(location.to_str().expect("text")).expect("a URL");
                if at.origin() != issuer.origin() {
                    return Ok(at.into());
                }
                continue;
            }
            let page = answer.body_mut().read_to_string().expect("a page");
            let Some(action) = attribute(&page, "action") else { return Err(page) };
            at = at.join(action).expect("a URL");
            let mut filled = url::form_urlencoded::Serializer::new(String::new());
            for field in page.split("<input").skip(1).filter(|field| field.contains("type=\"hidden\"")) {
                let value = attribute(field, "value").unwrap_or_default();
                filled.append_pair(attribute(field, "name").expect("a name"), value);
            }
            if page.contains("name=\"login\"") {
                filled.extend_pairs([("login", user), ("password", "x")]);
            }
            form = Some(filled.finish());
        }
        panic!("the pages never end");
    }
}

/// The first of this name in a part of a page.
fn attribute<'a>(page: &'a str, name: &str) -> Option<&'a str> {
    page.split_once(&format!("{name}=\""))?.1.split('"').next()
}

/// Keys as a person makes them for their client; see `keys.mjs`.
pub fn client_keys(session: &Session) -> Value {
    let script = support("oidc-provider").join("keys.mjs");
    serde_json::from_str(&session.ran("node", &[script.to_str().expect("text")])).expect("JSON")
}

fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(PATIENCE))
        .proxy(None);
    config.build().into()
}
