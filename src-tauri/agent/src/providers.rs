//! `providers.toml`: what the person wrote down, read with its line numbers and changed without losing comments.

use crate::http::endpoint;
use larder_core::names::{ProviderName, Scope};
use larder_core::problem::Problem;
use larder_core::view::{ProviderView, RedirectKind};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A provider as it is written down; keys are named as in RFC 8414.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
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
    /// The client's id, from where it was registered.
    pub client_id: String,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Redirects, in the order in which they are tried.
    #[serde(default = "deep_link")]
    pub redirects: Vec<RedirectKind>,
    /// Only public clients for now.
    #[serde(default)]
    pub token_endpoint_auth_method: AuthMethod,
    /// Added to the authorization request, such as `prompt`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorization_params: BTreeMap<String, String>,
}

/// How the client authenticates at the token endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// It does not: a public client.
    #[default]
    None,
}

fn deep_link() -> Vec<RedirectKind> {
    vec![RedirectKind::DeepLink]
}

/// Parameters that Larder itself sets; a provider's own must not replace them.
const OURS: &[&str] = &[
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
];

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: BTreeMap<String, Provider>,
}

/// All providers.
pub type Providers = BTreeMap<ProviderName, Provider>;

impl Provider {
    /// Checks what can be checked without asking anybody.
    ///
    /// # Errors
    /// [`Problem::BadProvider`], [`Problem::NotLoopback`], each naming the field.
    pub fn check(&self, name: &str) -> Result<(), Problem> {
        let bad = |field: &str, detail: &str| Problem::BadProvider {
            provider: name.to_owned(),
            field: field.to_owned(),
            detail: detail.to_owned(),
        };
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !plain(name) || name.len() > 64 {
            return Err(bad("name", "use up to 64 letters, digits, dots, dashes and underscores"));
        }
        if self.client_id.trim().is_empty() {
            return Err(bad("client_id", "it is empty; write the client ID from where you registered Larder"));
        }
        let by_hand = self.authorization_endpoint.is_some() && self.token_endpoint.is_some();
        if self.issuer.is_none() && !by_hand {
            return Err(bad("issuer", "write an issuer, or both authorization_endpoint and token_endpoint"));
        }
        let fields = [
            ("issuer", &self.issuer),
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("revocation_endpoint", &self.revocation_endpoint),
            ("userinfo_endpoint", &self.userinfo_endpoint),
        ];
        for (field, text) in fields {
            if let Some(text) = text {
                let url = endpoint(name, field, text)?;
                // RFC 8414 section 2.
                if field == "issuer" && url.query().is_some() {
                    return Err(bad(field, "an issuer has no query"));
                }
            }
        }
        if self.redirects.is_empty() {
            return Err(bad("redirects", "name at least one"));
        }
        if self.redirects.contains(&RedirectKind::Loopback) {
            return Err(bad("redirects", "\"loopback\" is not offered yet; use \"deep-link\" or \"paste\""));
        }
        // RFC 6749 section 3.3.
        let scope_character = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if self.scopes.iter().any(|scope| scope.0.is_empty() || !scope.0.bytes().all(scope_character)) {
            return Err(bad("scopes", "one scope a string, without spaces or quotes"));
        }
        if let Some(ours) = self.authorization_params.keys().find(|key| OURS.contains(&key.as_str())) {
            return Err(bad("authorization_params", &format!("{ours} is set by Larder")));
        }
        Ok(())
    }

    /// What people see of it.
    pub fn view(&self, name: &ProviderName, demo: bool) -> ProviderView {
        let from = self.issuer.as_ref().or(self.authorization_endpoint.as_ref());
        ProviderView {
            name: name.clone(),
            title: self.title.clone().unwrap_or_else(|| name.0.clone()),
            issuer: from.cloned().unwrap_or_default(),
            client_id: self.client_id.clone(),
            scopes: self.scopes.clone(),
            redirects: self.redirects.clone(),
            demo,
        }
    }
}

