//! `larder providers check`: what a provider offers, what Larder will use of it, and what is wrong, without signing in.
//! Tolerant where a server is odd but harmless, strict where it is dangerous: as signing in is.

use crate::discovery::{self, Metadata};
use crate::http::{Http, is_loopback};
use crate::providers::{AuthMethod, Provider};
use crate::token_endpoint::plain;
use larder_core::names::ProviderName;
use larder_core::problem::Problem;
use larder_core::view::{RedirectKind, ReportLine, Verdict};
use url::Url;

/// Scopes and methods are listed up to here: a server may publish hundreds.
const MOST_LISTED: usize = 12;

struct Report(Vec<ReportLine>);

impl Report {
    fn say(&mut self, verdict: Verdict, key: &str, value: impl AsRef<str>) {
        let value = plain(value.as_ref());
        self.0.push(ReportLine { verdict, key: format!("report.{key}"), value, problem: None });
    }

    fn wrong(&mut self, problem: Problem) {
        let line = ReportLine {
            verdict: Verdict::Wrong,
            key: "report.wrong".to_owned(),
            value: String::new(),
            problem: Some(problem),
        };
        self.0.push(line);
    }
}

fn listed<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(MOST_LISTED).map(AsRef::as_ref).collect();
    let more = all.len().saturating_sub(MOST_LISTED);
    if more == 0 { shown.join(" ") } else { format!("{} and {more} more", shown.join(" ")) }
}

/// Looks at a provider. `lacks_secret` is whether it demands a secret that is not kept.
pub async fn of(http: &Http, name: &ProviderName, provider: &Provider, lacks_secret: bool) -> Vec<ReportLine> {
    let mut report = Report(Vec::new());
    if provider.lacks_server() {
        report.say(Verdict::Wrong, "server-missing", name.as_str());
        return report.0;
    }
    let metadata = match &provider.issuer {
        None => {
            report.say(Verdict::Odd, "by-hand", "");
            None
        }
        Some(issuer) => match discovery::metadata(http, name.as_str(), issuer).await {
            Ok(metadata) => {
                report.say(Verdict::Good, "issuer", issuer);
                Some(metadata)
            }
            Err(problem) => {
                report.wrong(problem);
                return report.0;
            }
        },
    };
    match discovery::server(name.as_str(), provider, metadata.as_ref()) {
        Ok(server) => endpoints(&mut report, provider, &server),
        Err(problem) => report.wrong(problem),
    }
    if let Some(metadata) = &metadata {
        pkce(&mut report, metadata);
        authentication(&mut report, provider, metadata);
        proofs(&mut report, metadata);
        scopes(&mut report, provider, metadata);
    }
    client(&mut report, name, provider, lacks_secret);
    report.0
}

/// Looks at an issuer that nothing is written down for.
pub async fn of_issuer(http: &Http, issuer: &str) -> Vec<ReportLine> {
    let mut report = Report(Vec::new());
    match discovery::metadata(http, issuer, issuer).await {
        Err(problem) => report.wrong(problem),
        Ok(metadata) => {
            report.say(Verdict::Good, "issuer", issuer);
            let provider = Provider::of_issuer(issuer);
            match discovery::server(issuer, &provider, Some(&metadata)) {
                Ok(server) => endpoints(&mut report, &provider, &server),
                Err(problem) => report.wrong(problem),
            }
            pkce(&mut report, &metadata);
            authentication(&mut report, &provider, &metadata);
            proofs(&mut report, &metadata);
            if let Some(supported) = &metadata.scopes_supported {
                report.say(Verdict::Good, "scopes-supported", listed(supported));
            }
            match (&metadata.registration_endpoint, metadata.client_id_metadata_document_supported) {
                (_, true) => report.say(Verdict::Good, "document-offered", issuer),
                (Some(_), false) => report.say(Verdict::Good, "registration-offered", issuer),
                (None, false) => report.say(Verdict::Odd, "not-written-down", ""),
            }
        }
    }
    report.0
}

