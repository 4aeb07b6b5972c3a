//! `larder doctor`, the agent's part: keychain, configuration, disk, and each provider's reachability and clock.

use crate::http::{Http, endpoint};
use crate::keychain::Keychain;
use larder_core::problem::Problem;
use larder_core::time::WallTime;
use larder_core::view::{Check, CheckView};
use url::Url;

/// A clock may be off by so many seconds before ID tokens and lifetimes suffer.
const SKEW: i64 = 60;

/// So many hosts are asked at the most.
const MOST_HOSTS: usize = 16;

/// The keychain, without asking anybody for anything.
pub async fn keychain(keychain: &Keychain) -> CheckView {
    let problem = keychain.check().await.err();
    CheckView { check: Check::Keychain, subject: keychain.kind().to_owned(), problem }
}

/// Asks each issuer for its metadata: is it there, and does its clock agree with this one?
pub async fn providers(http: &Http, issuers: Vec<String>, now: impl Fn() -> WallTime) -> Vec<CheckView> {
    let mut checks = Vec::new();
    for issuer in issuers.into_iter().take(MOST_HOSTS) {
        let (reached, date) = match endpoint("doctor", "issuer", &issuer) {
            Ok(url) => ask(http, &url).await,
            Err(problem) => (Some(problem), None),
        };
        let reachable = reached.is_none();
        checks.push(CheckView { check: Check::Network, subject: issuer.clone(), problem: reached });
        if let Some(date) = date.filter(|_| reachable) {
            let seconds = (now().0 - date.0) / 1000;
            let problem = (seconds.abs() > SKEW).then(|| Problem::ClockSkew { host: issuer.clone(), seconds });
            checks.push(CheckView { check: Check::Clock, subject: issuer, problem });
        }
    }
    checks
}

async fn ask(http: &Http, issuer: &Url) -> (Option<Problem>, Option<WallTime>) {
    let mut url = issuer.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/')));
    match http.get(&url, None).await {
        // Any answer says that the way there works.
        Ok(response) => {
            let date = response.headers.get("date").and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
            let date = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
            (None, date.map(|since| WallTime(larder_core::time::millis(since))))
        }
        Err(error) => (Some(error.into()), None),
    }
}
