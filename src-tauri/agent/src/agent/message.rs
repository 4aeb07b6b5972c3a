//! What comes in to the loop that owns every account.

use super::{moving, tokens};
use crate::perform::Performed;
use crate::program::Program;
use crate::sign_in::Secrets;
use crate::{adopt, device, grants, identity};
use larder_core::attempt::Attempt;
use larder_core::effect::Grant;
use larder_core::house::Want;
use larder_core::names::{AccountId, AttemptId, Generation, Operation, Part, PromptId};
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Choice, Request, Revocation};
use larder_core::view::{AskingProgram, KeychainState};
use tokio::sync::oneshot;

/// Where an answer goes.
pub type Reply = oneshot::Sender<Result<Answer, Problem>>;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The connection.
    pub connection: u64,
    /// The process that connected, where the system tells.
    pub process: Option<i32>,
    /// The program behind it, where the system tells.
    pub program: Option<Program>,
}

/// What comes in.
pub enum Message {
    /// A request from the socket.
    Request {
        /// Who asks.
        peer: Peer,
        /// What.
        request: Request,
        /// Where the answer goes.
        reply: Reply,
    },
    /// It is known what program asks, and its person is to be asked.
    Consult {
        /// Who waits.
        ask: u64,
        /// For a token of which account.
        account: AccountId,
        /// What for.
        want: Want,
        /// What asks.
        program: Box<AskingProgram>,
    },
    /// The person's own command answered.
    Confirmed {
        /// What.
        prompt: PromptId,
        /// How.
        choice: Choice,
    },
    /// The keychain opened for somebody who ends the lock.
    Unlocked {
        /// Who.
        peer: Peer,
        /// Where the answer goes.
        reply: Reply,
    },
    /// A connection has ended.
    Gone {
        /// Which.
        connection: u64,
    },
    /// A sign-in is ready to begin, or cannot.
    Begun {
        /// Attempt and secrets.
        result: Result<(Box<Attempt>, Box<Secrets>), Problem>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// An effect was performed.
    Performed {
        /// For which account.
        account: AccountId,
        /// In which generation it was decided.
        generation: Generation,
        /// For which operation.
        operation: Operation,
        /// What it came to.
        performed: Performed,
    },
    /// An exchange has ended.
    Exchanged {
        /// Of which sign-in.
        attempt: AttemptId,
        /// Who signed in, with the tokens.
        result: Result<SignedIn, Problem>,
    },
    /// A device authorization has ended.
    DeviceAnswered {
        /// Of which sign-in.
        attempt: AttemptId,
        /// Tokens, or why there are none.
        answer: Box<device::Answer>,
    },
    /// A sign-in is stored, or not.
    Stored {
        /// Which.
        attempt: AttemptId,
        /// The account, and the generation that was written.
        result: Result<(AccountId, Generation), Problem>,
        /// The hosts that its tokens came from before and come from now, where these differ.
        moved: Option<(String, String)>,
    },
    /// A client secret is kept.
    SecretKept {
        /// The issuer it is for.
        issuer: String,
        /// The client.
        client: String,
    },
    /// An address was looked at.
    Looked {
        /// What it leads to, and as which client.
        result: Box<Result<adopt::Looked, Problem>>,
        /// Whether a provider is to stand for it from now on.
        adopt: bool,
        /// Where the answer goes.
        reply: Reply,
    },
    /// The registration of a client was removed at its issuer, or could not be.
    RegistrationEnded {
        /// The issuer.
        issuer: String,
        /// The client.
        client: String,
        /// What came of it.
        result: Result<(), Problem>,
    },
    /// Accounts were written into a file, or could not be.
    Exported {
        /// Which, where they are to go.
        accounts: Vec<AccountId>,
        /// The program that asked for it.
        program: Option<String>,
        /// What came of it.
        result: Result<Answer, Problem>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// An export waits until nothing of its accounts is in flight.
    Export(Box<moving::Exporting>),
    /// A file was opened, or could not be.
    Opened(Box<moving::Opened>),
    /// What a file brings is stored, or nothing of it is.
    Imported(Box<moving::Imported>),
    /// The keychain was asked.
    Keychain(KeychainState),
    /// Whoever signed out has waited long enough to hear of the revocation.
    SignedOut {
        /// Of which account.
        account: AccountId,
        /// What to say of it.
        revocation: Revocation,
    },
    /// A sign-out goes on, but not while anybody waits.
    SignOutFailed {
        /// Of which account.
        account: AccountId,
        /// Why.
        problem: Problem,
    },
    /// What is stored of an account did not open.
    Doubt {
        /// Which.
        account: AccountId,
    },
    /// A further access token of an account is not there, or does not open.
    Lost {
        /// Which account.
        account: AccountId,
        /// Which part of its grant.
        part: Part,
    },
    /// It is known whether the token that was said to be rejected is the account's newest.
    Recognised {
        /// Who asks.
        peer: Peer,
        /// For a token of which account.
        account: AccountId,
        /// What they ask.
        asked: tokens::Asked,
        /// The account's newest token, where it is that one.
        rejected: Option<Generation>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// The machine is about to sleep, or awake again.
    Sleep {
        /// Whether it is about to.
        announced: bool,
    },
    /// Another label is written down, or could not be.
    Renamed {
        /// Of which account.
        account: AccountId,
        /// The label.
        label: String,
        /// Whether it is.
        result: Result<(), Problem>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// Another order of the accounts is written down, or could not be.
    Arranged {
        /// The order.
        order: Vec<AccountId>,
        /// Whether it is.
        result: Result<(), Problem>,
        /// Where the answer goes.
        reply: Reply,
    },
    /// The process was told to end.
    Stop,
}

/// Who signed in, with the tokens, and what was granted.
pub type SignedIn = (identity::Who, grants::Tokens, Grant);
