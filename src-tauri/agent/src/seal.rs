//! Sealing: XChaCha20-Poly1305, each sealed value bound to the place it belongs to.
//!
//! A sealed value is `version (1 byte) ‖ nonce (24 bytes) ‖ ciphertext and tag`. The associated data is the version, then
//! account, issuer, client, column and generation, each with its length before it: a value that is moved, swapped
//! or put back from an older generation does not open.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The format that is written.
const VERSION: u8 = 1;

/// The length of the nonce, in bytes; random ones of this length never repeat in practice.
const NONCE: usize = 24;

/// The length of a key, in bytes.
const KEY: usize = 32;

/// An account's data key. It lives in the OS keychain and in memory, nowhere else: shared, because a value that is copied
/// or moved leaves its bytes behind where it was.
#[derive(Clone)]
pub struct DataKey(Arc<Zeroizing<[u8; 32]>>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey([redacted])")
    }
}

impl DataKey {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// Where the system has none to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut random = Ok(());
        let key = Self::filled(|bytes| random = getrandom::fill(bytes));
        random.map(|()| key)
    }

    /// The one that these bytes are, if they are 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == KEY).then(|| Self::filled(|key| key.copy_from_slice(bytes)))
    }

    /// One whose bytes are written where they stay.
    fn filled(fill: impl FnOnce(&mut [u8])) -> Self {
        let mut key = Arc::new(Zeroizing::new([0; KEY]));
        // It is new, so nobody shares it yet.
        fill(Arc::make_mut(&mut key).as_mut_slice());
        Self(key)
    }

    /// The bytes, for the keychain.
    pub fn bytes(&self) -> &[u8; KEY] {
        &self.0
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&**self.0).into())
    }
}

/// Where a sealed value belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The account's id.
    pub account: &'a str,
    /// Its issuer.
    pub issuer: &'a str,
    /// Its client.
    pub client: &'a str,
    /// The column.
    pub column: &'a str,
    /// The account's generation.
    pub generation: u64,
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let generation = self.generation.to_be_bytes();
        let parts = [
            self.account.as_bytes(),
            self.issuer.as_bytes(),
            self.client.as_bytes(),
            self.column.as_bytes(),
            &generation,
        ];
        let mut data = vec![VERSION];
        for part in parts {
            data.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            data.extend_from_slice(part);
        }
        data
    }
}

/// A sealed value does not open: altered, moved, put back, or sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open")]
pub struct Unreadable;

/// Seals `plain` for this place.
///
/// # Errors
/// Where the system has no random numbers to give.
pub fn seal(key: &DataKey, place: Place<'_>, plain: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| Unreadable)?;
    let payload = Payload { msg: plain, aad: &place.associated_data() };
    let sealed = key.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| Unreadable)?;
    Ok([&[VERSION][..], &nonce, &sealed].concat())
}

/// Opens what was sealed for this place.
///
/// # Errors
/// [`Unreadable`], without a reason: there is none that an attacker should learn.
pub fn open(key: &DataKey, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unreadable> {
    let (&[VERSION], rest) = sealed.split_first_chunk::<1>().ok_or(Unreadable)? else { return Err(Unreadable) };
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable)?;
    let payload = Payload { msg: ciphertext, aad: &place.associated_data() };
    key.cipher().decrypt(&XNonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> =
        Place { account: "a", issuer: "https://i", client: "c", column: "refresh_token", generation: 7 };

    #[test]
    fn what_was_sealed_for_a_place_opens_there_and_nowhere_else() {
        let key = DataKey::random().unwrap();
        let sealed = seal(&key, HERE, b"secret").unwrap();
        assert_eq!(open(&key, HERE, &sealed).unwrap().as_slice(), b"secret");
        let elsewhere = [
            Place { account: "b", ..HERE },
            Place { issuer: "https://j", ..HERE },
            Place { client: "d", ..HERE },
            Place { column: "access_token", ..HERE },
            Place { generation: 6, ..HERE },
            // The same bytes, cut at another place.
            Place { account: "ah", issuer: "ttps://i", ..HERE },
        ];
        for place in elsewhere {
            assert_eq!(open(&key, place, &sealed), Err(Unreadable), "{place:?}");
        }
        assert_eq!(open(&DataKey::random().unwrap(), HERE, &sealed), Err(Unreadable));
    }

    #[test]
    fn an_altered_or_truncated_value_does_not_open() {
        let key = DataKey::random().unwrap();
        let sealed = seal(&key, HERE, b"secret").unwrap();
        for place in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[place] ^= 1;
            assert!(open(&key, HERE, &altered).is_err(), "byte {place}");
            assert!(open(&key, HERE, &sealed[..place]).is_err(), "first {place} bytes");
        }
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", DataKey::random().unwrap()), "DataKey([redacted])");
    }
}
