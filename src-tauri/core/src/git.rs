//! Which account git is to use at a host.

use crate::names::AccountId;
use serde::{Deserialize, Serialize};

/// What git says of where it is about to go (git-credential(1), “INPUT/OUTPUT FORMAT”).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// `https`, or `http`.
    pub protocol: String,
    /// The host, and the port where it is not the protocol's own.
    pub host: String,
    /// Where on that host; git says it where `credential.useHttpPath` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The user name, where the remote's address holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// What its person wrote down: this account, for these destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitRule {
    /// As git says it: with a port where it is not the protocol's own.
    pub host: String,
    /// This path, and what lies below it.
    pub path: Option<String>,
    /// The user name in the remote's address.
    pub username: Option<String>,
    /// Label or id.
    pub account: String,
    /// The user name that git is to send, instead of what the provider wants.
    pub send_username: Option<String>,
}

/// An account that git may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCandidate {
    /// Its id.
    pub account: AccountId,
    /// What its person calls it.
    pub label: String,
    /// From ID token or userinfo.
    pub email: Option<String>,
    /// Where its provider has git repositories, as git says hosts. None where it is not known to.
    pub hosts: Vec<String>,
    /// The user name that the provider wants beside a token.
    pub username: Option<String>,
    /// Whether it is signed in, or was until its person had to come back.
    pub in_use: bool,
}

/// An account for a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitAccount {
    /// Its id.
    pub account: AccountId,
    /// What its person calls it.
    pub label: String,
    /// The user name that goes with its token.
    pub username: String,
}

/// Where the provider has no wish. Every server that takes a token as a password takes it beside some name.
const ANY_NAME: &str = "oauth2";

/// The accounts that may be meant. One is the one; several, and its person has to say which; none, and it is no host of ours.
///
/// In this order: what a rule says; the account whose label or address stands in the remote's address as user name; the
/// accounts whose provider has its repositories at that host.
pub fn accounts(rules: &[GitRule], candidates: &[GitCandidate], to: &Destination) -> Vec<GitAccount> {
    if !protected(to) {
        return Vec::new();
    }
    let host = to.host.to_ascii_lowercase();
    if let Some(rule) = rules.iter().find(|rule| rule.matches(&host, to)) {
        let named = candidates.iter().find(|known| known.label == rule.account);
        let named = named.or_else(|| candidates.iter().find(|known| known.account.as_str() == rule.account));
        return named.map(|known| known.for_git(rule.send_username.as_deref(), to)).into_iter().collect();
    }
    let there: Vec<_> = candidates.iter().filter(|known| known.in_use && known.hosts.contains(&host)).collect();
    let named: Vec<_> = there.iter().copied().filter(|known| known.is_called(to.username.as_deref())).collect();
    let meant = if named.is_empty() { there } else { named };
    meant.into_iter().map(|known| known.for_git(None, to)).collect()
}

/// A token goes over TLS, or stays on this computer.
fn protected(to: &Destination) -> bool {
    match to.protocol.as_str() {
        "https" => true,
        "http" => is_loopback(without_port(&to.host)),
        _ => false,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 address stands in brackets, so that a colon behind them is the port's.
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(|ip: core::net::IpAddr| ip.is_loopback())
}

impl GitRule {
    fn matches(&self, host: &str, to: &Destination) -> bool {
        let below = |rule: &String| to.path.as_deref().is_some_and(|path| is_below(path, rule));
        self.host.eq_ignore_ascii_case(host)
            && self.path.as_ref().is_none_or(below)
            && (self.username.is_none() || self.username == to.username)
    }
}

/// Whether `path` is `folder` or lies below it, segment by segment. `.git` at the end of a repository's name may be left out.
fn is_below(path: &str, folder: &str) -> bool {
    let path = path.trim_start_matches('/');
    let folder = folder.trim_matches('/');
    let rest = path.strip_prefix(folder);
    folder.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".git")
}

impl GitCandidate {
    fn is_called(&self, username: Option<&str>) -> bool {
        let is = |name: &str| username.is_some_and(|username| name.eq_ignore_ascii_case(username));
        is(&self.label) || self.email.as_deref().is_some_and(is)
    }

