//! What deciding costs with ten to ten thousand accounts, all of it in memory: one of them is due, or none is and somebody asks.

use crate::common::{HOUR, Home, apart, later};
use crate::figures::{Figure, Goal, Report, median};
use larder_core::effect::HouseEffect;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// How many accounts there are.
const EXIST: [usize; 4] = [10, 100, 1000, 10_000];

/// Looks that count, and asks of each.
const RUNS: usize = 50;
const ASKS: u32 = 200;

/// The curve's file, and how it is drawn.
const PLOT: &str = "set terminal svg size 720,360 background 'white'; set logscale x; set xlabel 'accounts'; \
  set ylabel 'µs'; set yrange [0:*]; set key top left; set grid; \
  plot 'scheduler.dat' using 1:2 with linespoints title 'a refresh is due', \
  '' using 1:3 with linespoints title 'a token is asked for'";

/// One token ends in an hour, all others long after.
fn home(accounts: usize) -> Home {
    let mut home = Home::with((0..accounts).map(|number| apart(number * 36_000)).collect());
    home.tick();
    home
}

fn micros(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e6
}

/// The first look after an hour: exactly one refresh begins.
fn due(accounts: usize) -> f64 {
    let mut home = home(accounts);
    home.now = later(home.now, HOUR);
    let began = Instant::now();
    let effects = home.tick();
    let took = micros(began);
    let begun = effects.iter().filter(|effect| matches!(effect, HouseEffect::Account { .. })).count();
    assert_eq!(begun, 1, "one is due");
    took
}

/// An ask, and when to look again after it.
fn asked(accounts: usize) -> f64 {
    let mut home = home(accounts);
    let began = Instant::now();
    for _ in 0..ASKS {
        home.ask_for_token("0");
        home.house.wake(home.now);
    }
    micros(began) / f64::from(ASKS)
}

/// Measures.
pub fn measure(report: &mut Report, target: &Path) {
    let mut curve = String::new();
    let mut medians = Vec::new();
    for exist in EXIST {
        let sample = |of: fn(usize) -> f64| median(&(0..RUNS).map(|_| of(exist)).collect::<Vec<_>>());
        let (due, asked) = (sample(due), sample(asked));
        writeln!(curve, "{exist} {due:.2} {asked:.2}").expect("text");
        report.remark(format!("{exist} accounts: a look at one that is due takes {due:.1} µs, an ask {asked:.1} µs"));
        medians.push((due, asked));
    }
    let (first, last) = (medians[0], medians[EXIST.len() - 1]);
    let times = |name, few: f64, many: f64| Figure::alone(name, "×", vec![many / few], Goal::AtMost(20.0));
    // A thousand times as many; a search among them takes its steps, a look at each would take a thousand.
    report.add(times("one due among 10,000 accounts, against one among 10", first.0, last.0));
    report.add(times("an ask among 10,000 accounts, against one among 10", first.1, last.1));
    std::fs::write(target.join("scheduler.dat"), curve).expect("target/scheduler.dat");
    let script = format!("set output 'scheduler.svg'; {PLOT}");
    match Command::new("gnuplot").args(["-e", &script]).current_dir(target).status() {
        Ok(status) if status.success() => {}
        _ => report.not_measured("the scheduler's curve", "gnuplot is missing: `.ci/packages bench`"),
    }
}
