//! What a provider is: what its person wrote down, completed from the catalogue, and checked.

use crate::catalogue;
use crate::http::endpoint;
use larder_core::account::Terms;
use larder_core::names::{ProviderName, Scope};
use larder_core::problem::Problem;
use larder_core::scheme::REDIRECT_URI;
use larder_core::view::{ProviderHelp, ProviderView, RedirectKind, SecretState};
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

mod file;

pub use file::{change, changed, parse, parse_one, read, unreadable, write_one, written_in};

/// A provider as it is written down; keys are named as in RFC 8414. What is left out comes from the catalogue, if it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// The catalogue's entry that this is one of, where the name alone does not say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<String>,
    /// Whose server, or tenant, where the catalogue's entry is for anybody's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// For people; the provider's name where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// With it, the endpoints are discovered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Instead of discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Instead of discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// Instead of discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// Instead of discovery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// Instead of discovery (RFC 8628).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// The client's id, from where it was registered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// What is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
    /// Whom the tokens are for (RFC 8707).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// Whom else tokens can be asked for (RFC 8707), one at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other_resources: Option<Vec<String>>,
    /// Between two scopes; a space where it is left out, as RFC 6749 section 3.3 says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_separator: Option<String>,
    /// Redirects, in the order in which they are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirects: Option<Vec<WrittenRedirect>>,
    /// How the client authenticates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<AuthMethod>,
    /// Whether its tokens are to be bound to a key (RFC 9449 section 5.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_bound_access_tokens: Option<bool>,
    /// Added to the authorization request, such as `prompt`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_params: Option<BTreeMap<String, String>>,
    /// The values of `prompt` that it knows, where its metadata does not say so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_values_supported: Option<Vec<String>>,
    /// Where userinfo says who it is, if it is not OpenID's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo: Option<Claims>,
    /// `POST`, where userinfo is not a GET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_method: Option<UserinfoMethod>,
    /// Headers that userinfo demands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userinfo_headers: Option<BTreeMap<String, String>>,
    /// Whether a refresh ends the access token before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_ends_access_token: Option<bool>,
    /// How long a refresh token lives when it is new, where the provider's answers do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_lifetime_days: Option<u32>,
}

/// Where in a provider's own userinfo the claims are, as JSON pointers (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// What never changes about somebody.
    pub subject: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The address of a picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// How userinfo is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum UserinfoMethod {
    /// As OpenID Connect Core 5.3.1 has it.
    #[default]
    Get,
    /// With an empty body.
    Post,
}

/// How a provider's userinfo is asked for and read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Userinfo {
    /// Where the claims are; where OpenID Connect has them if nothing is said.
    pub claims: Option<Claims>,
    /// How it is asked for.
    pub method: UserinfoMethod,
    /// Headers that it demands.
    pub headers: BTreeMap<String, String>,
}

/// A redirect as it is written down: a kind, or a kind with its address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WrittenRedirect {
    /// `"loopback"`.
    Kind(RedirectKind),
    /// `{ kind = "loopback", uri = "http://localhost/cb" }`.
    At {
        /// The kind.
        kind: RedirectKind,
        /// The address that is registered at the provider; for loopback without a port: one of the system's choice.
        uri: String,
    },
}

/// A redirect that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// How it comes back.
    pub kind: RedirectKind,
    /// The address that is registered at the provider; none where nothing comes back.
    pub uri: Option<Url>,
}

/// How the client authenticates at the token endpoint (RFC 7591 section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// It does not: a public client.
    #[default]
    None,
    /// With a secret, in the Authorization header.
    ClientSecretBasic,
    /// With a secret, in the form.
    ClientSecretPost,
    /// With an assertion that a private key signs (RFC 7523 section 2.2).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// The name that RFC 7591 gives it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::PrivateKeyJwt => crate::client_auth::PRIVATE_KEY_JWT,
        }
    }
}

