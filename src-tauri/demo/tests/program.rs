//! The program: what it prints, and how it ends.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

fn started(arguments: &[&str]) -> (Child, String) {
    let program = env!("CARGO_BIN_EXE_larder-demo");
    let mut command = Command::new(program);
    command.args(["--port", "0"]).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim_end().to_owned())
}

#[test]
fn it_says_where_it_listens_and_ends_with_its_parent() {
    let (mut child, line) = started(&["--with-parent"]);
    let port = line.strip_prefix("listening http://127.0.0.1:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[cfg(unix)]
#[test]
fn it_ends_when_told() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _) = started(&["--access-lifetime", "5"]);
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(child.wait().unwrap().success(), "{signal}");
    }
}
