//! What the promises are tested with: a private session with a real keychain, the real programs, a real server.

pub mod canary;
pub mod chromium;
#[cfg(target_os = "linux")]
pub mod crash;
pub mod desktop;
pub mod disk;
pub mod faults;
pub mod git_server;
pub mod larder;
pub mod logind;
pub mod mail_server;
pub mod notifications;
pub mod odd_provider;
pub mod oidc_provider;
pub mod openid_provider;
pub mod pages;
pub mod prompts;
pub mod provider;
pub mod recipes;
pub mod resource;
pub mod secrets;
pub mod session;
pub mod tls;
pub mod web_driver;

pub use desktop::Desktop;
pub use provider::Provider;
pub use session::{Keyring, Session};

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Nothing that a test waits for takes longer on a busy machine of two cores; past it, the test has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A program of this workspace, built beside the tests.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.ancestors().nth(2).expect("target/PROFILE/deps/TEST");
    let program = folder.join(name);
    assert!(program.is_file(), "{} is missing: run `make build` first", program.display());
    program
}

/// A file of tests/support.
pub fn support(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/support").join(name)
}

/// Every file below a folder.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let below = entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] });
    below.filter(|path| path.is_file()).collect()
}

/// Whether a file holds these bytes.
pub fn holds(file: &Path, bytes: &[u8]) -> bool {
    std::fs::read(file).is_ok_and(|content| content.windows(bytes.len()).any(|window| window == bytes))
}

/// A child process that ends with its test, by its own id.
#[derive(Debug)]
pub struct Child(pub std::process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