/// A provider that can be signed in to: what is written down, over what the catalogue says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// As it is written down, to be shown and compared.
    pub written: Written,
    /// For people.
    pub title: String,
    /// With it, the endpoints are discovered.
    pub issuer: Option<String>,
    /// Instead of discovery, or over it.
    pub authorization_endpoint: Option<String>,
    /// Instead of discovery, or over it.
    pub token_endpoint: Option<String>,
    /// Instead of discovery, or over it.
    pub revocation_endpoint: Option<String>,
    /// Instead of discovery, or over it.
    pub userinfo_endpoint: Option<String>,
    /// Instead of discovery, or over it.
    pub device_authorization_endpoint: Option<String>,
    /// The client's id; empty while nobody has registered one.
    pub client_id: String,
    /// What is asked for.
    pub scopes: Vec<Scope>,
    /// Whom the tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// Whom else they can be asked for.
    pub other_resources: Vec<String>,
    /// Between two scopes.
    pub scope_separator: String,
    /// Redirects, in the order in which they are tried.
    pub redirects: Vec<Redirect>,
    /// How the client authenticates.
    pub auth_method: AuthMethod,
    /// Whether its tokens are to be bound to a key.
    pub dpop_bound: bool,
    /// Added to the authorization request.
    pub authorization_params: BTreeMap<String, String>,
    /// Instead of discovery, or over it.
    pub prompt_values_supported: Option<Vec<String>>,
    /// How userinfo is asked for and read.
    pub userinfo: Userinfo,
    /// What its refreshes do.
    pub terms: Terms,
    /// How to register a client, from the catalogue.
    pub help: Option<ProviderHelp>,
}

/// What lifetimes of refresh tokens are written down in.
const DAY: Duration = Duration::from_secs(86_400);

/// Parameters that Larder itself sets; a provider's own must not replace them.
const OURS: &[&str] = &[
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "nonce",
    "redirect_uri",
    "resource",
    "response_type",
    "scope",
    "state",
];

/// All providers: the catalogue's, and the person's own.
pub type Providers = BTreeMap<ProviderName, Provider>;

impl Provider {
    /// A public client of this issuer that is not registered yet, to look at what it would meet.
    pub fn of_issuer(issuer: &str) -> Self {
        let redirect = Redirect { kind: RedirectKind::DeepLink, uri: Url::parse(REDIRECT_URI).ok() };
        Self {
            written: Written::default(),
            title: issuer.to_owned(),
            issuer: Some(issuer.to_owned()),
            authorization_endpoint: None,
            token_endpoint: None,
            revocation_endpoint: None,
            userinfo_endpoint: None,
            device_authorization_endpoint: None,
            client_id: String::new(),
            scopes: vec![Scope::from("openid")],
            resource: None,
            other_resources: Vec::new(),
            scope_separator: " ".to_owned(),
            redirects: vec![redirect],
            auth_method: AuthMethod::None,
            dpop_bound: false,
            authorization_params: BTreeMap::new(),
            prompt_values_supported: None,
            userinfo: Userinfo::default(),
            terms: Terms::default(),
            help: None,
        }
    }

