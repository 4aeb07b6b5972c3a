//! The loop's part in a sign-in from its code on: exchange, identity, store.

use super::message::SignedIn;
use super::{Agent, Message};
use crate::dpop::TOKEN_TYPE;
use crate::perform::Hands;
use crate::{adopt, grants, identity, sign_in};
use larder_core::account::GrantType;
use larder_core::attempt::{self, Phase};
use larder_core::effect::Outcome;
use larder_core::house::HouseEvent;
use larder_core::names::{AccountId, AttemptId};
use larder_core::problem::Problem;
use larder_core::view::EventKind;
use secrecy::ExposeSecret;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use url::Url;

impl Agent {
    pub(super) fn exchange(&mut self, id: AttemptId) {
        let Some(secrets) = self.secrets.get_mut(&id) else { return };
        let (granted, taken) = (secrets.granted.take(), sign_in::take_for_exchange(secrets));
        let (endpoints, nonce, redirect_uri, scopes) =
            (secrets.endpoints.clone(), secrets.nonce.clone(), secrets.redirect_uri.clone(), secrets.scopes.clone());
        let userinfo = secrets.userinfo.clone();
        let (dpop, since) = (secrets.dpop.clone(), secrets.authenticated_since);
        let provider = self
            .house
            .attempts
            .iter()
            .find(|attempt| attempt.id == id)
            .map_or_else(String::new, |attempt| attempt.provider.0.clone());
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let clock = hands.clock.as_ref();
            let machine = endpoints.grant_type == GrantType::ClientCredentials;
            // A nonce is bound to an authorization request, of which a device authorization has none.
            let nonce = granted.is_none().then_some(nonce);
            let ended = match (granted, taken) {
                (Some(granted), _) => granted,
                _ if machine => hands.client_credentials(&endpoints, &provider, &scopes, dpop.as_ref()).await,
                (None, Some((code, verifier))) => {
                    hands.exchange(&endpoints, &provider, code, verifier, &redirect_uri, dpop.as_ref()).await
                }
                (None, None) => return,
            };
            let server_clock = ended.server_clock;
            let result = match (ended.outcome, ended.tokens) {
                // RFC 9449 section 5: who wants bound tokens must not take others; nor can bound ones be used without a key.
                (Outcome::Tokens(_), Some(tokens))
                    if let Some(problem) = badly_bound(&provider, &tokens, dpop.is_some()) =>
                {
                    give_back(&hands, &endpoints, tokens);
                    Err(problem)
                }
                (Outcome::Tokens(mut grant), Some(mut tokens)) => {
                    let (http, jwks, endpoints) = (&hands.http(), &hands.jwks, &endpoints);
                    let (provider, userinfo) = (&provider, &userinfo);
                    let finder = identity::Finder { http, clock, jwks, endpoints, provider, userinfo, server_clock };
                    let openid =
                        grant.scopes.as_ref().unwrap_or(&scopes).iter().any(|scope| scope.as_str() == "openid");
                    let nonce = nonce.as_ref().map(|nonce| nonce.expose_secret());
                    let known = if machine {
                        Some(identity::Who::client(&endpoints.client_id))
                    } else {
                        adopt::nameless(endpoints, &tokens)
                    };
                    let found = match known {
                        Some(who) => Ok(who),
                        None => finder.find(&tokens, nonce, since, openid).await,
                    };
                    match found {
                        Ok(who) => {
                            if !who.openid {
                                // Without an issuer's keys it was not checked.
                                tokens.id_token = None;
                            }
                            // RFC 6749 section 5.1: where the answer names no scope, it is what was asked for.
                            grant.scopes.get_or_insert(scopes);
                            Ok((who, tokens, grant))
                        }
                        Err(problem) => {
                            // Nothing will be stored of them, and nobody waits for it.
                            give_back(&hands, endpoints, tokens);
                            Err(problem)
                        }
                    }
                }
                (Outcome::Transient { problem, .. } | Outcome::NeedsFix(problem), _) => Err(problem),
                // The code was not accepted: too late, used, or for another client.
                (Outcome::NeedsSignIn(_) | Outcome::Tokens(_), _) if machine => {
                    Err(Problem::ClientRefused { provider, error: "invalid_grant".to_owned(), detail: String::new() })
                }
                (Outcome::NeedsSignIn(_) | Outcome::Tokens(_), _) => Err(Problem::CodeRefused { provider }),
            };
            let _ = outbox.send(Message::Exchanged { attempt: id, result }).await;
        });
    }

    pub(super) async fn exchanged(&mut self, attempt: AttemptId, result: Result<SignedIn, Problem>) {
        let result = match result {
            Ok((who, tokens, grant)) => {
                let person = Box::new(attempt::Person {
                    subject: who.subject.clone(),
                    name: who.name.clone(),
                    email: who.email.clone(),
                    grant,
                });
                match self.secrets.entry(attempt.clone()) {
                    Entry::Occupied(mut secrets) => {
                        secrets.get_mut().result = Some((who, tokens));
                        Ok(person)
                    }
                    // Core lets go of them only after this.
                    Entry::Vacant(_) => Err(Problem::Internal { detail: "the sign-in's secrets are gone".to_owned() }),
                }
            }
            Err(problem) => Err(problem),
        };
        let fresh = AccountId(uuid::Uuid::new_v4().to_string());
        self.happen(HouseEvent::Exchanged { attempt, result, fresh }).await;
    }

    /// Key first, then the row, then it is published: a crash between leaves a key without a row, which opens nothing.
    pub(super) fn store(&mut self, id: AttemptId, account: AccountId, label: String, keep_key: bool) {
        let Some(attempt) = self.house.attempts.iter().find(|attempt| attempt.id == id) else { return };
        let Phase::Storing { person, .. } = &attempt.phase else { return };
        let Some(secrets) = self.secrets.get(&id) else { return };
        let Some((who, tokens)) = secrets.result.clone() else { return };
        let sign_in = grants::SignIn {
            account: account.clone(),
            label,
            provider: attempt.provider.clone(),
            openid: who.openid,
            subject: who.subject,
            name: who.name,
            email: who.email,
            grant: person.grant.clone(),
            tokens,
            endpoints: secrets.endpoints.clone(),
            end_session_endpoint: secrets.end_session_endpoint.clone(),
        };
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let mut moved = None;
            let result = async {
                crate::failpoint::pass("store-key", "before");
                let kept = if keep_key { hands.key(&account).await? } else { None };
                if let Some(kept) = &kept
                    && let Ok(there) = hands.keychain.key(&account).await
                    && there.is_none_or(|there| there.bytes() != kept.bytes())
                {
                    // Somebody deleted or replaced the item while the agent knew the key: the row would open until it ends.
                    hands.keychain.store(&account, kept).await?;
                }
                let made = kept.is_none();
                let key = match kept {
                    Some(key) => key,
                    None => {
                        let key = crate::seal::DataKey::random()
                            .map_err(|_| Problem::Internal { detail: "the system has no random numbers".to_owned() })?;
                        hands.keychain.store(&account, &key).await?;
                        hands.remember_key(&account, &key);
                        key
                    }
                };
                crate::failpoint::pass("store-key", "after");
                let before = grants::token_endpoint(&hands.database, account.clone()).await?;
                moved = before.and_then(|before| other_host(&before, &sign_in.endpoints.token_endpoint));
                let saved = grants::save_sign_in(&hands.database, sign_in, key).await;
                if saved.is_err() && made {
                    hands.drop_key(&account).await;
                }
                let generation = saved?;
                crate::failpoint::pass("store-row", "after");
                Ok::<_, Problem>((account, generation))
            }
            .await;
            let _ = outbox.send(Message::Stored { attempt: id, result, moved }).await;
        });
    }

    /// An issuer may move its endpoints, and its person was there; but nobody should have to notice by themselves.
    pub(super) async fn endpoint_moved(&self, account: AccountId, from: String, to: String) {
        let Ok(known) = self.house.find(account.as_str()) else { return };
        let problem = Problem::EndpointMoved { account: known.identity.label.clone(), from, to };
        let now = self.hands.clock.now();
        self.record(self.event(EventKind::EndpointMoved, Some(account), None, Some(problem), now)).await;
    }

    pub(super) fn revoke_attempt(&mut self, id: &AttemptId) {
        let Some(secrets) = self.secrets.get_mut(id) else { return };
        let Some((_, tokens)) = secrets.result.take() else { return };
        give_back(&self.hands, &secrets.endpoints, tokens);
    }
}

