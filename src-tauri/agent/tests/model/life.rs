//! A life: the agent and the model, side by side.

use crate::around::Keys;
use crate::oracle::{Account, Asked, End, Env, Item, Phase};
use crate::server::{LIFETIME, Net, Server};
use crate::step::{SLOTS, Step};
use crate::world::{Reply, World};
use larder_agent::clock::Clock;
use larder_agent::grants;
use larder_agent::seal::{DataKey, Place, open};
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Request};
use larder_core::time::Now;
use larder_core::view::LockState;
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Figures of all lives.
pub static STEPS: AtomicU64 = AtomicU64::new(0);
pub static FIGURES: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// What somebody puts in a key's place.
pub const SWAPPED: [u8; 32] = [7; 32];

/// So long the machine is held up for what is in flight.
const HELD_UP_MOST: i64 = 4_000;

/// A sleep of whose end nobody told is over after this.
const ANNOUNCED_MOST: i64 = 120_000;

pub fn count(what: &'static str, many: u64) {
    *FIGURES.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += many;
}

/// A life.
pub struct Life {
    pub world: World,
    pub accounts: [Account; SLOTS],
    pub disk: bool,
    pub lock: LockState,
    pub allow: bool,
    /// Whether `providers.toml` can be read.
    pub readable: bool,
    /// What each account's row is sealed with.
    pub keys: HashMap<String, Vec<u8>>,
    /// Sessions that nobody has any more and nobody could be told of.
    pub orphans: [HashSet<usize>; 2],
    /// Answers that are still to come, with what was asked.
    pub open: Vec<(String, Reply, i64)>,
    /// Since when the machine is about to sleep.
    pub asleep: Option<i64>,
    /// It woke up in this step.
    pub woke: bool,
    /// What was asked of each account while nothing could begin.
    pub wanting: [Asked; SLOTS],
    /// How often each refresh token had come when the last step ended.
    pub came: [HashMap<(usize, usize), u32>; 2],
    pub step: String,
}

pub fn server_of(slot: usize) -> usize {
    usize::from(slot == 2)
}

pub fn subject(slot: usize) -> String {
    format!("person-{slot}")
}

impl Life {
    pub fn new() -> Self {
        let mut world = World::new();
        world.start();
        Self {
            world,
            accounts: [Account::absent(), Account::absent(), Account::absent()],
            disk: true,
            lock: LockState::Unlocked,
            allow: true,
            readable: true,
            keys: HashMap::new(),
            orphans: [HashSet::new(), HashSet::new()],
            open: Vec::new(),
            asleep: None,
            woke: false,
            wanting: [Asked::Nothing; SLOTS],
            came: [HashMap::new(), HashMap::new()],
            step: "the beginning".to_owned(),
        }
    }

    pub fn env(&self, slot: usize) -> Env {
        let Now { wall, boot } = self.world.clock.now();
        let (net, keys) = (self.world.servers[server_of(slot)].net(), self.world.memory.shelf().keys);
        let asleep = self.asleep.is_some();
        Env { net, disk: self.disk, keys, lock: self.lock, asleep, wall: wall.0, boot: boot.0 }
    }

    pub fn healthy(&self, slot: usize) -> bool {
        let env = self.env(slot);
        env.net == Net::Up && env.disk && env.keys == Keys::Open && !env.sealed() && !env.asleep
    }

    pub fn name(&self, slot: usize) -> String {
        self.accounts[slot].id.clone().unwrap_or_else(|| format!("account-{slot}"))
    }

    pub fn fail(&self, why: &str) -> ! {
        panic!("after {}: {why}; the model: {:?}", self.step, self.accounts);
    }

    /// Refresh tokens of this session that came in since the last step.
    pub fn sent(&self, server: usize, session: usize) -> u32 {
        let record = self.world.servers[server].record();
        let Some(found) = record.sessions.get(session) else { return 0 };
        let before = |number: &usize| self.came[server].get(&(session, *number)).copied().unwrap_or_default();
        found.came.iter().map(|(number, came)| came - before(number)).sum()
    }

    /// How the accounts' items in the keychain stand, which the test can see.
    pub fn look_at_items(&mut self) {
        let shelf = self.world.memory.shelf();
        for account in &mut self.accounts {
            let Some(id) = &account.id else { continue };
            account.item = match shelf.items.get(id) {
                None => Item::Missing,
                found if found == self.keys.get(id) => Item::Good,
                Some(_) => Item::Foreign,
            };
        }
    }