    /// What is written down, over what the catalogue says; checked as far as that needs nobody's answer.
    ///
    /// # Errors
    /// [`Problem::BadProvider`], [`Problem::NotLoopback`], each naming the field.
    pub fn resolve(name: &str, written: Written) -> Result<Self, Problem> {
        let entry = catalogue::entry(written.catalogue.as_deref().unwrap_or(name));
        if entry.is_none() && written.catalogue.is_some() {
            let known = catalogue::names().join(", ");
            return Err(bad(name, "catalogue", &format!("there is no such entry; there are {known}")));
        }
        // Where the server is still to be named, there are no addresses yet.
        let from = match (entry, &written.server) {
            (Some(entry), Some(server)) if entry.needs_server() => entry.written_for(server),
            (_, Some(_)) => {
                return Err(bad(name, "server", "this provider has one server for everybody; leave it out"));
            }
            (entry, None) => entry.map(|entry| entry.written.clone()).unwrap_or_default(),
        };
        let redirects = written.redirects.clone().or(from.redirects);
        let redirects = redirects.unwrap_or_else(|| vec![WrittenRedirect::Kind(RedirectKind::DeepLink)]);
        let redirects: Vec<_> = redirects.into_iter().map(|redirect| redirect.check(name)).collect::<Result<_, _>>()?;
        let redirect = redirects.iter().find_map(|redirect| redirect.uri.clone());
        let provider = Self {
            title: written.title.clone().or(from.title).unwrap_or_else(|| name.to_owned()),
            issuer: written.issuer.clone().or(from.issuer),
            authorization_endpoint: written.authorization_endpoint.clone().or(from.authorization_endpoint),
            token_endpoint: written.token_endpoint.clone().or(from.token_endpoint),
            revocation_endpoint: written.revocation_endpoint.clone().or(from.revocation_endpoint),
            userinfo_endpoint: written.userinfo_endpoint.clone().or(from.userinfo_endpoint),
            device_authorization_endpoint: written
                .device_authorization_endpoint
                .clone()
                .or(from.device_authorization_endpoint),
            client_id: written.client_id.clone().unwrap_or_default(),
            scopes: written.scopes.clone().or(from.scopes).unwrap_or_default(),
            resource: written.resource.clone().or(from.resource),
            other_resources: written.other_resources.clone().or(from.other_resources).unwrap_or_default(),
            scope_separator: written.scope_separator.clone().or(from.scope_separator).unwrap_or_else(|| " ".to_owned()),
            auth_method: written.token_endpoint_auth_method.or(from.token_endpoint_auth_method).unwrap_or_default(),
            dpop_bound: written.dpop_bound_access_tokens.or(from.dpop_bound_access_tokens).unwrap_or_default(),
            authorization_params: written
                .authorization_params
                .clone()
                .or(from.authorization_params)
                .unwrap_or_default(),
            prompt_values_supported: written.prompt_values_supported.clone().or(from.prompt_values_supported),
            userinfo: Userinfo {
                claims: written.userinfo.clone().or(from.userinfo),
                method: written.userinfo_method.or(from.userinfo_method).unwrap_or_default(),
                headers: written.userinfo_headers.clone().or(from.userinfo_headers).unwrap_or_default(),
            },
            terms: Terms {
                refresh_ends_access_token: written
                    .refresh_ends_access_token
                    .or(from.refresh_ends_access_token)
                    .unwrap_or_default(),
                refresh_token_lifetime: written
                    .refresh_token_lifetime_days
                    .or(from.refresh_token_lifetime_days)
                    .map(|days| DAY * days),
            },
            help: entry.map(|entry| entry.help(redirect.as_ref().map(Url::as_str), written.server.as_deref())),
            redirects,
            written,
        };
        provider.check(name)?;
        Ok(provider)
    }

