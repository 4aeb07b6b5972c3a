//! A person at a desktop of that system: a screen, a session bus, a keychain that is open, and a browser.

use super::root::Root;
use super::support::larder::Ran;
use super::support::session::first_line;
use super::support::{Child, PATIENCE, Provider};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Instant;

/// The first person that Debian and Ubuntu make.
const UID: &str = "1000";

const HOME: &str = "/home/ada";
const RUNTIME: &str = "/run/user/1000";
const BUS: &str = "unix:path=/run/user/1000/bus";

/// Makes the test's browser the one that opens addresses, as a browser's own settings do.
const BROWSER: &str = r#"set -e
mkdir -p ~/.local/share/applications ~/.config
printf '%s\n' '[Desktop Entry]' Type=Application Name=Browser 'Exec=/usr/local/bin/browser %u' >~/.local/share/applications/browser.desktop
printf '%s\n' '[Default Applications]' x-scheme-handler/http=browser.desktop x-scheme-handler/https=browser.desktop >~/.config/mimeapps.list
"#;

/// The keychain's password. Not empty: gnome-keyring prompts for an empty one.
const PASSWORD: &str = "test";

/// The person. What runs for them ends with the system.
pub struct Person<'a> {
    root: &'a Root,
    display: String,
    _session: Vec<Child>,
}

impl<'a> Person<'a> {
    /// Logs them in.
    pub fn log_in(root: &'a Root) -> Self {
        root.ran(&["useradd", "--create-home", "--uid", UID, "--shell", "/bin/sh", "ada"]);
        root.ran(&["install", "-d", "-m", "700", "-o", "ada", "-g", "ada", RUNTIME]);
        let mut person = Self { root, display: String::new(), _session: Vec::new() };
        let address = format!("--address={BUS}");
        person.starts(&["dbus-daemon", "--session", "--nofork", "--print-address", &address], None);
        let screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-noreset"];
        person.display = format!(":{}", person.starts(&screen, None));
        person.starts(&["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"], Some(PASSWORD));
        person.ran(&["gdbus", "wait", "--session", "--timeout", "20", "org.freedesktop.secrets"]);
        // The name is there a moment before the collection is.
        let until = Instant::now() + PATIENCE;
        while !person.keychain_is_open() {
            assert!(Instant::now() < until, "the keychain does not open");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        person.ran(&["sh", "-c", BROWSER]);
        person
    }

    /// A command of theirs.
    fn command(&self, line: &[&str]) -> Command {
        self.command_with(&[], line)
    }

    fn command_with(&self, more: &[(&str, &str)], line: &[&str]) -> Command {
        let environment = [
            ("HOME", HOME),
            ("USER", "ada"),
            ("LOGNAME", "ada"),
            ("XDG_RUNTIME_DIR", RUNTIME),
            ("DBUS_SESSION_BUS_ADDRESS", BUS),
            ("DISPLAY", &self.display),
        ];
        self.root.command(&["--setuid", UID, "--setgid", UID], &[&environment[..], more].concat(), line)
    }

    /// Starts what goes on for the whole session, and returns its first line; from what reads a password, none.
    fn starts(&mut self, line: &[&str], reads: Option<&str>) -> String {
        let mut command = self.command(line);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("nsenter");
        let stdout = child.stdout.take().expect("piped");
        let mut stdin = child.stdin.take().expect("piped");
        self._session.push(Child(child));
        match reads {
            Some(text) => {
                stdin.write_all(text.as_bytes()).expect("it reads");
                String::new()
            }
            None => first_line(stdout),
        }
    }

    /// Runs what must succeed, and returns what it printed.
    #[track_caller]
    pub fn ran(&self, line: &[&str]) -> String {
        Ran::new(self.command(line).output().expect("nsenter")).ok()
    }

    fn keychain_is_open(&self) -> bool {
        let property = ["org.freedesktop.Secret.Collection", "Locked"];
        let at = ["-d", "org.freedesktop.secrets", "-o", "/org/freedesktop/secrets/aliases/default"];
        let get = ["-m", "org.freedesktop.DBus.Properties.Get"];
        let line = [&["gdbus", "call", "--session"], &at[..], &get[..], &property[..]].concat();
        let output = self.command(&line).output().expect("nsenter");
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("false")
    }

    /// Runs `larder`.
    pub fn larder(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(&[&["larder"], arguments].concat()).output().expect("nsenter"))
    }

    /// Writes the provider down under this name.
    pub fn add(&self, name: &str, provider: &Provider) {
        let client = ["--issuer", &provider.issuer, "--client-id", "larder-desktop"];
        let scopes = ["--scope", "openid", "--scope", "email", "--scope", "offline_access"];
        self.larder(&[&["providers", "add", name], &client[..], &scopes[..]].concat()).ok();
    }

    /// Signs `user` in with their browser, whose redirect the system hands over; the account.
    #[track_caller]
    pub fn sign_in(&self, provider: &str, user: &str) -> String {
        let line = ["larder", "sign-in", provider, "--wait"];
        Ran::new(self.command_with(&[("BROWSER_USER", user)], &line).output().expect("nsenter")).ok()
    }

    /// The desktop entry that opens Larder's links, empty if none does.
    pub fn handler(&self) -> String {
        self.ran(&["xdg-mime", "query", "default", "x-scheme-handler/dev.larder.desktop"])
    }

    /// The files that Larder keeps for them.
    pub fn files(&self) -> Vec<String> {
        let folders = [".config/larder", ".local/share/larder"].map(|folder| format!("{HOME}/{folder}"));
        let mut files: Vec<_> =
            self.ran(&["find", &folders[0], &folders[1], "-type", "f"]).lines().map(str::to_owned).collect();
        files.sort();
        files
    }
}
