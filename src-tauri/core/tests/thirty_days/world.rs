//! A machine with its naps, nights and networks, its providers, and everybody who asks: thirty days of them in seconds. The house is
//! the real one; what the agent does for it is done here, with the same order and the same delays as there.

use crate::common::{self, Home, Pending, START, attempt, later};
use crate::dice::Dice;
use crate::provider::{Access, Answered, Grantee, Idle, Trouble};
use larder_core::account::{Access as Facts, Account, Event, Terms, next_due};
use larder_core::effect::{Arrival, Effect, Grant, HouseEffect, Outcome};
use larder_core::house::{ASK_PATIENCE, Ask, HouseEvent, MOST_AT_ONCE, Want, Wanted};
use larder_core::names::{AccountId, Generation, Operation, Part};
use larder_core::problem::{Problem, Why};
use larder_core::schedule::{RETRY_AFTER_MOST, least_validity};
use larder_core::time::{Now, WallTime};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// A session is ours to keep where the machine was awake and online, and the provider well, for so long at a stretch between the
/// time that a refresh was due and the time that the provider ended the session: the longest backoff, and a little.
const LONG_ENOUGH: i64 = 40 * MINUTE;

/// How long logind waits for whoever holds a sleep up.
const LOGIND_WAITS: i64 = 5 * SECOND;

/// Who tells of the machine's sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// logind announces it, and its end.
    Announced,
    /// Nobody, but the two clocks say afterwards that it was.
    ByClocks,
    /// Nobody at all, as where the system has no second clock: what was due is seen to be so, late.
    Never,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Happens {
    /// An effect that was begun has come to its end: prepared, or written.
    Done(Job),
    /// A request is at the provider.
    Reaches(Job),
    /// Its answer is back.
    Answer(Job, Answered),
    Ask(usize),
    SignIn(usize),
    Bed,
    Falls(u64),
    Wakes,
    Resumed,
    Online(bool),
    Trouble(usize, Option<Trouble>),
    Jump(i64),
}

/// What the agent was told to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    account: usize,
    generation: u64,
    operation: u64,
    /// For a write: the generation that is written.
    writes: bool,
    /// On both clocks, when the request was sent.
    sent: (i64, i64),
    /// What was presented.
    refresh_token: u64,
}

/// What was counted.
#[derive(Default)]
pub struct Counted {
    pub asks: usize,
    pub handed_out: usize,
    pub rejected_unknown: usize,
    pub connects_in_vain: usize,
    pub jumps: usize,
    pub sleeps: usize,
    pub ended_while_away: usize,
    /// When requests began, and whose.
    pub starts: Vec<(i64, usize)>,
    pub wakes: Vec<i64>,
    pub most_at_once: usize,
}

/// When all was well: since when it is, and from when to when it was.
#[derive(Default)]
struct Spells {
    open: Option<i64>,
    over: Vec<(i64, i64)>,
}

pub struct World {
    pub home: Home,
    pub dice: Dice,
    pub told: Told,
    pub end: i64,
    pub grantees: Vec<Grantee>,
    pub counted: Counted,
    pub broken: Vec<String>,
    t: i64,
    skew: i64,
    queue: std::collections::BinaryHeap<Reverse<(i64, u64, Happens)>>,
    sequence: u64,
    awake: bool,
    falling: Option<u64>,
    announced: bool,
    online: bool,
    trouble: HashMap<usize, Trouble>,
    not_before: HashMap<usize, i64>,
    in_flight: HashMap<usize, BTreeSet<u64>>,
    deferred: Vec<Happens>,
    /// Whom an ask is of, and what life it wants.
    asks: BTreeMap<u64, (usize, Option<Duration>)>,
    good: HashMap<usize, Spells>,
    next_ask: u64,
    attempts: usize,
}

