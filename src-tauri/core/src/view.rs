//! What window, tray and command see: public facts, never a token, verifier, code or key.

use crate::account::GrantType;
use crate::names::{AccountId, AttemptId, PromptId, ProviderName, Scope};
use crate::problem::Problem;
use crate::time::WallTime;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Everything there is to show, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct HouseView {
    /// When this was true, by the agent's clock.
    pub at: WallTime,
    /// In the order in which they were added.
    pub accounts: Vec<AccountView>,
    /// Sign-ins under way, and those that failed and were not yet dismissed.
    pub attempts: Vec<AttemptView>,
    /// What can be signed in to.
    pub providers: Vec<ProviderView>,
    /// The keychain that holds the keys.
    pub keychain: KeychainView,
    /// What concerns the whole house: a configuration file that cannot be read, a full disk.
    pub problems: Vec<Problem>,
    /// What the tray shows.
    pub tray: TrayState,
    /// The refresh that comes next, if any is planned.
    pub next_refresh: Option<NextRefresh>,
    /// Programs that wait for their person's answer, the one that asked first first. Only that one is shown.
    #[serde(default)]
    pub prompts: Vec<PromptView>,
    /// Whether tokens are handed out at all.
    #[serde(default)]
    pub locked: LockState,
}

/// A program asks for an account's token, and its person decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct PromptView {
    /// Its random id.
    pub id: PromptId,
    /// Whose token.
    pub account: AccountId,
    /// That account's label.
    pub label: String,
    /// What asks.
    pub program: AskingProgram,
    /// When it is refused by itself.
    pub until: WallTime,
    /// How many asks get this answer.
    pub waiting: u32,
}

/// What the system says of a program that asks. It is the program's own word and proves nothing: shown as unverified,
/// bounded in length, and without characters that would steer a screen. Arguments can hold secrets: they are never
/// written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct AskingProgram {
    /// Its executable; empty where the system does not tell. Then only this one ask can be answered.
    pub path: String,
    /// Without the program's own name.
    pub arguments: Vec<String>,
    /// Its process; 0 where it is not known.
    pub pid: i32,
    /// The executable that started it.
    pub started_by: Option<String>,
    /// An interpreter, a shell, git, a container or a sandbox: what it is given, anything gets that it runs. "Always" is
    /// offered only in words that say so.
    pub anything_run_by: bool,
}

/// Whether tokens are handed out at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum LockState {
    /// As the policy says.
    #[default]
    Unlocked,
    /// None is; refreshing goes on.
    Locked,
    /// None is, the keys are not in memory, and nothing is refreshed.
    Sealed,
}

/// A session that goes without refreshes while Larder is sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct LapsingView {
    /// The account's label.
    pub account: String,
    /// When it would have been refreshed next; unknown where nothing was planned.
    pub refresh_at: Option<WallTime>,
    /// When its access token ends; unknown where the provider did not say.
    pub expires_at: Option<WallTime>,
}

/// What a program was allowed until the agent ends, Larder is locked, or the account is signed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct GrantView {
    /// The program's path.
    pub program: String,
    /// With these arguments alone, where the program runs others.
    pub arguments: Option<Vec<String>>,
    /// The account's label.
    pub account: String,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct AccountView {
    /// Its random id.
    pub id: AccountId,
    /// What its person calls it.
    pub label: String,
    /// The provider it belongs to.
    pub provider: ProviderName,
    /// That provider's issuer or host, for people.
    pub issuer: String,
    /// How its tokens come: with a person, or for the client itself.
    pub grant_type: GrantType,
    /// From the ID token or userinfo.
    pub name: Option<String>,
    /// From the ID token or userinfo.
    pub email: Option<String>,
    /// As granted.
    pub scopes: Vec<Scope>,
    /// How it stands.
    pub state: AccountState,
    /// When the access token ends; unknown where the provider did not say.
    pub expires_at: Option<WallTime>,
    /// How long the access token lived when it was new, in milliseconds.
    #[ts(type = "number | null")]
    pub lifetime: Option<i64>,
    /// When Larder refreshes it, if it plans to.
    pub refresh_at: Option<WallTime>,
    /// When it was last refreshed or signed in.
    pub refreshed_at: Option<WallTime>,
    /// When its person last signed in.
    pub signed_in_at: Option<WallTime>,
    /// When the provider ends the session unless its person signs in again before, as far as it says so.
    #[serde(default)]
    pub session_ends_at: Option<WallTime>,
    /// What is in the way, if anything is.
    pub problem: Option<Problem>,
    /// Until when a sign-out can be undone.
    pub undo_until: Option<WallTime>,
    /// Whether its person can sign out in the browser too (OpenID Connect RP-Initiated Logout 1.0).
    pub browser_sign_out: bool,
}

