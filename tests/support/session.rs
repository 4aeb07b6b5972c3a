//! A login session of its own: home, D-Bus, and a keychain in the state that the test is about.

use super::disk::SmallDisk;
use super::{Child, PATIENCE, support};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// A bus that starts nothing by itself: what is not running in a test is not there.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=@BUS@</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// The keychain's password. Not empty: gnome-keyring prompts for an empty one.
const PASSWORD: &str = "test";

/// How the keychain stands when the session begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keyring {
    /// Logged in.
    Unlocked,
    /// There, with its default collection locked.
    Locked,
    /// None.
    None,
}

/// A session. Everything that it started ends with it.
#[derive(Debug)]
pub struct Session {
    /// What the profile lies on, where that is not the home's own disk. It goes first.
    disk: Option<SmallDisk>,
    home: tempfile::TempDir,
    variables: BTreeMap<OsString, OsString>,
    keyring: Option<Child>,
    _bus: Child,
}

impl Session {
    /// A session with an unlocked keychain.
    pub fn new() -> Self {
        Self::with(Keyring::Unlocked)
    }

    /// A session with the keychain in this state.
    pub fn with(keyring: Keyring) -> Self {
        Self::begin(keyring, false)
    }

    /// A session whose profile lies on a disk of its own, which can be filled.
    pub fn on_a_small_disk() -> Self {
        Self::begin(Keyring::Unlocked, true)
    }

    fn begin(keyring: Keyring, small: bool) -> Self {
        // Short: the path of a socket has room for 107 bytes.
        let home = tempfile::Builder::new().prefix("lt").tempdir().expect("a temporary folder");
        let at = |name: &str| home.path().join(name);
        for folder in ["run", "data", "config", "cache", "l"] {
            std::fs::create_dir(at(folder)).expect("a folder");
        }
        private(&at("run"));
        let disk = small.then(|| SmallDisk::mount(at("l")));
        private(&at("l"));
        // What most tests are not about: consent. Those that are take it away before the agent begins.
        std::fs::write(at("l/policy.toml"), "default = \"allow\"\n").expect("policy.toml");
        std::fs::write(at("bus.conf"), BUS.replace("@BUS@", &at("bus").display().to_string())).expect("bus.conf");
        let mut variables = BTreeMap::new();
        let mut set = |name: &str, value: &OsStr| variables.insert(OsString::from(name), value.to_owned());
        set("PATH", &std::env::var_os("PATH").expect("PATH"));
        set("HOME", home.path().as_os_str());
        set("LANG", OsStr::new("C.UTF-8"));
        set("XDG_RUNTIME_DIR", at("run").as_os_str());
        set("XDG_DATA_HOME", at("data").as_os_str());
        set("XDG_CONFIG_HOME", at("config").as_os_str());
        set("XDG_CACHE_HOME", at("cache").as_os_str());
        set("LARDER_HOME", at("l").as_os_str());
        set("DBUS_SESSION_BUS_ADDRESS", OsStr::new(&format!("unix:path={}", at("bus").display())));
        let mut bus = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", at("bus.conf").display()))
            .args(["--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon");
        // It prints its address when it listens.
        first_line(bus.stdout.take().expect("piped"));
        let mut session = Self { disk, home, variables, keyring: None, _bus: Child(bus) };
        if keyring != Keyring::None {
            session.start_keyring();
        }
        if keyring == Keyring::Locked {
            session.lock_keyring();
        }
        session
    }

    /// With the policy that a new profile gets. Only before the agent has begun.
    pub fn that_asks(self) -> Self {
        std::fs::remove_file(self.profile().join("policy.toml")).expect("the policy of the other tests");
        self
    }

    /// A command in this session, and in nothing else.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&self.variables).current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// Sets a variable for every command to come.
    pub fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.variables.insert(name.into(), value.as_ref().to_owned());
    }

    /// Takes a variable away from every command to come.
    pub fn unset(&mut self, name: &str) {
        self.variables.remove(OsStr::new(name));
    }

