//! Hears whether the keychain asks its person for a password.

use super::{Child, Session};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

/// Listens on the bus.
pub struct Prompts {
    file: PathBuf,
    child: Child,
}

impl Prompts {
    /// From now on.
    pub fn watch(session: &Session) -> Self {
        let file = session.home().join("prompts");
        let rules = ["interface='org.gnome.keyring.internal.Prompter'", "interface='org.freedesktop.Secret.Prompt'"];
        let child = session
            .command("dbus-monitor")
            .arg("--session")
            .args(rules)
            .stdout(fs::File::create(&file).expect("a file"))
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-monitor");
        let prompts = Self { file, child: Child(child) };
        session.wait_for("dbus-monitor", || prompts.heard().contains("NameAcquired"));
        prompts
    }

    fn heard(&self) -> String {
        fs::read_to_string(&self.file).unwrap_or_default()
    }

    /// That none was raised.
    #[track_caller]
    pub fn none(self) {
        let heard = self.heard();
        drop(self.child);
        assert!(!heard.contains("BeginPrompting") && !heard.contains("member=Prompt"), "a prompt was raised: {heard}");
    }
}
