//! The person's configuration: providers and policy, read again when the files change, never lost when they are wrong.

use crate::catalogue;
use crate::policy::{self, Policy};
use crate::providers::{self, Provider, Providers};
use crate::salvage;
use crate::settings::{self, Settings};
use larder_core::account::{Account, Session};
use larder_core::git::{Destination, GitAccount, GitCandidate};
use larder_core::house::gone;
use larder_core::names::{AccountId, ProviderName};
use larder_core::problem::Problem;
use larder_core::profile::Profile;
use larder_core::protocol::{Answer, Decision, Request, Rule};
use larder_core::view::{EventKind, ProviderView, RedirectKind};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The name of the demonstration provider.
const DEMO: &str = "demo";

/// Providers and policy.
pub struct Configuration {
    providers: Watched<Providers>,
    policy: Watched<Policy>,
    settings: Watched<Settings>,
    /// The folder of databases.
    data: PathBuf,
    demo: Option<(u64, Provider)>,
    /// Databases that were damaged, and are kept until their person has seen to them.
    set_aside: Vec<(PathBuf, Problem)>,
    /// The policy was changed by hand since this was last asked.
    policy_changed: bool,
    /// Issuer and client of every secret that is kept.
    secrets: BTreeSet<(String, String)>,
}

/// A file, the last good reading of it, and what is wrong with it now.
struct Watched<T> {
    path: PathBuf,
    seen: Option<(SystemTime, u64)>,
    good: Option<T>,
    problem: Option<Problem>,
    read: fn(&Path) -> Result<T, Problem>,
}

impl<T> Watched<T> {
    fn new(path: PathBuf, read: fn(&Path) -> Result<T, Problem>) -> Self {
        let mut watched = Self { path, seen: None, good: None, problem: None, read };
        watched.reload();
        watched
    }

    /// Reads the file again where it changed; returns what stood there before, if it was replaced.
    fn reload(&mut self) -> Option<T> {
        let stamp = std::fs::metadata(&self.path).and_then(|found| Ok((found.modified()?, found.len()))).ok();
        if stamp == self.seen && (self.good.is_some() || self.problem.is_some()) {
            return None;
        }
        let result = (self.read)(&self.path);
        // Reading may have written the file for the first time.
        self.seen = std::fs::metadata(&self.path).and_then(|found| Ok((found.modified()?, found.len()))).ok();
        match result {
            Ok(good) => {
                self.problem = None;
                self.good.replace(good)
            }
            Err(problem) => {
                self.problem = Some(problem);
                None
            }
        }
    }

    fn get(&self) -> Result<&T, Problem> {
        self.good.as_ref().ok_or_else(|| {
            let detail = "the configuration could not be read".to_owned();
            self.problem.clone().unwrap_or(Problem::Internal { detail })
        })
    }
}

impl Configuration {
    /// Reads the profile's files. What is wrong with them is kept as a problem, not an error: accounts go on.
    pub fn new(profile: &Profile, secrets: BTreeSet<(String, String)>) -> Self {
        Self {
            providers: Watched::new(profile.providers(), providers::read),
            policy: {
                // Once, at the start: a file that is missing later was taken away, and means no.
                policy::ship(&profile.policy());
                Watched::new(profile.policy(), policy::read)
            },
            settings: Watched::new(profile.settings(), settings::read),
            data: profile.data.clone(),
            demo: None,
            set_aside: [profile.database(), profile.audit()].iter().flat_map(|path| salvage::kept(path)).collect(),
            policy_changed: false,
            secrets,
        }
    }

