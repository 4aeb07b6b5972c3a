//! `larder agent` and `larder unlock`.

use crate::print::Failure;
use crate::{Context, exec, passphrase};
use larder_client::{Problem, Request};
use std::process::Command;

pub fn unlock(context: &Context) -> Result<(), Failure> {
    let mut client = context.connect()?;
    match client.ask(Request::Unlock { passphrase: None }) {
        Err(wanted @ (Problem::PassphraseNeeded | Problem::PassphraseUnset)) => {
            let passphrase = Some(passphrase::read(wanted)?);
            client.ask(Request::Unlock { passphrase })?;
        }
        answer => drop(answer?),
    }
    context.print.note("The keychain is open, and Larder is not locked.");
    Ok(())
}

pub fn agent(context: &Context, stop: bool) -> Result<(), Failure> {
    let profile = larder_client::profile()?;
    if stop {
        let stopped = larder_client::stop(&profile)?;
        context.print.note(if stopped { "The agent has stopped." } else { "No agent was running." });
        return Ok(());
    }
    let program = larder_client::agent_program();
    let error = exec::execute(&mut Command::new(&program));
    let path = profile.socket()?.display().to_string();
    Err(Problem::NoAgent { path, detail: format!("{}: {error}", program.display()) }.into())
}
