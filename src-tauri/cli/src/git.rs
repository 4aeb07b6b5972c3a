//! `larder git-credential`: a credential helper for git (gitcredentials(7), git-credential(1)).

use crate::print::{self, Failure};
use crate::{Context, formats, print::cell};
use larder_client::{Answer, Client, OnWire, Problem, Rejected, Request, Token, Wanted, unexpected};
use larder_core::git::{Destination, GitAccount};
use larder_core::problem::Exit;
use std::fmt::Write as _;
use std::io::{self, Read};
use zeroize::Zeroizing;

/// How long a token is to live that git gets, in seconds: a push sends several requests with it, and a large one takes
/// minutes.
const LIFE: u64 = 5 * 60;

/// The most that git is listened to, in bytes: it sends a line for each header that a server challenges it with.
const MOST_INPUT: u64 = 256 * 1024;

/// Marks the state that is given to git as Larder's own; behind it stands the account's id.
const STATE: &str = "larder.account=";

/// What git says.
#[derive(Default)]
struct Said {
    to: Destination,
    /// A password or a credential: only where one is stored or erased.
    secret: Option<OnWire>,
    /// Whether this git can send a token in a header of its own (2.46).
    authtype: bool,
    /// Whether this git gives back what it is told (2.46).
    state: bool,
    /// Whether the server asks for a bearer token (RFC 6750 section 3; git says so since 2.41).
    bearer: bool,
    /// What Larder told it before.
    account: Option<String>,
}

/// Does what git asks for. An operation that is not known is ignored, as git wants it.
pub fn credential(context: &Context, operation: &str) -> Result<Exit, Failure> {
    // Read in any case, so that git can finish what it says.
    let mut text = Zeroizing::new(Vec::new());
    io::stdin().lock().take(MOST_INPUT).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    let said = Said::read(&text);
    match operation {
        "get" => get(context, &said),
        "erase" => erase(context, said),
        _ => Ok(Exit::Done),
    }
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::BadRequest { detail: format!("git's description could not be read ({error})") }
}

impl Said {
    /// `key=value` lines, up to an empty one. What is not known is passed over.
    fn read(text: &[u8]) -> Self {
        let mut said = Self::default();
        // What is not UTF-8 names no account of ours.
        let text = Zeroizing::new(String::from_utf8_lossy(text).into_owned());
        for line in text.lines().take_while(|line| !line.is_empty()) {
            let Some((key, value)) = line.split_once('=') else { continue };
            let owned = || Some(value.to_owned());
            match key {
                "protocol" => value.clone_into(&mut said.to.protocol),
                "host" => value.clone_into(&mut said.to.host),
                "path" => said.to.path = owned(),
                "username" => said.to.username = owned(),
                "password" | "credential" => said.secret = Some(OnWire::new(value.to_owned())),
                "capability[]" => match value {
                    "authtype" => said.authtype = true,
                    "state" => said.state = true,
                    _ => {}
                },
                "wwwauth[]" => said.bearer |= asks_for_bearer(value),
                "state[]" => said.account = value.strip_prefix(STATE).map(str::to_owned).or(said.account),
                _ => {}
            }
        }
        said
    }
}

/// Whether a `WWW-Authenticate` header holds a challenge of this scheme (RFC 9110 section 11.6.1).
fn asks_for_bearer(header: &str) -> bool {
    header.split(',').filter_map(|part| part.split_whitespace().next()).any(|word| word.eq_ignore_ascii_case("bearer"))
}

fn accounts(client: &mut Client, to: &Destination) -> Result<Vec<GitAccount>, Problem> {
    match client.ask(Request::GitAccounts { to: to.clone() })? {
        Answer::GitAccounts { accounts } => Ok(accounts),
        _ => Err(unexpected("git-accounts")),
    }
}

fn get(context: &Context, said: &Said) -> Result<Exit, Failure> {
    let mut client = context.connect()?;
    let mut found = accounts(&mut client, &said.to)?;
    if found.len() > 1 {
        let labels = found.iter().map(|account| account.label.as_str()).collect::<Vec<_>>().join(", ");
        context.print.note(&cell(&format!(
            "larder: several accounts are signed in at {}: {labels}. Put the label of one into the remote's address, as in \
             {}://LABEL@{}/…, or write a rule into config.toml.",
            said.to.host, said.to.protocol, said.to.host
        )));
        return Ok(Exit::Usage);
    }
    // No host of ours: git asks the next helper.
    let Some(account) = found.pop() else { return Ok(Exit::Done) };
    let token = client.token(account.account.as_str(), Some(LIFE))?;
    formats::check(&token)?;
    if token.token_type.eq_ignore_ascii_case("dpop") {
        context
            .print
            .note(&cell(&format!("larder: the token of {} is bound to a key; git cannot use it.", account.label)));
        return Ok(Exit::Usage);
    }
    print::line(&answer(said, &account, &token))?;
    Ok(Exit::Done)
}

