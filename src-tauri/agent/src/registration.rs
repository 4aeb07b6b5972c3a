//! Dynamic client registration (RFC 7591) and its management (RFC 7592). What comes back is sealed at once.

use crate::client_secret::{self, Kind};
use crate::discovery::Metadata;
use crate::http::{Http, Response, endpoint, host};
use crate::perform::Hands;
use crate::token_endpoint::plain;
use larder_core::problem::Problem;
use larder_core::scheme::REDIRECT_URI;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

/// The loopback redirect that is registered; its port is chosen at each sign-in (RFC 8252 section 7.3).
pub const LOOPBACK_URI: &str = "http://127.0.0.1/callback";

/// RFC 8628 section 3.4.
const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A secret that ends within this time is renewed before it is used: longer than any request or time-out, and than
/// the clocks of two machines usually differ.
const MARGIN_MS: i64 = 60 * 60 * 1000;

/// What is asked for (RFC 7591 section 2), and, with the client's id, what is to stay (RFC 7592 section 2.2).
#[derive(Clone, Serialize)]
struct Asked<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret: Option<&'a str>,
    client_name: &'a str,
    application_type: &'a str,
    redirect_uris: Vec<&'a str>,
    grant_types: Vec<&'a str>,
    response_types: [&'a str; 1],
    token_endpoint_auth_method: &'a str,
}

/// What comes back (RFC 7591 section 3.2.1, RFC 7592 section 3). Never shown: it has no Debug.
#[derive(Deserialize)]
struct Information {
    client_id: String,
    client_secret: Option<Zeroizing<String>>,
    client_secret_expires_at: Option<u64>,
    registration_access_token: Option<Zeroizing<String>>,
    registration_client_uri: Option<String>,
    redirect_uris: Option<Vec<String>>,
    token_endpoint_auth_method: Option<String>,
}

/// RFC 7591 section 3.2.2.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    error_description: Option<String>,
}

/// What is kept of a registration, sealed. Never shown: it has no Debug.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    registration_access_token: Option<Zeroizing<String>>,
    registration_client_uri: Option<String>,
    /// As they were registered.
    pub redirect_uris: Vec<String>,
    /// As it was registered.
    pub token_endpoint_auth_method: String,
    device: bool,
}

/// A client, as its issuer registered it.
struct Registered {
    client_id: String,
    secret: Option<(SecretString, Option<i64>)>,
    registration: Registration,
}

/// Why there is no registration: an answer that says so, or none.
enum Failed {
    Refused { error: String, detail: String },
    Because(Problem),
}

impl Failed {
    fn problem(self, issuer: &str) -> Problem {
        match self {
            Self::Refused { error, detail } => {
                Problem::RegistrationRefused { issuer: issuer.to_owned(), error, detail }
            }
            Self::Because(problem) => problem,
        }
    }
}

/// Registers a client at this issuer and keeps what comes back. Returns its id.
///
/// # Errors
/// [`Problem::RegistrationRefused`], [`Problem::Unreachable`]; [`Problem::KeychainLocked`] and its kin, then nothing
/// was registered.
pub async fn register(hands: &Hands, metadata: &Metadata) -> Result<(String, Registration), Problem> {
    let issuer = &metadata.issuer;
    let http = hands.http();
    // First, so that nothing is registered that cannot be kept.
    client_secret::key(&hands.keychain).await?;
    let registered = ask(&http, metadata).await?;
    let kept = keep(hands, issuer, &registered.client_id, &registered.registration, registered.secret).await;
    if let Err(problem) = kept {
        // Nobody would ever find it again.
        if let Err(left) = delete(&http, issuer, &registered.registration).await {
            tracing::warn!("{}", larder_core::words::sentence(&left));
        }
        return Err(problem);
    }
    Ok((registered.client_id, registered.registration))
}

/// What is kept of a registration.
///
/// # Errors
/// [`Problem::KeychainLocked`] and its kin.
pub async fn kept(hands: &Hands, issuer: &str, client: &str) -> Result<Option<Registration>, Problem> {
    let sealed = client_secret::get(&hands.database, &hands.keychain, issuer, client, Kind::Registration).await?;
    Ok(sealed.and_then(|(text, _)| serde_json::from_str(text.expose_secret()).ok()))
}

