//! A client of the person's own: written down, its secret sealed, from the window.

use crate::actions::{self, More, done};
use crate::browser;
use crate::link::Link;
use larder_client::unexpected;
use larder_core::names::{AttemptId, ProviderName, Scope};
use larder_core::problem::{Exit, Problem};
use larder_core::protocol::{Answer, OnWire, Request};
use larder_core::scheme::REDIRECT_URI;
use larder_core::view::{ClientKind, ProviderHelp, RedirectKind, ReportLine};
use serde::{Deserialize, Deserializer, Serialize};
use toml::{Table, Value};

/// What to write down at a provider for this computer's own address; the agent answers at any port of it.
const LOOPBACK_URI: &str = "http://127.0.0.1/callback";

/// The name of the demonstration, which hides another provider of that name.
const DEMO: &str = "demo";

/// What a person typed and nobody may see again: it goes to the agent, and nowhere else.
pub struct Secret(OnWire);

impl Secret {
    /// As it goes to the agent.
    pub fn into_wire(self) -> OnWire {
        self.0
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(OnWire::new(text)))
    }
}

/// An OpenID provider that no catalogue knows.
#[derive(Deserialize)]
pub struct NewProvider {
    title: String,
    issuer: String,
    client_id: String,
    scopes: String,
    redirect: RedirectKind,
    /// Where the client has one.
    #[serde(default)]
    secret: Option<Secret>,
}

/// What can be signed in to at an address.
#[derive(Serialize)]
pub struct Found {
    issuer: String,
    resource: Option<String>,
    /// None where its person is to register one first.
    client: Option<ClientKind>,
    title: String,
    scopes: Vec<Scope>,
}

/// Looks at an address that a person pasted. Nothing is opened, and nothing is written down.
pub fn find(link: &Link, url: String) -> Result<Found, Problem> {
    link.notice(None);
    match link.ask_long(Request::Find { url })? {
        Answer::Found { issuer, resource, client, title, scopes, .. } => {
            Ok(Found { issuer, resource, client, title, scopes })
        }
        _ => Err(unexpected("find")),
    }
}

/// Has what is there written down as a provider, with a client that is registered where that is needed.
pub fn adopt(link: &Link, url: String) -> Result<ProviderName, Problem> {
    match link.ask_long(Request::Adopt { url })? {
        Answer::Adopted { provider, .. } => Ok(provider),
        _ => Err(unexpected("adopt")),
    }
}

/// What a provider offers, what Larder uses of it, and what is wrong, line by line. Signs nobody in.
pub fn check(link: &Link, provider: ProviderName) -> Result<Vec<ReportLine>, Problem> {
    link.notice(None);
    match link.ask_long(Request::CheckProvider { provider: provider.0 })? {
        Answer::Report { lines } => Ok(lines),
        _ => Err(unexpected("check-provider")),
    }
}

/// Writes down the client that a person registered, and seals its secret, if one is given. All else stays as it was.
pub fn save_client(
    link: &Link,
    name: &ProviderName,
    client_id: &str,
    server: Option<&str>,
    secret: Option<Secret>,
) -> Result<(), Problem> {
    link.notice(None);
    let Answer::Provider { definition } = link.ask(Request::Provider { name: name.clone() })? else {
        return Err(unexpected("provider"));
    };
    // Where the secret alone is new, nothing is written: a definition that changes has its accounts tried again.
    if let Some(definition) = with_client(name, &definition, client_id.trim(), server.map(str::trim))? {
        done(link.ask(Request::AddProvider { name: name.clone(), definition })?, "add-provider")?;
    }
    secret.map_or(Ok(()), |secret| set_secret(link, name, secret))
}

/// Has a client's secret sealed. The keychain may ask its person: this waits on a connection of its own.
fn set_secret(link: &Link, name: &ProviderName, Secret(secret): Secret) -> Result<(), Problem> {
    done(link.ask_long(Request::SetSecret { name: name.clone(), secret })?, "set-secret")
}

