//! Every failure a person can meet, as a code with parameters. The words lie in `messages/`.

use crate::names::{AttemptId, PromptId, ProviderName};
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// What went wrong. The code is stable: scripts and the window branch on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "code", rename_all = "kebab-case", rename_all_fields = "snake_case")]
#[ts(export)]
#[expect(missing_docs, reason = "a variant's fields are the parameters of its sentence, and explained there")]
pub enum Problem {
    // What was asked.
    /// A message or an argument that says nothing Larder knows.
    BadRequest { detail: String },
    /// No account has this label or id.
    NoSuchAccount { account: String },
    /// No provider has this name.
    NoSuchProvider { provider: String },
    /// The label names another account already.
    LabelTaken { label: String },
    /// The provider still has accounts that are signed in.
    ProviderInUse { provider: ProviderName, accounts: String },
    /// There is something at this path already.
    FileExists { path: String },
    /// The account that a file brings is signed in here.
    AccountHere { account: String },
    /// The provider that a file brings is another one here.
    ProviderDiffers { provider: String },
    /// The file was imported here before.
    ImportedBefore { path: String },
    /// Neither passphrase nor identity is the one that the file was sealed for.
    ExportSealed { path: String },
    /// What is at this path is no export of Larder's, or not as it was written.
    ExportUnreadable { path: String, detail: String },
    /// No sign-in waits under this id.
    NoSuchAttempt { attempt: AttemptId },

    // What a person must do.
    /// Only a new sign-in helps; nothing is asked of the provider before that.
    SignInNeeded { account: String, why: Why },
    /// The account is signed out.
    SignedOut { account: String },
    /// A token was asked for with a scope that the account was not granted.
    ScopeNotGranted { account: String, scope: String },
    /// A token was asked for a resource (RFC 8707) that the account was not signed in for.
    ResourceNotGranted { account: String, resource: String },
    /// The provider gave no token for the scope or resource that was asked for.
    PartRefused { account: String, detail: String },
    /// A token was rejected (401), and the fresh one that came instead of it as well.
    TokenRejected { account: String },
    /// The policy said no.
    Denied { program: String, account: String },
    /// Its person said no, now or a moment ago.
    ConsentRefused { program: String, account: String },
    /// Nobody answered in time whether the program may.
    ConsentTimeout { program: String, account: String, seconds: u32 },
    /// Nobody can be asked whether the program may.
    NobodyToAsk { program: String, account: String },
    /// Too many programs wait for an answer already.
    TooManyPrompts { program: String, most: u32 },
    /// What was asked is answered already, or no longer.
    NoSuchPrompt { prompt: PromptId },
    /// The policy has no such rule.
    NoSuchRule { program: String, account: String },
    /// Its person has locked Larder: nothing is handed out.
    Locked,
    /// Its person has sealed Larder: nothing opens.
    Sealed,

    /// Another machine has the account now.
    MovedAway { account: String },

    // What passes.
    /// The provider's host could not be reached.
    Unreachable { host: String },
    /// The provider answered, but not as an authorization server does (an error of its own, HTML, a sign-in page of a network).
    ProviderTrouble { host: String, status: u16 },
    /// The provider asks us to wait (429 or `Retry-After`).
    RateLimited { host: String, until: WallTime },
    /// What was asked for did not come in time; work on it goes on.
    NotYet { account: String },
    /// The agent is making way for another one, or stopping.
    Stopping,

    // The keychain.
    /// The keychain is locked; background work raises no prompt.
    KeychainLocked,
    /// No keychain answers on this machine.
    KeychainAbsent,
    /// The keychain was asked and did not answer in time.
    KeychainTimeout { seconds: u32 },
    /// The keychain answered with an error of its own.
    KeychainTrouble { detail: String },
    /// The keys are in a file that a passphrase opens, and nobody gave it since the agent began.
    PassphraseNeeded,
    /// The keys are to be in a file that a passphrase opens, and none is chosen yet.
    PassphraseUnset,
    /// It is not the passphrase that was chosen.
    WrongPassphrase,
    /// The keys are in a file that a systemd credential opens, and that is not there or is none.
    CredentialUnusable { path: String, detail: String },

    // The agent.
    /// No agent answers on the socket, and none could be started.
    NoAgent { path: String, detail: String },
    /// The socket's path is longer than the system allows.
    SocketPathTooLong { path: String, length: usize, most: usize },
    /// The agent speaks another version of the protocol.
    OtherProtocol { ours: u32, theirs: u32 },
    /// Another agent owns this profile.
    AlreadyRunning { path: String },

