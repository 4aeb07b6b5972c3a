//! The files that a person writes by hand, and Larder changes.

use super::{sent_to, text};
use larder_agent::catalogue;
use larder_agent::policy::{self, Policy};
use larder_agent::providers::{self, Provider, Providers};
use larder_agent::settings;
use larder_core::names::ProviderName;
use larder_core::problem::Problem;
use larder_core::protocol::{Decision, Rule};
use std::path::Path;
use url::Url;

/// A problem names the file, or the provider, in one line that has an end.
fn told(problem: &Problem) {
    let words = larder_core::words::sentence(problem);
    assert!(!words.is_empty() && words.len() < 64 * 1024, "{}", words.len());
}

fn own(providers: &Providers) -> Vec<(&ProviderName, &Provider)> {
    let shipped = catalogue::names();
    providers.iter().filter(|(name, _)| !shipped.contains(&name.as_str())).collect()
}

/// `providers.toml`: nothing is taken that leads to plain http, and a change changes what it is about.
pub fn providers(data: &[u8]) {
    let path = Path::new("providers.toml");
    let Some(text) = text(data) else { return };
    let all = match providers::written_in(path, text) {
        Ok(all) => all,
        Err(problem) => return told(&problem),
    };
    for (name, provider) in own(&all) {
        let endpoints = [
            &provider.issuer,
            &provider.authorization_endpoint,
            &provider.token_endpoint,
            &provider.revocation_endpoint,
            &provider.userinfo_endpoint,
            &provider.device_authorization_endpoint,
        ];
        endpoints.into_iter().flatten().for_each(|url| sent_to(&Url::parse(url).expect("it was one")));
        let written = providers::write_one(provider).expect("it can be written");
        let again = providers::parse_one(name, &written).expect("what is written can be read");
        assert_eq!(*provider, again, "{written}");
    }
    // One more, and one fewer: the others stay what they are.
    let new = ProviderName::from("new-one");
    let one = providers::parse_one(&new, "issuer = \"https://new.example\"\nclient_id = \"c\"\n").expect("a provider");
    let mut wanted = all.clone();
    let added = match providers::changed(path, text, &new, Some(&one)) {
        Ok(added) => added,
        Err(problem) => return told(&problem),
    };
    wanted.insert(new.clone(), one);
    assert_eq!(providers::written_in(path, &added).expect("it is still read"), wanted, "{added}");
    let removed = providers::changed(path, &added, &new, None).expect("it can be taken out");
    wanted.remove(&new);
    assert_eq!(providers::written_in(path, &removed).expect("it is still read"), wanted, "{removed}");
}

/// `policy.toml`: a change is the change that was meant, whatever stood there.
pub fn policy(data: &[u8]) {
    let path = Path::new("policy.toml");
    let Some(text) = text(data) else { return };
    let read = match providers::parse::<Policy>(path, text) {
        Ok(policy) => policy,
        Err(problem) => return told(&problem),
    };
    let mut wanted = read.clone();
    wanted.rules.insert(0, Rule { program: "/usr/bin/git".into(), account: "work".into(), decision: Decision::Deny });
    wanted.default = Decision::Ask;
    for wanted in [wanted, Policy { rules: Vec::new(), ..read }] {
        let changed = policy::changed(text, &wanted).expect("it can be changed");
        let again: Policy = providers::parse(path, &changed).expect("it is still read");
        assert_eq!(again, wanted, "{changed}");
    }
}

/// `config.toml`.
pub fn settings(data: &[u8]) {
    let path = Path::new("config.toml");
    let Some(text) = text(data) else { return };
    match settings::written_in(path, text) {
        Ok(settings) => {
            if let Some(document) = &settings.client_id_metadata_document {
                sent_to(&Url::parse(document).expect("it was one"));
            }
            assert!(settings.lock.idle_after().is_none_or(|after| after.as_secs() >= 60));
        }
        Err(problem) => told(&problem),
    }
}
