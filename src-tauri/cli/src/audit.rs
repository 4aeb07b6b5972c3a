//! `larder audit`.

use crate::Context;
use crate::args::{Audit, AuditFilter};
use crate::print::{Failure, cell};
use crate::{events, table, words};
use larder_client::{Answer, Request, sentence, unexpected};
use larder_core::protocol;
use larder_core::time::WallTime;
use larder_core::view::{AuditReport, AuditRow};
use std::time::Duration;

pub fn run(context: &Context, command: Option<Audit>, filter: AuditFilter) -> Result<(), Failure> {
    match command {
        None => list(context, filter),
        Some(Audit::Verify { head }) => {
            let Answer::AuditVerified(report) = context.connect()?.ask(Request::AuditVerify { noted: head })? else {
                return Err(unexpected("audit").into());
            };
            if let Some(problem) = &report.unchecked {
                let why = sentence(problem);
                context.print.note(&format!("The checkpoints' signatures could not be checked. {}", cell(&why)));
            }
            context.print.answer(&*report, verified)
        }
        Some(Audit::Head) => {
            let Answer::AuditHead(head) = context.connect()?.ask(Request::AuditHead)? else {
                return Err(unexpected("audit").into());
            };
            context.print.answer(&head, |head| format!("{}:{}", head.number, head.hash))
        }
    }
}

fn list(context: &Context, filter: AuditFilter) -> Result<(), Failure> {
    let AuditFilter { account, program, kind, since, limit } = filter;
    let since = since.map(|seconds| {
        let ago = larder_core::time::millis(Duration::from_secs(seconds));
        WallTime(words::now().0.saturating_sub(ago))
    });
    let filter = protocol::AuditFilter { account, program, kind, since, limit };
    let Answer::Audit { rows } = context.connect()?.ask(Request::Audit { filter })? else {
        return Err(unexpected("audit").into());
    };
    if context.print.json {
        return rows.iter().try_for_each(crate::print::json);
    }
    context.print.answer(&rows, |rows| shown(rows))
}

fn shown(rows: &[AuditRow]) -> String {
    let row = |row: &AuditRow| [row.number.to_string(), events::line(&row.event)];
    table::table(["ROW", "WHAT HAPPENED"], &rows.iter().map(row).collect::<Vec<_>>())
}

fn verified(report: &AuditReport) -> String {
    let AuditReport { rows, first, head, checkpoints, unchecked } = report;
    let signed = match (checkpoints, unchecked) {
        (0, _) => "none of them is signed yet".to_owned(),
        (number, None) => format!("{number} signed checkpoints fit too"),
        (number, Some(_)) => format!("{number} checkpoints fit, their signatures aside"),
    };
    match rows {
        0 => "The audit is empty.".to_owned(),
        _ => format!("{rows} rows, {first} to {}, are as they were written; {signed}.", head.number),
    }
}
