//! Debian's Chromium, visible and with its own policy, as the default browser of a [`Desktop`]. It is opened by whoever
//! opens a link; the test then looks at its pages and clicks in them through its debugging port (the Chrome DevTools
//! Protocol, over a WebSocket, RFC 6455).

use super::{Desktop, PATIENCE};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Where Debian's Chromium looks for what an administrator decided.
const POLICIES: &str = "/etc/chromium/policies/managed";

/// No sandbox: tests run as root in containers. The rest keeps it from talking to anybody but the test.
const FLAGS: &str = "--no-sandbox --disable-gpu --no-first-run --no-default-browser-check --password-store=basic \
    --disable-background-networking --disable-component-update --disable-default-apps --disable-extensions \
    --disable-sync --disable-quic --disable-dev-shm-usage --remote-debugging-port=0 --window-position=0,0 \
    --window-size=900,800";

/// What an administrator would write, so that pages of this computer may open Larder's links without being asked each
/// time. A file of this browser's own, which goes with it; all have the same content, because of two that say something
/// about the same, Chromium takes one, and other tests' browsers read it too.
struct Policy(PathBuf);

impl Policy {
    fn write() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(POLICIES).join(format!("larder-test-{}-{number}.json", std::process::id()));
        // Without a port it is every port.
        let links = json!([{ "protocol": "dev.larder.desktop", "allowed_origins": ["http://127.0.0.1"] }]);
        let text = json!({ "AutoLaunchProtocolsFromOrigins": links, "PasswordManagerEnabled": false }).to_string();
        if let Err(error) = fs::create_dir_all(POLICIES).and_then(|()| fs::write(&path, text)) {
            panic!(
                "{POLICIES} cannot be written ({error}): this test lets Chromium open Larder's links by a policy, which \
                 only root can give; run it as root, as CI does"
            );
        }
        Self(path)
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The browser.
pub struct Chromium {
    address: mpsc::Receiver<String>,
    tab: Option<Tab>,
    pid_file: PathBuf,
    _policy: Policy,
}

impl Chromium {
    /// Makes it the default browser, one in which pages of this computer may open Larder's links.
    pub fn install(desktop: &Desktop) -> Self {
        let folder = desktop.session.home().join("chromium");
        fs::create_dir(&folder).expect("a folder");
        let (said, pid_file, opener) = (folder.join("said"), folder.join("pid"), folder.join("open"));
        desktop.session.ran("mkfifo", &[said.to_str().expect("text")]);
        let script = format!(
            "#!/bin/sh\necho $$ >{0}/pid\nexec chromium {FLAGS} --user-data-dir={0}/data \"$@\" >/dev/null 2>{0}/said\n",
            folder.display()
        );
        fs::write(&opener, script).expect("a script");
        fs::set_permissions(&opener, fs::Permissions::from_mode(0o700)).expect("chmod");
        let types = ["x-scheme-handler/http", "x-scheme-handler/https", "text/html"];
        let exec = opener.display();
        desktop.add_program(
            "chromium.desktop",
            &format!(
                "[Desktop Entry]\nType=Application\nName=Chromium\nExec={exec} %u\nMimeType={};\n",
                types.join(";")
            ),
        );
        for kind in types {
            desktop.session.ran("xdg-mime", &["default", "chromium.desktop", kind]);
        }
        // Open for writing too, so that nobody waits for the other end.
        let said = File::options().read(true).write(true).open(said).expect("the pipe");
        let (sender, address) = mpsc::channel();
        std::thread::spawn(move || {
            // Read on, so that it is never stopped by a full pipe.
            for line in BufReader::new(said).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("DevTools listening on ") {
                    let _ = sender.send(address.to_owned());
                }
            }
        });
        Self { address, tab: None, pid_file, _policy: Policy::write() }
    }

    /// The page that was opened, once it is.
    pub fn tab(&mut self) -> &mut Tab {
        let address = &self.address;
        self.tab.get_or_insert_with(|| Tab::attach(&address.recv_timeout(PATIENCE).expect("Chromium was not opened")))
    }

    fn runs(&self) -> Option<String> {
        let pid = fs::read_to_string(&self.pid_file).ok()?.trim().to_owned();
        Path::new(&format!("/proc/{pid}/exe")).exists().then_some(pid)
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if let Some(mut tab) = self.tab.take() {
            let _ = tab.socket.send(json!({ "id": 0, "method": "Browser.close" }));
        }
        let until = Instant::now() + Duration::from_secs(5);
        while self.runs().is_some() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(20));
        }
        if let Some(pid) = self.runs() {
            let _ = Command::new("kill").args(["-9", &pid]).output();
        }
    }
}

/// A page in the browser.
pub struct Tab {
    socket: Socket,
    session: String,
    last_id: u64,
    happened: VecDeque<Value>,
}

