//! Who signed in: from the ID token (OpenID Connect Core 3.1.3.7), else from userinfo.

use crate::clock::Clock;
use crate::grants::{Endpoints, Tokens};
use crate::http::{Http, host};
use crate::token_endpoint::plain;
use larder_core::problem::Problem;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{ClaimsVerificationError, ClientId, IssuerUrl, Nonce};
use secrecy::ExposeSecret;
use std::str::FromStr;
use url::Url;

/// Clocks differ: an ID token may have ended this long ago.
const SKEW: std::time::Duration = std::time::Duration::from_secs(60);

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

/// Who somebody is at a provider.
#[derive(Clone, Debug)]
pub struct Who {
    /// `sub`.
    pub subject: String,
    /// `name`, or what comes nearest.
    pub name: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// Whether an ID token said so.
    pub openid: bool,
}

/// Finds out who signed in. Where the provider is an OpenID provider and sent an ID token, that token must pass every check.
///
/// # Errors
/// [`Problem::IdTokenRejected`]; what userinfo failed with, where that is the only source.
pub async fn find(
    http: &Http,
    clock: &dyn Clock,
    endpoints: &Endpoints,
    provider: &str,
    tokens: &Tokens,
    nonce: Option<&str>,
) -> Result<Who, Problem> {
    let from_token = match (&tokens.id_token, &endpoints.jwks_uri) {
        (Some(_), Some(jwks_uri)) => {
            Some(from_id_token(http, clock, endpoints, provider, tokens, nonce, jwks_uri).await?)
        }
        _ => None,
    };
    let complete = from_token.as_ref().is_some_and(|who| who.name.is_some() && who.email.is_some());
    let from_userinfo = match &endpoints.userinfo_endpoint {
        Some(url) if !complete => match from_userinfo(http, clock, provider, url, tokens).await {
            Ok(who) => Some(who),
            // An ID token has said who it is; a name is not worth failing for.
            Err(_) if from_token.is_some() => None,
            Err(problem) => return Err(problem),
        },
        _ => None,
    };
    match (from_token, from_userinfo) {
        // OpenID Connect Core 5.3.2: the subjects must be the same, else userinfo must not be used.
        (Some(token), Some(info)) if info.subject == token.subject => {
            Ok(Who { name: token.name.or(info.name), email: token.email.or(info.email), ..token })
        }
        (Some(token), _) => Ok(token),
        (None, Some(info)) => Ok(info),
        (None, None) => Err(Problem::BadProvider {
            provider: provider.to_owned(),
            field: "userinfo_endpoint".to_owned(),
            detail: "without an ID token, Larder needs one to learn who signed in".to_owned(),
        }),
    }
}

async fn from_id_token(
    http: &Http,
    clock: &dyn Clock,
    endpoints: &Endpoints,
    provider: &str,
    tokens: &Tokens,
    nonce: Option<&str>,
    jwks_uri: &str,
) -> Result<Who, Problem> {
    let rejected = |detail: &str| Problem::IdTokenRejected { provider: provider.to_owned(), detail: detail.to_owned() };
    let jwks_uri = Url::parse(jwks_uri).map_err(|_| rejected("its keys have no address"))?;
    let response = http.get(&jwks_uri, None).await?;
    if response.status != 200 {
        return Err(Problem::ProviderTrouble { host: host(&jwks_uri), status: response.status });
    }
    let keys: CoreJsonWebKeySet =
        serde_json::from_slice(&response.body).map_err(|_| rejected("its keys cannot be read"))?;
    let issuer = IssuerUrl::new(endpoints.issuer.clone()).map_err(|_| rejected("the issuer is no URL"))?;
    let now = clock.now().wall;
    let verifier = CoreIdTokenVerifier::new_public_client(ClientId::new(endpoints.client_id.clone()), issuer, keys)
        .set_allowed_algs(ALGORITHMS.iter().cloned())
        .set_time_fn(move || {
            chrono::DateTime::from_timestamp_millis(now.0 - SKEW.as_millis() as i64).unwrap_or_default()
        });
    let text = tokens.id_token.as_ref().map_or("", |token| token.expose_secret());
    let token = CoreIdToken::from_str(text).map_err(|_| rejected("it is no JWT"))?;
    // Where none was sent (a device authorization), one that comes is not looked at.
    let check = |claimed: Option<&Nonce>| match (nonce, claimed) {
        (None, _) => Ok(()),
        (Some(sent), Some(claimed)) if claimed.secret() == sent => Ok(()),
        (Some(_), _) => Err("it is not the answer to this sign-in".to_owned()),
    };
    let claims = token.claims(&verifier, check).map_err(|error| rejected(reason(&error)))?;
    Ok(Who {
        subject: claims.subject().to_string(),
        name: claims.name().and_then(|name| name.get(None)).map(|name| plain(name)),
        email: claims.email().map(|email| plain(email)),
        openid: true,
    })
}

/// The check that failed, without what it failed on.
fn reason(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "it has ended already",
        ClaimsVerificationError::InvalidAudience(_) => "it is for another client",
        ClaimsVerificationError::InvalidIssuer(_) => "it is from another issuer",
        ClaimsVerificationError::InvalidNonce(_) => "it is not the answer to this sign-in",
        ClaimsVerificationError::InvalidSubject(_) => "it is about somebody else",
        ClaimsVerificationError::SignatureVerification(_) => "its signature is not by the issuer's keys",
        ClaimsVerificationError::Unsupported(_) => "it is of a kind that Larder does not accept",
        _ => "a claim is not what it must be",
    }
}

async fn from_userinfo(
    http: &Http,
    clock: &dyn Clock,
    provider: &str,
    url: &str,
    tokens: &Tokens,
) -> Result<Who, Problem> {
    let bad = |detail: &str| Problem::BadProvider {
        provider: provider.to_owned(),
        field: "userinfo_endpoint".to_owned(),
        detail: detail.to_owned(),
    };
    let url = Url::parse(url).map_err(|_| bad("it is not a URL"))?;
    let response = crate::dpop::get(http, clock, &url, tokens).await?;
    if response.status != 200 {
        return Err(Problem::ProviderTrouble { host: host(&url), status: response.status });
    }
    let claims: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&response.body).map_err(|_| bad("its answer is not JSON"))?;
    let text =
        |keys: &[&str]| keys.iter().find_map(|key| claims.get(*key)?.as_str()).map(plain).filter(|t| !t.is_empty());
    let id = claims.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
    Ok(Who {
        subject: claims
            .get("sub")
            .and_then(|sub| sub.as_str())
            .map(str::to_owned)
            .or(id)
            .ok_or_else(|| bad("its answer names nobody"))?,
        name: text(&["name", "global_name", "preferred_username", "login", "username"]),
        email: text(&["email"]),
        openid: false,
    })
}
