//! Who opens Larder's links: the system is asked each time, because any program that is installed can become the one.

use larder_client::Problem;
use larder_core::scheme::SCHEME;
use std::process::{Command, Stdio};

/// Desktop entries of Larder's own: of a build run from source, and of a package by either spelling.
const OURS: [&str; 3] = ["larder-desktop-dev.desktop", "larder.desktop", "Larder.desktop"];

/// The desktop entry that the system would start, empty if none; `None` where it has no way to say.
pub fn handler() -> Option<String> {
    let asked = Command::new("xdg-mime")
        .args(["query", "default", &format!("x-scheme-handler/{SCHEME}")])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Why the browser's answer would not come back by a link, where this is who opens them.
pub fn problem(handler: &str) -> Option<Problem> {
    match handler {
        "" => Some(Problem::SchemeUnhandled),
        ours if OURS.contains(&ours) => None,
        other => Some(Problem::SchemeTaken { handler: other.to_owned() }),
    }
}