async fn keep(
    hands: &Hands,
    issuer: &str,
    client: &str,
    registration: &Registration,
    secret: Option<(SecretString, Option<i64>)>,
) -> Result<(), Problem> {
    let internal = |_| Problem::Internal { detail: "a registration cannot be written".to_owned() };
    let text = Zeroizing::new(serde_json::to_string(registration).map_err(internal)?);
    let mut parts = vec![(Kind::Registration, SecretString::from(text.as_str()), None)];
    parts.extend(secret.map(|(secret, expires_at)| (Kind::Secret, secret, expires_at)));
    client_secret::put(&hands.database, &hands.keychain, issuer.to_owned(), client.to_owned(), parts).await
}

/// The secret of a client. One that Larder registered and that is about to end is renewed first.
///
/// # Errors
/// [`Problem::RegistrationEnded`]; [`Problem::KeychainLocked`] and its kin.
pub async fn secret(hands: &Hands, issuer: &str, client: &str) -> Result<Option<SecretString>, Problem> {
    let read = || client_secret::get(&hands.database, &hands.keychain, issuer, client, Kind::Secret);
    let about_to_end = |expires_at: Option<i64>| {
        expires_at.is_some_and(|expires_at| expires_at.saturating_sub(MARGIN_MS) <= hands.clock.now().wall.0)
    };
    match read().await? {
        Some((_, expires_at)) if about_to_end(expires_at) => {}
        other => return Ok(other.map(|(secret, _)| secret)),
    }
    // One at a time: each answer may replace the token that the next request needs.
    let _one = hands.registering.lock().await;
    let Some((before, expires_at)) = read().await? else { return Ok(None) };
    if !about_to_end(expires_at) {
        return Ok(Some(before));
    }
    match renew(hands, issuer, client, &before, expires_at).await {
        Ok(secret) => Ok(Some(secret)),
        // It is good for a while yet; the next request tries again.
        Err(_) if expires_at.is_some_and(|ends| ends > hands.clock.now().wall.0) => Ok(Some(before)),
        Err(Failed::Refused { error, detail }) => {
            Err(Problem::RegistrationEnded { issuer: issuer.to_owned(), detail: format!("{error}: {detail}") })
        }
        Err(Failed::Because(problem)) => Err(problem),
    }
}

/// Reads the registration (RFC 7592 section 2.1), which many servers take as the occasion for a new secret; where that
/// brings none, writes it again (section 2.2).
async fn renew(
    hands: &Hands,
    issuer: &str,
    client: &str,
    before: &SecretString,
    expires_at: Option<i64>,
) -> Result<SecretString, Failed> {
    let refused = |detail: &str| Failed::Refused { error: "no management".to_owned(), detail: detail.to_owned() };
    let mut registration = kept(hands, issuer, client)
        .await
        .map_err(Failed::Because)?
        .ok_or_else(|| refused("Larder did not register this client"))?;
    let http = hands.http();
    let mut brought = None;
    for method in [Method::GET, Method::PUT] {
        let (url, token) = registration.manager(issuer).map_err(Failed::Because)?;
        let body = (method == Method::PUT).then(|| {
            let asked = Asked {
                client_id: Some(client),
                client_secret: Some(before.expose_secret()),
                redirect_uris: registration.redirect_uris.iter().map(String::as_str).collect(),
                token_endpoint_auth_method: &registration.token_endpoint_auth_method,
                ..asked(registration.device)
            };
            serde_json::to_vec(&asked).unwrap_or_default()
        });
        let response = http.manage(method, &url, Some(token), body).await;
        let information = read(response.map_err(|error| Failed::Because(error.into()))?, &url)?;
        if information.client_id != client {
            return Err(refused("the answer is about another client"));
        }
        registration.take(&information);
        let secret = secret_of(&information);
        // Sealed before anything else: the token before it may be good for nothing any more.
        keep(hands, issuer, client, &registration, secret.clone()).await.map_err(Failed::Because)?;
        brought = secret.or(brought);
        if brought.as_ref().is_some_and(|(_, ends)| ends.is_none_or(|ends| Some(ends) > expires_at)) {
            break;
        }
    }
    let now = hands.clock.now().wall.0;
    let good = brought.filter(|(_, ends)| ends.is_none_or(|ends| ends > now));
    good.map(|(secret, _)| secret).ok_or_else(|| refused("it gave no newer secret"))
}

