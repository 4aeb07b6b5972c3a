//! Programs that the policy says to ask about: whose turn it is, what was answered, and who is not asked about again yet.

use crate::account::{Account, Session};
use crate::effect::HouseEffect;
use crate::house::{ASK_PATIENCE, Ask, House, MOST_ASKS, record_of, refuse, trouble};
use crate::names::{AccountId, PromptId};
use crate::problem::Problem;
use crate::protocol::Choice;
use crate::time::{Moment, Now};
use crate::view::{AskingProgram, EventKind, GrantView, PromptView};
use std::time::Duration;

/// How long a person has for an answer. Enough to come back from the kettle; a script that waits longer is stuck.
pub const PROMPT_PATIENCE: Duration = Duration::from_secs(120);

/// Prompts that wait at once. Nobody answers more of them in [`PROMPT_PATIENCE`].
pub const MOST_PROMPTS: usize = 16;

/// What is allowed for a session, at the most; the oldest goes first.
pub const MOST_GRANTS: usize = 256;

/// After a no, or no answer, a program is not asked about again for this long; twice as long after the next one, and so on.
pub const QUIET_FIRST: Duration = Duration::from_secs(60);

/// It is never longer than this.
pub const QUIET_MOST: Duration = Duration::from_secs(60 * 60);

/// A prompt that nobody waits for any more is taken away. So often that costs the program nothing: people press Ctrl+C. Past
/// it, it counts as a no, so that no program can make a window blink.
pub const FREE_WITHDRAWALS: u32 = 3;

/// Refusals that are remembered, at the most; the oldest goes first.
const MOST_REFUSALS: usize = 256;

/// Who can be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Whoever sits at the window that is attached.
    Window,
    /// The person's own command.
    Command,
    /// Nobody: then the answer is no.
    #[default]
    Nobody,
}

/// What happens to consent.
#[derive(Clone, Debug)]
pub enum ConsentEvent {
    /// A program asks, and the policy says to ask its person. `fresh` is an id that no prompt has.
    Asked {
        /// For what.
        ask: Ask,
        /// What asks.
        program: Box<AskingProgram>,
        /// For a new prompt.
        fresh: PromptId,
    },
    /// From now on this is who can be asked.
    Via(Way),
    /// Somebody answered.
    Answered {
        /// What.
        prompt: PromptId,
        /// How.
        choice: Choice,
    },
    /// The policy allows, or denies, what this prompt asks.
    Settled {
        /// What.
        prompt: PromptId,
        /// Whether it allows it.
        allowed: bool,
    },
    /// What this program was allowed for the session is taken back; `*` is every program, or every account.
    Revoked {
        /// Its path.
        program: String,
        /// The account's id.
        account: String,
    },
}

/// What waits for an answer, and what was answered.
#[derive(Clone, Debug, Default)]
pub struct Consent {
    /// The oldest first; only that one is shown.
    pub prompts: Vec<Prompt>,
    /// Until the agent ends, or the lock.
    pub grants: Vec<Grant>,
    /// Who can be asked.
    pub way: Way,
    refusals: Vec<Refusal>,
}

/// A question to the person. Asks that look the same to them share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// Its random id.
    pub id: PromptId,
    /// Whose token.
    pub account: AccountId,
    /// What asks; of several processes the first one.
    pub program: AskingProgram,
    /// When it is refused by itself.
    pub until: Moment,
    /// Who gets the answer.
    pub asks: Vec<Ask>,
}

/// What a program was allowed for this session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Of which account.
    pub account: AccountId,
    /// The program's path.
    pub program: String,
    /// With these arguments alone, where the program runs others.
    pub arguments: Option<Vec<String>>,
}

/// A program that got no yes for an account, and how often.
#[derive(Clone, Debug)]
struct Refusal {
    account: AccountId,
    program: String,
    withdrawals: u32,
    refusals: u32,
    /// Until when it is not asked about again.
    quiet: Moment,
}

impl Grant {
    fn covers(&self, account: &AccountId, program: &AskingProgram) -> bool {
        self.account == *account
            && self.program == program.path
            && self.arguments.as_ref().is_none_or(|arguments| *arguments == program.arguments)
    }
}

