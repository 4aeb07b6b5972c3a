//! The agent is ended before every system call of every flow. Each is a start, a flow, an end, a start. (`make test` goes
//! through every failpoint.)

use crate::support::crash::each::{Table, each, places_of_calls};
use crate::support::crash::flow::{Flow, MIGRATIONS, MOVES, REFRESHES, SIGN_INS, SIGN_OUTS};
use crate::support::crash::{At, Ended, World};
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

#[test]
fn a_refresh_is_cut_off_before_every_write_and_every_word_to_the_provider() {
    let came = each(Flow::Refresh, 1, |world| {
        let places = places_of_calls(world).into_iter();
        places.filter(|(_, call)| call.contains("larder.db") || call.ends_with(" network")).collect()
    });
    let ended = |wanted: Ended| came.iter().filter(|(_, ended)| *ended == wanted).count();
    // The journal's transaction, the request, the new token's transaction.
    assert!(came.len() >= 10, "{came:?}");
    assert!(ended(Ended::Old) >= 2 && ended(Ended::Finished) >= 1 && ended(Ended::SignInAgain) >= 1, "{came:?}");
}

#[test]
fn between_a_write_of_the_database_and_its_sync_nobody_is_told_anything() {
    for flow in [Flow::Refresh, Flow::SignIn, Flow::SignOut, Flow::Export] {
        let calls = World::new(flow).calls();
        let mut unsynced = false;
        for (number, call) in calls.iter().enumerate() {
            match call.as_str() {
                "pwrite64 larder.db-wal" | "pwrite64 larder.db" => unsynced = true,
                "fsync larder.db-wal" | "fdatasync larder.db-wal" | "fsync larder.db" => unsynced = false,
                // An answer, or a word to the provider.
                "sendto local" | "writev network" | "sendto network" => assert!(!unsynced, "{number} of {calls:#?}"),
                _ => {}
            }
        }
        assert!(calls.iter().any(|call| call == "sendto local"), "{flow:?}: the answer");
    }
}
