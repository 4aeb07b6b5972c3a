//! Whatever happens, in whatever order: thousands of random lives of a house, and what holds in every one of them.
//!
//! Keychain, database, provider and askers are simulated as the agent performs them. Each broken promise names its seed:
//! `Life::new(seed).live()` lives that life again.

mod common;

use common::*;
use larder_core::account::parts::MOST;
use larder_core::account::{Access, Account, Clearing, Event, Refresh, Session, Terms};
use larder_core::attempt::{Attempt, AuthorizationError, Phase, Redirected};
use larder_core::consent::{ConsentEvent, MOST_PROMPTS, Way};
use larder_core::effect::{Arrival, Effect, Grant, HouseEffect, Outcome, Trouble};
use larder_core::house::{ASK_PATIENCE, HouseEvent, MOST_AT_ONCE, Want, Wanted};
use larder_core::lock::LockEvent;
use larder_core::names::{AccountId, Generation, Operation, Part, Scope};
use larder_core::problem::{Problem, Why};
use larder_core::protocol::Choice;
use larder_core::schedule::Margin;
use larder_core::time::{Moment, Now, WallTime};
use larder_core::view::{AskingProgram, KeychainState, LockState, PromptView};
use larder_core::{schedule, show, words};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

/// So many lives, of so many events each.
const LIVES: u64 = 2000;
const EVENTS: usize = 120;

/// What is promised. Each has a test of its own below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Promise {
    OneRefreshAnAccount,
    SentOnlyWhenPrepared,
    SpentTokenNeverSentAgain,
    StoredBeforePublished,
    NoHandOutWhenSignedOut,
    HandedOutIsGood,
    RejectedNotHandedOut,
    NoHandOutWithoutConsent,
    NoHandOutWhenLocked,
    NothingStartsWhenSealed,
    KeysStayForWhatIsInFlight,
    EndedNotHandedOut,
    OnlyWhatWasGranted,
    EveryAskAnsweredOnce,
    KeyDeletedBeforeSignedOut,
    SignOutIsCarriedOut,
    NothingLeftInMemory,
    FourAtOnce,
    NothingStartsWhenQuiet,
    WakeMakesProgress,
    LabelsDiffer,
    OneAccountAPerson,
    GenerationsAgree,
    WordsAndViews,
    MovedIsElsewhere,
}

/// SplitMix64: small, seeded, the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.roll() % u64::try_from(most.max(1)).unwrap_or(1)).unwrap_or_default()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Where an operation that began a refresh stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preparing,
    Prepared,
    Sent,
    /// New tokens are in memory.
    Holding,
}

