//! `policy.toml`: which programs get tokens.

use crate::providers::{parse, unreadable};
use larder_core::account::Account;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::protocol::{Decision, Rule};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What is written where there is no file yet.
const SHIPPED: &str = "\
# Which programs get tokens. The first rule that matches wins.
# decision = \"allow\" | \"ask\" | \"deny\". Where nobody can be asked, \"ask\" means no.
default = \"ask\"

# [[rule]]
# program = \"/usr/bin/git\"   # or \"*\"
# account = \"work\"           # a label or an id, or \"*\"
# decision = \"deny\"
";

/// Every program, or every account.
const ANY: &str = "*";

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
            |pattern: &str| pattern == ANY || pattern == account.identity.label || pattern == account.id.as_str();
        let is = |pattern: &str| pattern == ANY || program == Some(pattern);
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
    let text = crate::folders::read_text(path).map_err(|error| unreadable(path, &error))?;
    parse(path, &text)
}

/// Changes the default, or one rule: a rule for the same program and account is replaced, a new one goes first.
/// `known` tells the account's label from its id.
///
/// # Errors
/// [`Problem::BadConfig`], [`Problem::NotWritten`].
pub fn change(
    path: &Path,
    program: Option<&str>,
    account: Option<&str>,
    decision: Decision,
    known: &[Account],
) -> Result<Policy, Problem> {
    let mut policy = read(path)?;
    if program.is_none() && account.is_none() {
        policy.default = decision;
    } else {
        let (program, account) = (program.unwrap_or(ANY).to_owned(), account.unwrap_or(ANY).to_owned());
        policy.rules.retain(|rule| rule.program != program || !same_account(&rule.account, &account, known));
        policy.rules.insert(0, Rule { program, account, decision });
    }
    write(path, &policy)?;
    Ok(policy)
}

/// Removes the rules for this program and account; says whether there was one.
///
/// # Errors
/// [`Problem::BadConfig`], [`Problem::NotWritten`].
pub fn remove(path: &Path, program: &str, account: &str, known: &[Account]) -> Result<bool, Problem> {
    let mut policy = read(path)?;
    let before = policy.rules.len();
    policy.rules.retain(|rule| rule.program != program || !same_account(&rule.account, account, known));
    if policy.rules.len() == before {
        return Ok(false);
    }
    write(path, &policy)?;
    Ok(true)
}

/// Has rules that name an account by this label name it by its id, which stays when the label does not. Nothing is written
/// where there is none.
///
/// # Errors
/// [`Problem::BadConfig`], [`Problem::NotWritten`].
pub fn name_by_id(path: &Path, label: &str, account: &AccountId) -> Result<(), Problem> {
    let mut policy = read(path)?;
    let mut named = policy.rules.iter_mut().filter(|rule| rule.account == label).peekable();
    if named.peek().is_none() {
        return Ok(());
    }
    named.for_each(|rule| rule.account = account.0.clone());
    write(path, &policy)
}

/// Whether two names are those of one account: its label and its id.
fn same_account(one: &str, other: &str, known: &[Account]) -> bool {
    let names = |account: &&Account, name: &str| account.identity.label == name || account.id.as_str() == name;
    one == other || known.iter().any(|account| names(&account, one) && names(&account, other))
}

fn write(path: &Path, policy: &Policy) -> Result<(), Problem> {
    let text = crate::folders::read_text(path).map_err(|error| unreadable(path, &error))?;
    crate::folders::replace(path, &changed(&text, policy)?)
}

/// This text, with this policy in it. Comments stay.
///
/// # Errors
/// [`Problem::Internal`].
pub fn changed(text: &str, policy: &Policy) -> Result<String, Problem> {
    let internal = |_| Problem::Internal { detail: "policy.toml cannot be changed".to_owned() };
    let mut document = text.parse::<toml_edit::DocumentMut>().map_err(internal)?;
    let written = toml::to_string(policy).map_err(|_| Problem::Internal { detail: "the policy".to_owned() })?;
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
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_policy_asks_and_a_change_keeps_its_comments() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        assert!(read(&path).is_err());
        ship(&path);
        assert_eq!(read(&path).unwrap(), Policy { default: Decision::Ask, rules: vec![] });
        change(&path, Some("/usr/bin/git"), None, Decision::Deny, &[]).unwrap();
        change(&path, None, None, Decision::Allow, &[]).unwrap();
        let rule = Rule { program: "/usr/bin/git".into(), account: "*".into(), decision: Decision::Deny };
        assert_eq!(read(&path).unwrap(), Policy { default: Decision::Allow, rules: vec![rule] });
        assert_eq!(remove(&path, "/usr/bin/git", "work", &[]), Ok(false));
        assert_eq!(remove(&path, "/usr/bin/git", "*", &[]), Ok(true));
        assert_eq!(read(&path).unwrap(), Policy { default: Decision::Allow, rules: vec![] });
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
