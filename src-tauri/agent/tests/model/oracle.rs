//! The model: what each account must be like after a step. It knows nothing of how the agent is made; it is told what was asked,
//! what the faults are and what the server heard, and says how the account may stand then.

use crate::around::Keys;
use crate::server::{LIFETIME, Net};
use larder_core::view::{AccountState as View, LockState};

/// So long the agent may take to look again at what on this machine was in its way: 36 s, and what a step may take.
const LOOKED_AT_AGAIN: i64 = 40_000;

/// Before all that a life has of time.
pub const EVER: i64 = i64::MIN / 2;

/// How an account stands, in the model's few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is no such account.
    Absent,
    /// Signed in.
    In,
    /// Its person must sign in again.
    Needs,
    /// Signed out a moment ago; it can be undone.
    Undoable,
    /// The sign-out is being carried out.
    Leaving,
    /// Signed out.
    Out,
}

/// How the account's item in the keychain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Good,
    Missing,
    Foreign,
}

/// What is around at a step.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    pub net: Net,
    pub disk: bool,
    pub keys: Keys,
    pub lock: LockState,
    /// The machine is about to sleep, or asleep: no refresh begins.
    pub asleep: bool,
    pub wall: i64,
    pub boot: i64,
}

impl Env {
    pub fn sealed(self) -> bool {
        self.lock == LockState::Sealed
    }
}

/// One account, in the model.
#[derive(Clone, Debug)]
pub struct Account {
    pub phase: Phase,
    pub id: Option<String>,
    pub generation: u64,
    /// The server's session that it has.
    pub session: usize,
    /// Whether the refresh token that the agent would send is one that the server takes.
    pub current: bool,
    /// When its access token ends, on wall and boot clock.
    pub ends: (i64, i64),
    /// When the one ends that the server has granted, and that is not on the disk yet.
    pub coming: Option<(i64, i64)>,
    /// When the agent says that it will refresh it, on wall and boot clock.
    pub promise: Option<(i64, i64)>,
    /// A try failed, and is repeated.
    pub waiting: bool,
    /// New tokens are in the agent's memory alone.
    pub unsaved: bool,
    /// The server has the answer, and holds it.
    pub held: bool,
    /// And that is a refusal.
    pub refused: bool,
    /// A run before may have sent the refresh token: so often.
    pub resumed: u32,
    /// Whether the key is in the agent's memory, where that is known.
    pub key: Option<bool>,
    pub item: Item,
    pub undo_until: i64,
    pub forget: bool,
    pub revoke: bool,
    /// Since when nothing is in the way of its sign-out.
    pub clear_since: Option<i64>,
    /// Nothing of the sign-out could be written down.
    pub unwritten: bool,
    /// Since when it could be: at the latest after [`LOOKED_AT_AGAIN`] it is.
    pub writable_since: Option<i64>,
    /// How it stood when its sign-out began: the next start knows no more, where nothing was written.
    pub was: Phase,
}

/// What was asked of an account in a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    /// For a token.
    Token,
    /// To refresh.
    Refresh,
}

/// How a step may end for an account.
#[derive(Clone, Debug)]
pub struct End {
    pub after: Account,
    pub view: Option<View>,
    /// Refresh tokens that the server was sent.
    pub sent: u32,
    /// What it is, for people.
    pub because: &'static str,
}

impl Account {
    pub fn absent() -> Self {
        Self {
            phase: Phase::Absent,
            id: None,
            generation: 0,
            session: usize::MAX,
            current: false,
            ends: (0, 0),
            coming: None,
            promise: None,
            waiting: false,
            unsaved: false,
            held: false,
            refused: false,
            resumed: 0,
            key: Some(false),
            item: Item::Missing,
            undo_until: 0,
            forget: false,
            revoke: false,
            clear_since: None,
            unwritten: false,
            writable_since: None,
            was: Phase::Absent,
        }
    }

    /// Whether its access token is good for so long, by both clocks.
    pub fn good_for(&self, least: i64, env: Env) -> bool {
        let left = (self.ends.0 - env.wall).min(self.ends.1 - env.boot);
        left >= least && left <= LIFETIME
    }

    /// Whether its refresh is due, by what the agent said.
    pub fn due(&self, env: Env) -> bool {
        let Some((wall, boot)) = self.promise else { return false };
        if self.waiting || self.unsaved {
            return boot <= env.boot;
        }
        let left = (wall - env.wall).min(boot - env.boot);
        left <= 0 || left > LIFETIME
    }

    /// Whether the key opens for sure.
    pub fn opens(&self, env: Env) -> bool {
        self.key == Some(true) || (!env.sealed() && env.keys == Keys::Open && self.item == Item::Good)
    }

