//! A provider for an address: what the address leads to, and as which client Larder signs in there.

use crate::grants::{Endpoints, Tokens};
use crate::http::host;
use crate::identity::Who;
use crate::perform::Hands;
use crate::providers::{AuthMethod, Provider, Providers, Written, WrittenRedirect};
use crate::registration::{self, LOOPBACK_URI};
use crate::resource::{self, Found};
use crate::{catalogue, client_secret};
use larder_core::names::ProviderName;
use larder_core::problem::Problem;
use larder_core::scheme::REDIRECT_URI;
use larder_core::view::{ClientKind, RedirectKind};
use std::collections::BTreeSet;

/// The longest name that is made of a host: a provider's has 64 characters, and a number may follow.
const MOST_NAME: usize = 56;

/// Issuer and client of every registration that is kept.
type Registrations = BTreeSet<(String, String)>;

/// As which client to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// As that of a provider which is written down; which stands for this very address, if it is `whole`.
    Provider {
        /// Its name.
        name: ProviderName,
        /// Where its client came from.
        kind: ClientKind,
        /// It asks for tokens for the same resource.
        whole: bool,
    },
    /// As the one that this document describes.
    Document(String),
    /// As one that was registered at the issuer before.
    Registered(String),
    /// As one that is still to be registered.
    Register,
    /// Its person is to register one.
    Nobody,
}

/// What an address leads to, and as which client.
#[derive(Clone, Debug)]
pub struct Looked {
    /// What is there.
    pub found: Found,
    /// As which client.
    pub client: Option<ClientKind>,
    /// The provider that stands for it already.
    pub provider: Option<ProviderName>,
    /// What is to be written down for it, where none does.
    pub written: Option<Written>,
    /// A client was registered just now.
    pub registered: bool,
}

/// Looks at an address. With `adopt`, a client is registered where that is needed.
///
/// # Errors
/// As [`resource::find`] and, with `adopt`, [`registration::register`]; [`Problem::NoRegistration`].
pub async fn look(
    hands: &Hands,
    url: &str,
    providers: &Providers,
    document: Option<&str>,
    adopt: bool,
) -> Result<Looked, Problem> {
    let found = resource::find(&hands.http(), &hands.discovery, url).await?;
    // Whoever comes second finds what the first has registered.
    let _one = if adopt { Some(hands.registering.lock().await) } else { None };
    let registrations = client_secret::registrations(&hands.database).await?;
    let choice = choose(&found, providers, document, &registrations);
    let mut looked = Looked { found, client: choice.kind(), provider: None, written: None, registered: false };
    if let Choice::Provider { name, whole: true, .. } = choice {
        looked.provider = Some(name);
        return Ok(looked);
    }
    if !adopt {
        return Ok(looked);
    }
    let found = &looked.found;
    let issuer = &found.metadata.issuer;
    let client = match choice {
        Choice::Provider { name, .. } => {
            let known = providers.get(&name).map(|provider| provider.written.clone()).unwrap_or_default();
            // Under another name, the catalogue's entry is to be named.
            let entry = catalogue::entry(name.as_str()).map(|_| name.0);
            Written { catalogue: known.catalogue.clone().or(entry), ..known }
        }
        Choice::Document(url) => client(url, AuthMethod::None, &[REDIRECT_URI.to_owned(), LOOPBACK_URI.to_owned()]),
        Choice::Registered(id) => {
            let registration = registration::kept(hands, issuer, &id).await?;
            let registration = registration.ok_or_else(|| Problem::RegistrationEnded {
                issuer: issuer.clone(),
                detail: "what is kept of it does not open".to_owned(),
            })?;
            client(id, method(&registration.token_endpoint_auth_method), &registration.redirect_uris)
        }
        Choice::Register => {
            let (id, registration) = registration::register(hands, &found.metadata).await?;
            looked.registered = true;
            client(id, method(&registration.token_endpoint_auth_method), &registration.redirect_uris)
        }
        Choice::Nobody => {
            return Err(Problem::NoRegistration { issuer: issuer.clone(), redirect: REDIRECT_URI.to_owned() });
        }
    };
    looked.written = Some(Written {
        title: Some(looked.found.title.clone()),
        issuer: Some(looked.found.metadata.issuer.clone()),
        scopes: Some(looked.found.scopes.clone()),
        resource: looked.found.resource.clone(),
        ..client
    });
    Ok(looked)
}

impl Choice {
    /// Where the client comes from.
    fn kind(&self) -> Option<ClientKind> {
        match self {
            Self::Provider { kind, .. } => Some(*kind),
            Self::Document(_) => Some(ClientKind::MetadataDocument),
            Self::Registered(_) | Self::Register => Some(ClientKind::Registration),
            Self::Nobody => None,
        }
    }
}

