//! `larder accounts`, `token`, `refresh` and `sign-out`.

use crate::Context;
use crate::args::{Format, Which};
use crate::print::{self, Failure, cell};
use crate::{browser, formats, table, words};
use larder_client::{Answer, Client, Problem, ProofFor, Request, Wanted, unexpected};
use larder_core::problem::Exit;
use larder_core::view::{AccountState, AccountView, HouseView};

/// Everything there is to show.
pub fn view(client: &mut Client) -> Result<Box<HouseView>, Problem> {
    match client.ask(Request::View)? {
        Answer::View(view) => Ok(view),
        _ => Err(unexpected("view")),
    }
}

/// The account that has this label, else this id.
pub fn find<'a>(view: &'a HouseView, account: &str) -> Result<&'a AccountView, Problem> {
    let by_label = view.accounts.iter().find(|known| known.label == account);
    let found = by_label.or_else(|| view.accounts.iter().find(|known| known.id.as_str() == account));
    found.ok_or_else(|| Problem::NoSuchAccount { account: account.to_owned() })
}

pub fn list(context: &Context) -> Result<(), Failure> {
    let view = view(&mut context.connect()?)?;
    if view.accounts.is_empty() {
        context.print.note("There are no accounts yet; `larder sign-in PROVIDER` adds one.");
    }
    context.print.answer(&view.accounts, |_| accounts(&view))
}

fn accounts(view: &HouseView) -> String {
    if view.accounts.is_empty() {
        return String::new();
    }
    let row = |account: &AccountView| {
        let provider = account.provider.as_str().to_owned();
        [account.label.clone(), words::state(account, view.at), provider, words::who(account)]
    };
    let rows: Vec<_> = view.accounts.iter().map(row).collect();
    table::table(["LABEL", "STATE", "PROVIDER", "WHO"], &rows)
}

/// The request that a proof is wanted for, as the options name it. What it must be is the agent's to judge.
pub fn proof(request: Option<Vec<String>>, nonce: Option<String>) -> Option<ProofFor> {
    let [method, url] = <[String; 2]>::try_from(request?).ok()?;
    Some(ProofFor { method, url, nonce })
}

pub fn token(
    context: &Context,
    account: &str,
    wanted: Wanted,
    format: Option<Format>,
    user: Option<String>,
) -> Result<(), Failure> {
    if wanted.dpop.is_some() && matches!(format, Some(Format::Xoauth2 | Format::K8s)) {
        let detail = "a proof has no place in that format".to_owned();
        return Err(Problem::BadRequest { detail }.into());
    }
    let mut client = context.connect()?;
    let token = client.token_as(account, wanted)?;
    formats::check(&token)?;
    if token.token_type.eq_ignore_ascii_case("dpop") && token.dpop.is_none() {
        context.print.note(&formats::needs_proof(account));
    }
    let default = if context.print.json { Format::Json } else { Format::Raw };
    // This is what the command is for: its person asked for the token, on stdout and nowhere else.
    formats::print(&mut client, &token, format.unwrap_or(default), user)
}

pub fn rename(context: &Context, account: &str, label: String) -> Result<(), Failure> {
    let mut client = context.connect()?;
    client.ask(Request::Rename { account: account.to_owned(), label: label.clone() })?;
    let view = view(&mut client)?;
    let account = find(&view, &label)?;
    context.print.note(&format!("It is called {} now.", cell(&account.label)));
    if context.print.json { print::json(account) } else { Ok(()) }
}

/// 0 where the provider accepts the token, 3 where it does not, else 4.
pub fn test(context: &Context, account: &str) -> Result<Exit, Failure> {
    match context.connect()?.ask(Request::Test { account: account.to_owned() })? {
        Answer::Tested { host, status, milliseconds } => {
            if context.print.json {
                print::json(&serde_json::json!({ "host": host, "status": status, "milliseconds": milliseconds }))?;
            } else {
                let said = match status {
                    200..300 => "accepts the token",
                    401 => "rejects the token; `larder refresh` gets another one",
                    _ => "answers something else",
                };
                print::line(&format!("{} {said}: {status} in {milliseconds} ms.", cell(&host)))?;
            }
            Ok(match status {
                200..300 => Exit::Done,
                401 => Exit::SignIn,
                _ => Exit::TryLater,
            })
        }
        _ => Err(unexpected("test").into()),
    }
}

