//! Everything at once: accounts, sign-ins, askers, budgets. Calls [`step`] for each account.

use crate::account::{self, Account, Decided, Event, Session, step};
use crate::attempt::{Attempt, Person, Phase, Redirected};
use crate::calendar::{Budget, Calendar, budget};
use crate::consent::{self, Consent, ConsentEvent};
use crate::effect::{Arrival, Effect, HouseEffect, Outcome};
use crate::lock::{self, Lock, LockEvent};
use crate::names::{AccountId, AttemptId, Digest, Generation, Operation, Part, ProviderName};
use crate::problem::Problem;
use crate::schedule::{self, Margin};
use crate::sleep::{self, Sleep};
use crate::time::{Moment, Now};
use crate::view::{EventKind, KeychainState, LockState};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

mod askers;
mod attempts;

pub use askers::trouble;
use askers::{answer_askers, asked};
pub use attempts::{callback_verdict, gone};
use attempts::{exchanged, redirected_to, stored};

/// Refreshes under way at one issuer for one client: enough for anybody's accounts, too few to look like an attack.
pub const MOST_AT_ONCE: usize = 4;

/// How long an asker waits for a refresh before it is told to ask again. Longer than a request may take.
pub const ASK_PATIENCE: Duration = Duration::from_secs(45);

/// Askers that wait at once. A thousand scripts may wake together; ten thousand are a mistake.
pub const MOST_ASKS: usize = 4096;

/// All that is decided about.
#[derive(Clone, Debug)]
pub struct House {
    /// In the order that their person gave them; new ones last.
    pub accounts: Vec<Account>,
    /// Sign-ins, newest last.
    pub attempts: Vec<Attempt>,
    /// Who waits for an answer.
    pub asks: Vec<Ask>,
    /// How the keychain stood when it was last asked.
    pub keychain: KeychainState,
    /// Making way: nothing new is started.
    pub quiet: bool,
    /// The machine is about to sleep, or asleep: nothing new is started either.
    pub sleep: Option<Sleep>,
    /// Programs that wait for their person, and what was answered.
    pub consent: Consent,
    /// Whether tokens are handed out at all.
    pub lock: Lock,
    /// How early accounts are refreshed.
    margin: Margin,
    /// Accounts that are about to be called something else.
    pub(crate) renaming: Vec<(AccountId, String)>,
    used: VecDeque<Digest>,
    parked: Vec<(AccountId, Event)>,
    pauses: HashMap<Budget, Moment>,
    /// Whose provider could not be reached when it was last tried.
    pub(crate) unreached: HashSet<Budget>,
    calendar: Calendar,
    operations: u64,
}

/// Somebody who waits for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Comes back with the answer.
    pub id: u64,
    /// Of which account.
    pub account: AccountId,
    /// What for.
    pub want: Want,
    /// Until when.
    pub until: Moment,
    /// When it was asked.
    pub since: Now,
}

/// What an asker waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// An access token.
    Token(Wanted),
    /// A refresh to end, since this generation.
    Refresh {
        /// The generation when it was asked for.
        from: Generation,
    },
    /// A sign-out to end.
    SignOut,
}

/// Which access token an asker wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How long it is to be good for at least; see [`schedule::least_validity`].
    pub least: Option<Duration>,
    /// A newer one than this, which a resource server answered 401 to.
    pub rejected: Option<Generation>,
    /// For which part of the grant.
    pub part: Part,
}

