//! What can be typed, and its help.

use crate::duration;
use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use larder_core::protocol::{Decision, MOST_ROWS};
use larder_core::view::{AuditHead, EventKind, RedirectKind};
use std::ffi::OsString;
use std::path::PathBuf;

/// The heading of what every command takes.
const EVERYWHERE: &str = "Everywhere";

const EXITS: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 sign-in needed, 4 try later (offline, provider down), 5 denied,
  6 keychain locked or absent, 7 no agent, 8 configuration to fix, 9 disk full or data damaged.
An ACCOUNT is named by its label or id. stdout carries the answer alone, messages go to stderr.
LARDER_HOME moves everything Larder keeps under one folder.";

const STATUS_EXITS: &str = "\
Exit codes, the first that applies: 9 disk full or data damaged, 6 keychain locked, silent or absent,
  8 configuration to fix, 3 an account needs its sign-in, 4 an account's token has ended and cannot be refreshed
  for now, 1 another problem, 0 all is well. An account that is signed out is well.";

const GIT_CREDENTIAL: &str = "\
git runs this itself, and speaks to it on stdin (gitcredentials(7)):
  git config --global credential.helper '!larder git-credential'
`get` gives a user name and an access token for a host that Larder has an account for, or nothing; `store` does nothing;
`erase` says that a token was refused, so that the next one is a new one, and signs nobody out.";

const EXEC: &str = "\
The command alone has the token; it replaces larder, so its exit code and signals are its own. An environment goes stale:
  the token is to live for 15 minutes or half of its lifetime, whichever is less, and nothing can give the command another
  one while it runs. A program that runs for long should ask for a token each time it needs one, with `larder token`.
  Whatever the command starts inherits the token as well.
Exit codes: the command's own; 127 where it is not found, 126 where it cannot be run; before that, larder's.";

