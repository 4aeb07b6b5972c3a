//! `larder providers`.

use crate::Context;
use crate::args::{AddProvider, Providers, Redirect};
use crate::print::{Failure, cell};
use crate::{table, words};
use larder_client::{Answer, Problem, Request, sentence, unexpected};
use larder_core::names::ProviderName;
use larder_core::problem::Exit;
use larder_core::protocol::{MOST_REQUEST, OnWire};
use larder_core::view::{ProviderView, ReportLine, Verdict};
use larder_core::words::message;
use serde_json::Map;
use std::io::{self, Read};
use toml::{Table, Value};

/// The longest secret that is read, in bytes. Providers' have below a hundred; a private RSA key of 8192 bits has 7 KiB.
const MOST_SECRET: u64 = 16 * 1024;

pub fn run(context: &Context, command: Providers) -> Result<Exit, Failure> {
    match command {
        Providers::List => {
            let Answer::Providers { providers } = context.connect()?.ask(Request::Providers)? else {
                return Err(unexpected("providers").into());
            };
            if providers.is_empty() {
                context.print.note("There are no providers yet; `larder providers add` adds one.");
            }
            context.print.answer(&providers, |providers| list(providers))?;
        }
        Providers::Show { name } => {
            let name = ProviderName(name);
            let Answer::Provider { definition } = context.connect()?.ask(Request::Provider { name: name.clone() })?
            else {
                return Err(unexpected("provider").into());
            };
            let answer = serde_json::json!({ "name": name, "definition": definition });
            context.print.answer(&answer, |_| definition.clone())?;
        }
        Providers::Add(args) => {
            let definition = match &args.from {
                Some(file) => read(file)?,
                None => definition(&args),
            };
            context.connect()?.ask(Request::AddProvider { name: ProviderName(args.name.clone()), definition })?;
            context.print.note(&format!("{0} is written down; `larder sign-in {0}` signs in.", args.name));
        }
        Providers::Secret { name } => {
            let mut secret = String::new();
            let failed = |_| Problem::BadRequest { detail: "stdin cannot be read".to_owned() };
            io::stdin().lock().take(MOST_SECRET + 1).read_to_string(&mut secret).map_err(failed)?;
            let secret = OnWire::new(secret);
            if secret.expose().len() as u64 > MOST_SECRET {
                let detail = "that is too long for a secret or a private key".to_owned();
                return Err(Problem::BadRequest { detail }.into());
            }
            context.connect()?.ask(Request::SetSecret { name: ProviderName(name.clone()), secret })?;
            context.print.note(&format!("The secret of {name} is sealed."));
        }
        Providers::Check { provider } => return check(context, provider),
        Providers::Remove { name } => {
            context.connect()?.ask(Request::RemoveProvider { name: ProviderName(name.clone()) })?;
            context.print.note(&format!("{name} is removed."));
        }
    }
    Ok(Exit::Done)
}

fn check(context: &Context, provider: String) -> Result<Exit, Failure> {
    let Answer::Report { lines } = context.connect()?.ask(Request::CheckProvider { provider })? else {
        return Err(unexpected("check-provider").into());
    };
    context.print.answer(&lines, |lines| report(lines))?;
    let wrong: Vec<&ReportLine> = lines.iter().filter(|line| line.verdict == Verdict::Wrong).collect();
    let passes = |line: &&ReportLine| line.problem.as_ref().is_some_and(Problem::passes);
    Ok(match wrong.as_slice() {
        [] => Exit::Done,
        all if all.iter().all(passes) => Exit::TryLater,
        _ => Exit::Configuration,
    })
}

fn report(lines: &[ReportLine]) -> String {
    let words = |line: &ReportLine| match &line.problem {
        Some(problem) => sentence(problem),
        None => message(&line.key, &Map::from_iter([("value".to_owned(), line.value.as_str().into())])),
    };
    let verdict = |verdict| match verdict {
        Verdict::Good => "ok   ",
        Verdict::Odd => "odd  ",
        Verdict::Wrong => "wrong",
    };
    lines.iter().map(|line| format!("{}  {}", verdict(line.verdict), cell(&words(line)))).collect::<Vec<_>>().join("\n")
}