impl World {
    pub fn new(seed: u64, told: Told, grantees: Vec<Grantee>, days: i64) -> Self {
        let accounts = grantees.iter().enumerate().map(|(number, grantee)| account(number, grantee)).collect();
        let mut world = Self {
            home: Home::with(accounts),
            dice: Dice::new(seed),
            told,
            end: days * DAY,
            grantees,
            counted: Counted::default(),
            broken: Vec::new(),
            t: 0,
            skew: 0,
            queue: std::collections::BinaryHeap::new(),
            sequence: 0,
            awake: true,
            falling: None,
            announced: false,
            online: true,
            trouble: HashMap::new(),
            not_before: HashMap::new(),
            in_flight: HashMap::new(),
            deferred: Vec::new(),
            asks: BTreeMap::new(),
            good: HashMap::new(),
            next_ask: 0,
            attempts: 0,
        };
        world.plan(days);
        world.note_good();
        world
    }

    pub fn at(&mut self, t: i64, what: Happens) {
        self.sequence += 1;
        self.queue.push(Reverse((t, self.sequence, what)));
    }

    /// Naps, nights, a weekend away; a network that comes late; outages; providers in trouble; clocks that jump.
    fn plan(&mut self, days: i64) {
        for day in 0..days {
            let morning = day * DAY;
            // The third weekend, the machine is left at home.
            let away = (19..21).contains(&day);
            let bed = morning + 15 * HOUR + self.dice.below(HOUR);
            if !away {
                let mut nap = morning + 2 * HOUR;
                while nap < bed - 3 * HOUR {
                    nap += HOUR + self.dice.below(5 * HOUR);
                    let long = 2 * MINUTE + self.dice.below(40 * MINUTE);
                    if nap + long < bed - HOUR {
                        self.at(nap, Happens::Bed);
                        self.at(nap + long, Happens::Wakes);
                    }
                    nap += long;
                }
                self.at(bed, Happens::Bed);
            }
            if !(18..20).contains(&day) {
                let up = morning + DAY + self.dice.below(HOUR);
                self.at(up, Happens::Wakes);
            }
        }
        // A day without a network, a working day, and many an hour.
        let mut outages = vec![(5 * DAY + 3 * HOUR, DAY), (16 * DAY + HOUR, 8 * HOUR)];
        for _ in 0..12 {
            outages.push((self.dice.below(self.end), MINUTE + self.dice.below(HOUR)));
        }
        for (from, long) in outages {
            self.at(from, Happens::Online(false));
            self.at(from + long, Happens::Online(true));
        }
        let providers: BTreeSet<usize> = self.grantees.iter().map(|grantee| grantee.provider).collect();
        for provider in providers {
            let mut troubles = vec![];
            for _ in 0..3 {
                troubles.push((self.dice.below(self.end), MINUTE + self.dice.below(6 * HOUR)));
            }
            if provider < 4 {
                troubles.push((DAY * (8 + i64::try_from(provider).unwrap_or_default() * 4), DAY));
            }
            for (from, long) in troubles {
                let kind = match self.dice.below(5) {
                    0 => Trouble::RateLimited { after: 120 },
                    1 => Trouble::RateLimited { after: 1_000_000_000 },
                    2 => Trouble::Silent,
                    3 => Trouble::Down { after: Some(30) },
                    _ => Trouble::Down { after: None },
                };
                self.at(from, Happens::Trouble(provider, Some(kind)));
                self.at(from + long, Happens::Trouble(provider, None));
            }
        }
        const YEAR: i64 = 365 * DAY;
        for _ in 0..24 {
            let sizes =
                [0, 0, 5 * MINUTE, -5 * MINUTE, 3 * HOUR, -3 * HOUR, DAY, -DAY, YEAR, -YEAR, 20 * YEAR, -20 * YEAR];
            let place = usize::try_from(self.dice.below(12)).unwrap_or_default();
            let at = self.dice.below(self.end);
            self.at(at, Happens::Jump(sizes[place]));
        }
        for account in 0..self.grantees.len() {
            let first = self.dice.below(6 * HOUR);
            self.at(first, Happens::Ask(account));
        }
    }

    fn now(&self) -> Now {
        let now = later(START, Duration::from_millis(u64::try_from(self.t).unwrap_or_default()));
        Now { wall: WallTime(now.wall.0 + self.skew), ..now }
    }

    fn breaks(&mut self, how: String) {
        if self.broken.len() < 5 {
            self.broken.push(format!("after {:.3} h: {how}", self.t as f64 / HOUR as f64));
        }
    }

