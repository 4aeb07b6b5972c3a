//! A picture of what follows a wake: how many requests begin in each second, of fifty accounts after a night.

use crate::world::{HOUR, MINUTE, SECOND, World};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

/// How it is drawn: a band of bars for the first minute, one beside the other.
const PLOT: &str = "set terminal svg size 720,360 font 'sans-serif,12' background 'white'; set output 'refreshes.svg'; \
  set style fill solid 0.85 noborder; set boxwidth 0.45; set xlabel 'seconds after the machine woke up from a night'; \
  set ylabel 'requests that begin (worst of 30 nights)'; set xrange [-1:61]; set yrange [0:*]; \
  set grid ytics lc rgb '#dddddd'; set border 3 lc rgb '#888888'; set tics nomirror textcolor rgb '#444444'; set key top right; \
  plot 'refreshes.dat' using ($1-0.23):2 with boxes lc rgb '#c9b8a0' title 'nobody tells of the sleep', \
  '' using ($1+0.23):3 with boxes lc rgb '#2f6f5e' title 'logind, or the two clocks, tell of it'";

/// For each second of the minute after a wake, the most requests that began in it, over all wakes from a long sleep.
fn seconds(world: &World) -> Vec<usize> {
    let mut most = vec![0; 61];
    for woke in &world.counted.wakes {
        let mut here = vec![0; 61];
        for (at, _) in world.counted.starts.iter().filter(|(at, _)| *at >= *woke && at - woke <= MINUTE) {
            here[usize::try_from((at - woke) / SECOND).expect("a minute")] += 1;
        }
        let before = world.counted.starts.iter().rev().find(|(at, _)| at < woke).map_or(*woke, |(at, _)| *at);
        if woke - before > 4 * HOUR {
            most.iter_mut().zip(here).for_each(|(most, here)| *most = here.max(*most));
        }
    }
    most
}

pub fn draw(told: &World, untold: &World) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut data = String::new();
    for (second, (told, untold)) in seconds(told).into_iter().zip(seconds(untold)).enumerate() {
        writeln!(data, "{second} {untold} {told}").expect("text");
    }
    std::fs::write(folder.join("refreshes.dat"), data).expect("a file");
    let drawn = Command::new("gnuplot").args(["-e", PLOT]).current_dir(folder).status();
    assert!(drawn.is_ok_and(|status| status.success()), "gnuplot is missing: `.ci/packages bench`");
    println!("{}", folder.join("refreshes.svg").display());
}
