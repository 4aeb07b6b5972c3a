//! `larder exec`: runs a command with a token in its environment.

use crate::print::Failure;
use crate::{Context, duration, formats};
use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long the token is to live, in seconds: an environment cannot be changed from outside, so the command has it until
/// it ends. Most commands end before that.
const LIFE: u64 = 15 * 60;

/// What may have passed since the agent looked at the clock, in seconds: that much less is no news.
const ON_THE_WAY: u64 = 5;

/// As `env` has them: what was to be run is not there, or cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_RUN: i32 = 126;

/// What is to be run, and how.
pub struct Exec {
    /// Label or id.
    pub account: String,
    /// The variable that the token stands in.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<OsString>,
}

pub fn exec(context: &Context, exec: Exec) -> Result<(), Failure> {
    let Exec { account, name, command } = exec;
    let mut words = command.into_iter();
    let program = words.next().unwrap_or_default();
    let token = context.connect()?.token(&account, Some(LIFE))?;
    formats::check(&token)?;
    if token.token_type.eq_ignore_ascii_case("dpop") {
        context.print.note(&format!("{} The command gets the token without one.", formats::needs_proof(&account)));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, larder_core::time::millis);
    let left = token.expires_at.map(|until| until.0.saturating_sub(now));
    if let Some(left) = left
        && left < larder_core::time::millis(Duration::from_secs(LIFE - ON_THE_WAY))
    {
        context.print.note(&format!(
            "This token ends in {}, and the command cannot be given another one while it runs.",
            duration::words(left)
        ));
    }
    let error = execute(Command::new(&program).args(words).env(name, token.access_token.expose()));
    context.print.note(&format!("{} could not be run: {error}.", program.display()));
    std::process::exit(if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN })
}

/// Becomes `command`, with this process's id, files and environment, so that signals and the exit code are its own; returns
/// only if that fails.
#[cfg(unix)]
pub fn execute(command: &mut Command) -> io::Error {
    larder_client::crash::as_before();
    std::os::unix::process::CommandExt::exec(command)
}

/// Runs `command` and ends as it does; returns only if it cannot be started.
#[cfg(not(unix))]
pub fn execute(command: &mut Command) -> io::Error {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => error,
    }
}
