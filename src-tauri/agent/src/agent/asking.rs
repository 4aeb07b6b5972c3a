//! The loop's part in requests: what each one asks, and who gets which answer.

use super::signing_in::More;
use super::tokens::{self, Asked};
use super::{
    ASK_PATIENCE, AccountId, Agent, Answer, Arc, Ask, Asker, Decision, Event, EventKind, HouseEvent, Message, OnWire,
    Peer, Problem, Reply, Request, Want, show,
};
use crate::http::Http;
use crate::{client_auth, client_secret, doctor, report, settings};
use larder_core::lock::LockEvent;
use larder_core::names::ProviderName;
use larder_core::preferences::SettingsChange;
use larder_core::protocol::ProofFor;
use larder_core::view::{Check, CheckView};

impl Agent {
    pub(super) async fn requested(&mut self, peer: Peer, request: Request, reply: Reply) {
        // A token that is still good is handed out to the last; core starts no refresh any more.
        let harmless = matches!(
            request,
            Request::View
                | Request::Drain
                | Request::Events { .. }
                | Request::Audit { .. }
                | Request::AuditVerify { .. }
                | Request::AuditHead
                | Request::LastUses
                | Request::Token { .. }
                | Request::AwaitSignIn { .. }
        );
        if self.house.quiet && !harmless {
            let _ = reply.send(Err(Problem::Stopping));
            return;
        }
        self.used(&request).await;
        if let Some(problem) = self.house.lock.refusal().filter(|_| self.house.lock.sealed() && opens(&request)) {
            let _ = reply.send(Err(problem));
            return;
        }
        match request {
            // The connection itself answers these.
            Request::Hello { .. } | Request::Subscribe => {
                let _ = reply.send(Err(Problem::BadRequest { detail: "that was said already".to_owned() }));
            }
            Request::View => {
                self.look_at_configuration().await;
                let view = self.view(self.hands.clock.now());
                let _ = reply.send(Ok(Answer::View(Box::new(view))));
            }
            Request::AttachWindow { activation_token, answers } => {
                self.attach_window(&peer, activation_token, answers, reply).await;
            }
            Request::AnswerPrompt { prompt, choice } => {
                let answer = self.answer_prompt(&peer, prompt, choice).await;
                let _ = reply.send(answer);
            }
            Request::RemoveRule { program, account } => {
                let answer = self.remove_rule(&peer, program, account).await;
                let _ = reply.send(answer);
            }
            Request::Policy => {
                self.look_at_configuration().await;
                let _ = reply.send(self.policy());
            }
            Request::Lock { seal } => {
                let answer = self.lock(&peer, seal).await;
                let _ = reply.send(answer);
            }
            Request::SignIn { provider, label, account, redirect, scopes, authentication } => {
                self.look_at_configuration().await;
                let more = More { scopes, authentication };
                self.begin_sign_in(provider, label, account, redirect, more, reply);
            }
            Request::AwaitSignIn { attempt } => {
                let waits = self.house.attempts.iter().any(|known| known.id == attempt);
                if waits {
                    self.awaiting.entry(attempt).or_default().push(reply);
                    self.answer_awaiting();
                } else {
                    let _ = reply.send(self.how_it_ended(&attempt));
                }
            }
            Request::CancelSignIn { attempt } => {
                self.happen(HouseEvent::AttemptDismissed { attempt }).await;
                let _ = reply.send(Ok(Answer::Done));
            }
            Request::AuthorizationUrl { attempt } => {
                let url = self.secrets.get(&attempt).map(|secrets| secrets.authorization_url.to_string());
                let _ = reply.send(match url {
                    Some(url) => Ok(Answer::AuthorizationUrl { url }),
                    None => Err(Problem::NoSuchAttempt { attempt }),
                });
            }
            Request::Callback { url, activation_token } => self.callback(&url, activation_token, reply).await,
            Request::Token { account, min_validity, dpop, rejected, scopes, resource } => {
                match tokens::asked(min_validity, dpop, rejected, &scopes, resource.as_deref()) {
                    Ok(asked) => self.token(peer, &account, asked, reply).await,
                    Err(problem) => {
                        let _ = reply.send(Err(problem));
                    }
                }
            }
            Request::GitAccounts { to } => {
                self.look_at_configuration().await;
                let accounts = self.configuration.git_accounts(&self.house.accounts, &to);
                let _ = reply.send(Ok(Answer::GitAccounts { accounts }));
            }
            Request::Refresh { account } => {
                self.look_at_configuration().await;
                match self.house.find(&account) {
                    Ok(known) => {
                        let (id, from) = (known.id.clone(), known.generation);
                        self.ask(peer, id, Want::Refresh { from }, None, reply).await;
                    }
                    Err(problem) => {
                        let _ = reply.send(Err(problem));
                    }
                }
            }
            Request::RefreshAll => {
                self.look_at_configuration().await;
                let all: Vec<_> = self.house.accounts.iter().map(|account| account.id.clone()).collect();
                for account in all {
                    self.happen(HouseEvent::Account { account, event: Event::RefreshSoon }).await;
                }
                let _ = reply.send(Ok(Answer::Done));
            }
            Request::SignOut { account, undoable, forget, here_only } => {
                self.sign_out(peer, &account, undoable, forget, !here_only, reply).await;
            }
            Request::BrowserSignOut { account } => match self.house.find(&account) {
                Ok(known) => {
                    let url = self.browser_sign_out(&known.id.clone());
                    tokio::spawn(async move {
                        let _ = reply.send(Ok(Answer::BrowserSignOut { url: url.await.ok().flatten() }));
                    });
                }
                Err(problem) => {
                    let _ = reply.send(Err(problem));
                }
            },
            Request::UndoSignOut { account } => match self.house.find(&account) {
                Ok(known) => {
                    let id = known.id.clone();
                    self.forgetting.remove(&id);
                    self.happen(HouseEvent::Account { account: id.clone(), event: Event::Undo }).await;
                    let _ = reply.send(self.account_answer(&id));
                }
                Err(problem) => {
                    let _ = reply.send(Err(problem));
                }
            },
            Request::Events { limit } => {
                let audit = Arc::clone(&self.audit);
                tokio::spawn(async move {
                    let _ = reply.send(audit.newest(limit).await.map(|events| Answer::Events { events }));
                });
            }
            Request::Export { .. } | Request::Import { .. } => self.move_accounts(&peer, request, reply).await,
            Request::Audit { .. } | Request::AuditVerify { .. } | Request::AuditHead => self.audited(request, reply),
            Request::CheckProvider { provider } => self.check_provider(provider, reply).await,
            Request::Doctor => {
                self.look_at_configuration().await;
                self.doctor(reply);
            }
            Request::Rename { account, label } => self.rename(&account, label, reply).await,
            Request::Arrange { account, before } => self.arrange(&account, before.as_deref(), reply),
            Request::Test { account } => self.test(&account, reply).await,
            Request::LastUses => self.last_uses(reply),
            Request::Settings => {
                self.look_at_configuration().await;
                let _ = reply.send(self.configuration.shown_settings());
            }
            Request::ChangeSettings { change } => {
                let answer = self.change_settings(&change).await;
                let _ = reply.send(answer);
            }
            Request::Find { url } => self.look(url, false, reply).await,
            Request::Adopt { url } => self.look(url, true, reply).await,
            Request::Unlock { passphrase } => self.unlock(peer, passphrase.as_ref(), reply),
            Request::SetSecret { name, secret } => self.set_secret(name, &secret, reply),
            Request::Drain => {
                self.happen(HouseEvent::Quiet(true)).await;
                self.draining.push(reply);
            }
            Request::Providers
            | Request::Provider { .. }
            | Request::AddProvider { .. }
            | Request::RemoveProvider { .. }
            | Request::OfferDemo { .. }
            | Request::SetPolicy { .. } => {
                let answer = self.configure(&peer, request).await;
                let _ = reply.send(answer);
            }
        }
    }