/// Tells the provider about tokens that nothing will be stored of, without keeping anybody waiting.
fn give_back(hands: &Arc<Hands>, endpoints: &grants::Endpoints, tokens: grants::Tokens) {
    let (hands, endpoints) = (Arc::clone(hands), endpoints.clone());
    tokio::spawn(async move { hands.give_back(&endpoints, &tokens).await });
}

/// What is wrong with how tokens are bound to a key.
fn badly_bound(provider: &str, tokens: &grants::Tokens, wanted: bool) -> Option<Problem> {
    let detail = match (tokens.bound_to().is_some(), tokens.token_type == TOKEN_TYPE) {
        (false, false) if wanted => {
            "the provider's token is not bound to the key; leave this out if that is good enough"
        }
        (false, true) => "the provider's token is bound to a key and it was shown none; set this to true",
        _ => return None,
    };
    Some(Problem::BadProvider {
        provider: provider.to_owned(),
        field: "dpop_bound_access_tokens".to_owned(),
        detail: detail.to_owned(),
    })
}

/// The hosts of two addresses, where they differ.
fn other_host(before: &str, now: &str) -> Option<(String, String)> {
    let host = |text: &str| Url::parse(text).ok().map(|url| crate::http::host(&url));
    let hosts = (host(before)?, host(now)?);
    (hosts.0 != hosts.1).then_some(hosts)
}
