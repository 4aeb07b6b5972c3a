//! The loop's part in requests: what each one asks, and who gets which answer.

use super::gone;
use super::signing_in::More;
use super::tokens::{self, Asked};
use super::{
    ASK_PATIENCE, AccountId, Agent, Answer, Arc, Ask, Asker, Decision, Event, EventKind, HouseEvent, Message, OnWire,
    Peer, Problem, Program, Push, REVOCATION_PATIENCE, Reply, Request, Revocation, Want, Why, grants, program, show,
};
use crate::http::Http;
use crate::{access_tokens, client_auth, client_secret, doctor, report, settings};
use larder_core::lock::LockEvent;
use larder_core::names::{Generation, Part, ProviderName};
use larder_core::preferences::SettingsChange;
use larder_core::problem::Exit;
use larder_core::protocol::ProofFor;
use larder_core::view::{Check, CheckView, EventView};
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

/// A sign-out that somebody waits for.
pub(super) struct SigningOut {
    label: String,
    /// Where its person can sign out in the browser too: read while the row is there, and there when the answer is.
    browser: oneshot::Receiver<Option<String>>,
    replies: Vec<Reply>,
}

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

    fn account_answer(&self, id: &AccountId) -> Result<Answer, Problem> {
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

    /// Opens the access token and hands it over, off the loop.
    pub(super) fn hand_out(&mut self, ask: u64, account: AccountId, part: Part) {
        let Some(Asker { reply, peer, proof }) = self.askers.remove(&ask) else { return };
        let known = self.house.find(account.as_str()).ok();
        let label = known.map_or_else(|| account.0.clone(), |known| known.identity.label.clone());
        let generation = known.map(|known| known.generation).unwrap_or_default();
        if let Some(access) = known.and_then(|known| known.token(&part)) {
            let program = peer.program.as_ref().map(|program| program.path.as_str()).unwrap_or_default();
            self.given.note(&account, &part, access.issued, program);
        }
        let (hands, outbox, audit, pushes) =
            (Arc::clone(&self.hands), self.outbox.clone(), Arc::clone(&self.audit), self.pushes.clone());
        let now = hands.clock.now();
        tokio::spawn(async move {
            let answer =
                open_for(&hands, (&account, generation), &part, &label, peer.program.as_ref(), proof.as_ref()).await;
            if let Err(Problem::NotYet { .. }) = &answer {
                let _ = outbox.send(Message::Lost { account: account.clone(), part }).await;
            } else if let Err(problem) = &answer
                && problem.exit() == Exit::SignIn
            {
                // A refresh would meet the same, and then the account knows it.
                let _ = outbox.send(Message::Doubt { account: account.clone() }).await;
            }
            if let Ok(Answer::Token { scope, .. }) = &answer {
                let event = EventView {
                    account: Some(account),
                    label: Some(label),
                    program: peer.program.map(|program| program.path),
                    scopes: grants::split(scope),
                    ..EventView::new(now.wall, EventKind::HandedOut)
                };
                let _ = pushes.send(Push::Event(event.clone()));
                audit.record(event);
            }
            let _ = reply.send(answer);
        });
    }

    async fn sign_out(&mut self, peer: Peer, account: &str, undoable: bool, forget: bool, revoke: bool, reply: Reply) {
        let (id, label, gone) = match self.house.find(account) {
            Ok(known) => (known.id.clone(), known.identity.label.clone(), gone(known)),
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        // Who says "here only" wants nothing there.
        let browser = if revoke && !undoable { self.browser_sign_out(&id) } else { oneshot::channel().1 };
        if gone && !forget {
            tokio::spawn(async move {
                let (revocation, browser_sign_out) = (Revocation::NotTried, browser.await.ok().flatten());
                let _ = reply.send(Ok(Answer::SignedOut { account: label, revocation, browser_sign_out }));
            });
            return;
        }
        if forget && revoke {
            self.forgets(&id, !gone);
        }
        let revoke = revoke && !gone;
        let event = Event::SignOut { undoable, forget, revoke };
        if undoable {
            self.happen(HouseEvent::Account { account: id.clone(), event }).await;
            let _ = reply.send(self.account_answer(&id));
            return;
        }
        // First whether it is signed out here; then what came of telling the provider.
        let (done, signed_out) = oneshot::channel();
        let waiting = self.signing_out.entry(id.clone());
        waiting.or_insert_with(|| SigningOut { label, browser, replies: Vec::new() }).replies.push(reply);
        self.happen(HouseEvent::Account { account: id.clone(), event }).await;
        self.ask(peer, id.clone(), Want::SignOut, None, done).await;
        let (outbox, clock) = (self.outbox.clone(), Arc::clone(&self.hands.clock));
        tokio::spawn(async move {
            let message = match signed_out.await {
                Ok(Ok(_)) if revoke => {
                    clock.pass(REVOCATION_PATIENCE).await;
                    Message::SignedOut { account: id, revocation: Revocation::Pending }
                }
                Ok(Ok(_)) => Message::SignedOut { account: id, revocation: Revocation::NotTried },
                Ok(Err(problem)) => Message::SignOutFailed { account: id, problem },
                // Whoever asked is gone; the entry goes too.
                Err(_) => Message::SignedOut { account: id, revocation: Revocation::Pending },
            };
            let _ = outbox.send(message).await;
        });
    }

    /// Reads, off the loop, where an account's person can sign out in the browser too.
    fn browser_sign_out(&self, account: &AccountId) -> oneshot::Receiver<Option<String>> {
        let (found, url) = oneshot::channel();
        let (hands, account) = (Arc::clone(&self.hands), account.clone());
        tokio::spawn(async move {
            // It is an offer: nothing depends on it.
            let _ = found.send(grants::browser_sign_out(&hands.database, account).await.unwrap_or_default());
        });
        url
    }

    pub(super) fn revocation_ended(&mut self, account: &AccountId, result: &Result<(), Option<Problem>>) {
        let revocation = match result {
            Ok(()) => Revocation::Done,
            Err(None) => Revocation::NotOffered,
            Err(Some(problem)) if problem.exit() == Exit::Keychain => Revocation::Failed,
            Err(Some(_)) => Revocation::Pending,
        };
        self.answer_signed_out(account, revocation);
    }

    pub(super) fn answer_signed_out(&mut self, account: &AccountId, revocation: Revocation) {
        let Some(SigningOut { label, mut browser, replies }) = self.signing_out.remove(account) else { return };
        // The sign-out has been to the disk several times since it was asked for. Where it is not there, nothing is offered.
        let browser_sign_out = browser.try_recv().ok().flatten();
        for reply in replies {
            let (account, browser_sign_out) = (label.clone(), browser_sign_out.clone());
            let _ = reply.send(Ok(Answer::SignedOut { account, revocation, browser_sign_out }));
        }
    }

    pub(super) fn sign_out_failed(&mut self, account: &AccountId, problem: &Problem) {
        let Some(SigningOut { replies, .. }) = self.signing_out.remove(account) else { return };
        for reply in replies {
            let _ = reply.send(Err(problem.clone()));
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

/// Opens an account's access token for whoever asked.
async fn open_for(
    hands: &super::Hands,
    (account, generation): (&AccountId, Generation),
    part: &Part,
    label: &str,
    asker: Option<&Program>,
    proof: Option<&(ProofFor, url::Url)>,
) -> Result<Answer, Problem> {
    let needs = |why| Problem::SignInNeeded { account: label.to_owned(), why };
    let key = hands.key(account).await?.ok_or_else(|| needs(Why::KeyMissing))?;
    let row = hands.rows.read(&hands.database, account, generation).await?;
    let mut opened = row.open_all(account, &key).map_err(|_| needs(Why::Unreadable))?;
    let mut tokens = opened.tokens.take().ok_or_else(|| Problem::SignedOut { account: label.to_owned() })?;
    if !part.is_whole() {
        let kept = match access_tokens::read(&hands.database, account.clone(), key, part.clone()).await {
            Ok(kept) => kept,
            Err(grants::NotOpened::Unreadable) => None,
            Err(grants::NotOpened::Because(problem)) => return Err(problem),
        };
        let kept = kept.ok_or_else(|| Problem::NotYet { account: label.to_owned() })?;
        (tokens.access_token, tokens.token_type) = (kept.access_token, kept.token_type);
        opened.expires_at = kept.expires_at;
        // RFC 6749 section 5.1: left out where it is what was asked for.
        let asked = if part.scope.is_empty() { opened.scope } else { part.scope.clone() };
        opened.scope = kept.scope.unwrap_or(asked);
    }
    if asker.is_some_and(|asker| !program::still_there(asker)) {
        let program = asker.map(|asker| asker.path.clone()).unwrap_or_default();
        return Err(Problem::Denied { program, account: label.to_owned() });
    }
    let dpop = match proof {
        Some((wanted, url)) => {
            let key = tokens.bound_to().ok_or_else(|| Problem::NotBound { account: label.to_owned() })?;
            let nonce = wanted.nonce.clone().or_else(|| hands.http().nonces().of(url));
            let (method, now) = (&wanted.method, hands.clock.now().wall);
            Some(key.prove(method, url, now, nonce.as_deref(), Some(&tokens.access_token))?)
        }
        None => None,
    };
    Ok(Answer::Token {
        // Handing out is the third of the three places that tokens are exposed for.
        access_token: OnWire::new(tokens.access_token.expose_secret().to_owned()),
        token_type: tokens.token_type,
        expires_at: opened.expires_at,
        scope: opened.scope,
        account: label.to_owned(),
        dpop,
    })
}
