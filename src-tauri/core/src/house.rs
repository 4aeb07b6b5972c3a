//! Everything at once: accounts, sign-ins, askers, budgets. Calls [`step`] for each account.

use crate::account::{self, Account, Clearing, Decided, Event, Identity, Key, Refresh, Session, step};
use crate::arranging::free_label;
use crate::attempt::{self, Attempt, Person, Phase, Redirected};
use crate::calendar::{Budget, Calendar, budget};
use crate::consent::{self, Consent, ConsentEvent};
use crate::effect::{Arrival, Effect, HouseEffect, Outcome};
use crate::lock::{self, Lock, LockEvent};
use crate::names::{AccountId, AttemptId, Digest, Generation, Operation, Part, ProviderName, Scope};
use crate::problem::{Exit, Problem};
use crate::schedule::{self, Margin};
use crate::sleep::{self, Sleep};
use crate::time::{Moment, Now};
use crate::view::{EventKind, KeychainState, LockState};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

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
    expire(&mut house, now, &mut effects);
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

/// Ends the sign-ins whose time is over, and takes away those that have been shown as failed for long enough.
fn expire(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    sleep::expire(house, now, effects);
    lock::expire(house, now, effects);
    consent::expire(house, now, effects);
    house.attempts.retain(|attempt| !matches!(attempt.phase, Phase::Failed { .. }) || attempt.until.wait(now) > 0);
    for attempt in &mut house.attempts {
        if attempt.until.wait(now) <= 0 && matches!(attempt.phase, Phase::Waiting) {
            let minutes = u32::try_from(attempt::LIFETIME.as_secs() / 60).unwrap_or_default();
            fail(attempt, Problem::AttemptExpired { minutes }, now, effects);
        }
    }
}

fn asked(house: &mut House, ask: Ask, effects: &mut Vec<HouseEffect>) {
    if house.asks.len() >= MOST_ASKS {
        let account =
            house.find(ask.account.as_str()).map_or_else(|_| ask.account.0.clone(), |a| a.identity.label.clone());
        effects.push(HouseEffect::Refuse { ask: ask.id, problem: Problem::NotYet { account } });
    } else {
        house.asks.push(ask);
    }
}

/// What an asker gets now: an answer, a refusal, or nothing yet.
enum Verdict {
    Now(HouseEffect),
    Wait,
    /// A refresh is wanted first.
    Refresh,
}

/// Tells the askers from this place on what there is to tell.
fn answer_askers(house: &mut House, mut place: usize, now: Now, effects: &mut Vec<HouseEffect>) {
    while place < house.asks.len() {
        let ask = house.asks[place].clone();
        let account = house.get(&ask.account);
        let verdict = match account {
            // Signed out, as far as its person is concerned.
            Some(account) if ask.want != Want::SignOut && house.parked.iter().any(|(id, _)| *id == account.id) => {
                let problem = Problem::SignedOut { account: account.identity.label.clone() };
                Verdict::Now(HouseEffect::Refuse { ask: ask.id, problem })
            }
            Some(account) => verdict(account, &ask, now),
            None => Verdict::Now(HouseEffect::Refuse {
                ask: ask.id,
                problem: Problem::NoSuchAccount { account: ask.account.0.clone() },
            }),
        };
        let verdict = match (verdict, account) {
            (Verdict::Refresh, Some(account)) if house.may_start(account, now) => {
                let id = account.id.clone();
                let event = match &ask.want {
                    Want::Token(wanted) if !wanted.part.is_whole() => Event::RefreshFor(wanted.part.clone()),
                    _ => Event::RefreshNow,
                };
                happen(house, &id, event, now, effects);
                Verdict::Wait
            }
            (Verdict::Refresh, _) => Verdict::Wait,
            (verdict, _) => verdict,
        };
        if let (Verdict::Wait, Want::Token(wanted)) = (&verdict, &ask.want) {
            doubt(house, &ask.account, wanted);
        }
        match verdict {
            Verdict::Now(effect) => {
                effects.push(effect);
                house.asks.remove(place);
            }
            Verdict::Refresh | Verdict::Wait if ask.until.wait(now) <= 0 => {
                let problem = house
                    .accounts
                    .iter()
                    .find(|account| account.id == ask.account)
                    .map_or(Problem::NotYet { account: ask.account.0.clone() }, |account| {
                        trouble(account).unwrap_or(Problem::NotYet { account: account.identity.label.clone() })
                    });
                effects.push(HouseEffect::Refuse { ask: ask.id, problem });
                house.asks.remove(place);
            }
            Verdict::Refresh | Verdict::Wait => place += 1,
        }
    }
}

