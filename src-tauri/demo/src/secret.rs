//! Codes and tokens: made at random, kept and compared as hashes.

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::{PkceCodeChallenge, PkceCodeVerifier};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;

/// 256 bits: RFC 6749 10.10 asks for a chance of guessing of 2^-160 at most.
const SECRET_BYTES: usize = 32;

/// How much of a hash names a token in the log: enough to tell tokens apart, useless to anybody who reads it.
const SHORT: usize = 12;

/// A new opaque secret. `None` when the operating system gives no randomness.
pub(crate) fn random_secret() -> Option<String> {
    let mut bytes = [0; SECRET_BYTES];
    rand::fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// SHA-256 of a secret, in hex. The server keeps no secret itself: neither its memory nor its state file opens a
/// session, and looking one up by its hash tells nothing by the time it takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct SecretHash(String);

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, secret.as_bytes());
        Self(digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// What names the secret in the log.
    pub(crate) fn short(&self) -> String {
        self.0.chars().take(SHORT).collect()
    }
}

/// RFC 7636 4.2: a challenge is the base64url of a SHA-256, so 43 characters.
pub(crate) fn is_s256_challenge(challenge: &str) -> bool {
    URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|bytes| bytes.len() == digest::SHA256_OUTPUT_LEN)
}

/// RFC 7636 4.1 and 4.6: the verifier is well formed, and it is the one the challenge was made of.
pub(crate) fn verifier_fits(verifier: &str, challenge: &str) -> bool {
    let well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if !well_formed {
        return false;
    }
    let made = PkceCodeChallenge::from_code_verifier_sha256(&PkceCodeVerifier::new(verifier.to_owned()));
    made.as_str().as_bytes().ct_eq(challenge.as_bytes()).into()
}
