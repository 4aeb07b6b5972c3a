//! The state file: grants and signing key, so that a restart of the demo ends nobody's session.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::grants::Grants;
use crate::signing::SigningKey;

/// What the file holds. Tokens are in it as hashes alone; the key is a real private key, hence the mode of the file.
#[derive(Debug, Serialize, Deserialize)]
struct Content<G> {
    version: u32,
    signing_key: String,
    grants: G,
}

/// The only layout there has been.
const VERSION: u32 = 1;

/// Where the state is kept.
#[derive(Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// The number of the latest change on disk: two requests may finish in the other order, and the older must not win.
    written: Mutex<u64>,
}

impl StateFile {
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), written: Mutex::new(0) }
    }

    /// What an earlier start left. `None` where there is no file yet; a file that does not read is an error, not an
    /// empty state.
    pub(crate) fn read(&self) -> io::Result<Option<(SigningKey, Grants)>> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let content: Content<Grants> = serde_json::from_slice(&text)?;
        if content.version != VERSION {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the state file is of another version"));
        }
        let key =
            STANDARD.decode(content.signing_key).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Some((SigningKey::from_pkcs8(&key)?, content.grants.indexed())))
    }

    /// The bytes to be written.
    pub(crate) fn content(key: &SigningKey, grants: &Grants) -> io::Result<Vec<u8>> {
        let signing_key = STANDARD.encode(key.to_pkcs8()?);
        Ok(serde_json::to_vec(&Content { version: VERSION, signing_key, grants })?)
    }

    /// Writes beside the file and renames, so that a crash leaves the old state or the new. tempfile makes its files
    /// 0600.
    pub(crate) fn write(&self, change: u64, content: &[u8]) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if change < *written {
            return Ok(());
        }
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        *written = change;
        Ok(())
    }
}
