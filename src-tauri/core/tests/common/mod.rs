//! Builders, and a [`Home`]: a house whose clock, network, keychain and disk are this test.
#![allow(dead_code, reason = "every test file uses a part of it")]

use larder_core::account::parts::Parts;
use larder_core::account::{Access, Account, Event, GrantType, Identity, Refresh, Session, Terms, next_due};
use larder_core::attempt::{Attempt, LIFETIME, Person, Phase, Redirected};
use larder_core::consent::{ConsentEvent, Way};
use larder_core::effect::{Arrival, Effect, Grant, HouseEffect, Outcome};
use larder_core::house::{ASK_PATIENCE, Ask, House, HouseEvent, Want, Wanted, house};
use larder_core::lock::LockEvent;
use larder_core::names::{AccountId, AttemptId, Digest, Generation, Operation, PromptId, ProviderName, Scope};
use larder_core::problem::Problem;
use larder_core::protocol::Choice;
use larder_core::schedule::Margin;
use larder_core::time::{BootTime, Now, WallTime};
use larder_core::view::{AskingProgram, LockState, RedirectKind};
use std::time::Duration;

/// What a provider's access token lives, where a test does not say otherwise.
pub const HOUR: Duration = Duration::from_secs(3600);

/// When every test begins.
pub const START: Now = Now { wall: WallTime(1_800_000_000_000), boot: BootTime(5_000_000) };

pub fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `now`, so much later on both clocks.
pub fn later(now: Now, by: Duration) -> Now {
    let moment = now.plus(by);
    Now { wall: moment.wall, boot: moment.boot.unwrap_or(now.boot) }
}

/// An account that signed in at [`START`] with a token for an hour.
pub fn account(name: &str) -> Account {
    signed_in(name, Access { expires: Some(START.plus(HOUR)), lifetime: Some(3_600_000), ..Access::default() }, true)
}

pub fn signed_in(name: &str, access: Access, refreshable: bool) -> Account {
    let mut account = Account {
        id: name.into(),
        generation: Generation(1),
        identity: Identity {
            label: name.to_owned(),
            provider: "work".into(),
            issuer: "https://login.example.com".to_owned(),
            client_id: "larder".to_owned(),
            subject: format!("sub-{name}"),
            name: Some(format!("Name of {name}")),
            email: None,
            scopes: vec!["openid".into(), "email".into()],
            grant_type: GrantType::AuthorizationCode,
            browser_sign_out: false,
        },
        session: Session::SignedOut,
        access: Some(Access { issued: Generation(1), ..access }),
        refreshable,
        refreshed_at: Some(START.wall),
        signed_in_at: Some(START.wall),
        session_ends: None,
        terms: Terms::default(),
        margin: Margin::default(),
        parts: Parts::default(),
    };
    account.session = Session::SignedIn { refresh: next_due(&account, Some(access)) };
    account
}

/// An account whose token ends so many seconds after an hour, at a provider of its own.
pub fn apart(number: usize) -> Account {
    let lifetime = HOUR + seconds(u64::try_from(number).unwrap_or_default());
    let access = Access {
        expires: Some(START.plus(lifetime)),
        lifetime: i64::try_from(lifetime.as_millis()).ok(),
        ..Access::default()
    };
    let mut account = signed_in(&number.to_string(), access, true);
    account.identity.issuer = format!("https://{number}.example");
    account
}

/// An account whose refresh stands like this.
pub fn with_refresh(name: &str, refresh: Refresh) -> Account {
    Account { session: Session::SignedIn { refresh }, ..account(name) }
}

/// A grant of an hour, asked for at `sent`.
pub fn grant(sent: Now) -> Grant {
    Grant {
        sent,
        lifetime: Some(HOUR),
        scopes: None,
        refreshable: true,
        new_refresh_token: true,
        refresh_token_lifetime: None,
    }
}

pub fn tokens(sent: Now) -> Arrival {
    Arrival::Answered(Outcome::Tokens(grant(sent)))
}

pub fn transient(problem: Problem) -> Arrival {
    Arrival::Answered(Outcome::Transient { problem, retry_after: None, spent: false })
}

pub fn prepared() -> Arrival {
    Arrival::Prepared { hash: Some("hash".into()) }
}

pub fn unreachable() -> Problem {
    Problem::Unreachable { host: "login.example.com".to_owned() }
}

