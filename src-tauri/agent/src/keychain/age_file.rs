//! Data keys in an age file (<https://age-encryption.org/v1>), sealed for one X25519 identity.
//!
//! Inside, one line a key: the item's name and the key in hex. A change writes the file anew, whole, beside the old one,
//! and renames it: so a deleted key is gone from the file. Old copies of it (backups, what the disk keeps of a file that
//! was replaced) still open for whoever has the identity; the documentation says so.

use crate::folders;
use age::x25519::{Identity, Recipient};
use age::{DecryptError, Decryptor};
use larder_core::problem::Problem;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// The longest file that is read, in bytes: 10,000 keys take 1 MiB.
const MOST_FILE: u64 = 16 * 1024 * 1024;

/// Nobody but its owner may do anything with the file.
const NOT_OTHERS: u32 = 0o077;

/// Every item with its key.
type Keys = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The file.
#[derive(Clone, Debug)]
pub struct AgeFile {
    path: PathBuf,
    /// One change at a time, also where an earlier one was given up and goes on: a change begins with what is there.
    changing: Arc<Mutex<()>>,
}

impl AgeFile {
    /// The file at this path; it need not be there.
    pub fn new(path: PathBuf) -> Self {
        Self { path, changing: Arc::default() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// [`Problem::UnsafePath`] where it is not a file of ours alone.
    pub fn there(&self) -> Result<bool, Problem> {
        Ok(open(&self.path)?.is_some())
    }

    /// An item's key, if there is one.
    ///
    /// # Errors
    /// [`Problem::UnsafePath`], [`Problem::DatabaseDamaged`].
    pub fn get(&self, identity: &Identity, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        Ok(self.keys(identity)?.remove(item))
    }

    /// Stores an item's key.
    ///
    /// # Errors
    /// As [`Self::get`]; [`Problem::NotWritten`].
    pub fn put(&self, identity: &Identity, item: &str, key: &[u8]) -> Result<(), Problem> {
        if item.is_empty() || item.contains(char::is_whitespace) {
            return Err(Problem::Internal { detail: "a key's name must be one word".to_owned() });
        }
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.keys(identity)?;
        keys.insert(item.to_owned(), Zeroizing::new(key.to_vec()));
        self.write(&identity.to_public(), &keys)
    }

    /// Deletes an item; one that is not there is deleted.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn delete(&self, identity: &Identity, item: &str) -> Result<(), Problem> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut keys = self.keys(identity)?;
        match keys.remove(item) {
            Some(_) => self.write(&identity.to_public(), &keys),
            None => Ok(()),
        }
    }

    fn keys(&self, identity: &Identity) -> Result<Keys, Problem> {
        let Some(sealed) = read(&self.path)? else { return Ok(Keys::new()) };
        let text = decrypt(identity, &sealed).map_err(|error| match error {
            DecryptError::NoMatchingKeys => damaged(&self.path, "it is sealed for another identity"),
            _ => damaged(&self.path, "it is cut off or altered"),
        })?;
        parse(&text).ok_or_else(|| damaged(&self.path, "it does not hold Larder's keys"))
    }

    fn write(&self, recipient: &Recipient, keys: &Keys) -> Result<(), Problem> {
        // Its whole length at once: a text that grows leaves copies of itself in memory.
        let length = keys.iter().map(|(item, key)| item.len() + 2 * key.len() + 2).sum();
        let mut text = Zeroizing::new(String::with_capacity(length));
        for (item, key) in keys {
            text.push_str(item);
            text.push(' ');
            text.push_str(&Zeroizing::new(hex::encode(key)));
            text.push('\n');
        }
        let sealed = age::encrypt(recipient, text.as_bytes())
            .map_err(|_| Problem::Internal { detail: "the keys could not be sealed".to_owned() })?;
        folders::replace_bytes(&self.path, &sealed)
    }
}

fn parse(text: &[u8]) -> Option<Keys> {
    let text = std::str::from_utf8(text).ok()?;
    let key = |line: &str| {
        let (item, key) = line.split_once(' ')?;
        Some((item.to_owned(), Zeroizing::new(hex::decode(key).ok()?)))
    };
    text.lines().map(key).collect()
}

/// Opens an age file.
///
/// # Errors
/// As age says.
pub fn decrypt(identity: &dyn age::Identity, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptError> {
    let mut opened = Decryptor::new_buffered(sealed)?.decrypt(std::iter::once(identity))?;
    // What is inside is shorter; with room enough, nothing is copied.
    let mut text = Zeroizing::new(Vec::with_capacity(sealed.len()));
    opened.read_to_end(&mut text)?;
    Ok(text)
}

/// A file of ours alone, whole; `None` where there is none.
///
/// # Errors
/// [`Problem::UnsafePath`], [`Problem::DatabaseDamaged`].
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, Problem> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut content = Vec::new();
    file.take(MOST_FILE + 1).read_to_end(&mut content).map_err(|error| damaged(path, error.kind().to_string()))?;
    if content.len() as u64 > MOST_FILE {
        return Err(damaged(path, format!("it is longer than {MOST_FILE} bytes")));
    }
    Ok(Some(content))
}

/// Opens a file to read; refuses a symlink, what is no file, what is somebody else's, and what others may read.
fn open(path: &Path) -> Result<Option<File>, Problem> {
    let refuse =
        |detail: String| Err(Problem::UnsafePath { path: path.display().to_string(), detail: detail.to_owned() });
    // Not waiting: a pipe of this name would wait for somebody who writes to it.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(i32::try_from(flags.bits()).unwrap_or_default()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return refuse("it is a symbolic link".to_owned());
        }
        Err(error) => return Err(damaged(path, error.kind().to_string())),
    };
    let found = file.metadata().map_err(|error| damaged(path, error.kind().to_string()))?;
    if !found.is_file() {
        return refuse("it is no file".to_owned());
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        return refuse("it belongs to somebody else".to_owned());
    }
    if found.mode() & NOT_OTHERS != 0 {
        let mode = found.mode() & 0o777;
        return refuse(format!("its mode is {mode:o}, others may have read it; `chmod 600` it"));
    }
    Ok(Some(file))
}

