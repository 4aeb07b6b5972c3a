//! What a person is told by notification, decided from what the agent says: views and moments in, notices out.
//! Nothing here shows anything. Never a storm: accounts that ask within [`GATHERED`] become one notice, and an account
//! that has been told of is silent until its state has changed.

use crate::language::Spoken;
use crate::menu::program_name;
use larder_core::names::{AccountId, PromptId};
use larder_core::time::WallTime;
use larder_core::view::{AccountState, AccountView, HouseView};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long others of the same kind are waited for.
const GATHERED: Duration = Duration::from_secs(10);

/// Trouble shorter than this passed before anybody could have noticed it.
const NOTICED: Duration = Duration::from_secs(5 * 60);

/// A sign-in that ends within this time of a redirect is the one that the redirect was for.
const EXCHANGED: Duration = Duration::from_secs(60);

/// An account, as a notice names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: AccountId,
    /// What its person calls it.
    pub label: String,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// These need their person.
    SignIn(Vec<Named>),
    /// These are fresh again, after trouble that lasted.
    Recovered(Vec<Named>),
    /// A sign-in ended well, and its window may not have come to the front.
    SignedIn {
        /// Name, address or label.
        who: String,
    },
    /// A program waits for an answer, and its window may not have come to the front.
    Asks {
        /// Of which question.
        prompt: PromptId,
        /// What it is called.
        program: String,
        /// For which account.
        label: String,
    },
    /// The window was closed where nothing shows that Larder goes on.
    Background,
}

/// A notice in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// The title; plain text.
    pub title: String,
    /// The rest; plain text.
    pub body: String,
    /// What its button says, if it has one.
    pub button: Option<String>,
    /// Whether it may be missed: it then leaves nothing behind.
    pub passing: bool,
}

impl Notice {
    /// What it says.
    pub fn words(&self, spoken: Spoken) -> Words {
        // For one account its own name, for several their number; the rest of it is then their names.
        let of = |title: &str, body: &str, accounts: &[Named]| {
            let first = accounts.first().map(|named| named.label.as_str()).unwrap_or_default();
            let body = if accounts.len() == 1 { spoken.text(body) } else { labels(accounts) };
            (spoken.count(title, accounts.len(), &[("account", first)]), body)
        };
        let ((title, body), button) = match self {
            Self::SignIn(accounts) => (
                of("notice.sign-in-needed", "notice.sign-in-needed-body", accounts),
                Some(spoken.text(if accounts.len() == 1 { "notice.sign-in" } else { "menu.open" })),
            ),
            Self::Recovered(accounts) => (of("notice.recovered", "notice.recovered-body", accounts), None),
            Self::SignedIn { who } => {
                ((spoken.with("notice.signed-in", &[("who", who)]), spoken.text("notice.signed-in-body")), None)
            }
            Self::Asks { program, label, .. } => {
                let title = spoken.with("notice.asks", &[("program", program), ("account", label)]);
                ((title, spoken.text("notice.asks-body")), Some(spoken.text("notice.answer")))
            }
            Self::Background => ((spoken.text("notice.background"), spoken.text("notice.background-body")), None),
        };
        Words { title, body, button, passing: matches!(self, Self::Recovered(_) | Self::SignedIn { .. }) }
    }

    /// Whether what it asks for was done meanwhile, so that it can be taken back.
    pub fn is_over(&self, house: &HouseView) -> bool {
        let asks = |named: &Named| {
            house.accounts.iter().any(|known| known.id == named.id && known.state == AccountState::SignInAgain)
        };
        match self {
            Self::SignIn(accounts) => !accounts.iter().any(asks),
            Self::Asks { prompt, .. } => house.prompts.iter().all(|known| known.id != *prompt),
            Self::Recovered(_) | Self::SignedIn { .. } | Self::Background => false,
        }
    }
}

fn labels(accounts: &[Named]) -> String {
    accounts.iter().map(|named| named.label.as_str()).collect::<Vec<_>>().join(", ")
}

#[derive(Debug)]
struct Known {
    state: AccountState,
    signed_in_at: Option<WallTime>,
    /// Since when it has not been fresh, for a reason that passes.
    trouble: Option<Instant>,
    /// Its person was told that it needs a sign-in.
    told: bool,
}

/// Accounts that wait to become one notice.
#[derive(Debug, Default)]
struct Gathering {
    due: Option<Instant>,
    accounts: Vec<Named>,
}

impl Gathering {
    fn add(&mut self, account: &AccountView, now: Instant) {
        self.due.get_or_insert(now + GATHERED);
        if !self.accounts.iter().any(|named| named.id == account.id) {
            self.accounts.push(Named { id: account.id.clone(), label: account.label.clone() });
        }
    }

