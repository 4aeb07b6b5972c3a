//! The token endpoint (RFC 6749 section 3.2) and revocation (RFC 7009), through `oauth2`.

use crate::client_auth::{PRIVATE_KEY_JWT, authenticate};
use crate::clock::Clock;
use crate::dpop::{DpopKey, TOKEN_TYPE};
use crate::grants::{Endpoints, Tokens};
use crate::http::{Call, Http, NoAnswer, Seen, host};
use larder_core::effect::{Grant, Outcome};
use larder_core::names::{Part, Scope};
use larder_core::problem::{Problem, Why};
use larder_core::time::{Now, WallTime};
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, EndpointNotSet, EndpointSet, ExtraTokenFields,
    PkceCodeVerifier, RedirectUrl, RefreshToken, RequestTokenError, StandardRevocableToken, StandardTokenResponse,
    TokenResponse, TokenUrl,
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use url::Url;

/// What a token response may hold beside RFC 6749's own (OpenID Connect Core 3.1.3.3).
#[derive(Clone, Serialize, Deserialize)]
pub struct OpenIdFields {
    id_token: Option<String>,
    /// In no standard; `token_response.rs` brings it under this name.
    refresh_token_expires_in: Option<u64>,
}

impl std::fmt::Debug for OpenIdFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpenIdFields([redacted])")
    }
}

impl ExtraTokenFields for OpenIdFields {}

/// A token response.
pub type Answered = StandardTokenResponse<OpenIdFields, BasicTokenType>;
type Failed = RequestTokenError<NoAnswer, BasicErrorResponse>;
/// A client that knows its token endpoint.
pub type Configured = oauth2::Client<
    BasicErrorResponse,
    Answered,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// Who asks, and where.
#[derive(Clone, Copy)]
pub struct Client<'a> {
    /// Where, and as which client.
    pub endpoints: &'a Endpoints,
    /// The client's secret, where it has one; its private key, where it proves itself with that.
    pub secret: Option<&'a SecretString>,
    /// The provider's name, for people.
    pub provider: &'a str,
    /// The key that its tokens are to be bound to, or are (RFC 9449).
    pub dpop: Option<&'a DpopKey>,
}

/// How a token request ended. The tokens stay with the agent; the outcome goes to where it is decided what follows.
pub struct Ended {
    /// What is decided about.
    pub outcome: Outcome,
    /// New tokens, where the outcome says so.
    pub tokens: Option<Tokens>,
    /// What the server's clock said, where it did (`Date`, RFC 9110 section 6.6.1).
    pub server_clock: Option<WallTime>,
}

/// Exchanges an authorization code (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub async fn exchange(
    http: &Http,
    clock: &dyn Clock,
    asks: Client<'_>,
    code: AuthorizationCode,
    verifier: PkceCodeVerifier,
    redirect_uri: &str,
) -> Ended {
    let sent = clock.now();
    let (Some(client), Ok(redirect)) = (configured(asks), RedirectUrl::new(redirect_uri.to_owned())) else {
        return to_fix(broken_endpoint(asks.endpoints));
    };
    let call = match Call::new(http, clock, asks) {
        Ok(call) => call,
        Err(problem) => return to_fix(problem),
    };
    let mut request = client.exchange_code(code).set_pkce_verifier(verifier).set_redirect_uri(Cow::Owned(redirect));
    if let Some(resource) = &asks.endpoints.resource {
        // RFC 8707 section 2.2.
        request = request.add_extra_param("resource", resource.as_str());
    }
    let answer = request.request_async(&call).await;
    ended(answer, asks, None, sent, call.seen()).bound_to(call.key())
}

/// Refreshes (RFC 6749 section 6), for a part of the grant where one is meant. A response without a refresh token keeps the one
/// that was sent.
pub async fn refresh(
    http: &Http,
    clock: &dyn Clock,
    asks: Client<'_>,
    refresh_token: &SecretString,
    part: &Part,
) -> Ended {
    let sent = clock.now();
    let Some(client) = configured(asks) else { return to_fix(broken_endpoint(asks.endpoints)) };
    let call = match Call::new(http, clock, asks) {
        Ok(call) => call,
        Err(problem) => return to_fix(problem),
    };
    // Sending is the second of the three places that tokens are exposed for.
    let token = RefreshToken::new(refresh_token.expose_secret().to_owned());
    let scopes = part.scopes().map(|scope| oauth2::Scope::new(scope.0));
    let mut request = client.exchange_refresh_token(&token).add_scopes(scopes);
    if let Some(resource) = resource(asks, part) {
        request = request.add_extra_param("resource", resource);
    }
    let answer = request.request_async(&call).await;
    ended(answer, asks, Some(refresh_token), sent, call.seen()).bound_to(call.key())
}

