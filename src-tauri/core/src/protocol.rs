//! The socket protocol: JSON, one message a line, versioned by the first one.
//!
//! A client sends `{"id":1,"request":{"do":"hello",…}}` and gets `{"id":1,"answer":{"is":"hello",…}}` or
//! `{"id":1,"problem":{"code":…}}`. After `subscribe` the agent also sends `{"push":…}` lines.
//! No answer carries a refresh token, client secret, verifier or key; [`Request::SetSecret`] alone brings one.

use crate::git::{Destination, GitAccount};
use crate::names::{AccountId, AttemptId, PromptId, ProviderName, Scope};
use crate::preferences::{SettingsChange, SettingsView};
use crate::problem::Problem;
use crate::time::WallTime;
use crate::view::{
    AccountView, AuditHead, AuditReport, AuditRow, CheckView, ClientKind, DeviceCode, EventKind, EventView, GrantView,
    HouseView, LapsingView, LastUse, LockState, ProviderView, RedirectKind, ReportLine,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use ts_rs::TS;
use zeroize::Zeroizing;

/// Rises when a message changes its meaning. Unknown fields are ignored, so additions do not count.
pub const PROTOCOL: u32 = 1;

/// The longest request, in bytes: a redirect of [`MOST_CALLBACK`] and its quoting, with room.
pub const MOST_REQUEST: usize = 64 * 1024;

/// The longest answer a client reads, in bytes: a view of 10,000 accounts takes about 6 MiB.
pub const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// The longest redirect that is looked at, in bytes: browsers cut at 32 KiB and more, codes and state take below 8.
pub const MOST_CALLBACK: usize = 16 * 1024;

/// The longest token that a program gives back, in bytes: a signed one with many claims takes some KiB.
pub const MOST_TOKEN: usize = 32 * 1024;

/// The longest passphrase, in bytes: longer than any that a person types.
pub const MOST_PASSPHRASE: usize = 1024;

/// Text on the wire that must not be shown: a redirect with its code, an access token.
/// Debug is redacted, the memory is zeroized on drop, and it is serialized only by the protocol.
#[derive(Clone, PartialEq, Eq)]
pub struct OnWire(Zeroizing<String>);

impl OnWire {
    /// Wraps what is about to be sent, or was received.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself. Whoever calls this must not log, keep or show it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn write<S: Serializer>(secret: &Self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&secret.0)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }

    fn write_if_any<S: Serializer>(secret: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Self::expose).serialize(serializer)
    }

    fn read_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Self>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Self::new))
    }
}

impl fmt::Debug for OnWire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A request to a resource server that a proof is wanted for (RFC 9449 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFor {
    /// Its method, in capital letters.
    pub method: String,
    /// Its URL; query and fragment are not part of a proof.
    pub url: String,
    /// What the resource server sent as `DPoP-Nonce`, if it did.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// Which token a resource server rejected (RFC 6750 section 3.1, `invalid_token`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rejected {
    /// The last one that the program which asks was given.
    Last,
    /// This one.
    #[serde(serialize_with = "OnWire::write", deserialize_with = "OnWire::read")]
    Token(OnWire),
}

/// How a person is to authenticate at a sign-in (OpenID Connect Core 3.1.2.1, RFC 9470 section 4); what is left out is the
/// provider's to choose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// `acr_values`: authentication contexts, the best first, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr_values: Option<String>,
    /// `max_age`: how long ago they may have authenticated, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// `prompt`, instead of what is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
}

impl Authentication {
    /// Whether all of it is the provider's to choose.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A line from a client.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ask {
    /// Comes back with the answer.
    pub id: u64,
    /// What is asked.
    pub request: Request,
}