    /// The disk that the profile lies on alone.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("a session on a small disk")
    }

    /// The session's home.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The profile's folder (`LARDER_HOME`).
    pub fn profile(&self) -> PathBuf {
        self.home.path().join("l")
    }

    /// Starts the keychain's daemon and logs in to it.
    pub fn start_keyring(&mut self) {
        let mut daemon = self
            .command("gnome-keyring-daemon")
            .args(["--foreground", "--unlock", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon");
        daemon.stdin.take().expect("piped").write_all(PASSWORD.as_bytes()).expect("the password");
        self.keyring = Some(Child(daemon));
        self.ran("gdbus", &["wait", "--session", "--timeout", "20", "org.freedesktop.secrets"]);
        // The name is there a moment before the collection is.
        self.wait_for("the keychain's default collection", || !self.keyring_property("Locked").contains("true"));
    }

    /// Ends the keychain's daemon.
    pub fn stop_keyring(&mut self) {
        self.keyring = None;
    }

    /// Locks the default collection, as a desktop does.
    pub fn lock_keyring(&self) {
        let collection = "['/org/freedesktop/secrets/collection/login']";
        self.ran(
            "gdbus",
            &[
                "call",
                "--session",
                "-d",
                "org.freedesktop.secrets",
                "-o",
                "/org/freedesktop/secrets",
                "-m",
                "org.freedesktop.Secret.Service.Lock",
                collection,
            ],
        );
        assert!(self.keyring_property("Locked").contains("true"), "the collection did not lock");
    }

    /// Unlocks it, as a login does: without any prompt.
    pub fn unlock_keyring(&self) {
        let mut command = self.command(support("unlock-keyring"));
        let mut child = command.stdin(Stdio::piped()).spawn().expect("tests/support/unlock-keyring");
        child.stdin.take().expect("piped").write_all(PASSWORD.as_bytes()).expect("the password");
        assert!(child.wait().expect("it ends").success());
        assert!(self.keyring_property("Locked").contains("false"), "the collection did not unlock");
    }

    fn keyring_property(&self, name: &str) -> String {
        let output = self
            .command("gdbus")
            .args([
                "call",
                "--session",
                "-d",
                "org.freedesktop.secrets",
                "-o",
                "/org/freedesktop/secrets/aliases/default",
                "-m",
                "org.freedesktop.DBus.Properties.Get",
                "org.freedesktop.Secret.Collection",
                name,
            ])
            .output()
            .expect("gdbus");
        if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { "true".to_owned() }
    }

    /// How many of Larder's items the keychain holds.
    pub fn keychain_items(&self) -> usize {
        let output = self
            .command("secret-tool")
            .args(["search", "--all", "service", "dev.larder.desktop"])
            .output()
            .expect("secret-tool");
        String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with("[/")).count()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn ran(&self, program: &str, arguments: &[&str]) -> String {
        let output =
            self.command(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits for something that nothing announces, by looking often. Where there is an event, wait for that instead.
    pub fn wait_for(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let until = std::time::Instant::now() + PATIENCE;
        while !holds() {
            assert!(std::time::Instant::now() < until, "waited in vain for {what}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Sends this redirect URL's opener to the scripted browser.
    pub fn browse(&self, url: &str, user: &str, decision: &str) -> String {
        let output = self
            .command(support("browser"))
            .args(["--print", url])
            .env("BROWSER_USER", user)
            .env("BROWSER_DECISION", decision)
            .output()
            .expect("tests/support/browser");
        assert!(output.status.success(), "browser: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// The first line of a pipe, in time.
pub fn first_line(pipe: impl std::io::Read + Send + 'static) -> String {
    let (sender, line) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut text = String::new();
        let _ = reader.read_line(&mut text);
        let _ = sender.send(text);
        // Read on, so that whoever writes is never stopped by a full or a closed pipe.
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let line = line.recv_timeout(PATIENCE).expect("a line in time");
    assert!(!line.is_empty(), "the program ended without a line");
    line.trim().to_owned()
}

fn private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).expect("chmod");
}