struct Life {
    seed: u64,
    dice: Dice,
    home: Home,
    broken: BTreeMap<Promise, String>,
    /// Refreshes, and what each operation holds in memory.
    operations: BTreeMap<u64, (AccountId, Generation, Stage)>,
    /// What is on the disk.
    rows: BTreeMap<String, Generation>,
    /// Accounts whose key was deleted since they were last stored.
    keyless: BTreeSet<String>,
    /// Accounts whose sign-out must end as one.
    leaving: BTreeSet<String>,
    asked: BTreeSet<u64>,
    /// Asks that need a person's yes: of which account and program; and those that got one.
    consulted: BTreeMap<u64, (AccountId, AskingProgram)>,
    agreed: BTreeSet<u64>,
    /// What a person agreed to for the session.
    session: Vec<(AccountId, AskingProgram)>,
    /// Whose keys are in memory while all is sealed.
    kept: Option<Vec<AccountId>>,
    /// Access tokens that a refresh has ended, and those that one may have, by its operation.
    ended: BTreeSet<(String, Part, Generation)>,
    doubtful: BTreeMap<u64, Vec<(String, Part, Generation)>>,
    /// Who wants another token than this.
    rejected: BTreeMap<u64, Generation>,
    answered: BTreeSet<u64>,
    /// Sign-ins by number: what is with the provider or the disk, and who it is.
    attempts: usize,
    exchanging: Vec<String>,
    storing: Vec<(String, String)>,
    /// How the accounts stood before an event.
    before: BTreeMap<String, Session>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let accounts = (0..=dice.below(8)).map(|number| some_account(&mut dice, number)).collect::<Vec<_>>();
        let rows = accounts.iter().map(|account| (account.id.0.clone(), account.generation)).collect();
        let leaving = accounts
            .iter()
            .filter(|account| matches!(account.session, Session::Clearing(_)))
            .map(|account| account.id.0.clone())
            .collect();
        Self {
            seed,
            dice,
            home: Home::with(accounts),
            broken: BTreeMap::new(),
            operations: BTreeMap::new(),
            rows,
            keyless: BTreeSet::new(),
            leaving,
            asked: BTreeSet::new(),
            consulted: BTreeMap::new(),
            agreed: BTreeSet::new(),
            session: Vec::new(),
            kept: None,
            rejected: BTreeMap::new(),
            ended: BTreeSet::new(),
            doubtful: BTreeMap::new(),
            answered: BTreeSet::new(),
            attempts: 0,
            exchanging: Vec::new(),
            storing: Vec::new(),
            before: BTreeMap::new(),
        }
    }

    fn expect(&mut self, promise: Promise, kept: bool, what: impl FnOnce() -> String) {
        if !kept && !self.broken.contains_key(&promise) {
            let seed = self.seed;
            self.broken.insert(promise, format!("seed {seed}: {}", what()));
        }
    }

    fn live(mut self) -> BTreeMap<Promise, String> {
        self.happen(HouseEvent::Tick);
        for _ in 0..EVENTS {
            self.something();
        }
        self.come_to_rest();
        self.broken
    }

    fn account(&mut self) -> String {
        let accounts = &self.home.house.accounts;
        if accounts.is_empty() || self.dice.one_in(40) {
            return "nobody".to_owned();
        }
        let place = self.dice.below(accounts.len());
        accounts.get(place).map_or_else(String::new, |account| account.id.0.clone())
    }

    fn something(&mut self) {
        let account = self.account();
        let to = |event| HouseEvent::Account { account: AccountId(account.clone()), event };
        match self.dice.below(42) {
            0..9 => self.something_arrives(),
            9..12 => self.time_passes(),
            12 if self.dice.one_in(3) => self.happen(to(Event::Lost(Part::new(None, &["email".into()])))),
            12 => self.happen(to(Event::RefreshSoon)),
            13 => {
                let (forget, revoke) = (self.dice.one_in(4), !self.dice.one_in(4));
                self.happen(to(Event::SignOut { undoable: false, forget, revoke }));
            }
            14 => self.happen(to(Event::SignOut { undoable: true, forget: false, revoke: true })),
            15 => self.happen(to(Event::Undo)),
            16..20 => self.somebody_asks(account),
            20 => {
                if let Some(ask) = self.home.house.asks.first().map(|ask| ask.id) {
                    self.answered.insert(ask);
                    self.happen(HouseEvent::AskerGone { ask });
                }
            }
            21 => {
                let states = [KeychainState::Open, KeychainState::Locked, KeychainState::Silent];
                let state = states.get(self.dice.below(3)).copied().unwrap_or(KeychainState::Absent);
                self.happen(HouseEvent::Keychain(state));
            }
            22 => {
                let event = match self.dice.below(6) {
                    0 => HouseEvent::Quiet(true),
                    1 | 2 => HouseEvent::Quiet(false),
                    3 => HouseEvent::Suspending,
                    _ => HouseEvent::Resumed,
                };
                self.happen(event);
            }
            23 => self.happen(HouseEvent::Corrected { provider: provider("work") }),
            24 | 25 => self.a_sign_in_begins(account),
            26 | 27 => self.a_redirect_comes(),
            28 => self.a_sign_in_goes_on(),
            30..33 => self.a_program_asks(account),
            33..35 => self.a_person_answers(),
            35 | 36 => {
                let ways = [Way::Window, Way::Window, Way::Command, Way::Nobody];
                let way = ways.get(self.dice.below(4)).copied().unwrap_or_default();
                self.happen(HouseEvent::Consent(ConsentEvent::Via(way)));
            }
            37 => self.the_lock_is_turned(),
            38 => self.happen(to(Event::Move)),
            39 => self.happen(to(Event::StayHere)),
            40 => self.happen(to(Event::MovedAway)),
            41 => {
                let percents = u32::try_from(self.dice.below(36)).unwrap_or_default();
                let margin = Margin::try_from(Margin::LEAST + percents).unwrap_or_default();
                self.happen(HouseEvent::Margin(margin));
            }
            _ => {
                let attempt = format!("t{}", self.dice.below(self.attempts));
                self.happen(HouseEvent::AttemptDismissed { attempt: id(&attempt) });
            }
        }
    }

    fn time_passes(&mut self) {
        let wake = self.home.house.wake(self.home.now);
        let by = match self.dice.below(6) {
            0 => Duration::from_millis(1),
            1 => seconds(3),
            2 => seconds(900),
            3 => seconds(20_000),
            _ => Duration::from_millis(u64::try_from(wake.unwrap_or(30_000).max(0)).unwrap_or_default()),
        };
        self.home.now = later(self.home.now, by);
        if self.dice.one_in(12) {
            // The wall clock is set, by up to a day either way.
            let by = i64::try_from(self.dice.below(172_800)).unwrap_or_default() - 86_400;
            self.home.now = Now { wall: WallTime(self.home.now.wall.0 + by * 1000), ..self.home.now };
        }
        self.happen(HouseEvent::Tick);
    }

    fn somebody_asks(&mut self, account: String) {
        let generation = self.home.house.find(&account).map_or(Generation(0), |known| known.generation);
        // The first ones are granted, the others are not, or for somebody else.
        let scopes: [&[Scope]; 4] = [&["email".into()], &["email".into(), "openid".into()], &["more".into()], &[]];
        let part = match self.dice.below(8) {
            scope @ 0..3 => Part::new(None, scopes[scope]),
            3 => Part::new(Some(&format!("https://{}.example", self.dice.below(2 * MOST))), &[]),
            _ => Part::default(),
        };
        let want = match self.dice.below(6) {
            0 => Want::Refresh { from: generation },
            1 => Want::SignOut,
            2 => Want::Token(Wanted { least: Some(seconds(1800)), part, ..Wanted::default() }),
            3 => {
                let known = self.home.house.find(&account).ok().and_then(|known| known.token(&part));
                Want::Token(Wanted { rejected: known.map(|access| access.issued), part, ..Wanted::default() })
            }
            _ => Want::Token(Wanted { part, ..Wanted::default() }),
        };
        self.remember();
        if let Want::Token(Wanted { rejected: Some(rejected), .. }) = &want {
            self.rejected.insert(self.home.next_ask(), *rejected);
        }
        let (ask, effects) = self.home.ask(&account, want);
        self.asked.insert(ask);
        self.look_at(&effects);
    }

    fn a_program_asks(&mut self, account: String) {
        let arguments = if self.dice.one_in(2) { ["a"] } else { ["b"] };
        let program = program(if self.dice.one_in(2) { "/usr/bin/python3" } else { "/usr/bin/mbsync" }, &arguments);
        self.remember();
        let (ask, effects) = self.home.consult(&account, program.clone());
        self.asked.insert(ask);
        self.consulted.insert(ask, (AccountId(account), program));
        self.look_at(&effects);
    }

    fn a_person_answers(&mut self) {
        let Some(prompt) = self.home.house.consent.first().cloned() else { return };
        let choices = [Choice::Once, Choice::Session, Choice::Always, Choice::NotNow, Choice::Never];
        let choice = choices.get(self.dice.below(5)).copied().unwrap_or(Choice::NotNow);
        if matches!(choice, Choice::Once | Choice::Session | Choice::Always) {
            self.agreed.extend(prompt.asks.iter().map(|ask| ask.id));
        }
        if choice == Choice::Session {
            self.session.push((prompt.account.clone(), prompt.program.clone()));
        }
        self.happen(HouseEvent::Consent(ConsentEvent::Answered { prompt: prompt.id, choice }));
    }

    fn the_lock_is_turned(&mut self) {
        let states = [LockState::Unlocked, LockState::Unlocked, LockState::Locked, LockState::Sealed];
        let to = states.get(self.dice.below(4)).copied().unwrap_or_default();
        if to != LockState::Unlocked {
            self.session.clear();
        }
        self.happen(HouseEvent::Lock(LockEvent::Turned { to, by: None }));
    }

    /// Whether a person agreed to this ask, where that was needed.
    fn consented(&self, ask: u64) -> bool {
        let Some((account, program)) = self.consulted.get(&ask) else { return true };
        let covers = |(granted, to): &(AccountId, AskingProgram)| {
            let arguments = !to.anything_run_by || to.arguments == program.arguments;
            granted == account && to.path == program.path && arguments
        };
        self.agreed.contains(&ask) || self.session.iter().any(covers)
    }

    fn a_sign_in_begins(&mut self, account: String) {
        let name = format!("t{}", self.attempts);
        self.attempts += 1;
        let known = self.dice.one_in(2) && account != "nobody";
        let label = self.dice.one_in(3).then(|| format!("work-{}", self.dice.below(4)));
        let account = known.then_some(AccountId(account));
        let attempt = Attempt { account, label, ..attempt(&name, self.home.now) };
        self.happen(HouseEvent::AttemptStarted(Box::new(attempt)));
    }

    fn a_redirect_comes(&mut self) {
        let name = format!("t{}", self.dice.below(self.attempts + 1));
        let answer = if self.dice.one_in(5) {
            Err(AuthorizationError { error: "access_denied".to_owned(), description: String::new() })
        } else {
            Ok(())
        };
        self.happen(HouseEvent::Redirected(Redirected { state: state(&name), answer }));
    }

    /// An exchange or a store ends.
    fn a_sign_in_goes_on(&mut self) {
        if !self.storing.is_empty() && self.dice.one_in(2) {
            let (name, account) = self.storing.swap_remove(self.dice.below(self.storing.len()));
            let result = if self.dice.one_in(4) {
                Err(Problem::KeychainLocked)
            } else {
                // As `save_sign_in` does: the row's generation and one more.
                let generation = self.rows.get(&account).copied().unwrap_or_default().next();
                self.rows.insert(account.clone(), generation);
                self.keyless.remove(&account);
                Ok(generation)
            };
            self.happen(HouseEvent::Stored { attempt: id(&name), result });
        } else if !self.exchanging.is_empty() {
            let name = self.exchanging.swap_remove(self.dice.below(self.exchanging.len()));
            let result = if self.dice.one_in(4) {
                Err(unreachable())
            } else {
                let subject = format!("sub-{}", self.dice.below(10));
                Ok(person(&subject, self.home.now))
            };
            let fresh = AccountId(format!("new-{name}"));
            self.happen(HouseEvent::Exchanged { attempt: id(&name), result, fresh });
        }
    }

    /// One of the effects that are under way ends, in one of the ways it can.
    fn something_arrives(&mut self) {
        if self.home.pending.is_empty() {
            return;
        }
        let pending = self.home.pending.remove(self.dice.below(self.home.pending.len()));
        let arrival = self.ends(&pending);
        self.arrived(&pending, arrival);
    }

    fn ends(&mut self, pending: &Pending) -> Arrival {
        let account = pending.account.0.clone();
        let well = !self.dice.one_in(3);
        let row = self.rows.get(&account).copied();
        match &pending.effect {
            Effect::Prepare { .. } if well => prepared(),
            Effect::Prepare { .. } => Arrival::NotPrepared(match self.dice.below(4) {
                0 => Trouble::Lasting(Why::KeyMissing),
                1 => Trouble::Passing(disk_full()),
                _ => Trouble::Passing(Problem::KeychainLocked),
            }),
            Effect::Send => Arrival::Answered(self.answers(well)),
            Effect::Save { generation } => {
                // As `save_refresh` does: compared and swapped.
                if row.map(Generation::next) != Some(*generation) {
                    Arrival::NotSaved(Problem::Internal { detail: "the account changed meanwhile".to_owned() })
                } else if well {
                    self.rows.insert(account, *generation);
                    Arrival::Saved
                } else {
                    Arrival::NotSaved(disk_full())
                }
            }
            Effect::MarkClearing { generation, .. } if well => {
                if row.is_some() {
                    self.rows.insert(account, *generation);
                }
                Arrival::Marked
            }
            Effect::Clear if well => Arrival::Cleared,
            Effect::DeleteKey if well => {
                self.keyless.insert(account);
                Arrival::KeyDeleted
            }
            Effect::DeleteKey => Arrival::KeyKept(Problem::KeychainLocked),
            Effect::Close { forget } if well => {
                if *forget {
                    self.rows.remove(&account);
                }
                Arrival::Closed
            }
            Effect::Revoke => Arrival::Revoked(if well { Ok(()) } else { Err(None) }),
            _ => Arrival::NotSaved(disk_full()),
        }
    }

    fn answers(&mut self, well: bool) -> Outcome {
        if well {
            let lifetime = [None, Some(seconds(5)), Some(HOUR), Some(HOUR * 24)];
            let lifetime = lifetime.get(self.dice.below(4)).copied().flatten();
            return Outcome::Tokens(Grant { lifetime, refreshable: !self.dice.one_in(6), ..grant(self.home.now) });
        }
        let host = "login.example.com".to_owned();
        match self.dice.below(5) {
            0 => Outcome::NeedsSignIn(if self.dice.one_in(2) { Why::IdTokenRejected } else { Why::Refused }),
            1 => Outcome::NeedsFix(Problem::ScopeRefused { provider: "work".to_owned(), detail: "d".to_owned() }),
            2 => Outcome::Transient {
                problem: Problem::RateLimited { host, until: self.home.now.wall },
                retry_after: Some(seconds(100)),
                spent: false,
            },
            3 => Outcome::Transient {
                problem: Problem::ProviderTrouble { host, status: 503 },
                retry_after: self.dice.one_in(2).then(|| seconds(60)),
                spent: self.dice.one_in(2),
            },
            _ => Outcome::Transient { problem: unreachable(), retry_after: None, spent: false },
        }
    }

    fn arrived(&mut self, pending: &Pending, arrival: Arrival) {
        let operation = pending.operation.0;
        match (&arrival, self.operations.get_mut(&operation)) {
            (Arrival::Prepared { .. }, Some((.., stage))) => *stage = Stage::Prepared,
            (Arrival::Answered(Outcome::Tokens(_)), Some((.., stage))) => *stage = Stage::Holding,
            (Arrival::NotPrepared(_) | Arrival::Saved, Some(_)) => {
                self.operations.remove(&operation);
            }
            _ => {}
        }
        match &arrival {
            Arrival::Answered(Outcome::Tokens(_) | Outcome::NeedsSignIn(Why::IdTokenRejected)) => {
                self.ended.extend(self.doubtful.remove(&operation).unwrap_or_default());
            }
            Arrival::Answered(Outcome::Transient { spent: true, .. }) => {}
            // It was refused, or never arrived.
            Arrival::Answered(_) => {
                self.doubtful.remove(&operation);
            }
            _ => {}
        }
        let event = Event::Arrived { generation: pending.generation, operation: pending.operation, arrival };
        self.happen(HouseEvent::Account { account: pending.account.clone(), event });
    }

    fn remember(&mut self) {
        self.before = self.home.house.accounts.iter().map(|a| (a.id.0.clone(), a.session.clone())).collect();
    }

    fn happen(&mut self, event: HouseEvent) {
        self.remember();
        let undone = match &event {
            HouseEvent::Account { account, event: Event::Undo } => Some(account.0.clone()),
            _ => None,
        };
        let stored = matches!(event, HouseEvent::Stored { .. });
        let effects = self.home.happen(event);
        self.look_at(&effects);
        self.sessions(undone.as_deref(), stored);
        self.wakes();
    }

    fn look_at(&mut self, effects: &[HouseEffect]) {
        for effect in effects {
            match effect {
                HouseEffect::Account { account, generation, operation, effect } => {
                    self.acts(account, *generation, *operation, effect);
                }
                HouseEffect::Exchange { attempt } => self.exchanging.push(attempt.0.clone()),
                HouseEffect::Store { attempt, account, .. } => {
                    self.storing.push((attempt.0.clone(), account.0.clone()));
                }
                HouseEffect::HandOut { ask, account, part } => {
                    self.hands_out(*ask, account, part);
                    let consented = self.consented(*ask);
                    self.expect(Promise::NoHandOutWithoutConsent, consented, || format!("ask {ask} of {account}"));
                    let state = self.home.house.lock.state;
                    let open = state == LockState::Unlocked;
                    self.expect(Promise::NoHandOutWhenLocked, open, || format!("{account}, {state:?}"));
                    self.answers_ask(*ask);
                }
                HouseEffect::Answer { ask } => self.answers_ask(*ask),
                HouseEffect::Refuse { ask, problem } => {
                    self.answers_ask(*ask);
                    self.says(problem);
                }
                HouseEffect::Record { problem: Some(problem), .. } => self.says(problem),
                HouseEffect::Locked { state } => {
                    if *state != LockState::Sealed {
                        self.kept = None;
                    }
                }
                HouseEffect::DropKeys { keep } => self.kept = Some(keep.clone()),
                HouseEffect::Record { .. }
                | HouseEffect::RevokeAttempt { .. }
                | HouseEffect::ForgetAttempt { .. }
                | HouseEffect::HoldSleep { .. } => {}
            }
        }
        self.budget();
        self.people();
        let view = show::house(&self.home.house, Vec::new(), Vec::new(), "Secret Service", self.home.now);
        let known = |prompt: &PromptView| view.accounts.iter().any(|account| account.id == prompt.account);
        let prompts = view.prompts.len() <= MOST_PROMPTS && view.prompts.iter().all(known);
        self.expect(Promise::WordsAndViews, prompts, || format!("{:?}", view.prompts));
        let problems: Vec<_> = view.accounts.iter().filter_map(|account| account.problem.clone()).collect();
        for problem in problems {
            self.says(&problem);
        }
    }

    fn acts(&mut self, account: &AccountId, generation: Generation, operation: Operation, effect: &Effect) {
        let name = account.0.clone();
        if let Ok(known) = self.home.house.find(&name) {
            let moved = match &known.session {
                Session::Moving { .. } | Session::MovedAway => true,
                Session::Clearing(clearing) => clearing.moved,
                _ => false,
            };
            let used = matches!(effect, Effect::Prepare { .. } | Effect::Send | Effect::Save { .. } | Effect::Revoke);
            let told = matches!(effect, Effect::MarkClearing { revoke: true, .. });
            let fine = !moved || known.generation != generation || !(used || told);
            self.expect(Promise::MovedIsElsewhere, fine, || format!("{name}: {effect:?}"));
        }
        match effect {
            Effect::Prepare { .. } => {
                let others: Vec<_> =
                    self.operations.values().filter(|(of, at, _)| of == account && *at == generation).copied_stages();
                self.expect(Promise::OneRefreshAnAccount, others.is_empty(), || format!("{name}: {others:?}"));
                let spent = others.contains(&Stage::Holding);
                self.expect(Promise::SpentTokenNeverSentAgain, !spent, || format!("{name} begins again"));
                let quiet = self.home.house.quiet || self.home.house.sleep.is_some();
                self.expect(Promise::NothingStartsWhenQuiet, !quiet, || format!("{name} begins"));
                let sealed = self.home.house.lock.sealed();
                self.expect(Promise::NothingStartsWhenSealed, !sealed, || format!("{name} begins"));
                self.operations.insert(operation.0, (account.clone(), generation, Stage::Preparing));
            }
            Effect::Send => {
                let stage = self.operations.get_mut(&operation.0).map(|(.., stage)| stage);
                let was = stage.as_deref().copied();
                if let Some(stage) = stage {
                    *stage = Stage::Sent;
                }
                let fine = was == Some(Stage::Prepared);
                self.expect(Promise::SentOnlyWhenPrepared, fine, || format!("{name}: sent when {was:?}"));
                if let Some(known) = self.home.house.find(&name).ok().filter(|a| a.terms.refresh_ends_access_token) {
                    let own = known.access.iter().map(|access| (Part::default(), access.issued));
                    let all = known.parts.access.iter().map(|(part, access)| (part.clone(), access.issued)).chain(own);
                    let all = all.map(|(part, issued)| (name.clone(), part, issued)).collect();
                    self.doubtful.insert(operation.0, all);
                }
            }
            Effect::Save { generation: written } => {
                let fine = *written == generation.next()
                    && self.operations.get(&operation.0).is_some_and(|(.., stage)| *stage == Stage::Holding);
                self.expect(Promise::StoredBeforePublished, fine, || format!("{name}: saves {written:?}"));
                let key = self.kept.as_ref().is_none_or(|kept| kept.contains(account));
                self.expect(Promise::KeysStayForWhatIsInFlight, key, || format!("{name} is saved without its key"));
            }
            Effect::Close { .. } => {
                let gone = self.keyless.contains(&name);
                self.expect(Promise::KeyDeletedBeforeSignedOut, gone, || {
                    format!("{name} is closed with its key there")
                });
            }
            Effect::RevokeLate | Effect::Discard { .. } => {
                self.operations.remove(&operation.0);
            }
            Effect::MarkClearing { .. } => {
                self.leaving.insert(name);
            }
            _ => {}
        }
    }

    fn hands_out(&mut self, ask: u64, account: &AccountId, part: &Part) {
        let known = self.home.house.accounts.iter().find(|known| known.id == *account).cloned();
        let signed_in = known.as_ref().is_some_and(|known| matches!(known.session, Session::SignedIn { .. }));
        self.expect(Promise::NoHandOutWhenSignedOut, signed_in, || format!("{account}: {known:?}"));
        let now = self.home.now;
        let access = known.as_ref().and_then(|known| known.token(part)).copied();
        let good = access.is_some_and(|access| access.good_for(schedule::least_validity(None, access.lifetime), now));
        self.expect(Promise::HandedOutIsGood, good, || format!("{account}: {known:?} at {now:?}"));
        let newer = self.rejected.get(&ask).is_none_or(|old| access.is_some_and(|new| new.issued > *old));
        self.expect(Promise::RejectedNotHandedOut, newer, || format!("{account}: {access:?}"));
        let token = (account.0.clone(), part.clone(), access.unwrap_or_default().issued);
        let alive = !self.ended.contains(&token) && !self.doubtful.values().flatten().any(|other| *other == token);
        self.expect(Promise::EndedNotHandedOut, alive, || format!("{token:?}: {known:?}"));
        let granted =
            known.as_ref().is_some_and(|known| known.not_granted(part).is_empty() && !known.signed_in_elsewhere(part));
        self.expect(Promise::OnlyWhatWasGranted, granted, || format!("{part:?}: {known:?}"));
        let few = known.as_ref().is_some_and(|known| known.parts.access.len() <= MOST);
        self.expect(Promise::OnlyWhatWasGranted, few, || format!("{account} keeps more than {MOST}"));
    }

    fn answers_ask(&mut self, ask: u64) {
        let first = self.answered.insert(ask);
        self.expect(Promise::EveryAskAnsweredOnce, first, || format!("ask {ask} is answered twice"));
    }

    fn says(&mut self, problem: &Problem) {
        let sentence = words::sentence(problem);
        let whole = !sentence.contains('{') && sentence.ends_with('.');
        self.expect(Promise::WordsAndViews, whole, || sentence);
    }

    fn budget(&mut self) {
        // A write that is tried again is none of the provider's business.
        let asks = |refresh: &Refresh| matches!(refresh, Refresh::Opening { .. } | Refresh::Sent { .. });
        let under_way = self
            .home
            .house
            .accounts
            .iter()
            .filter(|account| match &account.session {
                Session::SignedIn { refresh } | Session::Undoable { refresh, .. } => asks(refresh),
                _ => false,
            })
            .count();
        self.expect(Promise::FourAtOnce, under_way <= MOST_AT_ONCE, || format!("{under_way} at once"));
    }

    fn people(&mut self) {
        let labels: BTreeSet<_> = self.home.house.accounts.iter().map(|a| a.identity.label.clone()).collect();
        let people: BTreeSet<_> = self.home.house.accounts.iter().map(|a| a.identity.subject.clone()).collect();
        let accounts = self.home.house.accounts.len();
        self.expect(Promise::LabelsDiffer, labels.len() == accounts, || format!("{labels:?}"));
        self.expect(Promise::OneAccountAPerson, people.len() == accounts, || format!("{people:?}"));
    }

    /// How the sessions changed, and whether they may.
    fn sessions(&mut self, undone: Option<&str>, stored: bool) {
        for account in self.home.house.accounts.clone() {
            let name = account.id.0.clone();
            match &account.session {
                Session::Undoable { .. } => {
                    self.leaving.insert(name);
                }
                Session::SignedOut | Session::MovedAway => {
                    let was = self.before.get(&name);
                    let was_out = matches!(was, Some(Session::SignedOut | Session::MovedAway) | None);
                    let gone = was_out || self.keyless.contains(&name);
                    self.expect(Promise::KeyDeletedBeforeSignedOut, gone, || format!("{name} is signed out"));
                    self.leaving.remove(&name);
                }
                // Whoever moves an account away has it to the end, whatever else is asked meanwhile.
                Session::Moving { .. } => {
                    let before = self.before.get(&name).cloned();
                    let fine = matches!(before, Some(Session::SignedIn { .. } | Session::Moving { .. }));
                    self.expect(Promise::MovedIsElsewhere, fine, || format!("{name} moves, and was {before:?}"));
                }
                Session::SignedIn { .. } | Session::NeedsSignIn { .. } => {
                    let was = self.before.get(&name);
                    let clearing = matches!(was, Some(Session::Clearing(_) | Session::ShredPending { .. }));
                    // Undone, or signed in again before the clearing began.
                    let allowed = undone == Some(name.as_str()) || (stored && !clearing);
                    let fine = !self.leaving.contains(&name) || allowed;
                    let shown = format!("{name}: {was:?} became {:?}", account.session);
                    self.expect(Promise::SignOutIsCarriedOut, fine, || shown);
                    self.leaving.remove(&name);
                }
                Session::Clearing(_) | Session::ShredPending { .. } => {}
            }
        }
    }

    /// Looking again at once leads on: nothing keeps the agent awake for nothing.
    fn wakes(&mut self) {
        for _ in 0..4 {
            if self.home.house.wake(self.home.now).is_none_or(|left| left > 0) {
                return;
            }
            let effects = self.home.tick();
            self.look_at(&effects);
        }
        let wake = self.home.house.wake(self.home.now);
        let sessions = format!("{wake:?} at {:?}: {:?}", self.home.now, self.home.house.accounts);
        self.expect(Promise::WakeMakesProgress, wake.is_none_or(|left| left > 0), || sessions);
    }

    /// Everything that is under way ends well, and nobody does anything any more.
    fn come_to_rest(&mut self) {
        self.happen(HouseEvent::Quiet(false));
        self.happen(HouseEvent::Resumed);
        self.happen(HouseEvent::Lock(LockEvent::Turned { to: LockState::Unlocked, by: None }));
        self.happen(HouseEvent::Keychain(KeychainState::Open));
        let ids: Vec<_> = self.home.house.accounts.iter().map(|account| account.id.clone()).collect();
        for account in ids {
            let event = if self.dice.one_in(2) { Event::StayHere } else { Event::MovedAway };
            self.happen(HouseEvent::Account { account, event });
        }
        for _ in 0..400 {
            while let Some(pending) = self.home.pending.pop() {
                let arrival = self.ends_well(&pending);
                self.arrived(&pending, arrival);
            }
            while !self.exchanging.is_empty() || !self.storing.is_empty() {
                self.a_sign_in_goes_on();
            }
            self.home.now = later(self.home.now, seconds(15));
            self.happen(HouseEvent::Tick);
        }
        while let Some(pending) = self.home.pending.pop() {
            let arrival = self.ends_well(&pending);
            self.arrived(&pending, arrival);
        }
        assert!(ASK_PATIENCE < seconds(400 * 15));
        let left: Vec<_> = self.asked.difference(&self.answered).copied().collect();
        self.expect(Promise::EveryAskAnsweredOnce, left.is_empty(), || format!("asks {left:?} wait for ever"));
        let held: Vec<_> = self
            .operations
            .iter()
            .filter(|(number, (account, generation, stage))| {
                let now = self.home.house.accounts.iter().find(|known| known.id == *account);
                let in_use = now.is_some_and(|now| {
                    now.generation == *generation
                        && match &now.session {
                            Session::SignedIn { refresh: Refresh::Sent { operation, .. } }
                            | Session::SignedIn { refresh: Refresh::Unsaved { operation, .. } } => {
                                operation.0 == **number
                            }
                            _ => false,
                        }
                });
                *stage != Stage::Preparing && !in_use
            })
            .map(|(number, operation)| format!("{number}: {operation:?}"))
            .collect();
        self.expect(Promise::NothingLeftInMemory, held.is_empty(), || format!("{held:?}"));
        let clearing: Vec<_> = self
            .home
            .house
            .accounts
            .iter()
            .filter(|account| {
                matches!(
                    account.session,
                    Session::Clearing(_) | Session::ShredPending { .. } | Session::Undoable { .. }
                )
            })
            .map(|account| account.id.0.clone())
            .collect();
        self.expect(Promise::SignOutIsCarriedOut, clearing.is_empty(), || format!("{clearing:?} never ends"));
        let known: BTreeMap<_, _> =
            self.home.house.accounts.iter().map(|account| (account.id.0.clone(), account.generation)).collect();
        let rows = self.rows.clone();
        self.expect(Promise::GenerationsAgree, known == rows, || format!("house {known:?}, disk {rows:?}"));
        let storing = self.home.house.attempts.iter().any(|attempt| matches!(attempt.phase, Phase::Storing { .. }));
        self.expect(Promise::OneAccountAPerson, !storing, || "a sign-in is stored for ever".to_owned());
    }

    fn ends_well(&mut self, pending: &Pending) -> Arrival {
        match &pending.effect {
            Effect::Prepare { .. } => prepared(),
            Effect::Send => tokens(self.home.now),
            _ => loop {
                let arrival = self.ends(pending);
                let stuck = matches!(&arrival, Arrival::NotSaved(Problem::Internal { .. }));
                if stuck || !matches!(arrival, Arrival::NotSaved(_) | Arrival::KeyKept(_)) {
                    return arrival;
                }
            },
        }
    }
}

