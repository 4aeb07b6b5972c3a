//! Everything at once, against a certified provider with all of it switched on: a client that Larder registered with a secret
//! (RFC 7591), a pushed authorization request (RFC 9126), a code entered on a device (RFC 8628), tokens bound to a key
//! (RFC 9449), revocation (RFC 7009), sign-out in the browser, and the end of the registration (RFC 7592).

use crate::support::oidc_provider::OidcProvider;
use crate::support::{Session, files_below, holds};
use serde_json::{Value, json};

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What came to the token endpoint and was granted: by which grant, and how the client and the key were proven.
fn granted(provider: &OidcProvider) -> Vec<Value> {
    let seen = provider.seen().into_iter().filter(|seen| seen["path"] == "/token" && seen["status"] == 200);
    seen.map(|seen| json!([seen["grant_type"], seen["header"], seen["proof"]])).collect()
}

/// The status that userinfo answers to this account's token with its proof, and whom it says.
fn works(session: &Session, provider: &OidcProvider, account: &str) -> (u16, Value) {
    let me = format!("{}/me", provider.issuer);
    let headers = session.larder(&["token", account, "--dpop", "GET", &me, "--format", "header"]).ok();
    let headers: Vec<_> = headers.lines().map(|line| line.split_once(": ").expect("a header")).collect();
    let (status, claims, _) = provider.userinfo(&headers);
    (status, claims["email"].clone())
}

#[test]
fn everything_that_is_switched_on_works_together() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "secret")]);
    let checked = session.larder(&["providers", "check", &provider.issuer]);
    assert!(!checked.stdout.contains("wrong"), "{checked:?}");
    for offered in
        ["(`--device`)", "/request", "/token/revocation", "(DPoP)", "registers one there", "sign out in the browser"]
    {
        assert!(checked.stdout.contains(offered), "{offered}: {}", checked.stdout);
    }

    // The first address registers the client; then its person wants the tokens bound to a key.
    session.larder(&["sign-in", &provider.issuer, "--no-browser"]).ok();
    assert_eq!(provider.registrations(), [("POST".to_owned(), 201)]);
    let file = session.profile().join("providers.toml");
    let bound = std::fs::read_to_string(&file).unwrap() + "\ndpop_bound_access_tokens = true\n";
    std::fs::write(&file, bound).unwrap();
    let name = "127.0.0.1";

    // With a browser here: the request is pushed, and names the key.
    let pushed_before = provider.pushed().len();
    let url = session.larder(&["sign-in", name, "--label", "browser", "--no-browser"]).ok();
    assert!(url.contains("request_uri=") && !url.contains("code_challenge"), "{url}");
    assert_eq!(session.larder_reads(&["callback"], &provider.browse(&url, "ada")).ok(), "browser");
    let pushed = &provider.pushed()[pushed_before..];
    assert!(pushed.iter().all(|request| request["dpop_jkt"].is_string()), "{pushed:?}");
    assert_eq!(pushed.last().expect("a pushed request")["status"], 201);

    // With a browser elsewhere.
    let events = session.events();
    events.wait("signed-in");
    let shown = session.larder(&["sign-in", name, "--label", "device", "--device", "--no-browser", "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    provider.confirm_device(shown["device"]["verification_uri_complete"].as_str().expect("a link"), "grace");
    events.wait("signed-in");

    for (account, email) in [("browser", "ada@example.com"), ("device", "grace@example.com")] {
        assert_eq!(works(&session, &provider, account), (200, json!(email)));
        session.larder(&["refresh", account]).ok();
        assert_eq!(works(&session, &provider, account), (200, json!(email)));
    }
    let grants = ["authorization_code", DEVICE, "refresh_token", "refresh_token"];
    assert_eq!(granted(&provider), grants.map(|grant| json!([grant, "Basic", true])));

    // Nothing of it lies in a file as it is.
    let secrets = provider.secrets();
    assert!(!secrets.is_empty());
    for file in files_below(session.home()) {
        assert!(secrets.iter().all(|secret| !holds(&file, secret.as_bytes())), "{}", file.display());
    }

    // The provider hears of both ends, and the last account takes the registration with it.
    let said = session.larder(&["sign-out", "browser", "--forget"]).stderr;
    let offered = said.split_whitespace().find(|word| word.contains("/session/end")).expect("an address");
    assert!(
        offered.contains("client_id=") && offered.contains("logout_hint=") && !offered.contains("id_token"),
        "{offered}"
    );
    session.larder(&["sign-out", "device", "--forget"]).ok();
    events.wait("registration-removed");
    let revoked: Vec<_> = provider.seen().into_iter().filter(|seen| seen["path"] == "/token/revocation").collect();
    assert!(revoked.len() >= 2 && revoked.iter().all(|seen| seen["status"] == 200), "{revoked:?}");
    assert_eq!(provider.registrations().last(), Some(&("DELETE".to_owned(), 204)));
    // What seals the clients is not an account's.
    assert!(session.keychain_items() <= 1);
}
