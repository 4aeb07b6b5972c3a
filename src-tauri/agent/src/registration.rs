//! Dynamic client registration (RFC 7591) and its management (RFC 7592). What comes back is sealed at once.

use crate::client_secret::{self, Kind};
use crate::discovery::Metadata;
use crate::http::{Http, Response, endpoint, host, is_loopback};
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
            let detail = [error, detail].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
            Err(Problem::RegistrationEnded { issuer: issuer.to_owned(), detail })
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
        registration.take(issuer, &information);
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
            (Some(uri), Some(token)) => Ok((at(issuer, "registration_client_uri", uri)?, token.as_str())),
            _ => {
                let detail = "it offers no management of registrations".to_owned();
                Err(Problem::RegistrationEnded { issuer: issuer.to_owned(), detail })
            }
        }
    }

    /// RFC 7592 section 3: what an answer leaves out stays as it was.
    fn take(&mut self, issuer: &str, information: &Information) {
        if let Some(token) = &information.registration_access_token {
            self.registration_access_token = Some(token.clone());
        }
        // Larder's token goes where its own issuer says; never in plain text over a network.
        if let Some(uri) = &information.registration_client_uri
            && at(issuer, "registration_client_uri", uri).is_ok()
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

/// An answer that cannot be used; nothing of it is in the provider's own words.
fn unusable(issuer: &str, why: &str) -> Problem {
    Problem::RegistrationRefused { issuer: issuer.to_owned(), error: why.to_owned(), detail: String::new() }
}

/// Where an issuer registers clients: https, and this computer only for an issuer that is on it. Nobody else has any
/// business to have Larder post something here.
fn at(issuer: &str, field: &str, text: &str) -> Result<Url, Problem> {
    let refused = |why: String| unusable(issuer, &format!("{field}: {why}"));
    let url = endpoint("", field, text).map_err(|problem| match problem {
        Problem::BadProvider { detail, .. } => refused(detail),
        _ => refused("it is reached by plain http".to_owned()),
    })?;
    if is_loopback(&url) && !Url::parse(issuer).is_ok_and(|issuer| is_loopback(&issuer)) {
        return Err(refused("it is on this computer".to_owned()));
    }
    Ok(url)
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
    let url = at(issuer, "registration_endpoint", metadata.registration_endpoint.as_deref().unwrap_or_default())?;
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
        200..300 => response.json().map_err(|_| Failed::Refused {
            error: format!("status {}, and its answer is not that of a registration", response.status),
            detail: String::new(),
        }),
        429 | 500.. => Err(Failed::Because(Problem::ProviderTrouble { host: host(url), status: response.status })),
        status => Err(match serde_json::from_slice::<Refusal>(&response.body) {
            Ok(refusal) => Failed::Refused {
                error: plain(&refusal.error),
                detail: refusal.error_description.map(|text| plain(&text)).unwrap_or_default(),
            },
            Err(_) => Failed::Refused { error: format!("status {status}"), detail: String::new() },
        }),
    }
}