/// The order in which clients are taken: what the person registered, what the publisher describes, what registers itself.
fn choose(found: &Found, providers: &Providers, document: Option<&str>, registrations: &Registrations) -> Choice {
    let issuer = &found.metadata.issuer;
    let kind = |provider: &Provider| {
        if registrations.contains(&(issuer.clone(), provider.client_id.clone())) {
            ClientKind::Registration
        } else if document == Some(provider.client_id.as_str()) {
            ClientKind::MetadataDocument
        } else {
            ClientKind::Own
        }
    };
    let known = providers
        .iter()
        .filter(|(_, provider)| provider.issuer.as_ref() == Some(issuer) && !provider.client_id.is_empty())
        .map(|(name, provider)| (name, kind(provider), provider.resource == found.resource));
    // The one that stands for this address; else the person's own client before any other.
    if let Some((name, kind, whole)) = known.min_by_key(|(_, kind, whole)| (!whole, *kind != ClientKind::Own)) {
        return Choice::Provider { name: name.clone(), kind, whole };
    }
    if let Some(url) = document.filter(|_| found.metadata.client_id_metadata_document_supported) {
        return Choice::Document(url.to_owned());
    }
    if let Some((_, client)) = registrations.iter().find(|(of, _)| of == issuer) {
        return Choice::Registered(client.clone());
    }
    if found.metadata.registration_endpoint.is_some() { Choice::Register } else { Choice::Nobody }
}

/// A client as it is written down: those of its redirects that Larder can use.
fn client(client_id: String, method: AuthMethod, redirects: &[String]) -> Written {
    let kinds = [(REDIRECT_URI, RedirectKind::DeepLink), (LOOPBACK_URI, RedirectKind::Loopback)];
    let redirects = kinds.into_iter().filter(|(uri, _)| redirects.iter().any(|known| known == uri));
    Written {
        client_id: Some(client_id),
        token_endpoint_auth_method: (method != AuthMethod::None).then_some(method),
        redirects: Some(redirects.map(|(_, kind)| WrittenRedirect::Kind(kind)).collect()),
        ..Written::default()
    }
}

fn method(name: &str) -> AuthMethod {
    let known = [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost];
    known.into_iter().find(|method| method.name() == name).unwrap_or_default()
}

