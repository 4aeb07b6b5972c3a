//! From an address to an authorization server: a protected resource names its own (RFC 9728), an issuer is one
//! (RFC 8414, OpenID Connect Discovery 1.0).

use crate::discovery::Metadata;
use crate::discovery_cache::Discovery;
use crate::http::{Http, endpoint, host, is_loopback};
use crate::token_endpoint::plain;
use larder_core::names::Scope;
use larder_core::problem::Problem;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use url::Url;

/// So many scopes are taken from what others publish; a request with more of them fits into no browser's address.
const MOST_SCOPES: usize = 64;

/// What a protected resource says about itself (RFC 9728 section 2), as far as it is used.
#[derive(Debug, Deserialize)]
pub struct Document {
    /// What it describes.
    pub resource: String,
    /// Issuers whose tokens it takes.
    #[serde(default)]
    pub authorization_servers: Vec<String>,
    /// What can be asked for there.
    pub scopes_supported: Option<Vec<String>>,
    /// For people.
    pub resource_name: Option<String>,
}

/// A resource's challenge (RFC 6750 section 3, RFC 9728 section 5.1).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Challenge {
    /// Where the resource's metadata lies.
    pub resource_metadata: Option<String>,
    /// What is needed there, separated by spaces.
    pub scope: Option<String>,
}

/// What an address leads to.
#[derive(Clone, Debug)]
pub struct Found {
    /// The address.
    pub url: Url,
    /// The authorization server's metadata; its issuer is the one that was asked.
    pub metadata: Metadata,
    /// Whom tokens are to be for, where the address is that of a protected resource.
    pub resource: Option<String>,
    /// For people.
    pub title: String,
    /// What is to be asked for.
    pub scopes: Vec<Scope>,
}

/// Finds out what an address leads to. Redirects are not followed: what a host says about itself, it says itself.
///
/// # Errors
/// [`Problem::NoServer`], [`Problem::BadResource`], [`Problem::NotLoopback`], [`Problem::IssuerMismatch`],
/// [`Problem::NotAnIssuer`], [`Problem::Unreachable`].
pub async fn find(http: &Http, discovery: &Discovery, text: &str) -> Result<Found, Problem> {
    let text = text.trim();
    let url = address(text)?;
    let (document, challenge) = protected(http, &url).await?;
    let named = document.as_ref().and_then(|document| document.authorization_servers.first());
    let metadata = match named {
        Some(issuer) => {
            authorization_server(&url, issuer)?;
            discovery.metadata(http, &host(&url), issuer).await?
        }
        None => issuer(http, discovery, &url, text).await?,
    };
    let needed = challenge.scope.map(|scope| scope.split(' ').map(str::to_owned).collect());
    let needed = needed.or_else(|| document.as_ref().and_then(|document| document.scopes_supported.clone()));
    let title = document.as_ref().and_then(|document| document.resource_name.as_deref()).map(plain);
    Ok(Found {
        scopes: scopes(&metadata, &needed.unwrap_or_default()),
        metadata,
        resource: document.map(|document| document.resource),
        title: title.filter(|title| !title.is_empty()).unwrap_or_else(|| host(&url)),
        url,
    })
}

/// The address that a person pasted.
fn address(text: &str) -> Result<Url, Problem> {
    endpoint("", "The address", text).map_err(|problem| match problem {
        Problem::BadProvider { detail, .. } => Problem::NoServer { url: plain(text), detail },
        other => other,
    })
}

fn bad(url: &Url, detail: &str) -> Problem {
    Problem::BadResource { url: url.to_string(), detail: detail.to_owned() }
}

/// The issuer that a resource names: https, and this computer's own only where the resource is there too. Nobody
/// else has any business to send Larder to it.
///
/// # Errors
/// [`Problem::BadResource`].
pub fn authorization_server(url: &Url, issuer: &str) -> Result<(), Problem> {
    let checked = endpoint("", "authorization_servers", issuer).map_err(|problem| match problem {
        Problem::BadProvider { detail, .. } => bad(url, &format!("its authorization server: {detail}")),
        Problem::NotLoopback { .. } => bad(url, "its authorization server is reached by plain http"),
        other => other,
    })?;
    if is_loopback(&checked) && !is_loopback(url) {
        return Err(bad(url, "it names an authorization server on this computer"));
    }
    Ok(())
}

