//! What an ID token must be before anything is taken from it (OpenID Connect Core 3.1.3.7 and 12.2).
//!
//! `openidconnect` checks header, issuer, audience, algorithm, signature, end and nonce. Here stands what it leaves to its
//! caller: the authorized party, the age, `at_hash`, the subject; and which claims are looked at.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use larder_core::time::{WallTime, millis};
use openidconnect::core::{CoreIdToken, CoreIdTokenClaims, CoreJsonWebKey, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IdTokenVerifier, IssuerUrl, JsonWebKey,
    JsonWebKeyAlgorithm, JsonWebKeyId, JsonWebKeySet, Nonce, NonceVerifier, SignatureVerificationError,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::str::FromStr;
use std::time::Duration;

/// Clocks differ: a token may have ended this long ago, or be issued this far ahead. Machines that ask a time server are
/// within a second; a minute forgives one that was asleep.
pub const SKEW: Duration = Duration::from_secs(60);

/// The oldest token that a sign-in may bring. It is made when the code is exchanged, a sign-in takes ten minutes, and a
/// provider whose clock is hours off is forgiven; what is older was not made for this sign-in.
pub const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);

/// `sub` has at most so many ASCII characters (OpenID Connect Core 2).
const MOST_SUBJECT: usize = 255;

/// Signatures by a key that only the issuer has; none by a secret that is shared, and not "none".
const ALGORITHMS: &[CoreJwsSigningAlgorithm] = &[
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// So many signatures are tried for one token. A set of keys may be as long as an answer, and a signature takes a millisecond, in
/// which nobody else is served; who publishes more keys of one kind gives them names.
const MOST_TRIED: usize = 32;

/// OpenID Connect Core 2: what every ID token has.
const REQUIRED: [&str; 5] = ["iss", "sub", "aud", "exp", "iat"];

/// The claims that are checked. `openidconnect` is given these alone: it takes a token apart only when every claim that it
/// knows has the right type, and providers write `email_verified`, `updated_at`, `address` or `locale` as they like.
const CHECKED: [&str; 8] = ["iss", "sub", "aud", "exp", "iat", "nonce", "azp", "at_hash"];

/// As RFC 7515 section 2 has it; padding, which it forbids and some write, harms nobody.
pub const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_encode_padding(false).with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an ID token says, checked or not read for anything that matters.
pub type Claims = Map<String, Value>;

/// What a token must be the answer to.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who made it.
    pub issuer: &'a str,
    /// For whom.
    pub client_id: &'a str,
    /// What came with it.
    pub access_token: &'a SecretString,
    /// In answer to what.
    pub to: To<'a>,
    /// When.
    pub now: WallTime,
}

/// What a token answers.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// A sign-in.
    SignIn {
        /// The nonce that was sent (OpenID Connect Core 3.1.2.1). A device authorization sends none (RFC 8628).
        nonce: Option<&'a str>,
        /// When its person must have authenticated at the earliest, where that was asked for (`max_age`).
        since: Option<WallTime>,
    },
    /// A refresh of a session of this person (OpenID Connect Core 12.2).
    Refresh {
        /// `sub`.
        subject: &'a str,
        /// The nonce of the ID token before, where that had one.
        nonce: Option<&'a str>,
    },
}

/// A token that fails a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What follows from it.
    pub kind: Kind,
    /// The check, without what it failed on.
    pub detail: &'static str,
}

/// What kind of check a token fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not this issuer's word about this person to this client.
    Foreign,
    /// None of the keys is the one that it names: there may be newer ones.
    UnknownKey,
    /// It names no key, and none of them fits: there may be newer ones.
    NoKeyFits,
    /// Anything else.
    Unfit,
}

impl Rejected {
    /// Whether another time of day would have made it right.
    pub fn by_clock(&self) -> bool {
        [ENDED, FROM_THE_FUTURE, LONG_AGO].contains(&self.detail)
    }
}

const ENDED: &str = "it has ended already";
const FROM_THE_FUTURE: &str = "it was issued in the future";
const LONG_AGO: &str = "it was issued too long ago";

const fn foreign(detail: &'static str) -> Rejected {
    Rejected { kind: Kind::Foreign, detail }
}

const fn unfit(detail: &'static str) -> Rejected {
    Rejected { kind: Kind::Unfit, detail }
}

