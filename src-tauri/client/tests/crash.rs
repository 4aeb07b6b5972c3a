//! A program that breaks off says where, and nothing of what it held.

use std::process::Command;

/// Set for the process that is to panic.
const INSIDE: &str = "LARDER_TEST_PANICS";

#[test]
fn a_panic_says_where_it_was_and_nothing_else() {
    if std::env::var_os(INSIDE).is_some() {
        larder_client::crash::leave_nothing();
        panic!("canary-{}", 6 * 7);
    }
    let own = std::env::current_exe().expect("this test");
    let mut once_more = Command::new(own);
    once_more.args(["--exact", "a_panic_says_where_it_was_and_nothing_else", "--nocapture"]).env(INSIDE, "1");
    let output = once_more.output().expect("this test, once more");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("larder: a mistake in Larder ended this at") && said.contains("crash.rs:"), "{said}");
    assert!(!said.contains("canary-42"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn dumps_are_off_and_a_program_that_this_one_becomes_has_them_back() {
    let now = || {
        let limits = std::fs::read_to_string("/proc/self/limits").expect("limits");
        let limit = limits.lines().find(|line| line.starts_with("Max core file size")).expect("its line").to_owned();
        (limit, std::fs::read_to_string("/proc/self/coredump_filter").expect("a filter"))
    };
    let before = now();
    larder_client::crash::leave_nothing();
    let off = now();
    assert!(off.0.split_whitespace().nth(4) == Some("0"), "{off:?}");
    assert_eq!(off.1.trim().trim_matches('0'), "");
    larder_client::crash::as_before();
    assert_eq!(now(), before);
    assert_ne!(before.1.trim().trim_matches('0'), "");
    let _ = std::panic::take_hook();
}