    /// Lets the thirty days pass.
    pub fn live(&mut self) {
        self.happen(HouseEvent::Tick);
        loop {
            let next = self.queue.peek().map(|Reverse((at, ..))| *at);
            let now = self.now();
            let alarm = self.home.house.wake(now).filter(|_| self.awake).map(|left| self.t.saturating_add(left.max(1)));
            let Some(at) = next.into_iter().chain(alarm).min() else { break };
            if at >= self.end || self.broken.len() >= 5 {
                break;
            }
            self.t = self.t.max(at);
            if next == Some(at) {
                if let Some(Reverse((.., what))) = self.queue.pop() {
                    self.carry(what);
                }
            } else {
                self.happen(HouseEvent::Tick);
                let again = self.home.house.wake(self.now());
                if again.is_some_and(|left| left <= 0) {
                    self.breaks(format!("woken for nothing: {again:?}"));
                }
            }
        }
    }

    fn carry(&mut self, what: Happens) {
        // What is for a program that is stopped waits for it.
        let for_agent = matches!(what, Happens::Done(_) | Happens::Answer(..) | Happens::Ask(_) | Happens::SignIn(_));
        if for_agent && !self.awake {
            self.deferred.push(what);
            return;
        }
        match what {
            Happens::Done(job) => {
                let arrival = if job.writes {
                    self.grantees[job.account].stored();
                    Arrival::Saved
                } else {
                    Arrival::Prepared { hash: Some("hash".into()) }
                };
                self.arrived(&job, arrival);
            }
            Happens::Reaches(job) => self.reaches(job),
            Happens::Answer(job, answered) => self.answer(&job, answered),
            Happens::Ask(account) => {
                let least = [None, None, Some(60), Some(900), Some(100_000)];
                let place = usize::try_from(self.dice.below(5)).unwrap_or_default();
                self.ask(account, least[place].map(Duration::from_secs), None);
                let pause =
                    self.grantees[account].asked_every / 2 + self.dice.below(self.grantees[account].asked_every);
                self.at(self.t + pause, Happens::Ask(account));
            }
            Happens::SignIn(account) => self.sign_in(account),
            Happens::Bed => self.bed(),
            Happens::Falls(number) if self.falling == Some(number) => self.sleeps(),
            Happens::Falls(_) => {}
            Happens::Wakes => self.wakes(),
            Happens::Resumed => {
                self.announced = false;
                self.happen(HouseEvent::Resumed);
            }
            Happens::Online(online) => {
                self.online = online;
                self.note_good();
            }
            Happens::Trouble(provider, trouble) => {
                match trouble {
                    Some(trouble) => self.trouble.insert(provider, trouble),
                    None => self.trouble.remove(&provider),
                };
                self.note_good();
            }
            Happens::Jump(skew) => {
                self.skew = skew;
                self.counted.jumps += 1;
                if self.awake {
                    self.happen(HouseEvent::Tick);
                }
            }
        }
    }

    fn bed(&mut self) {
        if !self.awake || self.falling.is_some() {
            return;
        }
        self.counted.sleeps += 1;
        if self.told != Told::Announced {
            return self.sleeps();
        }
        self.sequence += 1;
        let number = self.sequence;
        self.falling = Some(number);
        self.announced = true;
        self.at(self.t + LOGIND_WAITS, Happens::Falls(number));
        self.happen(HouseEvent::Suspending);
    }

    fn sleeps(&mut self) {
        self.falling = None;
        self.awake = false;
        self.note_good();
    }

    fn wakes(&mut self) {
        if self.awake {
            return;
        }
        self.awake = true;
        self.counted.wakes.push(self.t);
        // Most often there is no network for a while.
        if self.online && !self.dice.one_in(5) {
            self.online = false;
            let back = self.t + self.dice.below(30 * SECOND);
            self.at(back, Happens::Online(true));
        }
        self.note_good();
        match self.told {
            Told::Announced => {
                let told = self.t + self.dice.below(800);
                self.at(told, Happens::Resumed);
                self.announced = false;
                self.happen(HouseEvent::Slept);
            }
            Told::ByClocks => self.happen(HouseEvent::Slept),
            Told::Never => self.happen(HouseEvent::Tick),
        }
        for what in std::mem::take(&mut self.deferred) {
            // A program's own timer stood still in the sleep, and runs on where it stood.
            if let Happens::Ask(account) = what {
                let left = self.dice.below(self.grantees[account].asked_every);
                self.at(self.t + left, Happens::Ask(account));
            } else {
                self.carry(what);
            }
        }
    }

