//! The loop's part in addresses: what one leads to, the provider that stands for it, and the client that goes with its
//! last account.

use super::{AccountId, Agent, Answer, Arc, EventKind, Message, Problem, Reply, adopt};
use crate::adopt::Looked;
use crate::providers::Provider;
use crate::{client_secret, registration};
use larder_core::names::ProviderName;

/// The client of an account that is being forgotten.
pub struct Forgetting {
    issuer: String,
    client: String,
    /// The provider is still to be told of the sign-out; it would not listen to a client that is gone.
    revoked_first: bool,
}

impl Agent {
    /// Looks at an address, off the loop, and comes back with [`Message::Looked`].
    pub(super) async fn look(&mut self, url: String, adopt: bool, reply: Reply) {
        self.look_at_configuration().await;
        let providers = match self.configuration.known() {
            Ok(providers) => providers,
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        let document = self.configuration.settings().client_id_metadata_document;
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        // Waited for when the agent ends: a client that was registered is to be kept.
        self.tasks.spawn(async move {
            let result = Box::new(adopt::look(&hands, &url, &providers, document.as_deref(), adopt).await);
            let _ = outbox.send(Message::Looked { result, adopt, reply }).await;
        });
    }

    pub(super) async fn looked(&mut self, result: Result<Looked, Problem>, adopt: bool, reply: Reply) {
        let answer = match result {
            Ok(looked) if adopt => self.adopted(looked).await,
            Ok(looked) => Ok(Answer::Found {
                host: adopt::shown(&looked.found),
                issuer: looked.found.metadata.issuer,
                resource: looked.found.resource,
                client: looked.client,
                provider: looked.provider,
                title: looked.found.title,
                scopes: looked.found.scopes,
            }),
            Err(problem) => Err(problem),
        };
        let _ = reply.send(answer);
    }

    /// Writes the provider down, where none stands for the address yet.
    async fn adopted(&mut self, looked: Looked) -> Result<Answer, Problem> {
        let now = self.hands.clock.now();
        if looked.registered {
            let event = self.event(EventKind::ClientRegistered, None, None, None, now);
            self.record(event).await;
        }
        let nobody = || Problem::Internal { detail: "an address without a client".to_owned() };
        let client = looked.client.ok_or_else(nobody)?;
        if let Some(provider) = looked.provider {
            return Ok(Answer::Adopted { provider, client });
        }
        let written = looked.written.ok_or_else(nobody)?;
        self.look_at_configuration().await;
        let known = self.configuration.known()?;
        let same = |provider: &Provider| {
            provider.issuer == written.issuer
                && Some(&provider.client_id) == written.client_id.as_ref()
                && provider.resource == written.resource
        };
        // Somebody else asked for the same address meanwhile.
        let there = known.iter().find(|(_, provider)| same(provider)).map(|(name, _)| name.clone());
        let provider: ProviderName = match there {
            Some(name) => name,
            None => {
                let name = adopt::name(&looked.found, |name| known.contains_key(name));
                let provider = Provider::resolve(name.as_str(), written)?;
                self.configuration.write(&name, &provider)?;
                if let Ok(secrets) = client_secret::kept(&self.hands.database).await {
                    let key = (provider.authority(), provider.client_id);
                    if secrets.contains(&key) {
                        self.configuration.secret(key.0, key.1, true);
                    }
                }
                let event = self.event(EventKind::ProviderChanged, None, None, None, now);
                self.record(event).await;
                self.look_at_configuration().await;
                name
            }
        };
        self.show(now);
        Ok(Answer::Adopted { provider, client })
    }

    /// An account is to be forgotten, and its provider may be told.
    pub(super) fn forgets(&mut self, account: &AccountId, revoked_first: bool) {
        let Ok(known) = self.house.find(account.as_str()) else { return };
        let (issuer, client) = (known.identity.issuer.clone(), known.identity.client_id.clone());
        self.forgetting.insert(account.clone(), Forgetting { issuer, client, revoked_first });
    }

    /// An account is gone, and its provider has been told, or is not to be. The client that Larder registered goes with
    /// the last one.
    pub(super) fn forget_client(&mut self, account: &AccountId, revoked: bool) {
        if self.house.accounts.iter().any(|known| known.id == *account) {
            return;
        }
        if self.forgetting.get(account).is_none_or(|forgetting| forgetting.revoked_first && !revoked) {
            return;
        }
        let Some(Forgetting { issuer, client, .. }) = self.forgetting.remove(account) else { return };
        let used = self.house.accounts.iter().map(|known| &known.identity);
        if used.into_iter().any(|identity| identity.issuer == issuer && identity.client_id == client) {
            return;
        }
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        self.tasks.spawn(async move {
            let key = (issuer, client);
            // A client of the person's own is theirs.
            if !client_secret::registrations(&hands.database).await.is_ok_and(|kept| kept.contains(&key)) {
                return;
            }
            let (issuer, client) = key;
            let result = registration::remove(&hands, &issuer, &client).await;
            let _ = outbox.send(Message::RegistrationEnded { issuer, client, result }).await;
        });
    }

    pub(super) async fn registration_ended(&mut self, issuer: String, client: String, result: Result<(), Problem>) {
        let result = result.and_then(|()| self.configuration.remove_client(&issuer, &client));
        let kind = if result.is_ok() { EventKind::RegistrationRemoved } else { EventKind::RegistrationLeft };
        let now = self.hands.clock.now();
        let event = self.event(kind, None, None, result.err(), now);
        self.record(event).await;
        self.look_at_configuration().await;
        self.show(now);
    }
}
