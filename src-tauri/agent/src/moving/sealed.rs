//! Sealing a bundle with age, and opening it: with a passphrase (scrypt), or for a recipient (X25519).

use crate::keychain::{LEAST_PASSPHRASE, MOST_WORK, WORK, decrypt};
use age::DecryptError;
use age::x25519::{Identity, Recipient};
use larder_core::problem::Problem;
use larder_core::protocol::MOST_PASSPHRASE;
use secrecy::{ExposeSecret, SecretString};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// The longest file that is read, in bytes: ten thousand accounts with large tokens.
const MOST_FILE: u64 = 64 * 1024 * 1024;

/// The longest file with an identity, in bytes: one line, and comments.
const MOST_IDENTITY: u64 = 4096;

/// What a file is sealed with.
pub enum Lock {
    /// Whoever knows it.
    Passphrase(SecretString),
    /// Whoever has its identity.
    Recipient(Recipient),
}

/// What opens a file.
pub enum Key {
    /// It was chosen when the file was written.
    Passphrase(SecretString),
    /// The one that belongs to the file's recipient.
    Identity(Identity),
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::BadRequest { detail: detail.into() }
}

impl Lock {
    /// One of both.
    ///
    /// # Errors
    /// [`Problem::BadRequest`].
    pub fn new(passphrase: Option<SecretString>, recipient: Option<&str>) -> Result<Self, Problem> {
        match (passphrase, recipient) {
            (None, Some(recipient)) => {
                let recipient =
                    recipient.trim().parse().map_err(|_| bad("a recipient is what age-keygen prints, age1…"))?;
                Ok(Self::Recipient(recipient))
            }
            (Some(passphrase), None) => {
                let text = passphrase.expose_secret();
                // A copy of the file can be tried at leisure.
                if text.chars().count() < LEAST_PASSPHRASE || text.len() > MOST_PASSPHRASE {
                    let detail = format!("a passphrase has {LEAST_PASSPHRASE} to {MOST_PASSPHRASE} characters");
                    return Err(bad(detail));
                }
                Ok(Self::Passphrase(passphrase))
            }
            _ => Err(bad("a file is sealed with a passphrase or for a recipient")),
        }
    }

    /// Seals.
    ///
    /// # Errors
    /// [`Problem::Internal`].
    pub fn seal(&self, plain: &[u8]) -> Result<Vec<u8>, Problem> {
        let sealed = match self {
            Self::Passphrase(passphrase) => {
                let mut scrypt = age::scrypt::Recipient::new(passphrase.clone());
                scrypt.set_work_factor(WORK);
                age::encrypt(&scrypt, plain)
            }
            Self::Recipient(recipient) => age::encrypt(recipient, plain),
        };
        sealed.map_err(|_| Problem::Internal { detail: "the export could not be sealed".to_owned() })
    }
}

impl Key {
    /// One of both; an identity is read from this file.
    ///
    /// # Errors
    /// [`Problem::BadRequest`].
    pub fn new(passphrase: Option<SecretString>, identity: Option<&Path>) -> Result<Self, Problem> {
        match (passphrase, identity) {
            (Some(passphrase), None) => Ok(Self::Passphrase(passphrase)),
            (None, Some(path)) => {
                let none = || bad(format!("{} does not hold one age identity, as age-keygen makes it", path.display()));
                let file = File::open(path).map_err(|error| bad(format!("{}: {}", path.display(), error.kind())))?;
                let mut text = Zeroizing::new(String::with_capacity(MOST_IDENTITY as usize + 1));
                file.take(MOST_IDENTITY + 1).read_to_string(&mut text).map_err(|_| none())?;
                let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
                match (lines.next().map(str::parse), lines.next()) {
                    (Some(Ok(identity)), None) => Ok(Self::Identity(identity)),
                    _ => Err(none()),
                }
            }
            _ => Err(bad("a file is opened with a passphrase or with an identity")),
        }
    }

    /// Reads a file and opens it.
    ///
    /// # Errors
    /// [`Problem::ExportSealed`], [`Problem::ExportUnreadable`].
    pub fn open(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, Problem> {
        let shown = || path.display().to_string();
        let unreadable = |detail: &str| Problem::ExportUnreadable { path: shown(), detail: detail.to_owned() };
        let file = File::open(path).map_err(|error| unreadable(&error.kind().to_string()))?;
        if !file.metadata().is_ok_and(|found| found.is_file()) {
            return Err(unreadable("it is no file"));
        }
        let mut sealed = Vec::new();
        file.take(MOST_FILE + 1).read_to_end(&mut sealed).map_err(|error| unreadable(&error.kind().to_string()))?;
        if sealed.len() as u64 > MOST_FILE {
            return Err(unreadable("it is too long"));
        }
        let opened = match self {
            Self::Passphrase(passphrase) => {
                let mut scrypt = age::scrypt::Identity::new(passphrase.clone());
                scrypt.set_max_work_factor(MOST_WORK);
                decrypt(&scrypt, &sealed)
            }
            Self::Identity(identity) => decrypt(identity, &sealed),
        };
        opened.map_err(|error| match error {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed | DecryptError::NoMatchingKeys => {
                Problem::ExportSealed { path: shown() }
            }
            DecryptError::ExcessiveWork { .. } => unreadable("it asks for more work than Larder does"),
            _ => unreadable("it is cut off, altered, or no age file"),
        })
    }
}
