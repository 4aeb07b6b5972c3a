//! What a provider offers: from its metadata (OpenID Connect Discovery 1.0, RFC 8414), or from `providers.toml`.

use crate::http::{Http, endpoint, host};
use crate::providers::Provider;
use larder_core::problem::Problem;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use url::Url;

/// The metadata that is used. What a server leaves out is optional here too.
#[derive(Clone, Debug, Deserialize)]
pub struct Metadata {
    /// Must be the one that was asked, character by character.
    pub issuer: String,
    /// RFC 6749 section 3.1.
    pub authorization_endpoint: Option<String>,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Option<String>,
    /// RFC 7009.
    pub revocation_endpoint: Option<String>,
    /// OpenID Connect Core 5.3.
    pub userinfo_endpoint: Option<String>,
    /// RFC 8628.
    pub device_authorization_endpoint: Option<String>,
    /// RFC 9126.
    pub pushed_authorization_request_endpoint: Option<String>,
    /// RFC 9126 section 5.
    #[serde(default, deserialize_with = "null_is_missing")]
    pub require_pushed_authorization_requests: bool,
    /// RFC 7591.
    pub registration_endpoint: Option<String>,
    /// Client ID Metadata Documents: the client's id may be the address of its own description.
    #[serde(default, deserialize_with = "null_is_missing")]
    pub client_id_metadata_document_supported: bool,
    /// OpenID Connect RP-Initiated Logout 1.0, section 2.1.
    pub end_session_endpoint: Option<String>,
    /// OpenID Connect Core, Initiating User Registration 1.0 section 4: the values of `prompt` that it knows.
    pub prompt_values_supported: Option<Vec<String>>,
    /// RFC 7517.
    pub jwks_uri: Option<String>,
    /// RFC 7636.
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9449 section 5.1.
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// RFC 8414 section 2.
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// RFC 8414 section 2.
    pub scopes_supported: Option<Vec<String>>,
    /// RFC 9207.
    #[serde(default, deserialize_with = "null_is_missing")]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What is optional may be written as null too. Any other type is not guessed at: it could be a promise to be held to.
fn null_is_missing<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<bool>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A provider's endpoints, checked.
#[derive(Clone, Debug)]
pub struct Server {
    /// The issuer; the authorization endpoint's origin where endpoints were written down by hand.
    pub issuer: String,
    /// RFC 6749 section 3.1.
    pub authorization_endpoint: Url,
    /// RFC 6749 section 3.2.
    pub token_endpoint: Url,
    /// RFC 7009.
    pub revocation_endpoint: Option<Url>,
    /// OpenID Connect Core 5.3.
    pub userinfo_endpoint: Option<Url>,
    /// RFC 8628.
    pub device_authorization_endpoint: Option<Url>,
    /// RFC 9126.
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// RFC 9126 section 5: nothing but a pushed request is taken.
    pub pushed_required: bool,
    /// OpenID Connect RP-Initiated Logout 1.0, section 2.1.
    pub end_session_endpoint: Option<Url>,
    /// Whether it is known to let its person choose an account (`prompt=select_account`, OpenID Connect Core 3.1.2.1).
    pub select_account: bool,
    /// RFC 7517; where it is known, ID tokens are checked.
    pub jwks_uri: Option<Url>,
    /// RFC 9207: the redirect must name the issuer.
    pub iss_required: bool,
    /// Whether the metadata is that of an issuer, so that `iss` can be compared.
    pub discovered: bool,
}

/// What a provider offers, by its metadata and what its person wrote down.
///
/// # Errors
/// [`Problem::BadProvider`], [`Problem::NotLoopback`].
pub fn server(name: &str, provider: &Provider, found: Option<&Metadata>) -> Result<Server, Problem> {
    // What the person wrote down wins over what was found.
    let pick = |field: &str,
                by_hand: &Option<String>,
                found: fn(&Metadata) -> &Option<String>,
                metadata: Option<&Metadata>| {
        let text = by_hand.as_ref().or(metadata.and_then(|metadata| found(metadata).as_ref()));
        text.map(|text| endpoint(name, field, text)).transpose()
    };
    let needed = |field: &str, url: Option<Url>| {
        url.ok_or_else(|| Problem::BadProvider {
            provider: name.to_owned(),
            field: field.to_owned(),
            detail: "neither the metadata nor providers.toml names it".to_owned(),
        })
    };
    let authorization_endpoint =
        pick("authorization_endpoint", &provider.authorization_endpoint, |m| &m.authorization_endpoint, found)?;
    let token_endpoint = pick("token_endpoint", &provider.token_endpoint, |m| &m.token_endpoint, found)?;
    let methods = found.and_then(|found| found.code_challenge_methods_supported.as_ref());
    // Silence means nothing; S256 is sent anyway. Only "plain" would be a downgrade (RFC 7636 section 7.2).
    if methods.is_some_and(|methods| !methods.iter().any(|method| method == "S256")) {
        return Err(Problem::BadProvider {
            provider: name.to_owned(),
            field: "code_challenge_methods_supported".to_owned(),
            detail: "the provider does not offer S256, and Larder does not sign in without it".to_owned(),
        });
    }
    let algorithms = found.and_then(|found| found.dpop_signing_alg_values_supported.as_ref());
    // RFC 9449 section 5.1. Silence means nothing here too.
    if provider.dpop_bound && algorithms.is_some_and(|all| !all.iter().any(|one| one == crate::dpop::ALGORITHM)) {
        return Err(Problem::BadProvider {
            provider: name.to_owned(),
            field: "dpop_signing_alg_values_supported".to_owned(),
            detail: "the provider does not take proofs by ES256, and Larder makes no others".to_owned(),
        });
    }
    Ok(Server {
        issuer: provider.authority(),
        authorization_endpoint: needed("authorization_endpoint", authorization_endpoint)?,
        token_endpoint: needed("token_endpoint", token_endpoint)?,
        revocation_endpoint: pick(
            "revocation_endpoint",
            &provider.revocation_endpoint,
            |m| &m.revocation_endpoint,
            found,
        )?,
        userinfo_endpoint: pick("userinfo_endpoint", &provider.userinfo_endpoint, |m| &m.userinfo_endpoint, found)?,
        device_authorization_endpoint: pick(
            "device_authorization_endpoint",
            &provider.device_authorization_endpoint,
            |m| &m.device_authorization_endpoint,
            found,
        )?,
        pushed_authorization_request_endpoint: pick(
            "pushed_authorization_request_endpoint",
            &None,
            |m| &m.pushed_authorization_request_endpoint,
            found,
        )?,
        pushed_required: found.is_some_and(|found| found.require_pushed_authorization_requests),
        // One that cannot be opened is no reason not to sign in.
        end_session_endpoint: pick("end_session_endpoint", &None, |m| &m.end_session_endpoint, found)
            .unwrap_or_default(),
        select_account: provider
            .prompt_values_supported
            .as_ref()
            .or(found.and_then(|found| found.prompt_values_supported.as_ref()))
            .is_some_and(|values| values.iter().any(|value| value == "select_account")),
        jwks_uri: pick("jwks_uri", &None, |m| &m.jwks_uri, found)?,
        iss_required: found.is_some_and(|found| found.authorization_response_iss_parameter_supported),
        discovered: found.is_some(),
    })
}

/// An issuer's metadata.
///
/// # Errors
/// [`Problem::NotAnIssuer`], [`Problem::IssuerMismatch`], [`Problem::Unreachable`].
pub async fn metadata(http: &Http, name: &str, issuer: &str) -> Result<Metadata, Problem> {
    read(http, name, issuer).await.map(|(metadata, _)| metadata)
}

/// The same, with the header fields that say how long it holds.
///
/// # Errors
/// As [`metadata`].
pub async fn read(http: &Http, name: &str, issuer: &str) -> Result<(Metadata, HeaderMap), Problem> {
    let base = endpoint(name, "issuer", issuer)?;
    let not_an_issuer = |detail: String| Problem::NotAnIssuer { issuer: issuer.to_owned(), detail };
    if base.query().is_some() {
        // RFC 8414 section 2.
        return Err(not_an_issuer("it has a query, which no issuer has".to_owned()));
    }
    let mut status = 0;
    for url in addresses(&base) {
        let response = http.get(&url, None).await?;
        if response.status != 200 {
            status = response.status;
            continue;
        }
        let metadata: Metadata = response
            .json()
            .map_err(|_| not_an_issuer("its metadata is not what an authorization server publishes".to_owned()))?;
        // Character by character: RFC 8414 section 3.3.
        if metadata.issuer != issuer {
            return Err(Problem::IssuerMismatch { asked: issuer.to_owned(), answered: metadata.issuer });
        }
        return Ok((metadata, response.headers));
    }
    if status >= 500 {
        return Err(Problem::ProviderTrouble { host: host(&base), status });
    }
    Err(not_an_issuer(format!("it publishes no metadata (status {status})")))
}

/// Where metadata may lie: OpenID Connect Discovery 4.1 appends, RFC 8414 section 3.1 inserts.
fn addresses(issuer: &Url) -> Vec<Url> {
    let path = issuer.path().trim_end_matches('/').to_owned();
    let at = |path: String| {
        let mut url = issuer.clone();
        url.set_path(&path);
        url
    };
    vec![
        at(format!("{path}/.well-known/openid-configuration")),
        at(format!("/.well-known/oauth-authorization-server{path}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_two_standards_say() {
        let found =
            |issuer: &str| addresses(&Url::parse(issuer).unwrap()).iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(
            found("https://id.example"),
            [
                "https://id.example/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server"
            ]
        );
        assert_eq!(
            found("https://id.example/realms/a"),
            [
                "https://id.example/realms/a/.well-known/openid-configuration",
                "https://id.example/.well-known/oauth-authorization-server/realms/a"
            ]
        );
    }
}
