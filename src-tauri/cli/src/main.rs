//! The `larder` command: asks the agent and prints what it answers. Thin: the agent decides and acts.

mod accounts;
mod agent;
mod args;
mod audit;
mod browser;
mod doctor;
mod duration;
mod events;
mod exec;
mod formats;
mod git;
mod links;
mod lock;
mod moving;
mod passphrase;
mod policy;
mod print;
mod providers;
mod rejected;
mod sign_in;
mod status;
mod table;
mod words;

use args::{Args, Command};
use clap::Parser;
use larder_client::{Client, Problem, Scope, Start, Wanted};
use larder_core::problem::Exit;
use larder_core::scheme;
use print::{Failure, Print};
use std::process::ExitCode;

/// What every command has at hand.
struct Context {
    print: Print,
    start: Start,
}

impl Context {
    /// A connection to the profile's agent.
    fn connect(&self) -> Result<Client, Problem> {
        Client::connect(&larder_client::profile()?, self.start.clone())
    }
}

fn main() -> ExitCode {
    larder_client::crash::leave_nothing();
    let args = match Args::try_parse() {
        Ok(args) => args,
        // Help and version go to stdout and are 0, usage errors to stderr and 2.
        Err(error) => {
            // What is wrong would be repeated, and with it the code that is in a redirect.
            if error.use_stderr() && std::env::args_os().any(|argument| scheme::is_ours(&argument.to_string_lossy())) {
                let print = Print { json: false };
                print.note(
                    "A redirect is the only argument of `larder callback`, or its stdin; nothing was handed over.",
                );
            } else {
                let _ = error.print();
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage as u8));
        }
    };
    let context =
        Context { print: Print { json: args.json }, start: if args.no_start { Start::Never } else { Start::IfNeeded } };
    let exit = match run(&context, args.command) {
        Ok(exit) => exit,
        // Who reads has enough.
        Err(Failure::NobodyReads) => Exit::Done,
        Err(Failure::Problem(problem)) => {
            context.print.problem(&problem);
            problem.exit()
        }
    };
    ExitCode::from(exit as u8)
}

fn run(context: &Context, command: Command) -> Result<Exit, Failure> {
    match command {
        Command::SignIn(args) => sign_in::sign_in(context, args)?,
        Command::Callback { url } => sign_in::callback(context, url)?,
        Command::Accounts => accounts::list(context)?,
        Command::Status => return status::status(context),
        Command::Token {
            account,
            min_validity,
            format,
            user,
            scope,
            resource,
            rejected,
            rejected_token,
            dpop,
            dpop_nonce,
        } => {
            let rejected = rejected::rejected(rejected, rejected_token.is_some())?;
            let dpop = accounts::proof(dpop, dpop_nonce);
            // As RFC 6749 section 3.3 writes several.
            let scopes = scope.iter().flat_map(|scopes| scopes.split_whitespace()).map(Scope::from).collect();
            let wanted = Wanted { min_validity, dpop, rejected, scopes, resource };
            accounts::token(context, &account, wanted, format, user)?;
        }
        Command::Exec { account, name, command } => exec::exec(context, exec::Exec { account, name, command })?,
        Command::GitCredential { operation } => return git::credential(context, &operation),
        Command::Rename { account, label } => accounts::rename(context, &account, label)?,
        Command::Test { account } => return accounts::test(context, &account),
        Command::Refresh(which) => accounts::refresh(context, which)?,
        Command::SignOut { which, forget, here_only, browser } => {
            accounts::sign_out(context, which, forget, here_only, browser)?;
        }
        Command::Providers { command } => return providers::run(context, command),
        Command::Policy { command } => policy::run(context, command)?,
        Command::Events { follow, limit } => events::events(context, follow, limit)?,
        Command::Export(args) => moving::export(context, args)?,
        Command::Import { file, identity } => moving::import(context, &file, identity)?,
        Command::Audit { command, filter } => audit::run(context, command, filter)?,
        Command::Doctor => return doctor::doctor(context),
        Command::Lock { seal } => lock::lock(context, seal)?,
        Command::Unlock => agent::unlock(context)?,
        Command::Agent { stop } => agent::agent(context, stop)?,
    }
    Ok(Exit::Done)
}
