//! stdout carries the answer alone; messages go to stderr. Nothing printed can steer a terminal.

use larder_client::{Problem, sentence};
use larder_core::words::said_by_provider;
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};

/// Why a command ends early.
pub enum Failure {
    /// The agent's, or one that is found here.
    Problem(Problem),
    /// stdout is a pipe that nobody reads any more.
    NobodyReads,
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Failure {
    /// Of writing to stdout.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::NobodyReads,
            _ => Self::Problem(Problem::NotWritten { file: "standard output".to_owned(), detail: error.to_string() }),
        }
    }
}

/// Prints, in words or as JSON.
pub struct Print {
    /// JSON.
    pub json: bool,
}

impl Print {
    /// An answer: `value` as one line of JSON, or the lines that `words` makes of it.
    pub fn answer<T: Serialize + ?Sized>(&self, value: &T, words: impl FnOnce(&T) -> String) -> Result<(), Failure> {
        if self.json { json(value) } else { line(&words(value)) }
    }

    /// A message to the person; none where a program reads.
    pub fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{}", clean(text));
        }
    }

    /// A failure, on stderr: for people a sentence, for programs one line `{"problem":{…}}`.
    pub fn problem(&self, problem: &Problem) {
        let text = if self.json {
            escaped(&serde_json::json!({ "problem": problem }).to_string()).into_owned()
        } else {
            let said = said_by_provider(problem).map(|said| format!("\nlarder: {}", cell(&said))).unwrap_or_default();
            format!("larder: {}{said}", cell(&sentence(problem)))
        };
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Lines to stdout, as they stand but for what could steer a terminal; nothing at all if there are none.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    if !text.is_empty() {
        writeln!(out, "{}", clean(text.trim_end_matches('\n')))?;
    }
    Ok(out.flush()?)
}

/// `value` as one line of JSON to stdout.
pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value).map_err(|error| Problem::Internal { detail: error.to_string() })?;
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escaped(&text))?;
    Ok(out.flush()?)
}

/// Whether a terminal may take `c` for something else than a letter: control characters, and those that turn
/// the direction of what follows (Unicode Standard Annex 9), or start a line.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// `text`, with U+FFFD for what could steer a terminal. Line ends stay: they are ours, as [`cell`] takes others out.
pub fn clean(text: &str) -> Cow<'_, str> {
    replaced(text, |c| steers(c) && c != '\n')
}

/// As [`clean`], for what was said by others and must stay within its line.
pub fn cell(text: &str) -> Cow<'_, str> {
    replaced(text, steers)
}

fn replaced(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if text.contains(&bad) { Cow::Owned(text.replace(&bad, "\u{FFFD}")) } else { Cow::Borrowed(text) }
}

/// JSON text, with an escape for what could steer a terminal: serde_json escapes ASCII's alone.
/// Such characters stand in JSON's strings only, where an escape means the same.
fn escaped(json: &str) -> Cow<'_, str> {
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    let mut text = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if steers(c) {
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_replaced() {
        assert_eq!(
            cell("Ada \u{1b}[2J\u{9b}31m\r\n\u{202e}x\u{2066}\u{7f}"),
            "Ada \u{FFFD}[2J\u{FFFD}31m\u{FFFD}\u{FFFD}\u{FFFD}x\u{FFFD}\u{FFFD}"
        );
        assert_eq!(clean("a\nb\u{7}"), "a\nb\u{FFFD}");
        assert!(matches!(cell("Zoë 漢字 👩"), Cow::Borrowed("Zoë 漢字 👩")));
    }

    #[test]
    fn json_says_the_same_without_steering() {
        let value = serde_json::json!({ "name": "a\u{1b}\u{9b}\u{202e}\n\u{7f}\"ü" });
        let text = escaped(&value.to_string()).into_owned();
        assert!(!text.contains(steers));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
