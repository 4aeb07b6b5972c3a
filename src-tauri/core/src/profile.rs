//! Where a profile's files lie. Computed from the environment that the caller reads; nothing is touched.

use crate::problem::Problem;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The longest path of a Unix socket on Linux, in bytes: `sun_path` has 108, the last one is zero.
pub const MOST_SOCKET_PATH: usize = 107;

/// The folders of one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// `config.toml`, `providers.toml`, `policy.toml`.
    pub config: PathBuf,
    /// `larder.db`, `audit.db`.
    pub data: PathBuf,
    /// `agent.sock`, `agent.lock`, `agent.log`.
    pub run: PathBuf,
    /// Whether this is the person's default profile: the deep link belongs to that one.
    pub default: bool,
}

impl Profile {
    /// `LARDER_HOME` moves everything under one folder; else the platform's own folders.
    ///
    /// # Errors
    /// [`Problem::UnsafePath`] where the environment names no absolute folder to use.
    pub fn locate(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Problem> {
        let folder = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |path: PathBuf, name: &str| {
            if path.is_absolute() {
                Ok(path)
            } else {
                Err(Problem::UnsafePath {
                    path: path.display().to_string(),
                    detail: format!("{name} must be an absolute path"),
                })
            }
        };
        if let Some(home) = folder("LARDER_HOME") {
            let home = absolute(home, "LARDER_HOME")?;
            let run = home.join("run");
            return Ok(Self { config: home.clone(), data: home, run, default: false });
        }
        let home_variable = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        let home = folder(home_variable).ok_or_else(|| Problem::UnsafePath {
            path: home_variable.to_owned(),
            detail: "it is not set, and neither is LARDER_HOME".to_owned(),
        })?;
        let home = absolute(home, home_variable)?;
        if cfg!(target_os = "macos") {
            let data = home.join("Library/Application Support").join(crate::scheme::SCHEME);
            return Ok(Self { config: data.clone(), run: data.join("run"), data, default: true });
        }
        if cfg!(windows) {
            let data = folder("LOCALAPPDATA").unwrap_or_else(|| home.join("AppData/Local")).join("Larder");
            return Ok(Self { config: data.clone(), run: data.join("run"), data, default: true });
        }
        // XDG Base Directory Specification: a relative value is to be ignored.
        let xdg = |name: &str| folder(name).filter(|path| path.is_absolute());
        let config = xdg("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config")).join("larder");
        let data = xdg("XDG_DATA_HOME").unwrap_or_else(|| home.join(".local/share")).join("larder");
        let run = xdg("XDG_RUNTIME_DIR").map_or_else(|| data.join("run"), |run| run.join("larder"));
        Ok(Self { config, data, run, default: true })
    }

    /// The agent's socket.
    ///
    /// # Errors
    /// [`Problem::SocketPathTooLong`] past the system's limit.
    pub fn socket(&self) -> Result<PathBuf, Problem> {
        let path = self.run.join("agent.sock");
        let length = path.as_os_str().len();
        if length > MOST_SOCKET_PATH {
            return Err(Problem::SocketPathTooLong {
                path: path.display().to_string(),
                length,
                most: MOST_SOCKET_PATH,
            });
        }
        Ok(path)
    }

    /// The file whose lock says that an agent owns this profile.
    pub fn lock(&self) -> PathBuf {
        self.run.join("agent.lock")
    }

    /// What a detached agent has to say.
    pub fn log(&self) -> PathBuf {
        self.run.join("agent.log")
    }

    /// Accounts and sealed tokens.
    pub fn database(&self) -> PathBuf {
        self.data.join("larder.db")
    }

    /// Events and hand-outs.
    pub fn audit(&self) -> PathBuf {
        self.data.join("audit.db")
    }

    /// How the person's lock stands, for the next run of the agent.
    pub fn locked(&self) -> PathBuf {
        self.data.join("locked")
    }

    /// The keys, where a systemd credential opens them.
    pub fn credential_keys(&self) -> PathBuf {
        self.data.join("credential-keys.age")
    }

    /// The keys, where a passphrase opens them.
    pub fn passphrase_keys(&self) -> PathBuf {
        self.data.join("passphrase-keys.age")
    }

    /// What the passphrase opens, and what opens the keys.
    pub fn passphrase(&self) -> PathBuf {
        self.data.join("passphrase.age")
    }

    /// The person's settings.
    pub fn settings(&self) -> PathBuf {
        self.config.join("config.toml")
    }

    /// The person's providers.
    pub fn providers(&self) -> PathBuf {
        self.config.join("providers.toml")
    }

    /// Which programs get tokens.
    pub fn policy(&self) -> PathBuf {
        self.config.join("policy.toml")
    }

    /// Every folder of the profile, to be made 0700.
    pub fn folders(&self) -> [&Path; 3] {
        [&self.config, &self.data, &self.run]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(variables: &[(&str, &str)]) -> Result<Profile, Problem> {
        Profile::locate(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn larder_home_moves_everything_under_one_folder() {
        let profile = locate(&[("LARDER_HOME", "/tmp/l"), ("HOME", "/home/ada")]).unwrap();
        assert_eq!(profile.database(), Path::new("/tmp/l/larder.db"));
        assert_eq!(profile.socket().unwrap(), Path::new("/tmp/l/run/agent.sock"));
        assert_eq!(profile.policy(), Path::new("/tmp/l/policy.toml"));
        assert!(!profile.default);
    }

    #[test]
    fn a_relative_larder_home_is_refused() {
        assert!(matches!(locate(&[("LARDER_HOME", "here")]), Err(Problem::UnsafePath { .. })));
    }

    #[test]
    fn a_socket_path_of_108_bytes_is_refused_and_one_of_107_is_not() {
        let home = |length: usize| format!("/{}", "h".repeat(length - "/run/agent.sock".len() - 1));
        assert!(locate(&[("LARDER_HOME", &home(107))]).unwrap().socket().is_ok());
        assert!(matches!(
            locate(&[("LARDER_HOME", &home(108))]).unwrap().socket(),
            Err(Problem::SocketPathTooLong { length: 108, most: 107, .. })
        ));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_larder_home_the_xdg_folders_hold_it() {
        let profile = locate(&[("HOME", "/home/ada"), ("XDG_RUNTIME_DIR", "/run/user/1")]).unwrap();
        assert_eq!(profile.config, Path::new("/home/ada/.config/larder"));
        assert_eq!(profile.data, Path::new("/home/ada/.local/share/larder"));
        assert_eq!(profile.run, Path::new("/run/user/1/larder"));
        assert!(profile.default);
    }
}