/// Keeps your OAuth accounts signed in and their tokens fresh.
#[derive(Parser)]
#[command(name = "larder", version, after_help = EXITS, max_term_width = 100)]
pub struct Args {
    /// Do not start an agent where none is running
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub no_start: bool,
    /// Answers as JSON (times in ms since 1970 UTC); a failure as {"problem":{…}} on stderr
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Sign in to a provider, in your browser
    SignIn(SignIn),
    /// Hand over a redirect by hand
    #[command(after_help = "Better through stdin (`larder callback`, then paste): other programs see what stands\n\
                            on a command line, and this address holds a code.")]
    Callback {
        /// The whole address at which the browser ended; read from stdin if absent
        url: Option<String>,
    },
    /// List the accounts and how they stand
    Accounts,
    /// How the agent, the keychain and the accounts stand
    #[command(after_help = STATUS_EXITS)]
    Status,
    /// Print an access token that works
    #[command(
        after_help = "The token goes to stdout alone. Keep it out of command lines, where other programs see it;\n\
                            curl, for one, reads it from stdin:\n  larder token work --format header | curl -H @- https://…\n\
                            A token that is bound to a key (DPoP) needs a proof for each request, which --dpop makes:\n  \
                            larder token work --dpop GET https://… --format header | curl -H @- https://…"
    )]
    Token {
        /// Its label or id
        account: String,
        /// How long it must still be good for, as 90, 90s, 5m or 1h
        #[arg(long, value_name = "DURATION", value_parser = duration::seconds)]
        min_validity: Option<u64>,
        /// How to print it [default: raw]
        #[arg(long, value_enum, hide_default_value = true)]
        format: Option<Format>,
        /// With `--format xoauth2`: whose mailbox [default: the account's e-mail address]
        #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        user: Option<String>,
        /// With some of the granted scopes alone (repeatable)
        #[arg(long, value_name = "SCOPE")]
        scope: Vec<String>,
        /// For another resource than at the sign-in, where the provider issues tokens for one (RFC 8707)
        #[arg(long, value_name = "URI")]
        resource: Option<String>,
        /// The last token you got was answered 401: get a newer one, unless it was replaced meanwhile
        #[arg(long)]
        rejected: bool,
        /// The same of one certain token, read from stdin (`-`)
        #[arg(long, value_name = "-", value_parser = ["-"], conflicts_with = "rejected")]
        rejected_token: Option<String>,
        /// For a token that is bound to a key: a proof for this one request as well
        #[arg(long, num_args = 2, value_names = ["METHOD", "URL"])]
        dpop: Option<Vec<String>>,
        /// What the server sent as DPoP-Nonce [default: what it last sent to Larder]
        #[arg(long, value_name = "NONCE", requires = "dpop")]
        dpop_nonce: Option<String>,
    },
    /// Run a command with a token in its environment
    #[command(after_help = EXEC)]
    Exec {
        /// Its label or id
        account: String,
        /// The variable that holds the token
        #[arg(long, value_name = "NAME", default_value = "ACCESS_TOKEN", value_parser = variable)]
        name: String,
        /// What to run, with its arguments
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<OsString>,
    },
    /// Give git a token: its credential helper
    #[command(after_help = GIT_CREDENTIAL)]
    GitCredential {
        /// What git wants: get, store or erase
        operation: String,
    },
    /// Give an account another label
    Rename {
        /// Its label or id
        account: String,
        /// The new label
        label: String,
    },
    /// Ask the provider whether it accepts an account's token: its userinfo is asked
    Test {
        /// Its label or id
        account: String,
    },
    /// Refresh an account's token now
    Refresh(Which),
    /// Sign out: what is kept here no longer opens, then the provider is told
    SignOut {
        #[command(flatten)]
        which: Which,
        /// Remove the account from the list as well
        #[arg(long)]
        forget: bool,
        /// Do not tell the provider: at some, that would end this app's sessions on your other machines too
        #[arg(long)]
        here_only: bool,
        /// Sign out in the browser too, where the provider says how; without this, its address is printed alone
        #[arg(long, conflicts_with = "here_only")]
        browser: bool,
    },
    /// What can be signed in to
    Providers {
        #[command(subcommand)]
        command: Providers,
    },
    /// Which programs get tokens
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// What happened: sign-ins, refreshes, hand-outs; with --json one object a line
    Events {
        /// Go on printing what happens
        #[arg(long, short)]
        follow: bool,
        /// So many of the newest
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: u32,
    },
    /// Move accounts to another machine of yours, in a file that age seals
    Export(Export),
    /// Go on here with the accounts that a file brings
    #[command(
        after_help = "The passphrase is asked for without echo, or read from stdin where that is no terminal. An account that\n\
                            is signed in here is not replaced, and a file is imported once: its tokens may be spent since."
    )]
    Import {
        /// What `larder export` wrote
        file: PathBuf,
        /// A file with the age identity that it was sealed for, instead of a passphrase
        #[arg(long, value_name = "FILE")]
        identity: Option<PathBuf>,
    },
    /// What happened, row by row, as `audit.db` keeps it for 90 days
    #[command(args_conflicts_with_subcommands = true)]
    Audit {
        #[command(subcommand)]
        command: Option<Audit>,
        #[command(flatten)]
        filter: AuditFilter,
    },
    /// Look at everything that sign-ins and refreshes need, and say what to do
    #[command(after_help = "Exits with the gravest of what it found: 9, 6, 8, 3, 4, 1, else 0.")]
    Doctor,
    /// Hand out no token until `larder unlock`; accounts stay fresh
    #[command(
        after_help = "It outlasts the agent and a restart of this computer. With --seal nothing is refreshed either, so a\n\
                            session that its provider ends when it is not used may lapse; the accounts are named."
    )]
    Lock {
        /// Drop the keys from memory too, and refresh nothing
        #[arg(long)]
        seal: bool,
    },
    /// End the lock and open the keychain; it may ask you for its password, or this command for your passphrase
    #[command(
        after_help = "Where a passphrase opens the keys, it is asked for without echo, or read from stdin where\n\
                            that is no terminal. The first one that you give is the one."
    )]
    Unlock,
    /// Run the agent in the foreground, or stop the one that runs
    Agent {
        /// Stop the agent of this profile, and wait until it has gone
        #[arg(long)]
        stop: bool,
    },
}

