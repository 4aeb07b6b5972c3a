//! What people and programs do, and what must come of it.

use crate::around::Keys;
use crate::life::{Life, SWAPPED, count, server_of, subject};
use crate::oracle::{Account, Asked, End, Item, Phase};
use crate::server::{LIFETIME, Net};
use crate::world::PROVIDERS;
use larder_agent::grants;
use larder_agent::seal::DataKey;
use larder_core::names::AccountId;
use larder_core::protocol::{Answer, Authentication, OnWire, Request};
use larder_core::view::{AccountState as View, LockState};
use std::collections::HashMap;

impl Life {
    pub fn sign_in(&mut self, slot: usize) {
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
                    let candidates = [kept, Some(SWAPPED.to_vec())].into_iter().flatten();
                    in_use = candidates.into_iter().find(|key| self.opens_with(&id, key)).or(item.clone());
                }
                let Some(in_use) = in_use else { self.fail("signed in, and no key is kept") };
                let item = match item {
                    Some(item) if item == in_use => Item::Good,
                    Some(_) => Item::Foreign,
                    None => Item::Missing,
                };
                if env.keys == Keys::Open && item != Item::Good {
                    self.fail("signed in, and the key in the keychain does not open it");
                }
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
                if keeps && account.key != Some(true) {
                    for end in &mut ends[slot] {
                        end.after.key = None;
                    }
                }
            }
            Ok(other) => self.fail(&format!("an answer to something else: {other:?}")),
        }
        self.meet(ends);
    }

    pub fn opens_with(&self, id: &str, key: &[u8]) -> bool {
        let disk = &self.world.running.as_ref().unwrap().disk;
        let (Some(key), id) = (DataKey::from_bytes(key), AccountId::from(id)) else { return false };
        grants::sealed(disk, &id).is_ok_and(|row| row.open_all(&id, &key).is_ok())
    }

    pub fn tokens(&mut self, slot: usize, programs: usize) {
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
                if !after.held && !env.asleep {
                    self.fail("whoever asks for a token is not answered");
                }
                self.wants(slot, Asked::Token);
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

    pub fn refresh(&mut self, slot: usize) {
        let (before, healthy) = (self.accounts[slot].clone(), self.healthy(slot));
        let reply = self.world.request(Request::Refresh { account: self.name(slot) });
        self.agree(|asked| if asked == slot { Asked::Refresh } else { Asked::Nothing });
        let after = self.accounts[slot].clone();
        match self.now("a refresh", reply) {
            None if after.held || self.asleep.is_some() => self.wants(slot, Asked::Refresh),
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

    /// Somebody waits, and for as long as the machine is about to sleep.
    pub fn wants(&mut self, slot: usize, asked: Asked) {
        if self.asleep.is_some() && self.wanting[slot] != Asked::Refresh {
            self.wanting[slot] = asked;
        }
    }

    /// From now on nothing may be refreshed of this account's session, or it may again.
    pub fn leaving(&self, slot: usize, leaving: bool) {
        let mut record = self.world.servers[server_of(slot)].record();
        if let Some(session) = record.sessions.get_mut(self.accounts[slot].session) {
            session.leaving = leaving;
        }
    }

    pub fn sign_out(&mut self, slot: usize, undoable: bool, forget: bool, here_only: bool) {
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
            // It is tried again at once.
            Phase::Leaving if env.disk && env.keys == Keys::Open => vec![own.clears(env)],
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

    pub fn undo(&mut self, slot: usize) {
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
}
