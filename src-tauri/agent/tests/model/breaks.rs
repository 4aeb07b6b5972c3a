//! What breaks off in the middle: restarts, crashes, faults within a refresh; and the end, when all is mended.

use crate::around::Keys;
use crate::life::{Life, count, server_of};
use crate::oracle::{Account, Asked, EVER, End, Env, Phase};
use crate::server::{LIFETIME, Net, Server};
use crate::step::{By, SLOTS, Step};
use larder_agent::grants;
use larder_agent::seal::DataKey;
use larder_core::names::AccountId;
use larder_core::protocol::Request;
use larder_core::time::Now;
use larder_core::view::{AccountState as View, LockState};
use secrecy::ExposeSecret;
use std::collections::HashMap;

impl Life {
    pub fn restart(&mut self) {
        // What a server holds may be of a session that is nobody's any more.
        if !self.disk || self.world.servers.iter().any(|server| server.record().held > 0) {
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

    pub fn crash(&mut self) {
        for slot in 0..SLOTS {
            let account = &self.accounts[slot];
            // Of a sign-out that nothing took in the next agent knows as little as of the answer.
            let lost =
                account.unsaved || account.phase == Phase::Leaving && account.unwritten && account.was == Phase::In;
            if lost
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
    pub fn again(&mut self) {
        self.open.clear();
        (self.asleep, self.wanting) = (None, [Asked::Nothing; SLOTS]);
        let path = self.world.profile.database();
        let connection =
            rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        for slot in 0..SLOTS {
            let env = self.env(slot);
            let account = &mut self.accounts[slot];
            let Some(id) = account.id.clone() else { continue };
            let found = connection.query_row(
                "SELECT session, generation, in_flight IS NOT NULL, in_flight_tries, forget FROM account WHERE id = ?1",
                [&id],
                |row| {
                    let session = row.get::<_, String>(0)?;
                    Ok((
                        session,
                        row.get::<_, u64>(1)?,
                        row.get::<_, bool>(2)?,
                        row.get::<_, u32>(3)?,
                        row.get::<_, bool>(4)?,
                    ))
                },
            );
            let Ok((session, generation, in_flight, tries, forget)) = found else {
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
                // Neither the disk nor, in time, the keychain took it in: then it is as it was before.
                Phase::Leaving if account.unwritten => match account.was {
                    Phase::Needs => &["needs-sign-in", "signed-in", "clearing", "signed-out"],
                    Phase::Out => &["clearing", "signed-out"],
                    _ => &["signed-in", "clearing", "signed-out"],
                },
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
            if account.phase == Phase::Leaving && account.forget && !forget && !account.may_be_unwritten(env) {
                self.fail(&format!("account-{slot} is to be forgotten, and the disk does not know it"));
            }
            (account.forget, account.undo_until) = (forget, 0);
            (account.clear_since, account.writable_since) = (None, Some(EVER));
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
    pub fn keeps_current(&self, slot: usize, disk: &rusqlite::Connection) -> bool {
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
    pub fn margin(&self, slot: usize, generation: u64) -> i64 {
        let lifetime = std::time::Duration::from_millis(LIFETIME.unsigned_abs());
        let now = Now::default();
        let id = AccountId(self.accounts[slot].id.clone().unwrap_or_default());
        let generation = larder_core::names::Generation(generation);
        let margin = larder_core::schedule::Margin::default();
        LIFETIME - larder_core::schedule::due(&id, generation, now.plus(lifetime), lifetime, margin).left(now)
    }

    pub fn between(&mut self, slot: usize, after: u32, by: By) {
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
            By::Suspend => {
                self.world.announce(true);
                self.asleep = Some(env.boot);
                self.hurry(env.wall, env.boot);
                self.world.settle();
                if !self.world.holds() {
                    self.fail("a refresh is under way, and the machine may sleep");
                }
                self.world.deliver = None;
                self.world.settle();
                let mut ends = [0, 1, 2].map(|slot| self.accounts[slot].ends(self.env(slot), Asked::Nothing));
                // What was not sent is put off.
                ends[slot] = match after {
                    0 => self.accounts[slot].ends(self.env(slot), Asked::Nothing),
                    _ => vec![before.fresh_as(self.env(slot), 1, Some(true))],
                };
                self.meet(ends);
                if after == 0 {
                    self.wants(slot, Asked::Refresh);
                }
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
    pub fn came_now(&mut self, server: usize) {
        let record = self.world.servers[server].record();
        let mut come = HashMap::new();
        for (number, session) in record.sessions.iter().enumerate() {
            come.extend(session.came.iter().map(|(token, times)| ((number, *token), *times)));
        }
        drop(record);
        self.came[server] = come;
    }

    pub fn end_session(&mut self, slot: usize) {
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
        self.apply(Step::Resume);
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
    pub fn fresh_as(&self, env: Env, sent: u32, key: Option<bool>) -> End {
        let after = Self {
            generation: self.generation + 1,
            ends: (env.wall + LIFETIME, env.boot + LIFETIME),
            key,
            ..self.clone()
        };
        End { view: after.shown(env), after, sent, because: "refreshed all the same" }
    }
}
