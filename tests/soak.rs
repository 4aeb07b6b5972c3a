//! What takes too long for `make test`: every crash point, an hour of load. `make soak` runs it; one module a promise.

#![allow(clippy::print_stdout, reason = "figures are what it is for")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(dead_code, unused_imports, reason = "the support is the tests'; this uses a part of it")]

#[path = "soak/load.rs"]
mod load;
mod support;

#[cfg(target_os = "linux")]
#[path = "soak/crash_points.rs"]
mod crash_points;
#[cfg(target_os = "linux")]
#[path = "soak/power_cuts.rs"]
mod power_cuts;
