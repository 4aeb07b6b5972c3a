//! `larder policy`.

use crate::Context;
use crate::args::Policy;
use crate::print::{Failure, cell};
use crate::{table, words};
use larder_client::{Answer, Request, unexpected};
use larder_core::protocol::{Decision, Rule};
use larder_core::view::GrantView;

const ANY: &str = "*";

pub fn run(context: &Context, command: Policy) -> Result<(), Failure> {
    match command {
        Policy::List => {
            let Answer::Policy { default, rules, session } = context.connect()?.ask(Request::Policy)? else {
                return Err(unexpected("policy").into());
            };
            let answer = serde_json::json!({ "default": default, "rules": rules, "session": session });
            context.print.answer(&answer, |_| list(default, &rules, &session))
        }
        Policy::Set { decision, program, account } => {
            // A rule says both; the default neither.
            let rule = program.is_some() || account.is_some();
            let or_any = |name: Option<String>| rule.then(|| name.unwrap_or_else(|| ANY.to_owned()));
            let (program, account) = (or_any(program), or_any(account));
            context.connect()?.ask(Request::SetPolicy { program, account, decision: decision.into() })?;
            context.print.note("The policy is changed; `larder policy list` shows it.");
            Ok(())
        }
        Policy::Remove { program, account } => {
            let (program, account) =
                (program.unwrap_or_else(|| ANY.to_owned()), account.unwrap_or_else(|| ANY.to_owned()));
            context.connect()?.ask(Request::RemoveRule { program, account })?;
            context.print.note("The rule is gone; `larder policy list` shows what is left.");
            Ok(())
        }
    }
}

fn list(default: Decision, rules: &[Rule], session: &[GrantView]) -> String {
    let row = |rule: &Rule| [words::decision(rule.decision).to_owned(), rule.program.clone(), rule.account.clone()];
    let granted = |grant: &GrantView| {
        let arguments = grant.arguments.iter().flatten().map(|argument| format!(" {argument}"));
        let program = cell(&(grant.program.clone() + &arguments.collect::<String>())).into_owned();
        ["allow for now".to_owned(), program, grant.account.clone()]
    };
    let mut rows: Vec<_> = rules.iter().map(row).collect();
    rows.push([words::decision(default).to_owned(), "otherwise".to_owned(), String::new()]);
    rows.extend(session.iter().map(granted));
    table::table(["DECISION", "PROGRAM", "ACCOUNT"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_for_now_comes_after_the_default() {
        let git = Rule { program: "/usr/bin/git".to_owned(), account: ANY.to_owned(), decision: Decision::Allow };
        assert_eq!(
            list(Decision::Ask, &[git], &[]),
            "DECISION  PROGRAM       ACCOUNT\nallow     /usr/bin/git  *\nask       otherwise\n"
        );
        let python = GrantView {
            program: "/usr/bin/python3".to_owned(),
            arguments: Some(vec!["sync.py".to_owned()]),
            account: "work".to_owned(),
        };
        let listed = list(Decision::Ask, &[], &[python]);
        assert!(listed.ends_with("allow for now  /usr/bin/python3 sync.py  work\n"), "{listed}");
    }
}