/// A name for a provider: its host, and a number where that names another one already.
pub fn name(found: &Found, taken: impl Fn(&ProviderName) -> bool) -> ProviderName {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    let host: String = found.url.host_str().unwrap_or("provider").chars().map(plain).take(MOST_NAME).collect();
    let host = host.trim_matches(['-', '.']).to_owned();
    let host = if host.is_empty() { "provider".to_owned() } else { host };
    let numbered = (2..).map(|number| ProviderName(format!("{host}-{number}")));
    let first = ProviderName(host.clone());
    std::iter::once(first.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(first)
}

/// Who signed in where the server of a resource knows no way to tell: then there is one account a provider.
pub fn nameless(endpoints: &Endpoints, tokens: &Tokens) -> Option<Who> {
    let silent = endpoints.userinfo_endpoint.is_none() && (tokens.id_token.is_none() || endpoints.jwks_uri.is_none());
    let subject = endpoints.resource.clone().filter(|_| silent)?;
    Some(Who { subject, name: None, email: None, openid: false })
}

/// Host and port of an address, for people.
pub fn shown(found: &Found) -> String {
    host(&found.url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Metadata;
    use serde_json::{Value, json};
    use url::Url;

    const ISSUER: &str = "https://id.example";

    fn found(metadata: Value, resource: Option<&str>) -> Found {
        let mut document = json!({ "issuer": ISSUER });
        document.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        let metadata: Metadata = serde_json::from_value(document).unwrap();
        let url = Url::parse(resource.unwrap_or(ISSUER)).unwrap();
        let resource = resource.map(str::to_owned);
        Found { url, metadata, resource, title: String::new(), scopes: Vec::new() }
    }

    fn provider(issuer: &str, client: &str, resource: Option<&str>) -> Provider {
        let written = Written {
            issuer: Some(issuer.to_owned()),
            client_id: Some(client.to_owned()),
            resource: resource.map(str::to_owned),
            ..Written::default()
        };
        Provider::resolve("p", written).unwrap()
    }

    fn providers(list: &[(&str, Provider)]) -> Providers {
        list.iter().map(|(name, provider)| (ProviderName::from(*name), provider.clone())).collect()
    }

    fn registrations(clients: &[&str]) -> Registrations {
        clients.iter().map(|client| (ISSUER.to_owned(), (*client).to_owned())).collect()
    }

    #[test]
    fn clients_are_taken_in_their_order() {
        const DOCUMENT: &str = "https://larder.example/client.json";
        let all =
            json!({ "client_id_metadata_document_supported": true, "registration_endpoint": "https://id.example/r" });
        let mine =
            providers(&[("mine", provider(ISSUER, "c", None)), ("else", provider("https://b.example", "d", None))]);
        let none = Providers::new();
        let of = |metadata: &Value, providers, document, kept: &[&str]| {
            choose(&found(metadata.clone(), None), providers, document, &registrations(kept))
        };
        let own = Choice::Provider { name: "mine".into(), kind: ClientKind::Own, whole: true };
        assert_eq!(of(&all, &mine, Some(DOCUMENT), &["k"]), own);
        assert_eq!(of(&all, &none, Some(DOCUMENT), &["k"]), Choice::Document(DOCUMENT.to_owned()));
        assert_eq!(of(&all, &none, None, &["k"]), Choice::Registered("k".to_owned()));
        assert_eq!(of(&all, &none, None, &[]), Choice::Register);
        // A document is named to none that does not take it.
        let plain = json!({ "registration_endpoint": "https://id.example/r" });
        assert_eq!(of(&plain, &none, Some(DOCUMENT), &[]), Choice::Register);
        assert_eq!(of(&json!({}), &none, Some(DOCUMENT), &[]), Choice::Nobody);
        assert_eq!(of(&json!({}), &none, None, &[]).kind(), None);
    }

    #[test]
    fn the_provider_of_the_very_address_comes_first_and_the_persons_own_client_before_another() {
        let asked = found(json!({}), Some("https://mcp.example/a"));
        let list = providers(&[
            ("a", provider(ISSUER, "registered", Some("https://mcp.example/b"))),
            ("b", provider(ISSUER, "own", None)),
        ]);
        let choice = choose(&asked, &list, None, &registrations(&["registered"]));
        assert_eq!(choice, Choice::Provider { name: "b".into(), kind: ClientKind::Own, whole: false });
        let mut list = list;
        list.insert("c".into(), provider(ISSUER, "registered", Some("https://mcp.example/a")));
        let choice = choose(&asked, &list, None, &registrations(&["registered"]));
        assert_eq!(choice, Choice::Provider { name: "c".into(), kind: ClientKind::Registration, whole: true });
        // Character by character: another issuer is another one.
        let other = providers(&[("d", provider("https://id.example/", "own", None))]);
        assert_eq!(choose(&asked, &other, None, &registrations(&[])), Choice::Nobody);
    }

    #[test]
    fn a_provider_is_named_after_its_host_and_never_after_another_one() {
        let of = |url: &str, taken: &[&str]| {
            let found = Found { url: Url::parse(url).unwrap(), ..found(json!({}), None) };
            name(&found, |name| taken.contains(&name.as_str())).0
        };
        assert_eq!(of("https://mcp.example:8443/a", &[]), "mcp.example");
        assert_eq!(of("https://mcp.example", &["mcp.example", "mcp.example-2"]), "mcp.example-3");
        assert_eq!(of("http://[::1]:80/", &[]), "1");
        let long = of(&format!("https://{}.example", "a".repeat(60)), &["a".repeat(MOST_NAME).as_str()]);
        assert_eq!(long, format!("{}-2", "a".repeat(MOST_NAME)));
    }

    #[test]
    fn only_a_resource_whose_server_tells_no_names_has_an_account_without_one() {
        let tokens = |id_token: Option<&str>| Tokens {
            access_token: "a".to_owned().into(),
            refresh_token: None,
            id_token: id_token.map(|token| token.to_owned().into()),
            token_type: "Bearer".to_owned(),
            dpop_key: None,
        };
        let endpoints = |userinfo: Option<&str>, resource: Option<&str>| Endpoints {
            issuer: ISSUER.to_owned(),
            client_id: "c".to_owned(),
            token_endpoint_auth_method: "none".to_owned(),
            token_endpoint: String::new(),
            revocation_endpoint: None,
            userinfo_endpoint: userinfo.map(str::to_owned),
            jwks_uri: Some("j".to_owned()),
            grant_type: larder_core::account::GrantType::AuthorizationCode,
            terms: larder_core::account::Terms::default(),
            resource: resource.map(str::to_owned),
            other_resources: Vec::new(),
        };
        let who = nameless(&endpoints(None, Some("https://mcp.example/a")), &tokens(None)).unwrap();
        assert_eq!((who.subject.as_str(), who.openid), ("https://mcp.example/a", false));
        assert!(nameless(&endpoints(None, None), &tokens(None)).is_none());
        assert!(nameless(&endpoints(Some("u"), Some("r")), &tokens(None)).is_none());
        assert!(nameless(&endpoints(None, Some("r")), &tokens(Some("t"))).is_none());
    }
}
