//! The loop's part in a sign-in until its code is there: begin, redirect, cancel, and who waits for its end.

use super::gone;
use super::{
    Agent, Answer, Arc, Attempt, AttemptId, EventKind, Hands, HouseEvent, Message, Phase, Problem, ProviderName, Reply,
    Secrets, attempt, callback_verdict, show, sign_in,
};
use crate::discovery::Server;
use crate::dpop::DpopKey;
use crate::loopback::Loopback;
use crate::providers::{AuthMethod, Provider};
use crate::token_endpoint::Client;
use crate::{access, device, pushed};
use larder_core::account::GrantType;
use larder_core::arranging::may_be_called;
use larder_core::names::{AccountId, Scope};
use larder_core::protocol::{Authentication, OnWire, Push};
use larder_core::view::RedirectKind;
use tokio::sync::mpsc;
use url::Url;

/// What a sign-in asks for beyond what is written down.
pub(super) struct More {
    /// More scopes.
    pub(super) scopes: Vec<Scope>,
    /// How its person is to authenticate.
    pub(super) authentication: Authentication,
}

impl Agent {
    /// Discovers what the provider offers, off the loop, and comes back with [`Message::Begun`].
    pub(super) fn begin_sign_in(
        &mut self,
        provider: ProviderName,
        label: Option<String>,
        account: Option<AccountId>,
        redirect: Option<RedirectKind>,
        more: More,
        reply: Reply,
    ) {
        let More { scopes, authentication } = more;
        let prepared = (|| {
            access::check(&scopes, &authentication)?;
            let mut definition = self.configuration.provider(&provider)?;
            let mut redirect = redirect;
            let account = account
                .map(|id| {
                    let known = self.house.find(id.as_str())?;
                    // Signed in again as it was signed in: what has no person opens no browser.
                    if known.identity.grant_type == GrantType::ClientCredentials {
                        redirect.get_or_insert(RedirectKind::ClientCredentials);
                    }
                    let issuer = &known.identity.issuer;
                    // Its person is somebody else elsewhere, whatever `sub` says there. Signed out, it may move.
                    if *issuer != definition.authority() && !gone(known) {
                        let (account, issuer) = (known.identity.label.clone(), issuer.clone());
                        return Err(Problem::OtherIssuer { account, issuer });
                    }
                    access::ask_for(&mut definition, &known.identity.scopes, &scopes, &authentication);
                    Ok((known.id.clone(), known.identity.email.clone()))
                })
                .transpose()?;
            if account.is_none() {
                access::ask_for(&mut definition, &[], &scopes, &authentication);
            }
            if let Some(label) = &label {
                may_be_called(&self.house, None, label)?;
            }
            if definition.lacks_server() {
                return Err(Problem::BadProvider {
                    provider: provider.0.clone(),
                    field: "server".to_owned(),
                    detail: "say whose it is, as in `larder providers add NAME --catalogue ENTRY --server https://…`"
                        .to_owned(),
                });
            }
            if definition.client_id.is_empty() {
                return Err(Problem::BadProvider {
                    provider: provider.0.clone(),
                    field: "client_id".to_owned(),
                    detail: format!(
                        "register a client at {} first",
                        definition.help.as_ref().map_or("the provider", |help| help.register.as_str())
                    ),
                });
            }
            if self.configuration.lacks_secret(&definition) {
                return Err(Problem::SecretNeeded { provider: provider.0.clone() });
            }
            let choose = authentication.prompt.is_none()
                && self
                    .house
                    .accounts
                    .iter()
                    .filter(|known| known.identity.grant_type == GrantType::AuthorizationCode)
                    .any(|known| known.identity.provider == provider && !gone(known));
            let dpop = definition.dpop_bound.then(DpopKey::generate).transpose()?;
            Ok((definition, redirect, sign_in::Purpose { account, label, choose, dpop }))
        })();
        let (definition, redirect, purpose) = match prepared {
            Ok(prepared) => prepared,
            Err(problem) => {
                let _ = reply.send(Err(problem));
                return;
            }
        };
        let (hands, outbox) = (Arc::clone(&self.hands), self.outbox.clone());
        tokio::spawn(async move {
            let result = async {
                let redirect = sign_in::choose_redirect(provider.as_str(), &definition, redirect)?;
                if redirect.kind == RedirectKind::ClientCredentials && definition.auth_method == AuthMethod::None {
                    return Err(sign_in::needs_confidential_client(provider.as_str()));
                }
                let server = hands.discovery.discover(&hands.http(), &provider, &definition).await?;
                let no_request = matches!(redirect.kind, RedirectKind::Device | RedirectKind::ClientCredentials);
                access::can_be_asked(provider.as_str(), &definition, &server, no_request, &authentication)?;
                // Last, so that nothing listens for a sign-in that cannot begin.
                let loopback = match (redirect.kind, &redirect.uri) {
                    (RedirectKind::Loopback, Some(uri)) => Some(Loopback::open(uri, outbox.clone()).await?),
                    _ => None,
                };
                let clock = hands.clock.as_ref();
                let mut begun = sign_in::begin(clock, &provider, &definition, &server, &redirect, loopback, purpose);
                if redirect.kind == RedirectKind::Device {
                    by_device(&hands, &definition, &server, &mut begun, outbox.clone()).await?;
                } else if redirect.kind != RedirectKind::ClientCredentials
                    && let Some(endpoint) = &server.pushed_authorization_request_endpoint
                {
                    push(&hands, endpoint, server.pushed_required, &begun.0, &mut begun.1).await?;
                }
                Ok(begun)
            }
            .await
            .map(|(attempt, secrets)| (Box::new(attempt), Box::new(secrets)));
            let _ = outbox.send(Message::Begun { result, reply }).await;
        });
    }