    // Configuration.
    /// A configuration file that cannot be read as it stands.
    BadConfig { file: String, line: usize, detail: String },
    /// The settings name another store for the keys than the one that this agent began with.
    StoreChanged { store: String },
    /// systemd handed over a socket that is not the profile's own.
    ForeignSocket { detail: String, expected: String },
    /// A provider cannot be used as it is written down.
    BadProvider { provider: String, field: String, detail: String },
    /// Plain http to an address that is not this computer.
    NotLoopback { field: String, url: String },
    /// The issuer's metadata names another issuer (RFC 8414 section 3.3).
    IssuerMismatch { asked: String, answered: String },
    /// The address gives no metadata of an authorization server.
    NotAnIssuer { issuer: String, detail: String },
    /// The address leads to no authorization server.
    NoServer { url: String, detail: String },
    /// The resource's metadata (RFC 9728) must not be believed, or names no server.
    BadResource { url: String, detail: String },
    /// The issuer gives out no client; its person is to register one.
    NoRegistration { issuer: String, redirect: String },
    /// The issuer refused to register a client (RFC 7591 section 3.2.2). `error` is its code, or what is wrong with its answer.
    RegistrationRefused { issuer: String, error: String, detail: String },
    /// A registered client's secret has ended, and the issuer gives no new one (RFC 7592).
    RegistrationEnded { issuer: String, detail: String },
    /// A registered client could not be removed at its issuer (RFC 7592 section 2.3).
    RegistrationLeft { issuer: String, detail: String },
    /// The provider does not know the client, or refuses it what was asked (`invalid_client`, `unauthorized_client`, …).
    ClientRefused { provider: String, error: String, detail: String },
    /// The private key that a client proves itself with is none that can be used (RFC 7523).
    BadClientKey { provider: String, detail: String },
    /// The provider does not accept the proof that a token's key is here (RFC 9449).
    ProofRefused { provider: String, detail: String },
    /// A proof was asked for, and the account's token is bound to no key.
    NotBound { account: String },
    /// The provider refuses a scope that was asked for.
    ScopeRefused { provider: String, detail: String },

    // Sign-in.
    /// What came back is not a redirect of ours.
    BadCallback { detail: String },
    /// No sign-in waits for this redirect: forged, or too late.
    UnknownCallback,
    /// This redirect was used before; nothing was sent again.
    CallbackUsed,
    /// The person said no on the provider's page.
    ConsentDenied { provider: String },
    /// The provider's page ended with an error (RFC 6749 section 4.1.2.1).
    AuthorizationFailed { provider: String, error: String, detail: String },
    /// The provider does not accept the code that its own page gave (RFC 6749 section 5.2, `invalid_grant`).
    CodeRefused { provider: String },
    /// The ID token fails a check of OpenID Connect Core 3.1.3.7.
    IdTokenRejected { provider: String, detail: String },
    /// Userinfo is not about the person that signed in (OpenID Connect Core 5.3.2).
    UserinfoRejected { provider: String, detail: String },
    /// Somebody else signed in than the account belongs to.
    OtherSubject { account: String },
    /// The account was signed in at another issuer of the same provider.
    OtherIssuer { account: String, issuer: String },
    /// An account that was signed in again gets its tokens from another host than before, because its issuer says so.
    EndpointMoved { account: String, from: String, to: String },
    /// The sign-in was not finished in time.
    AttemptExpired { minutes: u32 },
    /// The sign-in was cancelled here.
    AttemptCancelled,
    /// The address that a loopback redirect needs is in use.
    PortTaken { address: String, detail: String },
    /// This computer's clock is off.
    ClockSkew {
        host: String,
        #[ts(type = "number")]
        seconds: i64,
    },
    /// The provider demands a client secret, and none is kept.
    SecretNeeded { provider: String },
    /// Another program opens Larder's links.
    SchemeTaken { handler: String },
    /// No program opens Larder's links.
    SchemeUnhandled,

    // The disk.
    /// A database cannot be written; what was to be written is kept in memory.
    DiskFull { file: String, detail: String },
    /// A file cannot be written, and stays as it was.
    NotWritten { file: String, detail: String },
    /// The lock was turned, but the next run will not know.
    LockNotKept { file: String, detail: String },
    /// The database cannot be read.
    DatabaseDamaged { file: String, detail: String },
    /// The database was damaged, and is kept under another name; what could be read of it goes on.
    DatabaseSetAside { file: String, kept: String },
    /// A row of the audit is not as it was written, or is missing.
    AuditDamaged {
        #[ts(type = "number")]
        row: i64,
        detail: String,
    },
    /// A newer Larder wrote the database.
    NewerSchema { file: String, found: u32, known: u32 },
    /// A folder or file that Larder must not trust.
    UnsafePath { path: String, detail: String },
    /// What was promised impossible; says where to look.
    Internal { detail: String },
}

/// Why an account needs its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Why {
    /// The provider no longer accepts the refresh token (`invalid_grant`).
    Refused,
    /// The provider wants the person to be there (`interaction_required` and its kin).
    Interaction,
    /// The provider gave no refresh token, and the access token has ended.
    NoRefreshToken,
    /// The keychain has no key for this account any more.
    KeyMissing,
    /// The provider ends the sessions of a project that is not published.
    Testing,
    /// What is stored does not open: altered, moved or put back from an older copy.
    Unreadable,
    /// A refresh brought an ID token that is not this session's (OpenID Connect Core 12.2).
    IdTokenRejected,
}