impl Prompt {
    /// Whether a person could not tell the two apart.
    fn looks_like(&self, account: &AccountId, program: &AskingProgram) -> bool {
        let same = AskingProgram { pid: self.program.pid, ..program.clone() };
        self.account == *account && self.program == same
    }
}

impl Consent {
    /// Milliseconds until a prompt is refused by itself.
    pub fn wake(&self, now: Now) -> Option<i64> {
        self.prompts.iter().map(|prompt| prompt.until.wait(now)).min()
    }

    /// The prompt that is shown: one at a time.
    pub fn first(&self) -> Option<&Prompt> {
        self.prompts.first()
    }

    /// The prompt with this id.
    pub fn find(&self, id: &PromptId) -> Option<&Prompt> {
        self.prompts.iter().find(|prompt| prompt.id == *id)
    }

    fn waiting(&self) -> usize {
        self.prompts.iter().map(|prompt| prompt.asks.len()).sum()
    }

    fn take(&mut self, id: &PromptId) -> Option<Prompt> {
        let place = self.prompts.iter().position(|prompt| prompt.id == *id)?;
        Some(self.prompts.remove(place))
    }

    /// Whether this program was refused this account a moment ago.
    fn quiet(&self, account: &AccountId, program: &str, now: Now) -> bool {
        self.refusals
            .iter()
            .any(|known| known.account == *account && known.program == program && known.quiet.wait(now) > 0)
    }

    fn forgive(&mut self, account: &AccountId, program: &str) {
        self.refusals.retain(|known| known.account != *account || known.program != program);
    }

    /// Remembers that there was no yes, so that the program does not ask again at once.
    fn remember(&mut self, prompt: &Prompt, withdrawn: bool, now: Now) {
        let same = |known: &Refusal| known.account == prompt.account && known.program == prompt.program.path;
        let mut refusal = match self.refusals.iter().position(same) {
            Some(place) => self.refusals.remove(place),
            None => Refusal {
                account: prompt.account.clone(),
                program: prompt.program.path.clone(),
                withdrawals: 0,
                refusals: 0,
                quiet: now.plus(Duration::ZERO),
            },
        };
        if withdrawn {
            refusal.withdrawals = refusal.withdrawals.saturating_add(1);
        }
        if !withdrawn || refusal.withdrawals > FREE_WITHDRAWALS {
            let doubled = QUIET_FIRST.saturating_mul(2_u32.saturating_pow(refusal.refusals.min(16)));
            refusal.quiet = now.plus(doubled.min(QUIET_MOST));
            refusal.refusals = refusal.refusals.saturating_add(1);
        }
        if self.refusals.len() >= MOST_REFUSALS {
            self.refusals.remove(0);
        }
        self.refusals.push(refusal);
    }

    /// Somebody who asked is gone. A prompt that nobody waits for is taken away.
    pub fn gone(&mut self, ask: u64, now: Now) {
        for prompt in &mut self.prompts {
            prompt.asks.retain(|waiting| waiting.id != ask);
        }
        if let Some(place) = self.prompts.iter().position(|prompt| prompt.asks.is_empty()) {
            let prompt = self.prompts.remove(place);
            self.remember(&prompt, true, now);
        }
    }
}

/// What follows for the house.
pub(crate) fn happen(house: &mut House, event: ConsentEvent, now: Now, effects: &mut Vec<HouseEffect>) {
    match event {
        ConsentEvent::Asked { ask, program, fresh } => asked(house, ask, *program, fresh, now, effects),
        ConsentEvent::Via(way) => house.consent.way = way,
        ConsentEvent::Answered { prompt, choice } => {
            if let Some(prompt) = house.consent.take(&prompt) {
                answered(house, prompt, choice, now, effects);
            }
        }
        ConsentEvent::Settled { prompt, allowed } => {
            if let Some(prompt) = house.consent.take(&prompt) {
                if allowed {
                    release(house, prompt, now, effects);
                } else {
                    let problem = denied(house, &prompt);
                    turn_away(&prompt, &problem, effects);
                }
            }
        }
        ConsentEvent::Revoked { program, account } => {
            let is = |pattern: &str, name: &str| pattern == "*" || pattern == name;
            let taken = |grant: &Grant| is(&program, &grant.program) && is(&account, grant.account.as_str());
            house.consent.grants.retain(|grant| !taken(grant));
        }
    }
}