pub fn disk_full() -> Problem {
    Problem::DiskFull { file: "larder.db".to_owned(), detail: "no space left".to_owned() }
}

pub fn rate_limited(now: Now, wait: Duration) -> Arrival {
    Arrival::Answered(Outcome::Transient {
        problem: Problem::RateLimited { host: "login.example.com".to_owned(), until: now.plus(wait).wall },
        retry_after: Some(wait),
        spent: false,
    })
}

/// A program that asks.
pub fn program(path: &str, arguments: &[&str]) -> AskingProgram {
    AskingProgram {
        path: path.to_owned(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        pid: 4711,
        started_by: Some("/usr/bin/gnome-shell".to_owned()),
        anything_run_by: path.contains("python"),
    }
}

/// A sign-in that waits for the redirect with this `state`.
pub fn attempt(id: &str, now: Now) -> Attempt {
    Attempt {
        id: id.into(),
        provider: "work".into(),
        issuer: "https://login.example.com".to_owned(),
        client_id: "larder".to_owned(),
        host: "login.example.com".to_owned(),
        account: None,
        label: None,
        terms: Terms::default(),
        resources: Vec::new(),
        redirect: RedirectKind::DeepLink,
        device: None,
        browser_sign_out: false,
        state: state(id),
        until: now.plus(LIFETIME),
        phase: Phase::Waiting,
    }
}

/// The `state` of the sign-in with this id.
pub fn state(attempt: &str) -> Digest {
    Digest(format!("state-of-{attempt}"))
}

pub fn redirect(attempt: &str) -> HouseEvent {
    HouseEvent::Redirected(Redirected { state: state(attempt), answer: Ok(()) })
}

pub fn person(subject: &str, now: Now) -> Box<Person> {
    Box::new(Person {
        subject: subject.to_owned(),
        name: None,
        email: None,
        grant: Grant { scopes: Some(vec![Scope::from("openid")]), ..grant(now) },
    })
}

pub fn exchanged(attempt: &str, subject: &str, fresh: &str, now: Now) -> HouseEvent {
    HouseEvent::Exchanged { attempt: attempt.into(), result: Ok(person(subject, now)), fresh: fresh.into() }
}

/// An effect that was decided, and whose result has not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub account: AccountId,
    pub generation: Generation,
    pub operation: Operation,
    pub effect: Effect,
}

/// Whether an effect of this kind can come to this.
pub fn fits(effect: &Effect, arrival: &Arrival) -> bool {
    match arrival {
        Arrival::Prepared { .. } | Arrival::NotPrepared(_) => matches!(effect, Effect::Prepare { .. }),
        Arrival::Answered(_) => matches!(effect, Effect::Send),
        Arrival::Saved => matches!(effect, Effect::Save { .. }),
        Arrival::NotSaved(_) => {
            matches!(effect, Effect::Save { .. } | Effect::MarkClearing { .. } | Effect::Clear | Effect::Close { .. })
        }
        Arrival::Marked => matches!(effect, Effect::MarkClearing { .. }),
        Arrival::Cleared => matches!(effect, Effect::Clear),
        Arrival::KeyDeleted | Arrival::KeyKept(_) => matches!(effect, Effect::DeleteKey),
        Arrival::Closed => matches!(effect, Effect::Close { .. }),
        Arrival::Revoked(_) => matches!(effect, Effect::Revoke),
    }
}

/// A house, the time, and what is under way.
pub struct Home {
    pub house: House,
    pub now: Now,
    pub pending: Vec<Pending>,
    next_ask: u64,
}

impl Home {
    pub fn with(accounts: Vec<Account>) -> Self {
        Self { house: House::new(accounts), now: START, pending: Vec::new(), next_ask: 0 }
    }

    /// So many accounts of one client, named `0`, `1` and so on.
    pub fn with_many(accounts: usize) -> Self {
        Self::with((0..accounts).map(|number| account(&number.to_string())).collect())
    }

    pub fn happen(&mut self, event: HouseEvent) -> Vec<HouseEffect> {
        let before = std::mem::replace(&mut self.house, House::new(Vec::new()));
        let (after, effects) = house(before, event, self.now);
        self.house = after;
        for effect in &effects {
            if let HouseEffect::Account { account, generation, operation, effect } = effect
                && !matches!(effect, Effect::SaveNeedsSignIn { .. } | Effect::RevokeLate | Effect::Discard { .. })
            {
                self.pending.push(Pending {
                    account: account.clone(),
                    generation: *generation,
                    operation: *operation,
                    effect: effect.clone(),
                });
            }
        }
        effects
    }

