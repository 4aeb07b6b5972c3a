//! What a person can do, from window, tray and menu alike.

use crate::browser;
use crate::link::Link;
use crate::scheme::{self, Handler};
use larder_client::unexpected;
use larder_core::names::{AccountId, AttemptId, ProviderName, Scope};
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Authentication, MOST_CALLBACK, OnWire, Request};
use larder_core::view::{AttemptView, EventView, RedirectKind};
use serde::{Deserialize, Serialize};
use url::Url;

/// As many events as the window shows.
const EVENTS: u32 = 200;

/// How an account is signed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignOut {
    /// In a few seconds, and it can be taken back meanwhile.
    Undoable,
    /// Now.
    AtOnce,
    /// Now, and the account's row goes as well.
    Forget,
}

/// What a sign-in asks for beyond what is written down and granted.
#[derive(Debug, Default, Deserialize)]
pub struct More {
    /// More scopes.
    #[serde(default)]
    pub scopes: Vec<Scope>,
    /// Its person is to authenticate anew, whatever session the browser has.
    #[serde(default)]
    pub anew: bool,
}

/// What a provider answered to an account's token.
#[derive(Debug, Serialize)]
pub struct Tested {
    host: String,
    /// HTTP's.
    status: u16,
    ms: u64,
}

/// Starts a sign-in and opens the browser. Fails before the browser opens where its answer could not come back.
/// `redirect` stands where the person chose one instead of the provider's own order.
pub fn sign_in(
    link: &Link,
    provider: ProviderName,
    account: Option<AccountId>,
    redirect: Option<RedirectKind>,
    more: More,
) -> Result<AttemptId, Problem> {
    link.notice(None);
    // Discovery may have to ask the provider: this waits on a connection of its own.
    let answer = link.ask_long(Request::SignIn {
        provider,
        label: None,
        account,
        redirect,
        scopes: more.scopes,
        // The answer's ID token is checked for it (OpenID Connect Core 3.1.3.7); a prompt alone could be ignored unseen.
        authentication: Authentication { max_age: more.anew.then_some(0), ..Authentication::default() },
    })?;
    let Answer::SignIn { attempt, authorization_url, redirect, .. } = answer else {
        return Err(unexpected("sign-in"));
    };
    if redirect == RedirectKind::DeepLink
        && let Some(problem) = unanswerable(link)
    {
        // Best effort: left alone, the attempt ends by itself.
        let _ = link.ask(Request::CancelSignIn { attempt });
        return Err(problem);
    }
    // The attempt lives on if no browser opens: its link can be copied. A code is to be read first, and may be for a phone;
    // and where there is no person, nobody has anything to open.
    if !matches!(redirect, RedirectKind::Device | RedirectKind::ClientCredentials) {
        browser::open(&authorization_url, &link.browser())?;
    }
    Ok(attempt)
}

/// Why the browser's answer would not reach this app by deep link.
fn unanswerable(link: &Link) -> Option<Problem> {
    match scheme::ensure(link.profile()) {
        Handler::Ours | Handler::Unknown => None,
        Handler::Other(handler) => Some(Problem::SchemeTaken { handler }),
        Handler::Nobody => Some(Problem::SchemeUnhandled),
    }
}

/// Ends a sign-in, or dismisses a failed one.
pub fn cancel_sign_in(link: &Link, attempt: AttemptId) -> Result<(), Problem> {
    link.notice(None);
    done(link.ask(Request::CancelSignIn { attempt })?, "cancel-sign-in")
}

/// Opens the browser once more for a sign-in that waits.
pub fn open_again(link: &Link, attempt: AttemptId) -> Result<(), Problem> {
    link.notice(None);
    // Another program may have become the one since.
    let by_link = |known: &AttemptView| known.id == attempt && known.redirect == RedirectKind::DeepLink;
    if link.shown().is_some_and(|house| house.attempts.iter().any(by_link))
        && let Some(problem) = unanswerable(link)
    {
        return Err(problem);
    }
    browser::open(&authorization_url(link, attempt)?, &link.browser())
}

/// The authorization URL of a sign-in that waits.
pub fn authorization_url(link: &Link, attempt: AttemptId) -> Result<String, Problem> {
    match link.ask(Request::AuthorizationUrl { attempt })? {
        Answer::AuthorizationUrl { url } => Ok(url),
        _ => Err(unexpected("authorization-url")),
    }
}

