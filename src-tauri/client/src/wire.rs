//! Lines of JSON on a connection, bounded both ways.

use crate::connection::Connection;
use larder_core::problem::Problem;
use larder_core::protocol::{Ask, Line, MOST_ANSWER, MOST_REQUEST};
use serde_json::{Map, Value};
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use zeroize::{Zeroize, Zeroizing};

/// How much is read at once: an answer with a token fits, so that its bytes are not copied by a growing buffer.
const CHUNK: usize = 16 * 1024;

/// A connection, and what was received on it but not yet read as a line.
#[derive(Debug)]
pub(crate) struct Wire {
    connection: Connection,
    /// The socket's, for problems.
    path: String,
    /// May hold an access token, so it is zeroized; Debug is that of a Vec, hence the redaction below.
    received: Received,
    /// Nothing more can be read or written.
    closed: bool,
}

/// Received bytes. Redacted, for Debug.
struct Received {
    bytes: Zeroizing<Vec<u8>>,
    /// So many of them are known to hold no line end.
    searched: usize,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{} bytes]", self.bytes.len())
    }
}

/// Counts what is written, and keeps nothing of it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Wire {
    pub(crate) fn new(connection: Connection, path: &Path) -> Self {
        let bytes = Zeroizing::new(Vec::with_capacity(CHUNK));
        Self { connection, path: path.display().to_string(), received: Received { bytes, searched: 0 }, closed: false }
    }

    fn gone(&self, detail: impl Into<String>) -> Problem {
        Problem::NoAgent { path: self.path.clone(), detail: detail.into() }
    }

    /// Sends one request.
    pub(crate) fn send(&mut self, ask: &Ask, timeout: Option<Duration>) -> Result<(), Problem> {
        if self.closed {
            return Err(self.gone("the connection is closed"));
        }
        let unwritable = |error: serde_json::Error| Problem::Internal { detail: error.to_string() };
        let mut length = Length(1);
        serde_json::to_writer(&mut length, ask).map_err(unwritable)?;
        if length.0 > MOST_REQUEST {
            return Err(Problem::BadRequest { detail: format!("it is longer than {MOST_REQUEST} bytes") });
        }
        // A redirect with its code may be in it: a buffer that grows would leave copies.
        let mut line = Zeroizing::new(Vec::with_capacity(length.0));
        serde_json::to_writer(&mut *line, ask).map_err(unwritable)?;
        line.push(b'\n');
        let sent = self.connection.set_write_timeout(timeout).and_then(|()| self.connection.write_all(&line));
        sent.map_err(|error| {
            // Half a line may have gone out.
            self.closed = true;
            self.gone(format!("the connection broke ({error})"))
        })
    }

    /// The next line; those of a kind that this build does not know are passed over.
    pub(crate) fn line(&mut self, deadline: Option<Instant>) -> Result<Line, Problem> {
        let began = Instant::now();
        loop {
            while let Some(line) = self.complete()? {
                if let Some(line) = parse(&line)? {
                    return Ok(line);
                }
            }
            if let Err(error) = self.read(deadline) {
                return Err(match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                        self.gone(format!("no answer within {} s", began.elapsed().as_secs()))
                    }
                    _ => {
                        self.closed = true;
                        self.gone(format!("the connection broke ({error})"))
                    }
                });
            }
        }
    }

    /// Waits until the agent closes the connection; what it still says is passed over.
    pub(crate) fn wait_closed(&mut self, deadline: Instant) -> Result<(), Problem> {
        loop {
            match self.line(Some(deadline)) {
                Err(_) if self.closed => return Ok(()),
                Err(_) if Instant::now() >= deadline => return Err(self.gone("it was asked to stop and did not")),
                _ => {}
            }
        }
    }

    /// The first whole line received, taken out of the buffer.
    fn complete(&mut self) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        let Received { bytes, searched } = &mut self.received;
        let Some(end) = bytes[*searched..].iter().position(|byte| *byte == b'\n').map(|at| *searched + at) else {
            *searched = bytes.len();
            return if bytes.len() > MOST_ANSWER { Err(self.too_long()) } else { Ok(None) };
        };
        if end > MOST_ANSWER {
            return Err(self.too_long());
        }
        let line = Zeroizing::new(bytes[..end].to_vec());
        // `drain` alone would leave the moved bytes behind the new end.
        let left = bytes.len() - end - 1;
        bytes.copy_within(end + 1.., 0);
        bytes[left..].zeroize();
        bytes.truncate(left);
        *searched = 0;
        Ok(Some(line))
    }

    fn too_long(&mut self) -> Problem {
        self.closed = true;
        self.received.bytes.zeroize();
        self.received.searched = 0;
        Problem::Internal { detail: format!("the agent's answer is longer than {MOST_ANSWER} bytes") }
    }

    /// Reads some more.
    fn read(&mut self, deadline: Option<Instant>) -> std::io::Result<()> {
        if self.closed {
            return Err(std::io::Error::new(ErrorKind::NotConnected, "it is closed"));
        }
        let left = match deadline {
            // A time-out of zero would be an error of its own.
            Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Some(left),
                _ => return Err(ErrorKind::TimedOut.into()),
            },
            None => None,
        };
        self.connection.set_read_timeout(left)?;
        let mut chunk = Zeroizing::new([0_u8; CHUNK]);
        match self.connection.read(&mut *chunk) {
            Ok(0) => Err(std::io::Error::new(ErrorKind::UnexpectedEof, "the agent closed it")),
            Ok(read) => {
                self.received.bytes.extend_from_slice(&chunk[..read]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A line from the agent. Not through [`Line`]'s own untagged reading, which would copy a token on its way.
/// `None` for a push that this build does not know.
fn parse(line: &[u8]) -> Result<Option<Line>, Problem> {
    let unreadable = |what: &str| Problem::Internal { detail: format!("the agent's answer cannot be read: {what}") };
    // No error text of serde_json's: it may quote what it read.
    let mut parts: Map<String, Value> = serde_json::from_slice(line).map_err(|_| unreadable("it is not JSON"))?;
    if let Some(push) = parts.remove("push") {
        return Ok(serde_json::from_value(push).ok().map(|push| Line::Push { push }));
    }
    let Some(id) = parts.get("id").and_then(Value::as_u64) else { return Err(unreadable("it has no id")) };
    if let Some(answer) = parts.remove("answer") {
        let answer = serde_json::from_value(answer).map_err(|_| unreadable("its kind is not known"))?;
        return Ok(Some(Line::Answer { id, answer }));
    }
    let Some(problem) = parts.remove("problem") else { return Err(unreadable("it answers nothing")) };
    let code = problem.get("code").and_then(Value::as_str).unwrap_or("none").to_owned();
    let problem = serde_json::from_value(problem).unwrap_or_else(|_| unreadable(&format!("problem {code}")));
    Ok(Some(Line::Problem { id, problem }))
}