/// The problem for a file that does not open.
pub fn damaged(path: &Path, detail: impl Into<String>) -> Problem {
    Problem::DatabaseDamaged { file: path.display().to_string(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn file() -> (tempfile::TempDir, AgeFile, Identity) {
        let folder = tempfile::tempdir().unwrap();
        let file = AgeFile::new(folder.path().join("keys.age"));
        (folder, file, Identity::generate())
    }

    #[test]
    fn keys_come_back_and_a_deleted_one_is_gone_from_the_file() {
        let (folder, file, identity) = file();
        assert_eq!((file.there(), file.get(&identity, "a")), (Ok(false), Ok(None)));
        file.delete(&identity, "a").unwrap();
        assert_eq!(file.there(), Ok(false), "nothing to delete writes nothing");
        file.put(&identity, "a", &[1; 32]).unwrap();
        file.put(&identity, "b", &[2; 32]).unwrap();
        file.put(&identity, "a", &[3; 32]).unwrap();
        assert_eq!(file.get(&identity, "a").unwrap().unwrap().as_slice(), [3; 32]);
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        file.delete(&identity, "a").unwrap();
        assert_eq!(file.get(&identity, "a"), Ok(None));
        let inside = decrypt(&identity, &fs::read(file.path()).unwrap()).unwrap();
        assert_eq!(inside.as_slice(), format!("b {}\n", "02".repeat(32)).as_bytes());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["keys.age"], "nothing is left beside it");
    }

    #[test]
    fn another_identity_does_not_open_it_and_leaves_it_alone() {
        let (_folder, file, identity) = file();
        file.put(&identity, "a", &[1; 32]).unwrap();
        let before = fs::read(file.path()).unwrap();
        let other = Identity::generate();
        for result in [file.get(&other, "a").map(drop), file.put(&other, "b", &[2; 32]), file.delete(&other, "a")] {
            assert!(
                matches!(&result, Err(Problem::DatabaseDamaged { detail, .. }) if detail.contains("another identity"))
            );
        }
        assert_eq!(fs::read(file.path()).unwrap(), before);
    }

    #[test]
    fn a_file_that_is_cut_off_or_altered_anywhere_opens_nothing() {
        let (_folder, file, identity) = file();
        file.put(&identity, "a", &[1; 32]).unwrap();
        let whole = fs::read(file.path()).unwrap();
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        let altered = (0..whole.len()).map(|at| {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            altered
        });
        for content in cut.chain(altered) {
            fs::write(file.path(), &content).unwrap();
            assert!(matches!(file.get(&identity, "a"), Err(Problem::DatabaseDamaged { .. })));
            assert!(file.put(&identity, "b", &[2; 32]).is_err());
            assert_eq!(fs::read(file.path()).unwrap(), content, "it is left as it was");
        }
    }

    #[test]
    fn a_file_that_others_may_read_a_symlink_and_what_is_no_file_are_refused() {
        let (folder, file, identity) = file();
        let refused = |wanted: &str| {
            let refused = |result: Result<(), Problem>| match result {
                Err(Problem::UnsafePath { detail, .. }) => assert!(detail.contains(wanted), "{detail}"),
                other => panic!("{other:?}"),
            };
            refused(file.there().map(drop));
            refused(file.get(&identity, "a").map(drop));
            refused(file.put(&identity, "a", &[1; 32]));
        };
        file.put(&identity, "a", &[1; 32]).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            refused("others may have read it");
        }
        let elsewhere = folder.path().join("elsewhere");
        fs::set_permissions(file.path(), Permissions::from_mode(0o600)).unwrap();
        fs::rename(file.path(), &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, file.path()).unwrap();
        refused("symbolic link");
        fs::remove_file(file.path()).unwrap();
        fs::create_dir(file.path()).unwrap();
        refused("no file");
        fs::remove_dir(file.path()).unwrap();
        // A pipe; nobody will ever write to it.
        assert!(std::process::Command::new("mkfifo").arg(file.path()).status().unwrap().success());
        refused("no file");
    }

    #[test]
    fn a_file_of_any_length_is_not_read_as_a_whole() {
        let (_folder, file, identity) = file();
        file.put(&identity, "a", &[1; 32]).unwrap();
        OpenOptions::new().write(true).open(file.path()).unwrap().set_len(1 << 40).unwrap();
        match file.get(&identity, "a") {
            Err(Problem::DatabaseDamaged { detail, .. }) => assert!(detail.contains("longer than"), "{detail}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn changes_from_several_threads_all_stay() {
        let (_folder, file, identity) = file();
        std::thread::scope(|scope| {
            for item in ["a", "b", "c", "d"] {
                let (file, identity) = (file.clone(), identity.clone());
                scope.spawn(move || file.put(&identity, item, item.repeat(32).as_bytes()).unwrap());
            }
        });
        for item in ["a", "b", "c", "d"] {
            assert_eq!(file.get(&identity, item).unwrap().unwrap().as_slice(), item.repeat(32).as_bytes());
        }
    }
}