fn list(providers: &[ProviderView]) -> String {
    if providers.is_empty() {
        return String::new();
    }
    let row = |provider: &ProviderView| {
        let redirects: Vec<&str> = provider.redirects.iter().map(|kind| words::redirect(*kind)).collect();
        let name = provider.name.as_str().to_owned();
        [name, provider.issuer.clone(), provider.client_id.clone(), redirects.join(", ")]
    };
    let rows: Vec<_> = providers.iter().map(row).collect();
    table::table(["NAME", "ISSUER", "CLIENT", "REDIRECTS"], &rows)
}

/// A file, `-` for stdin; at most so much of it as can be sent at all.
fn read(name: &str) -> Result<String, Problem> {
    let unreadable = |error: io::Error| Problem::BadRequest { detail: format!("{name} cannot be read: {error}") };
    let most = MOST_REQUEST as u64;
    let mut text = String::new();
    let read = match name {
        "-" => io::stdin().lock().take(most).read_to_string(&mut text),
        _ => std::fs::File::open(name).map_err(unreadable)?.take(most).read_to_string(&mut text),
    };
    read.map_err(unreadable)?;
    Ok(text)
}

/// The keys and values of `providers.toml` that the options stand for. What they mean is the agent's to judge.
fn definition(args: &AddProvider) -> String {
    let texts = [
        ("issuer", &args.issuer),
        ("authorization_endpoint", &args.authorization_endpoint),
        ("token_endpoint", &args.token_endpoint),
        ("revocation_endpoint", &args.revocation_endpoint),
        ("userinfo_endpoint", &args.userinfo_endpoint),
        ("client_id", &args.client_id),
        ("resource", &args.resource),
        ("catalogue", &args.catalogue),
        ("server", &args.server),
        ("token_endpoint_auth_method", &args.auth_method),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| Some((key, Value::String(text.clone()?))));
    let scopes: Vec<Value> = args.scope.iter().cloned().map(Value::String).collect();
    let redirects: Vec<Value> = args.redirect.iter().map(redirect).collect();
    let lists = [("scopes", scopes), ("redirects", redirects)];
    let lists = lists.into_iter().filter(|(_, list)| !list.is_empty()).map(|(key, list)| (key, Value::Array(list)));
    let bound = args.dpop_bound.then_some(("dpop_bound_access_tokens", Value::Boolean(true)));
    texts.chain(lists).chain(bound).map(|(key, value)| format!("{key} = {value}\n")).collect()
}

fn redirect((kind, uri): &(Redirect, Option<String>)) -> Value {
    let kind = Value::String(words::redirect((*kind).into()).to_owned());
    match uri {
        None => kind,
        Some(uri) => {
            let pairs = [("kind".to_owned(), kind), ("uri".to_owned(), Value::String(uri.clone()))];
            Value::Table(Table::from_iter(pairs))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn definition_of(options: &[&str]) -> String {
        let line = ["larder", "providers", "add", "work"].iter().chain(options);
        match Args::try_parse_from(line).map(|args| args.command) {
            Ok(Command::Providers { command: Providers::Add(args) }) => definition(&args),
            _ => panic!("it does not parse"),
        }
    }

    #[test]
    fn options_are_written_as_the_file_has_them() {
        assert_eq!(
            definition_of(&[
                "--issuer",
                "https://login.example.com",
                "--client-id",
                "a\"b\nc",
                "--scope",
                "openid",
                "--scope",
                "email",
                "--redirect",
                "deep-link",
                "--redirect",
                "loopback=http://localhost/cb",
            ])
            .parse::<Table>()
            .unwrap(),
            toml::toml! {
                issuer = "https://login.example.com"
                client_id = "a\"b\nc"
                scopes = ["openid", "email"]
                redirects = ["deep-link", { kind = "loopback", uri = "http://localhost/cb" }]
            }
        );
    }

    #[test]
    fn every_key_is_on_a_line_of_its_own() {
        assert_eq!(
            definition_of(&["--client-id", "c", "--redirect", "paste=https://a.example/cb"]),
            "client_id = \"c\"\nredirects = [{ kind = \"paste\", uri = \"https://a.example/cb\" }]\n"
        );
        assert_eq!(definition_of(&[]), "");
    }

    #[test]
    fn a_file_and_options_do_not_mix() {
        let line = ["larder", "providers", "add", "work", "--from", "-", "--issuer", "https://a.example"];
        assert!(Args::try_parse_from(line).is_err());
    }
}