    /// How it is shown while nothing happens to it.
    pub fn shown(&self, env: Env) -> Option<View> {
        Some(match self.phase {
            Phase::Absent => return None,
            Phase::In if self.held => View::Refreshing,
            Phase::In if self.waiting || self.unsaved => View::Waiting,
            Phase::In if self.resumed > 0 => View::Refreshing,
            Phase::In if self.good_for(1, env) => View::Fresh,
            Phase::In => View::Refreshing,
            Phase::Needs => View::SignInAgain,
            Phase::Undoable => View::Undoable,
            Phase::Leaving => View::SigningOut,
            Phase::Out => View::SignedOut,
        })
    }

    /// When a token ends that is granted now.
    pub fn new_ends(env: Env) -> (i64, i64) {
        (env.wall + LIFETIME, env.boot + LIFETIME)
    }

    fn end(self, env: Env, sent: u32, because: &'static str) -> End {
        let view = self.shown(env);
        End { after: self, view, sent, because }
    }

    fn fresh(&self, env: Env) -> Self {
        Self {
            generation: self.generation + 1,
            ends: self.coming.unwrap_or(Self::new_ends(env)),
            coming: None,
            waiting: false,
            unsaved: false,
            held: false,
            resumed: 0,
            key: Self::kept(env),
            ..self.clone()
        }
    }

    /// Whether the key that an answer was stored with is still known then: sealed, an agent forgets it at once.
    fn kept(env: Env) -> Option<bool> {
        if env.sealed() { None } else { Some(true) }
    }

    /// It has what the server granted, and the disk takes it, or not.
    fn granted(&self, env: Env, sent: u32) -> End {
        if env.disk {
            return self.fresh(env).end(env, sent, "refreshed");
        }
        let coming = Some(self.coming.unwrap_or(Self::new_ends(env)));
        let kept = Self {
            coming,
            unsaved: true,
            waiting: false,
            held: false,
            resumed: 0,
            key: Self::kept(env),
            ..self.clone()
        };
        kept.end(env, sent, "granted, and the disk does not take it")
    }

    /// What came late gets onto the disk, or not; where it is old by then, the next refresh may begin at once.
    fn lands(&self, env: Env) -> Vec<End> {
        if self.held && self.refused {
            return vec![self.needs(env, 0, "invalid_grant came late")];
        }
        let landed = self.granted(env, 0);
        let after = landed.after.clone();
        let mut ends = vec![landed];
        let left = (after.ends.0 - env.wall).min(after.ends.1 - env.boot);
        if !after.unsaved && !env.sealed() && !env.asleep && !(LIFETIME / 4 + 2..=LIFETIME).contains(&left) {
            ends.extend(after.refreshes(env));
        }
        ends
    }

    fn needs(&self, env: Env, sent: u32, because: &'static str) -> End {
        Self {
            phase: Phase::Needs,
            waiting: false,
            held: false,
            unsaved: false,
            resumed: 0,
            current: false,
            ..self.clone()
        }
        .end(env, sent, because)
    }

    /// How a refresh that begins now may end.
    pub fn refreshes(&self, env: Env) -> Vec<End> {
        let mut ends = Vec::new();
        let wait = |key: Option<bool>, resumed: u32| Self { waiting: true, key, resumed, ..self.clone() };
        if self.key != Some(true) {
            let known = self.key == Some(false);
            match (env.keys, self.item) {
                (Keys::Open, Item::Good) => {}
                (Keys::Open, _) => ends.push(self.needs(env, 0, "its key is gone")),
                _ => ends.push(wait(self.key, self.resumed).end(env, 0, "the keychain does not open")),
            }
            if known && !ends.is_empty() {
                return ends;
            }
        }
        if !env.disk {
            ends.push(wait(Some(true), self.resumed).end(env, 0, "the disk takes no journal"));
            return ends;
        }
        if self.resumed >= 2 {
            ends.push(self.needs(env, 0, "it had its one more try"));
            // Unless a try since was not with a run before.
            if !self.waiting {
                return ends;
            }
        }
        let waits = || wait(Some(true), 0);
        ends.push(match env.net {
            Net::Refused => waits().end(env, 0, "nothing listens"),
            Net::Busy => waits().end(env, 0, "503"),
            Net::Portal => waits().end(env, 0, "a network's own page"),
            Net::Lost => Self { current: false, ..waits() }.end(env, 1, "the answer was lost"),
            Net::Slow => Self {
                coming: Some(Self::new_ends(env)),
                held: true,
                refused: !self.current,
                waiting: false,
                resumed: 0,
                key: Some(true),
                ..self.clone()
            }
            .end(env, 1, "the answer is held"),
            Net::Up if self.current => self.granted(env, 1),
            Net::Up => self.needs(env, 1, "invalid_grant"),
        });
        ends
    }