/// What a client can ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// The first message.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The client's version.
        build: String,
    },
    /// Everything there is to show.
    View,
    /// From now on, pushes: every change of the view, every event.
    Subscribe,
    /// The window registers itself. Where one is there already, that one is brought to the front and this one is told so.
    AttachWindow {
        /// What the desktop gave the new process to bring a window to the front (Wayland).
        activation_token: Option<String>,
        /// Whether it shows the view's prompts and answers them. One that does not counts as none for whoever must be asked.
        #[serde(default)]
        answers: bool,
    },
    /// A person's answer to a prompt. Only from the process of the window that is attached and answers.
    AnswerPrompt {
        /// Which.
        prompt: PromptId,
        /// What they chose.
        choice: Choice,
    },
    /// Starts a sign-in; answered with the authorization URL.
    SignIn {
        /// With which provider.
        provider: ProviderName,
        /// What to call the new account.
        label: Option<String>,
        /// Sign this account in again.
        account: Option<AccountId>,
        /// Instead of the provider's own order.
        redirect: Option<RedirectKind>,
        /// More scopes than are written down and granted.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<Scope>,
        /// How its person is to authenticate.
        #[serde(default, skip_serializing_if = "Authentication::is_empty")]
        authentication: Authentication,
    },
    /// Answered when the sign-in has ended.
    AwaitSignIn {
        /// Which.
        attempt: AttemptId,
    },
    /// Ends a sign-in, or dismisses a failed one.
    CancelSignIn {
        /// Which.
        attempt: AttemptId,
    },
    /// The authorization URL of a sign-in that waits, to open or copy it again.
    AuthorizationUrl {
        /// Which.
        attempt: AttemptId,
    },
    /// A redirect that came back.
    Callback {
        /// The whole URL, code and all.
        #[serde(serialize_with = "OnWire::write", deserialize_with = "OnWire::read")]
        url: OnWire,
        /// What the desktop gave the process that was started with the URL (Wayland).
        activation_token: Option<String>,
    },
    /// An access token.
    Token {
        /// Label or id.
        account: String,
        /// The smallest remaining life, in seconds.
        min_validity: Option<u64>,
        /// For a token that is bound to a key: a proof for this one request as well.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dpop: Option<ProofFor>,
        /// That a token was answered 401, so that a newer one is wanted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rejected: Option<Rejected>,
        /// Some of the scopes that were granted (RFC 6749 section 6); all, where none are named.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        scopes: Vec<Scope>,
        /// Whom the token is to be for, instead of what it is at the sign-in (RFC 8707).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource: Option<String>,
    },
    /// The accounts that git may use somewhere. Not a hand-out: a token is asked for by itself.
    GitAccounts {
        /// Where git is about to go.
        to: Destination,
    },
    /// Refreshes now; answered when it ended.
    Refresh {
        /// Label or id.
        account: String,
    },
    /// Refreshes every account that can be refreshed; answered at once.
    RefreshAll,
    /// Signs out.
    SignOut {
        /// Label or id.
        account: String,
        /// Wait a few seconds first, in which it can be undone.
        undoable: bool,
        /// Remove the account's row as well.
        forget: bool,
        /// Do not tell the provider.
        here_only: bool,
    },
    /// Where an account's person can sign out in the browser too. It opens and ends nothing.
    BrowserSignOut {
        /// Label or id.
        account: String,
    },
    /// Takes an undoable sign-out back.
    UndoSignOut {
        /// Label or id.
        account: String,
    },
    /// Lists providers.
    Providers,
    /// One provider as it is written down, as TOML.
    Provider {
        /// Which.
        name: ProviderName,
    },
    /// Writes a provider into `providers.toml`.
    AddProvider {
        /// Its name.
        name: ProviderName,
        /// Its keys and values, as TOML.
        definition: String,
    },
    /// Looks for what can be signed in to at an address: an issuer, or a protected resource. Changes nothing.
    Find {
        /// The address.
        url: String,
    },
    /// Writes what is found at an address into `providers.toml`, as a provider; registers a client where that is needed.
    Adopt {
        /// The address.
        url: String,
    },
    /// Seals a provider's client secret.
    SetSecret {
        /// Which provider's.
        name: ProviderName,
        /// The secret.
        #[serde(serialize_with = "OnWire::write", deserialize_with = "OnWire::read")]
        secret: OnWire,
    },
    /// Removes a provider from `providers.toml`.
    RemoveProvider {
        /// Which.
        name: ProviderName,
    },
    /// Offers the demonstration provider for as long as this connection lasts.
    OfferDemo {
        /// A loopback address.
        issuer: String,
    },
    /// Lists the policy.
    Policy,
    /// Changes the policy: the default, where program and account are both absent, else one rule.
    SetPolicy {
        /// The program's path, or `*`.
        program: Option<String>,
        /// The account's label or id, or `*`.
        account: Option<String>,
        /// What follows.
        decision: Decision,
    },
    /// Removes one rule from the policy, and what its program was allowed for this session.
    RemoveRule {
        /// The program's path, or `*`, as the rule says it.
        program: String,
        /// The account's label or id, or `*`.
        account: String,
    },
    /// From now on no token is handed out, until Unlock. Answered with Locked.
    Lock {
        /// Drop the keys from memory too, and refresh nothing.
        seal: bool,
    },
    /// The newest events, oldest first.
    Events {
        /// At most so many.
        limit: u32,
    },
    /// Writes accounts into a file for another machine of their person's. They stop here first, and are gone here afterwards;
    /// nothing is revoked.
    Export {
        /// Where: a whole path, at which nothing is.
        path: String,
        /// Labels or ids; empty for all.
        accounts: Vec<String>,
        /// Copy providers and labels alone, and leave the accounts here.
        config_only: bool,
        /// What it is sealed with; one of this and a recipient.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            serialize_with = "OnWire::write_if_any",
            deserialize_with = "OnWire::read_if_any"
        )]
        passphrase: Option<OnWire>,
        /// Whom it is sealed for: an age recipient, `age1…`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recipient: Option<String>,
    },
    /// Takes accounts out of such a file, and goes on with them.
    Import {
        /// Where it is: a whole path.
        path: String,
        /// What opens it; one of this and an identity.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            serialize_with = "OnWire::write_if_any",
            deserialize_with = "OnWire::read_if_any"
        )]
        passphrase: Option<OnWire>,
        /// The path of a file with the age identity that opens it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        identity: Option<String>,
    },
    /// Rows of the audit, oldest first.
    Audit {
        /// Which ones.
        #[serde(flatten)]
        filter: AuditFilter,
    },
    /// Gives an account another label.
    Rename {
        /// Which, by label or id.
        account: String,
        /// The new one.
        label: String,
    },
    /// Puts an account before another one, or at the end, wherever accounts are listed.
    Arrange {
        /// Which, by label or id.
        account: String,
        /// Before which, by label or id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<String>,
    },
    /// Asks the provider who the account is, with its access token: whether it accepts it.
    Test {
        /// Which, by label or id.
        account: String,
    },
    /// The last time that each account's token was handed out.
    LastUses,
    /// What is set.
    Settings,
    /// Sets something, and answers with all that is set then.
    ChangeSettings {
        /// What.
        change: Box<SettingsChange>,
    },
    /// Looks whether every row of the audit is as it was written.
    AuditVerify {
        /// A head that was noted elsewhere.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        noted: Option<AuditHead>,
    },
    /// The head of the audit, all that happened so far in it.
    AuditHead,
    /// Looks at everything that sign-ins and refreshes need.
    Doctor,
    /// What a provider offers, and what is wrong, without signing in.
    CheckProvider {
        /// Its name, or an issuer's URL.
        provider: String,
    },
    /// Ends a lock, once the keychain opens. Asks it to open. Only after a click or `larder unlock`: it may raise the keychain's own prompt.
    Unlock {
        /// For keys in a file that a passphrase opens; the first one that is given is the one.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            serialize_with = "OnWire::write_if_any",
            deserialize_with = "OnWire::read_if_any"
        )]
        passphrase: Option<OnWire>,
    },
    /// Commit what is in flight, answer, and make way.
    Drain,
}

