//! A private key that a client signs assertions with: PKCS#8, or a JSON Web Key.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, EncodingKey, Header};
use pkcs8::der::Decode;
use pkcs8::{PrivateKeyInfo, SecretDocument};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A private key that signs assertions. Zeroized on drop by `EncodingKey`.
pub struct ClientKey {
    pub(crate) key: EncodingKey,
    algorithm: Algorithm,
    id: Option<String>,
}

/// A private JWK (RFC 7517, RFC 7518 section 6, RFC 8037).
#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<Algorithm>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    d: Option<Zeroizing<String>>,
    p: Option<Zeroizing<String>>,
    q: Option<Zeroizing<String>>,
    dp: Option<Zeroizing<String>>,
    dq: Option<Zeroizing<String>>,
    qi: Option<Zeroizing<String>>,
}

type Bytes = Zeroizing<Vec<u8>>;

impl ClientKey {
    /// Reads PKCS#8 as PEM, or a private JWK.
    ///
    /// # Errors
    /// What is wrong, in words that hold nothing of the key.
    pub fn parse(secret: &SecretString) -> Result<Self, &'static str> {
        let text = secret.expose_secret().trim();
        if text.starts_with('{') { Self::from_jwk(text) } else { Self::from_pem(text) }
    }

    fn from_pem(text: &str) -> Result<Self, &'static str> {
        let (label, document) =
            SecretDocument::from_pem(text).map_err(|_| "it is neither complete PEM nor a JSON Web Key")?;
        match label {
            "PRIVATE KEY" => Self::from_pkcs8(document.as_bytes()),
            "ENCRYPTED PRIVATE KEY" => Err("it is encrypted; `openssl pkcs8 -in FILE` writes it without a password"),
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" => {
                Err("it is of an older form; `openssl pkcs8 -topk8 -nocrypt -in FILE` writes it as PKCS#8")
            }
            _ => Err("it is no private key"),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, &'static str> {
        if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            return Self::from_rsa(&key);
        }
        if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            let der = key.to_pkcs8v1().map_err(|_| UNUSABLE)?;
            return Ok(Self::new(EncodingKey::from_ec_der(der.as_ref()), Algorithm::ES256));
        }
        let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|_| UNUSABLE)?;
        Self::from_ed25519(&key)
    }

    fn from_rsa(key: &RsaKeyPair) -> Result<Self, &'static str> {
        let pkcs8 = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(key).map_err(|_| UNUSABLE)?;
        // `jsonwebtoken` takes what PKCS#8 wraps.
        let info = PrivateKeyInfo::from_der(pkcs8.as_ref()).map_err(|_| UNUSABLE)?;
        Ok(Self::new(EncodingKey::from_rsa_der(info.private_key), Algorithm::RS256))
    }

    fn from_ed25519(key: &Ed25519KeyPair) -> Result<Self, &'static str> {
        let der = key.to_pkcs8v1().map_err(|_| UNUSABLE)?;
        Ok(Self::new(EncodingKey::from_ed_der(der.as_ref()), Algorithm::EdDSA))
    }

    fn new(key: EncodingKey, algorithm: Algorithm) -> Self {
        Self { key, algorithm, id: None }
    }

    fn from_jwk(text: &str) -> Result<Self, &'static str> {
        let jwk: PrivateJwk =
            serde_json::from_str(text).map_err(|_| "it is no JSON Web Key, or its alg is not one of RFC 7518")?;
        let private = |part: &Option<Zeroizing<String>>| -> Result<Bytes, &'static str> {
            let part = part.as_ref().ok_or("parts of the private key are missing")?;
            decoded(part)
        };
        let public = |part: &Option<String>| -> Result<Bytes, &'static str> {
            let part = part.as_ref().ok_or("parts of the public key are missing")?;
            decoded(part)
        };
        let mut key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
            ("RSA", _) => {
                let components = KeyPairComponents {
                    public_key: PublicKeyComponents { n: public(&jwk.n)?, e: public(&jwk.e)? },
                    d: private(&jwk.d)?,
                    p: private(&jwk.p)?,
                    q: private(&jwk.q)?,
                    dP: private(&jwk.dp)?,
                    dQ: private(&jwk.dq)?,
                    qInv: private(&jwk.qi)?,
                };
                Self::from_rsa(&RsaKeyPair::from_components(&components).map_err(|_| UNUSABLE)?)?
            }
            ("EC", Some("P-256")) => {
                // SEC 1 section 2.3.3: a point that is not compressed.
                let point = [&[4][..], &public(&jwk.x)?, &public(&jwk.y)?].concat();
                let d = private(&jwk.d)?;
                let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair =
                    EcdsaKeyPair::from_private_key_and_public_key(algorithm, &d, &point).map_err(|_| UNUSABLE)?;
                let der = pair.to_pkcs8v1().map_err(|_| UNUSABLE)?;
                Self::new(EncodingKey::from_ec_der(der.as_ref()), Algorithm::ES256)
            }
            ("OKP", Some("Ed25519")) => {
                let pair = Ed25519KeyPair::from_seed_and_public_key(&private(&jwk.d)?, &public(&jwk.x)?);
                Self::from_ed25519(&pair.map_err(|_| UNUSABLE)?)?
            }
            _ => return Err("it is of another kind"),
        };
        key.id = jwk.kid;
        if let Some(algorithm) = jwk.alg {
            let fits = match key.key.family() {
                AlgorithmFamily::Rsa => algorithm.family() == AlgorithmFamily::Rsa,
                _ => algorithm == key.algorithm,
            };
            if !fits {
                return Err("its alg does not fit its key");
            }
            key.algorithm = algorithm;
        }
        Ok(key)
    }

    /// These claims, signed (RFC 7515).
    ///
    /// # Errors
    /// Where the key cannot sign.
    pub fn sign(&self, claims: &impl Serialize) -> Result<SecretString, &'static str> {
        let mut header = Header::new(self.algorithm);
        header.kid.clone_from(&self.id);
        jsonwebtoken::encode(&header, claims, &self.key).map(SecretString::from).map_err(|_| UNUSABLE)
    }
}

/// What is said of a key that can be read and not used.
pub const UNUSABLE: &str = "it is damaged, of another kind, or RSA of fewer than 2048 bits";

fn decoded(text: &str) -> Result<Bytes, &'static str> {
    URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| "a part of it is not base64url")
}
