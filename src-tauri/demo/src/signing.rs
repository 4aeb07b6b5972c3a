//! ID tokens: RS256, which every OpenID provider has to offer (OpenID Connect Core 15.1) and every client expects.
//!
//! openidconnect builds and encodes the token; aws-lc-rs makes the key and signs.

use std::io;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use chrono::DateTime;
use openidconnect::core::{CoreGenderClaim, CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{
    AccessToken, Audience, EmptyAdditionalClaims, EndUserEmail, EndUserName, EndUserUsername, IssuerUrl, JsonWebKeyId,
    Nonce, PrivateSigningKey, SigningError, StandardClaims, SubjectIdentifier,
};
use serde_json::{Value, json};

use crate::clock::Millis;
use crate::secret::SecretHash;
use crate::server::CLIENT_ID;
use crate::user::User;

/// An ID token is read once, right after it was given; ten minutes forgive a clock that is a little off.
const ID_TOKEN_LIFETIME: Millis = 10 * 60 * 1000;

/// What an ID token says.
#[derive(Debug)]
pub(crate) struct IdTokenContent<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) user: &'a User,
    pub(crate) scope: &'a [String],
    pub(crate) nonce: Option<&'a str>,
    pub(crate) auth_time: Millis,
    pub(crate) now: Millis,
    /// For at_hash (OpenID Connect Core 3.1.3.6).
    pub(crate) access_token: &'a str,
}

/// An ID token could not be made.
#[derive(Debug)]
pub(crate) struct IdTokenFailed;

/// The server's key pair.
#[derive(Debug)]
pub(crate) struct SigningKey {
    pair: RsaKeyPair,
    kid: String,
}

impl SigningKey {
    pub(crate) fn generate() -> io::Result<Self> {
        RsaKeyPair::generate(KeySize::Rsa2048)
            .map(Self::new)
            .map_err(|_| io::Error::other("no signing key could be made"))
    }

    /// Reads a key that [`Self::to_pkcs8`] wrote.
    pub(crate) fn from_pkcs8(der: &[u8]) -> io::Result<Self> {
        RsaKeyPair::from_pkcs8(der)
            .map(Self::new)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e.to_string()))
    }

    pub(crate) fn to_pkcs8(&self) -> io::Result<Vec<u8>> {
        let der: Pkcs8V1Der<'_> =
            self.pair.as_der().map_err(|_| io::Error::other("the signing key cannot be written"))?;
        Ok(der.as_ref().to_vec())
    }

    fn new(pair: RsaKeyPair) -> Self {
        // Named by its content, so that a client which kept the keys of an earlier start notices that it has to fetch
        // them again.
        let modulus = pair.public_key().modulus().big_endian_without_leading_zero();
        let kid = SecretHash::of(&format!("{modulus:02x?}")).short();
        Self { pair, kid }
    }

    /// An ID token in compact form (OpenID Connect Core 2).
    pub(crate) fn id_token(&self, content: IdTokenContent<'_>) -> Result<String, IdTokenFailed> {
        let has = |wanted: &str| content.scope.iter().any(|name| name == wanted);
        let time = |at: Millis| {
            i64::try_from(at / 1000).ok().and_then(|at| DateTime::from_timestamp(at, 0)).ok_or(IdTokenFailed)
        };

        let mut claims = StandardClaims::<CoreGenderClaim>::new(SubjectIdentifier::new(content.user.sub()));
        // OpenID Connect Core 5.4: what is said follows what was asked for.
        if has("profile") {
            claims = claims
                .set_name(Some(EndUserName::new(content.user.name()).into()))
                .set_preferred_username(Some(EndUserUsername::new(content.user.username.clone())));
        }
        if has("email") {
            claims = claims.set_email(Some(EndUserEmail::new(content.user.email())));
        }
        let claims = CoreIdTokenClaims::new(
            IssuerUrl::new(content.issuer.to_owned()).map_err(|_| IdTokenFailed)?,
            vec![Audience::new(CLIENT_ID.to_owned())],
            time(content.now.saturating_add(ID_TOKEN_LIFETIME))?,
            time(content.now)?,
            claims,
            EmptyAdditionalClaims {},
        )
        .set_auth_time(Some(time(content.auth_time)?))
        .set_nonce(content.nonce.map(|nonce| Nonce::new(nonce.to_owned())));

        let access_token = AccessToken::new(content.access_token.to_owned());
        CoreIdToken::new(claims, self, CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, Some(&access_token), None)
            .map(|token| token.to_string())
            .map_err(|_| IdTokenFailed)
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
