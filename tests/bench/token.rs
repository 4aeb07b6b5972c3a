//! `larder token` against `oidc-token`, as a script runs them: whole processes, one after the other.

use crate::figures::{Figure, Goal, Report};
use crate::peer::Peer;
use crate::processes::{instructions, timed};
use crate::support::{Provider, Session, program};
use std::process::Command;

/// Runs before any counts.
const WARM_UP: usize = 20;

/// Runs that count, of each.
const RUNS: usize = 200;

/// Valgrind counts the same nearly every time.
const COUNTS: usize = 3;

/// Measures.
pub fn measure(report: &mut Report) {
    let session = Session::new();
    let provider = Provider::start(&session, 3600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let peer = Peer::start(&session);
    let larder = || {
        let mut command = session.command(program("larder"));
        command.args(["token", "work"]);
        command
    };
    let oidc_token = || peer.token_command(&session);
    let nothing = || session.command("/bin/true");

    let (ours, theirs) = (timed(larder()).1, timed(oidc_token()).1);
    assert!(!ours.is_empty() && !theirs.is_empty(), "both hand out a token");
    let (mut mine, mut others, mut floor) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..WARM_UP + RUNS {
        // Each goes first as often as the other.
        let first_is_ours = run % 2 == 0;
        let (a, b) =
            if first_is_ours { (timed(larder()), timed(oidc_token())) } else { second_first(&larder, &oidc_token) };
        assert_eq!((a.1.as_str(), b.1.as_str()), (ours.as_str(), theirs.as_str()));
        let c = timed(nothing());
        if run >= WARM_UP {
            mine.push(a.0);
            others.push(b.0);
            floor.push(c.0);
        }
    }
    report.add(Figure {
        name: "larder token, whole process",
        unit: "ms",
        samples: mine,
        peer: Some(("oidc-token", others)),
        goal: Goal::Ratio(1.0, 1.25),
    });
    report.add(Figure::alone("/bin/true, whole process", "ms", floor, Goal::Told));

    let count =
        |command: &dyn Fn() -> Command| -> Option<Vec<f64>> { (0..COUNTS).map(|_| instructions(&command())).collect() };
    match (count(&larder), count(&oidc_token)) {
        (Some(mine), Some(others)) => report.add(Figure {
            name: "larder token, instructions",
            unit: "",
            samples: mine,
            peer: Some(("oidc-token", others)),
            goal: Goal::Told,
        }),
        _ => report.not_measured("larder token, instructions", "valgrind is missing: `.ci/packages bench`"),
    }
    report.remark("instructions: valgrind --tool=callgrind; the client's own, without the kernel's and the agents'");
}

type Timed = (f64, String);

fn second_first(first: &dyn Fn() -> Command, second: &dyn Fn() -> Command) -> (Timed, Timed) {
    let second = timed(second());
    (timed(first()), second)
}