trait Stages {
    fn copied_stages(self) -> Vec<Stage>;
}

impl<'a, I: Iterator<Item = &'a (AccountId, Generation, Stage)>> Stages for I {
    fn copied_stages(self) -> Vec<Stage> {
        self.map(|(.., stage)| *stage).collect()
    }
}

fn some_account(dice: &mut Dice, number: usize) -> Account {
    let terms = Terms { refresh_ends_access_token: dice.one_in(3), ..Terms::default() };
    let mut account = any_account(dice, number);
    // Signed in for some of the resources that are asked for.
    account.parts.resources = (0..dice.below(2 * MOST)).map(|number| format!("https://{number}.example")).collect();
    Account { terms, ..account }
}

fn any_account(dice: &mut Dice, number: usize) -> Account {
    let name = number.to_string();
    match dice.below(10) {
        0 => with_refresh(&name, Refresh::Journaled { hash: "hash".into() }),
        1 => signed_in(
            &name,
            Access { expires: Some(START.plus(HOUR)), lifetime: Some(3_600_000), ..Access::default() },
            false,
        ),
        2 => signed_in(&name, Access { expires: None, lifetime: None, ..Access::default() }, true),
        // Written down before the machine was started anew, with a clock that is right, or behind.
        5 | 6 => {
            let left = if dice.one_in(2) { HOUR } else { HOUR * 1000 };
            let expires = Some(Moment { boot: None, ..START.plus(left) });
            signed_in(&name, Access { expires, lifetime: Some(3_600_000), ..Access::default() }, !dice.one_in(4))
        }
        3 => Account { session: Session::NeedsSignIn { why: Why::Refused }, ..account(&name) },
        4 => {
            let clearing =
                Clearing { until: Some(START.plus(seconds(0))), ..Clearing::new(Operation(0), dice.one_in(2), false) };
            Account { session: Session::Clearing(clearing), access: None, refreshable: false, ..account(&name) }
        }
        _ => account(&name),
    }
}

