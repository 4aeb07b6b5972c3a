//! The loop's part in a sign-out: begin it, and tell whoever waits what came of it.

use super::{Agent, Message, Peer, Reply};
use crate::grants;
use larder_core::account::Event;
use larder_core::house::{HouseEvent, Want, gone};
use larder_core::names::AccountId;
use larder_core::problem::{Exit, Problem};
use larder_core::protocol::{Answer, Revocation};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long whoever signs out waits to hear what came of the revocation.
const REVOCATION_PATIENCE: Duration = Duration::from_secs(2);

/// A sign-out that somebody waits for.
pub(super) struct SigningOut {
    label: String,
    /// Where its person can sign out in the browser too: read while the row is there, and there when the answer is.
    browser: oneshot::Receiver<Option<String>>,
    replies: Vec<Reply>,
}

impl Agent {
    pub(super) async fn sign_out(
        &mut self,
        peer: Peer,
        account: &str,
        undoable: bool,
        forget: bool,
        revoke: bool,
        reply: Reply,
    ) {
        let (id, label, gone) = match self.house.find(account) {
            Ok(known) => (known.id.clone(), known.identity.label.clone(), gone(known)),
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        // Who says "here only" wants nothing there.
        let browser = if revoke && !undoable { self.browser_sign_out(&id) } else { oneshot::channel().1 };
        if gone && !forget {
            tokio::spawn(async move {
                let (revocation, browser_sign_out) = (Revocation::NotTried, browser.await.ok().flatten());
                let _ = reply.send(Ok(Answer::SignedOut { account: label, revocation, browser_sign_out }));
            });
            return;
        }
        if forget && revoke {
            self.forgets(&id, !gone);
        }
        let revoke = revoke && !gone;
        let event = Event::SignOut { undoable, forget, revoke };
        if undoable {
            self.happen(HouseEvent::Account { account: id.clone(), event }).await;
            let _ = reply.send(self.account_answer(&id));
            return;
        }
        // First whether it is signed out here; then what came of telling the provider.
        let (done, signed_out) = oneshot::channel();
        let waiting = self.signing_out.entry(id.clone());
        waiting.or_insert_with(|| SigningOut { label, browser, replies: Vec::new() }).replies.push(reply);
        self.happen(HouseEvent::Account { account: id.clone(), event }).await;
        self.ask(peer, id.clone(), Want::SignOut, None, done).await;
        let (outbox, clock) = (self.outbox.clone(), Arc::clone(&self.hands.clock));
        tokio::spawn(async move {
            let message = match signed_out.await {
                Ok(Ok(_)) if revoke => {
                    clock.pass(REVOCATION_PATIENCE).await;
                    Message::SignedOut { account: id, revocation: Revocation::Pending }
                }
                Ok(Ok(_)) => Message::SignedOut { account: id, revocation: Revocation::NotTried },
                Ok(Err(problem)) => Message::SignOutFailed { account: id, problem },
                // Whoever asked is gone; the entry goes too.
                Err(_) => Message::SignedOut { account: id, revocation: Revocation::Pending },
            };
            let _ = outbox.send(message).await;
        });
    }

    /// Reads, off the loop, where an account's person can sign out in the browser too.
    pub(super) fn browser_sign_out(&self, account: &AccountId) -> oneshot::Receiver<Option<String>> {
        let (found, url) = oneshot::channel();
        let (hands, account) = (Arc::clone(&self.hands), account.clone());
        tokio::spawn(async move {
            // It is an offer: nothing depends on it.
            let _ = found.send(grants::browser_sign_out(&hands.database, account).await.unwrap_or_default());
        });
        url
    }

    pub(super) fn revocation_ended(&mut self, account: &AccountId, result: &Result<(), Option<Problem>>) {
        let revocation = match result {
            Ok(()) => Revocation::Done,
            Err(None) => Revocation::NotOffered,
            Err(Some(problem)) if problem.exit() == Exit::Keychain => Revocation::Failed,
            Err(Some(_)) => Revocation::Pending,
        };
        self.answer_signed_out(account, revocation);
    }

    pub(super) fn answer_signed_out(&mut self, account: &AccountId, revocation: Revocation) {
        let Some(SigningOut { label, mut browser, replies }) = self.signing_out.remove(account) else { return };
        // The sign-out has been to the disk several times since it was asked for. Where it is not there, nothing is offered.
        let browser_sign_out = browser.try_recv().ok().flatten();
        for reply in replies {
            let (account, browser_sign_out) = (label.clone(), browser_sign_out.clone());
            let _ = reply.send(Ok(Answer::SignedOut { account, revocation, browser_sign_out }));
        }
    }

    pub(super) fn sign_out_failed(&mut self, account: &AccountId, problem: &Problem) {
        let Some(SigningOut { replies, .. }) = self.signing_out.remove(account) else { return };
        for reply in replies {
            let _ = reply.send(Err(problem.clone()));
        }
    }
}
