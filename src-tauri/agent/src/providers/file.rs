//! `providers.toml` itself: read with its line numbers, and changed without losing comments.

use super::{Provider, Providers, Written};
use crate::catalogue;
use larder_core::names::ProviderName;
use larder_core::problem::Problem;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    provider: BTreeMap<String, Written>,
}

/// Reads `providers.toml`. A file that is not there has no providers.
///
/// # Errors
/// [`Problem::BadConfig`] with the line; [`Problem::BadProvider`] with the field.
pub fn read(path: &Path) -> Result<Providers, Problem> {
    match crate::folders::read_text(path) {
        Ok(text) => written_in(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => written_in(path, ""),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// All providers, where this is what `providers.toml` holds.
///
/// # Errors
/// As [`read`].
pub fn written_in(path: &Path, text: &str) -> Result<Providers, Problem> {
    let file = parse::<File>(path, text)?;
    let mut providers = Providers::new();
    for name in catalogue::names() {
        providers.insert(ProviderName::from(name), Provider::resolve(name, Written::default())?);
    }
    for (name, written) in file.provider {
        let provider = Provider::resolve(&name, written)?;
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
    let detail = error.get_ref().map_or_else(|| error.kind().to_string(), ToString::to_string);
    Problem::BadConfig { file: path.display().to_string(), line: 1, detail }
}

/// Parses the keys of one provider, and checks them.
///
/// # Errors
/// [`Problem::BadProvider`], naming the field.
pub fn parse_one(name: &ProviderName, definition: &str) -> Result<Provider, Problem> {
    let written: Written = toml::from_str(definition).map_err(|error: toml::de::Error| Problem::BadProvider {
        provider: name.0.clone(),
        field: "definition".to_owned(),
        detail: error.message().lines().next().unwrap_or_default().trim_end_matches('.').to_owned(),
    })?;
    Provider::resolve(name.as_str(), written)
}

/// The keys of one provider, as TOML.
///
/// # Errors
/// [`Problem::Internal`].
pub fn write_one(provider: &Provider) -> Result<String, Problem> {
    toml::to_string(&provider.written)
        .map_err(|_| Problem::Internal { detail: "the provider cannot be written".to_owned() })
}

/// Puts a provider into `providers.toml`, or takes it out. Comments and the order of everything else stay.
///
/// # Errors
/// [`Problem::BadConfig`], [`Problem::NotWritten`].
pub fn change(path: &Path, name: &ProviderName, provider: Option<&Provider>) -> Result<(), Problem> {
    let text = match crate::folders::read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(path, &error)),
    };
    crate::folders::replace(path, &changed(path, &text, name, provider)?)
}

/// This text, with the provider in it, or without it.
///
/// # Errors
/// [`Problem::BadConfig`].
pub fn changed(path: &Path, text: &str, name: &ProviderName, provider: Option<&Provider>) -> Result<String, Problem> {
    parse::<File>(path, text)?;
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
    Ok(document.to_string())
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
    fn adding_and_removing_keeps_comments_and_other_providers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("providers.toml");
        std::fs::write(&path, "# mine\n[provider.a]  # first\nissuer = \"https://a\"\nclient_id = \"c\"\n").unwrap();
        let name = ProviderName::from("b");
        let provider = parse_one(&name, "issuer = \"https://b\"\nclient_id = \"d\"").unwrap();
        let own = || read(&path).unwrap().len() - catalogue::names().len();
        change(&path, &name, Some(&provider)).unwrap();
        assert_eq!(own(), 2);
        assert_eq!(read(&path).unwrap()[&name], provider);
        change(&path, &name, None).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# mine\n[provider.a]  # first\n"), "{text}");
        assert_eq!(own(), 1);
    }
}