pub fn refresh(context: &Context, which: Which) -> Result<(), Failure> {
    let mut client = context.connect()?;
    let Some(account) = which.account else {
        client.ask(Request::RefreshAll)?;
        context
            .print
            .note("Every account that can be refreshed is being refreshed; `larder accounts` shows how it goes.");
        return Ok(());
    };
    client.ask(Request::Refresh { account: account.clone() })?;
    let view = view(&mut client)?;
    let account = find(&view, &account)?;
    context.print.note(&format!("{}: {}.", cell(&account.label), words::state(account, view.at)));
    if context.print.json { print::json(account) } else { Ok(()) }
}

pub fn sign_out(context: &Context, which: Which, forget: bool, here_only: bool, open: bool) -> Result<(), Failure> {
    let mut client = context.connect()?;
    let accounts = match which.account {
        Some(account) => vec![account],
        None => {
            let view = view(&mut client)?;
            let wanted = |account: &&AccountView| forget || account.state != AccountState::SignedOut;
            view.accounts.iter().filter(wanted).map(|account| account.id.to_string()).collect()
        }
    };
    let mut first = None;
    for account in accounts {
        let done = client.ask(Request::SignOut { account, undoable: false, forget, here_only });
        match done {
            Ok(Answer::SignedOut { account, revocation, browser_sign_out }) => {
                context.print.note(&words::signed_out(&cell(&account), revocation));
                in_browser(context, browser_sign_out.as_deref(), open);
                if context.print.json {
                    print::json(&serde_json::json!({
                        "account": account,
                        "revocation": revocation,
                        "browser_sign_out": browser_sign_out,
                    }))?;
                }
            }
            Ok(_) => return Err(unexpected("sign-out").into()),
            // One that fails does not keep the others signed in. The first one is told by main.
            Err(problem) if first.is_none() => first = Some(problem),
            Err(problem) => context.print.problem(&problem),
        }
    }
    first.map_or(Ok(()), |problem| Err(problem.into()))
}

/// The browser has a session of its own at the provider, that others may use: it is ended only where its person says so.
fn in_browser(context: &Context, url: Option<&str>, open: bool) {
    let said = match (url, open) {
        (None, false) => return,
        (None, true) => "The provider has not said how to sign out in the browser; its own pages can do it.".to_owned(),
        (Some(url), true) if browser::open(url).is_ok() => {
            format!("Your browser opens to sign out there too; if it does not, open this address:\n{}", cell(url))
        }
        (Some(url), _) => format!("To sign out in the browser too, open {}", cell(url)),
    };
    context.print.note(&said);
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::words::tests::account;
    use larder_core::time::WallTime;
    use larder_core::view::{KeychainState, KeychainView, TrayState};

    pub fn house(accounts: Vec<AccountView>) -> HouseView {
        HouseView {
            at: WallTime(0),
            accounts,
            attempts: Vec::new(),
            providers: Vec::new(),
            keychain: KeychainView { kind: "Secret Service".to_owned(), state: KeychainState::Open },
            problems: Vec::new(),
            tray: TrayState::Fresh,
            next_refresh: None,
            prompts: Vec::new(),
            locked: larder_core::view::LockState::Unlocked,
        }
    }

    #[test]
    fn accounts_are_a_table_that_a_name_cannot_break_out_of() {
        let mut mallory = account("mallory", AccountState::SignInAgain);
        mallory.name = Some("\u{1b}[2K\nada  fresh".to_owned());
        assert_eq!(
            accounts(&house(vec![account("work", AccountState::Fresh), mallory])),
            "LABEL    STATE             PROVIDER  WHO\n\
             work     fresh for 42 min  work      Ada\n\
             mallory  sign in again     work      \u{FFFD}[2K\u{FFFD}ada  fresh\n"
        );
    }

    #[test]
    fn an_account_is_found_by_its_label_before_another_ones_id() {
        let house = house(vec![account("a", AccountState::Fresh), account("id-a", AccountState::Fresh)]);
        assert_eq!(find(&house, "id-a").unwrap().label, "id-a");
        assert_eq!(find(&house, "id-id-a").unwrap().label, "id-a");
        assert!(matches!(find(&house, "b"), Err(Problem::NoSuchAccount { .. })));
    }
}