/// What a protected resource says about itself, if the address is that of one: from where its challenge says, else from
/// the well-known places of its path and of its origin.
async fn protected(http: &Http, url: &Url) -> Result<(Option<Document>, Challenge), Problem> {
    let (status, headers) = http.knock(url).await?;
    let challenge = if status == 401 { challenged(&headers) } else { Challenge::default() };
    if let Some(text) = &challenge.resource_metadata {
        let at = Url::parse(text).map_err(|_| bad(url, "where its metadata lies is not a URL"))?;
        if at.origin() != url.origin() {
            return Err(bad(url, "its metadata lies at another origin"));
        }
        let response = http.get(&at, None).await?;
        if response.status >= 500 {
            return Err(Problem::ProviderTrouble { host: host(&at), status: response.status });
        }
        if response.status != 200 {
            return Err(bad(url, &format!("its metadata is not where it says (status {})", response.status)));
        }
        let document =
            response.json().map_err(|_| bad(url, "its metadata is not what a protected resource publishes"))?;
        believed(url, &document)?;
        return Ok((Some(document), challenge));
    }
    for at in well_known(url) {
        let response = http.get(&at, None).await?;
        // Some servers answer every address with a page of theirs: that is not metadata.
        if response.status == 200
            && let Ok(document) = response.json()
        {
            believed(url, &document)?;
            return Ok((Some(document), challenge));
        }
    }
    Ok((None, challenge))
}

/// RFC 9728 section 3.1: between host and path; then at the root.
fn well_known(url: &Url) -> Vec<Url> {
    let path = url.path().trim_end_matches('/');
    let mut at = url.clone();
    at.set_path(&format!("/.well-known/oauth-protected-resource{path}"));
    let mut root = url.clone();
    root.set_path("/.well-known/oauth-protected-resource");
    root.set_query(None);
    if at == root { vec![root] } else { vec![at, root] }
}

/// RFC 9728 section 3.3: the metadata must be that of the resource that was asked. One that describes a whole branch
/// of its own origin is taken too; else one server could have tokens for another sent to itself, or the other way round.
///
/// # Errors
/// [`Problem::BadResource`].
pub fn believed(url: &Url, document: &Document) -> Result<(), Problem> {
    let resource = Url::parse(&document.resource).map_err(|_| bad(url, "the resource that it names is not a URL"))?;
    if resource.origin() != url.origin() {
        return Err(bad(url, &format!("its metadata is that of another origin, {}", host(&resource))));
    }
    if !covers(&resource, url) {
        return Err(bad(url, &format!("its metadata is that of another resource, {resource}")));
    }
    Ok(())
}

/// Whether `resource` is `url`, or the path above it.
fn covers(resource: &Url, url: &Url) -> bool {
    if resource.origin() != url.origin() || resource.fragment().is_some() {
        return false;
    }
    if !resource.username().is_empty() || resource.password().is_some() {
        return false;
    }
    let base = resource.path().trim_end_matches('/');
    let below = url.path().strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    resource == url || (below && resource.query().is_none())
}

/// The first challenge that says where the metadata lies, or which scope is needed.
pub fn challenged(headers: &HeaderMap) -> Challenge {
    let mut found = Challenge::default();
    for value in headers.get_all("www-authenticate").iter().filter_map(|value| value.to_str().ok()) {
        // What cannot be read is no challenge.
        for challenge in http_auth::parse_challenges(value).unwrap_or_default() {
            for (name, value) in &challenge.params {
                let field = match name.to_ascii_lowercase().as_str() {
                    "resource_metadata" => &mut found.resource_metadata,
                    "scope" => &mut found.scope,
                    _ => continue,
                };
                field.get_or_insert_with(|| value.to_unescaped());
            }
        }
    }
    found
}