/// Which rows of the audit are wanted: those that are all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditFilter {
    /// Of this account, by label or id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Of this program, by its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<EventKind>,
    /// Not over before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<WallTime>,
    /// The newest so many; at most [`MOST_ROWS`].
    pub limit: u32,
}

/// The most rows of the audit in one answer: about 4 MiB.
pub const MOST_ROWS: u32 = 10_000;

/// What follows when a program asks for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Decision {
    /// It gets one.
    Allow,
    /// Its person is asked.
    Ask,
    /// It gets none.
    Deny,
}

/// What a person says to a program that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(rename_all = "kebab-case")]
#[ts(export)]
pub enum Choice {
    /// It gets this token.
    Once,
    /// It gets tokens until the agent ends, Larder is locked, or the account is signed out. A program that runs others
    /// gets them with the arguments that were shown.
    Session,
    /// A rule of the policy allows it.
    Always,
    /// It does not get this one.
    NotNow,
    /// A rule of the policy denies it.
    Never,
}

/// A rule of `policy.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
#[ts(export)]
pub struct Rule {
    /// The program's path, or `*`.
    pub program: String,
    /// The account's label or id, or `*`.
    pub account: String,
    /// What follows.
    pub decision: Decision,
}

/// A line from the agent.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// The answer to a request.
    Answer {
        /// The request's.
        id: u64,
        /// What was asked for.
        answer: Answer,
    },
    /// The request failed.
    Problem {
        /// The request's.
        id: u64,
        /// Why.
        problem: Problem,
    },
    /// Something changed.
    Push {
        /// What.
        push: Push,
    },
}