#[derive(Group)]
#[command(
    after_help = "Prints the account's label. With --no-browser it prints the address to open, alone, and returns."
)]
pub struct SignIn {
    /// The provider's name, see `larder providers list`; or the https address of an issuer or of a resource
    #[arg(value_name = "PROVIDER|URL", required_unless_present = "account")]
    pub provider: Option<String>,
    /// What to call the new account [default: the provider's name]
    #[arg(long, conflicts_with = "account")]
    pub label: Option<String>,
    /// Sign this account in again
    #[arg(long, value_name = "ACCOUNT")]
    pub account: Option<String>,
    /// Ask for more access than the account has; until you have agreed it stays as it is
    #[arg(long, value_name = "SCOPE", num_args = 1.., requires = "account")]
    pub add_scope: Vec<String>,
    /// How you are to authenticate, the best first: names that the provider gives its ways
    #[arg(long, value_name = "NAMES", conflicts_with = "device")]
    pub acr_values: Option<String>,
    /// How long ago you may have authenticated, as 90, 90s, 5m or 1h; 0 is now
    #[arg(long, value_name = "DURATION", value_parser = duration::seconds, conflicts_with = "device")]
    pub max_age: Option<u64>,
    /// What the provider shows: login, consent, select_account, or none at all
    #[arg(long, value_name = "PROMPT", conflicts_with = "device")]
    pub prompt: Option<String>,
    /// How the browser's answer comes back, instead of the provider's own order
    #[arg(long, value_enum)]
    pub redirect: Option<Redirect>,
    /// Show a code to enter in a browser on any device, where the provider offers that
    #[arg(long, conflicts_with = "redirect")]
    pub device: bool,
    /// Sign in as the client itself, without a person; it needs a secret or a private key
    #[arg(long, conflicts_with_all = ["redirect", "device", "no_browser"])]
    pub client_credentials: bool,
    /// Print the address to open on stdout instead of opening it, and return
    #[arg(long)]
    pub no_browser: bool,
    /// With --no-browser: stay until the sign-in has ended, then print the account's label
    #[arg(long)]
    pub wait: bool,
}

/// One account, or all of them.
#[derive(Group)]
#[group(required = true, multiple = false)]
pub struct Which {
    /// Its label or id
    pub account: Option<String>,
    /// Every account
    #[arg(long)]
    pub all: bool,
}

#[derive(Subcommand)]
pub enum Providers {
    /// List them
    List,
    /// Print one as it is written down, as TOML
    Show {
        /// Its name
        name: String,
    },
    /// Write one into providers.toml
    Add(Box<AddProvider>),
    /// Seal the client secret or private key of one; it is read from stdin
    Secret {
        /// Its name
        name: String,
    },
    /// Look at what one offers, what Larder will use, and what is wrong, without signing in
    #[command(
        after_help = "The first thing to run when a sign-in fails. `ok` is as it should be, `odd` works all the\n\
                            same, `wrong` does not; with a `wrong` the exit code is 8, or 4 where it may pass."
    )]
    Check {
        /// Its name, or the URL of any issuer
        #[arg(value_name = "NAME|URL")]
        provider: String,
    },
    /// Remove one from providers.toml
    Remove {
        /// Its name
        name: String,
    },
}

#[derive(Group)]
#[command(after_help = "Redirects are tried in their order: deep-link, loopback, paste, or with an address\n\
                        of your own, loopback=http://localhost:8080/cb, paste=https://example.com/cb.")]
pub struct AddProvider {
    /// Its name
    pub name: String,
    /// Read its keys and values from a TOML file, `-` for stdin
    #[arg(long, value_name = "FILE", conflicts_with_all = ["issuer", "client_id", "scope", "resource", "authorization_endpoint",
        "token_endpoint", "revocation_endpoint", "userinfo_endpoint", "redirect", "catalogue", "server", "auth_method", "dpop_bound"])]
    pub from: Option<String>,
    /// Its issuer, which names its endpoints
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// The client you registered there
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// The catalogue's entry that it is one of, where its name does not say so
    #[arg(long, value_name = "NAME")]
    pub catalogue: Option<String>,
    /// Whose server or tenant, where the catalogue's entry is for anybody's
    #[arg(long, value_name = "SERVER")]
    pub server: Option<String>,
    /// How the client authenticates: none, client_secret_post, client_secret_basic or private_key_jwt
    #[arg(long, value_name = "METHOD")]
    pub auth_method: Option<String>,
    /// Its tokens are to be bound to a key of the account's (DPoP)
    #[arg(long)]
    pub dpop_bound: bool,
    /// A scope to ask for (repeatable)
    #[arg(long)]
    pub scope: Vec<String>,
    /// Whom the tokens are for, where the server issues them for one resource (RFC 8707)
    #[arg(long, value_name = "URI")]
    pub resource: Option<String>,
    /// Where the browser is sent, if no issuer says so
    #[arg(long, value_name = "URL")]
    pub authorization_endpoint: Option<String>,
    /// Where tokens come from, if no issuer says so
    #[arg(long, value_name = "URL")]
    pub token_endpoint: Option<String>,
    /// Where tokens are revoked, if no issuer says so
    #[arg(long, value_name = "URL")]
    pub revocation_endpoint: Option<String>,
    /// Where a person's name is told, if no issuer says so
    #[arg(long, value_name = "URL")]
    pub userinfo_endpoint: Option<String>,
    /// How the browser's answer comes back (repeatable, in order)
    #[arg(long, value_name = "KIND[=URI]", value_parser = redirect)]
    pub redirect: Vec<(Redirect, Option<String>)>,
}

