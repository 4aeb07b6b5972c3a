//! The loop's part in moving accounts to another machine and from one: which ones, and what becomes of them here.

use super::{AccountId, Agent, Answer, Arc, Event, EventKind, HouseEvent, Message, Peer, Problem, Reply, Request};
use crate::client_secret;
use crate::grants;
use crate::moving::bundle::Bundle;
use crate::moving::export::{self, Wanted};
use crate::moving::import::{self, Arriving};
use crate::moving::sealed::{Key, Lock};
use crate::providers::{self, Provider, Written};
use larder_core::account::{Account, Session};
use larder_core::arranging::free_label;
use larder_core::house::{gone, trouble};
use larder_core::names::ProviderName;
use secrecy::SecretString;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::Instant;

/// How long an export waits for what is in flight: longer than a request takes.
const PATIENCE: Duration = Duration::from_secs(45);

/// Between two looks at whether it still is.
const PAUSE: Duration = Duration::from_millis(100);

/// Providers that a file brings, and nobody has here.
type Providers = Vec<(ProviderName, Provider)>;

/// An export that is asked for.
pub struct Exporting {
    path: PathBuf,
    lock: Lock,
    accounts: Vec<String>,
    config_only: bool,
    program: Option<String>,
    until: Instant,
    reply: Reply,
}

/// A file that was opened.
pub struct Opened {
    path: String,
    result: Result<Bundle, Problem>,
    reply: Reply,
}

/// A file whose accounts are stored.
pub struct Imported {
    result: Result<Vec<Account>, Problem>,
    providers: Providers,
    /// Issuer and client of every secret that is kept now.
    secrets: BTreeSet<(String, String)>,
    reply: Reply,
}

fn secret(passphrase: Option<larder_core::protocol::OnWire>) -> Option<SecretString> {
    passphrase.map(|passphrase| SecretString::from(passphrase.expose()))
}

/// A path that means the same here as where it was typed.
fn whole(path: &str) -> Result<PathBuf, Problem> {
    let path = Path::new(path);
    if path.is_absolute() && path.file_name().is_some() {
        return Ok(path.to_owned());
    }
    Err(Problem::BadRequest { detail: "a file is named by its whole path".to_owned() })
}

impl Agent {
    pub(super) async fn move_accounts(&mut self, peer: &Peer, request: Request, reply: Reply) {
        let refused = match request {
            Request::Export { path, accounts, config_only, passphrase, recipient } => {
                let lock = Lock::new(secret(passphrase), recipient.as_deref());
                match whole(&path).and_then(|path| Ok((path, lock?))) {
                    Ok((path, lock)) => {
                        let until = Instant::now() + PATIENCE;
                        let program = peer.program.as_ref().map(|program| program.path.clone());
                        let exporting = Exporting { path, lock, accounts, config_only, program, until, reply };
                        return self.export(exporting).await;
                    }
                    Err(problem) => problem,
                }
            }
            Request::Import { path, passphrase, identity } => match whole(&path) {
                Ok(_) => return self.open(path, secret(passphrase), identity.map(PathBuf::from), reply),
                Err(problem) => problem,
            },
            _ => Problem::BadRequest { detail: "that moves nothing".to_owned() },
        };
        let _ = reply.send(Err(refused));
    }

    /// Which accounts an export is about; `None` while one of them is to be waited for.
    fn to_export(&self, exporting: &Exporting) -> Result<Option<Vec<AccountId>>, Problem> {
        let named: Vec<&Account> = match exporting.accounts.as_slice() {
            [] => self.house.accounts.iter().filter(|known| exporting.config_only || !gone(known)).collect(),
            some => some.iter().map(|account| self.house.find(account)).collect::<Result<_, _>>()?,
        };
        if exporting.config_only {
            return Ok(Some(named.into_iter().map(|known| known.id.clone()).collect()));
        }
        let mut ids = Vec::new();
        for known in named {
            if self.house.can_move(known) {
                ids.push(known.id.clone());
                continue;
            }
            let label = known.identity.label.clone();
            match &known.session {
                Session::SignedIn { .. } | Session::Moving { .. } => return Ok(None),
                // Only its person can go on with it, here or there.
                Session::NeedsSignIn { .. } if exporting.accounts.is_empty() => {}
                Session::NeedsSignIn { .. } | Session::MovedAway => {
                    return Err(trouble(known).unwrap_or(Problem::SignedOut { account: label }));
                }
                _ => return Err(Problem::SignedOut { account: label }),
            }
        }
        if ids.is_empty() {
            let detail = "no account is signed in that could be moved; --config-only copies the rest".to_owned();
            return Err(Problem::BadRequest { detail });
        }
        Ok(Some(ids))
    }

