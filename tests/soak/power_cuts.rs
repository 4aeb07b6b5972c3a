//! The power goes: what was answered is there afterwards, and before that all is old or new. Needs root, for the disk.

use crate::support::Session;
use crate::support::crash::each::{Places, Table, each_on, places_of_calls};
use crate::support::crash::flow::{FLOWS, Flow};
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

#[test]
#[allow(clippy::print_stdout, reason = "the table is what this is for")]
fn what_was_answered_is_there_after_a_power_cut_and_what_was_not_is_old_or_new() {
    let (mut table, mut wrong) = (Table::default(), Vec::new());
    for flow in FLOWS {
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
