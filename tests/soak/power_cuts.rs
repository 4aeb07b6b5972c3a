//! The power goes: what was answered is there afterwards, and before that all is old or new. Needs root, for the disk.

use crate::support::Session;
use crate::support::crash::each::{Places, Table, each_on, places_of_calls};
use crate::support::crash::flow::{Flow, MIGRATIONS, MOVES, REFRESHES, SIGN_INS, SIGN_OUTS};
use crate::support::crash::power::Disk;
use crate::support::crash::{At, Ended, World};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Before each call that makes the system write something out, changes a name, or tells somebody. Between two of them nothing
/// is on the disk that was not before.
fn cuts(world: &mut World) -> Places {
    let decides = |call: &str| {
        let begins = |words: &[&str]| words.iter().any(|word| call.starts_with(word));
        begins(&["fsync", "fdatasync", "rename", "unlink", "link", "ftruncate", "sendto"]) || call.ends_with(" network")
    };
    let cut = |(at, call): (At, String)| match at {
        At::Call(number) if decides(&call) => Some((At::PowerCut(number), call)),
        _ => None,
    };
    places_of_calls(world).into_iter().filter_map(cut).collect()
}

#[test]
fn the_disk_forgets_what_was_not_synced() {
    let mut session = Session::new();
    let disk = Disk::under(&mut session);
    let (kept, lost) = (session.profile().join("kept"), session.profile().join("lost"));
    std::fs::write(&kept, "kept").unwrap();
    std::fs::File::open(&kept).unwrap().sync_all().unwrap();
    std::fs::write(&lost, "lost").unwrap();
    disk.power_goes()();
    disk.power_is_back(&mut session);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), "kept");
    assert!(!lost.exists());
}

/// What was answered is there after the power went, and what was not is old or new.
#[allow(clippy::print_stdout, reason = "the table is what this is for")]
fn enumerate(flows: &[Flow]) {
    let (mut table, mut wrong) = (Table::default(), Vec::new());
    for flow in flows {
        let places = |world: &mut World| {
            let mut places = cuts(world);
            if !matches!(flow, Flow::Migration(_)) {
                places.push((At::AnsweredPowerCut, "answered".to_owned()));
            }
            places
        };
        match catch_unwind(AssertUnwindSafe(|| each_on(World::on_a_disk, *flow, 1, places))) {
            Ok(ended) => {
                let answered = ended.iter().find(|(place, _)| place == "answered").map(|(_, ended)| *ended);
                assert!(matches!(answered, None | Some(Ended::New | Ended::Finished)), "{flow:?}");
                table.count(*flow, &ended);
            }
            Err(_) => wrong.push(flow.name()),
        }
    }
    println!("{}", table.shown("the power goes"));
    assert!(wrong.is_empty(), "ended wrongly: {wrong:?}");
}

#[test]
fn a_refresh_that_was_published_is_there() {
    enumerate(REFRESHES);
}

#[test]
fn a_sign_in_that_was_answered_is_there() {
    enumerate(SIGN_INS);
}

#[test]
fn a_sign_out_that_was_answered_has_left_nothing() {
    enumerate(SIGN_OUTS);
}

#[test]
fn an_account_that_moved_is_in_one_place() {
    enumerate(MOVES);
}

#[test]
fn a_migration_goes_on_from_where_it_was() {
    enumerate(MIGRATIONS);
}
