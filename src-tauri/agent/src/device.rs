//! The device authorization grant (RFC 8628): its person signs in on whatever device has a browser, and Larder asks the
//! provider how it went.

use crate::agent::Message;
use crate::clock::Clock;
use crate::dpop::DpopKey;
use crate::http::{Call, Http, NoAnswer, endpoint};
use crate::providers::Provider;
use crate::token_endpoint::{self, Answered, Client, Ended, plain};
use larder_core::attempt::AuthorizationError;
use larder_core::names::AttemptId;
use larder_core::problem::Problem;
use larder_core::time::Now;
use larder_core::view::DeviceCode;
use oauth2::{
    AsyncHttpClient, DeviceAuthorizationUrl, DeviceCodeErrorResponse, DeviceCodeErrorResponseType, RequestTokenError,
    Scope, StandardDeviceAuthorizationResponse,
};
use secrecy::SecretString;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};
use url::Url;

/// The longest that a device authorization waits, whatever the provider allows: nobody comes back to a code after that.
pub const LONGEST: Duration = Duration::from_secs(30 * 60);

/// While the provider cannot be reached it is asked ever more rarely, down to this (RFC 8628 section 3.5).
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

/// What a provider calls itself when it wants to be asked less often than every second is a mistake of its own.
const LEAST_INTERVAL: u64 = 1;

/// A device authorization that has begun.
pub struct Begun {
    /// What its person is shown.
    pub code: DeviceCode,
    /// How long it can be used.
    pub lifetime: Duration,
    details: StandardDeviceAuthorizationResponse,
}

/// How a device authorization ended: tokens, or why there are none.
pub type Answer = Result<Ended, AuthorizationError>;

/// Asks for a code (RFC 8628 section 3.1).
///
/// # Errors
/// [`Problem::BadProvider`], [`Problem::AuthorizationFailed`], [`Problem::Unreachable`].
pub async fn begin(
    http: &Http,
    clock: &dyn Clock,
    asks: Client<'_>,
    url: &Url,
    provider: &Provider,
) -> Result<Begun, Problem> {
    let name = asks.provider;
    let bad = |detail: &str| Problem::BadProvider {
        provider: name.to_owned(),
        field: "device_authorization_endpoint".to_owned(),
        detail: detail.to_owned(),
    };
    let device_url = DeviceAuthorizationUrl::new(url.to_string()).map_err(|_| bad("it is not a URL"))?;
    let client = token_endpoint::configured(asks).ok_or_else(|| bad("the token endpoint is not a URL"))?;
    let client = client.set_device_authorization_url(device_url);
    let call = Call::new(http, clock, asks)?;
    let scopes = provider.scope_parameter();
    let scopes = (!scopes.is_empty()).then(|| Scope::new(scopes));
    let mut request = client.exchange_device_code().add_scopes(scopes);
    for resource in asks.endpoints.resource.iter().chain(&asks.endpoints.other_resources) {
        request = request.add_extra_param("resource", resource.as_str());
    }
    let answer = request.request_async(&call).await;
    let details: StandardDeviceAuthorizationResponse = answer.map_err(|error| match error {
        RequestTokenError::Request(no_answer) => Problem::from(no_answer),
        RequestTokenError::ServerResponse(refused) => Problem::AuthorizationFailed {
            provider: name.to_owned(),
            error: plain(refused.error().as_ref()),
            detail: refused.error_description().map(|text| plain(text)).unwrap_or_default(),
        },
        _ => Problem::ProviderTrouble { host: crate::http::host(url), status: call.seen().last().0 },
    })?;
    // Shown and opened: no other scheme, and nothing that a terminal would act on.
    let verification_uri = endpoint(name, "verification_uri", details.verification_uri().as_str())?;
    let complete = details.verification_uri_complete().map(|uri| uri.secret().as_str());
    let complete = complete.and_then(|uri| endpoint(name, "verification_uri_complete", uri).ok());
    let code = DeviceCode {
        user_code: plain(details.user_code().secret()),
        verification_uri: verification_uri.to_string(),
        verification_uri_complete: complete.map(String::from),
    };
    if code.user_code.is_empty() || details.expires_in().is_zero() {
        return Err(bad("its answer holds no code that can be used"));
    }
    let lifetime = details.expires_in().min(LONGEST);
    Ok(Begun { code, lifetime, details })
}

/// Asks how it went, until it has ended. Asking ends when this is dropped, after the request under way: tokens that it
/// brings are given back rather than lost.
pub struct Polling {
    _open: oneshot::Sender<()>,
}