/// What happens in the house.
#[derive(Clone, Debug)]
pub enum HouseEvent {
    /// Time has passed.
    Tick,
    /// Something for one account.
    Account {
        /// Which.
        account: AccountId,
        /// What.
        event: Event,
    },
    /// Somebody asks.
    Ask(Ask),
    /// Somebody who asked is gone.
    AskerGone {
        /// Who.
        ask: u64,
    },
    /// The keychain was asked, and stood like this.
    Keychain(KeychainState),
    /// The agent makes way, or does not any more.
    Quiet(bool),
    /// The machine is about to sleep.
    Suspending,
    /// It is awake, says whoever said that it was about to sleep.
    Resumed,
    /// It was asleep, say the clocks.
    Slept,
    /// A program asks for consent, or a person answers.
    Consent(ConsentEvent),
    /// Somebody locks, unlocks, or is there.
    Lock(LockEvent),
    /// A sign-in begins; the browser is about to be opened.
    AttemptStarted(Box<Attempt>),
    /// A redirect came.
    Redirected(Redirected),
    /// Something came that is no redirect of ours.
    CallbackRefused(Problem),
    /// The exchange ended. `fresh` is an id that no account has.
    Exchanged {
        /// Which.
        attempt: AttemptId,
        /// Who signed in.
        result: Result<Box<Person>, Problem>,
        /// For a new account.
        fresh: AccountId,
    },
    /// Key and row are stored, or not.
    Stored {
        /// Which.
        attempt: AttemptId,
        /// The generation that was written, or why none was.
        result: Result<Generation, Problem>,
    },
    /// A person ends a sign-in, or has seen that it failed.
    AttemptDismissed {
        /// Which.
        attempt: AttemptId,
    },
    /// An account came from another machine, and is stored.
    Imported(Box<Account>),
    /// An account is about to be called so; the label is nobody else's meanwhile.
    Rename {
        /// Which.
        account: AccountId,
        /// What.
        label: String,
    },
    /// That is written, or not.
    Renamed {
        /// Which.
        account: AccountId,
        /// What.
        label: String,
        /// Whether it is.
        written: bool,
    },
    /// The accounts stand in this order from now on; those that are not named stand last.
    Arranged(Vec<AccountId>),
    /// Accounts are refreshed so early from now on.
    Margin(Margin),
    /// The provider's definition changed.
    Corrected {
        /// Its name.
        provider: ProviderName,
    },
}

impl House {
    /// A house with these accounts, as read from the database.
    pub fn new(mut accounts: Vec<Account>) -> Self {
        // A sign-out that an earlier run began goes on under an operation of this one.
        let mut operations = 0;
        for account in &mut accounts {
            if let Session::Clearing(clearing) | Session::ShredPending { clearing, .. } = &mut account.session {
                operations += 1;
                clearing.operation = Operation(operations);
            }
        }
        Self {
            accounts,
            attempts: Vec::new(),
            asks: Vec::new(),
            keychain: KeychainState::Unasked,
            quiet: false,
            sleep: None,
            consent: Consent::default(),
            lock: Lock::default(),
            margin: Margin::default(),
            renaming: Vec::new(),
            used: VecDeque::new(),
            parked: Vec::new(),
            pauses: HashMap::new(),
            unreached: HashSet::new(),
            calendar: Calendar::default(),
            operations,
        }
    }

    /// The same, as locked as an earlier run of the agent left it.
    pub fn locked(accounts: Vec<Account>, lock: LockState) -> Self {
        Self { lock: Lock::new(lock), ..Self::new(accounts) }
    }

    /// The account with this label or id.
    ///
    /// # Errors
    /// [`Problem::NoSuchAccount`].
    pub fn find(&self, account: &str) -> Result<&Account, Problem> {
        self.accounts
            .iter()
            .find(|known| known.identity.label == account)
            .or_else(|| self.accounts.iter().find(|known| known.id.as_str() == account))
            .ok_or_else(|| Problem::NoSuchAccount { account: account.to_owned() })
    }

    /// Milliseconds until something is to be looked at, if nothing happens before.
    pub fn wake(&self, now: Now) -> Option<i64> {
        if !self.calendar.holds(now) {
            // A clock was set, or nothing has happened yet.
            let mut house = self.clone();
            house.calendar.reckon(&house.accounts, now);
            return house.wake(now);
        }
        let counts = |place: usize| self.accounts.get(place).is_some_and(|account| !self.storing(&account.id));
        let left = |place: usize| self.accounts.get(place).and_then(|account| account::wake(account, now));
        let others = self.calendar.others(now).filter(|place| counts(*place)).filter_map(left);
        // An account that may not start now is looked at when a place is free or a pause is over.
        let refreshes = self.calendar.refreshes(now).filter_map(|(budget, mut due)| {
            let first = due.find(|place| counts(*place))?;
            if !self.accounts.get(first).is_some_and(|account| account::refresh_is_due(account, now)) {
                return left(first);
            }
            if self.place_in(budget, now) > 0 { Some(0) } else { self.pause_left(budget, now) }
        });
        let accounts = others.chain(refreshes).chain(self.calendar.next(now, counts));
        let attempts = self.attempts.iter().filter(|attempt| attempt.idle()).map(|attempt| attempt.until.wait(now));
        let asks = self.asks.iter().map(|ask| ask.until.wait(now));
        let others = self
            .consent
            .wake(now)
            .into_iter()
            .chain(self.lock.wake(now))
            .chain(self.sleep.map(|sleep| sleep.wake(now)));
        accounts.chain(attempts).chain(asks).chain(others).min()
    }