    pub fn tick(&mut self) -> Vec<HouseEffect> {
        self.happen(HouseEvent::Tick)
    }

    /// Time passes on both clocks, and then the house looks.
    pub fn pass(&mut self, by: Duration) -> Vec<HouseEffect> {
        self.now = later(self.now, by);
        self.tick()
    }

    /// As [`Home::pass`], as long as the house itself says.
    pub fn pass_to_wake(&mut self) -> Vec<HouseEffect> {
        let wake = self.house.wake(self.now).map_or(0, |left| left.max(0));
        self.pass(Duration::from_millis(u64::try_from(wake).unwrap_or_default()))
    }

    pub fn to(&mut self, account: &str, event: Event) -> Vec<HouseEffect> {
        self.happen(HouseEvent::Account { account: account.into(), event })
    }

    pub fn sign_out(&mut self, account: &str) -> Vec<HouseEffect> {
        self.to(account, Event::SignOut { undoable: false, forget: false, revoke: true })
    }

    /// As from the window.
    pub fn sign_out_undoably(&mut self, account: &str) -> Vec<HouseEffect> {
        self.to(account, Event::SignOut { undoable: true, forget: false, revoke: true })
    }

    /// The oldest effect of this account that can come to `arrival` does.
    pub fn arrive(&mut self, account: &str, arrival: Arrival) -> Vec<HouseEffect> {
        let place = self
            .pending
            .iter()
            .position(|pending| pending.account.as_str() == account && fits(&pending.effect, &arrival));
        let Some(place) = place else { panic!("nothing of {account} can come to {arrival:?}: {:?}", self.pending) };
        let pending = self.pending.remove(place);
        let event = Event::Arrived { generation: pending.generation, operation: pending.operation, arrival };
        self.happen(HouseEvent::Account { account: pending.account, event })
    }

    /// A refresh begins because somebody wants it, and its refresh token is with the provider.
    pub fn send(&mut self, account: &str) {
        self.to(account, Event::RefreshNow);
        self.arrive(account, prepared());
    }

    /// The refresh that is with the provider brings new tokens, which are stored.
    pub fn refreshed(&mut self, account: &str) -> Vec<HouseEffect> {
        self.arrive(account, tokens(self.now));
        self.arrive(account, Arrival::Saved)
    }

    /// The sign-out goes through, up to its revocation.
    pub fn cleared(&mut self, account: &str) -> Vec<HouseEffect> {
        self.arrive(account, Arrival::Marked);
        self.arrive(account, Arrival::Cleared);
        self.arrive(account, Arrival::KeyDeleted);
        self.arrive(account, Arrival::Closed)
    }

    /// Whatever is under way for this account goes well, until nothing is.
    pub fn ends_well(&mut self, account: &str) {
        while let Some(pending) = self.pending.iter().find(|pending| pending.account.as_str() == account) {
            let arrival = match pending.effect {
                Effect::Prepare { .. } => prepared(),
                Effect::Send => tokens(self.now),
                Effect::MarkClearing { .. } => Arrival::Marked,
                Effect::Clear => Arrival::Cleared,
                Effect::DeleteKey => Arrival::KeyDeleted,
                Effect::Close { .. } => Arrival::Closed,
                Effect::Revoke => Arrival::Revoked(Ok(())),
                _ => Arrival::Saved,
            };
            self.arrive(account, arrival);
        }
    }

    /// The number that the next ask will have.
    pub fn next_ask(&self) -> u64 {
        self.next_ask + 1
    }

    pub fn ask(&mut self, account: &str, want: Want) -> (u64, Vec<HouseEffect>) {
        self.next_ask += 1;
        let ask = Ask {
            id: self.next_ask,
            account: account.into(),
            want,
            until: self.now.plus(ASK_PATIENCE),
            since: self.now,
        };
        (self.next_ask, self.happen(HouseEvent::Ask(ask)))
    }

