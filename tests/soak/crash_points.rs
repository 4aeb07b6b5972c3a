//! The agent is ended before every system call of every flow. Each is a start, a flow, an end, a start. (`make test` goes
//! through every failpoint.)

use crate::support::crash::each::{Table, each, places_of_calls};
use crate::support::crash::flow::{Flow, MIGRATIONS, MOVES, REFRESHES, SIGN_INS, SIGN_OUTS};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Machines that work at once. More of them wait for the processors.
const MACHINES: usize = 2;

/// Cuts these flows off at all of their places, prints how many ended how, and fails where one ended wrongly.
#[allow(clippy::print_stdout, reason = "the table is what this is for")]
fn enumerate(flows: &[Flow]) {
    let (mut table, mut wrong) = (Table::default(), Vec::new());
    for flow in flows {
        match catch_unwind(AssertUnwindSafe(|| each(*flow, MACHINES, places_of_calls))) {
            Ok(ended) => table.count(*flow, &ended),
            Err(_) => wrong.push(flow.name()),
        }
    }
    println!("{}", table.shown("ended before each system call"));
    assert!(wrong.is_empty(), "ended wrongly: {wrong:?}");
}

#[test]
fn a_refresh_is_old_or_new() {
    enumerate(REFRESHES);
}

#[test]
fn a_sign_in_is_old_or_new() {
    enumerate(SIGN_INS);
}

#[test]
fn a_sign_out_is_finished_or_not_begun() {
    enumerate(SIGN_OUTS);
}

#[test]
fn an_account_that_moves_is_in_one_place() {
    enumerate(MOVES);
}

#[test]
fn a_migration_goes_on_from_where_it_was() {
    enumerate(MIGRATIONS);
}