    fn note_good(&mut self) {
        let providers: BTreeSet<usize> = self.grantees.iter().map(|grantee| grantee.provider).collect();
        for provider in providers {
            let good = self.awake && self.online && !self.trouble.contains_key(&provider);
            let spells = self.good.entry(provider).or_default();
            match (spells.open, good) {
                (None, true) => spells.open = Some(self.t),
                (Some(began), false) => {
                    spells.over.push((began, self.t));
                    spells.open = None;
                }
                _ => {}
            }
        }
    }

    /// The longest good spell of this provider between two times.
    fn longest_good(&self, provider: usize, from: i64, to: i64) -> i64 {
        let Some(spells) = self.good.get(&provider) else { return 0 };
        let open = spells.open.map(|began| (began, self.t));
        let inside = |(began, ended): &(i64, i64)| (*ended).min(to) - (*began).max(from);
        spells.over.iter().chain(open.iter()).map(inside).max().unwrap_or_default()
    }

    /// Something happens, and what follows from it is begun as the agent begins it.
    fn happen(&mut self, event: HouseEvent) {
        self.home.now = self.now();
        let effects = self.home.happen(event);
        for pending in std::mem::take(&mut self.home.pending) {
            self.begin(&pending);
        }
        for effect in effects {
            match effect {
                HouseEffect::HandOut { ask, account, .. } => self.handed_out(ask, &account),
                HouseEffect::Refuse { ask, problem } => {
                    self.asks.remove(&ask);
                    if matches!(problem, Problem::Internal { .. }) {
                        self.breaks(format!("{problem:?}"));
                    }
                }
                HouseEffect::HoldSleep { hold: false } => {
                    if let Some(number) = self.falling {
                        self.at(self.t, Happens::Falls(number));
                    }
                }
                _ => {}
            }
        }
    }

    fn begin(&mut self, pending: &Pending) {
        let account: usize = pending.account.as_str().parse().unwrap_or_default();
        let now = self.now();
        let mut job = Job {
            account,
            generation: pending.generation.0,
            operation: pending.operation.0,
            writes: matches!(pending.effect, Effect::Save { .. }),
            sent: (now.wall.0, now.boot.0),
            refresh_token: self.grantees[account].stored_refresh,
        };
        match pending.effect {
            Effect::Prepare { .. } => {
                if self.announced {
                    self.breaks(format!("account {account} begins a refresh while a sleep is announced"));
                }
                let took = 5 + self.dice.below(60);
                self.at(self.t + took, Happens::Done(job));
            }
            Effect::Save { .. } => {
                let took = 2 + self.dice.below(20);
                self.at(self.t + took, Happens::Done(job));
            }
            Effect::Send => self.send(&mut job),
            ref other => self.breaks(format!("account {account} is to {other:?}")),
        }
    }

    fn send(&mut self, job: &mut Job) {
        let provider = self.grantees[job.account].provider;
        if self.announced {
            self.breaks(format!("account {} sends while a sleep is announced", job.account));
        }
        if self.not_before.get(&provider).is_some_and(|until| self.t < *until) {
            self.breaks(format!("account {} asks provider {provider} in a pause", job.account));
        }
        let in_flight = self.in_flight.entry(provider).or_default();
        in_flight.insert(job.operation);
        let many = in_flight.len();
        self.counted.most_at_once = self.counted.most_at_once.max(many);
        if many > MOST_AT_ONCE {
            self.breaks(format!("{many} requests at once at provider {provider}"));
        }
        if self.online {
            self.counted.starts.push((self.t, provider));
            self.grantees[job.account].requests += 1;
            let took = 10 + self.dice.below(200);
            self.at(self.t + took, Happens::Reaches(job.clone()));
        } else {
            self.counted.connects_in_vain += 1;
            self.grantees[job.account].in_vain += 1;
            self.at(self.t + 3, Happens::Answer(job.clone(), Answered::Unreachable));
        }
    }