    /// How a sign-out that goes on now may end.
    pub fn clears(&self, env: Env) -> End {
        self.clears_where(env, env.keys == Keys::Open)
    }

    /// The same; whether the key is gone already, or can go.
    fn clears_where(&self, env: Env, key_goes: bool) -> End {
        let done = env.disk && key_goes;
        let mut after = self.clone();
        (after.waiting, after.held, after.unsaved, after.resumed, after.current) = (false, false, false, 0, false);
        after.phase = Phase::Leaving;
        after.unwritten &= !env.disk;
        if env.keys == Keys::Open {
            (after.item, after.key) = (Item::Missing, Some(false));
        }
        if !done {
            after.clear_since = None;
            return after.end(env, 0, "the sign-out is held up");
        }
        if after.forget {
            return Self::absent().end(env, 0, "forgotten");
        }
        after.phase = Phase::Out;
        after.end(env, 0, "signed out")
    }

    /// A sign-out that begins.
    pub fn signs_out(&self, env: Env, forget: bool) -> End {
        let unwritten = !env.disk;
        Self {
            generation: self.generation + 1,
            forget: self.forget || forget,
            unwritten,
            was: self.phase,
            clear_since: None,
            writable_since: env.disk.then_some(EVER),
            ..self.clone()
        }
        .clears(env)
    }

    /// Whether what is to be written of its sign-out may not have been yet.
    pub fn may_be_unwritten(&self, env: Env) -> bool {
        let waits = |since: i64| env.boot - since <= LOOKED_AT_AGAIN;
        !env.disk || self.writable_since.is_none_or(waits)
    }

    /// How a step may end for this account in which this was asked of it.
    pub fn ends(&self, env: Env, asked: Asked) -> Vec<End> {
        let stays = |because| self.clone().end(env, 0, because);
        match self.phase {
            Phase::Absent | Phase::Needs | Phase::Out => vec![stays("it rests")],
            Phase::Undoable if env.boot >= self.undo_until => vec![self.signs_out(env, self.forget)],
            Phase::Undoable => {
                let mut ends = vec![stays("it can be undone")];
                if self.unsaved && env.disk {
                    let saved = Self { phase: Phase::Undoable, ..self.fresh(env) };
                    ends.push(saved.end(env, 0, "saved"));
                }
                if self.held && env.net != Net::Slow {
                    // The answer came, whatever became of it.
                    let came = if self.refused {
                        Self { held: false, refused: false, ..self.clone() }
                    } else {
                        self.granted(env, 0).after
                    };
                    let came = Self { phase: Phase::Undoable, undo_until: self.undo_until, ..came };
                    return vec![came.end(env, 0, "the answer came while it can be undone")];
                }
                ends
            }
            Phase::Leaving => {
                let clear = env.disk && env.keys == Keys::Open;
                let late = |since: i64| env.boot - since > LOOKED_AT_AGAIN;
                let (since, writable) = (self.clear_since.unwrap_or(env.boot), self.writable_since.unwrap_or(env.boot));
                let goes_on = Self {
                    clear_since: clear.then_some(since),
                    writable_since: env.disk.then_some(writable),
                    ..self.clone()
                };
                if clear && late(since) {
                    return vec![self.clears(env)];
                }
                let mut ends = vec![goes_on.clears(env)];
                if env.disk && !clear && self.item == Item::Missing {
                    // The key may have gone before, while the files could not.
                    ends.insert(0, self.clears_where(env, true));
                }
                if !self.unwritten || self.may_be_unwritten(env) {
                    ends.push(goes_on.end(env, 0, "the sign-out waits"));
                }
                ends
            }
            Phase::In if self.held && env.net == Net::Slow => vec![stays("the answer is held")],
            Phase::In if self.held => self.lands(env),
            Phase::In if self.unsaved && !env.disk => vec![stays("the disk does not take it")],
            Phase::In if self.unsaved => {
                let mut ends = self.lands(env);
                if !self.due(env) {
                    ends.push(stays("it is written again later"));
                }
                ends
            }
            Phase::In => {
                let due = self.due(env) || (self.resumed > 0 && !self.waiting);
                // A token is wanted that is good for a tenth of its lifetime at least.
                let wanted = match asked {
                    Asked::Nothing => false,
                    Asked::Token => !self.good_for(LIFETIME / 10, env) && env.lock == LockState::Unlocked,
                    Asked::Refresh => true,
                };
                if env.sealed() || env.asleep {
                    return vec![stays("nothing may begin")];
                }
                let mut ends = Vec::new();
                let unopened = asked == Asked::Token && !self.opens(env);
                if due || wanted || self.waiting || unopened {
                    ends.extend(self.refreshes(env));
                }
                if !due && (!wanted || self.waiting) {
                    ends.push(stays("nothing is due"));
                }
                ends
            }
        }
    }
}
