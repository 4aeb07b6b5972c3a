//! `larder status`.

use crate::print::{Failure, cell};
use crate::{Context, accounts, words};
use larder_client::{Agent, sentence};
use larder_core::problem::{Exit, Problem};
use larder_core::view::{AccountState, HouseView, KeychainState};
use larder_core::words::said_by_provider;
use std::fmt::Write;

pub fn status(context: &Context) -> Result<Exit, Failure> {
    let mut client = context.connect()?;
    let view = accounts::view(&mut client)?;
    let agent = client.agent();
    let json = serde_json::json!({
        "agent": { "pid": agent.pid, "build": agent.build, "profile": agent.profile },
        "house": view,
    });
    context.print.answer(&json, |_| text(agent, &view))?;
    Ok(exit(&view))
}

fn text(agent: &Agent, view: &HouseView) -> String {
    let mut text = String::new();
    let mut row = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<10}{}", cell(value));
    };
    row("agent", &format!("version {}, process {}", agent.build, agent.pid));
    row("profile", &agent.profile);
    row("keychain", &format!("{}: {}", view.keychain.kind, words::keychain(view.keychain.state)));
    row("tray", words::tray(view.tray));
    row("accounts", &counts(view));
    if let Some(next) = &view.next_refresh {
        let label = view.accounts.iter().find(|account| account.id == next.account).map(|found| &found.label);
        let when = crate::duration::words(next.at.0.saturating_sub(view.at.0));
        row("next", &format!("{} in {when}", label.unwrap_or(&next.account.0)));
    }
    for account in &view.accounts {
        if let Some(left) = account.session_ends_in(view.at) {
            row("session", &words::session_ends(&account.label, left));
        }
    }
    for problem in problems(view) {
        row("problem", &sentence(problem));
        if let Some(said) = said_by_provider(problem) {
            row("", &said);
        }
    }
    text
}

/// "3: 2 fresh, 1 to sign in again", in the order in which states first appear.
fn counts(view: &HouseView) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for name in view.accounts.iter().map(|account| words::state_name(account.state)) {
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let each: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    match each.is_empty() {
        true => "none".to_owned(),
        false => format!("{}: {}", view.accounts.len(), each.join(", ")),
    }
}

/// The house's own problems, then each account's, then those of sign-ins; none twice.
fn problems(view: &HouseView) -> Vec<&Problem> {
    let accounts = view.accounts.iter().filter_map(|account| account.problem.as_ref());
    let attempts = view.attempts.iter().filter_map(|attempt| attempt.problem.as_ref());
    let mut problems: Vec<&Problem> = Vec::new();
    for problem in view.problems.iter().chain(accounts).chain(attempts) {
        if !words::is_plain(problem) && !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems
}

/// From what stops everything to what passes by itself; what is not listed comes last, before "all is well".
const SEVERITY: [Exit; 5] = [Exit::Disk, Exit::Keychain, Exit::Configuration, Exit::SignIn, Exit::TryLater];

/// The worst of how things stand. As `--help` says.
fn exit(view: &HouseView) -> Exit {
    let mut exits: Vec<Exit> = view.problems.iter().map(Problem::exit).collect();
    if matches!(view.keychain.state, KeychainState::Locked | KeychainState::Absent | KeychainState::Silent) {
        exits.push(Exit::Keychain);
    }
    for account in &view.accounts {
        let problem = account.problem.as_ref().map(Problem::exit);
        match account.state {
            AccountState::SignInAgain => exits.push(Exit::SignIn),
            AccountState::Blocked => exits.push(problem.unwrap_or(Exit::Configuration)),
            // While the token works, what passes by itself is no reason for alarm; a full disk is.
            AccountState::Waiting => match problem {
                Some(Exit::TryLater) | None if account.expires_at.is_none_or(|ends| ends > view.at) => {}
                problem => exits.push(problem.unwrap_or(Exit::TryLater)),
            },
            _ => {}
        }
    }
    let worst = SEVERITY.into_iter().find(|exit| exits.contains(exit));
    worst.unwrap_or(if exits.is_empty() { Exit::Done } else { Exit::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::tests::house;
    use crate::words::tests::account;
    use larder_core::time::WallTime;
    use larder_core::view::NextRefresh;

    fn agent() -> Agent {
        Agent { build: "0.1.0".to_owned(), profile: "/home/ada/.larder".to_owned(), pid: 7 }
    }

    fn offline() -> Problem {
        Problem::Unreachable { host: "login.example.com".to_owned() }
    }

    #[test]
    fn a_quiet_house_is_well() {
        let view = house(vec![account("a", AccountState::Fresh), account("b", AccountState::SignedOut)]);
        assert_eq!(exit(&view), Exit::Done);
        assert_eq!(
            text(&agent(), &view),
            "agent     version 0.1.0, process 7\nprofile   /home/ada/.larder\nkeychain  Secret Service: open\n\
             tray      fresh\naccounts  2: 1 fresh, 1 signed out\n"
        );
    }

    #[test]
    fn problems_are_told_once_as_sentences() {
        let mut first = account("a", AccountState::Waiting);
        first.problem = Some(offline());
        let mut view = house(vec![first.clone(), first]);
        view.next_refresh = Some(NextRefresh { account: "id-a".into(), at: WallTime(90_000) });
        let text = text(&agent(), &view);
        assert!(text.contains("next      a in 1 min\n"), "{text}");
        assert_eq!(text.matches("problem   login.example.com cannot be reached").count(), 1, "{text}");
    }

    #[test]
    fn a_session_that_ends_within_a_week_is_told() {
        let mut work = account("work", AccountState::Fresh);
        work.session_ends_at = Some(WallTime(8 * 86_400_000));
        let mut view = house(vec![work]);
        assert!(!text(&agent(), &view).contains("session"), "{view:?}");
        view.at = WallTime(3 * 86_400_000);
        let text = text(&agent(), &view);
        assert!(text.contains("session   work: the provider ends this session in 5 d, "), "{text}");
        assert_eq!(exit(&view), Exit::Done, "it works until then");
    }

    #[test]
    fn the_worst_state_is_the_exit_code() {
        let mut view = house(vec![account("a", AccountState::Waiting)]);
        view.accounts[0].problem = Some(offline());
        assert_eq!(exit(&view), Exit::Done, "the token still works");
        view.at = WallTime(3_600_000);
        assert_eq!(exit(&view), Exit::TryLater);
        view.accounts.push(account("b", AccountState::SignInAgain));
        assert_eq!(exit(&view), Exit::SignIn);
        view.accounts.push(account("c", AccountState::Blocked));
        assert_eq!(exit(&view), Exit::Configuration);
        view.keychain.state = KeychainState::Locked;
        assert_eq!(exit(&view), Exit::Keychain);
        view.problems.push(Problem::DiskFull { file: "larder.db".to_owned(), detail: String::new() });
        assert_eq!(exit(&view), Exit::Disk);
    }
}