    /// Reads again what changed. Returns the providers whose definition did.
    pub fn reload(&mut self) -> Vec<ProviderName> {
        let after = |policy: &Watched<Policy>| policy.good.clone();
        self.policy_changed |= self.policy.reload().is_some_and(|before| Some(before) != after(&self.policy));
        self.settings.reload();
        self.set_aside.retain(|(kept, _)| kept.exists());
        let Some(before) = self.providers.reload() else { return Vec::new() };
        let Some(after) = &self.providers.good else { return Vec::new() };
        after
            .iter()
            .filter(|(name, provider)| before.get(*name) != Some(provider))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether the policy was changed by hand since this was last asked.
    pub fn policy_changed(&mut self) -> bool {
        std::mem::take(&mut self.policy_changed)
    }

    /// The policy, with every account that is known under its label.
    ///
    /// # Errors
    /// What is wrong with `policy.toml`.
    pub fn policy(&self, accounts: &[Account]) -> Result<(Decision, Vec<Rule>), Problem> {
        let policy = self.policy.get()?;
        let label = |name: &str| accounts.iter().find(|account| account.id.as_str() == name);
        let shown = |rule: &Rule| match label(&rule.account) {
            Some(account) => Rule { account: account.identity.label.clone(), ..rule.clone() },
            None => rule.clone(),
        };
        Ok((policy.default, policy.rules.iter().map(shown).collect()))
    }

    /// Writes a rule down.
    ///
    /// # Errors
    /// [`Problem::BadConfig`], [`Problem::NotWritten`].
    pub fn rule(
        &mut self,
        program: &str,
        account: &str,
        decision: Decision,
        accounts: &[Account],
    ) -> Result<(), Problem> {
        policy::change(&self.policy.path, Some(program), Some(account), decision, accounts)?;
        // What changed is known to whoever changed it.
        self.policy.reload();
        Ok(())
    }

    /// Removes a rule; says whether there was one.
    ///
    /// # Errors
    /// [`Problem::BadConfig`], [`Problem::NotWritten`].
    pub fn remove_rule(&mut self, program: &str, account: &str, accounts: &[Account]) -> Result<bool, Problem> {
        let removed = policy::remove(&self.policy.path, program, account, accounts)?;
        self.policy.reload();
        Ok(removed)
    }

    /// An account is about to be called something else: rules that name it by its label name it by its id from now on.
    ///
    /// # Errors
    /// [`Problem::BadConfig`], [`Problem::NotWritten`]: then it keeps its label, or rules would no longer be about it.
    pub fn name_by_id(&mut self, label: &str, account: &AccountId) -> Result<(), Problem> {
        policy::name_by_id(&self.policy.path, label, account)?;
        self.policy.reload();
        settings::name_by_id(&self.settings.path, label, account)?;
        self.settings.reload();
        Ok(())
    }

    /// What is wrong with the files now.
    pub fn problems(&self) -> Vec<Problem> {
        let problems = self.providers.problem.iter().chain(&self.policy.problem).chain(&self.settings.problem);
        problems.chain(self.set_aside.iter().map(|(_, problem)| problem)).cloned().collect()
    }

    /// Whether the settings cannot be read, or not be used.
    pub fn settings_wrong(&self) -> bool {
        self.settings.problem.is_some()
    }

    /// The settings, as they could last be read.
    pub fn settings(&self) -> Settings {
        self.settings.good.clone().unwrap_or_default()
    }

    /// The settings, for people.
    ///
    /// # Errors
    /// What is wrong with `config.toml`: what stands there is not what is in force.
    pub fn shown_settings(&self) -> Result<Answer, Problem> {
        if let Some(problem) = &self.settings.problem {
            return Err(problem.clone());
        }
        Ok(Answer::Settings(Box::new(self.settings().view(&self.settings.path, &self.data))))
    }

    /// They can be read, but not be used.
    pub fn cannot_use_settings(&mut self, problem: Problem) {
        self.settings.problem = Some(problem);
    }

    /// Where they are written down.
    pub fn settings_file(&self) -> &Path {
        &self.settings.path
    }

    /// The issuers that this profile has to do with.
    pub fn issuers(&self) -> Vec<String> {
        let used = self.providers.good.iter().flatten().filter(|(_, provider)| !provider.client_id.is_empty());
        let demo = self.demo.iter().map(|(_, provider)| provider.authority());
        let issuers: BTreeSet<String> = used.map(|(_, provider)| provider.authority()).chain(demo).collect();
        issuers.into_iter().collect()
    }

    /// Every provider, for people.
    pub fn views(&self) -> Vec<ProviderView> {
        let demo = self.demo.iter().map(|(_, provider)| provider.view(&DEMO.into(), true, false));
        let own = self
            .providers
            .good
            .iter()
            .flatten()
            .map(|(name, provider)| provider.view(name, false, !self.lacks_secret(provider)));
        demo.chain(own.filter(|view| self.demo.is_none() || view.name.as_str() != DEMO)).collect()
    }

    /// One provider.
    ///
    /// # Errors
    /// [`Problem::NoSuchProvider`]; what is wrong with the file, where it was never read.
    pub fn provider(&self, name: &ProviderName) -> Result<Provider, Problem> {
        if let Some((_, demo)) = self.demo.as_ref().filter(|_| name.as_str() == DEMO) {
            return Ok(demo.clone());
        }
        if let Some(provider) = self.providers.get()?.get(name) {
            return Ok(provider.clone());
        }
        // It may stand in the part that cannot be read.
        Err(self.providers.problem.clone().unwrap_or(Problem::NoSuchProvider { provider: name.0.clone() }))
    }

    /// All providers that can be signed in to, to find out whether one stands for an address already.
    ///
    /// # Errors
    /// What is wrong with `providers.toml`: then nothing can be added to it either.
    pub fn known(&self) -> Result<Providers, Problem> {
        if let Some(problem) = &self.providers.problem {
            return Err(problem.clone());
        }
        let mut known = self.providers.get()?.clone();
        known.extend(self.demo.iter().map(|(_, demo)| (ProviderName::from(DEMO), demo.clone())));
        Ok(known)
    }

    /// Whether this is the demonstration, which goes when it ends.
    pub fn is_demo(&self, name: &ProviderName) -> bool {
        self.demo.is_some() && name.as_str() == DEMO
    }

    /// Writes a provider down.
    ///
    /// # Errors
    /// [`Problem::BadConfig`], [`Problem::NotWritten`].
    pub fn write(&self, name: &ProviderName, provider: &Provider) -> Result<(), Problem> {
        providers::change(&self.providers.path, name, Some(provider))
    }

    /// Removes the providers of a client that is no more.
    ///
    /// # Errors
    /// [`Problem::BadConfig`], [`Problem::NotWritten`].
    pub fn remove_client(&mut self, issuer: &str, client: &str) -> Result<(), Problem> {
        self.secret(issuer.to_owned(), client.to_owned(), false);
        let of = |provider: &Provider| provider.issuer.as_deref() == Some(issuer) && provider.client_id == client;
        let gone: Vec<_> = self.known()?.into_iter().filter(|(_, provider)| of(provider)).collect();
        gone.iter().try_for_each(|(name, _)| providers::change(&self.providers.path, name, None))
    }

    /// What follows when this program asks for a token of this account.
    ///
    /// # Errors
    /// What is wrong with `policy.toml`: then nobody gets a token until it is corrected. An old policy would be a guess.
    pub fn decide(&self, program: Option<&str>, account: &Account) -> Result<Decision, Problem> {
        match &self.policy.problem {
            Some(problem) => Err(problem.clone()),
            None => Ok(self.policy.get()?.decide(program, account)),
        }
    }

    /// The accounts that git may use there.
    pub fn git_accounts(&self, accounts: &[Account], to: &Destination) -> Vec<GitAccount> {
        let candidates: Vec<_> = accounts.iter().map(|account| self.git_candidate(account)).collect();
        // Where the settings cannot be read, the last that could be; what is wrong with them is shown elsewhere.
        let rules = self.settings.good.as_ref().map_or(&[][..], |settings| &settings.git.rules);
        larder_core::git::accounts(rules, &candidates, to)
    }

    /// A provider's repositories are where it signs people in, and where the catalogue says. The first is what the account was
    /// signed in with, so a change of configuration sends no token anywhere else.
    fn git_candidate(&self, account: &Account) -> GitCandidate {
        let identity = &account.identity;
        let provider = self.provider(&identity.provider).ok();
        let entry = provider.and_then(|provider| provider.written.catalogue).unwrap_or(identity.provider.0.clone());
        // A provider of that name may have been written down for another server than the catalogue's.
        let git =
            catalogue::entry(&entry).filter(|entry| entry.is_at(&identity.issuer)).and_then(|entry| entry.git.as_ref());
        let own = url::Url::parse(&identity.issuer).ok().map(|issuer| crate::http::host(&issuer));
        GitCandidate {
            account: account.id.clone(),
            label: identity.label.clone(),
            email: identity.email.clone(),
            hosts: own.into_iter().chain(git.iter().flat_map(|git| git.hosts.clone())).collect(),
            username: git.map(|git| git.username.clone()),
            in_use: matches!(account.session, Session::SignedIn { .. } | Session::NeedsSignIn { .. }),
        }
    }

    /// Whether this provider demands a secret that is not kept.
    pub fn lacks_secret(&self, provider: &Provider) -> bool {
        let kept = self.secrets.contains(&(provider.authority(), provider.client_id.clone()));
        provider.auth_method != providers::AuthMethod::None && !kept
    }

    /// The providers that have this client.
    pub fn with_client(&self, issuer: &str, client: &str) -> Vec<ProviderName> {
        let own = self.providers.good.iter().flatten();
        own.filter(|(_, provider)| provider.client_id == client && provider.authority() == issuer)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// A secret was kept, or forgotten.
    pub fn secret(&mut self, issuer: String, client: String, kept: bool) {
        if kept {
            self.secrets.insert((issuer, client));
        } else {
            self.secrets.remove(&(issuer, client));
        }
    }

    /// The demonstration goes with the connection that offered it.
    pub fn gone(&mut self, connection: u64) {
        self.demo.take_if(|(offered_by, _)| *offered_by == connection);
    }

    /// Answers a request about configuration, and says what kind of change it was.
    ///
    /// # Errors
    /// As the request's problems.
    pub fn answer(
        &mut self,
        request: Request,
        connection: u64,
        accounts: &[Account],
    ) -> Result<(Answer, Option<EventKind>), Problem> {
        match request {
            Request::Providers => {
                self.providers.get()?;
                Ok((Answer::Providers { providers: self.views() }, None))
            }
            Request::Provider { name } => {
                let definition = providers::write_one(&self.provider(&name)?)?;
                Ok((Answer::Provider { definition }, None))
            }
            Request::AddProvider { name, definition } => {
                let provider = providers::parse_one(&name, &definition)?;
                providers::change(&self.providers.path, &name, Some(&provider))?;
                Ok((Answer::Done, Some(EventKind::ProviderChanged)))
            }
            Request::RemoveProvider { name } => {
                // An entry of the catalogue that nobody wrote down cannot be removed either.
                let own = |provider: &Provider| provider.written != providers::Written::default();
                if !self.providers.get()?.get(&name).is_some_and(own) {
                    return Err(Problem::NoSuchProvider { provider: name.0 });
                }
                let signed_in: Vec<_> = accounts
                    .iter()
                    .filter(|account| account.identity.provider == name && !gone(account))
                    .map(|account| account.identity.label.as_str())
                    .collect();
                if !signed_in.is_empty() {
                    return Err(Problem::ProviderInUse { provider: name, accounts: signed_in.join(", ") });
                }
                providers::change(&self.providers.path, &name, None)?;
                Ok((Answer::Done, Some(EventKind::ProviderChanged)))
            }
            Request::OfferDemo { issuer } => {
                self.demo = Some((connection, demo(issuer)?));
                Ok((Answer::Done, None))
            }
            Request::SetPolicy { program, account, decision } => {
                if let Some(program) = &program
                    && program != "*"
                    && !Path::new(program).is_absolute()
                {
                    let detail = "a program is named by its whole path, or *".to_owned();
                    return Err(Problem::BadRequest { detail });
                }
                policy::change(&self.policy.path, program.as_deref(), account.as_deref(), decision, accounts)?;
                self.policy.reload();
                Ok((Answer::Done, Some(EventKind::PolicyChanged)))
            }
            _ => Err(Problem::BadRequest { detail: "that is not about configuration".to_owned() }),
        }
    }
}

/// The demonstration provider: a loopback address alone, so that nobody offers another server under its name.
fn demo(issuer: String) -> Result<Provider, Problem> {
    let url = crate::http::endpoint(DEMO, "issuer", &issuer)?;
    if url.scheme() != "http" {
        return Err(Problem::BadProvider {
            provider: DEMO.to_owned(),
            field: "issuer".to_owned(),
            detail: "the demonstration runs on this computer's own address".to_owned(),
        });
    }
    let scopes = ["openid", "profile", "email", "offline_access"].map(larder_core::names::Scope::from).to_vec();
    let redirects = [RedirectKind::DeepLink, RedirectKind::Loopback, RedirectKind::Device]
        .map(providers::WrittenRedirect::Kind)
        .to_vec();
    let written = providers::Written {
        title: Some("Demo".to_owned()),
        issuer: Some(issuer),
        client_id: Some("larder-desktop".to_owned()),
        scopes: Some(scopes),
        redirects: Some(redirects),
        ..providers::Written::default()
    };
    Provider::resolve(DEMO, written)
}
