//! The agent is ended at its own crash points; afterwards the state is old or new,
//! never mixed. The places are counted in a run of the flow itself: none is chosen, so none can be forgotten. `make soak` goes
//! through all of the system calls of all flows.

use crate::support::crash::Ended;
use crate::support::crash::each::{each, places_of_points};
use crate::support::crash::flow::Flow;

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