    /// What was asked is done, and the agent rests: each account is as the model says, or one of the ways in which it may be.
    pub fn agree(&mut self, asked: impl Fn(usize) -> Asked) {
        self.world.settle();
        let ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), asked(slot)));
        self.meet(ends);
    }

    /// Each account has come to one of these ends.
    pub fn meet(&mut self, ends: [Vec<End>; SLOTS]) {
        let view = self.world.view();
        for (slot, ends) in ends.into_iter().enumerate() {
            let before = self.accounts[slot].clone();
            let label = format!("account-{slot}");
            let shown = view.accounts.iter().find(|account| account.label == label);
            let sent = self.sent(server_of(slot), before.session);
            let stands = shown.map(|account| account.state);
            let mut fitting: Vec<_> = ends.iter().filter(|end| end.view == stands && end.sent == sent).collect();
            // Of those that look the same, the one that the disk knows.
            let known = before.id.as_ref().and_then(|id| self.generation_on_disk(id));
            if fitting.iter().any(|end| Some(end.after.generation) == known) {
                fitting.retain(|end| Some(end.after.generation) == known);
            }
            let mut fitting = fitting.into_iter();
            let Some(end) = fitting.next() else {
                let problem = shown.and_then(|shown| shown.problem.clone());
                self.fail(&format!(
                    "{label} is {stands:?} ({problem:?}) with {sent} sent, and may be {:?}",
                    ends.iter().map(|end| (end.view, end.sent, end.because)).collect::<Vec<_>>()
                ));
            };
            let mut after = end.after.clone();
            // Where two ends look the same, what differs between them is not known.
            for other in fitting {
                if other.after.key != after.key {
                    after.key = None;
                }
                after.resumed = after.resumed.max(other.after.resumed);
                after.unwritten |= other.after.unwritten;
            }
            if after.unwritten && after.id.as_ref().and_then(|id| self.generation_on_disk(id)) == Some(after.generation)
            {
                after.unwritten = false;
            }
            let env = self.env(slot);
            after.promise = match shown.and_then(|shown| shown.refresh_at).map(|at| at.0) {
                Some(at) if after.waiting && Some(at) != before.promise.map(|(wall, _)| wall) => {
                    // A while from now, by the clock that nobody sets.
                    if at - env.wall > 2_200_000 {
                        self.fail(&format!("{label} waits for {} ms", at - env.wall));
                    }
                    Some((at, env.boot + at - env.wall))
                }
                Some(at) if Some(at) == before.promise.map(|(wall, _)| wall) => before.promise,
                // A moment after the machine woke up, whatever a clock that was set makes of it.
                Some(at) if self.woke && before.promise.is_none() && after.generation == before.generation => {
                    Some((at, env.boot + at - env.wall))
                }
                Some(at) => {
                    let margin = after.ends.0 - at;
                    if (LIFETIME / 5 - 1..=LIFETIME / 4 + 1).contains(&margin) {
                        Some((at, after.ends.1 - margin))
                    } else if at > env.wall && !self.woke {
                        self.fail(&format!("{label} is to be refreshed {margin} ms before its token ends"));
                    } else {
                        // At once, or a moment after the machine woke up.
                        Some((at, env.boot + at - env.wall))
                    }
                }
                // Local trouble is looked at again within 36 s.
                None if after.unsaved && env.disk && before.unsaved => before.promise,
                None if after.unsaved => Some((env.wall, env.boot + 36_000)),
                // It is not shown, and holds again once the sign-out is taken back.
                None if after.phase == Phase::Undoable && after.generation > before.generation => {
                    let margin = self.margin(slot, after.generation);
                    Some((after.ends.0 - margin, after.ends.1 - margin))
                }
                // A refusal that came meanwhile is asked for again.
                None if after.phase == Phase::Undoable && before.refused && !after.refused => {
                    Some((env.wall, env.boot))
                }
                None if after.phase == Phase::Undoable => before.promise,
                None => None,
            };
            // What was answered and is seen to be here has been received; not the answer to the next one that was sent at once and
            // was lost.
            if after.current
                && (after.generation == before.generation + 1 && after.phase == Phase::In && !before.unsaved
                    || after.unsaved && !before.unsaved)
            {
                let mut record = self.world.servers[server_of(slot)].record();
                if let Some(session) = record.sessions.get_mut(after.session) {
                    let number = session.current.wrapping_sub(1);
                    session.received.insert(number, true);
                }
            }
            self.accounts[slot] = after;
        }
        self.woke = false;
        self.look_at_items();
        for account in &self.accounts {
            // What the agent stored for a sign-in that then could not be written opens nothing.
            if account.phase == Phase::Out && account.item == Item::Good {
                self.fail("an account is signed out, and the key that opens it is kept");
            }
        }
        self.look();
    }

    fn generation_on_disk(&self, id: &str) -> Option<u64> {
        let disk = &self.world.running.as_ref().unwrap().disk;
        disk.query_row("SELECT generation FROM account WHERE id = ?1", [id], |row| row.get(0)).ok()
    }

    /// What holds after each step, whatever it was.
    pub fn look(&mut self) {
        let least = self.asleep.map_or(0, |since| self.env(0).boot - since);
        let in_flight = self.accounts.iter().any(|account| account.held || account.unsaved);
        let rests = |account: &Account| !matches!(account.phase, Phase::Undoable | Phase::Leaving);
        let holds = self.world.holds();
        if self.asleep.is_none() && !holds
            || self.asleep.is_some() && holds && least >= HELD_UP_MOST
            || self.asleep.is_some() && holds && !in_flight && self.accounts.iter().all(rests)
        {
            self.fail(&format!("whether the machine is held up is {holds}, {least} ms after it was to sleep"));
        }
        for server in 0..2 {
            let record = self.world.servers[server].record();
            if let Some(broken) = record.broken.first() {
                let broken = broken.clone();
                drop(record);
                self.fail(&broken);
            }
            let mut come = HashMap::new();
            for (number, session) in record.sessions.iter().enumerate() {
                let refreshes = session.came.iter().map(|(token, times)| ((number, *token), *times));
                come.extend(refreshes);
                let ours = (0..SLOTS).find(|slot| {
                    server_of(*slot) == server
                        && self.accounts[*slot].session == number
                        && self.accounts[*slot].phase != Phase::Out
                });
                let lives = session.over.is_none();
                if let Some(slot) = ours
                    && self.accounts[slot].phase == Phase::In
                    && self.accounts[slot].current
                    && !lives
                {
                    let why = session.over;
                    drop(record);
                    self.fail(&format!("session {number} of account-{slot} is over: {why:?}"));
                }
                if lives && ours.is_none() && !self.orphans[server].contains(&number) {
                    drop(record);
                    self.fail(&format!("session {number} lives on, and nobody has it"));
                }
            }
            drop(record);
            self.came[server] = come;
        }
        self.hear();
    }

    /// What lies on the disk opens with the account's key, is of the generation that the model says, and is the refresh token
    /// that the server takes.
    pub fn look_at_disk(&self) {
        let disk = &self.world.running.as_ref().unwrap().disk;
        let rows: usize = disk.query_row("SELECT count(*) FROM account", [], |row| row.get(0)).unwrap();
        let expected = self.accounts.iter().filter(|account| account.phase != Phase::Absent).count();
        if rows != expected {
            self.fail(&format!("{rows} accounts are on the disk, and {expected} should be"));
        }
        for slot in 0..SLOTS {
            let account = self.accounts[slot].clone();
            let Some(id) = account.id.as_ref().filter(|_| account.phase != Phase::Absent) else { continue };
            let Ok(row) = grants::sealed(disk, &AccountId::from(id.as_str())) else { self.fail("an account is lost") };
            let (found, known) = (row.generation().0, account.generation);
            if found != known && !account.unwritten && account.phase != Phase::Leaving {
                self.fail(&format!("account-{slot} is of generation {found} on the disk, and of {known} in the model"));
            }
            if !matches!(account.phase, Phase::In | Phase::Undoable) {
                continue;
            }
            let key = self.keys.get(id).and_then(|bytes| DataKey::from_bytes(bytes));
            let Some(key) = key else { self.fail("there never was a key") };
            self.is_bound(disk, &AccountId::from(id.as_str()), &row, &key);
            let opened = row.open_all(&AccountId::from(id.as_str()), &key);
            let Ok(Some(tokens)) = opened.map(|opened| opened.tokens) else {
                self.fail(&format!("what lies on the disk of account-{slot} does not open"));
            };
            let refresh = tokens.refresh_token.map(|token| token.expose_secret().to_owned()).unwrap_or_default();
            let Some((session, number)) = Server::parse(&refresh) else { self.fail("it is no token") };
            let current = self.world.servers[server_of(slot)].record().sessions[session].current;
            let fits = number == current || !account.current || account.held || account.unsaved;
            if session != account.session || !fits {
                self.fail(&format!(
                    "account-{slot} keeps {refresh}, and the server takes number {current} of {}",
                    account.session
                ));
            }
        }
    }

    /// What is sealed for one generation opens for no other: a row that is put back from before is noticed.
    fn is_bound(&self, disk: &rusqlite::Connection, id: &AccountId, row: &grants::Sealed, key: &DataKey) {
        for column in ["access_token", "refresh_token"] {
            let statement = format!("SELECT {column} FROM account WHERE id = ?1");
            let sealed: Vec<u8> = disk.query_row(&statement, [id.as_str()], |row| row.get(0)).unwrap();
            let place = row.place(id, column);
            let later = Place { generation: place.generation + 1, ..row.place(id, column) };
            if open(key, place, &sealed).is_err() || open(key, later, &sealed).is_ok() {
                self.fail(&format!("{column} of {id:?} does not open for its generation alone"));
            }
        }
    }

    /// Answers that have come; those that should have, and have not.
    pub fn hear(&mut self) {
        let boot = self.world.clock.now().boot.0;
        let held =
            self.accounts.iter().any(|account| account.held || account.phase == Phase::Leaving || account.unsaved);
        let mut late = None;
        self.open.retain_mut(|(what, reply, since)| match reply.try_recv() {
            Err(tokio::sync::oneshot::error::TryRecvError::Empty) => {
                if boot - *since > 46_000 && !held {
                    late = Some(what.clone());
                }
                true
            }
            _ => false,
        });
        if let Some(what) = late {
            self.fail(&format!("no answer to {what}"));
        }
    }

    /// An answer that must be there now.
    pub fn now(&mut self, what: &str, mut reply: Reply) -> Option<Result<Answer, Problem>> {
        match reply.try_recv() {
            Ok(answer) => Some(answer),
            Err(tokio::sync::oneshot::error::TryRecvError::Closed) => {
                self.fail(&format!("{what} was dropped unanswered"))
            }
            Err(_) => {
                self.open.push((what.to_owned(), reply, self.world.clock.now().boot.0));
                None
            }
        }
    }

    pub fn apply(&mut self, step: Step) {
        self.step = format!("{step:?}");
        STEPS.fetch_add(1, Ordering::SeqCst);
        count(step.kind(), 1);
        let nothing = |_| Asked::Nothing;
        match step {
            Step::SignIn { slot } => self.sign_in(slot),
            Step::Tokens { slot, programs } => self.tokens(slot, programs),
            Step::Refresh { slot } => self.refresh(slot),
            Step::SignOut { slot, undoable, forget, here_only } => self.sign_out(slot, undoable, forget, here_only),
            Step::Undo { slot } => self.undo(slot),
            Step::Pass { seconds } => self.pass(seconds * 1000),
            Step::Sleep { seconds } => {
                self.world.advance(seconds * 1000);
                self.wake_up_in_time();
                self.agree_with_wants();
            }
            Step::Suspend => self.suspend(),
            Step::Resume => {
                self.world.announce(false);
                self.wake_up();
                self.agree_with_wants();
            }
            Step::SetWall { seconds } => {
                self.world.clock.set_wall(seconds * 1000);
                self.agree(nothing);
            }
            Step::Net { server, net } => self.net(server, net),
            Step::Disk { works } => {
                self.disk = works;
                self.world.disk(works);
                self.agree(nothing);
            }
            Step::Keychain { keys } => {
                self.world.keys(keys);
                self.agree(nothing);
            }
            Step::LoseItem { slot } | Step::SwapItem { slot } => self.hurt_item(slot, step),
            Step::Lock { seal } => self.turn(seal),
            Step::Unlock => self.unlock(),
            Step::Restart => self.restart(),
            Step::Crash => self.crash(),
            Step::Between { slot, after, by } => self.between(slot, after, by),
            Step::Policy { allow } => {
                self.allow = allow;
                self.world.policy(allow);
                self.agree(nothing);
            }
            Step::Providers { title } => {
                self.readable = title < 2;
                match title {
                    2 => std::fs::write(self.world.profile.providers(), "[provider.north\nis not TOML").unwrap(),
                    title => self.world.providers(["North", "The North Sea"][title]),
                }
                self.agree(nothing);
            }
            Step::EndSession { slot } => self.end_session(slot),
        }
        self.look_at_disk();
    }

    pub fn pass(&mut self, millis: i64) {
        let mut left = millis;
        while left > 0 {
            let by = self.world.clock.next().unwrap_or(left).clamp(1, left);
            self.world.advance(by);
            left -= by;
            self.wake_up_in_time();
            self.agree_with_wants();
        }
    }

    /// The machine is about to sleep. What waits on this machine does not wait any longer.
    pub fn suspend(&mut self) {
        self.world.announce(true);
        let Env { wall, boot, .. } = self.env(0);
        if self.asleep.is_none() {
            self.asleep = Some(boot);
            self.hurry(wall, boot);
        }
        self.agree(|_| Asked::Nothing);
    }

    pub fn hurry(&mut self, wall: i64, boot: i64) {
        for account in &mut self.accounts {
            match account.phase {
                Phase::Undoable => account.undo_until = boot,
                Phase::In if account.unsaved => account.promise = Some((wall, boot)),
                _ => {}
            }
        }
    }

    /// It is awake: what is due begins in a moment, and what somebody waits for at once.
    fn wake_up(&mut self) {
        let env = self.env(0);
        if self.asleep.take().is_none() {
            return;
        }
        self.woke = true;
        for account in &mut self.accounts {
            if account.phase == Phase::In && !account.unsaved && account.due(env) {
                account.promise = None;
            }
        }
    }

    /// Nobody says that it is awake, and it is.
    fn wake_up_in_time(&mut self) {
        let boot = self.env(0).boot;
        if self.asleep.is_some_and(|since| boot - since >= ANNOUNCED_MOST) {
            self.wake_up();
        }
    }

    /// Each account is as the model says; where somebody waits since the machine was about to sleep, it may have what they want.
    fn agree_with_wants(&mut self) {
        if !self.woke || self.asleep.is_some() {
            return self.agree(|_| Asked::Nothing);
        }
        self.world.settle();
        let wanting = std::mem::replace(&mut self.wanting, [Asked::Nothing; SLOTS]);
        let ends = [0, 1, 2].map(|slot| {
            let mut ends = self.accounts[slot].ends(self.env(slot), Asked::Nothing);
            if wanting[slot] != Asked::Nothing {
                ends.extend(self.accounts[slot].ends(self.env(slot), wanting[slot]));
            }
            ends
        });
        self.meet(ends);
    }

    pub fn net(&mut self, server: usize, net: Net) {
        self.world.servers[server].set(net);
        self.agree(|_| Asked::Nothing);
    }

    pub fn hurt_item(&mut self, slot: usize, step: Step) {
        if let Some(id) = self.accounts[slot].id.clone() {
            let mut shelf = self.world.memory.shelf();
            match step {
                Step::LoseItem { .. } => drop(shelf.items.remove(&id)),
                _ => drop(shelf.items.get_mut(&id).map(|item| *item = SWAPPED.to_vec())),
            }
        }
        self.look_at_items();
        self.agree(|_| Asked::Nothing);
    }

    pub fn turn(&mut self, seal: bool) {
        let reply = self.world.request(Request::Lock { seal });
        let sealed = seal || self.lock == LockState::Sealed;
        self.lock = if sealed { LockState::Sealed } else { LockState::Locked };
        if sealed {
            self.forget_keys();
        }
        self.agree(|_| Asked::Nothing);
        if !matches!(self.now("a lock", reply), Some(Ok(Answer::Locked { .. }))) {
            self.fail("it does not lock");
        }
    }

    pub fn forget_keys(&mut self) {
        for account in &mut self.accounts {
            // What is in flight keeps its key until it is on the disk.
            account.key = if account.held || account.unsaved { None } else { Some(false) };
        }
    }

    pub fn unlock(&mut self) {
        let opens = self.world.memory.shelf().keys;
        let reply = self.world.answered(Request::Unlock { passphrase: None });
        if matches!(opens, Keys::Open | Keys::Denying) {
            self.lock = LockState::Unlocked;
        }
        self.agree(|_| Asked::Nothing);
        match self.now("an unlock", reply) {
            Some(Ok(_)) if self.lock == LockState::Unlocked => {}
            Some(Err(_)) if opens != Keys::Open => {}
            other => self.fail(&format!("unlock: {other:?}")),
        }
    }
}