    fn check(&self, name: &str) -> Result<(), Problem> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !plain(name) || name.len() > 64 {
            return Err(bad(name, "name", "use up to 64 letters, digits, dots, dashes and underscores"));
        }
        let by_hand = self.authorization_endpoint.is_some() && self.token_endpoint.is_some();
        if self.issuer.is_none() && !by_hand {
            return Err(bad(name, "issuer", "write an issuer, or both authorization_endpoint and token_endpoint"));
        }
        // An entry of the catalogue waits for its person's client.
        if self.client_id.trim().is_empty() && self.help.is_none() {
            return Err(bad(name, "client_id", "it is empty; write the client ID from where you registered Larder"));
        }
        if self.lacks_server() {
            return Ok(());
        }
        let fields = [
            ("issuer", &self.issuer),
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("revocation_endpoint", &self.revocation_endpoint),
            ("userinfo_endpoint", &self.userinfo_endpoint),
            ("device_authorization_endpoint", &self.device_authorization_endpoint),
        ];
        for (field, text) in fields {
            if let Some(text) = text {
                let url = endpoint(name, field, text)?;
                // RFC 8414 section 2.
                if field == "issuer" && url.query().is_some() {
                    return Err(bad(name, field, "an issuer has no query"));
                }
            }
        }
        if self.redirects.is_empty() {
            return Err(bad(name, "redirects", "name at least one"));
        }
        // RFC 6749 section 3.3.
        let scope_character = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if self.scopes.iter().any(|scope| scope.0.is_empty() || !scope.0.bytes().all(scope_character)) {
            return Err(bad(name, "scopes", "one scope a string, without spaces or quotes"));
        }
        // RFC 8707 section 2: an absolute URI, without a fragment.
        let absolute = |text: &String| {
            !text.contains(char::is_whitespace) && Url::parse(text).is_ok_and(|url| url.fragment().is_none())
        };
        if self.other_resources.iter().any(|resource| !absolute(resource)) {
            return Err(bad(name, "other_resources", "each must be an absolute URI without a fragment"));
        }
        if self.resource.as_ref().is_some_and(|resource| !absolute(resource)) {
            return Err(bad(name, "resource", "write a whole URI, without a fragment"));
        }
        // The request's own, and whatever would carry more than was meant.
        let refused = ["accept", "authorization", "cookie", "host", "proxy-authorization"];
        let usable = |(name, value): (&String, &String)| {
            HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| !refused.contains(&name.as_str()))
                && HeaderValue::from_str(value).is_ok()
        };
        if !self.userinfo.headers.iter().all(usable) {
            return Err(bad(name, "userinfo_headers", "a name or value is none that can be sent there"));
        }
        if let Some(ours) = self.authorization_params.keys().find(|key| OURS.contains(&key.as_str())) {
            return Err(bad(name, "authorization_params", &format!("{ours} is set by Larder")));
        }
        Ok(())
    }

    /// The `scope` parameter (RFC 6749 section 3.3).
    pub fn scope_parameter(&self) -> String {
        self.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(&self.scope_separator)
    }

    /// Whether it is still to be said whose server it is.
    pub fn lacks_server(&self) -> bool {
        self.help.as_ref().and_then(|help| help.server.as_ref()).is_some_and(|server| server.value.is_none())
    }

    /// The issuer, or where the authorization endpoint lies: what a secret and an account belong to.
    pub fn authority(&self) -> String {
        let by_hand = self.authorization_endpoint.as_deref().and_then(|text| Url::parse(text).ok());
        let by_hand = by_hand.map(|url| url.origin().ascii_serialization());
        self.issuer.clone().or(by_hand).unwrap_or_default()
    }

    /// What people see of it.
    pub fn view(&self, name: &ProviderName, demo: bool, secret_kept: bool) -> ProviderView {
        let secret = match self.auth_method {
            AuthMethod::None => SecretState::NotNeeded,
            _ if secret_kept => SecretState::Kept,
            _ => SecretState::Missing,
        };
        ProviderView {
            name: name.clone(),
            title: self.title.clone(),
            issuer: if self.lacks_server() { String::new() } else { self.authority() },
            client_id: self.client_id.clone(),
            scopes: self.scopes.clone(),
            redirects: self.redirects.iter().map(|redirect| redirect.kind).collect(),
            demo,
            ready: !self.client_id.is_empty() && secret != SecretState::Missing && !self.lacks_server(),
            secret,
            help: self.help.clone(),
        }
    }
}

impl WrittenRedirect {
    /// The redirect that it means.
    ///
    /// # Errors
    /// [`Problem::BadProvider`].
    pub fn check(self, name: &str) -> Result<Redirect, Problem> {
        let (kind, uri) = match self {
            Self::Kind(kind) => (kind, None),
            Self::At { kind, uri } => (kind, Some(uri)),
        };
        let parse = |text: &str| Url::parse(text).map_err(|_| bad(name, "redirects", "its uri is not a URL"));
        let uri = match (kind, uri) {
            (RedirectKind::Device | RedirectKind::ClientCredentials, None) => return Ok(Redirect { kind, uri: None }),
            (RedirectKind::ClientCredentials, Some(_)) => {
                return Err(bad(
                    name,
                    "redirects",
                    "without a person nothing comes back: write \"client-credentials\" alone",
                ));
            }
            (RedirectKind::Device, Some(_)) => {
                return Err(bad(name, "redirects", "a device authorization has no address: write \"device\" alone"));
            }
            (RedirectKind::DeepLink, None) => parse(REDIRECT_URI)?,
            (RedirectKind::DeepLink, Some(_)) => {
                return Err(bad(name, "redirects", &format!("the deep link is {REDIRECT_URI}, and no other")));
            }
            (RedirectKind::Loopback, None) => parse("http://127.0.0.1/callback")?,
            (RedirectKind::Loopback, Some(uri)) => {
                let uri = parse(&uri)?;
                if uri.scheme() != "http" || !crate::http::is_loopback(&uri) {
                    return Err(bad(
                        name,
                        "redirects",
                        "loopback means http://127.0.0.1, http://[::1] or http://localhost",
                    ));
                }
                uri
            }
            (RedirectKind::Paste, Some(uri)) => endpoint(name, "redirects", &uri)?,
            (RedirectKind::Paste, None) => {
                return Err(bad(
                    name,
                    "redirects",
                    "paste needs the address that you registered: { kind = \"paste\", uri = \"https://…\" }",
                ));
            }
        };
        Ok(Redirect { kind, uri: Some(uri) })
    }
}