/// The exit codes of the `larder` command. Stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed otherwise.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Sign-in needed.
    SignIn = 3,
    /// Offline or the provider is down: try later.
    TryLater = 4,
    /// Denied.
    Denied = 5,
    /// Keychain locked or absent.
    Keychain = 6,
    /// No agent.
    NoAgent = 7,
    /// Configuration to fix.
    Configuration = 8,
    /// Disk full or data damaged.
    Disk = 9,
}

impl Problem {
    /// The exit code that stands for this problem.
    pub fn exit(&self) -> Exit {
        use Problem as P;
        match self {
            P::BadRequest { .. }
            | P::NoSuchAccount { .. }
            | P::NoSuchProvider { .. }
            | P::LabelTaken { .. }
            | P::NoSuchRule { .. }
            | P::FileExists { .. }
            | P::AccountHere { .. }
            | P::ProviderDiffers { .. }
            | P::ImportedBefore { .. }
            | P::ExportSealed { .. }
            | P::NotBound { .. } => Exit::Usage,
            P::SignInNeeded { .. }
            | P::SignedOut { .. }
            | P::MovedAway { .. }
            | P::ScopeNotGranted { .. }
            | P::ResourceNotGranted { .. } => Exit::SignIn,
            P::Unreachable { .. }
            | P::ProviderTrouble { .. }
            | P::RateLimited { .. }
            | P::NotYet { .. }
            | P::ProofRefused { .. } => Exit::TryLater,
            P::Denied { .. }
            | P::ConsentRefused { .. }
            | P::ConsentTimeout { .. }
            | P::NobodyToAsk { .. }
            | P::TooManyPrompts { .. }
            | P::Locked
            | P::ConsentDenied { .. } => Exit::Denied,
            P::KeychainLocked
            | P::Sealed
            | P::KeychainAbsent
            | P::KeychainTimeout { .. }
            | P::KeychainTrouble { .. }
            | P::PassphraseNeeded
            | P::PassphraseUnset
            | P::WrongPassphrase
            | P::CredentialUnusable { .. } => Exit::Keychain,
            P::NoAgent { .. } | P::SocketPathTooLong { .. } | P::OtherProtocol { .. } | P::Stopping => Exit::NoAgent,
            P::BadConfig { .. }
            | P::StoreChanged { .. }
            | P::ForeignSocket { .. }
            | P::BadProvider { .. }
            | P::NotLoopback { .. }
            | P::IssuerMismatch { .. }
            | P::NotAnIssuer { .. }
            | P::NoServer { .. }
            | P::BadResource { .. }
            | P::NoRegistration { .. }
            | P::RegistrationRefused { .. }
            | P::RegistrationEnded { .. }
            | P::ClientRefused { .. }
            | P::BadClientKey { .. }
            | P::ScopeRefused { .. }
            | P::SchemeTaken { .. }
            | P::SchemeUnhandled
            | P::PortTaken { .. }
            | P::ClockSkew { .. }
            | P::SecretNeeded { .. } => Exit::Configuration,
            P::DiskFull { .. }
            | P::NotWritten { .. }
            | P::LockNotKept { .. }
            | P::DatabaseDamaged { .. }
            | P::DatabaseSetAside { .. }
            | P::AuditDamaged { .. }
            | P::ExportUnreadable { .. }
            | P::NewerSchema { .. }
            | P::UnsafePath { .. } => Exit::Disk,
            P::ProviderInUse { .. }
            | P::NoSuchAttempt { .. }
            | P::NoSuchPrompt { .. }
            | P::RegistrationLeft { .. }
            | P::TokenRejected { .. }
            | P::PartRefused { .. }
            | P::AlreadyRunning { .. }
            | P::BadCallback { .. }
            | P::UnknownCallback
            | P::CallbackUsed
            | P::AuthorizationFailed { .. }
            | P::CodeRefused { .. }
            | P::IdTokenRejected { .. }
            | P::UserinfoRejected { .. }
            | P::OtherSubject { .. }
            | P::OtherIssuer { .. }
            | P::EndpointMoved { .. }
            | P::AttemptExpired { .. }
            | P::AttemptCancelled
            | P::Internal { .. } => Exit::Failed,
        }
    }

    /// What the provider itself said of it (`error_description`), as plain text of a bounded length. It stands beneath the
    /// sentence and never in it: nobody here vouches for what it says.
    pub fn said_by_provider(&self) -> Option<&str> {
        match self {
            Self::ClientRefused { detail, .. }
            | Self::ScopeRefused { detail, .. }
            | Self::ProofRefused { detail, .. }
            | Self::AuthorizationFailed { detail, .. }
            | Self::RegistrationRefused { detail, .. } => Some(detail.as_str()).filter(|said| !said.is_empty()),
            _ => None,
        }
    }

    /// Whether waiting alone may help: only then is anything tried again without a person.
    pub fn passes(&self) -> bool {
        matches!(self.exit(), Exit::TryLater | Exit::Keychain | Exit::Disk)
    }
}
