//! What `fuzz_targets` run. `src-tauri/agent/tests/fuzz.rs` has the same files as a module, for `make test`.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a target that cannot be set up has failed")]

pub mod targets;