/// Removes a client at its issuer (RFC 7592 section 2.3), then what is kept of it.
///
/// # Errors
/// [`Problem::RegistrationLeft`]: then it is kept; [`Problem::KeychainLocked`] and its kin.
pub async fn remove(hands: &Hands, issuer: &str, client: &str) -> Result<(), Problem> {
    let _one = hands.registering.lock().await;
    let Some(registration) = kept(hands, issuer, client).await? else {
        let detail = "what is kept of it does not open".to_owned();
        return Err(Problem::RegistrationLeft { issuer: issuer.to_owned(), detail });
    };
    delete(&hands.http(), issuer, &registration).await?;
    client_secret::remove(&hands.database, issuer.to_owned(), client.to_owned()).await
}

async fn delete(http: &Http, issuer: &str, registration: &Registration) -> Result<(), Problem> {
    let left = |detail: String| Problem::RegistrationLeft { issuer: issuer.to_owned(), detail };
    let (url, token) = registration.manager(issuer).map_err(|_| left("it offers no way to".to_owned()))?;
    let response = http.manage(Method::DELETE, &url, Some(token), None).await;
    match response.map_err(|_| left(format!("{} cannot be reached", host(&url))))?.status {
        // A client that is gone is answered with 401 (section 2.3): its token went with it.
        200..300 | 401 | 404 | 410 => Ok(()),
        status => Err(left(format!("status {status}"))),
    }
}

impl Registration {
    fn manager(&self, issuer: &str) -> Result<(Url, &str), Problem> {
        match (&self.registration_client_uri, &self.registration_access_token) {
            (Some(uri), Some(token)) => Ok((endpoint(issuer, "registration_client_uri", uri)?, token.as_str())),
            _ => {
                let detail = "it offers no management of registrations".to_owned();
                Err(Problem::RegistrationEnded { issuer: issuer.to_owned(), detail })
            }
        }
    }

    /// RFC 7592 section 3: what an answer leaves out stays as it was.
    fn take(&mut self, information: &Information) {
        if let Some(token) = &information.registration_access_token {
            self.registration_access_token = Some(token.clone());
        }
        // Larder's token goes where its own issuer says; never in plain text over a network.
        if let Some(uri) = &information.registration_client_uri
            && endpoint("", "registration_client_uri", uri).is_ok()
        {
            self.registration_client_uri = Some(uri.clone());
        }
        if let Some(redirects) = &information.redirect_uris {
            self.redirect_uris.clone_from(redirects);
        }
        if let Some(method) = &information.token_endpoint_auth_method {
            self.token_endpoint_auth_method.clone_from(method);
        }
    }
}

/// A secret, and when it ends; RFC 7591 section 3.2.1: seconds since 1970, 0 for never.
fn secret_of(information: &Information) -> Option<(SecretString, Option<i64>)> {
    let secret = information.client_secret.as_ref().filter(|secret| !secret.is_empty())?;
    let ends = information.client_secret_expires_at.filter(|seconds| *seconds != 0);
    let ends = ends.map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000));
    Some((SecretString::from(secret.as_str()), ends))
}

/// A native public client (RFC 8252), as far as it is the same every time.
fn asked<'a>(device: bool) -> Asked<'a> {
    let mut grant_types = vec!["authorization_code", "refresh_token"];
    grant_types.extend(device.then_some(DEVICE_CODE));
    Asked {
        client_id: None,
        client_secret: None,
        client_name: "Larder",
        application_type: "native",
        redirect_uris: vec![REDIRECT_URI, LOOPBACK_URI],
        grant_types,
        response_types: ["code"],
        token_endpoint_auth_method: "none",
    }
}