fn lives() -> &'static BTreeMap<Promise, String> {
    static LIVED: OnceLock<BTreeMap<Promise, String>> = OnceLock::new();
    LIVED.get_or_init(|| {
        let mut broken = BTreeMap::new();
        for seed in 0..LIVES {
            for (promise, how) in Life::new(seed).live() {
                broken.entry(promise).or_insert(how);
            }
        }
        broken
    })
}

fn holds(promise: Promise) {
    if let Some(how) = lives().get(&promise) {
        panic!("{promise:?} is broken: {how}");
    }
}

#[test]
fn at_most_one_refresh_of_an_account_is_in_flight() {
    holds(Promise::OneRefreshAnAccount);
}

#[test]
fn nothing_is_sent_that_was_not_prepared() {
    holds(Promise::SentOnlyWhenPrepared);
}

#[test]
fn a_spent_token_is_never_sent_again() {
    holds(Promise::SpentTokenNeverSentAgain);
}

#[test]
fn new_tokens_are_stored_before_they_count() {
    holds(Promise::StoredBeforePublished);
}

#[test]
fn nothing_is_handed_out_of_an_account_that_is_not_signed_in() {
    holds(Promise::NoHandOutWhenSignedOut);
}

#[test]
fn what_is_handed_out_is_good_for_a_while() {
    holds(Promise::HandedOutIsGood);
}

