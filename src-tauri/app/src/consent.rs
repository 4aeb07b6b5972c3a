//! What a person says to programs that ask for tokens: now, and from now on.

use crate::actions::done;
use crate::link::Link;
use larder_client::unexpected;
use larder_core::names::PromptId;
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Choice, Decision, Request, Rule};
use larder_core::view::GrantView;
use serde::Serialize;

/// The policy, for the window.
#[derive(Serialize)]
pub struct Policy {
    default: Decision,
    rules: Vec<Rule>,
    session: Vec<GrantView>,
}

/// Answers the program that asks. An answer that comes too late is one that nobody waits for: the view has said so already.
pub fn answer(link: &Link, prompt: PromptId, choice: Choice) -> Result<(), Problem> {
    link.notice(None);
    match link.ask(Request::AnswerPrompt { prompt, choice }) {
        Ok(answer) => done(answer, "answer-prompt"),
        Err(Problem::NoSuchPrompt { .. }) => Ok(()),
        Err(problem) => Err(problem),
    }
}

/// Reads the policy.
pub fn policy(link: &Link) -> Result<Policy, Problem> {
    match link.ask(Request::Policy)? {
        Answer::Policy { default, rules, session } => Ok(Policy { default, rules, session }),
        _ => Err(unexpected("policy")),
    }
}

/// Changes the default, where program and account are both absent, else one rule.
pub fn set_policy(
    link: &Link,
    program: Option<String>,
    account: Option<String>,
    decision: Decision,
) -> Result<(), Problem> {
    link.notice(None);
    done(link.ask(Request::SetPolicy { program, account, decision })?, "set-policy")
}

/// Removes one rule, and what its program was allowed for this session.
pub fn remove_rule(link: &Link, program: String, account: String) -> Result<(), Problem> {
    link.notice(None);
    done(link.ask(Request::RemoveRule { program, account })?, "remove-rule")
}

/// From now on no token is handed out, until it is unlocked.
pub fn lock(link: &Link) -> Result<(), Problem> {
    link.notice(None);
    match link.ask(Request::Lock { seal: false })? {
        Answer::Locked { .. } => Ok(()),
        _ => Err(unexpected("lock")),
    }
}
