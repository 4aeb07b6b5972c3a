//! Asks Larder's agent: for its own command and window, and for other people's programs.
//!
//! An access token in three lines:
//!
//! ```no_run
//! # fn main() -> Result<(), larder_client::Problem> {
//! let profile = larder_client::profile()?;
//! let mut larder = larder_client::Client::connect(&profile, larder_client::Start::IfNeeded)?;
//! let token = larder.token("work", Some(60))?;
//! // Send `token.access_token.expose()` to the resource it is for; do not log, keep or show it.
//! # Ok(())
//! # }
//! ```
//!
//! Everything here blocks; nothing needs a runtime. A [`Problem`] is a stable code with parameters;
//! [`sentence`] has the words for it.

mod connection;
pub mod crash;
mod start;
mod stream;
mod version;
mod wire;

pub use larder_core::names::Scope;
pub use larder_core::problem::Problem;
pub use larder_core::profile::Profile;
pub use larder_core::protocol::{Answer, OnWire, ProofFor, Push, Rejected, Request};
pub use larder_core::words::sentence;
pub use start::{AGENT_VARIABLE, Start, agent_program};
pub use stream::Pushes;

use larder_core::protocol::{Ask, Line, PROTOCOL};
use larder_core::time::WallTime;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use wire::Wire;

/// This client's version, which it says in its Hello.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// How long [`Client::ask`] waits unless told otherwise: a refresh that has to wait for a slow provider takes
/// some 30 s, and a caller without a bound of its own should not hang for ever.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long [`Request::AwaitSignIn`] waits: a sign-in lives 10 minutes in the agent, which then answers
/// [`Problem::AttemptExpired`]; a minute more, so that it is the agent that says so.
const AWAIT_SIGN_IN: Duration = Duration::from_secs(11 * 60);

/// How long [`Request::Token`] waits: its person may have to be asked, which ends by itself, and then a refresh may come.
const TOKEN: Duration = Duration::from_secs(3 * 60);

/// How long [`Request::Unlock`] waits: a person looks for and types a password meanwhile.
const UNLOCK: Duration = Duration::from_secs(5 * 60);

/// How long [`Request::Find`] and [`Request::Adopt`] wait: up to a dozen requests, to servers that may be slow.
const DISCOVERY: Duration = Duration::from_secs(3 * 60);

/// How long [`Request::Export`] and [`Request::Import`] wait: for a refresh in flight, for scrypt, and for the keychain, account
/// by account.
const MOVING: Duration = Duration::from_secs(5 * 60);

/// How long [`Request::AuditVerify`] waits.
const AUDIT: Duration = Duration::from_secs(2 * 60);

/// How long a Hello may take: the agent answers it without asking keychain, disk or network.
const HELLO: Duration = Duration::from_secs(10);

/// How long an agent may take to make way: the refresh in flight is let finish, whose HTTP time-outs are shorter.
const DRAIN: Duration = Duration::from_secs(45);

/// The profile that the environment names: `LARDER_HOME`, else the platform's own folders.
///
/// # Errors
/// [`Problem::UnsafePath`] where the environment names no absolute folder to use.
pub fn profile() -> Result<Profile, Problem> {
    Profile::locate(|name| std::env::var_os(name))
}

/// Asks the profile's agent to commit what is in flight and to stop, and waits until it has.
/// `false` if none was running.
///
/// # Errors
/// The agent's own, or [`Problem::NoAgent`] if it does not stop within 45 s.
pub fn stop(profile: &Profile) -> Result<bool, Problem> {
    match start::find(profile)? {
        Some(connection) => {
            Client::hello(Wire::new(connection, &profile.socket()?))?.drain()?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// The same request once more, where asking twice is the same as asking once.
fn repeatable(request: &Request) -> Option<Request> {
    match request {
        Request::Token { account, min_validity, dpop, rejected, scopes, resource } => Some(Request::Token {
            account: account.clone(),
            min_validity: *min_validity,
            dpop: dpop.clone(),
            rejected: rejected.clone(),
            scopes: scopes.clone(),
            resource: resource.clone(),
        }),
        Request::GitAccounts { to } => Some(Request::GitAccounts { to: to.clone() }),
        Request::Refresh { account } => Some(Request::Refresh { account: account.clone() }),
        Request::Events { limit } => Some(Request::Events { limit: *limit }),
        Request::Audit { filter } => Some(Request::Audit { filter: filter.clone() }),
        Request::AuditVerify { noted } => Some(Request::AuditVerify { noted: noted.clone() }),
        Request::AuditHead => Some(Request::AuditHead),
        Request::Provider { name } => Some(Request::Provider { name: name.clone() }),
        Request::View => Some(Request::View),
        Request::Providers => Some(Request::Providers),
        Request::Policy => Some(Request::Policy),
        Request::RefreshAll => Some(Request::RefreshAll),
        Request::Doctor => Some(Request::Doctor),
        Request::Find { url } => Some(Request::Find { url: url.clone() }),
        Request::CheckProvider { provider } => Some(Request::CheckProvider { provider: provider.clone() }),
        _ => None,
    }
}

/// That the agent answered something else than this request's answer: never, between builds of one protocol.
pub fn unexpected(to: &str) -> Problem {
    Problem::Internal { detail: format!("the agent's answer to {to} is not an answer to that") }
}

/// What the agent said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its version.
    pub build: String,
    /// The folder of the profile it owns.
    pub profile: String,
    /// Its process id.
    pub pid: u32,
}

/// An access token, for the program that asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The token. Debug is redacted; the memory is zeroized on drop.
    pub access_token: OnWire,
    /// As the provider named it: `Bearer`, or `DPoP` for a token that is bound to a key.
    pub token_type: String,
    /// When it ends, in milliseconds since 1970 UTC, if the provider said so.
    pub expires_at: Option<WallTime>,
    /// As granted, separated by spaces.
    pub scope: String,
    /// The account's label.
    pub account: String,
    /// The proof that was asked for, for the header `DPoP` of that one request.
    pub dpop: Option<OnWire>,
}

/// Which access token is wanted, and what with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How long it must still be good for, in seconds.
    pub min_validity: Option<u64>,
    /// A proof of the token's key for one request to a resource server (RFC 9449).
    pub dpop: Option<ProofFor>,
    /// A newer one than this, which was answered 401.
    pub rejected: Option<Rejected>,
    /// Some of the scopes that were granted; all, where none are named.
    pub scopes: Vec<Scope>,
    /// Whom it is to be for (RFC 8707), where that is another than at the sign-in.
    pub resource: Option<String>,
}

