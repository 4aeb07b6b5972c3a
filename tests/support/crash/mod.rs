//! Ending the agent at a place, and seeing what comes of it: at every failpoint, before every system call, and with the power gone.

#![allow(dead_code, reason = "`make test` and `make soak` each use a part of it")]

pub mod disk;
pub mod each;
pub mod flow;
pub mod power;
pub mod traced;

use super::larder::Ran;
use super::{Child, Provider, Session};
use flow::Flow;
use power::Disk;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use traced::{AtTheEnd, Traced};

/// An agent that calls nothing for so long has come to the end of what it was asked: it writes its audit within 100 ms.
const QUIET: Duration = Duration::from_millis(300);

/// To count, the flow has to come to its end. On a machine with too much to do, an agent that is traced may give the keychain up.
const TRIES: usize = 3;

/// Where the agent is ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At this failpoint.
    Point(String),
    /// When it is about to make this call, counted from one.
    Call(usize),
    /// There, and the power goes with it. Needs [`World::on_a_disk`].
    PowerCut(usize),
    /// When whoever asked has the answer, and the power goes.
    AnsweredPowerCut,
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
    /// Where the power can go; it goes before the session.
    disk: Option<Disk>,
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
        let files = session.home().join("files");
        std::fs::create_dir(files).expect("a folder");
        Self { disk: None, flow, session, provider, recipient, redirect: String::new(), before: None, keys: 0, seen: 0 }
    }

    /// The same, on a disk whose power can go. Needs root.
    pub fn on_a_disk(flow: Flow) -> Self {
        let mut world = Self::new(flow);
        world.session.stop_agent();
        world.disk = Some(Disk::under(&mut world.session));
        world
    }

    /// Where the files lie that are written for others.
    fn files(&self) -> PathBuf {
        self.session.home().join("files")
    }

    fn file(&self) -> PathBuf {
        self.files().join("moved.age")
    }

    fn export(&self, more: &[&str]) -> Ran {
        let path = self.file().display().to_string();
        self.session.larder(&[&["export", &path, "work", "--recipient", &self.recipient], more].concat())
    }

    fn import(&self, more: &[&str]) -> Ran {
        let (path, identity) = (self.file(), self.session.home().join("identity"));
        let (path, identity) = (path.display().to_string(), identity.display().to_string());
        self.session.larder(&[&["import", &path, "--identity", &identity], more].concat())
    }

    /// Every failpoint that the flow passes, as the agent itself writes them down.
    pub fn points(&mut self) -> Vec<String> {
        self.ready();
        let list = self.session.home().join("points");
        let _ = std::fs::remove_file(&list);
        let agent = self.session.agent_with(&[("LARDER_FAIL_POINTS", &list.display().to_string())]);
        self.lead_up();
        self.act().expect("an answer");
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
        let mut last = String::new();
        for _ in 0..TRIES {
            self.ready();
            let (traced, answered) = self.traced(usize::MAX, None);
            traced.quiet(QUIET);
            let calls = traced.calls();
            traced.kill();
            drop(traced);
            let ended = self.judge(answered.is_ok());
            match answered {
                Ok(()) => {
                    assert!(matches!(ended, Ended::New | Ended::Finished), "{ended:?}");
                    return calls;
                }
                Err(said) => last = said,
            }
        }
        panic!("in {TRIES} tries it was not answered: {last}");
    }

    /// Runs the flow once, with the agent ended there.
    pub fn ended_at(&mut self, at: &At) -> Ended {
        self.ready();
        let (came, answered) = match at {
            At::Point(point) => {
                let agent = self.session.agent_with(&[("LARDER_FAIL_AT", point)]);
                self.lead_up();
                let answered = self.act();
                (self.end(agent), answered.is_ok())
            }
            At::Call(call) => {
                let (traced, answered) = self.traced(*call, None);
                traced.quiet(QUIET);
                let came = traced.gone();
                traced.kill();
                (came, answered.is_ok())
            }
            At::PowerCut(call) => {
                let power_goes = self.disk().power_goes();
                let (traced, answered) = self.traced(*call, Some(power_goes));
                traced.quiet(QUIET);
                let came = traced.gone();
                traced.kill();
                if came {
                    self.power_is_back();
                }
                (came, answered.is_ok())
            }
            At::AnsweredPowerCut => {
                let (traced, answered) = self.traced(usize::MAX, None);
                self.disk().power_goes()();
                answered.expect("an answer");
                traced.kill();
                self.power_is_back();
                (true, true)
            }
        };
        let ended = self.judge(answered);
        if came { ended } else { Ended::Never }
    }

    fn disk(&self) -> &Disk {
        self.disk.as_ref().expect("a machine whose power can go")
    }

    fn power_is_back(&mut self) {
        let disk = self.disk.as_ref().expect("a machine whose power can go");
        disk.power_is_back(&mut self.session);
    }

    /// Runs the flow until it was answered, or the agent is gone.
    fn traced(&mut self, end_at: usize, at_the_end: Option<AtTheEnd>) -> (Traced, Result<(), String>) {
        let mut traced = Traced::new(&self.session);
        let at_once = matches!(self.flow, Flow::Migration(_));
        let mut at_the_end = Some(at_the_end);
        if at_once {
            traced.end_at(end_at, at_the_end.take().flatten());
        }
        traced.begin();
        self.session
            .wait_for("the agent", || traced.gone() || self.session.larder(&["status", "--no-start"]).code == 0);
        if !at_once {
            self.lead_up();
            traced.quiet(QUIET);
            traced.end_at(end_at, at_the_end.take().flatten());
        }
        let answered = if traced.gone() { Err("nobody was there".to_owned()) } else { self.act() };
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

impl Drop for World {
    fn drop(&mut self) {
        // While its disk is there: what is open on a disk keeps it.
        let _ = self.session.command(super::program("larder")).args(["agent", "--stop"]).output();
        self.session.stop_keyring();
    }
}
