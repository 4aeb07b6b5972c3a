//! Which store it is. Its person chooses, once for each start of the agent; nothing is ever fallen back to.

use super::age_file::AgeFile;
use super::credential::{self, Credential};
use super::passphrase::Passphrase;
use super::{KeyStore, Keychain, os};
use crate::settings::{self, Store};
use larder_core::problem::Problem;
use larder_core::profile::Profile;
use secrecy::SecretString;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use zeroize::Zeroizing;

/// The keychain that the profile's settings name.
///
/// Where the settings cannot be read, it is none until they can be: a guess could put keys where nobody wanted them.
pub fn chosen(profile: &Profile, variable: impl Fn(&str) -> Option<OsString>) -> Keychain {
    let choice = Choice {
        settings: profile.settings(),
        store: Arc::default(),
        credentials: variable(credential::DIRECTORY).filter(|folder| !folder.is_empty()).map(PathBuf::from),
        credential_keys: AgeFile::new(profile.credential_keys()),
        passphrase: Passphrase::new(profile.passphrase(), AgeFile::new(profile.passphrase_keys())),
    };
    // What is wrong with the settings is told where they are watched, and by the store when it is needed.
    let _ = choice.store();
    let store = Arc::clone(&choice.store);
    Keychain::new(move || store.get().copied(), move || Box::new(Chosen { choice: choice.clone(), store: None }))
}

/// What each store is made of. What must be the same for all of them, in one process, is shared.
#[derive(Clone)]
struct Choice {
    settings: PathBuf,
    store: Arc<OnceLock<Store>>,
    credentials: Option<PathBuf>,
    credential_keys: AgeFile,
    passphrase: Passphrase,
}

impl Choice {
    fn store(&self) -> Result<Store, Problem> {
        if let Some(store) = self.store.get() {
            return Ok(*store);
        }
        let read = settings::store(&self.settings)?;
        Ok(*self.store.get_or_init(|| read))
    }

    fn make(&self) -> Result<Box<dyn KeyStore>, Problem> {
        Ok(match self.store()? {
            Store::OsKeychain => Box::new(os::Store::default()),
            Store::SystemdCredential => {
                Box::new(Credential::new(self.credentials.clone(), self.credential_keys.clone()))
            }
            Store::Passphrase => Box::new(self.passphrase.clone()),
        })
    }
}

/// The store that was chosen, as soon as it is known which.
struct Chosen {
    choice: Choice,
    store: Option<Box<dyn KeyStore>>,
}

impl Chosen {
    fn store(&mut self) -> Result<&mut dyn KeyStore, Problem> {
        let store = match self.store.take() {
            Some(store) => store,
            None => self.choice.make()?,
        };
        Ok(self.store.insert(store).as_mut())
    }
}

impl KeyStore for Chosen {
    fn ready(&mut self) -> Result<(), Problem> {
        self.store()?.ready()
    }

    fn unlock(&mut self, passphrase: Option<&SecretString>) -> Result<(), Problem> {
        self.store()?.unlock(passphrase)
    }

    fn close(&mut self) -> bool {
        self.store().is_ok_and(KeyStore::close)
    }

    fn inspect(&mut self) -> Result<(), Problem> {
        self.store()?.inspect()
    }

    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        self.store()?.get(item)
    }

    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
        self.store()?.put(item, bytes)
    }

    fn delete(&mut self, item: &str) -> Result<(), Problem> {
        self.store()?.delete(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn profile(home: &Path) -> Profile {
        Profile::locate(|name| (name == "LARDER_HOME").then(|| home.as_os_str().to_owned())).unwrap()
    }

    #[test]
    fn settings_that_cannot_be_read_choose_nothing_until_they_can_and_then_once() {
        let home = tempfile::tempdir().unwrap();
        let settings = home.path().join("config.toml");
        std::fs::write(&settings, "[keychain]\nstore = \"vault\"\n").unwrap();
        let keychain = chosen(&profile(home.path()), |_| None);
        let mut store = (keychain.make)();
        assert!(matches!(store.ready(), Err(Problem::BadConfig { line: 2, .. })));
        assert!(matches!(store.put("a", &[1; 32]), Err(Problem::BadConfig { line: 2, .. })));
        assert_eq!((keychain.chosen(), keychain.kind()), (None, "not chosen"));
        std::fs::write(&settings, "[keychain]\nstore = \"passphrase\"\n").unwrap();
        assert_eq!(store.ready(), Err(Problem::PassphraseUnset));
        std::fs::write(&settings, "[keychain]\nstore = \"systemd-credential\"\n").unwrap();
        assert_eq!(store.ready(), Err(Problem::PassphraseUnset));
        assert_eq!((keychain.make)().ready(), Err(Problem::PassphraseUnset), "it was chosen for this start");
        assert_eq!((keychain.chosen(), keychain.kind()), (Some(Store::Passphrase), "passphrase"));
    }

    #[test]
    fn a_credential_is_no_substitute_where_none_was_chosen() {
        let home = tempfile::tempdir().unwrap();
        let keychain = chosen(&profile(home.path()), |_| Some(home.path().as_os_str().to_owned()));
        assert_eq!(keychain.chosen(), Some(Store::OsKeychain));
        std::fs::write(home.path().join("config.toml"), "[keychain]\nstore = \"systemd-credential\"\n").unwrap();
        let keychain = chosen(&profile(home.path()), |_| None);
        assert!(matches!((keychain.make)().ready(), Err(Problem::CredentialUnusable { .. })));
    }
}