/// Somebody waits for a token because this one was rejected: the next one is known to have come instead of it.
fn doubt(house: &mut House, account: &AccountId, wanted: &Wanted) {
    let place = house.calendar.place(account);
    let known = place.and_then(|place| house.accounts.get_mut(place));
    // What it changes is no deadline.
    if let Some(access) = known.and_then(|known| known.token_mut(&wanted.part)) {
        access.rejected |= access.is_rejected(wanted.rejected);
    }
}

/// What is in an account's way.
pub fn trouble(account: &Account) -> Option<Problem> {
    let label = || account.identity.label.clone();
    match &account.session {
        Session::SignedIn { refresh } => match refresh {
            Refresh::Waiting { problem, .. } | Refresh::Unsaved { problem: Some(problem), .. } => Some(problem.clone()),
            Refresh::Blocked { fix, .. } => Some(fix.clone()),
            _ => None,
        },
        Session::NeedsSignIn { why } => Some(Problem::SignInNeeded { account: label(), why: *why }),
        Session::Clearing(clearing) | Session::ShredPending { clearing, .. } => clearing.problem.clone(),
        Session::MovedAway => Some(Problem::MovedAway { account: label() }),
        Session::SignedOut | Session::Undoable { .. } | Session::Moving { .. } => None,
    }
}

fn verdict(account: &Account, ask: &Ask, now: Now) -> Verdict {
    let refuse = |problem| Verdict::Now(HouseEffect::Refuse { ask: ask.id, problem });
    let done = || Verdict::Now(HouseEffect::Answer { ask: ask.id });
    let signed_out = || Problem::SignedOut { account: account.identity.label.clone() };
    let refresh = match (&account.session, &ask.want) {
        (Session::SignedOut | Session::MovedAway, Want::SignOut) => return done(),
        (Session::ShredPending { .. }, Want::SignOut) => {
            return refuse(trouble(account).unwrap_or(Problem::KeychainLocked));
        }
        // It goes on by itself, but not while anybody waits.
        (Session::Clearing(Clearing { until: Some(_), problem: Some(problem), key, .. }), Want::SignOut)
            if *key != Key::Leaving =>
        {
            return refuse(problem.clone());
        }
        (_, Want::SignOut) => return Verdict::Wait,
        (Session::SignedIn { refresh }, _) => refresh,
        (Session::Moving { .. }, _) => {
            return refuse(Problem::NotYet { account: account.identity.label.clone() });
        }
        (Session::NeedsSignIn { .. } | Session::MovedAway, _) => {
            return refuse(trouble(account).unwrap_or_else(signed_out));
        }
        _ => return refuse(signed_out()),
    };
    match &ask.want {
        Want::Token(Wanted { least, rejected, part }) => {
            let label = || account.identity.label.clone();
            let not_granted = account.not_granted(part);
            if !not_granted.is_empty() {
                let scope = not_granted.iter().map(Scope::as_str).collect::<Vec<_>>().join(" ");
                return refuse(Problem::ScopeNotGranted { account: label(), scope });
            }
            if account.signed_in_elsewhere(part) {
                return refuse(Problem::ResourceNotGranted { account: label(), resource: part.resource.clone() });
            }
            if let Some(problem) = account.parts.refusal(part, now) {
                return refuse(problem);
            }
            let access = account.token(part);
            let rejected = access.filter(|access| access.is_rejected(*rejected));
            if rejected.is_some_and(|access| access.replaced_lately(now)) {
                return refuse(Problem::TokenRejected { account: label() });
            }
            let good =
                access.is_some_and(|access| access.good_for(schedule::least_validity(*least, access.lifetime), now));
            if good && rejected.is_none() && !account.may_have_ended() {
                return Verdict::Now(HouseEffect::HandOut {
                    ask: ask.id,
                    account: account.id.clone(),
                    part: part.clone(),
                });
            }
        }
        Want::Refresh { from } if account.generation > *from => return done(),
        Want::Refresh { .. } | Want::SignOut => {}
    }
    // Whether this was asked after the last try ended, and that a while ago where it must rest.
    let asked_after = |since: &Now, rest: bool| {
        let rested = now.boot.0.saturating_sub(since.boot.0) >= crate::time::millis(schedule::ASKER_RETRY);
        ask.since.boot > since.boot && (rested || !rest)
    };
    match refresh {
        // What was corrected at the provider is only known by trying; a person may, programs do not.
        Refresh::Blocked { since, .. } if matches!(ask.want, Want::Refresh { .. }) && asked_after(since, true) => {
            Verdict::Refresh
        }
        Refresh::Blocked { fix, .. } => refuse(fix.clone()),
        Refresh::Unsaved { until: Some(_), problem: Some(problem), .. } => refuse(problem.clone()),
        Refresh::Idle { .. } if !account.refreshable => refuse(Problem::SignInNeeded {
            account: account.identity.label.clone(),
            why: crate::problem::Why::NoRefreshToken,
        }),
        Refresh::Idle { .. } | Refresh::Journaled { .. } => Verdict::Refresh,
        Refresh::Waiting { since, problem, not_before, .. } => {
            // An asker brings a retry forward, but never against a provider that asked for a pause. What is on this
            // machine can be looked at any time.
            let local = matches!(problem.exit(), Exit::Keychain | Exit::Disk);
            let paused = not_before.is_some_and(|moment| moment.wait(now) > 0);
            if paused || !asked_after(since, !local) { refuse(problem.clone()) } else { Verdict::Refresh }
        }
        Refresh::Opening { .. } | Refresh::Sent { .. } | Refresh::Unsaved { .. } => Verdict::Wait,
    }
}

