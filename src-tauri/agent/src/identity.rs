//! Who signed in: from the ID token (OpenID Connect Core 3.1.3.7), else from userinfo; and whether a refresh is still about
//! the same person (12.2).

use crate::clock::Clock;
use crate::grants::{Endpoints, Tokens};
use crate::http::{Http, Response, host};
use crate::id_token::{self, Claims, Expected, Kind, Rejected, To};
use crate::jwks::Jwks;
use crate::providers::{self, Userinfo, UserinfoMethod};
use crate::token_endpoint::plain;
use larder_core::problem::Problem;
use larder_core::protocol::OnWire;
use larder_core::time::WallTime;
use openidconnect::core::CoreJsonWebKeySet;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// How long a refresh waits for the issuer's keys. Its tokens are in memory alone until then, and are good without them.
const REFRESH_PATIENCE: Duration = Duration::from_secs(5);

/// Who somebody is at a provider.
#[derive(Clone, Debug)]
pub struct Who {
    /// `sub`.
    pub subject: String,
    /// `name`, or what comes nearest.
    pub name: Option<String>,
    /// `email`.
    pub email: Option<String>,
    /// Whether an ID token said so.
    pub openid: bool,
}

impl Who {
    /// Nobody: a client that asks for itself goes by its own id.
    pub fn client(client_id: &str) -> Self {
        Self { subject: client_id.to_owned(), name: Some(client_id.to_owned()), email: None, openid: false }
    }
}

/// What is needed to find out who somebody is.
#[derive(Clone, Copy)]
pub struct Finder<'a> {
    /// Asks the provider.
    pub http: &'a Http,
    /// Tells the time.
    pub clock: &'a dyn Clock,
    /// The issuers' keys.
    pub jwks: &'a Jwks,
    /// Where.
    pub endpoints: &'a Endpoints,
    /// The provider's name, for people.
    pub provider: &'a str,
    /// How userinfo is asked for and read.
    pub userinfo: &'a Userinfo,
    /// What the provider's clock said as it gave the tokens, where that is known.
    pub server_clock: Option<WallTime>,
}

/// Asks a provider's userinfo, as that provider wants it.
///
/// # Errors
/// [`Problem::Unreachable`] and its kin.
pub async fn ask_userinfo(
    http: &Http,
    clock: &dyn Clock,
    userinfo: &Userinfo,
    url: &Url,
    tokens: &Tokens,
) -> Result<Response, Problem> {
    match userinfo {
        Userinfo { method: UserinfoMethod::Get, headers, .. } if headers.is_empty() => {
            crate::dpop::get(http, clock, url, tokens).await
        }
        // A provider's own, which no standard describes and no key binds.
        Userinfo { method, headers, .. } => {
            let bearer = OnWire::new(tokens.access_token.expose_secret().to_owned());
            Ok(http.ask(*method == UserinfoMethod::Post, url, &bearer, headers).await?)
        }
    }
}