/// The address as an issuer, else its origin as one.
async fn issuer(http: &Http, discovery: &Discovery, url: &Url, text: &str) -> Result<Metadata, Problem> {
    let origin = url.origin().ascii_serialization();
    let mut why = "it has a query, which no issuer has".to_owned();
    if url.query().is_none() {
        match but_for_a_slash(http, discovery, url, text).await {
            // A server below a path may describe itself at its origin.
            Err(Problem::IssuerMismatch { answered, .. }) if same_but_for_a_slash(&answered, &origin) => {}
            Err(Problem::NotAnIssuer { detail, .. }) => why = detail,
            other => return other,
        }
        if same_but_for_a_slash(text, &origin) {
            return Err(Problem::NoServer { url: url.to_string(), detail: why });
        }
    }
    match but_for_a_slash(http, discovery, url, &origin).await {
        Err(Problem::NotAnIssuer { .. }) => Err(Problem::NoServer { url: url.to_string(), detail: why }),
        other => other,
    }
}

/// An issuer's metadata. People add or leave out a slash at the end; the document says which it is, and is then
/// asked for again under that name.
async fn but_for_a_slash(http: &Http, discovery: &Discovery, url: &Url, issuer: &str) -> Result<Metadata, Problem> {
    match discovery.metadata(http, &host(url), issuer).await {
        Err(Problem::IssuerMismatch { answered, .. }) if same_but_for_a_slash(&answered, issuer) => {
            discovery.metadata(http, &host(url), &answered).await
        }
        other => other,
    }
}

