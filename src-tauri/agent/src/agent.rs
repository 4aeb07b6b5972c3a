//! The one loop that owns every account. Everything that happens comes in as a [`Message`]; core decides; effects go out.

use crate::audit::Audit;
use crate::configuration::Configuration;
use crate::keychain::keychain_state;
use crate::perform::{Hands, Performed, Task, broke_off};
use crate::settings::Settings;
use crate::sign_in::{self, Secrets};
use crate::{adopt, grants, hooks};
use larder_core::account::{Event, Session};
use larder_core::attempt::{self, Attempt, Phase};
use larder_core::effect::{Arrival, Effect, HouseEffect};
use larder_core::house::{ASK_PATIENCE, Ask, House, HouseEvent, Want, callback_verdict, gone, house};
use larder_core::names::{AccountId, AttemptId, Generation, Operation, ProviderName};
use larder_core::problem::{Problem, Why};
use larder_core::protocol::{Answer, Decision, OnWire, ProofFor, Push, Request};
use larder_core::show;
use larder_core::sleep;
use larder_core::time::Now;
use larder_core::view::{EventKind, EventView, HouseView, KeychainState, LockState};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;

pub use message::{Message, Peer, Reply};

/// Between two looks at whether anything is still in flight, while making way.
const DRAIN_PAUSE: Duration = Duration::from_millis(100);

/// A sleep of the machine, in milliseconds, after which refreshes begin one after another: longer than the two clocks are ever
/// read apart, shorter than any sleep that a network does not notice.
const SLEPT: i64 = 5000;

/// How long making way may take: longer than any request, so that nothing in flight is lost.
const DRAIN_PATIENCE: Duration = Duration::from_secs(40);

/// Why an answer waits.
struct Asker {
    reply: Reply,
    peer: Peer,
    /// What a proof is wanted for, and its URL, looked at.
    proof: Option<(ProofFor, url::Url)>,
}

/// The agent.
pub struct Agent {
    hands: Arc<Hands>,
    audit: Arc<Audit>,
    configuration: Configuration,
    house: House,
    secrets: HashMap<AttemptId, Secrets>,
    askers: HashMap<u64, Asker>,
    awaiting: HashMap<AttemptId, Vec<Reply>>,
    signing_out: HashMap<AccountId, signing_out::SigningOut>,
    finished: HashMap<AttemptId, AccountId>,
    /// Accounts that are being forgotten, with the client that may go with them.
    forgetting: HashMap<AccountId, adopting::Forgetting>,
    given: tokens::Given,
    hooks: hooks::Runner,
    settings: Settings,
    window: Option<consenting::Window>,
    /// The person's command, while it asks.
    confirming: Option<consenting::Confirming>,
    /// Where the lock is remembered, and why it could not be.
    lock_file: PathBuf,
    lock_problem: Option<Problem>,
    next_ask: u64,
    draining: Vec<Reply>,
    shown: Option<HouseView>,
    inbox: mpsc::Receiver<Message>,
    outbox: mpsc::Sender<Message>,
    pushes: broadcast::Sender<Push>,
    /// How long the machine had slept when something last happened, in milliseconds.
    asleep: Option<i64>,
    /// Whether the machine is kept from sleeping for a moment when it is about to.
    hold_sleep: watch::Sender<bool>,
    /// Effects under way; the agent ends after them.
    tasks: JoinSet<()>,
}

impl Agent {
    /// An agent with these accounts.
    pub fn new(
        hands: Hands,
        audit: Audit,
        configuration: Configuration,
        accounts: Vec<larder_core::account::Account>,
        (lock_file, lock): (PathBuf, LockState),
        (outbox, inbox): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
        pushes: broadcast::Sender<Push>,
    ) -> Self {
        Self {
            hands: Arc::new(hands),
            audit: Arc::new(audit),
            configuration,
            house: House::locked(accounts, lock),
            secrets: HashMap::new(),
            askers: HashMap::new(),
            awaiting: HashMap::new(),
            signing_out: HashMap::new(),
            finished: HashMap::new(),
            forgetting: HashMap::new(),
            given: tokens::Given::default(),
            hooks: hooks::Runner::default(),
            settings: Settings::default(),
            window: None,
            confirming: None,
            lock_file,
            lock_problem: None,
            next_ask: 0,
            draining: Vec::new(),
            shown: None,
            inbox,
            outbox,
            pushes,
            asleep: None,
            hold_sleep: watch::Sender::new(true),
            tasks: JoinSet::new(),
        }
    }