    pub(super) async fn begun(&mut self, result: Result<(Box<Attempt>, Box<Secrets>), Problem>, reply: Reply) {
        match result {
            Ok((attempt, secrets)) => {
                // Failed ones that nobody has dismissed make room.
                let failed = |attempt: &Attempt| matches!(attempt.phase, Phase::Failed { .. });
                while self.house.attempts.len() >= attempt::MOST {
                    let Some(oldest) = self.house.attempts.iter().find(|attempt| failed(attempt)) else {
                        let _ = reply.send(Err(too_many()));
                        return;
                    };
                    let attempt = oldest.id.clone();
                    self.happen(HouseEvent::AttemptDismissed { attempt }).await;
                }
                let answer = Answer::SignIn {
                    attempt: attempt.id.clone(),
                    authorization_url: secrets.authorization_url.to_string(),
                    redirect: attempt.redirect,
                    until: attempt.until.wall,
                    device: attempt.device.clone(),
                };
                self.secrets.insert(attempt.id.clone(), *secrets);
                let (state, grant_type) = (attempt.state.clone(), attempt.grant_type());
                self.happen(HouseEvent::AttemptStarted(attempt)).await;
                let _ = reply.send(Ok(answer));
                if grant_type == GrantType::ClientCredentials {
                    // Nobody is waited for. From here on it goes as if a redirect had come.
                    let redirected = attempt::Redirected { state, answer: Ok(()) };
                    self.happen(HouseEvent::Redirected(redirected)).await;
                }
            }
            Err(problem) => {
                let now = self.hands.clock.now();
                let event = self.event(EventKind::SignInFailed, None, None, Some(problem.clone()), now);
                self.record(event).await;
                let _ = reply.send(Err(problem));
            }
        }
    }

    /// A redirect came back. Whoever brought it hears how the sign-in ends.
    pub(super) async fn callback(&mut self, url: &OnWire, activation_token: Option<String>, reply: Reply) {
        // The person comes from the browser: the window comes to the front, whatever the redirect says.
        let _ = self.pushes.send(Push::ShowWindow { activation_token });
        let waiting: Vec<&str> = self.secrets.values().map(|secrets| secrets.redirect_uri.as_str()).collect();
        let callback = match sign_in::parse_callback(url.expose(), &waiting) {
            Ok(callback) => callback,
            Err(problem) => {
                self.happen(HouseEvent::CallbackRefused(problem.clone())).await;
                let _ = reply.send(Err(problem));
                return;
            }
        };
        let mut redirected = callback.redirected;
        match callback_verdict(&self.house, &redirected.state, self.hands.clock.now()) {
            Ok(attempt) => {
                if let Some(secrets) = self.secrets.get_mut(&attempt) {
                    if secrets.redirect_uri != callback.redirect_uri {
                        // The sign-in is bound to its redirect; it goes on waiting there.
                        let detail = "the sign-in waits at another address".to_owned();
                        let _ = reply.send(Err(Problem::BadCallback { detail }));
                        return;
                    }
                    if let Err(error) = sign_in::check_iss(secrets, callback.iss.as_deref()) {
                        redirected.answer = Err(error);
                    } else {
                        secrets.code = callback.code;
                    }
                }
                self.awaiting.entry(attempt).or_default().push(reply);
            }
            Err(problem) => {
                let _ = reply.send(Err(problem));
            }
        }
        self.happen(HouseEvent::Redirected(redirected)).await;
    }

