//! Ending the agent at a place, and seeing what comes of it: at every failpoint, at every system call, and with the power gone.

#![allow(dead_code, reason = "`make test` and `make soak` each use a part of it")]

pub mod disk;
pub mod each;
pub mod flow;
pub mod traced;

use super::larder::Ran;
use super::{Child, Provider, Session};
use flow::Flow;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use traced::Traced;

/// An agent that calls nothing for so long has come to the end of what it was asked: it writes its audit within 100 ms.
const QUIET: Duration = Duration::from_millis(300);

/// Where the agent is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At this failpoint.
    Point(String),
    /// When it is about to make this call, counted from one.
    Call(usize),
}

/// How it stood afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// As before.
    Old,
    /// As before, after the next start took back what had begun.
    TakenBack,
    /// Done.
    New,
    /// Done, after the next start went on with it.
    Finished,
    /// The provider had taken the old refresh token, and the new one was lost.
    SignInAgain,
    /// The agent came to the end of the flow without coming to that place.
    Never,
}

/// A machine on which one flow is cut off again and again.
pub struct World {
    /// The flow.
    pub flow: Flow,
    /// Its session.
    pub session: Session,
    /// The provider.
    pub provider: Provider,
    recipient: String,
    redirect: String,
    before: Option<disk::Row>,
    keys: usize,
    seen: usize,
}

impl World {
    /// A machine for this flow.
    pub fn new(flow: Flow) -> Self {
        let session = Session::new();
        let provider = Provider::start(&session, 600);
        if flow == Flow::RefreshLenient {
            provider.expire(serde_json::json!({ "rotate": false }));
        }
        session.add("work", &provider);
        let mut recipient = String::new();
        if matches!(flow, Flow::Export | Flow::Import) {
            let identity = session.home().join("identity").display().to_string();
            session.ran("age-keygen", &["-o", &identity]);
            recipient = session.ran("age-keygen", &["-y", &identity]).trim().to_owned();
        }
        Self { flow, session, provider, recipient, redirect: String::new(), before: None, keys: 0, seen: 0 }
    }

    fn file(&self) -> PathBuf {
        self.session.home().join("moved.age")
    }

    fn export(&self) -> Ran {
        let path = self.file().display().to_string();
        self.session.larder(&["export", &path, "work", "--recipient", &self.recipient])
    }

    fn import(&self) -> Ran {
        let (path, identity) = (self.file(), self.session.home().join("identity"));
        let (path, identity) = (path.display().to_string(), identity.display().to_string());
        self.session.larder(&["import", &path, "--identity", &identity])
    }

    /// Every failpoint that the flow passes, as the agent itself writes them down.
    pub fn points(&mut self) -> Vec<String> {
        self.ready();
        let list = self.session.home().join("points");
        let _ = std::fs::remove_file(&list);
        let agent = self.session.agent_with(&[("LARDER_FAIL_POINTS", &list.display().to_string())]);
        self.lead_up();
        assert!(self.act());
        // What follows the answer.
        if matches!(self.flow, Flow::SignOut | Flow::Forget) {
            self.session.wait_for("the revocation", || {
                std::fs::read_to_string(&list).unwrap_or_default().contains("revoke.after")
            });
        } else if self.flow == Flow::Export {
            self.wait_for_state("signed-out");
        }
        self.end(agent);
        assert!(matches!(self.judge(true), Ended::New | Ended::Finished));
        std::fs::read_to_string(list).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Every call that the flow makes.
    pub fn calls(&mut self) -> Vec<String> {
        self.ready();
        let (traced, answered) = self.traced(usize::MAX);
        assert!(answered);
        let calls = traced.calls();
        traced.kill();
        assert!(matches!(self.judge(true), Ended::New | Ended::Finished));
        calls
    }

    /// Runs the flow once, with the agent ended there.
    pub fn ended_at(&mut self, at: &At) -> Ended {
        self.ready();
        let (came, answered) = match at {
            At::Point(point) => {
                let agent = self.session.agent_with(&[("LARDER_FAIL_AT", point)]);
                self.lead_up();
                let answered = self.act();
                (self.end(agent), answered)
            }
            At::Call(call) => {
                let (traced, answered) = self.traced(*call);
                let came = traced.gone();
                traced.kill();
                (came, answered)
            }
        };
        let ended = self.judge(answered);
        if came { ended } else { Ended::Never }
    }

    fn traced(&mut self, end_at: usize) -> (Traced, bool) {
        let mut traced = Traced::new(&self.session);
        if matches!(self.flow, Flow::Migration(_)) {
            traced.end_at(end_at, None);
        }
        traced.begin();
        self.session
            .wait_for("the agent", || traced.gone() || self.session.larder(&["status", "--no-start"]).code == 0);
        if !matches!(self.flow, Flow::Migration(_)) {
            self.lead_up();
            traced.quiet(QUIET);
            traced.end_at(end_at, None);
        }
        let answered = !traced.gone() && self.act();
        traced.quiet(QUIET);
        (traced, answered)
    }

    /// Ends an agent that has not ended by itself, and says whether it had. What it does after its answer has time to come.
    fn end(&self, mut agent: Child) -> bool {
        let until = Instant::now() + QUIET * 2;
        while Instant::now() < until {
            if agent.0.try_wait().expect("wait").is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        false
    }
}
