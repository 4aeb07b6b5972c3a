//! The page in the app's real window, looked into and driven by WebDriver (W3C): Debian's WebKitWebDriver starts the app in
//! the desktop's session, with its home, bus and agent.
//!
//! That is no way into the app of a person. wry lets a web view be driven only where the process that started it set
//! `TAURI_WEBVIEW_AUTOMATION=true`, and WebKit listens only where it set `WEBKIT_INSPECTOR_SERVER`; whoever can set the
//! variables of a process can as well have it load their own code. Nothing in the app, its desktop entry or its start at login
//! sets them.

#![allow(dead_code, reason = "each test uses a part of it")]

use super::{Child, Desktop, PATIENCE, program};
use serde_json::{Value, json};
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Between two looks at what nothing announces.
const PAUSE: Duration = Duration::from_millis(50);

/// Writes down what the page refuses, and what goes wrong in it, from the moment that a test looks in.
const LISTEN: &str = r#"
    window.__trouble = [];
    addEventListener("error", (event) => __trouble.push(`error: ${event.message ?? event.target}`), true);
    addEventListener("unhandledrejection", (event) => __trouble.push(`rejected: ${event.reason}`));
    addEventListener("securitypolicyviolation", (event) =>
        __trouble.push(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}`));
    const error = console.error;
    console.error = (...said) => { __trouble.push(`console: ${said.join(" ")}`); error(...said); };
"#;

/// What a button, a link or a row of a list is called: its label, or what is written on it.
const NAMED: &str = r#"
    const [role, name] = arguments;
    const shows = (one) => one.getClientRects().length > 0 && !one.closest("[inert]");
    const called = (one) => (one.getAttribute("aria-label") ?? one.textContent).trim().replace(/\s+/g, " ");
    return [...document.querySelectorAll(role)].find((one) => shows(one) && called(one) === name) ??
        [...document.querySelectorAll(role)].find((one) => shows(one) && called(one).startsWith(name)) ?? null;
"#;

/// The page.
#[derive(Debug)]
pub struct Page {
    agent: ureq::Agent,
    session: String,
    _driver: Child,
}

impl Page {
    /// Starts the app, and waits until its window is drawn: its pages can be chosen, and something is on this one.
    #[track_caller]
    pub fn open(desktop: &Desktop, arguments: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let log = || File::options().create(true).append(true).open(desktop.log()).expect("a file");
        let mut driver = desktop.session.command("WebKitWebDriver");
        driver.args(["--host=127.0.0.1", &format!("--port={port}")]).env("TAURI_WEBVIEW_AUTOMATION", "true");
        let driver = driver.stdout(Stdio::null()).stderr(log()).spawn();
        let driver = Child(driver.expect("WebKitWebDriver (Debian's webkit2gtk-driver)"));
        desktop.session.wait_for("WebKitWebDriver", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
        let mut page =
            Self { agent: config.build().into(), session: format!("http://127.0.0.1:{port}/session"), _driver: driver };
        let options = json!({ "binary": program("larder-desktop"), "args": arguments });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "webkitgtk:browserOptions": options } } });
        let begun = page.post("", &wanted).expect("a session with the window");
        page.session = format!("{}/{}", page.session, begun["sessionId"].as_str().expect("a session's id"));
        desktop.wait_for_window();
        page.run(LISTEN, json!([]));
        page.is_drawn();
        page
    }

    /// Waits until there is something to be seen: the ways to the other pages, and a page with words on it.
    #[track_caller]
    pub fn is_drawn(&self) {
        self.wait_for("the page to be drawn", || {
            let drawn = "const main = document.querySelector('main');
                return document.querySelectorAll('nav button').length >= 4 && main !== null && main.innerText.trim() !== ''
                    && main.getBoundingClientRect().height > 0";
            self.run(drawn, json!([])) == true
        });
    }

    /// Runs this in the page, with these as `arguments`, and gives what it returns.
    #[track_caller]
    pub fn run(&self, script: &str, arguments: Value) -> Value {
        self.try_run(script, arguments).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The same, where it may be refused.
    pub fn try_run(&self, script: &str, arguments: Value) -> Result<Value, Value> {
        self.post("/execute/sync", &json!({ "script": script, "args": arguments }))
    }

    /// Runs this in the page; its last argument is the function that takes the result.
    #[track_caller]
    pub fn run_until_told(&self, script: &str, arguments: Value) -> Value {
        let ran = self.post("/execute/async", &json!({ "script": script, "args": arguments }));
        ran.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Asks one of Tauri's commands, as the page itself does.
    #[track_caller]
    pub fn invoke(&self, command: &str, arguments: Value) -> Result<Value, Value> {
        let script = "const [command, given, then] = arguments;
            __TAURI_INTERNALS__.invoke(command, given).then(
                (answer) => then({ answer: answer ?? null }),
                (refused) => then({ refused: refused instanceof Error ? String(refused) : refused ?? null }));";
        let mut told = self.run_until_told(script, json!([command, arguments]));
        if told.get("answer").is_some() { Ok(told["answer"].take()) } else { Err(told["refused"].take()) }
    }

    /// What is to be read in the window.
    #[track_caller]
    pub fn text(&self) -> String {
        self.run("return document.body.innerText", json!([])).as_str().expect("text").to_owned()
    }

    /// Waits until this is to be read.
    #[track_caller]
    pub fn reads(&self, words: &str) {
        self.wait_for(words, || self.text().contains(words));
    }

    /// Waits until this is not to be read any more.
    #[track_caller]
    pub fn no_longer_reads(&self, words: &str) {
        self.wait_for(&format!("the end of {words}"), || !self.text().contains(words));
    }

    /// Clicks a button with this name, as a person does, once it shows.
    #[track_caller]
    pub fn press(&self, name: &str) {
        self.click("button", name);
    }

    /// Clicks the element of this kind with this name, once it shows.
    #[track_caller]
    pub fn click(&self, kind: &str, name: &str) {
        let mut element = Value::Null;
        self.wait_for(&format!("{kind} {name}"), || {
            element = self.run(NAMED, json!([kind, name]));
            !element.is_null()
        });
        let id =
            element.as_object().and_then(|one| one.values().next()?.as_str().map(str::to_owned)).expect("an element");
        self.post(&format!("/element/{id}/click"), &json!({})).unwrap_or_else(|error| panic!("{kind} {name}: {error}"));
    }

    /// Types this into the element that a CSS selector finds, as a keyboard does.
    #[track_caller]
    pub fn type_into(&self, selector: &str, text: &str) {
        let found = self.post("/element", &json!({ "using": "css selector", "value": selector }));
        let found = found.unwrap_or_else(|error| panic!("{selector}: {error}"));
        let id =
            found.as_object().and_then(|one| one.values().next()?.as_str().map(str::to_owned)).expect("an element");
        let typed = self.post(&format!("/element/{id}/value"), &json!({ "text": text }));
        typed.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Presses a key, with Ctrl or without, wherever the focus is.
    #[track_caller]
    pub fn key(&self, ctrl: bool, key: &str) {
        const CTRL: &str = "\u{e009}";
        let down = |key: &str| json!({ "type": "keyDown", "value": key });
        let up = |key: &str| json!({ "type": "keyUp", "value": key });
        let keys = if ctrl { vec![down(CTRL), down(key), up(key), up(CTRL)] } else { vec![down(key), up(key)] };
        let source = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": keys }] });
        self.post("/actions", &source).unwrap_or_else(|error| panic!("{key}: {error}"));
    }

    /// What was refused in the page, or went wrong in it, since it was opened or this was last asked.
    #[track_caller]
    pub fn trouble(&self) -> Vec<String> {
        let told = self.run("return __trouble.splice(0)", json!([]));
        told.as_array().expect("a list").iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Where the window is.
    pub fn address(&self) -> String {
        self.get("/url").as_str().expect("an address").to_owned()
    }

    /// Waits for something that nothing announces.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < until, "waited in vain for {what}; the window says: {}", self.text());
            std::thread::sleep(PAUSE);
        }
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.agent.get(format!("{}{path}", self.session)).call().expect("WebKitWebDriver");
        told(answer).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value, Value> {
        let request = self.agent.post(format!("{}{path}", self.session)).header("Content-Type", "application/json");
        told(request.send(body.to_string()).expect("WebKitWebDriver"))
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // It ends the app; what is left of that ends with the desktop.
        let _ = self.agent.delete(&self.session).call();
    }
}

/// What it answered: a value, or an error (WebDriver section 6.6).
fn told(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value, Value> {
    let text = answer.body_mut().with_config().limit(u64::MAX).read_to_string().expect("a body");
    let mut told: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    let value = told["value"].take();
    if answer.status().is_success() { Ok(value) } else { Err(value) }
}
