//! The agent with twenty accounts: what it takes, and what it does while nobody asks.

use crate::figures::{Figure, Goal, Report};
use crate::processes::{Memory, memory, watch};
use crate::support::{Provider, Session};
use std::time::Duration;

/// Accounts, each with a token of an hour.
const ACCOUNTS: usize = 20;

/// An agent's spare threads have ended, and what it wrote is on the disk, well after this.
const SETTLE: Duration = Duration::from_secs(20);

/// How often memory is looked at, and how long apart.
const LOOKS: usize = 5;
const APART: Duration = Duration::from_millis(500);

/// How often it is watched for a minute.
const MINUTES: usize = 3;

/// Measures.
pub fn measure(report: &mut Report) {
    let session = Session::new();
    let provider = Provider::start(&session, 3600);
    session.add("work", &provider);
    let labels: Vec<String> = (0..ACCOUNTS).map(|number| session.sign_in("work", &format!("user{number}"))).collect();
    assert_eq!(provider.live_sessions(), ACCOUNTS);
    std::thread::sleep(SETTLE);
    let (pss, anonymous) = looks(session.agent_pid());
    report.add(Figure::alone("agent, 20 accounts just signed in, PSS", "MB", pss, Goal::AtMost(16.0)));
    report.add(Figure::alone("agent, 20 accounts just signed in, anonymous", "MB", anonymous, Goal::AtMost(8.0)));

    // As after a login: started anew, each token refreshed and handed out once.
    session.stop_agent();
    for label in &labels {
        session.larder(&["refresh", label]).ok();
        session.larder(&["token", label]).ok();
    }
    let pid = session.agent_pid();
    std::thread::sleep(SETTLE);
    let (pss, anonymous) = looks(pid);
    report.add(Figure::alone("agent, 20 accounts refreshed, PSS", "MB", pss, Goal::AtMost(16.0)));
    report.add(Figure::alone("agent, 20 accounts refreshed, anonymous", "MB", anonymous, Goal::AtMost(8.0)));

    let minutes: Vec<_> = (0..MINUTES).map(|_| watch(pid, Duration::from_secs(60))).collect();
    let wakes = minutes.iter().map(|minute| minute.wakes as f64).collect();
    let ran = minutes.iter().map(|minute| minute.ran.as_secs_f64() * 1e3).collect();
    report.add(Figure::alone("agent idle, wake-ups a minute", "", wakes, Goal::AtMost(4.0)));
    report.add(Figure::alone("agent idle, CPU time a minute", "ms", ran, Goal::Told));
    for minute in minutes {
        report.remark(format!("woken in a minute: {}", minute.who));
    }
}

fn looks(pid: i32) -> (Vec<f64>, Vec<f64>) {
    let look = |_| {
        std::thread::sleep(APART);
        memory(pid)
    };
    (0..LOOKS).map(look).map(|Memory { pss, anonymous }| (pss, anonymous)).unzip()
}