/// A session that its provider ends whatever is done is said to end so long before, in milliseconds: a week, in which
/// everybody once sits at the machine.
pub const SESSION_ENDS_SOON: i64 = 7 * 86_400_000;

impl AccountView {
    /// How long the session goes on, in milliseconds, where its provider ends it soon whatever is done.
    pub fn session_ends_in(&self, now: WallTime) -> Option<i64> {
        let left = self.session_ends_at?.0.saturating_sub(now.0);
        (left <= SESSION_ENDS_SOON).then_some(left.max(0))
    }
}

/// How an account stands, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum AccountState {
    /// The access token works.
    Fresh,
    /// A refresh is under way.
    Refreshing,
    /// A refresh failed in a way that passes; it is tried again.
    Waiting,
    /// Its person must sign in again.
    SignInAgain,
    /// Something must be corrected before anything is tried again.
    Blocked,
    /// Signed out a moment ago; it can be undone.
    Undoable,
    /// Signing out: clearing, or waiting for the keychain to delete the key.
    SigningOut,
    /// Signed out; nothing is kept that opens.
    SignedOut,
}

impl AccountState {
    /// Whether a person should look.
    pub fn wants_attention(self) -> bool {
        matches!(self, Self::SignInAgain | Self::Blocked)
    }
}

/// A sign-in that is under way or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct AttemptView {
    /// Its random id.
    pub id: AttemptId,
    /// The provider.
    pub provider: ProviderName,
    /// The account it signs in again, if it is for one.
    pub account: Option<AccountId>,
    /// How the redirect comes back.
    pub redirect: RedirectKind,
    /// Where the browser was sent, as host and port.
    pub host: String,
    /// How far it is.
    pub phase: AttemptPhase,
    /// When it ends by itself.
    pub until: WallTime,
    /// Why it failed.
    pub problem: Option<Problem>,
    /// What its person types in elsewhere, where it is a device authorization.
    pub device: Option<DeviceCode>,
}

/// What the person of a device authorization is shown (RFC 8628 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct DeviceCode {
    /// To type in there.
    pub user_code: String,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a link or a picture.
    pub verification_uri_complete: Option<String>,
}

impl DeviceCode {
    /// The address that spares the typing, if there is one.
    pub fn link(&self) -> &str {
        self.verification_uri_complete.as_ref().unwrap_or(&self.verification_uri)
    }
}

/// How far a sign-in is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum AttemptPhase {
    /// The browser has the word.
    Waiting,
    /// The redirect came; the code is being exchanged and stored.
    Finishing,
    /// It failed; nothing was stored.
    Failed,
}

/// How a redirect comes back from the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum RedirectKind {
    /// By Larder's own URI scheme (RFC 8252 section 7.1).
    DeepLink,
    /// By a listener on this computer's own address (RFC 8252 section 7.3).
    Loopback,
    /// By hand: the person pastes the address.
    Paste,
    /// Not at all: the person signs in on any device, and Larder asks how it ended (RFC 8628).
    Device,
    /// Not at all: there is no person, and the client asks for itself (RFC 6749 section 4.4).
    ClientCredentials,
}