    fn next_operation(&mut self) -> Operation {
        self.operations += 1;
        Operation(self.operations)
    }

    /// Whether this account can be written into a file now: [`account::can_move`], and no sign-in of it is being written.
    pub fn can_move(&self, account: &Account) -> bool {
        account::can_move(account) && !self.storing(&account.id)
    }

    /// Whether a sign-in of this account is being written right now.
    pub fn storing(&self, id: &AccountId) -> bool {
        self.attempts.iter().any(|attempt| matches!(&attempt.phase, Phase::Storing { account, .. } if account == id))
    }

    fn get(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(self.calendar.place(id)?)
    }

    /// An account that is there changed, or a new one comes.
    fn put(&mut self, account: Account, now: Now) {
        let place = self.calendar.place(&account.id).unwrap_or(self.accounts.len());
        self.calendar.note(&account, place, now);
        match self.accounts.get_mut(place) {
            Some(known) => *known = account,
            None => self.accounts.push(account),
        }
    }

    pub(crate) fn pause_left(&self, budget: &Budget, now: Now) -> Option<i64> {
        self.pauses.get(budget).map(|until| until.wait(now)).filter(|left| *left > 0)
    }

    /// How many refreshes of this budget may start now.
    fn place_in(&self, budget: &Budget, now: Now) -> usize {
        if self.quiet || self.sleep.is_some() || self.lock.sealed() || self.pause_left(budget, now).is_some() {
            return 0;
        }
        MOST_AT_ONCE.saturating_sub(self.calendar.under_way(budget))
    }

    /// Whether a refresh of this account may start now.
    fn may_start(&self, account: &Account, now: Now) -> bool {
        self.place_in(&budget(account), now) > 0
    }
}