/// What git is answered: a user name and a password, or, where server and git speak of it, a bearer token.
fn answer(said: &Said, account: &GitAccount, token: &Token) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::new());
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key}={value}");
    };
    // Capabilities come before what they are for.
    let bearer = said.authtype && said.bearer;
    if bearer {
        line("capability[]", "authtype");
    }
    if said.state {
        line("capability[]", "state");
    }
    if bearer {
        line("authtype", "Bearer");
        line("credential", token.access_token.expose());
        // No other helper is to keep it.
        line("ephemeral", "1");
    } else {
        line("username", &account.username);
        line("password", token.access_token.expose());
    }
    if let Some(until) = token.expires_at {
        line("password_expiry_utc", &(until.0 / 1000).to_string());
    }
    if said.state {
        line("state[]", &format!("{STATE}{}", account.account));
    }
    text
}

/// The server refused the token: the agent is told, and gets a new one where it was still the account's. Nobody is signed out.
fn erase(context: &Context, said: Said) -> Result<Exit, Failure> {
    let Some(secret) = said.secret else { return Ok(Exit::Done) };
    let mut client = context.connect()?;
    let mut found = accounts(&mut client, &said.to)?;
    if let Some(id) = &said.account {
        found.retain(|account| account.account.as_str() == id);
    }
    let mut first = None;
    for account in found {
        // One that is not this account's token changes nothing there.
        let rejected = Some(Rejected::Token(secret.clone()));
        let told = client.token_as(account.account.as_str(), Wanted { rejected, ..Wanted::default() });
        first = first.or(told.err());
    }
    first.map_or(Ok(Exit::Done), |problem| Err(problem.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use larder_core::names::AccountId;
    use larder_core::time::WallTime;

    fn said(text: &str) -> Said {
        Said::read(text.as_bytes())
    }

    fn answered(text: &str) -> String {
        let account = GitAccount {
            account: AccountId::from("i1"),
            label: "hub".to_owned(),
            username: "x-access-token".to_owned(),
        };
        let token = Token {
            access_token: OnWire::new("at-1".to_owned()),
            token_type: "bearer".to_owned(),
            expires_at: Some(WallTime(1_700_000_000_999)),
            scope: String::new(),
            account: "hub".to_owned(),
            dpop: None,
        };
        answer(&said(text), &account, &token).as_str().to_owned()
    }

    #[test]
    fn git_is_understood_up_to_an_empty_line_and_beyond_what_is_known() {
        let said = said(
            "capability[]=authtype\ncapability[]=state\nprotocol=https\nhost=git.example:81\npath=a/b.git\nusername=ada\n\
             wwwauth[]=Basic realm=\"x\"\nfuture=1\nno equals sign\nstate[]=other.x=1\nstate[]=larder.account=i1\n\
             state[]=zzz\npassword=a=b\n\nhost=evil.example\n",
        );
        let to = Destination {
            protocol: "https".to_owned(),
            host: "git.example:81".to_owned(),
            path: Some("a/b.git".to_owned()),
            username: Some("ada".to_owned()),
        };
        assert_eq!((said.to, said.secret), (to, Some(OnWire::new("a=b".to_owned()))));
        assert_eq!((said.authtype, said.state, said.bearer, said.account.as_deref()), (true, true, false, Some("i1")));
    }

    #[test]
    fn a_bearer_challenge_is_told_from_others() {
        for (header, expected) in [
            ("Bearer", true),
            ("bearer realm=\"x\"", true),
            ("Basic realm=\"x\", Bearer realm=\"y\"", true),
            ("Basic realm=\"Bearer\"", false),
            ("BearerX", false),
            ("", false),
        ] {
            assert_eq!(asks_for_bearer(header), expected, "{header}");
        }
    }

    #[test]
    fn git_gets_what_it_and_the_server_can_take() {
        let basic = "username=x-access-token\npassword=at-1\npassword_expiry_utc=1700000000\n";
        assert_eq!(answered("protocol=https\nhost=h\n"), basic);
        assert_eq!(answered("wwwauth[]=Bearer\n"), basic);
        assert_eq!(answered("capability[]=authtype\nwwwauth[]=Basic realm=\"x\"\n"), basic);
        assert_eq!(
            answered("capability[]=authtype\ncapability[]=state\nwwwauth[]=Basic realm=\"x\"\nwwwauth[]=Bearer\n"),
            "capability[]=authtype\ncapability[]=state\nauthtype=Bearer\ncredential=at-1\nephemeral=1\n\
             password_expiry_utc=1700000000\nstate[]=larder.account=i1\n"
        );
    }
}