#[derive(Group)]
#[command(
    after_help = "The accounts stop here, nothing is revoked, and the machine that imports the file goes on with them. Two\n\
                        machines that refresh one session would end it. The passphrase is asked for without echo, or read\n\
                        from stdin where that is no terminal."
)]
pub struct Export {
    /// Where to write it; nothing may be there
    pub file: PathBuf,
    /// Labels or ids
    #[arg(value_name = "ACCOUNT", required_unless_present_any = ["all", "config_only"], conflicts_with = "all")]
    pub accounts: Vec<String>,
    /// Every account that is signed in
    #[arg(long)]
    pub all: bool,
    /// Whom the file is sealed for, instead of a passphrase: an age recipient, age1…
    #[arg(long, value_name = "RECIPIENT")]
    pub recipient: Option<String>,
    /// Copy providers and labels alone; the accounts stay here
    #[arg(long)]
    pub config_only: bool,
}

#[derive(Subcommand)]
pub enum Audit {
    /// See whether every row is as it was written
    #[command(after_help = "Exits with 9 at the first row that does not fit, or that is missing.")]
    Verify {
        /// See also that nothing was changed since this head was noted
        #[arg(long, value_name = "HEAD", value_parser = audit_head)]
        head: Option<AuditHead>,
    },
    /// Print the head, to be noted where nobody here can change it
    #[command(
        after_help = "A head that is noted elsewhere shows with `larder audit verify --head` any change of what\n\
                            had happened before. Every hour it goes to the system's journal, where there is one:\n  \
                            journalctl -t larder-agent"
    )]
    Head,
}

#[derive(Group)]
pub struct AuditFilter {
    /// Of this account alone, by label or id
    #[arg(long)]
    pub account: Option<String>,
    /// Of this program alone, by its path or its name
    #[arg(long)]
    pub program: Option<String>,
    /// Of this kind alone, such as handed-out or signed-in
    #[arg(long, value_parser = event_kind)]
    pub kind: Option<EventKind>,
    /// Not longer ago than this, as 90s, 5m, 1h or 7d
    #[arg(long, value_name = "DURATION", value_parser = duration::seconds)]
    pub since: Option<u64>,
    /// So many of the newest
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_ROWS)))]
    pub limit: u32,
}

