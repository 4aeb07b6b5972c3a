//! Starting at login, in the tray and without a window: an entry in the desktop's own autostart folder (Desktop
//! Application Autostart Specification 0.5). What stands there is the truth: desktops and people change it as well.

use larder_core::problem::Problem;
use larder_core::profile::Profile;

/// Whether Larder starts at login; `None` where this system cannot be told from here, or another profile is the one
/// that starts.
pub fn state(profile: &Profile) -> Option<bool> {
    #[cfg(target_os = "linux")]
    return linux::state(profile);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = profile;
        None
    }
}

/// Whether it starts without a window then; so it does where nothing is said yet.
pub fn hidden() -> bool {
    #[cfg(target_os = "linux")]
    return linux::hidden();
    #[cfg(not(target_os = "linux"))]
    true
}

/// Starts Larder at login from now on, without a window or with one, or no more.
///
/// # Errors
/// Where the entry cannot be written or removed.
pub fn set(on: bool, hidden: bool) -> Result<(), Problem> {
    #[cfg(target_os = "linux")]
    return linux::set(on, hidden)
        .map_err(|error| Problem::Internal { detail: format!("starting at login cannot be changed: {error}") });
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (on, hidden);
        Ok(())
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use crate::entry;
    use crate::scheme::{config_home, replace, serves};
    use larder_core::profile::Profile;
    use larder_core::scheme::SCHEME;
    use std::io;
    use std::path::PathBuf;

    pub(super) fn state(profile: &Profile) -> Option<bool> {
        // As with the links: a profile of its own is nobody's session.
        let path = serves(profile).then(path)?.ok()?;
        Some(std::fs::read_to_string(path).is_ok_and(|text| entry::starts(&text)))
    }

    pub(super) fn hidden() -> bool {
        let entry = path().and_then(std::fs::read_to_string);
        entry.map_or(true, |text| entry::starts_hidden(&text))
    }

    pub(super) fn set(on: bool, hidden: bool) -> io::Result<()> {
        let path = path()?;
        if on {
            let program = std::env::current_exe()?;
            let text = program
                .to_str()
                .and_then(|program| entry::at_login(program, hidden))
                .ok_or_else(|| io::Error::other(format!("{} cannot be written there", program.display())))?;
            return replace(&path, &text);
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path() -> io::Result<PathBuf> {
        Ok(config_home()?.join("autostart").join(format!("{SCHEME}.desktop")))
    }
}
