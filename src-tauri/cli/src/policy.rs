//! `larder policy`.

use crate::Context;
use crate::args::Policy;
use crate::print::Failure;
use crate::{table, words};
use larder_client::{Answer, Request, unexpected};
use larder_core::protocol::{Decision, Rule};

const ANY: &str = "*";

pub fn run(context: &Context, command: Policy) -> Result<(), Failure> {
    match command {
        Policy::List => {
            let Answer::Policy { default, rules } = context.connect()?.ask(Request::Policy)? else {
                return Err(unexpected("policy").into());
            };
            let answer = serde_json::json!({ "default": default, "rules": rules });
            context.print.answer(&answer, |_| list(default, &rules))
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
    }
}

fn list(default: Decision, rules: &[Rule]) -> String {
    let row = |rule: &Rule| [words::decision(rule.decision).to_owned(), rule.program.clone(), rule.account.clone()];
    let mut rows: Vec<_> = rules.iter().map(row).collect();
    rows.push([words::decision(default).to_owned(), "otherwise".to_owned(), String::new()]);
    table::table(["DECISION", "PROGRAM", "ACCOUNT"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_last_line() {
        let git = Rule { program: "/usr/bin/git".to_owned(), account: ANY.to_owned(), decision: Decision::Allow };
        assert_eq!(
            list(Decision::Ask, &[git]),
            "DECISION  PROGRAM       ACCOUNT\nallow     /usr/bin/git  *\nask       otherwise\n"
        );
    }
}