fn endpoints(report: &mut Report, provider: &Provider, server: &discovery::Server) {
    report.say(Verdict::Good, "authorization-endpoint", &server.authorization_endpoint);
    report.say(Verdict::Good, "token-endpoint", &server.token_endpoint);
    // An endpoint elsewhere is common (Google's are on three hosts), and worth seeing.
    let issuer = Url::parse(&server.issuer).ok();
    let elsewhere = issuer.as_ref().is_some_and(|issuer| is_loopback(issuer) != is_loopback(&server.token_endpoint));
    if elsewhere {
        report.say(Verdict::Odd, "token-endpoint-elsewhere", &server.token_endpoint);
    }
    match &server.revocation_endpoint {
        Some(url) => report.say(Verdict::Good, "revocation-endpoint", url),
        None => report.say(Verdict::Odd, "revocation-missing", ""),
    }
    let openid = provider.scopes.iter().any(|scope| scope.as_str() == "openid");
    let wants = |kind| provider.redirects.first().is_some_and(|redirect| redirect.kind == kind);
    match (&server.jwks_uri, &server.userinfo_endpoint) {
        // Nobody signs in.
        _ if wants(RedirectKind::ClientCredentials) => {}
        (Some(_), _) if openid => report.say(Verdict::Good, "who-by-id-token", ""),
        (_, Some(url)) => report.say(Verdict::Good, "who-by-userinfo", url),
        (Some(_), None) => report.say(Verdict::Wrong, "who-needs-openid", ""),
        (None, None) => report.say(Verdict::Wrong, "who-unknown", ""),
    }
    match &server.device_authorization_endpoint {
        Some(url) => report.say(Verdict::Good, "device-endpoint", url),
        None if wants(RedirectKind::Device) => report.say(Verdict::Wrong, "device-missing", ""),
        None => {}
    }
    if let Some(url) = &server.pushed_authorization_request_endpoint {
        report.say(Verdict::Good, "pushed", url);
    }
    if let Some(url) = &server.end_session_endpoint {
        report.say(Verdict::Good, "end-session", url);
    }
    if server.iss_required {
        report.say(Verdict::Good, "iss", "");
    }
}

/// Whether it takes tokens that are bound to a key (RFC 9449). That it does not, where they are to be, is said already.
fn proofs(report: &mut Report, metadata: &Metadata) {
    if let Some(algorithms) = &metadata.dpop_signing_alg_values_supported {
        report.say(Verdict::Good, "dpop", listed(algorithms));
    }
}

fn pkce(report: &mut Report, metadata: &Metadata) {
    match &metadata.code_challenge_methods_supported {
        None => report.say(Verdict::Odd, "pkce-silent", ""),
        Some(methods) if methods.len() == 1 && methods.iter().any(|method| method == "S256") => {
            report.say(Verdict::Good, "pkce", "");
        }
        Some(methods) if methods.iter().any(|method| method == "S256") => {
            report.say(Verdict::Odd, "pkce-beside", listed(methods));
        }
        // What signing in refuses is said already.
        Some(_) => {}
    }
}

fn authentication(report: &mut Report, provider: &Provider, metadata: &Metadata) {
    let method = provider.auth_method.name();
    // RFC 8414 section 2: where it is left out, client_secret_basic.
    let offered = metadata.token_endpoint_auth_methods_supported.clone();
    let offered = offered.unwrap_or_else(|| vec!["client_secret_basic".to_owned()]);
    if offered.iter().any(|offered| offered == method) {
        report.say(Verdict::Good, "client-authentication", method);
    } else if provider.auth_method == AuthMethod::None {
        // Many servers take public clients and forget to say so.
        report.say(Verdict::Odd, "client-none-unlisted", listed(&offered));
    } else {
        report.say(Verdict::Wrong, "client-authentication-unlisted", format!("{method}; {}", listed(&offered)));
    }
}

fn scopes(report: &mut Report, provider: &Provider, metadata: &Metadata) {
    let asked: Vec<&str> = provider.scopes.iter().map(|scope| scope.as_str()).collect();
    report.say(Verdict::Good, "scopes", listed(&asked));
    let Some(supported) = &metadata.scopes_supported else { return };
    let is_supported = |scope: &&&str| supported.iter().any(|supported| supported == **scope);
    let unknown: Vec<&str> = asked.iter().filter(|scope| !is_supported(scope)).copied().collect();
    if !unknown.is_empty() {
        report.say(Verdict::Odd, "scopes-unlisted", listed(&unknown));
    }
    if is_supported(&&"offline_access") && !asked.contains(&"offline_access") {
        report.say(Verdict::Odd, "offline-access", "");
    }
}

