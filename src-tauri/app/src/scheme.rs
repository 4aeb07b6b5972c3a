//! Who opens Larder's links. The system is asked, not a record of our own. A packaged install never registers at run
//! time; a build run from source does so only where no other handler stands, says so, and can be removed.

use crate::link::lock;
use crate::shell::Shell;
use larder_core::profile::Profile;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use tauri::{AppHandle, Manager};

/// Who opens Larder's links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handler {
    /// Larder: packaged, or this build.
    Ours,
    /// Another program, by its desktop entry's name.
    Other(String),
    /// Nobody.
    Nobody,
    /// The system has no way to say.
    Unknown,
}

/// Registers where that is to be done, on a thread of its own: asking the system takes some 100 ms and a dozen processes.
pub fn at_start(app: &AppHandle) {
    #[cfg(windows)]
    windows(app);
    let link = Arc::clone(&app.state::<Shell>().link);
    std::thread::spawn(move || ensure(link.profile()));
}

/// Registers where that is to be done, and says who opens Larder's links then. One at a time, so that a sign-in right
/// after the start waits for the registration.
pub fn ensure(profile: &Profile) -> Handler {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = lock(&TURN);
    #[cfg(target_os = "linux")]
    return linux::ensure(profile);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = profile;
        Handler::Unknown
    }
}

/// What else is written among the desktop's entries.
#[cfg(target_os = "linux")]
pub use linux::{config_home, replace, serves};

/// Removes what a build run from source wrote, and nothing else.
pub fn unregister() -> ExitCode {
    #[cfg(target_os = "linux")]
    return linux::unregister();
    #[cfg(not(target_os = "linux"))]
    {
        crate::say::say("On this system the installer registers Larder's links; uninstalling removes that.");
        ExitCode::SUCCESS
    }
}

