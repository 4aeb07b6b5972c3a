//! `larder events`.

use crate::Context;
use crate::print::{Failure, cell};
use crate::words;
use larder_client::{Answer, Push, Request, sentence, unexpected};
use larder_core::view::EventView;
use std::fmt::Write as _;

pub fn events(context: &Context, follow: bool, limit: u32) -> Result<(), Failure> {
    let mut client = context.connect()?;
    if !follow {
        let events = newest(client.ask(Request::Events { limit })?)?;
        return events.iter().try_for_each(|event| print(context, event));
    }
    // Subscribed first, so that nothing falls between the list and what follows.
    let mut pushes = client.subscribe()?;
    let events = newest(pushes.ask(Request::Events { limit })?)?;
    events.iter().try_for_each(|event| print(context, event))?;
    for push in pushes {
        match push? {
            // What happened between subscribing and listing comes both ways.
            Push::Event(event) if !events.contains(&event) => print(context, &event)?,
            _ => {}
        }
    }
    Ok(())
}

fn newest(answer: Answer) -> Result<Vec<EventView>, Failure> {
    match answer {
        Answer::Events { events } => Ok(events),
        _ => Err(unexpected("events").into()),
    }
}

/// One line: of JSON, or of words.
fn print(context: &Context, event: &EventView) -> Result<(), Failure> {
    context.print.answer(event, line)
}

/// An event, for people.
pub fn line(event: &EventView) -> String {
    let mut line = format!("{}  {:<17}", words::moment(event.at), words::event(event.kind));
    let who = event.label.as_deref().or(event.account.as_ref().map(|id| id.as_str()));
    for part in [who, event.program.as_deref()].into_iter().flatten() {
        line.push_str("  ");
        line.push_str(&cell(part));
    }
    if let Some(last) = event.last {
        let _ = write!(line, "  {} times until {}", event.count, words::moment(last));
    }
    if let Some(problem) = &event.problem {
        line.push_str("  ");
        line.push_str(&cell(&sentence(problem)));
        if let Some(said) = larder_core::words::said_by_provider(problem) {
            line.push(' ');
            line.push_str(&cell(&said));
        }
    }
    line.truncate(line.trim_end().len());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::time::WallTime;
    use larder_core::view::EventKind;

    #[test]
    fn an_event_is_a_line_that_its_program_cannot_break() {
        let event = EventView {
            account: Some("id".into()),
            label: Some("work".to_owned()),
            program: Some("/tmp/a\nb".to_owned()),
            ..EventView::new(WallTime(1_700_000_000_000), EventKind::HandedOut)
        };
        assert_eq!(line(&event), "2023-11-14T22:13:20Z  token handed out   work  /tmp/a\u{FFFD}b");
        let often = EventView { count: 3, last: Some(WallTime(1_700_000_059_000)), ..event };
        assert!(line(&often).ends_with("b  3 times until 2023-11-14T22:14:19Z"));
    }
}