fn same_but_for_a_slash(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

/// What to ask for: who it is and a session that lasts, as far as the server offers that, and what the resource needs.
fn scopes(metadata: &Metadata, needed: &[String]) -> Vec<Scope> {
    const IDENTITY: [&str; 4] = ["openid", "profile", "email", "offline_access"];
    let supported = |scope: &str| match &metadata.scopes_supported {
        Some(supported) => supported.iter().any(|known| known == scope),
        // An OpenID provider that lists none.
        None => metadata.userinfo_endpoint.is_some() && metadata.jwks_uri.is_some(),
    };
    let openid = supported("openid");
    let identity = IDENTITY.into_iter().filter(|scope| supported(scope) && (openid || *scope == "offline_access"));
    // RFC 6749 section 3.3.
    let whole =
        |scope: &&str| !scope.is_empty() && scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    let mut all: Vec<Scope> = Vec::new();
    for scope in identity.chain(needed.iter().map(String::as_str).filter(whole)).map(Scope::from) {
        if !all.contains(&scope) && all.len() < MOST_SCOPES {
            all.push(scope);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn document(resource: &str) -> Document {
        Document {
            resource: resource.to_owned(),
            authorization_servers: Vec::new(),
            scopes_supported: None,
            resource_name: None,
        }
    }

    #[test]
    fn a_resource_covers_itself_and_what_lies_below_it() {
        let asked = url("https://mcp.example/a/b?c=d");
        for resource in [
            "https://mcp.example/a/b?c=d",
            "https://mcp.example/a/b",
            "https://mcp.example/a/",
            "https://mcp.example/a",
            "https://mcp.example",
        ] {
            assert_eq!(believed(&asked, &document(resource)), Ok(()), "{resource}");
        }
        for resource in [
            "https://mcp.example/a/b/c",
            "https://mcp.example/a/bc",
            "https://mcp.example/aa",
            "https://mcp.example/a?x=y",
            "https://mcp.example/a#b",
            "https://evil.example/a/b",
            "https://mcp.example.evil.example/a",
            "https://mcp.example:444/a",
            "http://mcp.example/a",
            "a",
        ] {
            assert!(matches!(believed(&asked, &document(resource)), Err(Problem::BadResource { .. })), "{resource}");
        }
    }

    #[test]
    fn metadata_of_a_resource_is_looked_for_at_its_path_and_at_the_root() {
        let places = |text: &str| well_known(&url(text)).iter().map(Url::to_string).collect::<Vec<_>>();
        assert_eq!(
            places("https://mcp.example/a/b?c=d"),
            [
                "https://mcp.example/.well-known/oauth-protected-resource/a/b?c=d",
                "https://mcp.example/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(places("https://mcp.example/"), ["https://mcp.example/.well-known/oauth-protected-resource"]);
    }

    #[test]
    fn a_challenge_is_read_whatever_stands_around_it() {
        let of = |values: &[&str]| {
            let headers = values.iter().map(|value| ("www-authenticate".parse().unwrap(), value.parse().unwrap()));
            challenged(&headers.collect())
        };
        let there = |metadata: &str, scope: Option<&str>| Challenge {
            resource_metadata: Some(metadata.to_owned()),
            scope: scope.map(str::to_owned),
        };
        assert_eq!(of(&["Bearer resource_metadata=\"https://a/x\""]), there("https://a/x", None));
        assert_eq!(
            of(&["Basic realm=\"x, resource_metadata=y\", Bearer error=\"invalid_token\", scope=\"a b\", \
                  Resource_Metadata=\"https://a/x\""]),
            there("https://a/x", Some("a b"))
        );
        assert_eq!(of(&["Basic realm=\"x\"", "DPoP resource_metadata=\"https://a/x\""]), there("https://a/x", None));
        assert_eq!(of(&["Bearer", "nonsense \"\"\"="]), Challenge::default());
    }

    #[test]
    fn only_https_and_this_computers_own_addresses_are_asked() {
        assert!(address("https://mcp.example/a").is_ok() && address("http://127.0.0.1:1/a").is_ok());
        assert!(matches!(address("http://mcp.example/a"), Err(Problem::NotLoopback { .. })));
        for text in ["ftp://mcp.example", "file:///etc/passwd", "https://u:p@mcp.example", "x://", "https://a/#b"] {
            assert!(matches!(address(text), Err(Problem::NoServer { .. })), "{text}");
        }
        let resource = url("https://mcp.example/a");
        assert_eq!(authorization_server(&resource, "https://id.example"), Ok(()));
        for issuer in ["http://id.example", "http://127.0.0.1:8080", "https://localhost", "https://[::1]/", "id"] {
            let refused = authorization_server(&resource, issuer);
            assert!(matches!(refused, Err(Problem::BadResource { .. })), "{issuer}");
        }
        assert_eq!(authorization_server(&url("http://127.0.0.1:1/a"), "http://127.0.0.1:2"), Ok(()));
    }

    #[test]
    fn what_is_asked_for_is_what_server_and_resource_offer() {
        let ask = |metadata: serde_json::Value, needed: &[&str]| {
            let metadata = serde_json::from_value(metadata).unwrap();
            let needed: Vec<String> = needed.iter().map(|scope| (*scope).to_owned()).collect();
            scopes(&metadata, &needed).iter().map(|scope| scope.as_str().to_owned()).collect::<Vec<_>>()
        };
        let listed =
            serde_json::json!({ "issuer": "i", "scopes_supported": ["openid", "email", "offline_access", "x"] });
        assert_eq!(ask(listed.clone(), &[]), ["openid", "email", "offline_access"]);
        assert_eq!(ask(listed, &["x", "openid", "x", "a b"]), ["openid", "email", "offline_access", "x"]);
        let openid = serde_json::json!({ "issuer": "i", "userinfo_endpoint": "u", "jwks_uri": "j" });
        assert_eq!(ask(openid, &[]), ["openid", "profile", "email", "offline_access"]);
        // Without OpenID Connect there is nobody to ask for.
        let bare = serde_json::json!({ "issuer": "i", "scopes_supported": ["profile", "offline_access"] });
        assert_eq!(ask(bare, &["read"]), ["offline_access", "read"]);
        assert_eq!(ask(serde_json::json!({ "issuer": "i" }), &["read"]), ["read"]);
    }

    #[test]
    fn a_slash_at_the_end_makes_the_only_difference() {
        assert!(same_but_for_a_slash("https://a", "https://a/") && same_but_for_a_slash("https://a/", "https://a"));
        assert!(!same_but_for_a_slash("https://a//", "https://a") && !same_but_for_a_slash("https://a/b", "https://a"));
    }
}