/// Asks for a token in the client's own name (RFC 6749 section 4.4), the first one or the next: it is the same request,
/// and nothing is spent by it.
pub async fn client_credentials(
    http: &Http,
    clock: &dyn Clock,
    asks: Client<'_>,
    scopes: &[Scope],
    part: &Part,
) -> Ended {
    let sent = clock.now();
    let Some(client) = configured(asks) else { return to_fix(broken_endpoint(asks.endpoints)) };
    let call = match Call::new(http, clock, asks) {
        Ok(call) => call,
        Err(problem) => return to_fix(problem),
    };
    let narrower: Vec<_> = part.scopes().collect();
    let scopes = if narrower.is_empty() { scopes } else { &narrower };
    let scopes = scopes.iter().map(|scope| oauth2::Scope::new(scope.0.clone()));
    let mut request = client.exchange_client_credentials().add_scopes(scopes);
    if let Some(resource) = resource(asks, part) {
        request = request.add_extra_param("resource", resource);
    }
    let answer = request.request_async(&call).await;
    let mut ended = ended(answer, asks, None, sent, call.seen()).bound_to(call.key());
    if let Outcome::Tokens(grant) = &mut ended.outcome {
        (grant.refreshable, grant.new_refresh_token, grant.refresh_token_lifetime) = (true, false, None);
    }
    if let Some(tokens) = &mut ended.tokens {
        // Section 4.4.3: there should be none, and it could do nothing that the client cannot; there is nobody to identify.
        (tokens.refresh_token, tokens.id_token) = (None, None);
    }
    ended
}

/// Whom the token is for (RFC 8707 section 2.2).
fn resource<'a>(asks: Client<'a>, part: &'a Part) -> Option<&'a str> {
    if part.resource.is_empty() { asks.endpoints.resource.as_deref() } else { Some(&part.resource) }
}

impl Ended {
    /// Without tokens.
    pub fn of(outcome: Outcome) -> Self {
        Self { outcome, tokens: None, server_clock: None }
    }

    /// The tokens with the key that was proved for them: a public client's refresh token is bound to it even where the
    /// access token is not (RFC 9449 section 5).
    pub fn bound_to(mut self, key: Option<DpopKey>) -> Self {
        if let Some(tokens) = &mut self.tokens {
            tokens.dpop_key = key;
        }
        self
    }
}

/// Revokes a token (RFC 7009). Posted by hand: `oauth2` refuses `http`, which loopback servers speak.
///
/// # Errors
/// The problem, where the provider could not be told.
pub async fn revoke(
    http: &Http,
    clock: &dyn Clock,
    endpoints: &Endpoints,
    secret: Option<&SecretString>,
    token: &SecretString,
    hint: &str,
) -> Result<(), Problem> {
    let Some(endpoint) = &endpoints.revocation_endpoint else { return Ok(()) };
    let url =
        Url::parse(endpoint).map_err(|_| Problem::Internal { detail: "a stored endpoint is no URL".to_owned() })?;
    let fields = [("token", token.expose_secret()), ("token_type_hint", hint)];
    let proof = authenticate(endpoints, secret, &endpoints.issuer, clock.now().wall)?;
    let response = http.post_form(&url, proof.form(&fields), proof.credentials()).await?;
    match response.status {
        200..300 => Ok(()),
        status => Err(Problem::ProviderTrouble { host: host(&url), status }),
    }
}

/// The client as `oauth2` has it, which [`Call`] adds an assertion to; `None` where the token endpoint is no URL.
pub fn configured(asks: Client<'_>) -> Option<Configured> {
    let token_url = TokenUrl::new(asks.endpoints.token_endpoint.clone()).ok()?;
    let client = oauth2::Client::new(ClientId::new(asks.endpoints.client_id.clone())).set_token_uri(token_url);
    let client = match asks.secret.filter(|_| asks.endpoints.token_endpoint_auth_method != PRIVATE_KEY_JWT) {
        // It is the person's own client, and the provider demands it (RFC 8252 section 8.5).
        Some(secret) => client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned())),
        None => client,
    };
    let basic = asks.endpoints.token_endpoint_auth_method == "client_secret_basic";
    // A public client names itself in the body (RFC 6749 section 3.2.1).
    Some(client.set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody }))
}