    /// The provider's side, by its own clock.
    fn reaches(&mut self, job: Job) {
        let took = 10 + self.dice.below(800);
        let provider = self.grantees[job.account].provider;
        if let Some(trouble) = self.trouble.get(&provider) {
            let patience = if *trouble == Trouble::Silent { 30 * SECOND } else { took };
            let answered = Answered::Trouble(trouble.clone());
            return self.at(self.t + patience, Happens::Answer(job, answered));
        }
        let t = self.t;
        let grantee = &mut self.grantees[job.account];
        if job.refresh_token != grantee.refresh {
            grantee.over = true;
            self.breaks(format!("account {} sends a spent refresh token", job.account));
            return;
        }
        if let Some(idle) = grantee.idle
            && t - grantee.used > idle.millis
        {
            let due = grantee.used + idle_due(grantee, idle);
            let (provider, used) = (grantee.provider, grantee.used);
            let good = self.longest_good(provider, due, used + idle.millis);
            if good >= LONG_ENOUGH {
                self.breaks(format!("account {} was left to end, with {} good minutes", job.account, good / MINUTE));
            }
            self.counted.ended_while_away += 1;
            return self.at(t + took, Happens::Answer(job, Answered::Refused));
        }
        let lifetime = grantee.lifetime_at(t);
        grantee.issue(t, lifetime);
        self.at(t + took, Happens::Answer(job, Answered::Tokens { lifetime }));
    }

    fn answer(&mut self, job: &Job, answered: Answered) {
        let provider = self.grantees[job.account].provider;
        self.in_flight.entry(provider).or_default().remove(&job.operation);
        let host = || format!("{provider}.example");
        let transient = |problem, retry_after: Option<u64>, spent| Outcome::Transient {
            problem,
            retry_after: retry_after.map(Duration::from_secs),
            spent,
        };
        let outcome = match answered {
            Answered::Unreachable => transient(Problem::Unreachable { host: host() }, None, false),
            Answered::Trouble(Trouble::Silent) => transient(Problem::Unreachable { host: host() }, None, true),
            Answered::Trouble(Trouble::Down { after }) => {
                transient(Problem::ProviderTrouble { host: host(), status: 503 }, after, false)
            }
            Answered::Trouble(Trouble::RateLimited { after }) => {
                let most = i64::try_from(RETRY_AFTER_MOST.as_millis()).unwrap_or(i64::MAX);
                let pause = i64::try_from(after).unwrap_or(i64::MAX).saturating_mul(SECOND).min(most);
                // The clock that counts it is the one of whoever waits.
                let until = self.not_before.entry(provider).or_default();
                *until = (*until).max(self.t + pause);
                let until = self.now().plus(Duration::from_secs(after)).wall;
                transient(Problem::RateLimited { host: host(), until }, Some(after), false)
            }
            Answered::Refused => {
                let later = self.t + HOUR + self.dice.below(5 * HOUR);
                self.at(later, Happens::SignIn(job.account));
                Outcome::NeedsSignIn(Why::Refused)
            }
            Answered::Tokens { lifetime } => {
                let grantee = &self.grantees[job.account];
                let (wall, boot) = job.sent;
                let sent = Now { wall: WallTime(wall), boot: larder_core::time::BootTime(boot) };
                Outcome::Tokens(grantee.grant(sent, lifetime))
            }
        };
        self.arrived(job, Arrival::Answered(outcome));
    }

    fn arrived(&mut self, job: &Job, arrival: Arrival) {
        let event =
            Event::Arrived { generation: Generation(job.generation), operation: Operation(job.operation), arrival };
        let account = AccountId(job.account.to_string());
        self.happen(HouseEvent::Account { account, event });
    }

    fn ask(&mut self, account: usize, least: Option<Duration>, rejected: Option<Generation>) {
        self.counted.asks += 1;
        self.grantees[account].asks += 1;
        let well = self.online && !self.trouble.contains_key(&self.grantees[account].provider);
        self.grantees[account].asks_in_trouble += usize::from(!well);
        self.next_ask += 1;
        let now = self.now();
        let ask = Ask {
            id: self.next_ask,
            account: AccountId(account.to_string()),
            want: Want::Token(Wanted { least, rejected, part: Part::default() }),
            until: now.plus(ASK_PATIENCE),
            since: now,
        };
        self.asks.insert(self.next_ask, (account, least));
        self.happen(HouseEvent::Ask(ask));
    }

