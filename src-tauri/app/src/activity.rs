//! What happened, for the window: an account's last days, the record searched, and both written into a file.

use crate::downloads;
use crate::link::Link;
use larder_client::unexpected;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, AuditFilter, MOST_ROWS, Request};
use larder_core::time::WallTime;
use larder_core::view::{EventKind, EventView, LastUse};
use serde::Deserialize;

/// What is searched for.
#[derive(Clone, Debug, Deserialize)]
pub struct Filter {
    /// Of this account.
    account: Option<AccountId>,
    /// Of these kinds; of all, where there is none.
    kinds: Vec<EventKind>,
    /// Not over before this.
    since: Option<WallTime>,
    /// Words that stand in it, whatever their case.
    words: String,
    /// The newest so many.
    most: usize,
}

/// How the record is written into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    Json,
    Csv,
}

/// What happened to an account since then, oldest first.
pub fn history(link: &Link, account: AccountId, since: WallTime) -> Result<Vec<EventView>, Problem> {
    rows(link, Some(account), Some(since))
}

/// When each account's token was last handed out, and to which program.
pub fn last_uses(link: &Link) -> Result<Vec<LastUse>, Problem> {
    match link.ask(Request::LastUses)? {
        Answer::LastUses { uses } => Ok(uses),
        _ => Err(unexpected("last-uses")),
    }
}

/// What fits, newest first.
pub fn search(link: &Link, filter: &Filter) -> Result<Vec<EventView>, Problem> {
    let mut found = rows(link, filter.account.clone(), filter.since)?;
    found.retain(|event| filter.fits(event));
    found.reverse();
    found.truncate(filter.most);
    Ok(found)
}

/// Writes what fits into a file for its person, oldest first, and says where it is.
pub fn save(link: &Link, filter: &Filter, format: Format) -> Result<String, Problem> {
    let mut events = search(link, filter)?;
    events.reverse();
    let extension = match format {
        Format::Json => "json",
        Format::Csv => "csv",
    };
    downloads::write("larder-activity", extension, &written(&events, format)?)
}

fn rows(link: &Link, account: Option<AccountId>, since: Option<WallTime>) -> Result<Vec<EventView>, Problem> {
    let filter =
        AuditFilter { account: account.map(|account| account.0), since, limit: MOST_ROWS, ..AuditFilter::default() };
    match link.ask(Request::Audit { filter })? {
        Answer::Audit { rows } => Ok(rows.into_iter().map(|row| row.event).collect()),
        _ => Err(unexpected("audit")),
    }
}

impl Filter {
    fn fits(&self, event: &EventView) -> bool {
        let kind = name(event.kind);
        let text = [event.label.as_deref(), event.program.as_deref(), Some(kind.as_str())];
        let mut text = text.into_iter().flatten().collect::<Vec<_>>().join("\n").to_lowercase();
        if let Some(problem) = &event.problem {
            text.push_str(&larder_core::words::sentence(problem).to_lowercase());
        }
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }
}

fn name(kind: EventKind) -> String {
    serde_json::to_value(kind).ok().and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default()
}

/// What fits, as the text of a file.
pub fn written(events: &[EventView], format: Format) -> Result<String, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::Internal { detail: format!("the record: {error}") };
    match format {
        Format::Json => serde_json::to_string_pretty(events).map(|text| text + "\n").map_err(|error| failed(&error)),
        Format::Csv => {
            let mut table = csv::Writer::from_writer(Vec::new());
            let mut write = |row: [&str; 8]| table.write_record(row).map_err(|error| failed(&error));
            write(["at", "last", "count", "kind", "account", "label", "program", "problem"])?;
            for event in events {
                let at =
                    |at: WallTime| jiff::Timestamp::from_millisecond(at.0).map(|at| at.to_string()).unwrap_or_default();
                let problem = event.problem.as_ref().map(larder_core::words::sentence).unwrap_or_default();
                write([
                    &at(event.at),
                    &event.last.map(at).unwrap_or_default(),
                    &event.count.to_string(),
                    &name(event.kind),
                    event.account.as_ref().map(AccountId::as_str).unwrap_or_default(),
                    &inert(event.label.as_deref().unwrap_or_default()),
                    &inert(event.program.as_deref().unwrap_or_default()),
                    &inert(&problem),
                ])?;
            }
            let bytes = table.into_inner().map_err(|error| failed(&error))?;
            String::from_utf8(bytes).map_err(|error| failed(&error))
        }
    }
}

/// A cell that no spreadsheet takes for a formula.
fn inert(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: EventKind, label: &str, program: &str) -> EventView {
        EventView {
            label: Some(label.to_owned()),
            program: Some(program.to_owned()),
            ..EventView::new(WallTime(1_764_000_000_000), kind)
        }
    }

    fn filter(kinds: &[EventKind], words: &str) -> Filter {
        Filter { account: None, kinds: kinds.to_vec(), since: None, words: words.to_owned(), most: 10 }
    }

    #[test]
    fn words_are_looked_for_in_all_that_is_told_and_kinds_narrow_it() {
        let git = event(EventKind::HandedOut, "work", "/usr/bin/git");
        assert!(filter(&[], "").fits(&git));
        assert!(filter(&[], "GIT work").fits(&git));
        assert!(filter(&[], "handed").fits(&git));
        assert!(!filter(&[], "git home").fits(&git));
        assert!(!filter(&[EventKind::Refused], "git").fits(&git));
        let locked = EventView { problem: Some(Problem::KeychainLocked), ..event(EventKind::Refused, "work", "") };
        assert!(filter(&[EventKind::Refused], "keychain").fits(&locked));
    }

    #[test]
    fn a_table_holds_every_cell_apart_and_no_formula() {
        let events = [event(EventKind::HandedOut, "a,\"b\"\n", "=HYPERLINK(\"http://x\")")];
        let text = written(&events, Format::Csv).unwrap();
        let mut table = csv::Reader::from_reader(text.as_bytes());
        let row = table.records().next().unwrap().unwrap();
        assert_eq!(&row[3], "handed-out");
        assert_eq!(&row[5], "a,\"b\"\n");
        assert_eq!(&row[6], "'=HYPERLINK(\"http://x\")");
        assert_eq!(&row[0], "2025-11-24T16:00:00Z");
    }

    #[test]
    fn a_list_is_read_back_as_it_was() {
        let events = vec![event(EventKind::Refreshed, "work", "")];
        let text = written(&events, Format::Json).unwrap();
        assert_eq!(serde_json::from_str::<Vec<EventView>>(&text).unwrap(), events);
    }
}