    /// A device authorization has ended. From here on it goes as if a redirect had come.
    pub(super) async fn device_answered(&mut self, id: AttemptId, answer: device::Answer) {
        let state = self.house.attempts.iter().find(|attempt| attempt.id == id).map(|attempt| attempt.state.clone());
        let (Some(secrets), Some(state)) = (self.secrets.get_mut(&id), state) else { return };
        secrets.polling = None;
        let answer = answer.map(|ended| secrets.granted = Some(ended));
        self.happen(HouseEvent::Redirected(attempt::Redirected { state, answer })).await;
    }

    /// Answers whoever waits for a sign-in that has ended.
    pub(super) fn answer_awaiting(&mut self) {
        let ended: Vec<AttemptId> = self
            .awaiting
            .keys()
            .filter(|id| {
                !self
                    .house
                    .attempts
                    .iter()
                    .any(|attempt| attempt.id == **id && !matches!(attempt.phase, Phase::Failed { .. }))
            })
            .cloned()
            .collect();
        for id in ended {
            let Some(replies) = self.awaiting.remove(&id) else { continue };
            for reply in replies {
                let _ = reply.send(self.how_it_ended(&id));
            }
        }
    }

    /// How a sign-in ended that is not under way any more.
    pub(super) fn how_it_ended(&self, id: &AttemptId) -> Result<Answer, Problem> {
        if let Some(attempt) = self.house.attempts.iter().find(|attempt| attempt.id == *id) {
            return match &attempt.phase {
                Phase::Failed { problem } => Err(problem.clone()),
                _ => Err(Problem::NoSuchAttempt { attempt: id.clone() }),
            };
        }
        match self.finished.get(id).and_then(|account| self.house.accounts.iter().find(|known| known.id == *account)) {
            Some(account) => Ok(Answer::Account(Box::new(show::account(account, self.hands.clock.now())))),
            None => Err(Problem::AttemptCancelled),
        }
    }
}

type Started = (Attempt, Secrets);

/// Begins a device authorization: the person gets a code and an address, and the provider is asked until it has ended.
async fn by_device(
    hands: &Hands,
    definition: &Provider,
    server: &Server,
    (attempt, secrets): &mut Started,
    outbox: mpsc::Sender<Message>,
) -> Result<(), Problem> {
    let provider = attempt.provider.0.clone();
    let endpoint = server.device_authorization_endpoint.as_ref().ok_or_else(|| Problem::BadProvider {
        provider: provider.clone(),
        field: "device_authorization_endpoint".to_owned(),
        detail: "the provider offers no sign-in by device code; sign in without --device".to_owned(),
    })?;
    let secret = hands.client_secret(&secrets.endpoints).await?;
    let asks = Client { endpoints: &secrets.endpoints, secret: secret.as_ref(), provider: &provider, dpop: None };
    let begun = device::begin(&hands.http(), hands.clock.as_ref(), asks, endpoint, definition).await?;
    secrets.authorization_url = Url::parse(begun.code.link()).unwrap_or_else(|_| endpoint.clone());
    attempt.device = Some(begun.code.clone());
    attempt.until = hands.clock.now().plus(begun.lifetime);
    let of = device::For {
        attempt: attempt.id.clone(),
        provider,
        endpoints: secrets.endpoints.clone(),
        secret,
        dpop: secrets.dpop.clone(),
    };
    secrets.polling = Some(device::Polling::start(hands.http(), Arc::clone(&hands.clock), begun, of, outbox));
    Ok(())
}

/// Pushes the authorization request to the provider, which then need not trust what the browser brings (RFC 9126).
async fn push(
    hands: &Hands,
    endpoint: &Url,
    required: bool,
    attempt: &Attempt,
    secrets: &mut Secrets,
) -> Result<(), Problem> {
    let secret = hands.client_secret(&secrets.endpoints).await?;
    let provider = attempt.provider.as_str();
    let asks = Client { endpoints: &secrets.endpoints, secret: secret.as_ref(), provider, dpop: None };
    match pushed::push(&hands.http(), hands.clock.as_ref(), asks, endpoint, &secrets.authorization_url).await {
        Ok(Some(url)) => secrets.authorization_url = url,
        // What is offered and does not work is not needed either, unless the provider says that it is.
        Ok(None) if !required => {}
        Ok(None) => return Err(Problem::ProviderTrouble { host: crate::http::host(endpoint), status: 0 }),
        Err(problem) => return Err(problem),
    }
    Ok(())
}

fn too_many() -> Problem {
    Problem::BadRequest { detail: format!("{} sign-ins wait already; finish or cancel one", attempt::MOST) }
}