/// The definition with this client and server; `None` where it has those already.
fn with_client(
    name: &ProviderName,
    definition: &str,
    client_id: &str,
    server: Option<&str>,
) -> Result<Option<String>, Problem> {
    if client_id.is_empty() {
        return Err(Problem::BadProvider {
            provider: name.0.clone(),
            field: "client_id".to_owned(),
            detail: "it is empty; copy it from where you registered Larder".to_owned(),
        });
    }
    let mut table: Table = definition.parse().map_err(|_| unexpected("provider"))?;
    let given = [("client_id", Some(client_id)), ("server", server)];
    let mut changed = false;
    for (key, text) in given.into_iter().filter_map(|(key, text)| Some((key, text?))) {
        let new = Value::String(text.to_owned());
        if table.get(key) != Some(&new) {
            table.insert(key.to_owned(), new);
            changed = true;
        }
    }
    Ok(changed.then(|| table.to_string()))
}

/// Writes down a provider and begins to sign in there. Where that cannot begin, nothing stays written, so that what is
/// wrong can be corrected and tried again.
pub fn add(link: &Link, new: NewProvider) -> Result<(ProviderName, AttemptId), Problem> {
    link.notice(None);
    let taken: Vec<ProviderName> = link.house()?.providers.into_iter().map(|provider| provider.name).collect();
    let name = free_name(&new.title, &taken);
    done(link.ask(Request::AddProvider { name: name.clone(), definition: definition(&new) })?, "add-provider")?;
    let sealed = new.secret.map_or(Ok(()), |secret| set_secret(link, &name, secret));
    match sealed.and_then(|()| actions::sign_in(link, name.clone(), None, None, More::default())) {
        Ok(attempt) => Ok((name, attempt)),
        Err(problem) => {
            if matches!(problem.exit(), Exit::Configuration | Exit::TryLater) {
                // Best effort: left alone, it can be removed by `larder providers remove`.
                let _ = link.ask(Request::RemoveProvider { name });
            }
            Err(problem)
        }
    }
}

fn definition(new: &NewProvider) -> String {
    let text = |text: &str| Value::String(text.trim().to_owned());
    let scopes = new.scopes.split_whitespace().map(|scope| Value::String(scope.to_owned())).collect();
    let redirect = match new.redirect {
        RedirectKind::DeepLink => "deep-link",
        RedirectKind::Loopback => "loopback",
        RedirectKind::Paste => "paste",
        RedirectKind::Device => "device",
        RedirectKind::ClientCredentials => "client-credentials",
    };
    let mut table = Table::from_iter([
        ("title".to_owned(), text(&new.title)),
        ("issuer".to_owned(), text(&new.issuer)),
        ("client_id".to_owned(), text(&new.client_id)),
        ("scopes".to_owned(), Value::Array(scopes)),
        ("redirects".to_owned(), Value::Array(vec![text(redirect)])),
    ]);
    if new.secret.is_some() {
        // What every server that has secrets must take (RFC 6749 section 2.3.1).
        table.insert("token_endpoint_auth_method".to_owned(), text("client_secret_basic"));
    }
    table.to_string()
}