/// A development build has no installer, which is what registers on Windows. (On macOS the bundle's Info.plist does.)
#[cfg(windows)]
fn windows(app: &AppHandle) {
    use tauri_plugin_deep_link::DeepLinkExt;
    let links = app.deep_link();
    if cfg!(debug_assertions)
        && !links.is_registered(larder_core::scheme::SCHEME).unwrap_or(true)
        && let Err(error) = links.register(larder_core::scheme::SCHEME)
    {
        crate::say::say(&format!("Larder's links cannot be registered: {error}"));
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::Handler;
    use crate::entry;
    use crate::say::say;
    use larder_core::profile::Profile;
    use std::ffi::OsString;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::process::{Command, ExitCode, Stdio};

    /// The entry of a package, by either spelling of the product's name.
    const PACKAGED: [&str; 2] = ["larder.desktop", "Larder.desktop"];

    /// A profile of its own does not take the deep link, which belongs to the default one, unless told so (tests).
    const REGISTER_VARIABLE: &str = "LARDER_REGISTER";

    pub(super) fn ensure(profile: &Profile) -> Handler {
        let found = query();
        if is_packaged() || !serves(profile) {
            return handler(found);
        }
        let ours = found.as_ref().is_ok_and(|name| name == entry::FILE);
        match handler(found) {
            // A checkout that was moved, or another one, wrote it: the links should start what runs.
            Handler::Ours if ours => match write() {
                Ok(true) => say("Larder's links (dev.larder.desktop:) now open this build."),
                Ok(false) => {}
                Err(error) => say(&format!("The registration of Larder's links cannot be corrected: {error}.")),
            },
            Handler::Nobody => match write().and_then(|_| make_default()) {
                Ok(()) => {
                    say(
                        "Larder's links (dev.larder.desktop:) now open this build; `larder-desktop --unregister` undoes that.",
                    );
                    return handler(query());
                }
                Err(error) => say(&format!("Larder's links cannot be registered: {error}.")),
            },
            other => return other,
        }
        handler(query())
    }

    /// Whether this profile is the one that the person's desktop starts and hands links to.
    pub fn serves(profile: &Profile) -> bool {
        profile.default || std::env::var_os(REGISTER_VARIABLE).is_some_and(|value| value == "1")
    }

    pub(super) fn unregister() -> ExitCode {
        match remove() {
            Ok(true) => say("Removed: this build no longer opens Larder's links."),
            Ok(false) => say("There was nothing to remove."),
            Err(error) => {
                say(&format!("The registration cannot be removed: {error}."));
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }

    fn handler(found: io::Result<String>) -> Handler {
        match found.as_deref() {
            Ok("") => Handler::Nobody,
            Ok(name) if name == entry::FILE || PACKAGED.contains(&name) => Handler::Ours,
            Ok(name) => Handler::Other(name.to_owned()),
            Err(_) => Handler::Unknown,
        }
    }

    /// The desktop entry that the system would start, empty if none.
    fn query() -> io::Result<String> {
        let output = Command::new("xdg-mime")
            .args(["query", "default", &entry::mime_type()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether this is a package's program, or a package is installed beside it.
    fn is_packaged() -> bool {
        let installed = std::env::current_exe().is_ok_and(|program| program.starts_with("/usr"));
        let folders = variable("XDG_DATA_DIRS").unwrap_or_else(|| "/usr/local/share:/usr/share".into());
        let mut entries = std::env::split_paths(&folders)
            .flat_map(|folder| PACKAGED.map(|name| folder.join("applications").join(name)));
        installed || entries.any(|path| path.exists())
    }

    /// Writes our entry; `false` where it stands there already, to the letter.
    fn write() -> io::Result<bool> {
        let program = std::env::current_exe()?;
        let text = program
            .to_str()
            .and_then(entry::text)
            .ok_or_else(|| io::Error::other(format!("{} cannot be written in a desktop entry", program.display())))?;
        let path = entry_path()?;
        if std::fs::read_to_string(&path).is_ok_and(|standing| standing == text) {
            return Ok(false);
        }
        replace(&path, &text)?;
        update(&path);
        Ok(true)
    }

    fn make_default() -> io::Result<()> {
        let status = Command::new("xdg-mime")
            .args(["default", entry::FILE, &entry::mime_type()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("xdg-mime ended with {status}"))) }
    }

    fn remove() -> io::Result<bool> {
        let path = entry_path()?;
        let mut removed = match std::fs::remove_file(&path) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        // `xdg-mime default` cannot be undone by xdg-mime; it writes one of these.
        for list in [config_home()?.join("mimeapps.list"), data_home()?.join("applications/mimeapps.list")] {
            if let Some(kept) = std::fs::read_to_string(&list).ok().as_deref().and_then(entry::without_us) {
                // Where the list is a link into somebody's collection of settings, it stays one.
                replace(&list.canonicalize()?, &kept)?;
                removed = true;
            }
        }
        update(&path);
        Ok(removed)
    }

    /// Whole or not at all: a desktop reads these files at any moment.
    pub fn replace(path: &Path, text: &str) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let draft = path.with_extension(format!("larder-{}", std::process::id()));
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, path).inspect_err(|_| {
            let _ = std::fs::remove_file(&draft);
        })
    }

    /// Desktops that read the cache need it; where the program is missing, none does.
    fn update(entry: &Path) {
        if let Some(folder) = entry.parent() {
            let _ = Command::new("update-desktop-database")
                .arg(folder)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
        }
    }

    fn entry_path() -> io::Result<PathBuf> {
        Ok(data_home()?.join("applications").join(entry::FILE))
    }

    fn data_home() -> io::Result<PathBuf> {
        folder("XDG_DATA_HOME", ".local/share")
    }

    pub fn config_home() -> io::Result<PathBuf> {
        folder("XDG_CONFIG_HOME", ".config")
    }

    /// XDG Base Directory Specification: a relative value is to be ignored.
    fn folder(name: &str, below_home: &str) -> io::Result<PathBuf> {
        let named = variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        named
            .or_else(|| Some(PathBuf::from(variable("HOME")?).join(below_home)))
            .ok_or_else(|| io::Error::other("HOME is not set"))
    }

    fn variable(name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_system_s_answer_says_whose_links_they_are() {
            let said = |name: &str| handler(Ok(name.to_owned()));
            assert_eq!(said(""), Handler::Nobody);
            assert_eq!(said("larder-desktop-dev.desktop"), Handler::Ours);
            assert_eq!(said("Larder.desktop"), Handler::Ours);
            assert_eq!(said("evil.desktop"), Handler::Other("evil.desktop".to_owned()));
            assert_eq!(handler(Err(io::Error::other("no xdg-mime"))), Handler::Unknown);
        }
    }
}
