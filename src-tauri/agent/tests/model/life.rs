//! A life: the agent and the model, side by side.

use crate::around::Keys;
use crate::oracle::{Account, Asked, End, Env, Item, Phase};
use crate::server::{LIFETIME, Net, Server};
use crate::step::{By, SLOTS, Step};
use crate::world::{PROVIDERS, Reply, World};
use larder_agent::clock::Clock;
use larder_agent::grants;
use larder_agent::seal::DataKey;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Authentication, OnWire, Request};
use larder_core::time::Now;
use larder_core::view::{AccountState as View, LockState};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Figures of all lives.
pub static STEPS: AtomicU64 = AtomicU64::new(0);
pub static FIGURES: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

pub fn count(what: &'static str, many: u64) {
    *FIGURES.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += many;
}

/// A life.
pub struct Life {
    world: World,
    accounts: [Account; SLOTS],
    disk: bool,
    lock: LockState,
    allow: bool,
    /// Whether `providers.toml` can be read.
    readable: bool,
    /// What each account's row is sealed with.
    keys: HashMap<String, Vec<u8>>,
    /// Sessions that nobody has any more and nobody could be told of.
    orphans: [HashSet<usize>; 2],
    /// Answers that are still to come, with what was asked.
    open: Vec<(String, Reply, i64)>,
    /// How often each refresh token had come when the last step ended.
    came: [HashMap<(usize, usize), u32>; 2],
    step: String,
}

fn server_of(slot: usize) -> usize {
    usize::from(slot == 2)
}

