//! `larder lock`.

use crate::Context;
use crate::print::{Failure, cell};
use crate::words;
use larder_client::{Answer, Request, unexpected};
use larder_core::view::{LapsingView, LockState};

pub fn lock(context: &Context, seal: bool) -> Result<(), Failure> {
    let Answer::Locked { state, lapsing } = context.connect()?.ask(Request::Lock { seal })? else {
        return Err(unexpected("lock").into());
    };
    let said = match state {
        LockState::Sealed => "Larder is sealed: nothing is handed out and nothing refreshed until `larder unlock`.",
        LockState::Locked | LockState::Unlocked => {
            "Larder is locked: no program gets a token until `larder unlock`; accounts stay fresh."
        }
    };
    context.print.note(said);
    if !lapsing.is_empty() {
        context
            .print
            .note("These sessions are not refreshed meanwhile, and may lapse if their provider ends unused ones:");
    }
    let answer = serde_json::json!({ "state": state, "lapsing": lapsing });
    context.print.answer(&answer, |_| lapsing.iter().map(line).collect())
}

fn line(session: &LapsingView) -> String {
    let mut line = cell(&session.account).into_owned();
    for (what, at) in [("refresh due", session.refresh_at), ("token ends", session.expires_at)] {
        if let Some(at) = at {
            line.push_str(&format!("  {what} {}", words::moment(at)));
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::time::WallTime;

    #[test]
    fn a_session_that_may_lapse_says_when() {
        let at = Some(WallTime(1_700_000_000_000));
        let session = LapsingView { account: "work".to_owned(), refresh_at: at, expires_at: None };
        assert_eq!(line(&session), "work  refresh due 2023-11-14T22:13:20Z\n");
    }
}