#[test]
fn who_was_rejected_never_gets_the_same_token_again() {
    holds(Promise::RejectedNotHandedOut);
}

#[test]
fn no_program_gets_a_token_that_its_person_did_not_agree_to() {
    holds(Promise::NoHandOutWithoutConsent);
}

#[test]
fn nothing_is_handed_out_while_all_is_locked() {
    holds(Promise::NoHandOutWhenLocked);
}

#[test]
fn no_refresh_starts_while_all_is_sealed() {
    holds(Promise::NothingStartsWhenSealed);
}

#[test]
fn a_seal_leaves_the_key_of_what_is_in_flight() {
    holds(Promise::KeysStayForWhatIsInFlight);
}

#[test]
fn a_token_that_a_refresh_may_have_ended_is_never_handed_out() {
    holds(Promise::EndedNotHandedOut);
}

#[test]
fn no_token_has_more_access_than_was_granted() {
    holds(Promise::OnlyWhatWasGranted);
}

#[test]
fn every_ask_is_answered_once_as_time_passes() {
    holds(Promise::EveryAskAnsweredOnce);
}

#[test]
fn signed_out_never_comes_before_the_key_is_deleted() {
    holds(Promise::KeyDeletedBeforeSignedOut);
}

#[test]
fn a_sign_out_ends_signed_out_unless_it_is_undone() {
    holds(Promise::SignOutIsCarriedOut);
}

#[test]
fn no_operation_leaves_tokens_in_memory() {
    holds(Promise::NothingLeftInMemory);
}

#[test]
fn never_more_than_four_refreshes_of_one_client() {
    holds(Promise::FourAtOnce);
}

#[test]
fn no_refresh_starts_while_all_is_quiet() {
    holds(Promise::NothingStartsWhenQuiet);
}

#[test]
fn wake_never_stays_in_the_past() {
    holds(Promise::WakeMakesProgress);
}

#[test]
fn no_two_accounts_have_one_label() {
    holds(Promise::LabelsDiffer);
}

#[test]
fn no_person_has_two_accounts_at_one_issuer() {
    holds(Promise::OneAccountAPerson);
}

#[test]
fn house_and_disk_agree_once_all_is_at_rest() {
    holds(Promise::GenerationsAgree);
}

#[test]
fn what_is_moved_is_neither_used_nor_revoked_here() {
    holds(Promise::MovedIsElsewhere);
}

#[test]
fn every_state_has_a_view_and_every_problem_its_words() {
    holds(Promise::WordsAndViews);
}
