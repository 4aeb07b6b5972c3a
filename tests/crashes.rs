//! The agent is ended at its own crash points, and from outside before its system calls; afterwards the state is old or new,
//! never mixed. The places are counted in a run of the flow itself: none is chosen, so none can be forgotten. `make soak` goes
//! through all of the system calls of all flows.

use crate::support::crash::each::{each, places_of_calls, places_of_points};
use crate::support::crash::flow::Flow;
use crate::support::crash::{At, Ended, World};

/// Places of a migration that are tried here: each of them from the first to the last by so many.
const EVERY: usize = 6;

/// Cuts the flow off at every failpoint that it passes. The places that ended so.
#[track_caller]
fn at_every_failpoint(flow: Flow, ended: Ended) -> Vec<String> {
    let came = each(flow, 1, places_of_points);
    assert!(came.iter().all(|(_, ended)| *ended != Ended::Never), "{came:?}");
    came.into_iter().filter(|(_, found)| *found == ended).map(|(point, _)| point).collect()
}

#[test]
fn a_refresh_that_is_cut_off_at_any_failpoint_ends_its_session_only_where_the_provider_alone_has_the_new_token() {
    assert_eq!(at_every_failpoint(Flow::Refresh, Ended::SignInAgain), ["send.after", "save.before"]);
}

#[test]
fn where_refresh_tokens_stay_a_refresh_that_is_cut_off_at_any_failpoint_costs_nothing() {
    assert_eq!(at_every_failpoint(Flow::RefreshLenient, Ended::Old), ["prepare.before"]);
}

#[test]
fn a_sign_in_that_is_cut_off_at_any_failpoint_leaves_no_account_or_a_whole_one() {
    for flow in [Flow::SignIn, Flow::SignInAgain] {
        assert_eq!(at_every_failpoint(flow, Ended::New), ["store-row.after"], "{flow:?}");
    }
}

#[test]
fn a_sign_out_that_is_cut_off_at_any_failpoint_is_finished_by_the_next_agent() {
    for flow in [Flow::SignOut, Flow::Forget] {
        assert_eq!(at_every_failpoint(flow, Ended::Old), ["mark-clearing.before"], "{flow:?}");
    }
}

#[test]
fn an_export_that_is_cut_off_at_any_failpoint_leaves_the_account_here_or_the_file_whole_and_never_both() {
    let here = ["export-mark.after", "export-write.before", "export-write.after"];
    let here_too = ["export-placing.before", "export-placing.after", "export-place.before"];
    assert_eq!(at_every_failpoint(Flow::Export, Ended::TakenBack), [here, here_too].concat());
}

#[test]
fn an_import_that_is_cut_off_at_any_failpoint_brings_all_or_nothing() {
    assert_eq!(at_every_failpoint(Flow::Import, Ended::New), ["import-rows.after"]);
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
fn a_migration_that_is_cut_off_goes_on_from_where_it_was() {
    let came = each(Flow::Migration(1), 1, |world| {
        let at = |place: &(At, String)| matches!(place.0, At::Call(call) if call % EVERY == 0);
        places_of_calls(world).into_iter().filter(at).collect()
    });
    let ended = |wanted: Ended| came.iter().filter(|(_, ended)| *ended == wanted).count();
    assert!(ended(Ended::Old) >= 1 && ended(Ended::New) >= 1, "{came:?}");
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
