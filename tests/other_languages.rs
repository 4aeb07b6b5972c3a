//! docs/other-languages.md, as it stands there.

use crate::support::recipes::snippet_of;
use crate::support::{Provider, Session};
use std::path::Path;
use std::process::Command;

const DOCUMENT: &str = "other-languages.md";

fn signed_in() -> (Session, Provider, String) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let expected = format!("Bearer {} work\n", session.larder(&["token", "work"]).ok().len());
    (session, provider, expected)
}

#[test]
fn python_asks_the_socket() {
    let (session, _provider, expected) = signed_in();
    let program = snippet_of(DOCUMENT, "Python", "python");
    assert_eq!(session.ran("/usr/bin/python3", &["-c", &program]), expected);
    session.larder(&["policy", "set", "deny"]).ok();
    session.larder(&["policy", "set", "deny", "--account", "work"]).ok();
    let refused = session.command("/usr/bin/python3").args(["-c", &program]).output().expect("python3");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("denied"));
}

#[test]
fn node_asks_the_socket() {
    let (session, _provider, expected) = signed_in();
    let program = snippet_of(DOCUMENT, "Node", "js");
    assert_eq!(session.ran("node", &["--input-type=module", "--eval", &program]), expected);
}

#[test]
fn rust_asks_in_three_lines() {
    let (session, _provider, expected) = signed_in();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let example = std::fs::read_to_string(root.join("src-tauri/client/examples/token.rs")).expect("the example");
    assert!(example.ends_with(&snippet_of(DOCUMENT, "Rust", "rust")), "the document and the example differ");
    // With the features of everything else, so that nothing is built twice.
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--offline",
            "--locked",
            "--workspace",
            "--features",
            "custom-protocol",
            "--example",
            "token",
        ])
        .current_dir(root)
        .status()
        .expect("cargo");
    assert!(built.success());
    let program = crate::support::program("larder").with_file_name("examples").join("token");
    assert_eq!(session.ran(&program.display().to_string(), &[]), expected);
    // It starts the agent where none runs.
    session.stop_agent();
    let mut command = session.command(&program);
    command.env("LARDER_AGENT", crate::support::program("larder-agent"));
    assert_eq!(String::from_utf8(command.output().expect("the example").stdout).expect("text"), expected);
}
