//! The loop's part in handing out: opens a token for whoever core said may have it.

use super::{Agent, Asker, Message};
use crate::perform::Hands;
use crate::program::{self, Program};
use crate::{access_tokens, grants};
use larder_core::names::{AccountId, Generation, Part};
use larder_core::problem::{Exit, Problem, Why};
use larder_core::protocol::{Answer, OnWire, ProofFor, Push};
use larder_core::view::{EventKind, EventView};
use secrecy::ExposeSecret;
use std::sync::Arc;

impl Agent {
    /// Opens the access token and hands it over, off the loop.
    pub(super) fn hand_out(&mut self, ask: u64, account: AccountId, part: Part) {
        let Some(Asker { reply, peer, proof }) = self.askers.remove(&ask) else { return };
        let known = self.house.find(account.as_str()).ok();
        let label = known.map_or_else(|| account.0.clone(), |known| known.identity.label.clone());
        let generation = known.map(|known| known.generation).unwrap_or_default();
        if let Some(access) = known.and_then(|known| known.token(&part)) {
            let program = peer.program.as_ref().map(|program| program.path.as_str()).unwrap_or_default();
            self.given.note(&account, &part, access.issued, program);
        }
        let (hands, outbox, audit, pushes) =
            (Arc::clone(&self.hands), self.outbox.clone(), Arc::clone(&self.audit), self.pushes.clone());
        let now = hands.clock.now();
        tokio::spawn(async move {
            let answer =
                open_for(&hands, (&account, generation), &part, &label, peer.program.as_ref(), proof.as_ref()).await;
            if let Err(Problem::NotYet { .. }) = &answer {
                let _ = outbox.send(Message::Lost { account: account.clone(), part }).await;
            } else if let Err(problem) = &answer
                && problem.exit() == Exit::SignIn
            {
                // A refresh would meet the same, and then the account knows it.
                let _ = outbox.send(Message::Doubt { account: account.clone() }).await;
            }
            if let Ok(Answer::Token { scope, .. }) = &answer {
                let event = EventView {
                    account: Some(account),
                    label: Some(label),
                    program: peer.program.map(|program| program.path),
                    scopes: grants::split(scope),
                    ..EventView::new(now.wall, EventKind::HandedOut)
                };
                let _ = pushes.send(Push::Event(event.clone()));
                audit.record(event);
            }
            let _ = reply.send(answer);
        });
    }
}

/// Opens an account's access token for whoever asked.
async fn open_for(
    hands: &Hands,
    (account, generation): (&AccountId, Generation),
    part: &Part,
    label: &str,
    asker: Option<&Program>,
    proof: Option<&(ProofFor, url::Url)>,
) -> Result<Answer, Problem> {
    let needs = |why| Problem::SignInNeeded { account: label.to_owned(), why };
    let key = hands.key(account).await?.ok_or_else(|| needs(Why::KeyMissing))?;
    let row = hands.rows.read(&hands.database, account, generation).await?;
    let mut opened = row.open_all(account, &key).map_err(|_| needs(Why::Unreadable))?;
    let mut tokens = opened.tokens.take().ok_or_else(|| Problem::SignedOut { account: label.to_owned() })?;
    if !part.is_whole() {
        let kept = match access_tokens::read(&hands.database, account.clone(), key, part.clone()).await {
            Ok(kept) => kept,
            Err(grants::NotOpened::Unreadable) => None,
            Err(grants::NotOpened::Because(problem)) => return Err(problem),
        };
        let kept = kept.ok_or_else(|| Problem::NotYet { account: label.to_owned() })?;
        (tokens.access_token, tokens.token_type) = (kept.access_token, kept.token_type);
        opened.expires_at = kept.expires_at;
        // RFC 6749 section 5.1: left out where it is what was asked for.
        let asked = if part.scope.is_empty() { opened.scope } else { part.scope.clone() };
        opened.scope = kept.scope.unwrap_or(asked);
    }
    if asker.is_some_and(|asker| !program::still_there(asker)) {
        let program = asker.map(|asker| asker.path.clone()).unwrap_or_default();
        return Err(Problem::Denied { program, account: label.to_owned() });
    }
    let dpop = match proof {
        Some((wanted, url)) => {
            let key = tokens.bound_to().ok_or_else(|| Problem::NotBound { account: label.to_owned() })?;
            let nonce = wanted.nonce.clone().or_else(|| hands.http().nonces().of(url));
            let (method, now) = (&wanted.method, hands.clock.now().wall);
            Some(key.prove(method, url, now, nonce.as_deref(), Some(&tokens.access_token))?)
        }
        None => None,
    };
    Ok(Answer::Token {
        // Handing out is the third of the three places that tokens are exposed for.
        access_token: OnWire::new(tokens.access_token.expose_secret().to_owned()),
        token_type: tokens.token_type,
        expires_at: opened.expires_at,
        scope: opened.scope,
        account: label.to_owned(),
        dpop,
    })
}