/// What the ID token of a refresh says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// The same issuer, the same person, the same client: it takes the place of the one before.
    Same,
    /// It cannot be checked here and now. The one before stays.
    Unchecked(&'static str),
    /// It is not about this session: nor is what came with it.
    Other(&'static str),
}

impl Finder<'_> {
    /// Finds out who signed in. Where the provider is an OpenID provider and was asked as one, an ID token must be there
    /// (OpenID Connect Core 3.1.3.3) and pass every check; where they must have authenticated `since` some time, there too.
    ///
    /// # Errors
    /// [`Problem::IdTokenRejected`]; [`Problem::UserinfoRejected`]; what userinfo failed with, where that is the only source.
    pub async fn find(
        &self,
        tokens: &Tokens,
        nonce: Option<&str>,
        since: Option<WallTime>,
        openid: bool,
    ) -> Result<Who, Problem> {
        let by_token = match (&tokens.id_token, &self.endpoints.jwks_uri) {
            (Some(text), Some(jwks_uri)) => {
                let to = To::SignIn { nonce, since };
                Some(by_token(&self.id_token(text.expose_secret(), jwks_uri, tokens, to).await?))
            }
            // For device authorizations (RFC 8628) no standard says so, and some servers send none.
            (None, Some(_)) if openid && nonce.is_some() => return Err(self.rejected("it is missing")),
            _ if since.is_some() => return Err(self.rejected("it is missing")),
            _ => None,
        };
        let complete = by_token.as_ref().is_some_and(|who| who.name.is_some() && who.email.is_some());
        let claims = match &self.endpoints.userinfo_endpoint {
            Some(url) if !complete => match self.userinfo(url, tokens).await {
                Ok(claims) => Some(claims),
                // An ID token has said who it is; a name is not worth failing for.
                Err(_) if by_token.is_some() => None,
                Err(problem) => return Err(problem),
            },
            _ => None,
        };
        match (by_token, claims) {
            (Some(token), Some(claims)) => self.together(token, &claims),
            (Some(token), None) => Ok(token),
            (None, Some(claims)) => self.by_userinfo(&claims),
            (None, None) => Err(Problem::BadProvider {
                provider: self.provider.to_owned(),
                field: "userinfo_endpoint".to_owned(),
                detail: "without an ID token, Larder needs one to learn who signed in".to_owned(),
            }),
        }
    }

    /// Whether the ID token that came with a refresh, if there is one, is about `subject` (OpenID Connect Core 12.2). A
    /// session is not given to somebody else; but neither is it lost because keys cannot be fetched, or a clock is wrong.
    pub async fn renewed(&self, tokens: &Tokens, before: &Tokens, subject: &str) -> Renewed {
        let (Some(text), Some(jwks_uri)) = (&tokens.id_token, &self.endpoints.jwks_uri) else {
            return Renewed::Unchecked("there is none");
        };
        let before = before.id_token.as_ref().and_then(|token| id_token::nonce(token.expose_secret()));
        let to = To::Refresh { subject, nonce: before.as_deref() };
        let check = |keys: &CoreJsonWebKeySet| id_token::check(text.expose_secret(), keys, self.expected(tokens, to));
        let fetch = async || {
            let fetched = self.jwks.fetch(self.http, self.clock, self.provider, jwks_uri);
            tokio::time::timeout(REFRESH_PATIENCE, fetched).await.ok()?.ok()
        };
        let kept = self.jwks.kept(self.clock, jwks_uri);
        // Without keys, who it is about can still be read: it came from the token endpoint itself, over TLS (3.1.3.7, step 6).
        let mut checked = check(kept.as_ref().unwrap_or(&CoreJsonWebKeySet::new(Vec::new())));
        let mut newest = false;
        if let Err(Rejected { kind: Kind::UnknownKey | Kind::NoKeyFits, .. }) = checked
            && self.jwks.may_ask_again(self.clock, jwks_uri)
            && let Some(keys) = fetch().await
        {
            (checked, newest) = (check(&keys), true);
        }
        match checked {
            Ok(_) => Renewed::Same,
            Err(Rejected { kind: Kind::Foreign, detail }) => Renewed::Other(detail),
            Err(Rejected { kind: Kind::NoKeyFits, detail }) if newest => Renewed::Other(detail),
            Err(Rejected { detail, .. }) => Renewed::Unchecked(detail),
        }
    }

    fn expected<'e>(&'e self, tokens: &'e Tokens, to: To<'e>) -> Expected<'e> {
        let Endpoints { issuer, client_id, .. } = self.endpoints;
        Expected { issuer, client_id, access_token: &tokens.access_token, to, now: self.clock.now().wall }
    }

    fn rejected(&self, detail: &str) -> Problem {
        Problem::IdTokenRejected { provider: self.provider.to_owned(), detail: detail.to_owned() }
    }

    /// The claims of a sign-in's ID token. Its issuer's keys are asked for once at most: where none are kept, or where the
    /// token names one that is not among them (OpenID Connect Core 10.1.1).
    async fn id_token(&self, text: &str, jwks_uri: &str, tokens: &Tokens, to: To<'_>) -> Result<Claims, Problem> {
        let check = |keys: &CoreJsonWebKeySet| id_token::check(text, keys, self.expected(tokens, to));
        if let Some(kept) = self.jwks.kept(self.clock, jwks_uri) {
            match check(&kept) {
                Err(Rejected { kind: Kind::UnknownKey | Kind::NoKeyFits, .. })
                    if self.jwks.may_ask_again(self.clock, jwks_uri) => {}
                checked => return checked.map_err(|error| self.failed(error)),
            }
        }
        let keys = self.jwks.fetch(self.http, self.clock, self.provider, jwks_uri).await?;
        check(&keys).map_err(|error| self.failed(error))
    }

    /// A check that went by the clock says which way the two clocks differ, where it is known that they do.
    fn failed(&self, error: Rejected) -> Problem {
        let ahead = self.server_clock.map_or(0, |server| self.clock.now().wall.0.saturating_sub(server.0) / 1000);
        if !error.by_clock() || ahead.unsigned_abs() <= id_token::SKEW.as_secs() {
            return self.rejected(error.detail);
        }
        let direction = if ahead > 0 { "ahead of" } else { "behind" };
        let seconds = ahead.unsigned_abs();
        self.rejected(&format!("{}: this computer's clock is {seconds} s {direction} the provider's", error.detail))
    }

    /// OpenID Connect Core 5.3.2: userinfo of another subject must not be used, and says that the access token belongs to
    /// somebody else. Where it names no subject it is left aside.
    fn together(&self, token: Who, claims: &Claims) -> Result<Who, Problem> {
        match claims.get("sub").and_then(|sub| sub.as_str()) {
            Some(sub) if sub == token.subject => {
                let info = named(claims);
                Ok(Who { name: token.name.or(info.0), email: token.email.or(info.1), ..token })
            }
            Some(_) => Err(Problem::UserinfoRejected {
                provider: self.provider.to_owned(),
                detail: "it is about somebody else than the ID token".to_owned(),
            }),
            None => Ok(token),
        }
    }

    fn bad_userinfo(&self, detail: &str) -> Problem {
        Problem::BadProvider {
            provider: self.provider.to_owned(),
            field: "userinfo_endpoint".to_owned(),
            detail: detail.to_owned(),
        }
    }

    async fn userinfo(&self, url: &str, tokens: &Tokens) -> Result<Claims, Problem> {
        let url = Url::parse(url).map_err(|_| self.bad_userinfo("it is not a URL"))?;
        let response = ask_userinfo(self.http, self.clock, self.userinfo, &url, tokens).await?;
        if response.status != 200 {
            return Err(Problem::ProviderTrouble { host: host(&url), status: response.status });
        }
        let kind = response.headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.to_ascii_lowercase().starts_with("application/jwt") {
            return Err(self.bad_userinfo("it answers with a JWT; have the client registered for plain JSON"));
        }
        response.json().map_err(|_| self.bad_userinfo("its answer is not JSON"))
    }

    fn by_userinfo(&self, claims: &Claims) -> Result<Who, Problem> {
        if let Some(at) = &self.userinfo.claims {
            return self.by_pointers(claims, at);
        }
        let id = claims.get("id").map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        let sub = claims.get("sub").and_then(|sub| sub.as_str()).map(str::to_owned);
        let subject =
            sub.or(id).filter(|id| !id.is_empty()).ok_or_else(|| self.bad_userinfo("its answer names nobody"))?;
        let (name, email) = named(claims);
        Ok(Who { subject, name, email, openid: false })
    }

    /// Where a provider's own userinfo says who it is (RFC 6901).
    fn by_pointers(&self, claims: &Claims, at: &providers::Claims) -> Result<Who, Problem> {
        let subject = pointed(claims, Some(&at.subject)).ok_or_else(|| self.bad_userinfo("its answer names nobody"))?;
        let (name, email) = (pointed(claims, at.name.as_ref()), pointed(claims, at.email.as_ref()));
        Ok(Who { subject, name, email, openid: false })
    }
}

/// What a pointer leads to, as text: identifiers are numbers at some.
fn pointed(claims: &Claims, pointer: Option<&String>) -> Option<String> {
    let value = Value::Object(claims.clone());
    let text = match value.pointer(pointer?)? {
        Value::String(text) => plain(text),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}

/// The claims are checked.
fn by_token(claims: &Claims) -> Who {
    Who {
        subject: claims.get("sub").and_then(|sub| sub.as_str()).unwrap_or_default().to_owned(),
        name: text(claims, &["name"]),
        email: text(claims, &["email"]),
        openid: true,
    }
}

fn named(claims: &Claims) -> (Option<String>, Option<String>) {
    (text(claims, &["name", "global_name", "preferred_username", "login", "username"]), text(claims, &["email"]))
}

/// The first of these that is text, for people.
fn text(claims: &Claims, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| claims.get(*key)?.as_str()).map(plain).filter(|text| !text.is_empty())
}