    /// Looks into the audit, off the loop.
    fn audited(&self, request: Request, reply: Reply) {
        let audit = Arc::clone(&self.audit);
        let named = |label: &String| self.house.find(label).ok().map(|account| account.id.clone());
        let account = match &request {
            Request::Audit { filter } => filter.account.as_ref().and_then(named),
            _ => None,
        };
        tokio::spawn(async move {
            let _ = reply.send(match request {
                Request::Audit { filter } => audit.list(filter, account).await.map(|rows| Answer::Audit { rows }),
                Request::AuditVerify { noted } => {
                    audit.verify(noted).await.map(|report| Answer::AuditVerified(Box::new(report)))
                }
                _ => audit.head().await.map(Answer::AuditHead),
            });
        });
    }

    /// Reads configuration that changed on the disk; accounts that waited for a correction are tried again.
    pub(super) async fn look_at_configuration(&mut self) {
        let corrected = self.configuration.reload();
        let settings = self.configuration.settings();
        if settings != self.settings {
            match Http::new(&settings, self.configuration.settings_file()) {
                Ok(http) => self.hands.ask_through(http),
                // The way that worked so far stays.
                Err(problem) => self.configuration.cannot_use_settings(problem),
            }
            let idle = settings.lock.idle_after();
            let margin = settings.refresh.margin_percent.unwrap_or_default();
            self.settings = settings;
            self.happen(HouseEvent::Lock(LockEvent::IdleAfter(idle))).await;
            self.happen(HouseEvent::Margin(margin)).await;
            self.look_who_can_be_asked().await;
        }
        if self.configuration.policy_changed() {
            let event = self.event(EventKind::PolicyChanged, None, None, None, self.hands.clock.now());
            self.record(event).await;
            self.settle().await;
        }
        for provider in corrected {
            self.happen(HouseEvent::Corrected { provider }).await;
        }
    }