/// Hands over the address that a browser ended up at, and says how the sign-in ends.
pub fn hand_over(link: &Link, address: OnWire) -> Result<(), Problem> {
    link.notice(None);
    if !is_redirect(address.expose()) {
        let detail = "the clipboard holds no address of a page that a sign-in ended up at".to_owned();
        return Err(Problem::BadCallback { detail });
    }
    // The exchange waits for the provider.
    link.ask_long(Request::Callback { url: address, activation_token: None }).map(drop)
}

/// Whether this may be a redirect: a clipboard holds passwords and letters too, which concern nobody.
fn is_redirect(text: &str) -> bool {
    text.len() <= MOST_CALLBACK && Url::parse(text).is_ok_and(|url| url.query_pairs().any(|(name, _)| name == "state"))
}

/// Refreshes one account now.
pub fn refresh(link: &Link, account: AccountId) -> Result<(), Problem> {
    link.notice(None);
    link.ask_long(Request::Refresh { account: account.0 }).map(drop)
}

/// Refreshes every account that can be.
pub fn refresh_all(link: &Link) -> Result<(), Problem> {
    link.notice(None);
    done(link.ask(Request::RefreshAll)?, "refresh-all")
}

/// Signs an account out.
pub fn sign_out(link: &Link, account: AccountId, how: SignOut) -> Result<(), Problem> {
    link.notice(None);
    let request = Request::SignOut {
        account: account.0,
        undoable: how == SignOut::Undoable,
        forget: how == SignOut::Forget,
        here_only: false,
    };
    link.ask_long(request).map(drop)
}

/// Opens the page of its provider on which an account's person signs out in the browser too.
pub fn sign_out_in_browser(link: &Link, account: AccountId) -> Result<(), Problem> {
    link.notice(None);
    match link.ask(Request::BrowserSignOut { account: account.0 })? {
        Answer::BrowserSignOut { url: Some(url) } => browser::open(&url, &link.browser()),
        // It was offered, so the account went meanwhile, or was signed in elsewhere.
        Answer::BrowserSignOut { url: None } => Ok(()),
        _ => Err(unexpected("browser-sign-out")),
    }
}

/// Gives an account another label.
pub fn rename(link: &Link, account: AccountId, label: String) -> Result<(), Problem> {
    done(link.ask(Request::Rename { account: account.0, label })?, "rename")
}

/// Puts an account before another one, or at the end.
pub fn place(link: &Link, account: AccountId, before: Option<AccountId>) -> Result<(), Problem> {
    done(link.ask(Request::Arrange { account: account.0, before: before.map(|before| before.0) })?, "arrange")
}

/// Asks the provider who an account is, with its token.
pub fn test(link: &Link, account: AccountId) -> Result<Tested, Problem> {
    match link.ask_long(Request::Test { account: account.0 })? {
        Answer::Tested { host, status, milliseconds } => Ok(Tested { host, status, ms: milliseconds }),
        _ => Err(unexpected("test")),
    }
}

/// Takes an undoable sign-out back.
pub fn undo_sign_out(link: &Link, account: AccountId) -> Result<(), Problem> {
    link.ask(Request::UndoSignOut { account: account.0 }).map(drop)
}

/// Asks the keychain to open. The keychain may ask the person, so this follows a click alone.
pub fn unlock(link: &Link) -> Result<(), Problem> {
    link.notice(None);
    done(link.ask_long(Request::Unlock { passphrase: None })?, "unlock")
}

/// The newest events, oldest first.
pub fn events(link: &Link) -> Result<Vec<EventView>, Problem> {
    match link.ask(Request::Events { limit: EVENTS })? {
        Answer::Events { events } => Ok(events),
        _ => Err(unexpected("events")),
    }
}

/// Drains and stops the agent: nothing of Larder runs afterwards.
pub fn stop_agent(link: &Link) -> Result<(), Problem> {
    link.leave();
    larder_client::stop(link.profile()).map(drop)
}

/// For what is answered without more words.
pub fn done(answer: Answer, to: &str) -> Result<(), Problem> {
    match answer {
        Answer::Done => Ok(()),
        _ => Err(unexpected(to)),
    }
}

#[cfg(test)]
mod tests {
    use super::is_redirect;

    #[test]
    fn only_what_may_be_a_redirect_is_handed_over() {
        assert!(is_redirect("https://example.com/cb?code=c&state=s"));
        assert!(is_redirect("dev.larder.desktop:/callback?error=access_denied&state=s"));
        for other in ["", "hunter2", "https://example.com/", "https://example.com/?code=c", "state=s"] {
            assert!(!is_redirect(other), "{other}");
        }
        assert!(!is_redirect(&format!("https://example.com/?state={}", "s".repeat(20_000))));
    }
}
