//! `policy.toml`: which programs get tokens.

use crate::providers::{parse, unreadable};
use larder_core::account::Account;
use larder_core::problem::Problem;
use larder_core::protocol::{Decision, Rule};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is written where there is no file yet.
const SHIPPED: &str = "\
# Which programs get tokens. The first rule that matches wins.
# decision = \"allow\" | \"ask\" | \"deny\"; nobody can be asked yet, so \"ask\" means no.
default = \"allow\"

# [[rule]]
# program = \"/usr/bin/git\"   # or \"*\"
# account = \"work\"           # a label or an id, or \"*\"
# decision = \"deny\"
";

/// The whole policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Where no rule matches.
    pub default: Decision,
    /// The first that matches wins.
    #[serde(default, rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Whether this program may have a token of this account. A program that is not known matches `*` alone.
    pub fn decide(&self, program: Option<&str>, account: &Account) -> Decision {
        let names =
            |pattern: &str| pattern == "*" || pattern == account.identity.label || pattern == account.id.as_str();
        let is = |pattern: &str| pattern == "*" || program == Some(pattern);
        let rule = self.rules.iter().find(|rule| is(&rule.program) && names(&rule.account));
        rule.map_or(self.default, |rule| rule.decision)
    }
}

/// Writes the shipped policy where there is none. Where that fails, reading it says why.
pub fn ship(path: &Path) {
    if !path.exists()
        && let Err(problem) = crate::folders::replace(path, SHIPPED)
    {
        tracing::warn!("{}", larder_core::words::sentence(&problem));
    }
}

/// Reads the policy.
///
/// # Errors
/// [`Problem::BadConfig`] with the line.
pub fn read(path: &Path) -> Result<Policy, Problem> {
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    parse(path, &text)
}

/// Changes the default, or one rule: a rule for the same program and account is replaced, a new one goes first.
///
/// # Errors
/// [`Problem::BadConfig`], [`Problem::DiskFull`].
pub fn change(
    path: &Path,
    program: Option<&str>,
    account: Option<&str>,
    decision: Decision,
) -> Result<Policy, Problem> {
    let mut policy = read(path)?;
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    let internal = |_| Problem::Internal { detail: "policy.toml cannot be changed".to_owned() };
    let mut document = text.parse::<toml_edit::DocumentMut>().map_err(internal)?;
    if program.is_none() && account.is_none() {
        policy.default = decision;
    } else {
        let (program, account) = (program.unwrap_or("*").to_owned(), account.unwrap_or("*").to_owned());
        policy.rules.retain(|rule| rule.program != program || rule.account != account);
        policy.rules.insert(0, Rule { program, account, decision });
    }
    let written = toml::to_string(&policy).map_err(|_| Problem::Internal { detail: "the policy".to_owned() })?;
    let written = written.parse::<toml_edit::DocumentMut>().map_err(internal)?;
    // Only these two keys change; the comments above them stay.
    for key in ["default", "rule"] {
        match written.get(key) {
            Some(item) if key == "default" => document[key] = toml_edit::value(item.as_str().unwrap_or_default()),
            Some(item) => document[key] = item.clone(),
            None => {
                document.remove(key);
            }
        }
    }
    crate::folders::replace(path, &document.to_string())?;
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_allows_and_a_change_keeps_its_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        assert!(read(&path).is_err());
        ship(&path);
        assert_eq!(read(&path).unwrap(), Policy { default: Decision::Allow, rules: vec![] });
        change(&path, Some("/usr/bin/git"), None, Decision::Deny).unwrap();
        change(&path, None, None, Decision::Ask).unwrap();
        let rule = Rule { program: "/usr/bin/git".into(), account: "*".into(), decision: Decision::Deny };
        assert_eq!(read(&path).unwrap(), Policy { default: Decision::Ask, rules: vec![rule] });
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("# Which programs get tokens."));
    }

    #[test]
    fn a_policy_that_cannot_be_read_is_an_error_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, "default = \"allow\"\ndefualt = \"deny\"\n").unwrap();
        assert!(matches!(read(&path), Err(Problem::BadConfig { line: 2, .. })));
    }
}