/// Ends what is over: prompts that nobody answered in time, that nobody can answer, or whose account is out of reach.
pub(crate) fn expire(house: &mut House, now: Now, effects: &mut Vec<HouseEffect>) {
    let mut left = Vec::new();
    for prompt in std::mem::take(&mut house.consent.prompts) {
        if let Some(problem) = hopeless(house, &prompt.account) {
            turn_away(&prompt, &problem, effects);
        } else if let Some(problem) = house.lock.refusal() {
            turn_away(&prompt, &problem, effects);
        } else if house.consent.way == Way::Nobody {
            let (program, account) = names(house, &prompt.account, &prompt.program);
            turn_away(&prompt, &Problem::NobodyToAsk { program, account }, effects);
        } else if prompt.until.wait(now) <= 0 {
            let (program, account) = names(house, &prompt.account, &prompt.program);
            let seconds = u32::try_from(PROMPT_PATIENCE.as_secs()).unwrap_or_default();
            turn_away(&prompt, &Problem::ConsentTimeout { program, account, seconds }, effects);
            house.consent.remember(&prompt, false, now);
        } else {
            left.push(prompt);
        }
    }
    house.consent.prompts = left;
    let locked = house.lock.refusal().is_some();
    let signed_in =
        |id: &AccountId| house.accounts.iter().any(|known| known.id == *id && known.session != Session::SignedOut);
    house.consent.grants.retain(|grant| !locked && signed_in(&grant.account));
}

/// Why nobody needs to be asked about this account: it has no token to give.
fn hopeless(house: &House, id: &AccountId) -> Option<Problem> {
    let Some(account) = house.accounts.iter().find(|known| known.id == *id) else {
        return Some(Problem::NoSuchAccount { account: id.0.clone() });
    };
    match &account.session {
        Session::SignedIn { .. } => None,
        Session::NeedsSignIn { .. } => trouble(account),
        _ => Some(Problem::SignedOut { account: account.identity.label.clone() }),
    }
}

fn label(house: &House, id: &AccountId) -> String {
    let known: Option<&Account> = house.accounts.iter().find(|known| known.id == *id);
    known.map_or_else(|| id.0.clone(), |known| known.identity.label.clone())
}

fn names(house: &House, account: &AccountId, program: &AskingProgram) -> (String, String) {
    (called(&program.path), label(house, account))
}

/// A program in a sentence.
pub fn called(path: &str) -> String {
    if path.is_empty() { "an unknown program".to_owned() } else { path.to_owned() }
}

fn denied(house: &House, prompt: &Prompt) -> Problem {
    let (program, account) = names(house, &prompt.account, &prompt.program);
    Problem::Denied { program, account }
}

fn asked(
    house: &mut House,
    ask: Ask,
    program: AskingProgram,
    fresh: PromptId,
    now: Now,
    effects: &mut Vec<HouseEffect>,
) {
    let account = ask.account.clone();
    let (name, of) = names(house, &account, &program);
    let refusal = if let Some(problem) = house.lock.refusal() {
        problem
    } else if let Some(problem) = hopeless(house, &account) {
        problem
    } else if house.consent.grants.iter().any(|grant| grant.covers(&account, &program)) {
        return house.asks.push(ask);
    } else if house.consent.way == Way::Nobody {
        Problem::NobodyToAsk { program: name, account: of }
    } else if house.consent.quiet(&account, &program.path, now) {
        Problem::ConsentRefused { program: name, account: of }
    } else if house.consent.waiting() + house.asks.len() >= MOST_ASKS {
        Problem::NotYet { account: of }
    } else if let Some(prompt) = house.consent.prompts.iter_mut().find(|prompt| prompt.looks_like(&account, &program)) {
        return prompt.asks.push(ask);
    } else if house.consent.prompts.len() >= MOST_PROMPTS {
        let most = u32::try_from(MOST_PROMPTS).unwrap_or(u32::MAX);
        Problem::TooManyPrompts { program: name, most }
    } else {
        let prompt = Prompt { id: fresh, account, program, until: now.plus(PROMPT_PATIENCE), asks: vec![ask] };
        return house.consent.prompts.push(prompt);
    };
    effects.push(record_of(EventKind::Refused, Some(account), Some(program.path), Some(refusal.clone())));
    effects.push(refuse(&ask, refusal));
}