fn fail(attempt: &mut Attempt, problem: Problem, now: Now, effects: &mut Vec<HouseEffect>) {
    // It is shown as failed for as long as it could have waited.
    attempt.until = now.plus(attempt::LIFETIME);
    effects.push(HouseEffect::ForgetAttempt { attempt: attempt.id.clone() });
    effects.push(record(EventKind::SignInFailed, attempt.account.clone(), Some(problem.clone())));
    attempt.phase = Phase::Failed { problem };
}

fn redirected_to(house: &mut House, redirected: Redirected, now: Now, effects: &mut Vec<HouseEffect>) {
    let waiting = house
        .attempts
        .iter_mut()
        .find(|attempt| attempt.state == redirected.state && matches!(attempt.phase, Phase::Waiting));
    let Some(attempt) = waiting else {
        let problem =
            if house.used.contains(&redirected.state) { Problem::CallbackUsed } else { Problem::UnknownCallback };
        // A second copy is an everyday thing (a page reloaded, a link delivered twice); a forgery is not.
        if problem == Problem::UnknownCallback {
            effects.push(record(EventKind::CallbackRefused, None, Some(problem)));
        }
        return;
    };
    house.used.push_back(redirected.state);
    if house.used.len() > attempt::MOST_USED {
        house.used.pop_front();
    }
    match redirected.answer {
        Ok(()) => {
            attempt.phase = Phase::Exchanging;
            effects.push(HouseEffect::Exchange { attempt: attempt.id.clone() });
        }
        Err(error) => {
            let provider = attempt.provider.0.clone();
            let problem = if error.error == "access_denied" {
                Problem::ConsentDenied { provider }
            } else {
                Problem::AuthorizationFailed { provider, error: error.error, detail: error.description }
            };
            fail(attempt, problem, now, effects);
        }
    }
}

/// What became of the redirect with this `state`, for whoever brought it.
pub fn callback_verdict(house: &House, state: &Digest, now: Now) -> Result<AttemptId, Problem> {
    match house.attempts.iter().find(|attempt| attempt.state == *state) {
        Some(attempt) if matches!(attempt.phase, Phase::Waiting) && attempt.until.wait(now) > 0 => {
            Ok(attempt.id.clone())
        }
        _ if house.used.contains(state) => Err(Problem::CallbackUsed),
        _ => Err(Problem::UnknownCallback),
    }
}