    /// A program asks for a token, and the policy says to ask its person.
    pub fn consult(&mut self, account: &str, program: AskingProgram) -> (u64, Vec<HouseEffect>) {
        self.next_ask += 1;
        let ask = Ask {
            id: self.next_ask,
            account: account.into(),
            want: Want::Token(Wanted::default()),
            until: self.now.plus(ASK_PATIENCE),
            since: self.now,
        };
        let fresh = PromptId(format!("p{}", self.next_ask));
        let event = ConsentEvent::Asked { ask, program: Box::new(program), fresh };
        (self.next_ask, self.happen(HouseEvent::Consent(event)))
    }

    pub fn asked_via(&mut self, way: Way) -> Vec<HouseEffect> {
        self.happen(HouseEvent::Consent(ConsentEvent::Via(way)))
    }

    /// A person answers the prompt that is shown.
    pub fn answer_first(&mut self, choice: Choice) -> Vec<HouseEffect> {
        let Some(prompt) = self.house.consent.first().map(|prompt| prompt.id.clone()) else { panic!("no prompt") };
        self.happen(HouseEvent::Consent(ConsentEvent::Answered { prompt, choice }))
    }

    pub fn turn(&mut self, to: LockState) -> Vec<HouseEffect> {
        self.happen(HouseEvent::Lock(LockEvent::Turned { to, by: None }))
    }

    /// Asks for a token without saying how long it shall be good.
    pub fn ask_for_token(&mut self, account: &str) -> (u64, Vec<HouseEffect>) {
        self.ask(account, Want::Token(Wanted::default()))
    }

    /// Starts a sign-in, and brings it to where it is known who signed in.
    pub fn sign_in(&mut self, attempt: Attempt, subject: &str, fresh: &str) -> Vec<HouseEffect> {
        let id = attempt.id.0.clone();
        self.happen(HouseEvent::AttemptStarted(Box::new(attempt)));
        self.happen(redirect(&id));
        self.happen(exchanged(&id, subject, fresh, self.now))
    }

    pub fn stored(&mut self, attempt: &str, generation: u64) -> Vec<HouseEffect> {
        self.happen(HouseEvent::Stored { attempt: attempt.into(), result: Ok(Generation(generation)) })
    }

    pub fn get(&self, account: &str) -> &Account {
        let found = self.house.accounts.iter().find(|known| known.id.as_str() == account);
        let Some(account) = found else { panic!("there is no account {account}") };
        account
    }

    pub fn session(&self, account: &str) -> &Session {
        &self.get(account).session
    }

    pub fn refresh(&self, account: &str) -> &Refresh {
        match self.session(account) {
            Session::SignedIn { refresh } | Session::Undoable { refresh, .. } => refresh,
            other => panic!("{account} does not refresh: {other:?}"),
        }
    }

    /// How many refreshes are under way, from the first preparation to the last write.
    pub fn under_way(&self) -> usize {
        self.pending
            .iter()
            .filter(|pending| matches!(pending.effect, Effect::Prepare { .. } | Effect::Send | Effect::Save { .. }))
            .count()
    }
}

/// What is to be done for accounts.
pub fn account_effects(effects: &[HouseEffect]) -> Vec<&Effect> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            HouseEffect::Account { effect, .. } => Some(effect),
            _ => None,
        })
        .collect()
}

pub fn has(effects: &[HouseEffect], wanted: &Effect) -> bool {
    account_effects(effects).contains(&wanted)
}

/// Whether an operation's memory is let go of.
pub fn discards(effects: &[HouseEffect]) -> bool {
    account_effects(effects).iter().any(|effect| matches!(effect, Effect::Discard { .. }))
}

/// How many refreshes begin.
pub fn begun(effects: &[HouseEffect]) -> usize {
    account_effects(effects).iter().filter(|effect| matches!(effect, Effect::Prepare { .. })).count()
}

/// Whether a request goes to the provider with a refresh token.
pub fn sent(effects: &[HouseEffect]) -> bool {
    has(effects, &Effect::Send)
}

/// What this asker was told: `Ok` for a token or an answer, `None` for nothing yet.
pub fn answer(effects: &[HouseEffect], asker: u64) -> Option<Result<(), Problem>> {
    effects.iter().find_map(|effect| match effect {
        HouseEffect::HandOut { ask, .. } | HouseEffect::Answer { ask } if *ask == asker => Some(Ok(())),
        HouseEffect::Refuse { ask, problem } if *ask == asker => Some(Err(problem.clone())),
        _ => None,
    })
}

pub fn id(attempt: &str) -> AttemptId {
    attempt.into()
}

pub fn provider(name: &str) -> ProviderName {
    name.into()
}