#[derive(Subcommand)]
pub enum Policy {
    /// List the rules; the first that matches decides
    List,
    /// Set what follows when a program asks for an account's token
    #[command(after_help = "Without --program and --account it sets what follows where no rule matches.")]
    Set {
        /// What follows
        #[arg(value_enum)]
        decision: Verdict,
        /// The program's absolute path, or `*` [default: every program]
        #[arg(long, value_name = "PATH", value_parser = program)]
        program: Option<String>,
        /// The account's label or id, or `*` [default: every account]
        #[arg(long)]
        account: Option<String>,
    },
    /// Remove a rule, and what its program was allowed for this session
    Remove {
        /// The program's path as `larder policy list` shows it, or `*` [default: `*`]
        #[arg(long, value_name = "PATH", value_parser = program, required_unless_present = "account")]
        program: Option<String>,
        /// The account's label or id, or `*` [default: `*`]
        #[arg(long)]
        account: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The token alone; with --dpop the proof on a second line
    Raw,
    /// All that is known about it
    Json,
    /// `Authorization: Bearer …`; with --dpop `DPoP: …` on a second line
    Header,
    /// The SASL string of XOAUTH2 in base64, where a program takes that whole
    Xoauth2,
    /// An ExecCredential, for kubectl and its kin
    K8s,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Redirect {
    /// By Larder's own kind of link
    DeepLink,
    /// By an address of this computer
    Loopback,
    /// By hand: you paste the address at which the browser ended into `larder callback`
    Paste,
}

impl From<Redirect> for RedirectKind {
    fn from(redirect: Redirect) -> Self {
        match redirect {
            Redirect::DeepLink => Self::DeepLink,
            Redirect::Loopback => Self::Loopback,
            Redirect::Paste => Self::Paste,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Verdict {
    /// It gets one
    Allow,
    /// You are asked
    Ask,
    /// It gets none
    Deny,
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Allow => Self::Allow,
            Verdict::Ask => Self::Ask,
            Verdict::Deny => Self::Deny,
        }
    }
}

fn redirect(text: &str) -> Result<(Redirect, Option<String>), String> {
    match text.split_once('=') {
        Some((kind, uri)) => match Redirect::from_str(kind, false)? {
            Redirect::DeepLink => Err("the address of deep-link is Larder's own".to_owned()),
            kind => Ok((kind, Some(uri.to_owned()))),
        },
        None => Ok((Redirect::from_str(text, false)?, None)),
    }
}

/// A name that an environment can hold.
///
/// # Errors
/// A sentence.
fn variable(text: &str) -> Result<String, String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins = text.bytes().next().is_some_and(|first| word(first) && !first.is_ascii_digit());
    if begins && text.bytes().all(word) {
        Ok(text.to_owned())
    } else {
        Err("use letters, digits and underscores, not a digit first".to_owned())
    }
}

/// A rule compares whole paths, so a name alone would match nothing, ever.
fn audit_head(text: &str) -> Result<AuditHead, String> {
    let head = text.trim().split_once(':').and_then(|(number, hash)| {
        let hex = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = number.parse().ok().filter(|number| *number >= 0)?;
        hex.then(|| AuditHead { number, hash: hash.to_ascii_lowercase() })
    });
    head.ok_or_else(|| "a head is what `larder audit head` prints, a number, a colon and 64 hex digits".to_owned())
}

fn event_kind(text: &str) -> Result<EventKind, String> {
    let unknown = |_| "there is no such kind; `larder audit --json` shows their names".to_owned();
    serde_json::from_value(text.into()).map_err(unknown)
}

fn program(text: &str) -> Result<String, String> {
    if text == "*" || std::path::Path::new(text).is_absolute() {
        Ok(text.to_owned())
    } else {
        Err("it must be an absolute path, or `*`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_sign_in_names_a_provider_or_an_account() {
        let parses = |line: &str| Args::try_parse_from(line.split(' ')).is_ok();
        assert!(parses("larder sign-in work"));
        assert!(parses("larder sign-in --account work"));
        assert!(!parses("larder sign-in"));
        assert!(!parses("larder sign-in work --label a --account b"));
        assert!(parses("larder sign-in work --client-credentials --label a"));
        assert!(!parses("larder sign-in work --client-credentials --no-browser"));
        assert!(!parses("larder sign-in work --client-credentials --device"));
        assert!(!parses("larder sign-out"));
        assert!(!parses("larder sign-out work --all"));
        assert!(!parses("larder callback a b"));
        assert!(parses("larder token a --rejected-token -"));
        assert!(!parses("larder token a --rejected-token secret"));
        assert!(!parses("larder token a --rejected --rejected-token -"));
        assert!(!parses("larder policy set allow --program git"));
    }

    #[test]
    fn a_redirect_may_have_an_address_of_its_own() {
        assert_eq!(redirect("deep-link"), Ok((Redirect::DeepLink, None)));
        let uri = "http://localhost/cb?a=b";
        assert_eq!(redirect(&format!("loopback={uri}")), Ok((Redirect::Loopback, Some(uri.to_owned()))));
        assert!(redirect("deep-link=x:/y").is_err());
        assert!(redirect("carrier-pigeon").is_err());
    }

    #[test]
    fn a_variable_is_a_name() {
        for good in ["ACCESS_TOKEN", "_", "a1"] {
            assert_eq!(variable(good), Ok(good.to_owned()));
        }
        for bad in ["", "1A", "A=B", "A B", "Ä", "A-B"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }
}