    fn for_git(&self, send: Option<&str>, to: &Destination) -> GitAccount {
        let username = send.or(self.username.as_deref()).or(to.username.as_deref()).unwrap_or(ANY_NAME);
        GitAccount { account: self.account.clone(), label: self.label.clone(), username: username.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(label: &str, host: &str) -> GitCandidate {
        GitCandidate {
            account: AccountId(format!("id-{label}")),
            label: label.to_owned(),
            email: Some(format!("{label}@x.example")),
            hosts: vec![host.to_owned()],
            username: None,
            in_use: true,
        }
    }

    fn to(text: &str) -> Destination {
        let (protocol, rest) = text.split_once("://").unwrap();
        let (place, path) = rest.split_once('/').map_or((rest, None), |(place, path)| (place, Some(path.to_owned())));
        let (username, host) =
            place.rsplit_once('@').map_or((None, place), |(username, host)| (Some(username.to_owned()), host));
        Destination { protocol: protocol.to_owned(), host: host.to_owned(), path, username }
    }

    fn labels(rules: &[GitRule], candidates: &[GitCandidate], destination: &str) -> Vec<String> {
        accounts(rules, candidates, &to(destination)).into_iter().map(|account| account.label).collect()
    }

    #[test]
    fn one_account_at_a_host_is_the_one_and_an_unknown_host_has_none() {
        let house = [candidate("hub", "git.example"), candidate("lab", "lab.example:8443")];
        for (destination, expected) in [
            ("https://git.example", &["hub"][..]),
            ("https://GIT.example/a/b.git", &["hub"]),
            ("https://lab.example:8443", &["lab"]),
            ("https://lab.example", &[]),
            ("https://git.example.evil.example", &[]),
            ("https://notgit.example", &[]),
            ("ssh://git.example", &[]),
            ("http://git.example", &[]),
        ] {
            assert_eq!(labels(&[], &house, destination), expected, "{destination}");
        }
        let out = GitCandidate { in_use: false, ..candidate("hub", "git.example") };
        assert!(labels(&[], &[out], "https://git.example").is_empty());
    }

    #[test]
    fn plain_http_is_for_this_computer_alone() {
        for (host, expected) in [
            ("127.0.0.1:8080", true),
            ("localhost:8080", true),
            ("localhost", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1:80", false),
            ("", false),
        ] {
            let house = [candidate("a", host)];
            assert_eq!(labels(&[], &house, &format!("http://{host}")).len(), usize::from(expected), "{host}");
        }
    }

    #[test]
    fn of_two_accounts_at_one_host_a_rule_or_the_user_name_chooses() {
        let house = [candidate("me", "git.example"), candidate("work", "git.example")];
        assert_eq!(labels(&[], &house, "https://git.example/a/b.git"), ["me", "work"]);
        assert_eq!(labels(&[], &house, "https://work@git.example/a/b.git"), ["work"]);
        assert_eq!(labels(&[], &house, "https://me@x.example@git.example"), ["me"]);
        // A name that says nothing does not choose.
        assert_eq!(labels(&[], &house, "https://oauth2@git.example"), ["me", "work"]);
        let rule = |path: Option<&str>, username: Option<&str>, account: &str| GitRule {
            host: "Git.example".to_owned(),
            path: path.map(str::to_owned),
            username: username.map(str::to_owned),
            account: account.to_owned(),
            send_username: None,
        };
        let rules = [
            rule(Some("/company/"), None, "work"),
            rule(None, Some("ada"), "id-work"),
            rule(Some("gone"), None, "no-such-account"),
            rule(None, None, "me"),
        ];
        for (destination, expected) in [
            ("https://git.example/company/secret.git", &["work"][..]),
            ("https://git.example/company", &["work"]),
            ("https://git.example/company.git", &["work"]),
            ("https://git.example/companyother/x.git", &["me"]),
            ("https://git.example", &["me"]),
            ("https://ada@git.example/x", &["work"]),
            ("https://bob@git.example/x", &["me"]),
            // A rule that names nobody is no reason to guess.
            ("https://git.example/gone/x.git", &[]),
            ("http://git.example/company/secret.git", &[]),
        ] {
            assert_eq!(labels(&rules, &house, destination), expected, "{destination}");
        }
    }

    #[test]
    fn a_rule_names_an_account_for_any_host() {
        let rule = GitRule { host: "127.0.0.1:81".to_owned(), account: "me".to_owned(), ..GitRule::default() };
        assert_eq!(labels(&[rule], &[candidate("me", "git.example")], "http://127.0.0.1:81/a"), ["me"]);
    }

    #[test]
    fn the_user_name_is_the_rules_then_the_providers_then_the_addresss() {
        let name = |rule: Option<&str>, provider: Option<&str>, destination: &str| {
            let rules = [GitRule {
                host: "git.example".to_owned(),
                account: "me".to_owned(),
                send_username: rule.map(str::to_owned),
                ..GitRule::default()
            }];
            let known = GitCandidate { username: provider.map(str::to_owned), ..candidate("me", "git.example") };
            accounts(&rules, &[known], &to(destination))[0].username.clone()
        };
        assert_eq!(name(Some("a"), Some("b"), "https://c@git.example"), "a");
        assert_eq!(name(None, Some("b"), "https://c@git.example"), "b");
        assert_eq!(name(None, None, "https://c@git.example"), "c");
        assert_eq!(name(None, None, "https://git.example"), "oauth2");
    }
}