    pub(super) async fn export(&mut self, exporting: Exporting) {
        // Locked, no token leaves, in a file neither.
        if let Some(problem) = self.house.lock.refusal().filter(|_| !exporting.config_only) {
            let _ = exporting.reply.send(Err(problem));
            return;
        }
        let ids = match self.to_export(&exporting) {
            Ok(Some(ids)) => ids,
            Ok(None) if Instant::now() < exporting.until && !self.house.quiet => {
                let outbox = self.outbox.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    let _ = outbox.send(Message::Export(Box::new(exporting))).await;
                });
                return;
            }
            Ok(None) => {
                let account = exporting.accounts.first().cloned().unwrap_or_else(|| "an account".to_owned());
                let _ = exporting.reply.send(Err(Problem::NotYet { account }));
                return;
            }
            Err(problem) => {
                let _ = exporting.reply.send(Err(problem));
                return;
            }
        };
        let Exporting { path, lock, config_only, program, reply, .. } = exporting;
        let of = |id: &AccountId| self.house.find(id.as_str()).ok();
        let labels: Vec<String> = ids.iter().filter_map(of).map(|known| known.identity.label.clone()).collect();
        let names: BTreeSet<_> = match config_only {
            true => self.configuration.known().unwrap_or_default().into_keys().collect(),
            false => ids.iter().filter_map(of).map(|known| known.identity.provider.clone()).collect(),
        };
        let written = |name: &ProviderName| {
            let provider = self.configuration.provider(name).ok()?;
            let own = provider.written != Written::default() && !self.configuration.is_demo(name);
            own.then(|| providers::write_one(&provider).ok()).flatten()
        };
        let providers: BTreeMap<String, String> =
            names.iter().filter_map(|name| Some((name.0.clone(), written(name)?))).collect();
        let stays = self.house.accounts.iter().filter(|known| !gone(known) && !ids.contains(&known.id));
        let shared = stays.map(|known| (known.identity.issuer.clone(), known.identity.client_id.clone())).collect();
        if !config_only {
            for account in &ids {
                self.happen(HouseEvent::Account { account: account.clone(), event: Event::Move }).await;
            }
        }
        let going = if config_only { Vec::new() } else { ids.clone() };
        let wanted = Wanted { path, lock, accounts: ids, config_only, providers, shared };
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        self.tasks.spawn(async move {
            // Apart, so that one that panics is one that failed.
            let result = tokio::spawn(async move { export::export(&hands, wanted).await }).await;
            let broke_off = |_| Err(Problem::Internal { detail: "the export broke off; start Larder anew".to_owned() });
            let result = result.unwrap_or_else(broke_off).map(|()| Answer::Moved { accounts: labels });
            let _ = outbox.send(Message::Exported { accounts: going, program, result, reply }).await;
        });
    }

    pub(super) async fn exported(
        &mut self,
        accounts: Vec<AccountId>,
        program: Option<String>,
        result: Result<Answer, Problem>,
        reply: Reply,
    ) {
        if result.is_ok() {
            // Who asked; each account's own row follows.
            let event = self.event(EventKind::Exported, None, program, None, self.hands.clock.now());
            self.record(event).await;
        }
        for account in accounts {
            let event = if result.is_ok() { Event::MovedAway } else { Event::StayHere };
            self.happen(HouseEvent::Account { account, event }).await;
        }
        let _ = reply.send(result);
    }

    /// Opens a file, off the loop: scrypt takes a second, on purpose.
    fn open(&self, path: String, passphrase: Option<SecretString>, identity: Option<PathBuf>, reply: Reply) {
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let at = path.clone();
            let opened = tokio::task::spawn_blocking(move || {
                let plain = Key::new(passphrase, identity.as_deref())?.open(Path::new(&at))?;
                let unreadable =
                    |detail: &str| Problem::ExportUnreadable { path: at.clone(), detail: detail.to_owned() };
                Bundle::from_bytes(&plain).map_err(unreadable)
            });
            let broke_off = |_| Err(Problem::Internal { detail: "opening broke off".to_owned() });
            let mut result = opened.await.unwrap_or_else(broke_off);
            if let Ok(bundle) = &result
                && bundle.holds_tokens()
            {
                match import::imported(&hands, &bundle.id).await {
                    Ok(false) => {}
                    Ok(true) => result = Err(Problem::ImportedBefore { path: path.clone() }),
                    Err(problem) => result = Err(problem),
                }
            }
            let _ = outbox.send(Message::Opened(Box::new(Opened { path, result, reply }))).await;
        });
    }

    /// Where the accounts of a file go here, and which of its providers are to be written down.
    fn arriving(&self, bundle: &mut Bundle) -> Result<(Vec<Arriving>, Providers), Problem> {
        let known = self.configuration.known()?;
        let mut providers = Vec::new();
        for (name, definition) in &bundle.providers {
            let name = ProviderName(name.clone());
            let provider = providers::parse_one(&name, definition)?;
            match known.get(&name).filter(|known| known.written != Written::default()) {
                Some(known) if known.written == provider.written => {}
                Some(_) => return Err(Problem::ProviderDiffers { provider: name.0 }),
                None => providers.push((name, provider)),
            }
        }
        let mut arriving: Vec<Arriving> = Vec::new();
        for moved in std::mem::take(&mut bundle.accounts) {
            let is = |name: &str, value: &str| moved.text(name) == Some(value);
            let here = self.house.accounts.iter().find(|known| {
                is("provider", known.identity.provider.as_str()) && is("provider_account_id", &known.identity.subject)
            });
            let copied = moved.tokens.is_empty();
            match here {
                Some(_) if copied => continue,
                Some(known) if !gone(known) || self.house.storing(&known.id) => {
                    return Err(Problem::AccountHere { account: known.identity.label.clone() });
                }
                _ => {}
            }
            let (account, label) = match here {
                Some(known) => (known.id.clone(), known.identity.label.clone()),
                None => {
                    let wanted = moved.text("label").unwrap_or_default();
                    let mut label = free_label(&self.house, wanted);
                    let mut number = 2;
                    while arriving.iter().any(|other| other.label == label) {
                        label = free_label(&self.house, &format!("{wanted}-{number}"));
                        number += 1;
                    }
                    (AccountId(uuid::Uuid::new_v4().to_string()), label)
                }
            };
            arriving.push(Arriving { account, label, known: here.is_some(), moved });
        }
        Ok((arriving, providers))
    }

    pub(super) async fn opened(&mut self, opened: Opened) {
        let Opened { path, result, reply } = opened;
        self.look_at_configuration().await;
        let fits = result.and_then(|mut bundle| {
            if self.house.quiet {
                return Err(Problem::Stopping);
            }
            let (arriving, providers) = self.arriving(&mut bundle)?;
            Ok((bundle, arriving, providers))
        });
        let (mut bundle, arriving, providers) = match fits {
            Ok(fits) => fits,
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        self.tasks.spawn(async move {
            let ids: Vec<_> = arriving.iter().map(|arriving| arriving.account.clone()).collect();
            let stored = import::import(&hands, &path, &mut bundle, arriving).await;
            let result = match stored {
                Ok(()) => grants::all(&hands.database, hands.clock.now())
                    .await
                    .map(|accounts| accounts.into_iter().filter(|account| ids.contains(&account.id)).collect()),
                Err(problem) => Err(problem),
            };
            let secrets = client_secret::kept(&hands.database).await.unwrap_or_default();
            let imported = Imported { result, providers, secrets, reply };
            let _ = outbox.send(Message::Imported(Box::new(imported))).await;
        });
    }

    pub(super) async fn imported(&mut self, imported: Imported) {
        let Imported { result, providers, secrets, reply } = imported;
        let accounts = match result {
            Ok(accounts) => accounts,
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        for (issuer, client) in secrets {
            self.configuration.secret(issuer, client, true);
        }
        let mut written = Ok(());
        for (name, provider) in &providers {
            written = written.and(self.configuration.write(name, provider));
        }
        if !providers.is_empty() && written.is_ok() {
            let event = self.event(EventKind::ProviderChanged, None, None, None, self.hands.clock.now());
            self.record(event).await;
        }
        self.look_at_configuration().await;
        let labels = accounts.iter().map(|account| account.identity.label.clone()).collect();
        for account in accounts {
            self.happen(HouseEvent::Imported(Box::new(account))).await;
        }
        self.show(self.hands.clock.now());
        let _ = reply.send(written.map(|()| Answer::Moved { accounts: labels }));
    }
}