    /// Whoever is not in this state any more is not told of.
    fn keep(&mut self, house: &HouseView, state: impl Fn(AccountState) -> bool) {
        self.accounts.retain(|named| house.accounts.iter().any(|known| known.id == named.id && state(known.state)));
        if self.accounts.is_empty() {
            self.due = None;
        }
    }

    fn take(&mut self, now: Instant) -> Option<Vec<Named>> {
        self.due.take_if(|due| *due <= now)?;
        Some(std::mem::take(&mut self.accounts))
    }
}

/// What was seen, and what is to be told.
#[derive(Debug, Default)]
pub struct Notices {
    /// Nothing was seen before the first view: what it shows is older than this start.
    known: Option<BTreeMap<AccountId, Known>>,
    sign_in: Gathering,
    recovered: Gathering,
    redirect: Option<Instant>,
    /// The question that its person was called for last.
    asked: Option<PromptId>,
}

impl Notices {
    /// A redirect came from the browser.
    pub fn redirect_came(&mut self, now: Instant) {
        self.redirect = Some(now);
    }

    /// The agent said how things stand. What is returned is to be told at once; the rest waits, see [`Self::next`].
    pub fn see(&mut self, house: &HouseView, now: Instant) -> Option<Notice> {
        let mut before = self.known.take();
        let first = before.is_none();
        let mut after = BTreeMap::new();
        let mut signed_in = None;
        for account in &house.accounts {
            let old = before.as_mut().and_then(|known| known.remove(&account.id));
            if !first
                && account.signed_in_at.is_some()
                && old.as_ref().and_then(|old| old.signed_in_at) != account.signed_in_at
                && self.redirect.take_if(|came| now.duration_since(*came) <= EXCHANGED).is_some()
            {
                signed_in = Some(Notice::SignedIn { who: who(account) });
            }
            let known = self.follow(account, old, now);
            after.insert(account.id.clone(), known);
        }
        self.known = Some(after);
        self.sign_in.keep(house, |state| state == AccountState::SignInAgain);
        self.recovered.keep(house, |state| matches!(state, AccountState::Fresh | AccountState::Refreshing));
        signed_in
    }

    /// A question that its person has not been called for yet: the one whose turn it is.
    pub fn asks(&mut self, house: &HouseView, spoken: Spoken) -> Option<Notice> {
        let prompt = house.prompts.first().filter(|prompt| self.asked.as_ref() != Some(&prompt.id))?;
        self.asked = Some(prompt.id.clone());
        let program = program_name(&prompt.program, spoken);
        Some(Notice::Asks { prompt: prompt.id.clone(), program, label: prompt.label.clone() })
    }

    fn follow(&mut self, account: &AccountView, old: Option<Known>, now: Instant) -> Known {
        use AccountState as S;
        let was = old.as_ref().map(|old| old.state);
        let (mut trouble, mut told) = old.map_or((None, false), |old| (old.trouble, old.told));
        match account.state {
            S::Waiting => {
                trouble.get_or_insert(now);
            }
            // Between two attempts, or while a sign-out can be undone, nothing has changed yet.
            S::Refreshing | S::Undoable => {}
            S::Fresh => {
                told = false;
                if trouble.take().is_some_and(|since| now.duration_since(since) > NOTICED) {
                    self.recovered.add(account, now);
                }
            }
            S::SignInAgain => {
                trouble = None;
                if was != Some(S::SignInAgain) && !told {
                    told = true;
                    self.sign_in.add(account, now);
                }
            }
            S::Blocked => trouble = None,
            S::SigningOut | S::SignedOut => {
                trouble = None;
                told = false;
            }
        }
        Known { state: account.state, signed_in_at: account.signed_in_at, trouble, told }
    }

    /// When [`Self::due`] has something to say, if nothing happens before.
    pub fn next(&self) -> Option<Instant> {
        [self.sign_in.due, self.recovered.due].into_iter().flatten().min()
    }

    /// What has gathered by now.
    pub fn due(&mut self, now: Instant) -> Vec<Notice> {
        let sign_in = self.sign_in.take(now).map(Notice::SignIn);
        let recovered = self.recovered.take(now).map(Notice::Recovered);
        sign_in.into_iter().chain(recovered).collect()
    }
}

/// Whom the provider knows; the label where it does not say.
fn who(account: &AccountView) -> String {
    account.email.as_ref().or(account.name.as_ref()).unwrap_or(&account.label).clone()
}

#[cfg(test)]
#[path = "notices_tests.rs"]
mod tests;
