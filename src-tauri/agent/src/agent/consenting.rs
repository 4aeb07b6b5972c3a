//! The loop's part in consent and lock: who can be asked, what they answered, and what the policy says since.

use super::{
    AccountId, Agent, Answer, Arc, Asker, Decision, EventKind, HouseEvent, Message, OnWire, Peer, Problem, ProofFor,
    Push, Reply, Request, Want,
};
use crate::{confirm, lock, program};
use larder_core::account::Account;
use larder_core::consent::{self, ConsentEvent, Way};
use larder_core::house::{ASK_PATIENCE, Ask};
use larder_core::lock::{LockEvent, lapsing};
use larder_core::names::PromptId;
use larder_core::protocol::Choice;
use larder_core::view::{AskingProgram, LockState};
use tokio::task::AbortHandle;

/// The window that is attached.
pub(super) struct Window {
    pub connection: u64,
    /// Its process, which has other connections too.
    process: Option<i32>,
    /// Whether it answers prompts.
    answers: bool,
}

/// The person's own command, at the prompt that it is asked about.
pub(super) struct Confirming {
    prompt: PromptId,
    task: AbortHandle,
}

impl Drop for Confirming {
    fn drop(&mut self) {
        // The command ends with it.
        self.task.abort();
    }
}

impl Agent {
    /// What follows when this program asks for a token of this account.
    ///
    /// # Errors
    /// [`Problem::Locked`] and [`Problem::Sealed`]; what is wrong with the policy.
    pub(super) fn permitted(&self, peer: &Peer, account: &Account) -> Result<Decision, Problem> {
        match self.house.lock.refusal() {
            Some(problem) => Err(problem),
            None => self.configuration.decide(peer.program.as_ref().map(|program| program.path.as_str()), account),
        }
    }

    /// Asks the person. What they are told of the program is read off the loop.
    pub(super) fn consult(
        &mut self,
        peer: Peer,
        account: AccountId,
        want: Want,
        proof: Option<(ProofFor, url::Url)>,
        reply: Reply,
    ) {
        let program = peer.program.clone();
        let ask = self.await_answer(Asker { reply, peer, proof });
        let outbox = self.outbox.clone();
        tokio::spawn(async move {
            let program = tokio::task::spawn_blocking(move || program::asking(program.as_ref())).await;
            let program = Box::new(program.unwrap_or_else(|_| program::asking(None)));
            let _ = outbox.send(Message::Consult { ask, account, want, program }).await;
        });
    }

    pub(super) async fn consulted(&mut self, id: u64, account: AccountId, want: Want, program: Box<AskingProgram>) {
        // Who asked may be gone already.
        if !self.askers.contains_key(&id) {
            return;
        }
        let now = self.hands.clock.now();
        let ask = Ask { id, account, want, until: now.plus(ASK_PATIENCE), since: now };
        let fresh = PromptId(uuid::Uuid::new_v4().to_string());
        self.happen(HouseEvent::Consent(ConsentEvent::Asked { ask, program, fresh })).await;
    }

    pub(super) async fn attach_window(
        &mut self,
        peer: &Peer,
        activation_token: Option<String>,
        answers: bool,
        reply: Reply,
    ) {
        let other = self.window.as_ref().is_some_and(|window| window.connection != peer.connection);
        if other {
            let _ = self.pushes.send(Push::ShowWindow { activation_token });
        } else {
            self.window = Some(Window { connection: peer.connection, process: peer.process, answers });
            self.look_who_can_be_asked().await;
        }
        let _ = reply.send(Ok(Answer::Window { other }));
    }

    pub(super) async fn look_who_can_be_asked(&mut self) {
        let way = if self.window.as_ref().is_some_and(|window| window.answers) {
            Way::Window
        } else if self.settings.confirm_cmd.is_empty() {
            Way::Nobody
        } else {
            Way::Command
        };
        if way != self.house.consent.way {
            self.happen(HouseEvent::Consent(ConsentEvent::Via(way))).await;
        }
    }