impl Tab {
    fn attach(address: &str) -> Self {
        let mut tab =
            Self { socket: Socket::connect(address), session: String::new(), last_id: 0, happened: VecDeque::new() };
        tab.ask("Target.setDiscoverTargets", json!({ "discover": true }));
        let target = loop {
            let info = tab.next()["params"]["targetInfo"].take();
            let url = info["url"].as_str().unwrap_or_default();
            if info["type"] == "page" && url.starts_with("http") {
                break info["targetId"].clone();
            }
        };
        let attached = tab.ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }));
        tab.session = attached["sessionId"].as_str().expect("a session").to_owned();
        tab.ask("Page.enable", json!({}));
        tab
    }

    /// Waits until the page is loaded and has such an element.
    #[track_caller]
    pub fn has(&mut self, selector: &str) {
        let until = Instant::now() + PATIENCE;
        let script = format!("document.readyState === 'complete' && document.querySelector({selector:?}) !== null");
        while self.try_evaluate(&script) != Some(Value::Bool(true)) {
            assert!(Instant::now() < until, "no {selector} at {}: {}", self.address(), self.text());
            self.next();
        }
    }

    /// Clicks an element with the mouse, once it is there.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        self.has(selector);
        let place = self.evaluate(&format!(
            "(() => {{ const element = document.querySelector({selector:?}); element.scrollIntoView(); \
             const at = element.getBoundingClientRect(); return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event = json!({ "type": kind, "x": place[0], "y": place[1], "button": button, "clickCount": 1 });
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// Types into a field, in place of what stands there.
    #[track_caller]
    pub fn type_into(&mut self, selector: &str, text: &str) {
        self.click(selector);
        self.evaluate(&format!("document.querySelector({selector:?}).select(), true"));
        self.ask("Input.insertText", json!({ "text": text }));
    }

    /// Waits until what it shows is drawn.
    pub fn drawn(&mut self) {
        let twice = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
        self.ask("Runtime.evaluate", json!({ "expression": twice, "awaitPromise": true }));
    }

    /// Where it is.
    pub fn address(&mut self) -> String {
        self.evaluate("location.href").as_str().unwrap_or_default().to_owned()
    }

    /// What it says.
    pub fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn evaluate(&mut self, script: &str) -> Value {
        self.try_evaluate(script).unwrap_or_else(|| panic!("it cannot be evaluated: {script}"))
    }

    /// `None` where the page went while it was asked.
    fn try_evaluate(&mut self, script: &str) -> Option<Value> {
        let answer = self.ask("Runtime.evaluate", json!({ "expression": script, "returnByValue": true }));
        answer.pointer("/result/value").cloned()
    }

    /// The result; null where it failed.
    fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.socket.send(message).expect("Chromium");
        loop {
            let mut message = self.socket.receive();
            if message["id"] == id {
                return message["result"].take();
            }
            if message["method"].is_string() {
                self.happened.push_back(message);
            }
        }
    }

    /// The next thing that happens.
    #[track_caller]
    fn next(&mut self) -> Value {
        loop {
            if let Some(event) = self.happened.pop_front() {
                return event;
            }
            let message = self.socket.receive();
            if message["method"].is_string() {
                return message;
            }
        }
    }
}

/// As much of RFC 6455 as a client on the same machine needs: text out in one frame, text in in any number.
struct Socket(BufReader<TcpStream>);

impl Socket {
    fn connect(address: &str) -> Self {
        let (host, path) = address.strip_prefix("ws://").and_then(|rest| rest.split_once('/')).expect("an address");
        let mut stream = TcpStream::connect(host).expect("Chromium");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("Chromium");
        let mut reader = BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status).expect("an answer");
        assert!(status.starts_with("HTTP/1.1 101"), "{status}");
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(reader.read_line(&mut line).expect("an answer") > 0);
        }
        Self(reader)
    }

    fn send(&mut self, message: Value) -> std::io::Result<()> {
        let text = message.to_string();
        let length = u16::try_from(text.len()).map_err(|_| ErrorKind::InvalidInput)?;
        // Final, text; masked, as a client must, by a key of zeros, which changes nothing; a length of two bytes.
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(length.to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        self.0.get_mut().write_all(&frame)
    }

    #[track_caller]
    fn receive(&mut self) -> Value {
        let mut text = Vec::new();
        loop {
            let mut head = [0; 2];
            self.0.read_exact(&mut head).expect("Chromium says nothing");
            let length = match head[1] & 0x7f {
                126 => u64::from(u16::from_be_bytes(self.bytes())),
                127 => u64::from_be_bytes(self.bytes()),
                short => u64::from(short),
            };
            let from = text.len();
            self.0.by_ref().take(length).read_to_end(&mut text).expect("Chromium");
            match head[0] & 0x0f {
                // Text, and what continues it.
                0 | 1 if head[0] & 0x80 != 0 => return serde_json::from_slice(&text).expect("JSON"),
                0 | 1 => {}
                8 => panic!("Chromium closed the connection"),
                _ => text.truncate(from),
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).expect("Chromium");
        bytes
    }
}