/// RFC 7591 section 3.2.1: the server may have changed what was asked for, so what it says is what holds.
fn registered(issuer: &str, asked: &Asked<'_>, device: bool, information: &Information) -> Result<Registered, Problem> {
    let unusable = |why: &str| unusable(issuer, why);
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
    registration.take(issuer, information);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::database::Database;
    use crate::keychain::{KeyStore, Keychain};
    use crate::settings::Settings;
    use larder_core::time::{BootTime, Now, WallTime};
    use serde_json::{Value, json};
    use std::collections::HashMap;
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// What was asked: method, Authorization, and the body.
    type Log = Arc<Mutex<Vec<(String, String, Value)>>>;

    /// A server that gives these answers, one after the other.
    async fn serve(answers: Vec<(u16, Value)>) -> (String, Log) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let log = Log::default();
        let seen = Arc::clone(&log);
        tokio::spawn(async move {
            for (status, answer) in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let (head, body) = loop {
                    let mut part = vec![0; 4096];
                    let length = stream.read(&mut part).await.unwrap();
                    request.extend_from_slice(&part[..length]);
                    let text = String::from_utf8_lossy(&request).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let field = |name: &str| {
                        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::to_owned))
                    };
                    let wanted = field("content-length:").map_or(0, |length| length.trim().parse().unwrap());
                    if body.len() >= wanted {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                let method = head.split(' ').next().unwrap().to_owned();
                let bearer = head.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap_or_default();
                let body = serde_json::from_str(&body).unwrap_or(Value::Null);
                seen.lock().unwrap().push((method, bearer.to_owned(), body));
                let text = answer.to_string();
                let head = format!("content-length: {}\r\nconnection: close", text.len());
                stream.write_all(format!("HTTP/1.1 {status} -\r\n{head}\r\n\r\n{text}").as_bytes()).await.unwrap();
            }
        });
        (origin, log)
    }

    struct Memory(Arc<Mutex<HashMap<String, Vec<u8>>>>);

    impl KeyStore for Memory {
        fn ready(&mut self) -> Result<(), Problem> {
            Ok(())
        }
        fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
            Ok(())
        }
        fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
            Ok(self.0.lock().unwrap().get(item).cloned().map(Zeroizing::new))
        }
        fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
            self.0.lock().unwrap().insert(item.to_owned(), bytes.to_vec());
            Ok(())
        }
        fn delete(&mut self, item: &str) -> Result<(), Problem> {
            self.0.lock().unwrap().remove(item);
            Ok(())
        }
    }

    /// The moment of all these tests, in seconds since 1970.
    const NOW: i64 = 1_790_000_000;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Now {
            Now { wall: WallTime(NOW * 1000), boot: BootTime(0) }
        }
    }

    fn hands(folder: &Path) -> Hands {
        let items = Arc::new(Mutex::new(HashMap::new()));
        let keychain = Keychain::new(|| None, move || Box::new(Memory(Arc::clone(&items))));
        let http = Http::new(&Settings::default(), &folder.join("config.toml")).unwrap();
        Hands::new(Arc::new(Still), Database::open(&folder.join("larder.db")).unwrap(), keychain, http)
    }

    fn metadata(origin: &str, more: Value) -> Metadata {
        let mut metadata = json!({ "issuer": origin, "registration_endpoint": format!("{origin}/reg") });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(metadata).unwrap()
    }

    /// A registration that is managed at `/client` of this origin, kept with its secret.
    async fn registered_with_secret(hands: &Hands, origin: &str, ends: i64) {
        let registration = Registration {
            registration_access_token: Some(Zeroizing::new("token-1".to_owned())),
            registration_client_uri: Some(format!("{origin}/client")),
            redirect_uris: vec![LOOPBACK_URI.to_owned()],
            token_endpoint_auth_method: "client_secret_basic".to_owned(),
            device: false,
        };
        let secret = Some((SecretString::from("secret-1"), Some(ends * 1000)));
        keep(hands, origin, "c", &registration, secret).await.unwrap();
    }

    fn text(secret: Option<SecretString>) -> Option<String> {
        secret.map(|secret| secret.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn less_is_asked_for_where_a_server_refuses_a_redirect_or_a_client_without_a_secret() {
        let refusal = |error: &str| (400, json!({ "error": error }));
        let granted = json!({ "client_id": "c", "client_secret": "s", "client_secret_expires_at": NOW + 60 });
        let answers = vec![refusal("invalid_redirect_uri"), refusal("invalid_client_metadata"), (201, granted)];
        let (origin, log) = serve(answers).await;
        let folder = tempfile::tempdir().unwrap();
        let hands = hands(folder.path());
        let more = json!({
            "token_endpoint_auth_methods_supported": ["client_secret_post", "none"],
            "device_authorization_endpoint": format!("{origin}/device"),
        });
        let (id, registration) = register(&hands, &metadata(&origin, more)).await.unwrap();
        assert_eq!((id.as_str(), registration.token_endpoint_auth_method.as_str()), ("c", "client_secret_post"));
        assert_eq!(registration.redirect_uris, [LOOPBACK_URI]);
        let asked: Vec<Value> = log.lock().unwrap().iter().map(|(_, _, body)| body.clone()).collect();
        assert_eq!(asked[0]["redirect_uris"], json!([REDIRECT_URI, LOOPBACK_URI]));
        assert_eq!(asked[0]["grant_types"], json!(["authorization_code", "refresh_token", DEVICE_CODE]));
        let methods: Vec<_> = asked.iter().map(|body| body["token_endpoint_auth_method"].clone()).collect();
        assert_eq!(methods, ["none", "none", "client_secret_post"]);
        let (secret, ends) = client_secret::get(&hands.database, &hands.keychain, &origin, "c", Kind::Secret)
            .await
            .unwrap()
            .expect("it is kept");
        assert_eq!((secret.expose_secret(), ends), ("s", Some((NOW + 60) * 1000)));
    }

    #[test]
    fn a_registration_goes_over_https_and_to_this_computer_only_from_itself() {
        assert!(at("https://id.example", "f", "https://reg.example/r").is_ok());
        assert!(at("http://127.0.0.1:1", "f", "http://127.0.0.1:2/r").is_ok());
        for text in ["http://id.example/r", "http://127.0.0.1/r", "https://localhost/r", "r", ""] {
            let refused = at("https://id.example", "f", text);
            assert!(matches!(refused, Err(Problem::RegistrationRefused { .. })), "{text}");
        }
    }

    #[tokio::test]
    async fn a_secret_that_is_good_for_long_is_used_as_it_is() {
        let (origin, log) = serve(Vec::new()).await;
        let folder = tempfile::tempdir().unwrap();
        let hands = hands(folder.path());
        registered_with_secret(&hands, &origin, NOW + 7200).await;
        assert_eq!(text(secret(&hands, &origin, "c").await.unwrap()).as_deref(), Some("secret-1"));
        assert_eq!(text(secret(&hands, &origin, "other").await.unwrap()), None);
        assert!(log.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_secret_that_is_about_to_end_is_renewed_and_so_is_what_manages_it() {
        let answer = |token: &str, secret: &str, ends: i64| {
            (
                200,
                json!({
                    "client_id": "c",
                    "client_secret": secret,
                    "client_secret_expires_at": ends,
                    "registration_access_token": token,
                }),
            )
        };
        // Reading brings the same one, writing a new one; the next time, reading is enough.
        let answers = vec![
            answer("token-2", "secret-1", NOW + 60),
            answer("token-3", "secret-2", NOW + 120),
            answer("token-4", "secret-3", 0),
        ];
        let (origin, log) = serve(answers).await;
        let folder = tempfile::tempdir().unwrap();
        let hands = hands(folder.path());
        registered_with_secret(&hands, &origin, NOW + 60).await;
        for expected in ["secret-2", "secret-3", "secret-3"] {
            assert_eq!(text(secret(&hands, &origin, "c").await.unwrap()).as_deref(), Some(expected));
        }
        let log = log.lock().unwrap();
        let asked: Vec<_> = log.iter().map(|(method, bearer, _)| format!("{method} {bearer}")).collect();
        assert_eq!(asked, ["GET Bearer token-1", "PUT Bearer token-2", "GET Bearer token-3"]);
        // RFC 7592 section 2.2: the client with its secret, and nothing that the server alone says.
        let put = log[1].2.as_object().unwrap();
        assert_eq!((&put["client_id"], &put["client_secret"]), (&json!("c"), &json!("secret-1")));
        assert!(!put.contains_key("registration_access_token") && !put.contains_key("client_secret_expires_at"));
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_renewed_is_used_to_its_end_and_not_beyond() {
        let gone = || (401, json!({ "error": "invalid_token" }));
        let (origin, _) = serve(vec![gone(), gone()]).await;
        let folder = tempfile::tempdir().unwrap();
        let hands = hands(folder.path());
        registered_with_secret(&hands, &origin, NOW + 60).await;
        assert_eq!(text(secret(&hands, &origin, "c").await.unwrap()).as_deref(), Some("secret-1"));
        registered_with_secret(&hands, &origin, NOW - 1).await;
        let ended = secret(&hands, &origin, "c").await;
        assert!(matches!(ended, Err(Problem::RegistrationEnded { .. })), "{:?}", ended.err());
    }

    #[tokio::test]
    async fn an_answer_about_another_client_changes_nothing() {
        let other = json!({ "client_id": "d", "client_secret": "theirs", "registration_access_token": "theirs" });
        let (origin, _) = serve(vec![(200, other)]).await;
        let folder = tempfile::tempdir().unwrap();
        let hands = hands(folder.path());
        registered_with_secret(&hands, &origin, NOW + 60).await;
        assert_eq!(text(secret(&hands, &origin, "c").await.unwrap()).as_deref(), Some("secret-1"));
        let kept = kept(&hands, &origin, "c").await.unwrap().expect("it is kept");
        assert_eq!(kept.registration_access_token.as_ref().map(|token| token.as_str()), Some("token-1"));
    }

    #[tokio::test]
    async fn a_registration_that_stays_at_its_issuer_stays_here_and_one_that_is_gone_there_goes() {
        let (origin, _) = serve(vec![(403, json!({})), (401, json!({}))]).await;
        let folder = tempfile::tempdir().unwrap();
        let hands = hands(folder.path());
        registered_with_secret(&hands, &origin, NOW).await;
        let left = remove(&hands, &origin, "c").await;
        assert!(matches!(left, Err(Problem::RegistrationLeft { .. })), "{left:?}");
        assert!(kept(&hands, &origin, "c").await.unwrap().is_some());
        assert_eq!(remove(&hands, &origin, "c").await, Ok(()));
        assert!(kept(&hands, &origin, "c").await.unwrap().is_none());
        assert_eq!(text(client_secret::read(&hands.database, &hands.keychain, &origin, "c").await.unwrap()), None);
    }
}
