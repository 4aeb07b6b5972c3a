//! ID tokens: RS256, which every OpenID provider has to offer (OpenID Connect Core 15.1) and every client expects.
//!
//! openidconnect builds and encodes the token; aws-lc-rs makes the key and signs.

use std::io;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use openidconnect::core::{CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKeyId, PrivateSigningKey, SigningError};
use serde_json::{Value, json};

use crate::secret::SecretHash;

/// The server's key pair.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    kid: String,
}

impl SigningKey {
    pub(crate) fn generate() -> io::Result<Self> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Self::new).map_err(|_| io::Error::other("no signing key could be made"))
    }

    /// Reads a key that [`Self::to_pkcs8`] wrote.
    pub(crate) fn from_pkcs8(der: &[u8]) -> io::Result<Self> {
        RsaKeyPair::from_pkcs8(der).map(Self::new).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
    }

    pub(crate) fn to_pkcs8(&self) -> io::Result<Vec<u8>> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| io::Error::other("the signing key cannot be written"))?;
        Ok(der.as_ref().to_vec())
    }

    fn new(pair: RsaKeyPair) -> Self {
        // Named by its content, so that a client which kept the keys of an earlier start notices that it has to fetch them again.
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
        let kid = SecretHash::of(&format!("{modulus:02x?}")).short();
        Self { pair, kid }
    }

    /// The JWK Set (RFC 7517 5).
    pub(crate) fn jwks(&self) -> Value {
        let mut key = json!(self.as_verification_key());
        key["alg"] = json!(CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256);
        json!({ "keys": [key] })
    }
}

impl PrivateSigningKey for SigningKey {
    type VerificationKey = CoreJsonWebKey;

    fn sign(&self, algorithm: &CoreJwsSigningAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        if *algorithm != CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256 {
            return Err(SigningError::UnsupportedAlg(format!("{algorithm:?}")));
        }
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| SigningError::CryptoError)?;
        Ok(signature)
    }

    fn as_verification_key(&self) -> CoreJsonWebKey {
        let public = self.pair.public_key();
        CoreJsonWebKey::new_rsa(
            public.modulus().big_endian_without_leading_zero().to_vec(),
            public.exponent().big_endian_without_leading_zero().to_vec(),
            Some(JsonWebKeyId::new(self.kid.clone())),
        )
    }
}