/// Reads `providers.toml`. A file that is not there has no providers.
///
/// # Errors
/// [`Problem::BadConfig`] with the line; [`Problem::BadProvider`] with the field.
pub fn read(path: &Path) -> Result<Providers, Problem> {
    let file = match std::fs::read_to_string(path) {
        Ok(text) => parse::<File>(path, &text)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => File::default(),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut providers = Providers::new();
    for (name, provider) in file.provider {
        provider.check(&name)?;
        providers.insert(ProviderName(name), provider);
    }
    Ok(providers)
}

/// Parses a configuration file.
///
/// # Errors
/// [`Problem::BadConfig`] with the line.
pub fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T, Problem> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let before = error.span().map_or("", |span| text.get(..span.start).unwrap_or_default());
        Problem::BadConfig {
            file: path.display().to_string(),
            line: before.matches('\n').count() + 1,
            // One line: the rest repeats the file's text.
            detail: error.message().lines().next().unwrap_or_default().trim_end_matches('.').to_owned(),
        }
    })
}

/// A configuration file that cannot be read at all.
pub fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::BadConfig { file: path.display().to_string(), line: 1, detail: error.kind().to_string() }
}

/// Parses the keys of one provider, and checks them.
///
/// # Errors
/// [`Problem::BadProvider`], naming the field.
pub fn parse_one(name: &ProviderName, definition: &str) -> Result<Provider, Problem> {
    let provider: Provider = toml::from_str(definition).map_err(|error: toml::de::Error| Problem::BadProvider {
        provider: name.0.clone(),
        field: "definition".to_owned(),
        detail: error.message().lines().next().unwrap_or_default().trim_end_matches('.').to_owned(),
    })?;
    provider.check(name.as_str())?;
    Ok(provider)
}

/// The keys of one provider, as TOML.
///
/// # Errors
/// [`Problem::Internal`].
pub fn write_one(provider: &Provider) -> Result<String, Problem> {
    toml::to_string(provider).map_err(|_| Problem::Internal { detail: "the provider cannot be written".to_owned() })
}

/// Puts a provider into `providers.toml`, or takes it out. Comments and the order of everything else stay.
///
/// # Errors
/// [`Problem::BadConfig`], [`Problem::DiskFull`].
pub fn change(path: &Path, name: &ProviderName, provider: Option<&Provider>) -> Result<(), Problem> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(path, &error)),
    };
    parse::<File>(path, &text)?;
    let internal = |_| Problem::Internal { detail: "providers.toml cannot be changed".to_owned() };
    let mut document = text.parse::<toml_edit::DocumentMut>().map_err(internal)?;
    let table = document.entry("provider").or_insert(toml_edit::table());
    let Some(table) = table.as_table_mut() else {
        let detail = "write each provider as a table of its own, [provider.NAME]".to_owned();
        return Err(Problem::BadConfig { file: path.display().to_string(), line: 1, detail });
    };
    table.set_implicit(true);
    match provider {
        Some(provider) => {
            let keys = write_one(provider)?.parse::<toml_edit::DocumentMut>().map_err(internal)?;
            table.insert(name.as_str(), toml_edit::Item::Table(keys.as_table().clone()));
        }
        None => {
            table.remove(name.as_str());
        }
    }
    crate::folders::replace(path, &document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Problem {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, text).unwrap();
        read(&path).unwrap_err()
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_line() {
        let found = problem("[provider.work]\nissuer = \"https://i.example\"\nclient_id = \"c\"\nclientid = \"d\"\n");
        let Problem::BadConfig { line, detail, .. } = found else { panic!("{found:?}") };
        assert_eq!(line, 4);
        assert!(detail.contains("clientid"), "{detail}");
    }

    #[test]
    fn malformed_toml_is_an_error_that_names_the_line() {
        let found = problem("[provider.work]\nissuer = \"https://i.example\n");
        assert!(matches!(found, Problem::BadConfig { line: 2, .. }), "{found:?}");
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
    fn adding_and_removing_keeps_comments_and_other_providers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, "# mine\n[provider.a]  # first\nissuer = \"https://a\"\nclient_id = \"c\"\n").unwrap();
        let name = ProviderName::from("b");
        let provider = parse_one(&name, "issuer = \"https://b\"\nclient_id = \"d\"").unwrap();
        change(&path, &name, Some(&provider)).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
        assert_eq!(read(&path).unwrap()[&name], provider);
        change(&path, &name, None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n[provider.a]  # first\n"), "{text}");
        assert_eq!(read(&path).unwrap().len(), 1);
    }
}
