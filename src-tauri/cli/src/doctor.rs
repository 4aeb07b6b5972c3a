//! `larder doctor`.

use crate::print::{Failure, cell};
use crate::{Context, links, table};
use larder_client::{Answer, Problem, Request, sentence, unexpected};
use larder_core::problem::Exit;
use larder_core::view::{Check, CheckView};

/// The gravest first, as `status` has them.
const GRAVEST: [Exit; 6] =
    [Exit::Disk, Exit::Keychain, Exit::Configuration, Exit::SignIn, Exit::TryLater, Exit::Failed];

pub fn doctor(context: &Context) -> Result<Exit, Failure> {
    let mut client = context.connect()?;
    let agent = format!("version {}, process {}", client.agent().build, client.agent().pid);
    let Answer::Doctor { checks } = client.ask(Request::Doctor)? else { return Err(unexpected("doctor").into()) };
    let mut all = vec![CheckView { check: Check::Socket, subject: agent, problem: None }, opened_by()];
    all.extend(checks);
    context.print.answer(&all, |all| text(all))?;
    let exits: Vec<Exit> = all.iter().filter_map(|check| check.problem.as_ref()).map(Problem::exit).collect();
    Ok(GRAVEST.into_iter().find(|exit| exits.contains(exit)).unwrap_or(Exit::Done))
}

/// Who opens Larder's links, as the system says.
fn opened_by() -> CheckView {
    let handler = links::handler().unwrap_or_default();
    let problem = links::problem(&handler);
    CheckView { check: Check::Links, subject: handler, problem }
}

fn text(checks: &[CheckView]) -> String {
    let row = |check: &CheckView| {
        let state = if check.problem.is_none() { "ok" } else { "look" };
        let words = match &check.problem {
            Some(problem) => sentence(problem),
            None => check.subject.clone(),
        };
        [state.to_owned(), name(check.check).to_owned(), cell(&words).into_owned()]
    };
    let rows: Vec<_> = checks.iter().map(row).collect();
    table::table(["", "WHAT", "FOUND"], &rows)
}

fn name(check: Check) -> &'static str {
    match check {
        Check::Socket => "agent",
        Check::Keychain => "keychain",
        Check::Configuration => "configuration",
        Check::Links => "links",
        Check::Proxy => "proxy",
        Check::Network => "network",
        Check::Clock => "clock",
    }
}