fn exchanged(
    house: &mut House,
    id: &AttemptId,
    result: Result<Box<Person>, Problem>,
    fresh: AccountId,
    now: Now,
    effects: &mut Vec<HouseEffect>,
) {
    let Some(place) = house.attempts.iter().position(|attempt| attempt.id == *id) else {
        // Cancelled meanwhile: what was granted is given back.
        if result.is_ok() {
            effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        }
        effects.push(HouseEffect::ForgetAttempt { attempt: id.clone() });
        return;
    };
    let person = match result {
        Ok(person) => person,
        Err(problem) => return fail(&mut house.attempts[place], problem, now, effects),
    };
    let attempt = &house.attempts[place];
    let same_person =
        |provider: &ProviderName, subject: &str| *provider == attempt.provider && subject == person.subject;
    // Two windows, one person: the first that is written wins. Revoking what the second got could end the first.
    let twice = house.attempts.iter().any(|other| match &other.phase {
        Phase::Storing { person, .. } => same_person(&other.provider, &person.subject),
        _ => false,
    });
    if twice {
        return fail(&mut house.attempts[place], Problem::AttemptCancelled, now, effects);
    }
    let known =
        house.accounts.iter().find(|account| same_person(&account.identity.provider, &account.identity.subject));
    if let Some(known) = known.filter(|known| known.identity.issuer != attempt.issuer && !gone(known)) {
        let problem =
            Problem::OtherIssuer { account: known.identity.label.clone(), issuer: known.identity.issuer.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    // RFC 9068 section 5: a provider may let people choose a name that is a client's id, or clients a person's.
    if let Some(known) = known.filter(|known| known.identity.grant_type != attempt.grant_type() && !gone(known)) {
        let problem = Problem::OtherSubject { account: known.identity.label.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    let expected = attempt.account.as_ref().and_then(|id| house.accounts.iter().find(|account| account.id == *id));
    if let Some(expected) = expected
        && known.is_none_or(|known| known.id != expected.id)
    {
        let problem = Problem::OtherSubject { account: expected.identity.label.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    if let Some(known) = known.filter(|known| matches!(known.session, Session::Moving { .. })) {
        let problem = Problem::NotYet { account: known.identity.label.clone() };
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], problem, now, effects);
    }
    if known.is_some_and(|known| matches!(known.session, Session::Clearing(_) | Session::ShredPending { .. })) {
        effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
        return fail(&mut house.attempts[place], Problem::KeychainLocked, now, effects);
    }
    let (account, label, keep_key) = match known {
        Some(known) => (
            known.id.clone(),
            known.identity.label.clone(),
            matches!(known.session, Session::SignedIn { .. } | Session::Undoable { .. }),
        ),
        None => (fresh, free_label(house, attempt.label.as_deref().unwrap_or(attempt.provider.as_str())), false),
    };
    effects.push(HouseEffect::Store { attempt: id.clone(), account: account.clone(), label: label.clone(), keep_key });
    house.attempts[place].phase = Phase::Storing { account, label, person };
}

/// Whether nothing of the account is kept that opens.
pub fn gone(account: &Account) -> bool {
    matches!(account.session, Session::SignedOut | Session::MovedAway)
}

fn stored(
    house: &mut House,
    id: &AttemptId,
    result: Result<Generation, Problem>,
    now: Now,
    effects: &mut Vec<HouseEffect>,
) {
    let Some(place) = house.attempts.iter().position(|attempt| attempt.id == *id) else { return };
    let Phase::Storing { account: account_id, label, person } = house.attempts[place].phase.clone() else { return };
    let generation = match result {
        Ok(generation) => generation,
        Err(problem) => {
            effects.push(HouseEffect::RevokeAttempt { attempt: id.clone() });
            return fail(&mut house.attempts[place], problem, now, effects);
        }
    };
    let attempt = house.attempts.remove(place);
    let grant_type = attempt.grant_type();
    effects.push(HouseEffect::ForgetAttempt { attempt: id.clone() });
    let known = house.get(&account_id).cloned();
    let access = account::Access::of(&person.grant, generation);
    let mut account = Account {
        id: account_id.clone(),
        generation,
        identity: Identity {
            label,
            provider: attempt.provider,
            issuer: attempt.issuer,
            client_id: attempt.client_id,
            subject: person.subject,
            name: person.name,
            email: person.email,
            scopes: person.grant.scopes.clone().unwrap_or_default(),
            grant_type,
            browser_sign_out: attempt.browser_sign_out,
        },
        session: Session::SignedOut,
        access: Some(access),
        refreshable: person.grant.refreshable,
        refreshed_at: Some(now.wall),
        signed_in_at: Some(now.wall),
        session_ends: account::session_ends(None, attempt.terms, &person.grant),
        terms: attempt.terms,
        margin: house.margin,
        parts: account::parts::Parts { resources: attempt.resources, ..Default::default() },
    };
    account.session = Session::SignedIn { refresh: account::next_due(&account, Some(access)) };
    house.put(account, now);
    if let Some(before) = known
        && let Session::SignedIn { refresh } | Session::Undoable { refresh, .. } = before.session
        && let Refresh::Unsaved { operation, until: Some(_), .. } = refresh
    {
        // Of the session before; nobody would write it any more.
        effects.push(HouseEffect::Account {
            account: account_id.clone(),
            generation: before.generation,
            operation,
            effect: Effect::Discard { spent: true },
        });
    }
    effects.push(record(EventKind::SignedIn, Some(account_id), None));
}
