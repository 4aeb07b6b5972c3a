//! A credential of the agent's systemd unit opens the keys: an age identity, as `age-keygen` makes it.
//!
//! The identity has 32 random bytes by its form, so there is nothing to guess. It is read for each call and kept nowhere.

use super::KeyStore;
use super::age_file::AgeFile;
use age::x25519::Identity;
use larder_core::problem::Problem;
use secrecy::SecretString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The variable with which systemd says where a unit's credentials are.
pub const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// The credential's name.
const NAME: &str = "larder";

/// The longest credential that is read, in bytes: an identity has 74, and `age-keygen` writes two lines about it.
const MOST_CREDENTIAL: u64 = 4096;

/// The store.
#[derive(Debug)]
pub struct Credential {
    /// The credential; `None` where the agent was given none.
    path: Option<PathBuf>,
    file: AgeFile,
}

impl Credential {
    /// Keys in this file, opened by the credential in this folder.
    pub fn new(directory: Option<PathBuf>, file: AgeFile) -> Self {
        Self { path: directory.map(|directory| directory.join(NAME)), file }
    }

    fn identity(&self) -> Result<Identity, Problem> {
        let unusable = |detail: &str| {
            let path = self.path.as_ref().map_or_else(|| NAME.to_owned(), |path| path.display().to_string());
            Problem::CredentialUnusable { path, detail: detail.to_owned() }
        };
        let Some(path) = &self.path else {
            return Err(unusable("the agent was started without credentials, not by its unit"));
        };
        let file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => unusable("it is not there"),
            kind => unusable(&kind.to_string()),
        })?;
        let found = file.metadata().map_err(|error| unusable(&error.kind().to_string()))?;
        // Not the group: systemd lets a unit's user in by an access list, which the group's bits then stand for.
        if found.mode() & 0o007 != 0 {
            return Err(unusable("everybody may read it"));
        }
        let mut text = Zeroizing::new(String::with_capacity(MOST_CREDENTIAL as usize + 1));
        file.take(MOST_CREDENTIAL + 1)
            .read_to_string(&mut text)
            .map_err(|error| unusable(&error.kind().to_string()))?;
        if text.len() as u64 > MOST_CREDENTIAL {
            return Err(unusable("it is too long to be an identity"));
        }
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        match (lines.next().map(str::parse), lines.next()) {
            (Some(Ok(identity)), None) => Ok(identity),
            _ => Err(unusable("it is not one age identity, as `age-keygen` makes it")),
        }
    }
}

impl KeyStore for Credential {
    fn ready(&mut self) -> Result<(), Problem> {
        self.identity()?;
        self.file.there().map(drop)
    }

    fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
        self.ready()
    }

    fn inspect(&mut self) -> Result<(), Problem> {
        self.get("").map(drop)
    }

    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        self.file.get(&self.identity()?, item)
    }

    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
        self.file.put(&self.identity()?, item, bytes)
    }

    fn delete(&mut self, item: &str) -> Result<(), Problem> {
        self.file.delete(&self.identity()?, item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn give(folder: &Path, content: &[u8]) {
        let path = folder.join(NAME);
        let _ = fs::remove_file(&path);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o400)).unwrap();
    }

    fn store(folder: &Path) -> Credential {
        Credential::new(Some(folder.to_owned()), AgeFile::new(folder.join("keys.age")))
    }

    fn unusable(store: &mut Credential, wanted: &str) {
        let results = [store.ready(), store.unlock(None), store.inspect(), store.put("a", &[1; 32])];
        for result in results {
            match result {
                Err(Problem::CredentialUnusable { detail, .. }) => assert!(detail.contains(wanted), "{detail}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_credential_opens_and_nothing_is_kept_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let identity = Identity::generate().to_string();
        give(folder.path(), format!("# created: today\n\n{}\n", identity.expose_secret()).as_bytes());
        let mut store = store(folder.path());
        store.ready().unwrap();
        store.put("a", &[1; 32]).unwrap();
        assert_eq!(store.get("a").unwrap().unwrap().as_slice(), [1; 32]);
        store.inspect().unwrap();
        fs::remove_file(folder.path().join(NAME)).unwrap();
        unusable(&mut store, "it is not there");
        give(folder.path(), Identity::generate().to_string().expose_secret().as_bytes());
        store.ready().unwrap();
        assert!(matches!(store.inspect(), Err(Problem::DatabaseDamaged { .. })), "another identity");
        assert!(matches!(store.put("a", &[1; 32]), Err(Problem::DatabaseDamaged { .. })));
    }

    #[test]
    fn what_is_not_one_identity_is_said_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        let two = [Identity::generate(), Identity::generate()].map(|one| one.to_string().expose_secret().to_owned());
        let public = Identity::generate().to_public().to_string();
        for content in ["", "secret", "# AGE-SECRET-KEY-1", &two.join("\n"), &public, &two[0][..60]] {
            give(folder.path(), content.as_bytes());
            unusable(&mut store, "it is not one age identity");
        }
        give(folder.path(), &[0xff; 64]);
        unusable(&mut store, "invalid");
        give(folder.path(), format!("{}\n{}", "#".repeat(4096), two[0]).as_bytes());
        unusable(&mut store, "too long");
        give(folder.path(), two[0].as_bytes());
        fs::set_permissions(folder.path().join(NAME), Permissions::from_mode(0o644)).unwrap();
        unusable(&mut store, "everybody may read it");
        assert!(!folder.path().join("keys.age").exists());
    }

    #[test]
    fn an_agent_without_credentials_says_that_it_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Credential::new(None, AgeFile::new(folder.path().join("keys.age")));
        unusable(&mut store, "without credentials");
    }
}