    /// Has the person's command ask about the prompt whose turn it is; one at a time.
    pub(super) fn confirm(&mut self) {
        let way = self.house.consent.way;
        let first = self.house.consent.first().filter(|_| way == Way::Command);
        if self.confirming.as_ref().map(|confirming| &confirming.prompt) == first.map(|prompt| &prompt.id) {
            return;
        }
        let started = first.map(|prompt| {
            let (id, outbox) = (prompt.id.clone(), self.outbox.clone());
            let account = self.house.accounts.iter().find(|known| known.id == prompt.account);
            let command = confirm::command(&self.settings.confirm_cmd, prompt, account.map(|known| &known.identity));
            let answer = id.clone();
            let task = tokio::spawn(async move {
                let choice = if confirm::agrees(command).await { Choice::Once } else { Choice::NotNow };
                let _ = outbox.send(Message::Confirmed { prompt: answer, choice }).await;
            });
            Confirming { prompt: id, task: task.abort_handle() }
        });
        self.confirming = started;
    }

    pub(super) async fn answered(&mut self, prompt: PromptId, choice: Choice) {
        self.happen(HouseEvent::Consent(ConsentEvent::Answered { prompt, choice })).await;
    }

    /// A person answered in the window.
    pub(super) async fn answer_prompt(&mut self, peer: &Peer, id: PromptId, choice: Choice) -> Result<Answer, Problem> {
        // Its process lives as long as the connection that attached it, so the number is still its own.
        let own = self.window.as_ref().is_some_and(|window| {
            let same =
                window.connection == peer.connection || window.process.is_some_and(|it| peer.process == Some(it));
            window.answers && same
        });
        if !own {
            let detail = "only Larder's own window answers for its person".to_owned();
            return Err(Problem::BadRequest { detail });
        }
        let prompt = self.house.consent.find(&id).cloned().ok_or(Problem::NoSuchPrompt { prompt: id })?;
        let program = prompt.program.path.clone();
        if program.is_empty() && !matches!(choice, Choice::Once | Choice::NotNow) {
            let detail = "a program that is not known can be answered once, or not now".to_owned();
            return Err(Problem::BadRequest { detail });
        }
        let decision = match choice {
            Choice::Always => Some(Decision::Allow),
            Choice::Never => Some(Decision::Deny),
            Choice::Once | Choice::Session | Choice::NotNow => None,
        };
        if let Some(decision) = decision {
            // First what lasts: where it cannot be written, nothing is answered yet. The id, because another account
            // may have this label one day.
            let account = prompt.account.as_str();
            self.configuration.rule(&program, account, decision, &self.house.accounts)?;
            let now = self.hands.clock.now();
            let event = self.event(EventKind::PolicyChanged, Some(prompt.account.clone()), Some(program), None, now);
            self.record(event).await;
        }
        self.answered(prompt.id, choice).await;
        self.settle().await;
        Ok(Answer::Done)
    }

    /// The policy may say now what a person was to be asked.
    pub(super) async fn settle(&mut self) {
        for prompt in self.house.consent.prompts.clone() {
            let Some(account) = self.house.accounts.iter().find(|known| known.id == prompt.account) else { continue };
            let path = Some(prompt.program.path.as_str()).filter(|path| !path.is_empty());
            let allowed = match self.configuration.decide(path, account) {
                Ok(Decision::Ask) => continue,
                Ok(Decision::Allow) => true,
                Ok(Decision::Deny) | Err(_) => false,
            };
            self.happen(HouseEvent::Consent(ConsentEvent::Settled { prompt: prompt.id, allowed })).await;
        }
    }

    /// What a program was allowed for this session, by this account's label or id, is taken back.
    pub(super) async fn revoke_grants(&mut self, program: &str, account: &str) -> bool {
        let account = self.house.find(account).map_or_else(|_| account.to_owned(), |known| known.id.0.clone());
        let before = self.house.consent.grants.len();
        let event = ConsentEvent::Revoked { program: program.to_owned(), account };
        self.happen(HouseEvent::Consent(event)).await;
        self.house.consent.grants.len() < before
    }