/// A provider that can be signed in to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ProviderView {
    /// Its name in `providers.toml`.
    pub name: ProviderName,
    /// For people.
    pub title: String,
    /// Issuer, or the authorization endpoint's host.
    pub issuer: String,
    /// The client's id at the provider.
    pub client_id: String,
    /// What is asked for.
    pub scopes: Vec<Scope>,
    /// Redirects, in the order in which they are tried.
    pub redirects: Vec<RedirectKind>,
    /// Offered only as long as the demonstration runs.
    pub demo: bool,
    /// Whether it can be signed in to as it is.
    pub ready: bool,
    /// Whether it needs a client secret, and has one.
    pub secret: SecretState,
    /// How to register a client, for providers of the catalogue.
    pub help: Option<ProviderHelp>,
}

/// A provider's client secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum SecretState {
    /// A public client has none.
    NotNeeded,
    /// It is to be given.
    Missing,
    /// It is kept, sealed.
    Kept,
}

/// How a person registers a client of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ProviderHelp {
    /// Where; empty while it is not said whose server it is.
    pub register: String,
    /// The redirect to write down there, to the letter; none where the provider wants none.
    pub redirect: Option<String>,
    /// Messages, in order.
    pub steps: Vec<String>,
    /// What a person has to bring.
    pub usable: Usable,
    /// The message that says so.
    pub why: String,
    /// Whether the entry's facts were found in public documentation.
    pub verified: bool,
    /// Where it depends on whose server it is.
    pub server: Option<ServerHelp>,
    /// What can be asked for, with what that means.
    pub scopes: Vec<ScopeHelp>,
}

/// A provider of which everybody has an own server, or tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ServerHelp {
    /// The message that names it.
    pub label: String,
    /// What one looks like.
    pub example: String,
    /// The person's, once it is written down.
    pub value: Option<String>,
}

/// A scope of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ScopeHelp {
    /// As it is asked for.
    pub scope: Scope,
    /// The message that says what it means.
    pub meaning: String,
}

/// What a provider wants from a person who signs in on a desktop with a client of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Usable {
    /// A client without a secret.
    Native,
    /// A client with a secret.
    Secret,
    /// That the address at which the browser ends is pasted.
    Paste,
    /// An approval, before anything works.
    Approval,
    /// It does not work.
    No,
}

/// The keychain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct KeychainView {
    /// Which one, for people: "Secret Service", "macOS Keychain", "Windows Credential Manager", "systemd credential",
    /// "passphrase".
    pub kind: String,
    /// How it stood when it was last asked.
    pub state: KeychainState,
}

/// How the keychain stood when it was last asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum KeychainState {
    /// Not asked yet: keys are read when first needed.
    Unasked,
    /// It opens.
    Open,
    /// Locked.
    Locked,
    /// None answers.
    Absent,
    /// It did not answer in time.
    Silent,
}

/// The tray's three shapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum TrayState {
    /// Every signed-in account works.
    Fresh,
    /// At least one is being refreshed.
    Refreshing,
    /// A person should look.
    Attention,
}

/// The refresh that comes next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct NextRefresh {
    /// Of which account.
    pub account: AccountId,
    /// When.
    pub at: WallTime,
}

/// The last time that an account's token was handed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct LastUse {
    /// Of which account.
    pub account: AccountId,
    /// To which program; empty where it is not known.
    pub program: String,
    /// When.
    pub at: WallTime,
}

/// Something that happened; kept in `audit.db`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct EventView {
    /// When.
    pub at: WallTime,
    /// What.
    pub kind: EventKind,
    /// The account it concerns.
    pub account: Option<AccountId>,
    /// That account's label when it happened.
    pub label: Option<String>,
    /// The program that asked, for a hand-out.
    pub program: Option<String>,
    /// As granted, for a hand-out and a sign-in.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// What was in the way, if anything was.
    pub problem: Option<Problem>,
    /// How often it happened: the same of one program within a minute, or of one trouble within an hour, is one row.
    #[serde(default = "once")]
    pub count: u32,
    /// When it last happened, where it did more than once.
    #[serde(default)]
    pub last: Option<WallTime>,
}

impl EventView {
    /// Something that happened once, of which nothing more is said.
    pub fn new(at: WallTime, kind: EventKind) -> Self {
        Self {
            at,
            kind,
            account: None,
            label: None,
            program: None,
            scopes: Vec::new(),
            problem: None,
            count: once(),
            last: None,
        }
    }
}

