//! The agent is ended at every failpoint and before every system call of every flow. Each is a start, a flow, an end, a start.

use crate::support::crash::World;
use crate::support::crash::each::{Places, Table, each, places_of_calls, places_of_points};
use crate::support::crash::flow::FLOWS;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Machines that work at once. More of them wait for the processors.
const MACHINES: usize = 3;

#[allow(clippy::print_stdout, reason = "the table is what this is for")]
/// Cuts every flow off at all of its places, prints how many ended how, and fails where one ended wrongly.
fn enumerate(title: &str, places: fn(&mut World) -> Places) {
    let (mut table, mut wrong) = (Table::default(), Vec::new());
    for flow in FLOWS {
        match catch_unwind(AssertUnwindSafe(|| each(*flow, MACHINES, places))) {
            Ok(ended) => table.count(*flow, &ended),
            Err(_) => wrong.push(flow.name()),
        }
    }
    println!("{}", table.shown(title));
    assert!(wrong.is_empty(), "ended wrongly: {wrong:?}");
}

#[test]
fn ended_at_each_failpoint_all_is_old_or_new() {
    enumerate("ended at each failpoint", places_of_points);
}

#[test]
fn ended_before_each_system_call_all_is_old_or_new() {
    enumerate("ended before each system call", places_of_calls);
}
