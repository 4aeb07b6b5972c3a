//! `larder export` and `larder import`: the agent writes and reads the file, so no token comes here.

use crate::Context;
use crate::args::Export;
use crate::passphrase;
use crate::print::{Failure, cell};
use larder_client::{Answer, Problem, Request, unexpected};
use std::path::{Path, PathBuf};

pub fn export(context: &Context, args: Export) -> Result<(), Failure> {
    let Export { file, accounts, recipient, config_only, .. } = args;
    let path = whole(&file)?;
    let mut client = context.connect()?;
    let passphrase = if recipient.is_none() { Some(passphrase::of_a_file(true)?) } else { None };
    let request = Request::Export { path: path.clone(), accounts, config_only, passphrase, recipient };
    let moved = moved(client.ask(request)?)?;
    let names = moved.iter().map(|label| cell(label)).collect::<Vec<_>>().join(", ");
    context.print.note(&if config_only {
        format!("{} holds your providers and labels; the accounts stay here.", cell(&path))
    } else {
        format!("{names} stopped here; import {} on the other machine.", cell(&path))
    });
    context.print.answer(&serde_json::json!({ "file": path, "accounts": moved }), |_| cell(&path).into_owned())
}

pub fn import(context: &Context, file: &Path, identity: Option<PathBuf>) -> Result<(), Failure> {
    let path = whole(file)?;
    let identity = identity.as_deref().map(whole).transpose()?;
    let mut client = context.connect()?;
    let passphrase = if identity.is_none() { Some(passphrase::of_a_file(false)?) } else { None };
    let moved = moved(client.ask(Request::Import { path, passphrase, identity })?)?;
    context.print.answer(&serde_json::json!({ "accounts": moved }), |_| moved.join("\n"))
}

fn moved(answer: Answer) -> Result<Vec<String>, Problem> {
    match answer {
        Answer::Moved { accounts } => Ok(accounts),
        _ => Err(unexpected("export")),
    }
}

/// The agent has another working folder.
fn whole(file: &Path) -> Result<String, Problem> {
    let bad = |detail: String| Problem::BadRequest { detail };
    let path = std::path::absolute(file).map_err(|error| bad(format!("{}: {error}", file.display())))?;
    path.into_os_string().into_string().map_err(|_| bad("the file's name is no text".to_owned()))
}