    async fn change_settings(&mut self, change: &SettingsChange) -> Result<Answer, Problem> {
        settings::change(self.configuration.settings_file(), change)?;
        self.look_at_configuration().await;
        self.show(self.hands.clock.now());
        self.configuration.shown_settings()
    }

    async fn configure(&mut self, peer: &Peer, request: Request) -> Result<Answer, Problem> {
        self.look_at_configuration().await;
        let accounts = &self.house.accounts;
        let (answer, kind) = self.configuration.answer(request, peer.connection, accounts)?;
        if let Some(kind) = kind {
            let event =
                self.event(kind, None, peer.program.as_ref().map(|p| p.path.clone()), None, self.hands.clock.now());
            self.record(event).await;
            self.look_at_configuration().await;
            self.settle().await;
        }
        self.show(self.hands.clock.now());
        Ok(answer)
    }

    pub(super) async fn gone(&mut self, connection: u64) {
        if self.window.take_if(|window| window.connection == connection).is_some() {
            self.look_who_can_be_asked().await;
        }
        self.configuration.gone(connection);
        let asks: Vec<_> =
            self.askers.iter().filter(|(_, asker)| asker.peer.connection == connection).map(|(ask, _)| *ask).collect();
        for ask in asks {
            // A refresh that it led goes on for the others.
            self.askers.remove(&ask);
            self.happen(HouseEvent::AskerGone { ask }).await;
        }
        self.show(self.hands.clock.now());
    }