/// What the agent answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// To Hello.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The agent's version.
        build: String,
        /// The folder of the profile it owns.
        profile: String,
        /// Its process id.
        pid: u32,
    },
    /// It is done.
    Done,
    /// Everything there is to show.
    View(Box<HouseView>),
    /// To AttachWindow.
    Window {
        /// Whether another window is there already.
        other: bool,
    },
    /// A sign-in waits.
    SignIn {
        /// Its id.
        attempt: AttemptId,
        /// Where to send the browser.
        authorization_url: String,
        /// How the redirect comes back.
        redirect: RedirectKind,
        /// When it ends by itself.
        until: WallTime,
        /// What its person types in elsewhere, where it is a device authorization.
        #[serde(default)]
        device: Option<DeviceCode>,
    },
    /// A URL to open.
    AuthorizationUrl {
        /// The URL.
        url: String,
    },
    /// An account, as it stands now.
    Account(Box<AccountView>),
    /// An access token.
    Token {
        /// The token.
        #[serde(serialize_with = "OnWire::write", deserialize_with = "OnWire::read")]
        access_token: OnWire,
        /// As the provider named it: `Bearer`, or `DPoP` for a token that is bound to a key.
        token_type: String,
        /// When it ends, if the provider said so.
        expires_at: Option<WallTime>,
        /// As granted, separated by spaces.
        scope: String,
        /// The account's label.
        account: String,
        /// The proof that was asked for, for the header `DPoP` of that one request.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            serialize_with = "OnWire::write_if_any",
            deserialize_with = "OnWire::read_if_any"
        )]
        dpop: Option<OnWire>,
    },
    /// The accounts that git may use there.
    GitAccounts {
        /// One is the one; several, and its person has to say which; none, and it is no place that Larder knows.
        accounts: Vec<GitAccount>,
    },
    /// An account is signed out here; what came of telling the provider.
    SignedOut {
        /// The account's label.
        account: String,
        /// What came of it.
        revocation: Revocation,
        /// Where its person can sign out in the browser too (OpenID Connect RP-Initiated Logout 1.0), where the provider
        /// offers that. It holds no token; nobody opens it unless its person wants that.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        browser_sign_out: Option<String>,
    },
    /// Where to sign out in the browser too.
    BrowserSignOut {
        /// An address without a token; none where the provider offers nothing.
        url: Option<String>,
    },
    /// Providers.
    Providers {
        /// By name.
        providers: Vec<ProviderView>,
    },
    /// A provider as it is written down.
    Provider {
        /// TOML.
        definition: String,
    },
    /// What can be signed in to at an address.
    Found {
        /// The authorization server's issuer.
        issuer: String,
        /// The protected resource, where the address is that of one (RFC 9728).
        resource: Option<String>,
        /// As which client; none where its person is to register one first.
        client: Option<ClientKind>,
        /// The provider that stands for it already.
        provider: Option<ProviderName>,
        /// For people.
        title: String,
        /// Host and port of the address.
        host: String,
        /// What would be asked for.
        scopes: Vec<Scope>,
    },
    /// An address can be signed in to, with this provider.
    Adopted {
        /// Its name.
        provider: ProviderName,
        /// As which client.
        client: ClientKind,
    },
    /// The policy.
    Policy {
        /// Where no rule matches.
        default: Decision,
        /// The first that matches wins. An account that is known is named by its label.
        rules: Vec<Rule>,
        /// What was allowed for this session.
        #[serde(default)]
        session: Vec<GrantView>,
    },
    /// No token is handed out any more.
    Locked {
        /// How far.
        state: LockState,
        /// Sessions that are not refreshed meanwhile, and may lapse.
        lapsing: Vec<LapsingView>,
    },
    /// What was found out about a provider, in the order in which it was looked at.
    Report {
        /// Line by line.
        lines: Vec<ReportLine>,
    },
    /// Accounts are in a file, or came out of one.
    Moved {
        /// Their labels here.
        accounts: Vec<String>,
    },
    /// Rows of the audit.
    Audit {
        /// Oldest first.
        rows: Vec<AuditRow>,
    },
    /// What the provider answered to an account's access token.
    Tested {
        /// The provider's host.
        host: String,
        /// HTTP's: 200 where it accepts the token, 401 where it does not.
        status: u16,
        /// How long it took.
        milliseconds: u64,
    },
    /// What is set.
    Settings(Box<SettingsView>),
    /// The last time that each account's token was handed out.
    LastUses {
        /// One an account at most.
        uses: Vec<LastUse>,
    },
    /// Every row of the audit is as it was written.
    AuditVerified(Box<AuditReport>),
    /// The head of the audit.
    AuditHead(AuditHead),
    /// What was looked at.
    Doctor {
        /// Each finding.
        checks: Vec<CheckView>,
    },
    /// Events, oldest first.
    Events {
        /// The newest ones.
        events: Vec<EventView>,
    },
}

/// What came of telling the provider about a sign-out (RFC 7009).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// The provider has revoked the session.
    Done,
    /// It is still being tried; the session here is gone in any case.
    Pending,
    /// The tokens could not be opened, so the provider could not be told; its own pages can end the session.
    Failed,
    /// The provider offers no revocation.
    NotOffered,
    /// It was not wanted, or there was nothing to revoke.
    NotTried,
}

/// What the agent sends unasked to those who subscribed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// The view changed; this is the new one, whole.
    View(Box<HouseView>),
    /// Something happened.
    Event(EventView),
    /// Bring the window to the front.
    ShowWindow {
        /// What the desktop gave for it (Wayland).
        activation_token: Option<String>,
    },
}