    pub(super) async fn remove_rule(
        &mut self,
        peer: &Peer,
        program: String,
        account: String,
    ) -> Result<Answer, Problem> {
        self.look_at_configuration().await;
        let granted = self.revoke_grants(&program, &account).await;
        let removed = self.configuration.remove_rule(&program, &account, &self.house.accounts)?;
        if !granted && !removed {
            return Err(Problem::NoSuchRule { program, account });
        }
        let by = peer.program.as_ref().map(|program| program.path.clone());
        let event = self.event(EventKind::PolicyChanged, None, by, None, self.hands.clock.now());
        self.record(event).await;
        self.settle().await;
        Ok(Answer::Done)
    }

    pub(super) fn policy(&self) -> Result<Answer, Problem> {
        let (default, rules) = self.configuration.policy(&self.house.accounts)?;
        Ok(Answer::Policy { default, rules, session: consent::grants(&self.house) })
    }

    /// Locks, or seals; what is sealed is not loosened by it.
    pub(super) async fn lock(&mut self, peer: &Peer, seal: bool) -> Result<Answer, Problem> {
        let sealed = seal || self.house.lock.sealed();
        let to = if sealed { LockState::Sealed } else { LockState::Locked };
        let lapsing = if sealed { lapsing(&self.house) } else { Vec::new() };
        self.turn(to, peer).await?;
        Ok(Answer::Locked { state: to, lapsing })
    }

    /// Turns the lock.
    ///
    /// # Errors
    /// [`Problem::LockNotKept`]: it is turned for this run all the same.
    async fn turn(&mut self, to: LockState, peer: &Peer) -> Result<(), Problem> {
        let by = peer.program.as_ref().map(|program| program.path.clone());
        self.happen(HouseEvent::Lock(LockEvent::Turned { to, by })).await;
        self.lock_problem.take().map_or(Ok(()), Err)
    }

    pub(super) fn remember_lock(&mut self, state: LockState) {
        if state != LockState::Sealed {
            self.hands.unseal();
        }
        self.lock_problem = lock::write(&self.lock_file, state).err();
    }

    pub(super) async fn drop_keys(&self, keep: Vec<AccountId>) {
        let nothing = keep.is_empty();
        self.hands.seal(keep);
        if nothing && self.hands.keychain.close().await {
            let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
            tokio::spawn(async move {
                let _ = outbox.send(Message::Keychain(hands.keychain.state().await)).await;
            });
        }
    }

    /// Asks the keychain to open, then ends the lock. The keychain may ask its person: off the loop, people take their time.
    pub(super) fn unlock(&self, peer: Peer, passphrase: Option<&OnWire>, reply: Reply) {
        let passphrase = passphrase.map(|passphrase| secrecy::SecretString::from(passphrase.expose()));
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let result = hands.keychain.unlock(passphrase).await;
            let state = hands.keychain.state().await;
            let _ = outbox.send(Message::Keychain(state)).await;
            match result {
                Ok(()) => {
                    let _ = outbox.send(Message::Unlocked { peer, reply }).await;
                }
                Err(problem) => {
                    let _ = reply.send(Err(problem));
                }
            }
        });
    }

    pub(super) async fn unlocked(&mut self, peer: &Peer, reply: Reply) {
        let _ = reply.send(self.turn(LockState::Unlocked, peer).await.map(|()| Answer::Done));
    }

    /// Whether a request shows that somebody is there. A hand-out does when it happens; looking does not.
    pub(super) async fn used(&mut self, request: &Request) {
        let looks = matches!(
            request,
            Request::View
                | Request::Subscribe
                | Request::AttachWindow { .. }
                | Request::OfferDemo { .. }
                | Request::Events { .. }
                | Request::Policy
                | Request::Providers
                | Request::Provider { .. }
                | Request::Token { .. }
                | Request::Lock { .. }
                | Request::Drain
        );
        if !looks && self.settings.lock.idle_minutes.is_some() {
            self.happen(HouseEvent::Lock(LockEvent::Used)).await;
        }
    }
}