fn broken_endpoint(endpoints: &Endpoints) -> Problem {
    Problem::BadProvider {
        provider: endpoints.issuer.clone(),
        field: "token_endpoint".to_owned(),
        detail: "it is not a URL".to_owned(),
    }
}

/// Nothing was sent.
fn to_fix(problem: Problem) -> Ended {
    Ended::of(Outcome::NeedsFix(problem))
}

fn ended(
    answer: Result<Answered, Failed>,
    asks: Client<'_>,
    sent_token: Option<&SecretString>,
    sent: Now,
    seen: &Seen,
) -> Ended {
    let Client { endpoints, provider, .. } = asks;
    match answer {
        // A provider that answers a token which no request can carry has answered nothing.
        Ok(answer) if !is_usable(&answer) => Ended::of(not_oauth(endpoints, seen, sent, true)),
        Ok(answer) => Ended { server_clock: seen.server_clock(), ..granted(&answer, sent_token, sent) },
        Err(error) => Ended::of(classify(error, endpoints, provider, seen, sent)),
    }
}

/// Whether there is an access token, of the characters that one has (RFC 6749 appendix A.12). Any other would end the line
/// that a program writes it in, and begin one of the provider's.
#[expect(clippy::disallowed_methods, reason = "only what it is made of")]
pub fn is_usable(answer: &Answered) -> bool {
    let token = answer.access_token().secret();
    !token.is_empty() && token.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A type that is no scheme of the `Authorization` header (RFC 9110 section 11.1) is of no use to anybody; what is meant is
/// the one that nearly all are.
fn token_type(named: &str) -> String {
    /// The longest that is registered has 6 letters.
    const MOST: usize = 32;
    let is_scheme = named.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+".contains(&byte));
    if is_scheme && (1..=MOST).contains(&named.len()) { named.to_owned() } else { "Bearer".to_owned() }
}

/// What was granted, without what is no scope (RFC 6749 section 3.3): nobody can ask for it, and it would be kept and shown.
fn granted_scopes(answer: &Answered) -> Option<Vec<Scope>> {
    /// More than any provider has; they are kept with the account and in the record.
    const MOST: usize = 512;
    /// As many bytes as one that is asked for may have.
    const MOST_SCOPE: usize = 256;
    let is_scope = |scope: &str| {
        (1..=MOST_SCOPE).contains(&scope.len())
            && scope.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~'))
    };
    let scopes = answer.scopes()?.iter().map(|scope| Scope(scope.to_string()));
    Some(scopes.filter(|scope| is_scope(scope.as_str())).take(MOST).collect())
}

/// A token response's tokens, and what is decided about them.
#[expect(clippy::disallowed_methods, reason = "this is where tokens pass from oauth2's types into ours")]
pub fn granted(answer: &Answered, sent_token: Option<&SecretString>, sent: Now) -> Ended {
    let new = answer.refresh_token().map(|token| token.secret()).filter(|token| !token.is_empty());
    let refresh_token = new.map(|token| SecretString::from(token.as_str())).or_else(|| sent_token.cloned());
    let grant = Grant {
        sent,
        // Zero says nothing about the lifetime, and would have us refresh without end.
        lifetime: answer.expires_in().filter(|lifetime| *lifetime >= Duration::from_secs(1)),
        scopes: granted_scopes(answer),
        refreshable: refresh_token.is_some(),
        new_refresh_token: new.is_some(),
        refresh_token_lifetime: answer.extra_fields().refresh_token_expires_in.map(Duration::from_secs),
    };
    let tokens = Tokens {
        access_token: SecretString::from(answer.access_token().secret().as_str()),
        refresh_token,
        id_token: answer.extra_fields().id_token.as_deref().filter(|text| !text.is_empty()).map(SecretString::from),
        token_type: match answer.token_type() {
            // RFC 6749 section 5.1: the type is compared without regard to case; resource servers expect this one.
            BasicTokenType::Bearer => "Bearer".to_owned(),
            BasicTokenType::Mac => "MAC".to_owned(),
            BasicTokenType::Extension(other) if other.eq_ignore_ascii_case(TOKEN_TYPE) => TOKEN_TYPE.to_owned(),
            BasicTokenType::Extension(other) => token_type(other),
        },
        dpop_key: None,
    };
    Ended { outcome: Outcome::Tokens(grant), tokens: Some(tokens), server_clock: None }
}

/// The three kinds of error. Only a parsed OAuth error says anything about the session.
fn classify(error: Failed, endpoints: &Endpoints, provider: &str, seen: &Seen, sent: Now) -> Outcome {
    let (status, retry_after) = seen.last();
    let RequestTokenError::ServerResponse(response) = error else {
        if let RequestTokenError::Request(no_answer) = error {
            let spent = no_answer.sent;
            return Outcome::Transient { problem: no_answer.into(), retry_after: None, spent };
        }
        // Parse errors carry the raw body: it is dropped here, unread. After a success the token may be spent; a page is by
        // somebody who stands before the provider (a portal, a firewall), and has passed nothing on.
        return not_oauth(endpoints, seen, sent, (200..300).contains(&status) && !seen.is_page());
    };
    // 408, 429 and 5xx are about the server, whatever their body says.
    if status == 429 || status == 408 || status >= 500 {
        return not_oauth(endpoints, seen, sent, false);
    }
    let detail = response.error_description().cloned().unwrap_or_default();
    let detail = plain(&detail);
    let refused = |error: &str| {
        Outcome::NeedsFix(Problem::ClientRefused {
            provider: provider.to_owned(),
            error: plain(error),
            detail: detail.clone(),
        })
    };
    match response.error() {
        BasicErrorResponseType::InvalidGrant => Outcome::NeedsSignIn(Why::Refused),
        BasicErrorResponseType::InvalidScope => {
            Outcome::NeedsFix(Problem::ScopeRefused { provider: provider.to_owned(), detail })
        }
        BasicErrorResponseType::Extension(other) => match other.as_str() {
            // OpenID Connect Core 3.1.2.6, and what Microsoft and others answer at the token endpoint.
            "interaction_required" | "login_required" | "consent_required" | "account_selection_required" => {
                Outcome::NeedsSignIn(Why::Interaction)
            }
            // Words of GitHub's and Slack's for invalid_grant.
            "bad_refresh_token"
            | "bad_verification_code"
            | "invalid_code"
            | "invalid_refresh_token"
            | "token_revoked" => Outcome::NeedsSignIn(Why::Refused),
            // RFC 9449 sections 5 and 8: nothing was looked at but the proof; most often a clock is off.
            "invalid_dpop_proof" | "use_dpop_nonce" => {
                let detail = if detail.is_empty() { plain(other) } else { detail.clone() };
                let problem = Problem::ProofRefused { provider: provider.to_owned(), detail };
                Outcome::Transient { problem, retry_after, spent: false }
            }
            // The last ones are Slack's.
            "temporarily_unavailable"
            | "server_error"
            | "slow_down"
            | "ratelimited"
            | "internal_error"
            | "fatal_error"
            | "service_unavailable"
            | "request_timeout" => {
                Outcome::Transient { problem: trouble(endpoints, status, retry_after, sent), retry_after, spent: false }
            }
            // A gateway's own words, not an authorization server's (RFC 6749 section 5.2: 400, and 401 for clients; 200 at some).
            _ if !matches!(status, 200 | 400 | 401) => not_oauth(endpoints, seen, sent, false),
            other => refused(other),
        },
        other => refused(other.as_ref()),
    }
}

fn not_oauth(endpoints: &Endpoints, seen: &Seen, sent: Now, spent: bool) -> Outcome {
    let (status, retry_after) = seen.last();
    Outcome::Transient { problem: trouble(endpoints, status, retry_after, sent), retry_after, spent }
}

fn trouble(endpoints: &Endpoints, status: u16, retry_after: Option<Duration>, sent: Now) -> Problem {
    let host = Url::parse(&endpoints.token_endpoint).map(|url| host(&url)).unwrap_or_default();
    if status == 429 {
        return Problem::RateLimited { host, until: sent.plus(retry_after.unwrap_or_default()).wall };
    }
    Problem::ProviderTrouble { host, status }
}

/// What a provider wrote, as plain text of a bounded length: it is shown to people and printed on terminals.
pub fn plain(text: &str) -> String {
    /// RFC 6749 sets no limit; a sentence fits.
    const MOST: usize = 200;
    text.chars().filter(|c| !c.is_control()).take(MOST).collect::<String>().trim().trim_end_matches('.').to_owned()
}