    /// Whether the machine is to be kept from sleeping for a moment when it is about to, as it stands and as it changes.
    pub fn hold_sleep(&self) -> watch::Receiver<bool> {
        self.hold_sleep.subscribe()
    }

    /// Runs until it is told to make way, and nothing is in flight any more.
    pub async fn run(mut self) {
        self.look_at_configuration().await;
        self.happen(HouseEvent::Tick).await;
        let alarm = self.hands.clock.alarm();
        let mut stopping: Option<tokio::time::Instant> = None;
        loop {
            if let Some(deadline) = stopping
                && (self.nothing_in_flight() || tokio::time::Instant::now() >= deadline)
            {
                break;
            }
            let now = self.hands.clock.now();
            let due =
                self.house.wake(now).map(|left| Duration::from_millis(u64::try_from(left.max(0)).unwrap_or_default()));
            let pause = stopping.map(|_| DRAIN_PAUSE);
            // With nothing to wait for, nothing wakes up.
            let wait = async {
                match due.into_iter().chain(pause).min() {
                    Some(after) => alarm.ring(after).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Message::Stop) => {
                        stopping.get_or_insert_with(|| tokio::time::Instant::now() + DRAIN_PATIENCE);
                        self.happen(HouseEvent::Quiet(true)).await;
                    }
                    Some(message) => {
                        self.receive(message).await;
                        if !self.draining.is_empty() {
                            stopping.get_or_insert_with(|| tokio::time::Instant::now() + DRAIN_PATIENCE);
                        }
                    }
                    None => break,
                },
                () = wait => self.happen(HouseEvent::Tick).await,
                Some(_) = self.tasks.join_next() => {}
            }
        }
        self.audit.close().await;
        for reply in self.draining.drain(..) {
            let _ = reply.send(Ok(Answer::Done));
        }
    }

    fn nothing_in_flight(&self) -> bool {
        sleep::at_rest(&self.house) && self.signing_out.is_empty() && self.tasks.is_empty()
    }

    async fn receive(&mut self, message: Message) {
        match message {
            Message::Request { peer, request, reply } => self.requested(peer, request, reply).await,
            Message::Consult { ask, account, want, program } => self.consulted(ask, account, want, program).await,
            Message::Confirmed { prompt, choice } => self.answered(prompt, choice).await,
            Message::Unlocked { peer, reply } => self.unlocked(&peer, reply).await,
            Message::Gone { connection } => self.gone(connection).await,
            Message::Begun { result, reply } => self.begun(result, reply).await,
            Message::Performed { account, generation, operation, performed } => {
                if let Some(state) = performed.keychain {
                    self.happen(HouseEvent::Keychain(state)).await;
                }
                if let Some(arrival) = performed.arrival {
                    if let Arrival::Revoked(result) = &arrival {
                        self.revocation_ended(&account, result);
                    }
                    let closed = matches!(arrival, Arrival::Closed);
                    let revoked = matches!(arrival, Arrival::Revoked(_));
                    let event = Event::Arrived { generation, operation, arrival };
                    self.happen(HouseEvent::Account { account: account.clone(), event }).await;
                    if closed && self.house.find(account.as_str()).is_err() {
                        self.given.forget(&account);
                        self.audit.forget(account.clone()).await;
                    }
                    if closed || revoked {
                        self.forget_client(&account, revoked);
                    }
                }
            }
            Message::Exchanged { attempt, result } => self.exchanged(attempt, result).await,
            Message::DeviceAnswered { attempt, answer } => self.device_answered(attempt, *answer).await,
            Message::Stored { attempt, result, moved } => {
                if let Err(problem) = &result
                    && let Some(state) = keychain_state(problem)
                {
                    self.happen(HouseEvent::Keychain(state)).await;
                } else if let Ok((account, _)) = &result {
                    self.finished.insert(attempt.clone(), account.clone());
                    self.happen(HouseEvent::Keychain(KeychainState::Open)).await;
                }
                let moved = result.as_ref().ok().map(|(account, _)| account.clone()).zip(moved);
                let result = result.map(|(_, generation)| generation);
                self.happen(HouseEvent::Stored { attempt, result }).await;
                if let Some((account, (from, to))) = moved {
                    self.endpoint_moved(account, from, to).await;
                }
            }
            Message::SecretKept { issuer, client } => {
                // Accounts that waited for it, or for a better one, go on.
                let corrected = self.configuration.with_client(&issuer, &client);
                self.configuration.secret(issuer, client, true);
                for provider in corrected {
                    self.happen(HouseEvent::Corrected { provider }).await;
                }
                self.show(self.hands.clock.now());
            }
            Message::Looked { result, adopt, reply } => self.looked(*result, adopt, reply).await,
            Message::RegistrationEnded { issuer, client, result } => {
                self.registration_ended(issuer, client, result).await;
            }
            Message::Exported { accounts, program, result, reply } => {
                self.exported(accounts, program, result, reply).await;
            }
            Message::Export(exporting) => self.export(*exporting).await,
            Message::Opened(opened) => self.opened(*opened).await,
            Message::Imported(imported) => self.imported(*imported).await,
            Message::Keychain(state) => self.happen(HouseEvent::Keychain(state)).await,
            Message::SignedOut { account, revocation } => self.answer_signed_out(&account, revocation),
            Message::SignOutFailed { account, problem } => self.sign_out_failed(&account, &problem),
            Message::Doubt { account } => {
                self.happen(HouseEvent::Account { account, event: Event::RefreshSoon }).await;
            }
            Message::Lost { account, part } => {
                self.happen(HouseEvent::Account { account, event: Event::Lost(part) }).await;
            }
            Message::Recognised { peer, account, asked, rejected, reply } => {
                self.ask_for_newer(peer, account, asked, rejected, reply).await;
            }
            Message::Sleep { announced: true } => self.happen(HouseEvent::Suspending).await,
            Message::Sleep { announced: false } => self.happen(HouseEvent::Resumed).await,
            Message::Renamed { account, label, result, reply } => self.renamed(account, label, result, reply).await,
            Message::Arranged { order, result, reply } => self.rearranged(order, result, reply).await,
            Message::Stop => {}
        }
    }

    /// Lets something happen: core decides, its effects go out, and whoever looks sees what changed.
    async fn happen(&mut self, event: HouseEvent) {
        let now = self.hands.clock.now();
        let before = std::mem::replace(&mut self.asleep, self.hands.clock.asleep());
        if let (Some(before), Some(asleep)) = (before, self.asleep)
            && asleep.saturating_sub(before) > SLEPT
        {
            // Whatever comes first after it.
            for effect in self.decide(HouseEvent::Slept, now) {
                self.carry_out(effect, now).await;
            }
        }
        let asks = matches!(event, HouseEvent::Ask(_));
        let effects = self.decide(event, now);
        let answers = |effect: &HouseEffect| {
            matches!(effect, HouseEffect::HandOut { .. } | HouseEffect::Answer { .. } | HouseEffect::Refuse { .. })
        };
        // Most often a token is asked for and handed out, and nothing is different for anybody.
        let same = asks && effects.iter().all(answers);
        for effect in effects {
            self.carry_out(effect, now).await;
        }
        if same {
            return;
        }
        self.answer_awaiting();
        self.confirm();
        self.show(now);
    }

    fn decide(&mut self, event: HouseEvent, now: Now) -> Vec<HouseEffect> {
        let before = std::mem::replace(&mut self.house, House::new(Vec::new()));
        let (after, effects) = house(before, event, now);
        self.house = after;
        effects
    }

    async fn carry_out(&mut self, effect: HouseEffect, now: Now) {
        match effect {
            HouseEffect::Account { account, generation, operation, effect } => {
                self.act(account, generation, operation, effect);
            }
            HouseEffect::Exchange { attempt } => self.exchange(attempt),
            HouseEffect::Store { attempt, account, label, keep_key } => self.store(attempt, account, label, keep_key),
            HouseEffect::RevokeAttempt { attempt } => self.revoke_attempt(&attempt),
            HouseEffect::ForgetAttempt { attempt } => {
                let forgotten = self.secrets.remove(&attempt);
                if let Some(loopback) = forgotten.and_then(|secrets| secrets.loopback) {
                    loopback.close_soon();
                }
            }
            HouseEffect::HandOut { ask, account, part } => self.hand_out(ask, account, part),
            HouseEffect::Answer { ask } => self.answer_ask(ask),
            HouseEffect::Refuse { ask, problem } => self.refuse(ask, problem),
            HouseEffect::Record { kind, account, program, problem } => {
                let event = self.event(kind, account, program, problem, now);
                self.record(event).await;
            }
            HouseEffect::Locked { state } => self.remember_lock(state),
            HouseEffect::DropKeys { keep } => self.drop_keys(keep).await,
            HouseEffect::HoldSleep { hold } => drop(self.hold_sleep.send_replace(hold)),
        }
    }

    fn event(
        &self,
        kind: EventKind,
        account: Option<AccountId>,
        program: Option<String>,
        problem: Option<Problem>,
        now: Now,
    ) -> EventView {
        let known = account.as_ref().and_then(|id| self.house.accounts.iter().find(|account| account.id == *id));
        let label = known.map(|account| account.identity.label.clone());
        let granted = known.filter(|_| kind == EventKind::SignedIn);
        let scopes = granted.map(|account| account.identity.scopes.clone()).unwrap_or_default();
        EventView { account, label, program, scopes, problem, ..EventView::new(now.wall, kind) }
    }

    async fn record(&self, event: EventView) {
        // Nobody may be looking.
        let _ = self.pushes.send(Push::Event(event.clone()));
        let known = event.account.as_ref().and_then(|id| self.house.find(id.as_str()).ok());
        let provider = known.map(|known| known.identity.provider.0.clone()).unwrap_or_default();
        self.hooks.run(&self.configuration.settings().hooks, &event, &provider);
        self.audit.record(event);
    }

    /// Tells whoever subscribed, if anything but the time changed.
    fn show(&mut self, now: Now) {
        let view = self.view(now);
        let same = self.shown.as_ref().is_some_and(|shown| HouseView { at: view.at, ..shown.clone() } == view);
        if !same {
            let _ = self.pushes.send(Push::View(Box::new(view.clone())));
            self.shown = Some(view);
        }
    }

    /// What is wrong with the configuration.
    fn problems(&self) -> Vec<Problem> {
        let mut problems = self.configuration.problems();
        // Only where the settings can be read: else they are the problem.
        let named = self.configuration.settings().keychain.store;
        if self.hands.keychain.chosen().is_some_and(|chosen| chosen != named) && !self.configuration.settings_wrong() {
            problems.push(Problem::StoreChanged { store: named.name().to_owned() });
        }
        problems
    }

    fn view(&self, now: Now) -> HouseView {
        show::house(&self.house, self.configuration.views(), self.problems(), self.hands.keychain.kind(), now)
    }

    fn act(&mut self, account: AccountId, generation: Generation, operation: Operation, effect: Effect) {
        let known = self.house.accounts.iter().find(|known| known.id == account);
        let (forget, moved) = known.map_or((false, false), |known| match &known.session {
            Session::Clearing(clearing) | Session::ShredPending { clearing, .. } => (clearing.forget, clearing.moved),
            _ => (false, false),
        });
        let provider = known.map(|known| known.identity.provider.0.clone()).unwrap_or_default();
        let task = Task { account: account.clone(), provider, operation, generation, forget, moved, effect };
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        let fallback = broke_off(&task.effect);
        // The provider is told as well as can be; nobody waits for it longer than a moment.
        let apart = matches!(task.effect, Effect::Revoke | Effect::RevokeLate);
        let work = async move {
            // Apart, so that an effect that panics is one that failed, and not an account that is stuck.
            let performed = match tokio::spawn(async move { hands.perform(task).await }).await {
                Ok(performed) => performed,
                Err(_) => Performed { arrival: fallback, keychain: None },
            };
            let _ = outbox.send(Message::Performed { account, generation, operation, performed }).await;
        };
        if apart {
            tokio::spawn(work);
        } else {
            self.tasks.spawn(work);
        }
    }
}

mod adopting;
mod arranging;
mod asking;
mod consenting;
mod exchanging;
mod handing_out;
mod message;
mod moving;
mod signing_in;
mod signing_out;
mod tokens;
mod trying;