/// For what an agent says that does not count.
fn once() -> u32 {
    1
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// Its place: every row has the next number, and none is given twice.
    pub number: i64,
    /// What happened.
    #[serde(flatten)]
    pub event: EventView,
}

/// The newest row that is in the audit's chain, and so all before it: noted elsewhere, it shows that none was changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// The row's number; 0 where there is none yet.
    pub number: i64,
    /// SHA-256 of the chain up to it, in hex.
    pub hash: String,
}

/// What a look at the whole audit came to, where nothing is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReport {
    /// How many rows fit.
    pub rows: u64,
    /// The oldest one; older ones were removed when their time was over.
    pub first: i64,
    /// The newest one.
    pub head: AuditHead,
    /// How many signed checkpoints there are.
    pub checkpoints: u64,
    /// Why their signatures could not be checked, if that is so.
    pub unchecked: Option<Problem>,
}

/// As which client Larder signs in where its person gave nothing but an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum ClientKind {
    /// One that its person registered.
    Own,
    /// The one that a Client ID Metadata Document describes.
    MetadataDocument,
    /// One that Larder registered, or would register (RFC 7591).
    Registration,
}

/// One finding of `larder doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What was looked at.
    pub check: Check,
    /// Which one: a host, a file, a program.
    pub subject: String,
    /// What is wrong with it, and what to do.
    pub problem: Option<Problem>,
}

/// A line of what was found out about a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[ts(export)]
pub struct ReportLine {
    /// What to make of it.
    pub verdict: Verdict,
    /// The message, which takes `value`.
    pub key: String,
    /// As the provider says it, or as it is written down.
    pub value: String,
    /// What would end a sign-in, where a problem says it.
    pub problem: Option<Problem>,
}

/// What to make of something that a provider says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Odd or missing, and signing in works all the same.
    Odd,
    /// Signing in does not work with it.
    Wrong,
}

/// What `larder doctor` looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The agent answers on its socket.
    Socket,
    /// The keychain opens.
    Keychain,
    /// The configuration can be read.
    Configuration,
    /// Larder's links come back here.
    Links,
    /// The proxy that is used.
    Proxy,
    /// A provider can be reached.
    Network,
    /// This computer's clock agrees with a provider's.
    Clock,
}

/// The kinds of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum EventKind {
    /// A sign-in began.
    SignInStarted,
    /// A redirect came that no sign-in waits for, or that is malformed.
    CallbackRefused,
    /// A sign-in failed; nothing was stored.
    SignInFailed,
    /// An account was signed in.
    SignedIn,
    /// An account that was signed in again gets its tokens from another host than before; see its problem.
    EndpointMoved,
    /// An account was refreshed.
    Refreshed,
    /// A refresh failed; see its problem.
    RefreshFailed,
    /// A rotated token could not be written yet.
    Unsaved,
    /// A token was handed to a program.
    HandedOut,
    /// A program was refused a token.
    Refused,
    /// Its person let a program have a token, this once.
    AllowedOnce,
    /// Its person let a program have tokens until the agent ends or Larder is locked.
    AllowedForSession,
    /// Its person let a program have tokens; the policy says so now.
    AllowedAlways,
    /// No token is handed out from now on.
    Locked,
    /// Nor is any refreshed, and the keys are out of memory.
    Sealed,
    /// Tokens are handed out again.
    Unlocked,
    /// An account was signed out; nothing is kept that opens.
    SignedOut,
    /// The provider confirmed that the session is revoked.
    Revoked,
    /// The provider could not be told, or offers no revocation.
    RevocationFailed,
    /// An account went to another machine, in a file; without one, configuration alone was copied.
    Exported,
    /// An account came from another machine, in a file.
    Imported,
    /// An account was given another label.
    Renamed,
    /// A policy was changed.
    PolicyChanged,
    /// A provider was added or removed.
    ProviderChanged,
    /// A client was registered at a provider (RFC 7591).
    ClientRegistered,
    /// The registration of a client was removed at its provider (RFC 7592).
    RegistrationRemoved,
    /// It could not be removed; see its problem.
    RegistrationLeft,
}