fn bad(provider: &str, field: &str, detail: &str) -> Problem {
    Problem::BadProvider { provider: provider.to_owned(), field: field.to_owned(), detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::view::Usable;

    fn problem(text: &str) -> Problem {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, text).unwrap();
        read(&path).unwrap_err()
    }

    #[test]
    fn bad_values_name_the_provider_and_the_field() {
        let field = |text: &str| match problem(text) {
            Problem::BadProvider { provider, field, .. } => (provider, field),
            other => panic!("{other:?}"),
        };
        let with = |line: &str| format!("[provider.work]\nclient_id = \"c\"\n{line}\n");
        assert_eq!(field(&with("")), ("work".into(), "issuer".into()));
        assert_eq!(field(&with("issuer = \"id.example\"")), ("work".into(), "issuer".into()));
        assert_eq!(field(&with("issuer = \"https://i.example?x\"")), ("work".into(), "issuer".into()));
        assert_eq!(field(&with("issuer = \"https://i\"\nscopes = [\"a b\"]")), ("work".into(), "scopes".into()));
        assert_eq!(
            field(&with("issuer = \"https://i\"\nauthorization_params = { state = \"x\" }")),
            ("work".into(), "authorization_params".into())
        );
        assert!(matches!(problem(&with("issuer = \"http://i.example\"")), Problem::NotLoopback { .. }));
    }

    #[test]
    fn a_persons_own_client_completes_the_catalogues_entry_field_by_field() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, "[provider.google]\nclient_id = \"c\"\n[provider.second]\ncatalogue = \"google\"\nclient_id = \"d\"\nscopes = [\"openid\"]\n").unwrap();
        let providers = read(&path).unwrap();
        let (google, second) = (&providers[&"google".into()], &providers[&"second".into()]);
        assert_eq!((google.issuer.as_deref(), google.client_id.as_str()), (Some("https://accounts.google.com"), "c"));
        assert_eq!(google.auth_method, AuthMethod::ClientSecretPost);
        assert_eq!((second.issuer.clone(), second.scopes.clone()), (google.issuer.clone(), vec!["openid".into()]));
        assert!(providers[&"discord".into()].client_id.is_empty());
    }

    #[test]
    fn every_entry_of_the_catalogue_can_be_used_and_has_its_words() {
        let words = |key: &str, name: &str| {
            let text = larder_core::words::message(key, &serde_json::Map::new());
            assert!(text != key && !text.trim().is_empty(), "{name}: {key}");
        };
        for name in catalogue::names() {
            let as_it_is = Provider::resolve(name, Written::default()).unwrap();
            let server = as_it_is.help.as_ref().unwrap().server.as_ref().map(|server| server.example.clone());
            assert_eq!(as_it_is.lacks_server(), server.is_some(), "{name}");
            let written = Written { server, client_id: Some("id".to_owned()), ..Written::default() };
            let provider = Provider::resolve(name, written).unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
            let help = provider.help.as_ref().unwrap();
            words(&help.why, name);
            help.steps.iter().for_each(|step| words(step, name));
            help.server.iter().for_each(|server| words(&server.label, name));
            help.scopes
                .iter()
                .filter(|scope| scope.meaning.starts_with("catalogue."))
                .for_each(|scope| words(&scope.meaning, name));
            let addresses = [
                &provider.issuer,
                &provider.authorization_endpoint,
                &provider.token_endpoint,
                &provider.revocation_endpoint,
                &provider.userinfo_endpoint,
                &provider.device_authorization_endpoint,
            ];
            for address in addresses.into_iter().flatten().chain([&help.register]) {
                assert!(address.starts_with("https://") && !address.contains('{'), "{name}: {address}");
            }
            // Who it is has to be told by somebody.
            let told = provider.issuer.is_some() || provider.userinfo_endpoint.is_some() || !help.verified;
            assert!(told || help.usable == Usable::No, "{name}");
            let public = provider.auth_method == AuthMethod::None;
            assert!(help.usable == Usable::No || public == (help.usable == Usable::Native), "{name}");
        }
    }

    #[test]
    fn the_catalogue_is_sorted_and_most_of_it_works_from_a_desktop() {
        let text = include_str!("catalogue.toml");
        let names: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix('[')?.strip_suffix(']')).collect();
        assert!(names.is_sorted());
        assert_eq!(names, catalogue::names());
        let works = |name: &&&str| {
            let provider = Provider::resolve(name, Written::default()).unwrap();
            provider.help.unwrap().usable != Usable::No
        };
        assert!(names.iter().filter(works).count() >= 30);
    }

    #[test]
    fn a_step_that_speaks_of_the_redirect_has_it_below() {
        for name in catalogue::names() {
            let help = Provider::resolve(name, Written::default()).unwrap().help.unwrap();
            let words = |step: &String| larder_core::words::message(step, &serde_json::Map::new());
            let told = help.steps.iter().map(words).any(|step| step.contains("to the letter"));
            assert_eq!(told, help.redirect.is_some(), "{name}: {:?}", help.redirect);
        }
    }

    #[test]
    fn a_server_of_ones_own_completes_an_entry_and_belongs_to_no_other() {
        let with = |catalogue: &str, server: &str| {
            let written = format!("catalogue = \"{catalogue}\"\nserver = \"{server}\"\nclient_id = \"id\"");
            parse_one(&"mine".into(), &written)
        };
        let mine = with("mastodon", "https://social.example/").unwrap();
        assert_eq!(mine.token_endpoint.as_deref(), Some("https://social.example/oauth/token"));
        let tenant = "00000000-0000-0000-0000-000000000000";
        let issuer = with("entra-tenant", tenant).unwrap().issuer.unwrap();
        assert_eq!(issuer, format!("https://login.microsoftonline.com/{tenant}/v2.0"));
        assert!(matches!(with("mastodon", "http://social.example"), Err(Problem::NotLoopback { .. })));
        assert!(matches!(with("mastodon", "social.example"), Err(Problem::BadProvider { .. })));
        assert!(
            matches!(with("google", "https://x.example"), Err(Problem::BadProvider { field, .. }) if field == "server")
        );
    }

    #[test]
    fn quirks_of_requests_are_data() {
        let entry = |name: &str| Provider::resolve(name, Written::default()).unwrap();
        let param = |name: &str, key: &str| entry(name).authorization_params.get(key).cloned();
        assert_eq!(param("reddit", "duration").as_deref(), Some("permanent"));
        assert_eq!(param("dropbox", "token_access_type").as_deref(), Some("offline"));
        assert_eq!(entry("notion").auth_method, AuthMethod::ClientSecretBasic);
        let slack = Provider { scopes: vec!["users:read".into(), "chat:write".into()], ..entry("slack") };
        assert_eq!(slack.scope_parameter(), "users:read,chat:write");
        assert!(entry("gitlab").terms.refresh_ends_access_token && entry("github-app").terms.refresh_ends_access_token);
        assert_eq!(entry("github-app").terms.refresh_token_lifetime, Some(180 * DAY));
        assert!(
            entry("spotify")
                .redirects
                .iter()
                .all(|redirect| { redirect.uri.as_ref().is_none_or(|uri| uri.host_str() != Some("localhost")) })
        );
    }
}