fn subject(slot: usize) -> String {
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
            came: [HashMap::new(), HashMap::new()],
            step: "the beginning".to_owned(),
        }
    }

    fn env(&self, slot: usize) -> Env {
        let Now { wall, boot } = self.world.clock.now();
        let (net, keys) = (self.world.servers[server_of(slot)].net(), self.world.memory.shelf().keys);
        Env { net, disk: self.disk, keys, lock: self.lock, wall: wall.0, boot: boot.0 }
    }

    fn healthy(&self, slot: usize) -> bool {
        let env = self.env(slot);
        env.net == Net::Up && env.disk && env.keys == Keys::Open && !env.sealed()
    }

    fn name(&self, slot: usize) -> String {
        self.accounts[slot].id.clone().unwrap_or_else(|| format!("account-{slot}"))
    }

    fn fail(&self, why: &str) -> ! {
        panic!("after {}: {why}; the model: {:?}", self.step, self.accounts);
    }

    /// Refresh tokens of this session that came in since the last step.
    fn sent(&self, server: usize, session: usize) -> u32 {
        let record = self.world.servers[server].record();
        let Some(found) = record.sessions.get(session) else { return 0 };
        let before = |number: &usize| self.came[server].get(&(session, *number)).copied().unwrap_or_default();
        found.came.iter().map(|(number, came)| came - before(number)).sum()
    }

    /// How the accounts' items in the keychain stand, which the test can see.
    fn look_at_items(&mut self) {
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
    fn agree(&mut self, asked: impl Fn(usize) -> Asked) {
        self.world.settle();
        let ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), asked(slot)));
        self.meet(ends);
    }

    /// Each account has come to one of these ends.
    fn meet(&mut self, ends: [Vec<End>; SLOTS]) {
        let view = self.world.view();
        for (slot, ends) in ends.into_iter().enumerate() {
            let before = self.accounts[slot].clone();
            let label = format!("account-{slot}");
            let shown = view.accounts.iter().find(|account| account.label == label);
            let sent = self.sent(server_of(slot), before.session);
            let stands = shown.map(|account| account.state);
            let mut fitting = ends.iter().filter(|end| end.view == stands && end.sent == sent);
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
            let env = self.env(slot);
            after.promise = match shown.and_then(|shown| shown.refresh_at).map(|at| at.0) {
                Some(at) if after.waiting && Some(at) != before.promise.map(|(wall, _)| wall) => {
                    // A while from now, by the clock that nobody sets.
                    if at - env.wall > 2_200_000 {
                        self.fail(&format!("{label} waits for {} ms", at - env.wall));
                    }
                    Some((at, env.boot + at - env.wall))
                }
                Some(_) if after.waiting => before.promise,
                Some(at) => {
                    let margin = after.ends.0 - at;
                    if !(LIFETIME / 5 - 1..=LIFETIME / 4 + 1).contains(&margin) && at > env.wall {
                        self.fail(&format!("{label} is to be refreshed {margin} ms before its token ends"));
                    }
                    Some((at, after.ends.1 - margin))
                }
                // Local trouble is looked at again within 36 s.
                None if after.unsaved && env.disk && before.unsaved => before.promise,
                None if after.unsaved => Some((env.wall, env.boot + 36_000)),
                None => None,
            };
            // What was answered and is seen to be here has been received.
            if after.generation == before.generation + 1 && after.phase == Phase::In && !before.unsaved
                || after.unsaved && !before.unsaved
            {
                let mut record = self.world.servers[server_of(slot)].record();
                if let Some(session) = record.sessions.get_mut(after.session) {
                    let number = session.current.wrapping_sub(1);
                    session.received.insert(number, true);
                }
            }
            self.accounts[slot] = after;
        }
        self.look_at_items();
        for account in &self.accounts {
            // What the agent stored for a sign-in that then could not be written opens nothing.
            if account.phase == Phase::Out && account.item == Item::Good {
                self.fail("an account is signed out, and the key that opens it is kept");
            }
        }
        self.look();
    }

    /// What holds after each step, whatever it was.
    fn look(&mut self) {
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
    fn look_at_disk(&self) {
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

    /// Answers that have come; those that should have, and have not.
    fn hear(&mut self) {
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
    fn now(&mut self, what: &str, mut reply: Reply) -> Option<Result<Answer, Problem>> {
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
                self.agree(nothing);
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

    fn sign_in(&mut self, slot: usize) {
        let (server, env) = (server_of(slot), self.env(slot));
        let account = self.accounts[slot].clone();
        let known = account.phase != Phase::Absent;
        let request = Request::SignIn {
            provider: PROVIDERS[server].into(),
            label: (!known).then(|| format!("account-{slot}")),
            account: account.id.as_ref().filter(|_| known).map(|id| AccountId::from(id.as_str())),
            redirect: None,
            scopes: Vec::new(),
            authentication: Authentication::default(),
        };
        let reply = self.world.request(request);
        self.world.settle();
        let begun = match self.now("a sign-in", reply) {
            Some(Ok(Answer::SignIn { authorization_url, .. })) => authorization_url,
            Some(Err(_)) if env.sealed() || !self.readable => return self.agree(|_| Asked::Nothing),
            // It asks nobody yet, and needs nothing but the configuration, of which the last good reading stays.
            other => self.fail(&format!("a sign-in does not begin: {other:?}")),
        };
        if env.sealed() {
            self.fail("a sign-in began while all was sealed");
        }
        let url = url::Url::parse(&begun).unwrap();
        let query: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let code = self.world.servers[server].consent(&subject(slot), &query["code_challenge"]);
        let session = self.world.servers[server].record().sessions.len();
        let back = format!("dev.larder.desktop:/callback?code={code}&state={}", query["state"]);
        let callback = Request::Callback { url: OnWire::new(back), activation_token: None };
        let reply = self.world.request(callback);
        self.world.settle();
        let ended = match self.now("a redirect", reply) {
            Some(ended) => ended,
            None => self.fail("a sign-in does not end"),
        };
        let granted = self.world.servers[server].record().sessions.len() > session;
        let keeps = matches!(account.phase, Phase::In | Phase::Undoable);
        let exchanged = matches!(env.net, Net::Up | Net::Slow);
        let stored = env.disk && (env.keys == Keys::Open || keeps && account.key == Some(true));
        let welcome = account.phase != Phase::Leaving;
        let mut ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), Asked::Nothing));
        match ended {
            Ok(Answer::Account(shown)) => {
                if !exchanged || !env.disk || !welcome {
                    self.fail("a sign-in went well that could not");
                }
                let id = shown.id.0.clone();
                let item = self.world.memory.shelf().items.get(&id).cloned();
                let kept = self.keys.get(&id).cloned();
                // Where it had a key in memory that one goes on; else what the keychain has, or a new one.
                let mut in_use = item.clone();
                if keeps && account.key != Some(false) {
                    in_use = kept.filter(|kept| self.opens_with(&id, kept)).or(item.clone());
                }
                let Some(in_use) = in_use else { self.fail("signed in, and no key is kept") };
                let item = match item {
                    Some(item) if item == in_use => Item::Good,
                    Some(_) => Item::Foreign,
                    None => Item::Missing,
                };
                self.keys.insert(id.clone(), in_use);
                if known && account.session != usize::MAX {
                    self.orphans[server].insert(account.session);
                }
                let after = Account {
                    phase: Phase::In,
                    id: Some(id),
                    generation: account.generation + 1,
                    session,
                    current: true,
                    ends: (env.wall + LIFETIME, env.boot + LIFETIME),
                    key: Some(true),
                    item,
                    ..Account::absent()
                };
                // What of the session before was still under way may have been sent.
                ends[slot] = (0..2)
                    .map(|sent| End { view: after.shown(env), after: after.clone(), sent, because: "signed in" })
                    .collect();
            }
            Err(_) => {
                if exchanged && stored && welcome {
                    self.fail(&format!("a sign-in failed for no reason: {ended:?}"));
                }
                if granted && self.world.servers[server].record().sessions[session].over.is_none() {
                    // Nobody can be told of what got lost on the way.
                    if exchanged && env.net == Net::Up {
                        self.fail("tokens of a sign-in that failed were not given back");
                    }
                    self.orphans[server].insert(session);
                }
                // A new key was stored for a row that then could not be written: what was there needs none any more.
                if known && !keeps {
                    ends[slot].iter_mut().for_each(|end| end.after.key = None);
                }
                if keeps && account.key.is_none() || keeps && account.key == Some(false) {
                    for end in &mut ends[slot] {
                        end.after.key = None;
                    }
                }
            }
            Ok(other) => self.fail(&format!("an answer to something else: {other:?}")),
        }
        self.meet(ends);
    }

    fn opens_with(&self, id: &str, key: &[u8]) -> bool {
        let disk = &self.world.running.as_ref().unwrap().disk;
        let (Some(key), id) = (DataKey::from_bytes(key), AccountId::from(id)) else { return false };
        grants::sealed(disk, &id).is_ok_and(|row| row.open_all(&id, &key).is_ok())
    }

    fn tokens(&mut self, slot: usize, programs: usize) {
        let (before, env, healthy) = (self.accounts[slot].clone(), self.env(slot), self.healthy(slot));
        let replies: Vec<_> = (0..programs)
            .map(|_| {
                self.world.request(Request::Token {
                    account: self.name(slot),
                    min_validity: None,
                    dpop: None,
                    rejected: None,
                    scopes: Vec::new(),
                    resource: None,
                })
            })
            .collect();
        let allow = self.allow;
        self.agree(|asked| if asked == slot && allow { Asked::Token } else { Asked::Nothing });
        let after = self.accounts[slot].clone();
        for reply in replies {
            let Some(answer) = self.now("a token", reply) else {
                if !after.held {
                    self.fail("whoever asks for a token is not answered");
                }
                continue;
            };
            // Handing out reads the key, if it was not read before.
            self.accounts[slot].key = match (&answer, self.accounts[slot].key) {
                (Ok(_), _) => Some(true),
                (Err(_), Some(false)) if !env.sealed() => None,
                (Err(_), known) => known,
            };
            count(if answer.is_ok() { "tokens handed out" } else { "tokens refused" }, 1);
            match answer {
                Ok(Answer::Token { access_token, .. }) => {
                    if after.phase != Phase::In || env.lock != LockState::Unlocked || !self.allow {
                        self.fail("a token was handed out that must not be");
                    }
                    let accepted = self.world.servers[server_of(slot)].record().accepts(access_token.expose());
                    match accepted {
                        Ok(session) if session == after.session => {}
                        // The provider ended the session and told nobody.
                        Err(why) if !before.current && !why.ends_with("has ended") => {}
                        other => self.fail(&format!("a token was handed out that is not good: {other:?}")),
                    }
                }
                Ok(other) => self.fail(&format!("an answer to something else: {other:?}")),
                Err(problem) => {
                    let may = before.phase == Phase::In && env.lock == LockState::Unlocked && self.allow;
                    let good = before.good_for(LIFETIME / 10, env) && before.key == Some(true);
                    let goes = healthy
                        && before.current
                        && !before.waiting
                        && !before.held
                        && before.opens(env)
                        && before.resumed == 0;
                    if may && (good || goes) {
                        self.fail(&format!("a token was refused for no reason: {problem:?}"));
                    }
                }
            }
        }
    }

    fn refresh(&mut self, slot: usize) {
        let (before, healthy) = (self.accounts[slot].clone(), self.healthy(slot));
        let reply = self.world.request(Request::Refresh { account: self.name(slot) });
        self.agree(|asked| if asked == slot { Asked::Refresh } else { Asked::Nothing });
        let after = self.accounts[slot].clone();
        match self.now("a refresh", reply) {
            None if after.held => {}
            None => self.fail("whoever asks for a refresh is not answered"),
            Some(Ok(_)) if after.generation > before.generation => {}
            Some(Ok(_)) => self.fail("a refresh is said to have been, and was not"),
            Some(Err(problem)) => {
                let goes = before.phase == Phase::In
                    && healthy
                    && before.current
                    && !before.waiting
                    && !before.held
                    && !before.unsaved;
                if goes && before.opens(self.env(slot)) && before.resumed == 0 {
                    self.fail(&format!("a refresh failed for no reason: {problem:?}"));
                }
            }
        }
    }

    /// From now on nothing may be refreshed of this account's session, or it may again.
    fn leaving(&self, slot: usize, leaving: bool) {
        let mut record = self.world.servers[server_of(slot)].record();
        if let Some(session) = record.sessions.get_mut(self.accounts[slot].session) {
            session.leaving = leaving;
        }
    }

    fn sign_out(&mut self, slot: usize, undoable: bool, forget: bool, here_only: bool) {
        let (before, env, healthy) = (self.accounts[slot].clone(), self.env(slot), self.healthy(slot));
        self.leaving(slot, true);
        let account = self.name(slot);
        let reply = self.world.request(Request::SignOut { account, undoable, forget, here_only });
        self.world.settle();
        let mut ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), Asked::Nothing));
        let own = Account { forget: before.forget || forget, revoke: !here_only, ..before.clone() };
        let at_once = |own: Account| vec![own.signs_out(env, forget)];
        ends[slot] = match before.phase {
            Phase::Absent => ends[slot].clone(),
            Phase::Out if !forget => ends[slot].clone(),
            Phase::In if undoable => {
                let after = Account { phase: Phase::Undoable, undo_until: env.boot + 5000, forget, ..own };
                vec![End { view: Some(View::Undoable), after, sent: 0, because: "it can be undone" }]
            }
            Phase::Undoable if undoable => {
                let after = Account { revoke: before.revoke, ..own };
                after.ends(env, Asked::Nothing)
            }
            Phase::Leaving => own.ends(env, Asked::Nothing),
            Phase::In | Phase::Needs | Phase::Undoable | Phase::Out => at_once(own),
        };
        // Nothing of it is left at the provider, where that could be told.
        let told = !here_only && !undoable && matches!(before.phase, Phase::In | Phase::Undoable);
        let must = told && healthy && before.key == Some(true);
        let server = server_of(slot);
        let lives = self.world.servers[server]
            .record()
            .sessions
            .get(before.session)
            .is_some_and(|session| session.over.is_none());
        if must && lives {
            self.fail("the provider was not told of a sign-out");
        }
        if before.session != usize::MAX {
            self.orphans[server].insert(before.session);
        }
        self.meet(ends);
        match self.now("a sign-out", reply) {
            Some(Err(problem)) if before.phase != Phase::Absent && healthy => {
                self.fail(&format!("a sign-out failed for no reason: {problem:?}"));
            }
            _ => {}
        }
    }

    fn undo(&mut self, slot: usize) {
        let (before, env) = (self.accounts[slot].clone(), self.env(slot));
        if before.phase == Phase::Undoable && env.boot < before.undo_until {
            self.leaving(slot, false);
            self.accounts[slot].phase = Phase::In;
            self.accounts[slot].forget = false;
        }
        let reply = self.world.request(Request::UndoSignOut { account: self.name(slot) });
        self.agree(|_| Asked::Nothing);
        if let (Some(Err(problem)), true) = (self.now("an undo", reply), before.phase != Phase::Absent) {
            self.fail(&format!("an undo failed: {problem:?}"));
        }
    }

    fn pass(&mut self, millis: i64) {
        let mut left = millis;
        while left > 0 {
            let by = self.world.clock.next().unwrap_or(left).clamp(1, left);
            self.world.advance(by);
            left -= by;
            self.agree(|_| Asked::Nothing);
        }
    }

    fn net(&mut self, server: usize, net: Net) {
        self.world.servers[server].set(net);
        self.agree(|_| Asked::Nothing);
    }

    fn hurt_item(&mut self, slot: usize, step: Step) {
        if let Some(id) = self.accounts[slot].id.clone() {
            let mut shelf = self.world.memory.shelf();
            if shelf.items.contains_key(&id) {
                if matches!(step, Step::LoseItem { .. }) {
                    shelf.items.remove(&id);
                } else {
                    shelf.items.insert(id, vec![7; 32]);
                }
            }
        }
        self.look_at_items();
        self.agree(|_| Asked::Nothing);
    }

    fn turn(&mut self, seal: bool) {
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

    fn forget_keys(&mut self) {
        for account in &mut self.accounts {
            // What is in flight keeps its key until it is on the disk.
            account.key = if account.held || account.unsaved { None } else { Some(false) };
        }
    }

    fn unlock(&mut self) {
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

    fn restart(&mut self) {
        if !self.disk || self.accounts.iter().any(|account| account.held) {
            return self.crash();
        }
        for slot in 0..SLOTS {
            if self.accounts[slot].phase == Phase::Undoable {
                // An agent that ends does not wait for the last word.
                let ended = self.accounts[slot].signs_out(self.env(slot), false).after;
                if self.accounts[slot].session != usize::MAX {
                    self.orphans[server_of(slot)].insert(self.accounts[slot].session);
                }
                self.accounts[slot] = ended;
            }
        }
        self.world.stop();
        self.again();
    }

    fn crash(&mut self) {
        for slot in 0..SLOTS {
            let account = &self.accounts[slot];
            if account.unsaved
                && let Some(session) = self.world.servers[server_of(slot)].record().sessions.get_mut(account.session)
            {
                // It had the answer in memory alone: the next agent has one more try.
                session.received.clear();
            }
        }
        self.world.crash();
        self.again();
    }

    /// The next agent begins. What the last one wrote down is what there is.
    fn again(&mut self) {
        self.open.clear();
        let path = self.world.profile.database();
        let connection =
            rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        for slot in 0..SLOTS {
            let env = self.env(slot);
            let account = &mut self.accounts[slot];
            let Some(id) = account.id.clone() else { continue };
            let found = connection.query_row(
                "SELECT session, generation, in_flight IS NOT NULL, in_flight_tries FROM account WHERE id = ?1",
                [&id],
                |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?, row.get::<_, bool>(2)?, row.get::<_, u32>(3)?))
                },
            );
            let Ok((session, generation, in_flight, tries)) = found else {
                if !(account.phase == Phase::Leaving && account.forget || account.phase == Phase::Absent) {
                    self.fail(&format!("account-{slot} is lost"));
                }
                self.accounts[slot] = Account::absent();
                continue;
            };
            let expected: &[&str] = match account.phase {
                Phase::Absent => &[],
                Phase::In | Phase::Undoable => &["signed-in"],
                Phase::Needs => &["needs-sign-in", "signed-in"],
                Phase::Leaving if account.unwritten => &["signed-in", "needs-sign-in", "clearing", "signed-out"],
                // The last agent may have come further before it ended.
                Phase::Leaving => &["clearing", "signed-out"],
                Phase::Out => &["signed-out", "clearing"],
            };
            if !expected.contains(&session.as_str()) {
                let phase = account.phase;
                self.fail(&format!("account-{slot} was {phase:?}, and is {session} on the disk"));
            }
            if matches!(account.phase, Phase::In | Phase::Undoable)
                && !(account.generation..=account.generation + 1).contains(&generation)
            {
                let known = account.generation;
                self.fail(&format!("account-{slot} was of generation {known}, and is of {generation} on the disk"));
            }
            if account.phase == Phase::In
                && (account.held || account.unsaved)
                && generation == account.generation
                && !in_flight
            {
                self.fail(&format!("nothing on the disk says that a refresh token of account-{slot} may be spent"));
            }
            // What was being refreshed and got onto the disk is the newest; what did not is spent.
            if generation == account.generation + 1 && session == "signed-in" && account.phase != Phase::Leaving {
                *account = account_on_disk(account, env);
            } else if account.held || account.unsaved {
                account.current = false;
            }
            let was = account.phase;
            account.generation = generation;
            account.phase = match session.as_str() {
                "signed-in" => Phase::In,
                "needs-sign-in" => Phase::Needs,
                "clearing" => Phase::Leaving,
                _ => Phase::Out,
            };
            if account.phase == Phase::In {
                (account.forget, account.undo_until) = (false, 0);
            }
            account.clear_since = None;
            (account.waiting, account.held, account.unsaved, account.unwritten) = (false, false, false, false);
            account.refused = false;
            (account.key, account.promise, account.coming) = (Some(false), None, None);
            account.resumed = if in_flight && account.phase == Phase::In { tries } else { 0 };
            if account.phase == Phase::In {
                if was == Phase::Leaving {
                    // Nothing of the sign-out was written: it is as it was before.
                    self.accounts[slot].current = self.keeps_current(slot, &connection);
                }
                self.leaving(slot, false);
                let margin = self.margin(slot, generation);
                let account = &mut self.accounts[slot];
                account.promise = Some((account.ends.0 - margin, account.ends.1 - margin));
            }
        }
        drop(connection);
        // Whoever waits for its revocation waits in vain: that went with the memory.
        self.disk = true;
        self.world.start();
        self.agree(|_| Asked::Nothing);
    }

    /// Whether the refresh token that lies on the disk is one that the server takes.
    fn keeps_current(&self, slot: usize, disk: &rusqlite::Connection) -> bool {
        let id = AccountId(self.accounts[slot].id.clone().unwrap_or_default());
        let key = self.keys.get(id.as_str()).and_then(|bytes| DataKey::from_bytes(bytes));
        let opened = key.and_then(|key| grants::sealed(disk, &id).ok()?.open_all(&id, &key).ok());
        let token = opened.and_then(|opened| opened.tokens?.refresh_token);
        let parsed = token.and_then(|token| Server::parse(token.expose_secret()));
        parsed.is_some_and(|(session, number)| {
            let record = self.world.servers[server_of(slot)].record();
            let found = &record.sessions[session];
            found.over.is_none() && found.current == number
        })
    }

    /// How long before its token's end an account of this generation is refreshed.
    fn margin(&self, slot: usize, generation: u64) -> i64 {
        let lifetime = std::time::Duration::from_millis(LIFETIME.unsigned_abs());
        let now = Now::default();
        let id = AccountId(self.accounts[slot].id.clone().unwrap_or_default());
        let generation = larder_core::names::Generation(generation);
        LIFETIME - larder_core::schedule::due(&id, generation, now.plus(lifetime), lifetime).left(now)
    }

    fn between(&mut self, slot: usize, after: u32, by: By) {
        let before = self.accounts[slot].clone();
        let env = self.env(slot);
        let calm = before.phase == Phase::In
            && self.healthy(slot)
            && before.current
            && !before.waiting
            && !before.held
            && !before.unsaved
            && before.resumed == 0
            && before.key == Some(true)
            && self.accounts.iter().all(|account| account.phase != Phase::Leaving);
        if !calm {
            return self.refresh(slot);
        }
        count("something within a refresh", 1);
        self.world.deliver = Some(after);
        let reply = self.world.request(Request::Refresh { account: self.name(slot) });
        self.world.settle();
        let server = server_of(slot);
        let came = self.sent(server, before.session);
        if came != u32::from(after >= 1) {
            self.fail(&format!("{came} sent after {after} steps of a refresh"));
        }
        match by {
            By::Crash => {
                // The agent that is gone had the answer in memory, or on the disk; the next one has the latter alone.
                if after >= 1 {
                    (self.accounts[slot].held, self.accounts[slot].coming) = (true, Some(Account::new_ends(env)));
                }
                self.came_now(server);
                return self.crash();
            }
            By::SignOut => {
                self.leaving(slot, true);
                let account = self.name(slot);
                let out =
                    self.world.request(Request::SignOut { account, undoable: false, forget: false, here_only: false });
                self.world.settle();
                self.world.deliver = None;
                self.world.settle();
                self.orphans[server].insert(before.session);
                if self.world.servers[server].record().sessions[before.session].over.is_none() {
                    self.fail("the session of an account that was signed out within a refresh lives on");
                }
                let mut ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), Asked::Nothing));
                let mut end = before.signs_out(env, false);
                end.sent = came;
                ends[slot] = vec![end];
                self.meet(ends);
                self.now("a sign-out", out);
            }
            By::Seal => {
                let locked = self.world.request(Request::Lock { seal: true });
                self.lock = LockState::Sealed;
                self.world.settle();
                self.world.deliver = None;
                self.world.settle();
                self.forget_keys();
                self.accounts[slot].key = None;
                let mut ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), Asked::Nothing));
                ends[slot] = vec![before.fresh_as(self.env(slot), 1, None)];
                self.meet(ends);
                self.now("a lock", locked);
            }
            By::DiskFull | By::NetDown | By::KeysGone => {
                match by {
                    By::DiskFull => {
                        self.disk = false;
                        self.world.disk(false);
                    }
                    By::NetDown => self.world.servers[server].set(Net::Refused),
                    _ => self.world.keys(Keys::Gone),
                }
                self.world.deliver = None;
                self.world.settle();
                let now = self.env(slot);
                let mut ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), Asked::Nothing));
                ends[slot] = match (by, after) {
                    (By::DiskFull, 0 | 1) => {
                        let coming = Some(Account::new_ends(env));
                        let after = Account { unsaved: true, coming, ..before.clone() };
                        vec![End { view: Some(View::Waiting), after, sent: 1, because: "the disk is full" }]
                    }
                    (By::NetDown, 0) => {
                        let after = Account { waiting: true, ..before.clone() };
                        vec![End { view: Some(View::Waiting), after, sent: 0, because: "the network is gone" }]
                    }
                    _ => vec![before.fresh_as(now, 1, Some(true))],
                };
                self.meet(ends);
            }
        }
        self.now("a refresh", reply);
    }

    /// What has come in by now is known.
    fn came_now(&mut self, server: usize) {
        let record = self.world.servers[server].record();
        let mut come = HashMap::new();
        for (number, session) in record.sessions.iter().enumerate() {
            come.extend(session.came.iter().map(|(token, times)| ((number, *token), *times)));
        }
        drop(record);
        self.came[server] = come;
    }

    fn end_session(&mut self, slot: usize) {
        let account = &mut self.accounts[slot];
        if let Some(session) = self.world.servers[server_of(slot)].record().sessions.get_mut(account.session) {
            session.over.get_or_insert("its provider ended it");
            account.current = false;
        }
        self.agree(|_| Asked::Nothing);
    }

    /// All that was wrong is mended, and a while passes: then everything is well, and every answer has come.
    pub fn end(&mut self) {
        self.step = "the end, when all is mended".to_owned();
        for server in 0..2 {
            self.net(server, Net::Up);
        }
        self.disk = true;
        self.world.disk(true);
        self.agree(|_| Asked::Nothing);
        self.world.keys(Keys::Open);
        self.agree(|_| Asked::Nothing);
        self.unlock();
        self.pass(3 * LIFETIME);
        for slot in 0..SLOTS {
            let account = &self.accounts[slot];
            let well = matches!(account.phase, Phase::Absent | Phase::Needs | Phase::Out)
                || account.phase == Phase::In && !account.waiting && !account.unsaved && !account.held;
            if !well || account.phase == Phase::In && !account.good_for(LIFETIME / 10, self.env(slot)) {
                self.fail(&format!("account-{slot} does not get well"));
            }
        }
        if let Some((what, _, _)) = self.open.first() {
            self.fail(&format!("no answer to {what}"));
        }
        let records = self.world.servers.iter().map(Server::record);
        for record in records {
            count("requests that the servers got", record.requests);
            count("of them refreshes", record.refreshes);
            count("of them revocations", record.revocations);
            count("requests hurt by a fault", record.hurt);
        }
        let shelf = self.world.memory.shelf();
        count("calls of the keychain", shelf.calls);
        count("of them hurt by a fault", shelf.hurt);
        drop(shelf);
        self.world.crash();
    }
}

/// As it was being refreshed when the last agent ended, with what that still wrote.
fn account_on_disk(account: &Account, env: Env) -> Account {
    let mut known = account.clone();
    if account.held || account.unsaved {
        known.ends = account.coming.unwrap_or(Account::new_ends(env));
    }
    known
}

impl Account {
    /// It was refreshed within the step.
    fn fresh_as(&self, env: Env, sent: u32, key: Option<bool>) -> End {
        let after = Self {
            generation: self.generation + 1,
            ends: (env.wall + LIFETIME, env.boot + LIFETIME),
            key,
            ..self.clone()
        };
        End { view: after.shown(env), after, sent, because: "refreshed all the same" }
    }
}
