//! `make bench`: what Larder costs, measured against what it is held to. No test: it takes minutes, and says how it was.
//!
//! Every comparison is interleaved in one run. The table goes to stdout, the same and every sample to target/bench.json.
//! docs/benchmarks.md says how each figure is taken. `cargo bench --bench bench -- token agent` runs these parts alone.

#![allow(clippy::expect_used, reason = "a measurement that cannot be taken ends the run, as a test does")]
#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

#[allow(dead_code, unused_imports, reason = "the tests use the rest")]
mod support;

#[path = "bench/agent.rs"]
mod agent;
#[path = "../src-tauri/core/tests/common/mod.rs"]
mod common;
#[path = "bench/figures.rs"]
mod figures;
#[path = "bench/pages.rs"]
mod pages;
#[path = "support/peer.rs"]
mod peer;
#[path = "bench/processes.rs"]
mod processes;
#[path = "bench/scheduler.rs"]
mod scheduler;
#[path = "bench/serving.rs"]
mod serving;
#[path = "bench/token.rs"]
mod token;
#[path = "bench/window.rs"]
mod window;

use figures::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    // cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|part| part == name);
    let mut report = Report::new();
    if wants("token") {
        token::measure(&mut report);
    }
    if wants("agent") {
        agent::measure(&mut report);
    }
    if wants("scheduler") {
        scheduler::measure(&mut report, &figures::target());
    }
    if wants("serving") {
        serving::measure(&mut report);
    }
    if wants("window") {
        window::measure(&mut report);
    }
    if wants("pages") {
        pages::measure(&mut report);
    }
    report.finish()
}