/// A connection to a profile's agent. One request at a time; a program that needs more opens more of them.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    agent: Agent,
    timeout: Option<Duration>,
    last_id: u64,
    pushes: VecDeque<Push>,
    /// How it was reached, to reach the next agent where this one makes way.
    reached: Option<Box<(Profile, Start)>>,
}

impl Client {
    /// Connects to the profile's agent, starts one where none runs and `start` says so, and says Hello.
    ///
    /// An agent that is older than this client is asked to make way for a new one, once.
    /// However many clients do this at the same moment, one agent comes of it.
    ///
    /// # Errors
    /// [`Problem::NoAgent`] and, from an agent that could not start, its own reason; [`Problem::OtherProtocol`];
    /// [`Problem::SocketPathTooLong`].
    pub fn connect(profile: &Profile, start: Start) -> Result<Self, Problem> {
        let path = profile.socket()?;
        let deadline = Instant::now() + start::BOUND + DRAIN;
        let mut replaced = false;
        loop {
            let connection = start::reach(profile, &start)?;
            match Self::hello(Wire::new(connection, &path)) {
                Ok(client) if start.may() && !replaced && version::older(&client.agent.build, BUILD) => {
                    replaced = true;
                    match client.make_way() {
                        // It has a reason to stay (say, a token that is not written yet), and speaks our protocol.
                        Some(stays) => return Ok(stays),
                        None => continue,
                    }
                }
                Ok(mut client) => {
                    client.reached = Some(Box::new((profile.clone(), start)));
                    return Ok(client);
                }
                // An agent that is about to leave still took the connection.
                Err(Problem::Stopping | Problem::NoAgent { .. }) if start.may() && Instant::now() < deadline => {
                    std::thread::sleep(start::MOST_PAUSE);
                }
                Err(problem) => return Err(problem),
            }
        }
    }

    fn hello(wire: Wire) -> Result<Self, Problem> {
        let agent = Agent { build: String::new(), profile: String::new(), pid: 0 };
        let mut client =
            Self { wire, agent, timeout: Some(DEFAULT_TIMEOUT), last_id: 0, pushes: VecDeque::new(), reached: None };
        match client.exchange(Request::Hello { protocol: PROTOCOL, build: BUILD.to_owned() }, Some(HELLO))? {
            Answer::Hello { protocol, .. } if protocol != PROTOCOL => {
                Err(Problem::OtherProtocol { ours: PROTOCOL, theirs: protocol })
            }
            Answer::Hello { build, profile, pid, .. } => {
                client.agent = Agent { build, profile, pid };
                Ok(client)
            }
            _ => Err(unexpected("hello")),
        }
    }

