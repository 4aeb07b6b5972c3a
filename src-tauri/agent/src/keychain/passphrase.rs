//! A passphrase opens the keys, once for each start of the agent.
//!
//! The passphrase opens an identity (`passphrase.age`, scrypt), and that opens the keys. So the slow part is done at
//! `larder unlock` alone, and from then on the agent holds the identity and not the passphrase.

use super::KeyStore;
use super::age_file::{AgeFile, damaged, decrypt, read};
use crate::folders;
use age::DecryptError;
use age::x25519::Identity;
use larder_core::problem::Problem;
use larder_core::protocol::MOST_PASSPHRASE;
use secrecy::{ExposeSecret, SecretString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use zeroize::Zeroizing;

/// scrypt's work, as a power of two: one second and 256 MiB, while the passphrase is tried. As age's own program has it.
pub const WORK: u8 = 18;

/// The most work that a file may ask for: four seconds and 1 GiB. More would be a file that somebody made to stop us.
pub const MOST_WORK: u8 = 20;

/// The shortest passphrase that may be chosen, in characters: a copy of the file can be tried at leisure.
pub const LEAST_PASSPHRASE: usize = 12;

/// The store.
#[derive(Clone)]
pub struct Passphrase {
    /// The identity, sealed with the passphrase.
    sealed: PathBuf,
    keys: AgeFile,
    /// The identity, since it was opened. The same one for each store of this process.
    opened: Arc<Mutex<Option<Identity>>>,
    /// One passphrase is tried at a time, for each needs so much memory.
    trying: Arc<Mutex<()>>,
}

impl Passphrase {
    /// Keys in this file, opened by the identity in that one.
    pub fn new(sealed: PathBuf, keys: AgeFile) -> Self {
        Self { sealed, keys, opened: Arc::default(), trying: Arc::default() }
    }

    /// Why it is not open: no passphrase was given yet, or none was ever chosen.
    fn closed(&self) -> Problem {
        match read(&self.sealed) {
            Ok(Some(_)) => Problem::PassphraseNeeded,
            Ok(None) => match self.keys.there() {
                Ok(false) => Problem::PassphraseUnset,
                Ok(true) => damaged(self.keys.path(), format!("{}, which opens it, is missing", self.sealed.display())),
                Err(problem) => problem,
            },
            Err(problem) => problem,
        }
    }

    fn identity(&self) -> Result<Identity, Problem> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone();
        opened.ok_or_else(|| self.closed())
    }

    /// Opens the identity, or makes one where there is none yet.
    fn open(&self, passphrase: &SecretString) -> Result<Identity, Problem> {
        if passphrase.expose_secret().len() > MOST_PASSPHRASE {
            let detail = format!("a passphrase has at most {MOST_PASSPHRASE} bytes");
            return Err(Problem::BadRequest { detail });
        }
        if let Some(sealed) = read(&self.sealed)? {
            return self.try_one(passphrase, &sealed);
        }
        match self.closed() {
            Problem::PassphraseUnset => self.choose(passphrase),
            problem => Err(problem),
        }
    }

    fn try_one(&self, passphrase: &SecretString, sealed: &[u8]) -> Result<Identity, Problem> {
        let mut scrypt = age::scrypt::Identity::new(passphrase.clone());
        scrypt.set_max_work_factor(MOST_WORK);
        let text = decrypt(&scrypt, sealed).map_err(|error| match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Problem::WrongPassphrase,
            DecryptError::ExcessiveWork { .. } => damaged(&self.sealed, "it asks for more work than Larder does"),
            DecryptError::NoMatchingKeys => damaged(&self.sealed, "it is not sealed with a passphrase"),
            _ => damaged(&self.sealed, "it is cut off or altered"),
        })?;
        let identity = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
        identity.ok_or_else(|| damaged(&self.sealed, "it does not hold an age identity"))
    }

    fn choose(&self, passphrase: &SecretString) -> Result<Identity, Problem> {
        if passphrase.expose_secret().chars().count() < LEAST_PASSPHRASE {
            let detail = format!("a new passphrase has at least {LEAST_PASSPHRASE} characters");
            return Err(Problem::BadRequest { detail });
        }
        let identity = Identity::generate();
        let mut scrypt = age::scrypt::Recipient::new(passphrase.clone());
        scrypt.set_work_factor(WORK);
        let text = identity.to_string();
        let text = Zeroizing::new(format!("{}\n", text.expose_secret()));
        let sealed = age::encrypt(&scrypt, text.as_bytes())
            .map_err(|_| Problem::Internal { detail: "the identity could not be sealed".to_owned() })?;
        folders::replace_bytes(&self.sealed, &sealed)?;
        Ok(identity)
    }
}