/// A name for `providers.toml` that reads like the title and names no other provider.
fn free_name(title: &str, taken: &[ProviderName]) -> ProviderName {
    let plain: String =
        title.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' }).take(40).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let name = if words.is_empty() { "provider".to_owned() } else { words.join("-") };
    let free = |name: &str| name != DEMO && !taken.iter().any(|other| other.as_str() == name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let found = std::iter::once(name.clone()).chain(numbered).find(|name| free(name));
    ProviderName(found.unwrap_or(name))
}

/// Opens the page where a client is registered.
pub fn open_registration(link: &Link, name: &ProviderName) -> Result<(), Problem> {
    browser::open_web(&help(link, name)?.register, &link.browser())
}

/// The redirect to write down at a provider, to the letter.
pub fn redirect_of(link: &Link, name: &ProviderName) -> Result<String, Problem> {
    help(link, name)?.redirect.ok_or_else(|| unexpected("provider"))
}

/// The redirect to write down at a provider that no catalogue knows.
pub fn own_redirect(kind: RedirectKind) -> Result<String, Problem> {
    match kind {
        RedirectKind::DeepLink => Ok(REDIRECT_URI.to_owned()),
        RedirectKind::Loopback => Ok(LOOPBACK_URI.to_owned()),
        RedirectKind::Paste => Err(Problem::BadRequest { detail: "that address is the person's own".to_owned() }),
        RedirectKind::Device | RedirectKind::ClientCredentials => {
            Err(Problem::BadRequest { detail: "where nothing comes back there is none".to_owned() })
        }
    }
}

fn help(link: &Link, name: &ProviderName) -> Result<ProviderHelp, Problem> {
    let found = link.house()?.providers.into_iter().find(|provider| provider.name == *name);
    found.and_then(|provider| provider.help).ok_or_else(|| Problem::NoSuchProvider { provider: name.0.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_client_is_written_anew() {
        let old = "title = \"Work\"\nscopes = [\"openid\"]\nclient_id = \"old\"\n\n[authorization_params]\nprompt = \"login\"\n";
        let new = with_client(&"work".into(), old, "new \"id\"", None).unwrap().unwrap();
        let (old, new): (Table, Table) = (old.parse().unwrap(), new.parse().unwrap());
        assert_eq!(new["client_id"].as_str(), Some("new \"id\""));
        assert_eq!((&new["title"], &new["scopes"]), (&old["title"], &old["scopes"]));
        assert_eq!(new["authorization_params"], old["authorization_params"]);
        assert_eq!(with_client(&"google".into(), "", "id", None).unwrap().unwrap(), "client_id = \"id\"\n");
        let server = with_client(&"mastodon".into(), "client_id = \"id\"\n", "id", Some("https://s.example"));
        assert_eq!(server.unwrap().unwrap(), "client_id = \"id\"\nserver = \"https://s.example\"\n");
    }

    #[test]
    fn nothing_is_written_for_the_same_client_or_none() {
        assert_eq!(with_client(&"work".into(), "client_id = \"same\"", "same", None).unwrap(), None);
        assert!(matches!(with_client(&"work".into(), "", "", None), Err(Problem::BadProvider { .. })));
    }

    #[test]
    fn a_provider_is_named_after_its_title_and_after_no_other() {
        let named = |title: &str, taken: &[&str]| {
            free_name(title, &taken.iter().map(|name| ProviderName::from(*name)).collect::<Vec<_>>()).0
        };
        assert_eq!(named("Keycloak at work", &[]), "keycloak-at-work");
        assert_eq!(named(" Über.example ", &[]), "ber-example");
        assert_eq!(named("Google", &["google", "google-2"]), "google-3");
        assert_eq!(named("Demo", &[]), "demo-2");
        assert_eq!(named("日本", &[]), "provider");
    }

    #[test]
    fn what_a_person_wrote_is_quoted() {
        let new = NewProvider {
            title: "A \"b\"\n".to_owned(),
            issuer: " https://login.example.com ".to_owned(),
            client_id: "id".to_owned(),
            scopes: " openid  email\n".to_owned(),
            redirect: RedirectKind::Loopback,
            secret: None,
        };
        let table: Table = definition(&new).parse().unwrap();
        assert!(!table.contains_key("token_endpoint_auth_method"));
        assert_eq!(table["title"].as_str(), Some("A \"b\""));
        assert_eq!(table["issuer"].as_str(), Some("https://login.example.com"));
        assert_eq!(table["scopes"], Value::Array(vec!["openid".into(), "email".into()]));
        assert_eq!(table["redirects"], Value::Array(vec!["loopback".into()]));
        let new = NewProvider { secret: Some(Secret(OnWire::new("s3cret".to_owned()))), ..new };
        let written = definition(&new);
        let table: Table = written.parse().unwrap();
        assert_eq!(table["token_endpoint_auth_method"].as_str(), Some("client_secret_basic"));
        assert!(!written.contains("s3cret"));
    }
}
