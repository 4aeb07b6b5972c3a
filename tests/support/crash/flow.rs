//! What an agent can be ended in the middle of, and what must be so afterwards.

use super::disk::{self, Row};
use super::{Ended, World};
use crate::support::{files_below, holds};
use serde_json::Value;
use std::time::{Duration, Instant};

/// An agent that finds a refresh that was cut off tries it at once: so soon, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// A refresh, at a provider that gives a new refresh token each time and ends the session where an old one comes again.
    Refresh,
    /// A refresh, at a provider whose refresh tokens stay.
    RefreshLenient,
    /// A sign-in, from the redirect on.
    SignIn,
    /// Signing in again to an account that is there.
    SignInAgain,
    /// A sign-out.
    SignOut,
    /// A sign-out that forgets.
    Forget,
    /// An account goes into a file.
    Export,
    /// It comes out of it.
    Import,
    /// The start on databases of this older schema.
    Migration(usize),
}

/// Refreshes.
pub const REFRESHES: &[Flow] = &[Flow::Refresh, Flow::RefreshLenient];

/// Sign-ins.
pub const SIGN_INS: &[Flow] = &[Flow::SignIn, Flow::SignInAgain];

/// Sign-outs.
pub const SIGN_OUTS: &[Flow] = &[Flow::SignOut, Flow::Forget];

/// Accounts go to another machine.
pub const MOVES: &[Flow] = &[Flow::Export, Flow::Import];

/// Each schema that was ever released becomes the newest.
pub const MIGRATIONS: &[Flow] = &[Flow::Migration(1), Flow::Migration(2), Flow::Migration(3)];

impl Flow {
    /// Its name in a table.
    pub fn name(self) -> String {
        match self {
            Self::Refresh => "refresh, refresh tokens rotate".to_owned(),
            Self::RefreshLenient => "refresh, refresh tokens stay".to_owned(),
            Self::SignIn => "sign-in".to_owned(),
            Self::SignInAgain => "sign-in again".to_owned(),
            Self::SignOut => "sign-out".to_owned(),
            Self::Forget => "sign-out --forget".to_owned(),
            Self::Export => "export".to_owned(),
            Self::Import => "import".to_owned(),
            Self::Migration(from) => format!("start on schema {from}"),
        }
    }
}

impl World {
    /// Brings everything to where the flow begins; no agent runs then.
    pub(super) fn ready(&mut self) {
        let signed_in = self.state().is_some_and(|state| state == "fresh");
        match self.flow {
            Flow::SignIn => assert_eq!(self.state(), None, "nobody is signed in"),
            _ if !signed_in => drop(self.session.sign_in("work", "ada")),
            _ => {}
        }
        if self.flow == Flow::Import {
            self.export(&[]).ok();
            self.wait_for_state("signed-out");
        }
        self.session.stop_agent();
        if let Flow::Migration(schema) = self.flow {
            disk::downgrade(&self.session.profile(), schema);
        }
        if let Some(disk) = &self.disk {
            disk.settle();
        }
        self.before = disk::row(&self.session.profile(), "work");
        self.keys = self.session.keychain_items();
        self.seen = self.provider.seen("/token").len();
    }

    /// What comes before the part that is cut off, while the agent runs.
    pub(super) fn lead_up(&mut self) {
        if matches!(self.flow, Flow::SignIn | Flow::SignInAgain) {
            let url = self.session.larder(&["sign-in", "work", "--no-browser", "--no-start"]).ok();
            self.redirect = self.session.browse(&url, "ada", "allow");
        }
    }

    /// The part that is cut off. Whether it was answered; else what was said.
    pub(super) fn act(&self) -> Result<(), String> {
        let session = &self.session;
        let ran = match self.flow {
            Flow::Refresh | Flow::RefreshLenient => session.larder(&["refresh", "work", "--no-start"]),
            Flow::SignIn | Flow::SignInAgain => session.larder_reads(&["callback", "--no-start"], &self.redirect),
            Flow::SignOut => session.larder(&["sign-out", "work", "--no-start"]),
            Flow::Forget => session.larder(&["sign-out", "work", "--forget", "--no-start"]),
            Flow::Export => self.export(&["--no-start"]),
            Flow::Import => self.import(&["--no-start"]),
            Flow::Migration(_) => return Ok(()),
        };
        if ran.code == 0 { Ok(()) } else { Err(format!("{ran:?}")) }
    }

