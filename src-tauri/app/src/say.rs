//! What the app says to whoever started it from a terminal.

use std::io::Write;

/// One message to stderr. A closed stderr is nobody's loss.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The answer to `--help` and `--version`.
pub fn say_out(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