/// What follows for the house.
pub fn house(mut house: House, event: HouseEvent, now: Now) -> (House, Vec<HouseEffect>) {
    let mut effects = Vec::new();
    let asks = matches!(event, HouseEvent::Ask(_));
    if !house.calendar.holds(now) {
        house.calendar.reckon(&house.accounts, now);
    }
    // First, so that what is over is over, whatever comes next after a sleep of the machine.
    sleep::expire(&mut house, now, &mut effects);
    lock::expire(&mut house, now, &mut effects);
    consent::expire(&mut house, now, &mut effects);
    attempts::expire(&mut house, now, &mut effects);
    match event {
        HouseEvent::Tick => {}
        HouseEvent::Account { account, event: event @ Event::SignOut { .. } } if house.storing(&account) => {
            // A sign-in of this account is being written. The sign-out follows it, so that it ends what was written too.
            house.parked.push((account, event));
        }
        HouseEvent::Account { account, event } => happen(&mut house, &account, event, now, &mut effects),
        HouseEvent::Ask(ask) => asked(&mut house, ask, &mut effects),
        HouseEvent::AskerGone { ask } => {
            house.asks.retain(|waiting| waiting.id != ask);
            house.consent.gone(ask, now);
        }
        HouseEvent::Consent(event) => consent::happen(&mut house, event, now, &mut effects),
        HouseEvent::Lock(event) => lock::happen(&mut house, event, now, &mut effects),
        HouseEvent::Keychain(state) => {
            let opened = state == KeychainState::Open && house.keychain != KeychainState::Open;
            house.keychain = state;
            if opened {
                every(&mut house, |_| true, &Event::KeychainOpen, now, &mut effects);
            }
        }
        HouseEvent::Quiet(quiet) => {
            house.quiet = quiet;
            if quiet {
                every(&mut house, |_| true, &Event::Hurry, now, &mut effects);
            }
        }
        HouseEvent::Suspending => sleep::announced(&mut house, now, &mut effects),
        HouseEvent::Resumed => sleep::over(&mut house, now, &mut effects),
        HouseEvent::Slept => sleep::slept(&mut house, now, &mut effects),
        HouseEvent::Corrected { provider } => {
            every(&mut house, |account| account.identity.provider == provider, &Event::Corrected, now, &mut effects);
        }
        HouseEvent::Margin(margin) => {
            if house.margin != margin {
                house.margin = margin;
                house.accounts.iter_mut().for_each(|account| account::set_margin(account, margin));
                house.calendar.reckon(&house.accounts, now);
            }
        }
        HouseEvent::Imported(mut account) => {
            let id = account.id.clone();
            account::set_margin(&mut account, house.margin);
            house.put(*account, now);
            effects.push(record(EventKind::Imported, Some(id), None));
        }
        HouseEvent::Rename { account, label } => house.renaming.push((account, label)),
        HouseEvent::Renamed { account, label, written } => {
            house.renaming.retain(|renaming| *renaming != (account.clone(), label.clone()));
            if let Some(mut known) = house.get(&account).filter(|_| written).cloned() {
                known.identity.label = label;
                house.put(known, now);
                effects.push(record(EventKind::Renamed, Some(account), None));
            }
        }
        HouseEvent::Arranged(order) => {
            let place = |account: &Account| order.iter().position(|id| *id == account.id).unwrap_or(order.len());
            house.accounts.sort_by_key(place);
            house.calendar.reckon(&house.accounts, now);
        }
        HouseEvent::AttemptStarted(attempt) => {
            effects.push(record(EventKind::SignInStarted, attempt.account.clone(), None));
            house.attempts.push(*attempt);
        }
        HouseEvent::Redirected(redirected) => redirected_to(&mut house, redirected, now, &mut effects),
        HouseEvent::CallbackRefused(problem) => {
            effects.push(record(EventKind::CallbackRefused, None, Some(problem)));
        }
        HouseEvent::Exchanged { attempt, result, fresh } => {
            exchanged(&mut house, &attempt, result, fresh, now, &mut effects);
        }
        HouseEvent::Stored { attempt, result } => {
            stored(&mut house, &attempt, result, now, &mut effects);
            let parked = std::mem::take(&mut house.parked);
            let (ready, parked) = parked.into_iter().partition(|(account, _)| !house.storing(account));
            house.parked = parked;
            let ready: Vec<(AccountId, Event)> = ready;
            for (account, event) in ready {
                happen(&mut house, &account, event, now, &mut effects);
            }
        }
        HouseEvent::AttemptDismissed { attempt } => {
            // One that is being written ends by itself in a moment; a half of it must not be left behind.
            let over = |known: &Attempt| known.id == attempt && !matches!(known.phase, Phase::Storing { .. });
            // One that is being exchanged is forgotten when its tokens have come and gone.
            let exchanging = |known: &Attempt| known.id == attempt && matches!(known.phase, Phase::Exchanging);
            let forget = house.attempts.iter().any(over) && !house.attempts.iter().any(exchanging);
            house.attempts.retain(|known| !over(known));
            if forget {
                effects.push(HouseEffect::ForgetAttempt { attempt });
            }
        }
    }
    // Again, for what this event has ended: a sign-out, a window that is gone, a lock.
    consent::expire(&mut house, now, &mut effects);
    lock::enforce(&mut house, &mut effects);
    look(&mut house, now, &mut effects);
    // One more who asks, and nothing else: the others wait for what they have waited for.
    let first = if asks && effects.is_empty() { house.asks.len().saturating_sub(1) } else { 0 };
    answer_askers(&mut house, first, now, &mut effects);
    sleep::let_go(&mut house, now, &mut effects);
    lock::enforce(&mut house, &mut effects);
    if effects.iter().any(|effect| matches!(effect, HouseEffect::HandOut { .. })) {
        lock::happen(&mut house, LockEvent::Used, now, &mut effects);
    }
    (house, effects)
}

fn record(kind: EventKind, account: Option<AccountId>, problem: Option<Problem>) -> HouseEffect {
    record_of(kind, account, None, problem)
}