fn answered(house: &mut House, prompt: Prompt, choice: Choice, now: Now, effects: &mut Vec<HouseEffect>) {
    let said =
        |kind, problem| record_of(kind, Some(prompt.account.clone()), Some(prompt.program.path.clone()), problem);
    match choice {
        Choice::Once => effects.push(said(EventKind::AllowedOnce, None)),
        Choice::Always => effects.push(said(EventKind::AllowedAlways, None)),
        Choice::Session => {
            effects.push(said(EventKind::AllowedForSession, None));
            let grant = Grant {
                account: prompt.account.clone(),
                program: prompt.program.path.clone(),
                arguments: prompt.program.anything_run_by.then(|| prompt.program.arguments.clone()),
            };
            let (covered, left) = std::mem::take(&mut house.consent.prompts)
                .into_iter()
                .partition(|other| grant.covers(&other.account, &other.program));
            house.consent.prompts = left;
            if house.consent.grants.len() >= MOST_GRANTS {
                house.consent.grants.remove(0);
            }
            house.consent.grants.push(grant);
            let covered: Vec<Prompt> = covered;
            for other in covered {
                release(house, other, now, effects);
            }
        }
        Choice::NotNow => {
            let (program, account) = names(house, &prompt.account, &prompt.program);
            turn_away(&prompt, &Problem::ConsentRefused { program, account }, effects);
            return house.consent.remember(&prompt, false, now);
        }
        Choice::Never => {
            let problem = denied(house, &prompt);
            return turn_away(&prompt, &problem, effects);
        }
    }
    release(house, prompt, now, effects);
}

/// Everybody who waited for this answer goes on, as if they had asked now.
fn release(house: &mut House, prompt: Prompt, now: Now, effects: &mut Vec<HouseEffect>) {
    house.consent.forgive(&prompt.account, &prompt.program.path);
    for ask in prompt.asks {
        let ask = Ask { since: now, until: now.plus(ASK_PATIENCE), ..ask };
        if house.asks.len() < MOST_ASKS {
            house.asks.push(ask);
        } else {
            let account = label(house, &ask.account);
            effects.push(refuse(&ask, Problem::NotYet { account }));
        }
    }
}

/// Everybody who waited gets no token. It is recorded once.
fn turn_away(prompt: &Prompt, problem: &Problem, effects: &mut Vec<HouseEffect>) {
    let program = Some(prompt.program.path.clone());
    effects.push(record_of(EventKind::Refused, Some(prompt.account.clone()), program, Some(problem.clone())));
    effects.extend(prompt.asks.iter().map(|ask| refuse(ask, problem.clone())));
}

/// What waits for an answer, for those who show it.
pub fn prompts(house: &House) -> Vec<PromptView> {
    let view = |prompt: &Prompt| PromptView {
        id: prompt.id.clone(),
        account: prompt.account.clone(),
        label: label(house, &prompt.account),
        program: prompt.program.clone(),
        until: prompt.until.wall,
        waiting: u32::try_from(prompt.asks.len()).unwrap_or(u32::MAX),
    };
    house.consent.prompts.iter().map(view).collect()
}

/// What was allowed for this session, for those who show it.
pub fn grants(house: &House) -> Vec<GrantView> {
    let view = |grant: &Grant| GrantView {
        program: grant.program.clone(),
        arguments: grant.arguments.clone(),
        account: label(house, &grant.account),
    };
    house.consent.grants.iter().map(view).collect()
}