    /// A program has the token that is stored: is it what was promised?
    fn handed_out(&mut self, ask: u64, id: &AccountId) {
        let Some((account, least)) = self.asks.remove(&ask) else { return };
        self.counted.handed_out += 1;
        let t = self.t;
        let issued = self.home.house.find(id.as_str()).ok().and_then(|known| known.access).map(|access| access.issued);
        let grantee = &self.grantees[account];
        let Access { expires, lifetime, alive, .. } = grantee.stored_access;
        let live = alive && expires > t;
        if !grantee.says_lifetime {
            if !live {
                // Nobody could know; whoever was given it says so.
                self.counted.rejected_unknown += 1;
                self.grantees[account].rejected += 1;
                self.ask(account, None, issued);
            }
            return;
        }
        // Where a refresh ends the token before it, the promise ends with the next one.
        let promised = if grantee.refresh_ends { 0 } else { least_validity(least, Some(lifetime)) };
        if !live || expires < t + promised {
            let left = expires - t;
            self.breaks(format!("account {account}: {left} ms left of {promised} that were promised, alive {alive}"));
        }
    }

    /// A person signs in again, to a session that ended while the machine was away.
    fn sign_in(&mut self, account: usize) {
        self.attempts += 1;
        let name = format!("again-{}", self.attempts);
        let now = self.now();
        self.home.now = now;
        let Ok(known) = self.home.house.find(&account.to_string()).cloned() else { return };
        let mut attempt = attempt(&name, now);
        attempt.issuer.clone_from(&known.identity.issuer);
        attempt.terms = known.terms;
        attempt.account = Some(known.id.clone());
        let t = self.t;
        let lifetime = self.grantees[account].lifetime_at(t);
        self.grantees[account].issue(t, lifetime);
        let grant = self.grantees[account].grant(now, lifetime);
        let person = common::person(&known.identity.subject, now);
        let person = Box::new(larder_core::attempt::Person { grant, ..*person });
        self.happen(HouseEvent::AttemptStarted(Box::new(attempt)));
        self.happen(common::redirect(&name));
        let attempt = name.as_str().into();
        self.happen(HouseEvent::Exchanged { attempt, result: Ok(person), fresh: "never".into() });
        let attempt = name.as_str().into();
        self.happen(HouseEvent::Stored { attempt, result: Ok(known.generation.next()) });
        self.grantees[account].stored();
        self.grantees[account].sign_ins += 1;
    }
}

/// When a refresh is due, after the last one, at a provider that ends sessions which nobody uses.
fn idle_due(grantee: &Grantee, idle: Idle) -> i64 {
    let lifetime = if grantee.says_lifetime { grantee.lifetime } else { i64::MAX / 8 };
    let known = if idle.said { idle.millis } else { i64::MAX / 8 };
    lifetime.min(known) / 10 * 8
}

fn account(number: usize, grantee: &Grantee) -> Account {
    let lifetime = Duration::from_millis(u64::try_from(grantee.lifetime).unwrap_or_default());
    let facts = Facts {
        expires: grantee.says_lifetime.then(|| START.plus(lifetime)),
        lifetime: grantee.says_lifetime.then_some(grantee.lifetime),
        since: Some(START),
        ..Facts::default()
    };
    let mut account = common::signed_in(&number.to_string(), facts, true);
    account.identity.issuer = format!("https://{}.example", grantee.provider);
    account.terms = Terms { refresh_ends_access_token: grantee.refresh_ends, refresh_token_lifetime: None };
    account.session_ends = grantee.idle.filter(|idle| idle.said).map(|idle| WallTime(START.wall.0 + idle.millis));
    account.session = larder_core::account::Session::SignedIn { refresh: next_due(&account, account.access) };
    account
}

impl Grantee {
    /// What the response says.
    fn grant(&self, sent: Now, lifetime: i64) -> Grant {
        let duration = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or_default());
        Grant {
            sent,
            lifetime: self.says_lifetime.then(|| duration(lifetime)),
            refresh_token_lifetime: self.idle.filter(|idle| idle.said).map(|idle| duration(idle.millis)),
            ..common::grant(sent)
        }
    }
}