/// Asks for a registration: a public client first, and with Larder's own link; less of both where the server says no.
async fn ask(http: &Http, metadata: &Metadata) -> Result<Registered, Problem> {
    let issuer = &metadata.issuer;
    let text = metadata.registration_endpoint.as_deref().unwrap_or_default();
    let url = endpoint(issuer, "registration_endpoint", text)?;
    let methods = metadata.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
    let with_secret =
        ["client_secret_basic", "client_secret_post"].into_iter().find(|name| methods.iter().any(|m| m == name));
    let device = metadata.device_authorization_endpoint.is_some();
    let mut asked = asked(device);
    let public = methods.is_empty() || methods.iter().any(|method| method == "none");
    if let Some(method) = with_secret.filter(|_| !public) {
        asked.token_endpoint_auth_method = method;
    }
    loop {
        let internal = |_| Problem::Internal { detail: "a registration cannot be written".to_owned() };
        let body = serde_json::to_vec(&asked).map_err(internal)?;
        let response = http.manage(Method::POST, &url, None, Some(body)).await?;
        let failed = match read(response, &url) {
            Ok(information) => return registered(issuer, &asked, device, &information),
            Err(failed) => failed,
        };
        // Each can happen once.
        match &failed {
            Failed::Refused { error, .. } if error == "invalid_redirect_uri" && asked.redirect_uris.len() > 1 => {
                asked.redirect_uris = vec![LOOPBACK_URI];
            }
            Failed::Refused { error, .. }
                if error == "invalid_client_metadata" && asked.token_endpoint_auth_method == "none" =>
            {
                match with_secret {
                    Some(method) => asked.token_endpoint_auth_method = method,
                    None => return Err(failed.problem(issuer)),
                }
            }
            _ => return Err(failed.problem(issuer)),
        }
    }
}

fn read(response: Response, url: &Url) -> Result<Information, Failed> {
    match response.status {
        200..300 => serde_json::from_slice(&response.body).map_err(|_| Failed::Refused {
            error: format!("status {}", response.status),
            detail: "its answer is not that of a registration".to_owned(),
        }),
        429 | 500.. => Err(Failed::Because(Problem::ProviderTrouble { host: host(url), status: response.status })),
        status => Err(match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(refusal) => Failed::Refused {
                error: plain(&refusal.error),
                detail: refusal.error_description.map_or_else(|| "it gave no reason".to_owned(), |text| plain(&text)),
            },
            Err(_) => {
                Failed::Refused { error: format!("status {status}"), detail: "it gave no reason".to_owned() }
            }
        }),
    }
}

/// RFC 7591 section 3.2.1: the server may have changed what was asked for, so what it says is what holds.
fn registered(
    issuer: &str,
    asked: &Asked<'_>,
    device: bool,
    information: &Information,
) -> Result<Registered, Problem> {
    let unusable = |detail: &str| Problem::RegistrationRefused {
        issuer: issuer.to_owned(),
        error: "unusable answer".to_owned(),
        detail: detail.to_owned(),
    };
    let client_id = information.client_id.clone();
    // RFC 6749 appendix A.1.
    if client_id.trim().is_empty() || !client_id.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) {
        return Err(unusable("its client_id cannot be one"));
    }
    let secret = secret_of(information);
    let mut registration = Registration {
        registration_access_token: None,
        registration_client_uri: None,
        redirect_uris: asked.redirect_uris.iter().map(|uri| (*uri).to_owned()).collect(),
        token_endpoint_auth_method: asked.token_endpoint_auth_method.to_owned(),
        device,
    };
    registration.take(information);
    match registration.token_endpoint_auth_method.as_str() {
        "none" => {}
        "client_secret_basic" | "client_secret_post" if secret.is_some() => {}
        "client_secret_basic" | "client_secret_post" => return Err(unusable("it demands a secret, and gave none")),
        other => return Err(unusable(&format!("it demands {}, which Larder does not speak here", plain(other)))),
    }
    if !registration.redirect_uris.iter().any(|uri| uri == REDIRECT_URI || uri == LOOPBACK_URI) {
        return Err(unusable("it registered none of the redirects that were asked for"));
    }
    // A secret that a public client was given is of no use, and nothing to keep.
    let secret = secret.filter(|_| registration.token_endpoint_auth_method != "none");
    Ok(Registered { client_id, secret, registration })
}