    async fn token(&mut self, peer: Peer, account: &str, asked: Asked, reply: Reply) {
        let known = match self.house.find(account) {
            Ok(known) => known.clone(),
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        self.look_at_configuration().await;
        let path = peer.program.as_ref().map(|program| program.path.clone());
        let problem = match self.permitted(&peer, &known) {
            Ok(decision @ (Decision::Allow | Decision::Ask)) => {
                let consult = decision == Decision::Ask;
                return self.ask_for_token(peer, known, Asked { consult, ..asked }, reply).await;
            }
            Ok(Decision::Deny) => {
                let program = path.clone().unwrap_or_else(|| "an unknown program".to_owned());
                Problem::Denied { program, account: known.identity.label }
            }
            // A policy that cannot be read allows nothing, nor does a lock.
            Err(problem) => problem,
        };
        let now = self.hands.clock.now();
        let event = self.event(EventKind::Refused, Some(known.id), path, Some(problem.clone()), now);
        self.record(event).await;
        let _ = reply.send(Err(problem));
    }

    /// From now on somebody waits; what they wait for is named by the number.
    pub(super) fn await_answer(&mut self, asker: Asker) -> u64 {
        self.next_ask += 1;
        self.askers.insert(self.next_ask, asker);
        self.next_ask
    }

    pub(super) async fn ask(
        &mut self,
        peer: Peer,
        account: AccountId,
        want: Want,
        proof: Option<(ProofFor, url::Url)>,
        reply: Reply,
    ) {
        let (id, now) = (self.await_answer(Asker { reply, peer, proof }), self.hands.clock.now());
        let ask = Ask { id, account, want, until: now.plus(ASK_PATIENCE), since: now };
        self.happen(HouseEvent::Ask(ask)).await;
    }

    pub(super) fn account_answer(&self, id: &AccountId) -> Result<Answer, Problem> {
        self.house
            .find(id.as_str())
            .map(|account| Answer::Account(Box::new(show::account(account, self.hands.clock.now()))))
    }

    /// Finds out off the loop what a provider offers.
    async fn check_provider(&mut self, provider: String, reply: Reply) {
        self.look_at_configuration().await;
        let http = self.hands.http();
        if provider.contains("://") {
            tokio::spawn(async move {
                let _ = reply.send(Ok(Answer::Report { lines: report::of_issuer(&http, &provider).await }));
            });
            return;
        }
        let name = ProviderName(provider);
        match self.configuration.provider(&name) {
            Ok(definition) => {
                let lacks_secret = self.configuration.lacks_secret(&definition);
                tokio::spawn(async move {
                    let lines = report::of(&http, &name, &definition, lacks_secret).await;
                    let _ = reply.send(Ok(Answer::Report { lines }));
                });
            }
            Err(problem) => {
                let _ = reply.send(Err(problem));
            }
        }
    }

    /// An ask was for something that is done now.
    pub(super) fn answer_ask(&mut self, ask: u64) {
        let Some(asker) = self.askers.remove(&ask) else { return };
        let _ = asker.reply.send(Ok(Answer::Done));
    }

    pub(super) fn refuse(&mut self, ask: u64, problem: Problem) {
        if let Some(asker) = self.askers.remove(&ask) {
            let _ = asker.reply.send(Err(problem));
        }
    }

    /// Looks at everything, off the loop.
    fn doctor(&self, reply: Reply) {
        let problems = self.problems();
        let (issuers, proxy) = (self.configuration.issuers(), self.configuration.settings().proxy);
        let hands = Arc::clone(&self.hands);
        tokio::spawn(async move {
            let mut checks = vec![doctor::keychain(&hands.keychain).await];
            let configuration = |problem| CheckView { check: Check::Configuration, subject: String::new(), problem };
            if problems.is_empty() {
                checks.push(configuration(None));
            }
            checks.extend(problems.into_iter().map(|problem| configuration(Some(problem))));
            let environment = || {
                ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                    .iter()
                    .find_map(|name| std::env::var(name).ok())
            };
            if let Some(proxy) = proxy.or_else(environment) {
                // Without its password, should it name one.
                let shown = url::Url::parse(&proxy).map(|url| crate::http::host(&url)).unwrap_or_default();
                checks.push(CheckView { check: Check::Proxy, subject: shown, problem: None });
            }
            let now = || hands.clock.now().wall;
            checks.extend(doctor::providers(&hands.http(), issuers, now).await);
            let _ = reply.send(Ok(Answer::Doctor { checks }));
        });
    }

    /// Seals a client secret, off the loop.
    fn set_secret(&mut self, name: ProviderName, secret: &OnWire, reply: Reply) {
        let provider = match self.configuration.provider(&name) {
            Ok(provider) => provider,
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        let secret = secret.expose().trim();
        if secret.is_empty() || provider.client_id.is_empty() {
            let detail =
                "a secret belongs to a client: write down its client_id first, then give a secret that is not empty";
            let _ = reply.send(Err(Problem::BadRequest { detail: detail.to_owned() }));
            return;
        }
        let secret = secrecy::SecretString::from(secret);
        if let Err(problem) = client_auth::check(name.as_str(), provider.auth_method, &secret) {
            let _ = reply.send(Err(problem));
            return;
        }
        let (issuer, client) = (provider.authority(), provider.client_id);
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let stored =
                client_secret::store(&hands.database, &hands.keychain, issuer.clone(), client.clone(), secret).await;
            if stored.is_ok() {
                let _ = outbox.send(Message::SecretKept { issuer, client }).await;
            }
            let _ = reply.send(stored.map(|()| Answer::Done));
        });
    }
}

/// Whether a request needs a key, or makes one: nothing of that while all is sealed.
fn opens(request: &Request) -> bool {
    matches!(
        request,
        Request::SignIn { .. }
            | Request::Adopt { .. }
            | Request::SetSecret { .. }
            | Request::RefreshAll
            | Request::Test { .. }
            | Request::Import { .. }
    )
}