pub(crate) fn record_of(
    kind: EventKind,
    account: Option<AccountId>,
    program: Option<String>,
    problem: Option<Problem>,
) -> HouseEffect {
    // What the system does not name has no name in the record either.
    HouseEffect::Record { kind, account, program: program.filter(|program| !program.is_empty()), problem }
}

pub(crate) fn refuse(ask: &Ask, problem: Problem) -> HouseEffect {
    HouseEffect::Refuse { ask: ask.id, problem }
}

pub(crate) fn every(
    house: &mut House,
    which: impl Fn(&Account) -> bool,
    event: &Event,
    now: Now,
    effects: &mut Vec<HouseEffect>,
) {
    let ids: Vec<_> =
        house.accounts.iter().filter(|account| which(account)).map(|account| account.id.clone()).collect();
    for id in ids {
        happen(house, &id, event.clone(), now, effects);
    }
}

/// Lets `event` happen to one account, and keeps what follows for the others.
fn happen(house: &mut House, id: &AccountId, event: Event, now: Now, effects: &mut Vec<HouseEffect>) {
    let Some(account) = house.get(id).cloned() else { return forgotten(id, event, effects) };
    let event = sleep::put_off(house, &account, event, now);
    // A provider that asks for a pause means the client, not one account.
    if let Event::Arrived {
        arrival: Arrival::Answered(Outcome::Transient { problem: Problem::RateLimited { .. }, retry_after, .. }),
        ..
    } = &event
    {
        let wait = schedule::retry(id, Generation(0), 1, &Problem::Stopping, *retry_after);
        house.pauses.insert(budget(&account), now.plus(wait));
    }
    let mut reached = false;
    if let Event::Arrived { arrival: Arrival::Answered(outcome), .. } = &event {
        match outcome {
            Outcome::Transient { problem: Problem::Unreachable { .. }, .. } => {
                house.unreached.insert(budget(&account));
            }
            Outcome::Transient { .. } => {}
            _ => reached = true,
        }
    }
    let next = house.next_operation();
    let (account, Decided { effects: decided, records, forgotten }) = step(account, event, next, now);
    for (kind, problem) in records {
        effects.push(record(kind, Some(id.clone()), problem));
    }
    for (operation, effect) in decided {
        effects.push(HouseEffect::Account { account: id.clone(), generation: account.generation, operation, effect });
    }
    house.put(account, now);
    if reached {
        sleep::reached(house, id, now, effects);
    }
    if forgotten {
        // Whoever waits for the sign-out is answered before the account is gone.
        answer_askers(house, 0, now, effects);
        house.accounts.retain(|account| account.id != *id);
        house.calendar.reckon(&house.accounts, now);
    }
}

/// What comes for an account that is gone: tokens are given back, and nothing of it stays in memory.
fn forgotten(id: &AccountId, event: Event, effects: &mut Vec<HouseEffect>) {
    let Event::Arrived { generation, operation, arrival } = event else { return };
    let effect = match arrival {
        Arrival::Answered(outcome) if outcome.holds_tokens() => Effect::RevokeLate,
        Arrival::Prepared { .. } | Arrival::Answered(_) | Arrival::NotSaved(_) => Effect::Discard { spent: true },
        _ => return,
    };
    effects.push(HouseEffect::Account { account: id.clone(), generation, operation, effect });
}

/// Gives every account a look whose time has come, as far as the budgets allow, and ends what is too old.
fn look(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    house.pauses.retain(|_, until| until.wait(now) > 0);
    // The timer of an undoable sign-out waits for a sign-in that is being written, and so does a refresh.
    let due = |place: usize| {
        let account = house.accounts.get(place)?;
        let due = account::wake(account, now).is_some_and(|left| left <= 0) && !house.storing(&account.id);
        due.then(|| account.id.clone())
    };
    let mut ids: Vec<_> = house.calendar.others(now).filter_map(due).collect();
    for (budget, refreshes) in house.calendar.refreshes(now) {
        ids.extend(refreshes.filter_map(due).take(house.place_in(budget, now)));
    }
    for id in ids {
        happen(house, &id, Event::Look, now, effects);
    }
}