    /// The agent is gone: looks at what it left, starts another one, and sees that all is as it must be. `answered` says that
    /// whoever asked was told that it is done.
    ///
    /// # Panics
    /// Where it is not.
    pub(super) fn judge(&mut self, answered: bool) -> Ended {
        let profile = self.session.profile();
        for file in ["larder.db", "audit.db"] {
            disk::is_whole(&profile, file);
        }
        let found = disk::row(&profile, "work");
        let ended = match self.flow {
            Flow::Refresh | Flow::RefreshLenient => self.judge_refresh(&found.expect("the account")),
            Flow::SignIn => self.judge_sign_in(found.as_ref()),
            Flow::SignInAgain => self.judge_sign_in_again(&found.expect("the account")),
            Flow::SignOut | Flow::Forget => self.judge_sign_out(found.as_ref()),
            Flow::Export => self.judge_export(&found.expect("the account")),
            Flow::Import => self.judge_import(&found.expect("the account")),
            Flow::Migration(schema) => self.judge_migration(schema),
        };
        assert!(!answered || matches!(ended, Ended::New | Ended::Finished), "it was answered, and ended as {ended:?}");
        self.session.larder(&["audit", "verify"]).ok();
        ended
    }

    fn judge_refresh(&mut self, found: &Row) -> Ended {
        let before = self.before.clone().expect("the account");
        assert_eq!(found.session, "signed-in");
        let begun = Instant::now();
        let settled = self.wait_for_states(&["fresh", "sign-in-again"]);
        let refreshes: Vec<Value> = self.provider.seen("/token").split_off(self.seen);
        assert!(refreshes.len() <= 2, "once, and once more: {refreshes:?}");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        let ended = if found.generation == before.generation + 1 {
            assert!(!found.in_flight && found.refresh_token != before.refresh_token);
            assert_eq!((settled.as_str(), refreshes.len()), ("fresh", 1));
            Ended::New
        } else {
            assert_eq!((found.generation, &found.refresh_token), (before.generation, &before.refresh_token));
            match (found.in_flight, settled.as_str()) {
                (true, "fresh") => Ended::Finished,
                (false, "fresh") => {
                    assert_eq!(refreshes.len(), 0, "what was not written down was not sent");
                    Ended::Old
                }
                _ => {
                    // The provider had taken the old one and nobody has the new one.
                    assert_eq!(self.flow, Flow::Refresh, "this provider forgives");
                    let outcomes: Vec<&Value> = refreshes.iter().map(|refresh| &refresh["outcome"]).collect();
                    assert_eq!(outcomes, ["tokens", "refresh_reused"]);
                    Ended::SignInAgain
                }
            }
        };
        if ended == Ended::SignInAgain {
            self.session.larder(&["refresh", "work"]).fails(3);
            assert_eq!(self.provider.seen("/token").len(), self.seen + 2, "nothing more is sent");
        } else {
            self.works();
        }
        ended
    }

    fn judge_sign_in(&self, found: Option<&Row>) -> Ended {
        let ended = match found {
            Some(row) => {
                assert_eq!(row.session, "signed-in");
                Ended::New
            }
            None => {
                self.session.larder(&["token", "work"]).fails(2);
                // A key that nothing was sealed with opens nothing.
                assert!(self.session.keychain_items() <= self.keys + 1);
                self.session.sign_in("work", "ada");
                Ended::Old
            }
        };
        self.works();
        self.session.larder(&["sign-out", "work", "--forget"]).ok();
        self.session.wait_for("the account to be forgotten", || self.state().is_none());
        ended
    }

    fn judge_sign_in_again(&self, found: &Row) -> Ended {
        let before = self.before.as_ref().expect("the account");
        assert_eq!(found.session, "signed-in");
        let ended = if found.generation == before.generation { Ended::Old } else { Ended::New };
        assert_eq!(found.refresh_token == before.refresh_token, ended == Ended::Old);
        assert_eq!(self.session.keychain_items(), self.keys, "its key stays");
        self.works();
        ended
    }