/// Checks a token, and gives its claims. Those of [`CHECKED`] have the types of OpenID Connect Core 2; the others have any.
///
/// # Errors
/// The first check that fails.
pub fn check(text: &str, keys: &CoreJsonWebKeySet, expected: Expected<'_>) -> Result<Claims, Rejected> {
    let parts: Vec<&str> = text.split('.').collect();
    let [header, payload, signature] = parts[..] else { return Err(unfit("it is no signed JWT")) };
    let claims = read(payload).ok_or(unfit("it is no signed JWT"))?;
    let subject = required(&claims)?;
    if let To::Refresh { subject: before, .. } = expected.to
        && subject != before
    {
        return Err(foreign("it is about somebody else"));
    }
    authorized_party(&claims, expected.client_id)?;

    let mut checked = claims.clone();
    checked.retain(|name, _| CHECKED.contains(&name.as_str()));
    let straightened = format!("{header}.{}.{signature}", BASE64.encode(Value::Object(checked).to_string()));
    let token = CoreIdToken::from_str(&straightened).map_err(|_| unfit("it, or a claim of it, cannot be read"))?;
    let issuer = IssuerUrl::new(expected.issuer.to_owned()).map_err(|_| foreign("its issuer is no URL"))?;
    let client = ClientId::new(expected.client_id.to_owned());
    let verify = |keys: Vec<OfOriginal>| {
        let verifier = IdTokenVerifier::new_public_client(client.clone(), issuer.clone(), JsonWebKeySet::new(keys))
            .set_allowed_algs(ALGORITHMS.iter().cloned())
            // Of several audiences, `azp` says which is meant.
            .set_other_audience_verifier_fn(|_| true)
            .set_time_fn(|| date(expected.now.0.saturating_sub(millis(SKEW))));
        let claims = token.claims(&verifier, |nonce: Option<&Nonce>| expected.to.nonce(nonce))?;
        at_hash(&token, claims, &verifier, expected.access_token).map(|fits| (claims, fits))
    };

    // Without keys first: it fails in any case, and says what is wrong whatever the key.
    let mut failed = match verify(Vec::new()) {
        Err(error) => rejected(&error),
        Ok(_) => return Err(foreign("it is not signed")),
    };
    if failed.kind != Kind::UnknownKey {
        return Err(failed);
    }
    // Then one by one: where the token names no key, whichever fits is the one (OpenID Connect Core 10.1).
    let named = read(header).is_some_and(|header| header.get("kid").is_some_and(|kid| !kid.is_null()));
    let signed = format!("{header}.{payload}");
    let mut tried = 0;
    for key in keys.keys() {
        match verify(vec![OfOriginal { key: key.clone(), signed: signed.clone() }]) {
            Ok((_, false)) => return Err(unfit("it belongs to another access token")),
            Ok((verified, true)) => {
                issued(verified, expected)?;
                authenticated(&claims, expected)?;
                return Ok(claims);
            }
            Err(error) => {
                let error = rejected(&error);
                tried += usize::from(error.kind == Kind::Foreign);
                match error.kind {
                    Kind::UnknownKey => {}
                    _ if tried == MOST_TRIED => return Err(failed),
                    // Another key may fit.
                    Kind::Foreign if named => failed = error,
                    Kind::Foreign => failed = Rejected { kind: Kind::NoKeyFits, ..error },
                    // The signature is right, and something else is not.
                    Kind::NoKeyFits | Kind::Unfit => return Err(error),
                }
            }
        }
    }
    Err(failed)
}

/// The nonce that a token names, unchecked: for one that was checked when it came.
pub fn nonce(text: &str) -> Option<String> {
    let claims = read(text.split('.').nth(1)?)?;
    claims.get("nonce")?.as_str().map(str::to_owned)
}

fn read(payload: &str) -> Option<Claims> {
    serde_json::from_slice(&BASE64.decode(payload).ok()?).ok()
}

/// The claims that must be there are; the subject has the shape that it must have.
fn required(claims: &Claims) -> Result<&str, Rejected> {
    for name in REQUIRED {
        if claims.get(name).is_none_or(Value::is_null) {
            return Err(match name {
                "iss" => foreign("it has no iss"),
                "sub" => foreign("it has no sub"),
                "aud" => foreign("it has no aud"),
                "exp" => unfit("it has no exp"),
                _ => unfit("it has no iat"),
            });
        }
    }
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if subject.is_empty() || subject.len() > MOST_SUBJECT || !subject.is_ascii() {
        return Err(foreign("its sub is not 1 to 255 ASCII characters"));
    }
    Ok(subject)
}

/// Steps 4 and 5: where a token is for others too, it must say that we are meant; where it says who is meant, we must be.
fn authorized_party(claims: &Claims, client_id: &str) -> Result<(), Rejected> {
    match claims.get("azp").filter(|azp| !azp.is_null()) {
        Some(azp) if azp.as_str() == Some(client_id) => Ok(()),
        Some(_) => Err(foreign("it was given to another client")),
        None => match claims.get("aud") {
            Some(Value::Array(audiences)) if audiences.iter().any(|audience| audience.as_str() != Some(client_id)) => {
                let ours = audiences.iter().any(|audience| audience.as_str() == Some(client_id));
                Err(foreign(if ours { "it is for several clients, and names none in azp" } else { FOR_ANOTHER }))
            }
            _ => Ok(()),
        },
    }
}

const FOR_ANOTHER: &str = "it is for another client";

/// Step 10. When it ends was checked; when it was made says whether it can be the answer.
fn issued(claims: &CoreIdTokenClaims, expected: Expected<'_>) -> Result<(), Rejected> {
    let age = expected.now.0.saturating_sub(claims.issue_time().timestamp_millis());
    if age < -millis(SKEW) {
        return Err(unfit(FROM_THE_FUTURE));
    }
    if age > millis(OLDEST) {
        return Err(unfit(LONG_AGO));
    }
    Ok(())
}