    /// What the agent said of itself.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// How long [`Client::ask`] waits for an answer; `None` is for ever. What waits for a person
    /// ([`Request::AwaitSignIn`], [`Request::Token`], [`Request::Unlock`]) waits minutes in any case.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// Asks, and waits for the answer. What the agent pushes meanwhile is kept, in order, for [`Client::subscribe`].
    ///
    /// After a time-out the connection can be used again: a late answer is recognised and dropped.
    ///
    /// # Errors
    /// The agent's own; [`Problem::NoAgent`] if it does not answer in time or the connection breaks;
    /// [`Problem::BadRequest`] if the request is longer than [`larder_core::protocol::MOST_REQUEST`].
    pub fn ask(&mut self, request: Request) -> Result<Answer, Problem> {
        let at_least = match request {
            Request::AwaitSignIn { .. } => AWAIT_SIGN_IN,
            Request::Find { .. } | Request::Adopt { .. } => DISCOVERY,
            // A row takes a microsecond or two; there are millions at the most.
            Request::AuditVerify { .. } => AUDIT,
            Request::Export { .. } | Request::Import { .. } => MOVING,
            Request::Unlock { .. } => UNLOCK,
            Request::Token { .. } => TOKEN,
            _ => Duration::ZERO,
        };
        let timeout = self.timeout.map(|timeout| timeout.max(at_least));
        let began = Instant::now();
        let mut again = repeatable(&request);
        let mut answer = self.exchange(request, timeout);
        // An agent that makes way for another one is no answer to a question that can be asked again.
        while let Err(Problem::Stopping | Problem::NoAgent { .. }) = &answer
            && let Some(request) = again.take()
            && let Some((profile, start)) =
                self.reached.clone().map(|reached| *reached).filter(|(_, start)| start.may())
            && timeout.is_none_or(|timeout| began.elapsed() < timeout)
            && began.elapsed() < start::BOUND + DRAIN
        {
            std::thread::sleep(start::MOST_PAUSE);
            let next = Self::connect(&profile, start)?;
            self.wire = next.wire;
            self.agent = next.agent;
            self.last_id = next.last_id;
            again = repeatable(&request);
            answer = self.exchange(request, timeout);
        }
        answer
    }

    fn exchange(&mut self, request: Request, timeout: Option<Duration>) -> Result<Answer, Problem> {
        self.last_id += 1;
        let asked = self.last_id;
        self.wire.send(&Ask { id: asked, request }, timeout)?;
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            match self.wire.line(deadline)? {
                Line::Push { push } => self.pushes.push_back(push),
                Line::Answer { id, answer } if id == asked => return Ok(answer),
                // Id 0: the agent could not read which request it is that fails.
                Line::Problem { id, problem } if id == asked || id == 0 => return Err(problem),
                // To an earlier request, given up after a time-out.
                Line::Answer { .. } | Line::Problem { .. } => {}
            }
        }
    }

    /// An access token of `account` (label or id) that is good for another `min_validity` seconds.
    ///
    /// # Errors
    /// As [`Client::ask`]; most often [`Problem::SignInNeeded`], [`Problem::Denied`] or one that passes.
    pub fn token(&mut self, account: &str, min_validity: Option<u64>) -> Result<Token, Problem> {
        self.token_as(account, Wanted { min_validity, ..Wanted::default() })
    }

    /// As [`Client::token`], with a proof of the token's key for one request to a resource server (RFC 9449).
    ///
    /// # Errors
    /// As [`Client::token`]; [`Problem::NotBound`] where the account's token is bound to no key.
    pub fn proven_token(
        &mut self,
        account: &str,
        min_validity: Option<u64>,
        request: ProofFor,
    ) -> Result<Token, Problem> {
        self.token_as(account, Wanted { min_validity, dpop: Some(request), ..Wanted::default() })
    }

    /// As [`Client::token`], with all that can be said about which one it is to be.
    ///
    /// # Errors
    /// As [`Client::token`] and [`Client::proven_token`]; [`Problem::TokenRejected`] where the token that was rejected came
    /// instead of one that was.
    pub fn token_as(&mut self, account: &str, wanted: Wanted) -> Result<Token, Problem> {
        let Wanted { min_validity, dpop, rejected, scopes, resource } = wanted;
        let proven = dpop.is_some();
        match self.ask(Request::Token {
            account: account.to_owned(),
            min_validity,
            dpop,
            rejected,
            scopes,
            resource,
        })? {
            // An agent from before there were proofs ignores that one was asked for.
            Answer::Token { dpop, .. } if proven && dpop.is_none() => Err(unexpected("token")),
            Answer::Token { access_token, token_type, expires_at, scope, account, dpop } => {
                Ok(Token { access_token, token_type, expires_at, scope, account, dpop })
            }
            _ => Err(unexpected("token")),
        }
    }

    /// From now on, every change of the view and every event. The stream keeps this connection;
    /// to ask meanwhile from another thread, connect once more.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn subscribe(mut self) -> Result<Pushes, Problem> {
        self.ask(Request::Subscribe)?;
        Ok(Pushes::new(self))
    }

    /// Asks the agent to stop, and waits until it has.
    fn drain(mut self) -> Result<(), Problem> {
        self.exchange(Request::Drain, Some(DRAIN))?;
        self.wire.wait_closed(Instant::now() + DRAIN)
    }

    /// As [`Client::drain`]; gives the client back if the agent declines.
    fn make_way(mut self) -> Option<Self> {
        match self.exchange(Request::Drain, Some(DRAIN)) {
            Ok(_) => {
                // If it does not close in time, connecting again says what there is.
                let _ = self.wire.wait_closed(Instant::now() + DRAIN);
                None
            }
            Err(Problem::NoAgent { .. } | Problem::Stopping) => None,
            Err(_) => Some(self),
        }
    }

    fn next_push(&mut self) -> Result<Push, Problem> {
        loop {
            if let Some(push) = self.pushes.pop_front() {
                return Ok(push);
            }
            if let Line::Push { push } = self.wire.line(None)? {
                self.pushes.push_back(push);
            }
        }
    }
}