impl KeyStore for Passphrase {
    fn ready(&mut self) -> Result<(), Problem> {
        self.identity()?;
        self.keys.there().map(drop)
    }

    fn unlock(&mut self, passphrase: Option<&SecretString>) -> Result<(), Problem> {
        let Some(passphrase) = passphrase else { return self.ready() };
        {
            let _one_at_a_time = self.trying.lock().unwrap_or_else(PoisonError::into_inner);
            let identity = self.open(passphrase)?;
            *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
        }
        self.ready()
    }

    fn close(&mut self) -> bool {
        // The identity is zeroized as it goes.
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).take().is_some()
    }

    fn inspect(&mut self) -> Result<(), Problem> {
        self.get("").map(drop)
    }

    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        self.keys.get(&self.identity()?, item)
    }

    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
        self.keys.put(&self.identity()?, item, bytes)
    }

    fn delete(&mut self, item: &str) -> Result<(), Problem> {
        self.keys.delete(&self.identity()?, item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    fn store(folder: &Path) -> Passphrase {
        Passphrase::new(folder.join("passphrase.age"), AgeFile::new(folder.join("keys.age")))
    }

    fn secret(text: &str) -> SecretString {
        SecretString::from(text)
    }

    #[test]
    fn the_first_passphrase_is_the_one_and_no_other_one_opens() {
        let folder = tempfile::tempdir().unwrap();
        let mut first = store(folder.path());
        assert_eq!(first.ready(), Err(Problem::PassphraseUnset));
        assert_eq!(first.unlock(None), Err(Problem::PassphraseUnset));
        assert_eq!(first.put("a", &[1; 32]), Err(Problem::PassphraseUnset));
        assert!(matches!(first.unlock(Some(&secret("elevenchars"))), Err(Problem::BadRequest { .. })));
        let long = "x".repeat(MOST_PASSPHRASE + 1);
        assert!(matches!(first.unlock(Some(&secret(&long))), Err(Problem::BadRequest { .. })));
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is written for what is refused");
        first.unlock(Some(&secret("correct horse"))).unwrap();
        first.put("a", &[1; 32]).unwrap();
        // What an agent does with a store after a call that hung: it makes another one, and that is as open.
        assert_eq!(first.clone().get("a").unwrap().unwrap().as_slice(), [1; 32]);
        assert_eq!(fs::metadata(folder.path().join("passphrase.age")).unwrap().mode() & 0o777, 0o600);

        let mut next = store(folder.path());
        assert_eq!(next.ready(), Err(Problem::PassphraseNeeded));
        assert_eq!(next.get("a"), Err(Problem::PassphraseNeeded));
        assert_eq!(next.unlock(Some(&secret("wrong horse, long"))), Err(Problem::WrongPassphrase));
        assert_eq!(next.unlock(Some(&secret(""))), Err(Problem::WrongPassphrase));
        assert_eq!(next.ready(), Err(Problem::PassphraseNeeded));
        next.unlock(Some(&secret("correct horse"))).unwrap();
        assert_eq!(next.get("a").unwrap().unwrap().as_slice(), [1; 32]);
        assert_eq!(next.unlock(Some(&secret("wrong horse, long"))), Err(Problem::WrongPassphrase), "open or not");
        assert_eq!(next.ready(), Ok(()), "and what is open stays open");
    }

    #[test]
    fn a_sealed_identity_that_is_cut_off_missing_or_too_much_work_is_not_chosen_anew() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = folder.path().join("passphrase.age");
        store(folder.path()).unlock(Some(&secret("correct horse"))).unwrap();
        let mut opened = store(folder.path());
        opened.unlock(Some(&secret("correct horse"))).unwrap();
        opened.put("a", &[1; 32]).unwrap();
        let whole = fs::read(&sealed).unwrap();
        let refused = |content: Option<&[u8]>, wanted: &str| {
            match content {
                Some(content) => fs::write(&sealed, content).unwrap(),
                None => fs::remove_file(&sealed).unwrap(),
            }
            match store(folder.path()).unlock(Some(&secret("correct horse"))) {
                Err(Problem::DatabaseDamaged { detail, .. }) => assert!(detail.contains(wanted), "{detail}"),
                other => panic!("{other:?}"),
            }
            assert_eq!(fs::read(&sealed).ok().as_deref(), content);
        };
        refused(Some(b""), "cut off");
        refused(Some(&whole[..100]), "cut off");
        refused(Some(&whole[..whole.len() - 1]), "cut off");
        let more = String::from_utf8_lossy(&whole[..80]).replacen(" 18\n", " 40\n", 1);
        refused(Some(&[more.as_bytes(), &whole[80..]].concat()), "more work");
        refused(None, "is missing");
    }
}