/// Step 13: where `max_age` was sent, `auth_time` must be there (Core 2), and not be older than was asked.
fn authenticated(claims: &Claims, expected: Expected<'_>) -> Result<(), Rejected> {
    let To::SignIn { since: Some(since), .. } = expected.to else { return Ok(()) };
    // Whole seconds, unless a provider writes parts of them as well.
    let seconds = claims.get("auth_time").and_then(|at| at.as_i64().or_else(|| at.as_f64().map(|at| at as i64)));
    let at = seconds.map(|seconds| seconds.saturating_mul(1000));
    let at = at.ok_or(unfit("it does not say when its person authenticated, and max_age asks for that"))?;
    if at < since.0.saturating_sub(millis(SKEW)) {
        return Err(unfit("its person authenticated longer ago than max_age allows"));
    }
    if at > expected.now.0.saturating_add(millis(SKEW)) {
        return Err(unfit("its person is said to have authenticated in the future"));
    }
    Ok(())
}

/// OpenID Connect Core 3.1.3.8: whether the access token is the one that the token came with, if it says so.
fn at_hash(
    token: &CoreIdToken,
    claims: &CoreIdTokenClaims,
    verifier: &IdTokenVerifier<'_, OfOriginal>,
    access_token: &SecretString,
) -> Result<bool, ClaimsVerificationError> {
    let Some(named) = claims.access_token_hash() else { return Ok(true) };
    let unknown = ClaimsVerificationError::SignatureVerification;
    let key = token.signing_key(verifier).map_err(unknown)?;
    let access_token = AccessToken::new(access_token.expose_secret().to_owned());
    let hash = AccessTokenHash::from_token(&access_token, token.signing_alg().map_err(unknown)?, key);
    Ok(hash.is_ok_and(|hash| hash == *named))
}

impl To<'_> {
    fn nonce(&self, given: Option<&Nonce>) -> Result<(), String> {
        match *self {
            Self::SignIn { nonce: Some(nonce), .. } => (&Nonce::new(nonce.to_owned())).verify(given),
            // OpenID Connect Core 12.2: there should be none; where there is, it is the one of the sign-in.
            Self::Refresh { nonce: Some(nonce), .. } if given.is_some() => {
                (&Nonce::new(nonce.to_owned())).verify(given)
            }
            Self::SignIn { nonce: None, .. } | Self::Refresh { .. } => Ok(()),
        }
    }
}

/// The check that failed, without what it failed on.
fn rejected(error: &ClaimsVerificationError) -> Rejected {
    use ClaimsVerificationError as E;
    use SignatureVerificationError as S;
    match error {
        E::SignatureVerification(S::NoMatchingKey) => {
            Rejected { kind: Kind::UnknownKey, detail: "its issuer publishes no key that could have signed it" }
        }
        E::SignatureVerification(S::NoSignature) => foreign("it is not signed"),
        E::SignatureVerification(S::DisallowedAlg(_) | S::UnsupportedAlg(_)) => {
            foreign("it is signed in a way that Larder does not accept")
        }
        E::SignatureVerification(_) => foreign("its signature is not by the issuer's keys"),
        E::InvalidIssuer(_) => foreign("it is from another issuer"),
        E::InvalidAudience(_) => foreign(FOR_ANOTHER),
        E::Expired(_) => unfit(ENDED),
        E::InvalidNonce(_) => unfit("it is not the answer to this sign-in"),
        E::Unsupported(_) => unfit("it is of a kind that Larder does not accept"),
        _ => unfit("a claim is not what it must be"),
    }
}

fn date(millis: i64) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default()
}

/// An issuer's key, for a token whose unchecked claims were left out: what was signed is the token as it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OfOriginal {
    #[serde(flatten)]
    key: CoreJsonWebKey,
    /// Header and claims as they came (RFC 7515 section 5.2).
    #[serde(skip)]
    signed: String,
}

impl JsonWebKey for OfOriginal {
    type KeyUse = <CoreJsonWebKey as JsonWebKey>::KeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.key.key_id()
    }

    fn key_type(&self) -> &openidconnect::core::CoreJsonWebKeyType {
        self.key.key_type()
    }

    fn key_use(&self) -> Option<&Self::KeyUse> {
        self.key.key_use()
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        self.key.signing_alg()
    }

    fn new_symmetric(key: Vec<u8>) -> Self {
        Self { key: CoreJsonWebKey::new_symmetric(key), signed: String::new() }
    }

    fn verify_signature(
        &self,
        signature_alg: &CoreJwsSigningAlgorithm,
        _straightened: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        self.key.verify_signature(signature_alg, self.signed.as_bytes(), signature)
    }

    fn hash_bytes(&self, bytes: &[u8], alg: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        self.key.hash_bytes(bytes, alg)
    }
}