    fn judge_sign_out(&self, found: Option<&Row>) -> Ended {
        let before = self.before.as_ref().expect("the account");
        if found.is_none_or(|row| row.session == "signed-out") {
            self.nothing_is_left_of(before);
        }
        let ended = match found {
            None => {
                assert_eq!(self.flow, Flow::Forget, "it is to be known still");
                Ended::New
            }
            Some(row) if row.session == "signed-in" => {
                assert_eq!(row, before);
                self.works();
                return Ended::Old;
            }
            Some(row) if row.session == "signed-out" => Ended::New,
            Some(row) => {
                assert_eq!(row.session, "clearing");
                Ended::Finished
            }
        };
        if self.flow == Flow::Forget {
            self.session.wait_for("the account to be forgotten", || self.state().is_none());
            self.session.larder(&["token", "work"]).fails(2);
        } else {
            self.wait_for_state("signed-out");
            self.session.larder(&["token", "work"]).fails(3);
        }
        assert_eq!(self.session.keychain_items() + 1, self.keys, "its key is gone");
        self.nothing_is_left_of(before);
        ended
    }

    /// Not even sealed.
    pub(super) fn nothing_is_left_of(&self, row: &Row) {
        let sealed = row.refresh_token.as_ref().expect("it had one");
        let left: Vec<_> =
            files_below(&self.session.profile()).into_iter().filter(|file| holds(file, sealed)).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn judge_export(&self, found: &Row) -> Ended {
        let before = self.before.as_ref().expect("the account");
        let settled = self.wait_for_states(&["fresh", "signed-out"]);
        let files: Vec<String> = std::fs::read_dir(self.files())
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        if settled == "fresh" {
            assert_eq!(files, [""; 0], "no file that brings the same tokens");
            self.works();
            return if found == before { Ended::Old } else { Ended::TakenBack };
        }
        assert_eq!(files, ["moved.age"]);
        self.session.larder(&["refresh", "work"]).fails(3);
        assert_eq!(self.session.keychain_items() + 1, self.keys, "its key is gone");
        self.nothing_is_left_of(before);
        // The file is whole.
        self.import(&[]).ok();
        self.works();
        std::fs::remove_file(self.file()).expect("the file");
        if found.session == "signed-out" { Ended::New } else { Ended::Finished }
    }

    fn judge_import(&self, found: &Row) -> Ended {
        let ended = if found.session == "signed-in" {
            self.works();
            self.import(&[]).fails(2);
            Ended::New
        } else {
            assert_eq!(Some(found), self.before.as_ref());
            self.session.larder(&["token", "work"]).fails(3);
            self.import(&[]).ok();
            self.works();
            Ended::Old
        };
        std::fs::remove_file(self.file()).expect("the file");
        ended
    }

    fn judge_migration(&self, schema: usize) -> Ended {
        let found = disk::schema_is_one_of(&self.session.profile(), schema);
        self.wait_for_state("fresh");
        self.works();
        let rows = self.session.larder(&["audit", "--json"]).ok();
        assert!(rows.contains("from an older audit"), "{rows}");
        if found == disk::NEWEST { Ended::New } else { Ended::Old }
    }

    /// The account hands out a token that its provider takes, and is refreshed.
    pub(super) fn works(&self) {
        let token = self.session.larder(&["token", "work"]).ok();
        assert_eq!(self.provider.userinfo(&token).0, 200);
        self.session.larder(&["refresh", "work"]).ok();
    }

    /// How the account stands; `None` where there is none.
    pub(super) fn state(&self) -> Option<String> {
        let accounts: Value = serde_json::from_str(&self.session.larder(&["accounts", "--json"]).ok()).expect("JSON");
        let accounts = accounts.as_array().expect("a list");
        let account = accounts.iter().find(|account| account["label"] == "work")?;
        Some(account["state"].as_str().expect("a state").to_owned())
    }

    pub(super) fn wait_for_state(&self, state: &str) {
        self.wait_for_states(&[state]);
    }

    fn wait_for_states(&self, states: &[&str]) -> String {
        let mut found = String::new();
        self.session.wait_for(&format!("one of {states:?}"), || {
            found = self.state().unwrap_or_default();
            states.contains(&found.as_str())
        });
        found
    }
}
