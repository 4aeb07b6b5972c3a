//! What servers publish about themselves.

use super::{sent_to, shown, text};
use larder_agent::discovery::{Metadata, server};
use larder_agent::http::{endpoint, is_loopback};
use larder_agent::providers::Provider;
use larder_agent::resource::{Document, authorization_server, believed, challenged};
use openidconnect::core::CoreJsonWebKeySet;
use reqwest::header::{HeaderMap, HeaderValue};
use url::Url;

/// RFC 8414, OpenID Connect Discovery: whatever it says, tokens and codes go to https, or stay on this computer. A document of
/// keys (RFC 7517) is read too.
pub fn metadata(data: &[u8]) {
    let _ = serde_json::from_slice::<CoreJsonWebKeySet>(data);
    let Ok(metadata) = serde_json::from_slice::<Metadata>(data) else { return };
    let provider = Provider::of_issuer("https://id.example");
    let Ok(server) = server("work", &provider, Some(&metadata)) else { return };
    let endpoints = [
        Some(&server.authorization_endpoint),
        Some(&server.token_endpoint),
        server.revocation_endpoint.as_ref(),
        server.userinfo_endpoint.as_ref(),
        server.device_authorization_endpoint.as_ref(),
        server.pushed_authorization_request_endpoint.as_ref(),
        server.end_session_endpoint.as_ref(),
        server.jwks_uri.as_ref(),
    ];
    endpoints.into_iter().flatten().for_each(sent_to);
    // RFC 7636 section 7.2: no silent downgrade.
    let methods = metadata.code_challenge_methods_supported;
    assert!(methods.is_none_or(|methods| methods.iter().any(|method| method == "S256")), "signed in without S256");
}

/// RFC 9728: the first line is the address that was pasted, the second a challenge (`WWW-Authenticate`), the rest the document.
pub fn resource(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let (address, challenge, document) =
        (lines.next().unwrap_or_default(), lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    if let Ok(challenge) = HeaderValue::from_bytes(challenge) {
        let mut headers = HeaderMap::new();
        headers.insert("www-authenticate", challenge);
        let found = challenged(&headers);
        let _ = found.resource_metadata.map(|at| Url::parse(&at));
    }
    let Some(Ok(url)) = text(address).map(|address| endpoint("", "The address", address)) else { return };
    sent_to(&url);
    let Ok(document) = serde_json::from_slice::<Document>(document) else { return };
    if let Some(title) = &document.resource_name {
        shown(&larder_agent::token_endpoint::plain(title));
    }
    if believed(&url, &document).is_ok() {
        // What a host says about itself is believed of its own origin alone, of this address or the path above it.
        let resource = Url::parse(&document.resource).expect("it was one");
        assert_eq!(resource.origin(), url.origin());
        assert!(resource.fragment().is_none());
        let base = resource.path().trim_end_matches('/');
        assert!(
            resource == url || url.path() == base || url.path().starts_with(&format!("{base}/")),
            "{resource} for {url}"
        );
    }
    for issuer in &document.authorization_servers {
        if authorization_server(&url, issuer).is_ok() {
            let issuer = Url::parse(issuer).expect("it was one");
            sent_to(&issuer);
            assert!(is_loopback(&url) || !is_loopback(&issuer), "sent to this computer by {url}");
        }
    }
}