fn client(report: &mut Report, name: &ProviderName, provider: &Provider, lacks_secret: bool) {
    if provider.client_id.is_empty() {
        let register = provider.help.as_ref().map_or("", |help| help.register.as_str());
        report.say(Verdict::Wrong, "client-missing", register);
    } else {
        report.say(Verdict::Good, "client", &provider.client_id);
    }
    if lacks_secret {
        report.wrong(Problem::SecretNeeded { provider: name.0.clone() });
    }
    if let Some(redirect) = provider.redirects.first() {
        let uri = redirect.uri.as_ref().map_or("", Url::as_str);
        match redirect.kind {
            RedirectKind::DeepLink => report.say(Verdict::Good, "redirect-deep-link", uri),
            RedirectKind::Loopback => report.say(Verdict::Good, "redirect-loopback", uri),
            RedirectKind::Paste => report.say(Verdict::Good, "redirect-paste", uri),
            RedirectKind::Device => report.say(Verdict::Good, "redirect-device", uri),
            RedirectKind::ClientCredentials if provider.auth_method == AuthMethod::None => {
                report.wrong(crate::sign_in::needs_confidential_client(name.as_str()));
            }
            RedirectKind::ClientCredentials => report.say(Verdict::Good, "redirect-client-credentials", uri),
        }
    }
    if provider.help.as_ref().is_some_and(|help| !help.verified) {
        report.say(Verdict::Odd, "unverified", "");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, json};

    /// What is said of an issuer whose metadata also says this.
    fn said(more: &serde_json::Value) -> Vec<(Verdict, String)> {
        let mut metadata = json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/authorize",
            "token_endpoint": "https://id.example/token",
            "revocation_endpoint": "https://id.example/revoke",
            "jwks_uri": "https://id.example/jwks",
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        });
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let metadata: Metadata = serde_json::from_value(metadata).unwrap();
        let provider = Provider::of_issuer("https://id.example");
        let mut report = Report(Vec::new());
        match discovery::server("work", &provider, Some(&metadata)) {
            Ok(server) => endpoints(&mut report, &provider, &server),
            Err(problem) => report.wrong(problem),
        }
        pkce(&mut report, &metadata);
        authentication(&mut report, &provider, &metadata);
        proofs(&mut report, &metadata);
        scopes(&mut report, &provider, &metadata);
        report.0.into_iter().map(|line| (line.verdict, line.key.trim_start_matches("report.").to_owned())).collect()
    }

    fn has(more: &serde_json::Value, verdict: Verdict, key: &str) {
        let said = said(more);
        assert!(said.contains(&(verdict, key.to_owned())), "{more}: {said:?}");
        if verdict == Verdict::Odd {
            assert!(!said.iter().any(|(verdict, _)| *verdict == Verdict::Wrong), "{more}: {said:?}");
        }
    }

    #[test]
    fn what_is_odd_but_harmless_is_odd() {
        assert!(said(&json!({})).iter().all(|(verdict, _)| *verdict == Verdict::Good));
        has(&json!({ "revocation_endpoint": null }), Verdict::Odd, "revocation-missing");
        has(&json!({ "code_challenge_methods_supported": ["plain", "S256"] }), Verdict::Odd, "pkce-beside");
        has(&json!({ "code_challenge_methods_supported": null }), Verdict::Odd, "pkce-silent");
        let forgets = json!({ "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"] });
        has(&forgets, Verdict::Odd, "client-none-unlisted");
        has(&json!({ "scopes_supported": ["email"] }), Verdict::Odd, "scopes-unlisted");
        has(&json!({ "scopes_supported": ["openid", "offline_access"] }), Verdict::Odd, "offline-access");
    }

    #[test]
    fn what_it_offers_besides_is_told() {
        let logout = json!({ "end_session_endpoint": "https://id.example/end" });
        has(&logout, Verdict::Good, "end-session");
        has(&json!({ "dpop_signing_alg_values_supported": ["ES256"] }), Verdict::Good, "dpop");
    }

    #[test]
    fn what_is_dangerous_is_wrong() {
        has(&json!({ "code_challenge_methods_supported": ["plain"] }), Verdict::Wrong, "wrong");
        has(&json!({ "token_endpoint": "http://id.example/token" }), Verdict::Wrong, "wrong");
        has(&json!({ "token_endpoint": null }), Verdict::Wrong, "wrong");
        has(&json!({ "jwks_uri": null }), Verdict::Wrong, "who-unknown");
    }

    #[test]
    fn every_line_has_its_words() {
        let source = include_str!("report.rs").split("#[cfg(test)]").next().unwrap();
        let keys: Vec<&str> =
            source.split("Verdict::").skip(1).filter_map(|rest| rest.split_once(", \"")?.1.split('"').next()).collect();
        assert!(keys.len() > 25, "{keys:?}");
        for key in keys {
            let key = format!("report.{key}");
            assert_ne!(larder_core::words::message(&key, &Map::new()), key);
        }
    }
}
