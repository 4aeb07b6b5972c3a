//! One place after the other, on several machines at once, and how many ended how.

use super::flow::Flow;
use super::{At, Ended, World};
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

/// Of so many places one may never come, and so many more are tried than were counted: how often a thread reads before there
/// is something to read is chance. Those behind the last one that came are none that were missed.
const ONE_MORE_IN: usize = 10;

/// Where a flow is ended, each place with its name.
pub type Places = Vec<(At, String)>;

/// Every failpoint.
pub fn places_of_points(world: &mut World) -> Places {
    world.points().into_iter().map(|point| (At::Point(point.clone()), point)).collect()
}

/// Every system call.
pub fn places_of_calls(world: &mut World) -> Places {
    let mut calls = world.calls();
    let more = calls.len() / ONE_MORE_IN;
    calls.extend((0..more).map(|_| "none was counted here".to_owned()));
    calls.into_iter().enumerate().map(|(before, call)| (At::Call(before + 1), call)).collect()
}

/// Cuts a flow off at every one of the places that `places` finds, on so many machines at once. How each ended, by its name.
///
/// # Panics
/// Where one did not end as it must, or too many never came.
pub fn each(flow: Flow, machines: usize, places: impl FnOnce(&mut World) -> Places) -> Vec<(String, Ended)> {
    each_on(World::new, flow, machines, places)
}

/// The same, on machines of this make.
#[allow(clippy::print_stderr, reason = "a failed test shows each place, and so does `make soak`")]
pub fn each_on(
    make: fn(Flow) -> World,
    flow: Flow,
    machines: usize,
    places: impl FnOnce(&mut World) -> Places,
) -> Vec<(String, Ended)> {
    let mut first = make(flow);
    let left: Mutex<VecDeque<_>> = Mutex::new(places(&mut first).into_iter().enumerate().collect());
    let (came, wrong) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let work = |mut world: Option<World>| {
        loop {
            let next = left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some((number, (at, name))) = next else { return };
            // One that ends wrongly must not hide the others.
            let ended = catch_unwind(AssertUnwindSafe(|| {
                let mut machine = world.take().unwrap_or_else(|| make(flow));
                let ended = machine.ended_at(&at);
                world = Some(machine);
                ended
            }));
            eprintln!("{}: {name} ({at:?}): {ended:?}", flow.name());
            match ended {
                Ok(ended) => came.lock().unwrap_or_else(PoisonError::into_inner).push((number, name, ended)),
                Err(_) => wrong.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name} ({at:?})")),
            }
        }
    };
    std::thread::scope(|scope| {
        for world in std::iter::once(Some(first)).chain((1..machines).map(|_| None)) {
            scope.spawn(|| work(world));
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(wrong.is_empty(), "{}: {} places ended wrongly: {wrong:#?}", flow.name(), wrong.len());
    let mut came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    let last = came.iter().filter(|(_, _, ended)| *ended != Ended::Never).map(|(at, ..)| *at).max();
    came.retain(|(at, ..)| Some(*at) <= last);
    let never = came.iter().filter(|(.., ended)| *ended == Ended::Never).count();
    assert!(never * ONE_MORE_IN <= came.len(), "{}: {never} of {} never came", flow.name(), came.len());
    came.into_iter().map(|(_, name, ended)| (name, ended)).collect()
}

/// How many ended how, flow by flow.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<String, BTreeMap<Ended, usize>>);

impl Table {
    /// More of them.
    pub fn count(&mut self, flow: Flow, ended: &[(String, Ended)]) {
        let counts = self.0.entry(flow.name()).or_default();
        ended.iter().for_each(|(_, ended)| *counts.entry(*ended).or_default() += 1);
    }

    /// How many there were of this flow.
    pub fn all(&self, flow: Flow) -> usize {
        self.0.get(&flow.name()).map(|ended| ended.values().sum()).unwrap_or_default()
    }

    /// How many ended so.
    pub fn ended(&self, flow: Flow, ended: Ended) -> usize {
        self.0.get(&flow.name()).and_then(|counts| counts.get(&ended)).copied().unwrap_or_default()
    }

    /// As it is printed.
    pub fn shown(&self, title: &str) -> String {
        use std::fmt::Write;
        let columns = [Ended::Old, Ended::TakenBack, Ended::New, Ended::Finished, Ended::SignInAgain, Ended::Never];
        let heads = ["old", "taken back", "new", "finished", "sign in again", "never came"];
        let mut text = format!("{title:<34}{:>8}", "points");
        for head in heads {
            let _ = write!(text, "{head:>15}");
        }
        for (flow, ended) in &self.0 {
            let all: usize = ended.values().sum();
            let _ = write!(text, "\n{flow:<34}{all:>8}");
            for column in columns {
                let _ = write!(text, "{:>15}", ended.get(&column).copied().unwrap_or_default());
            }
        }
        text
    }
}