/// Whose device authorization it is, and who hears of its end.
pub struct For {
    /// The sign-in.
    pub attempt: AttemptId,
    /// The provider, for people.
    pub provider: String,
    /// Where the tokens come from.
    pub endpoints: crate::grants::Endpoints,
    /// The client's secret, where it has one.
    pub secret: Option<SecretString>,
    /// The key that the tokens are to be bound to (RFC 9449), where the provider's are.
    pub dpop: Option<DpopKey>,
}

impl Polling {
    /// Begins to ask.
    pub fn start(http: Http, clock: Arc<dyn Clock>, begun: Begun, of: For, outbox: mpsc::Sender<Message>) -> Self {
        let (open, closed) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let clock = clock.as_ref();
            let asks = Client {
                endpoints: &of.endpoints,
                secret: of.secret.as_ref(),
                provider: &of.provider,
                dpop: of.dpop.as_ref(),
            };
            let call = match Call::new(&http, clock, asks) {
                Ok(call) => call,
                // It was fine when the code was asked for.
                Err(problem) => {
                    let answer = Err(AuthorizationError {
                        // Our own words: the provider said nothing.
                        error: plain(&larder_core::words::sentence(&problem)),
                        description: String::new(),
                    });
                    let _ =
                        outbox.send(Message::DeviceAnswered { attempt: of.attempt, answer: Box::new(answer) }).await;
                    return;
                }
            };
            let calls = Calls { call, under_way: Mutex::new(clock.now()), clock };
            let given_up = async {
                let _ = closed.await;
                let _until_it_is_answered = calls.under_way.lock().await;
            };
            let answer = tokio::select! {
                // First, so that an answer that is there is not passed over.
                biased;
                answer = poll(&calls, asks, &begun) => answer,
                () = given_up => return,
            };
            let _ = outbox.send(Message::DeviceAnswered { attempt: of.attempt, answer: Box::new(answer) }).await;
        });
        Self { _open: open }
    }
}

async fn poll(calls: &Calls<'_>, asks: Client<'_>, begun: &Begun) -> Answer {
    let refused = |error: &str, description: &str| {
        Err(AuthorizationError { error: error.to_owned(), description: description.to_owned() })
    };
    let Some(client) = token_endpoint::configured(asks) else {
        return refused("invalid_request", "the token endpoint is not a URL");
    };
    let mut request = client.exchange_device_access_token(&begun.details);
    if let Some(resource) = &asks.endpoints.resource {
        request = request.add_extra_param("resource", resource.as_str());
    }
    let answer: Result<Answered, RequestTokenError<NoAnswer, DeviceCodeErrorResponse>> = request
        .set_max_backoff_interval(LONGEST_INTERVAL)
        // Never in a tight loop, whatever the provider writes.
        .request_async(
            calls,
            |interval| tokio::time::sleep(interval.max(Duration::from_secs(LEAST_INTERVAL))),
            Some(begun.lifetime),
        )
        .await;
    match answer {
        Ok(answer) if !token_endpoint::is_usable(&answer) => {
            refused("invalid_request", "the provider's answer holds no token that can be used")
        }
        Ok(answer) => {
            let ended = token_endpoint::granted(&answer, None, *calls.under_way.lock().await);
            Ok(ended.bound_to(calls.call.key()))
        }
        Err(RequestTokenError::ServerResponse(response)) => {
            let description = response.error_description().map(|text| plain(text)).unwrap_or_default();
            match response.error() {
                DeviceCodeErrorResponseType::ExpiredToken => {
                    refused("expired_token", "nobody entered the code in time; sign in again")
                }
                error => refused(&plain(error.as_ref()), &description),
            }
        }
        Err(_) => refused("temporarily_unavailable", "the provider's answers could not be read; try again later"),
    }
}

/// Requests of which one may be waited for, and for which a server in trouble is one that has not answered yet.
struct Calls<'a> {
    call: Call<'a>,
    clock: &'a dyn Clock,
    /// Held while a request is; it holds when that was sent, which a token's lifetime counts from.
    under_way: Mutex<Now>,
}

impl<'c> AsyncHttpClient<'c> for Calls<'_> {
    type Error = NoAnswer;
    type Future = Pin<Box<dyn Future<Output = Result<oauth2::HttpResponse, NoAnswer>> + Send + 'c>>;

    fn call(&'c self, request: oauth2::HttpRequest) -> Self::Future {
        Box::pin(async move {
            let mut under_way = self.under_way.lock().await;
            *under_way = self.clock.now();
            let host = request.uri().host().unwrap_or_default().to_owned();
            let response = self.call.call(request).await?;
            match response.status().as_u16() {
                408 | 429 | 500.. => Err(NoAnswer { host, sent: true }),
                _ => Ok(response),
            }
        })
    }
}
