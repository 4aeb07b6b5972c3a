//! Signing in by nothing but an address: of an issuer, or of a protected resource such as an MCP server.

use crate::support::oidc_provider::OidcProvider;
use crate::support::pages::{Page, Pages};
use crate::support::{Keyring, Session, files_below, holds};
use larder_client::{Answer, Client, Request, Start};
use larder_core::profile::Profile;
use larder_core::view::ClientKind;
use serde_json::{Value, json};
use url::Url;

/// A protected resource at `/mcp` that names its server in a challenge.
fn resource(issuer: &str) -> Pages {
    Pages::start(|origin| {
        let metadata = format!("{origin}/.well-known/oauth-protected-resource/mcp");
        let document = |path: &str| {
            Page::json(json!({
                "resource": format!("{origin}{path}"),
                "authorization_servers": [issuer],
                "scopes_supported": ["read"],
                "resource_name": "Ada's notes",
            }))
        };
        vec![
            ("/mcp", Page::challenge(&format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\""))),
            ("/.well-known/oauth-protected-resource/mcp", document("/mcp")),
            // It says nothing by itself: its metadata is where RFC 9728 section 3.1 has it.
            ("/.well-known/oauth-protected-resource/other", document("/other")),
        ]
    })
}

/// An authorization server that is no OpenID provider, with these pages besides its metadata.
fn bare(metadata: impl Fn(&str) -> Value, more: &[(&str, Page)]) -> Pages {
    Pages::start(|origin| {
        let mut document = json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
        });
        let added = metadata(origin);
        for (key, value) in added.as_object().expect("an object") {
            document[key] = value.clone();
        }
        let mut pages = vec![("/.well-known/oauth-authorization-server".to_owned(), Page::json(document))];
        pages.extend(more.iter().map(|(path, page)| ((*path).to_owned(), page.clone())));
        pages
    })
}

fn sign_in(session: &Session, provider: &OidcProvider, url: &str, user: &str) -> String {
    let url = session.larder(&["sign-in", url, "--no-browser"]).ok();
    let redirect = provider.browse(&url, user);
    session.larder_reads(&["callback"], &redirect).ok()
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).expect("a URL");
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The last authorization request, which this server has pushed to it (RFC 9126).
fn pushed(provider: &OidcProvider) -> Value {
    provider.pushed().pop().expect("a pushed request")
}

fn providers_file(session: &Session) -> String {
    std::fs::read_to_string(session.profile().join("providers.toml")).unwrap_or_default()
}

fn ask(session: &Session, request: Request) -> Result<Answer, larder_core::problem::Problem> {
    let home = session.profile();
    let profile = Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone().into_os_string()));
    // The agent runs in the session; here it is only asked.
    session.larder(&["accounts"]).ok();
    Client::connect(&profile.expect("a profile"), Start::Never)?.ask(request)
}

#[test]
fn a_resource_is_signed_in_to_by_its_address_and_its_tokens_are_for_it_alone() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    let resource = resource(&provider.issuer);
    let url = format!("{}/mcp", resource.origin);
    let ran = session.larder(&["sign-in", &url, "--no-browser"]);
    let (said, shown) = (ran.stderr.clone(), ran.ok());
    assert!(said.contains("a client that Larder registered there"), "{said}");
    let pushed = pushed(&provider);
    assert_eq!(
        (&pushed["resource"], &pushed["scope"]),
        (&json!(url), &json!("openid profile email offline_access read"))
    );
    let redirect = provider.browse(&shown, "ada");
    assert_eq!(session.larder_reads(&["callback"], &redirect).ok(), "127.0.0.1");
    let first: Value = serde_json::from_str(&session.larder(&["token", "127.0.0.1", "--json"]).ok()).expect("JSON");
    // The server knows this scope for tokens of the resource alone.
    assert_eq!(first["scope"], "read", "{first}");
    session.larder(&["refresh", "127.0.0.1"]).ok();
    let second = session.larder(&["token", "127.0.0.1"]).ok();
    assert_ne!(first["access_token"], json!(second));
    let seen: Vec<_> = provider.seen().into_iter().filter(|seen| seen["path"] == "/token").collect();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen["resource"] == json!(url) && seen["status"] == 200), "{seen:?}");
    // What it was signed in with stays, whatever the configuration says later.
    let changed =
        providers_file(&session).replace(&format!("resource = \"{url}\""), "resource = \"http://127.0.0.1/x\"");
    assert!(changed.contains("http://127.0.0.1/x"), "{changed}");
    std::fs::write(session.profile().join("providers.toml"), changed).unwrap();
    session.larder(&["refresh", "127.0.0.1"]).ok();
    let last = provider.seen().into_iter().rfind(|seen| seen["path"] == "/token").expect("a refresh");
    assert_eq!((&last["grant_type"], &last["resource"]), (&json!("refresh_token"), &json!(url)));
}

#[test]
fn a_registration_is_made_once_for_all_addresses_of_an_issuer_and_told_in_the_record() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    let resource = resource(&provider.issuer);
    let events = session.events();
    assert_eq!(sign_in(&session, &provider, &format!("{}/mcp", resource.origin), "ada"), "127.0.0.1");
    events.wait("client-registered");
    session.larder(&["sign-out", "127.0.0.1"]).ok();
    assert_eq!(sign_in(&session, &provider, &format!("{}/mcp", resource.origin), "grace"), "127.0.0.1-2");
    let other = format!("{}/other", resource.origin);
    session.larder(&["sign-in", &other, "--no-browser"]).ok();
    assert_eq!(pushed(&provider)["resource"], json!(other));
    // Without a slash at the end it is the issuer's name, with one it is found all the same.
    assert_eq!(sign_in(&session, &provider, &format!("{}/", provider.issuer), "ada"), "127.0.0.1-3");
    assert_eq!(session.account("127.0.0.1-3")["email"], "ada@example.com");
    assert_eq!(provider.registrations(), [("POST".to_owned(), 201)]);
    let file = providers_file(&session);
    assert_eq!(file.matches("[provider.").count(), 3, "{file}");
    // A registration that is kept is used again, even where its providers were taken out of the file.
    session.larder(&["sign-out", "--all"]).ok();
    std::fs::write(session.profile().join("providers.toml"), "").unwrap();
    session.larder(&["sign-in", &provider.issuer, "--no-browser"]).ok();
    assert_eq!(provider.registrations().len(), 1);
}

#[test]
fn a_registration_goes_with_the_last_account_that_is_forgotten() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    assert_eq!(sign_in(&session, &provider, &provider.issuer, "ada"), "127.0.0.1");
    session.larder(&["sign-out", "127.0.0.1"]).ok();
    assert_eq!(sign_in(&session, &provider, &provider.issuer, "grace"), "127.0.0.1-2");
    session.larder(&["sign-out", "127.0.0.1-2"]).ok();
    session.larder(&["sign-out", "127.0.0.1", "--forget"]).ok();
    assert_eq!(provider.registrations().len(), 1, "an account is still listed");
    let events = session.events();
    session.larder(&["sign-out", "127.0.0.1-2", "--forget"]).ok();
    events.wait("registration-removed");
    assert_eq!(provider.registrations(), [("POST".to_owned(), 201), ("DELETE".to_owned(), 204)]);
    assert!(!providers_file(&session).contains("client_id"), "{}", providers_file(&session));
    // Both sessions were ended at the provider before their client went.
    let revoked = provider.seen().iter().filter(|seen| seen["path"] == "/token/revocation").count();
    assert_eq!(revoked, 2);
    // The next time, a client is registered anew.
    assert_eq!(sign_in(&session, &provider, &provider.issuer, "ada"), "127.0.0.1");
}

#[test]
fn a_registration_that_is_not_to_be_told_of_stays() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    sign_in(&session, &provider, &provider.issuer, "ada");
    session.larder(&["sign-out", "127.0.0.1", "--forget", "--here-only"]).ok();
    sign_in(&session, &provider, &provider.issuer, "ada");
    assert_eq!(provider.registrations(), [("POST".to_owned(), 201)]);
}

#[test]
fn what_a_registration_brings_lies_sealed_and_in_no_file_as_it_is() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "secret")]);
    let label = sign_in(&session, &provider, &provider.issuer, "ada");
    session.larder(&["refresh", &label]).ok();
    let tokens: Vec<_> = provider.seen().into_iter().filter(|seen| seen["path"] == "/token").collect();
    assert!(tokens.iter().all(|seen| seen["header"] == "Basic" && seen["status"] == 200), "{tokens:?}");
    let secrets = provider.secrets();
    assert_eq!(secrets.len(), 2, "a secret, and the token that manages the registration");
    for file in files_below(session.home()) {
        for secret in &secrets {
            assert!(!holds(&file, secret.as_bytes()), "{}", file.display());
        }
    }
    let events = session.events();
    session.larder(&["sign-out", &label, "--forget"]).ok();
    events.wait("registration-removed");
    let connection = rusqlite::Connection::open(session.profile().join("larder.db")).expect("the database opens");
    let left: u32 = connection.query_row("SELECT count(*) FROM client", [], |row| row.get(0)).expect("a count");
    assert_eq!(left, 0);
}

#[test]
fn a_client_of_the_persons_own_comes_before_any_other() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    provider.add(&session, "mine", "desktop", &[]);
    let ran = session.larder(&["sign-in", &provider.issuer, "--no-browser"]);
    assert!(ran.stderr.contains("provider “mine”") && ran.stderr.contains("that you registered"), "{}", ran.stderr);
    // For a resource, another provider with the same client.
    let resource = resource(&provider.issuer);
    let url = format!("{}/mcp", resource.origin);
    session.larder(&["sign-in", &url, "--no-browser"]).ok();
    let pushed = pushed(&provider);
    assert_eq!((&pushed["client_id"], &pushed["resource"]), (&json!("desktop"), &json!(url)));
    assert!(provider.registrations().is_empty());
}

#[test]
fn a_document_that_describes_the_client_comes_before_a_registration() {
    let session = Session::new();
    let more = |origin: &str| json!({ "client_id_metadata_document_supported": true, "registration_endpoint": format!("{origin}/reg") });
    let server = bare(more, &[]);
    let document = "https://larder.example/client.json";
    std::fs::create_dir_all(session.profile()).unwrap();
    let config = session.profile().join("config.toml");
    std::fs::write(&config, format!("client_id_metadata_document = \"{document}\"\n")).unwrap();
    let shown = session.larder(&["sign-in", &server.origin, "--no-browser"]).ok();
    assert_eq!(parameter(&shown, "client_id").as_deref(), Some(document));
    assert!(server.seen("POST /reg").is_empty());
    // It is named to a server that takes it, and to no other.
    let other = bare(|origin| json!({ "registration_endpoint": format!("{origin}/reg") }), &[]);
    session.larder(&["sign-in", &other.origin, "--no-browser"]).fails(8);
    assert_eq!(other.seen("POST /reg").len(), 1);
    std::fs::write(&config, "client_id_metadata_document = \"http://larder.example/client.json\"\n").unwrap();
    let said = session.larder(&["status"]);
    assert_eq!(said.code, 8, "{said:?}");
}

#[test]
fn a_resource_whose_server_knows_no_names_is_one_account() {
    let session = Session::new();
    let token = Page::json(json!({ "access_token": "a-token", "token_type": "Bearer", "expires_in": 600 }));
    let registered = Page::answer(201, json!({ "client_id": "registered" }));
    let server = bare(
        |origin| json!({ "registration_endpoint": format!("{origin}/reg"), "scopes_supported": ["read"] }),
        &[("/token", token), ("/reg", registered)],
    );
    let resource = resource(&server.origin);
    let url = format!("{}/mcp", resource.origin);
    for _ in 0..2 {
        let shown = session.larder(&["sign-in", &url, "--no-browser"]).ok();
        assert_eq!(parameter(&shown, "scope").as_deref(), Some("read"));
        let state = parameter(&shown, "state").expect("a state");
        let redirect = format!("dev.larder.desktop:/callback?code=c&state={state}");
        assert_eq!(session.larder_reads(&["callback"], &redirect).ok(), "127.0.0.1");
    }
    assert_eq!(session.larder(&["token", "127.0.0.1"]).ok(), "a-token");
    let asked: Value = serde_json::from_str(&server.seen("POST /reg").concat()).expect("one registration");
    assert_eq!(
        (&asked["application_type"], &asked["token_endpoint_auth_method"], &asked["redirect_uris"]),
        (&json!("native"), &json!("none"), &json!(["dev.larder.desktop:/callback", "http://127.0.0.1/callback"]))
    );
    // It offers no way to remove the registration, which is said and not held against anybody.
    let events = session.events();
    session.larder(&["sign-out", "127.0.0.1", "--forget"]).ok();
    let left = events.wait("registration-left");
    assert_eq!(left["problem"]["code"], "registration-left", "{left}");
}

#[test]
fn looking_at_an_address_changes_nothing() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    let resource = resource(&provider.issuer);
    let url = format!("{}/mcp", resource.origin);
    let find = || ask(&session, Request::Find { url: url.clone() }).expect("it is found");
    let Answer::Found { issuer, resource: whom, client, provider: name, title, .. } = find() else {
        panic!("no answer")
    };
    assert_eq!((issuer.as_str(), whom.as_deref(), name), (provider.issuer.as_str(), Some(url.as_str()), None));
    assert_eq!((client, title.as_str()), (Some(ClientKind::Registration), "Ada's notes"));
    assert!(provider.registrations().is_empty() && providers_file(&session).is_empty());
    let adopted = ask(&session, Request::Adopt { url: url.clone() }).expect("it is adopted");
    assert!(matches!(&adopted, Answer::Adopted { client: ClientKind::Registration, .. }), "{adopted:?}");
    let Answer::Found { provider: name, .. } = find() else { panic!("no answer") };
    assert_eq!(name.expect("a provider").as_str(), "127.0.0.1");
}

#[test]
fn a_resource_that_speaks_for_another_or_is_spoken_for_elsewhere_is_refused() {
    let session = Session::new();
    let refused = |pages: Pages, part: &str| {
        let said = session.larder(&["sign-in", &format!("{}/mcp", pages.origin), "--no-browser"]).fails(8);
        assert!(said.contains(part), "{part}: {said}");
        pages
    };
    let of = |resource: &str| json!({ "resource": resource, "authorization_servers": ["https://id.example"] });
    let well_known = "/.well-known/oauth-protected-resource/mcp";
    refused(Pages::start(|_| vec![(well_known, Page::json(of("https://bank.example/mcp")))]), "another origin");
    refused(Pages::start(|origin| vec![(well_known, Page::json(of(&format!("{origin}/mc"))))]), "another resource");
    let elsewhere = Pages::start(|origin| vec![("/metadata", Page::json(of(&format!("{origin}/mcp"))))]);
    let challenge = format!("Bearer resource_metadata=\"{}/metadata\"", elsewhere.origin);
    refused(Pages::start(|_| vec![("/mcp", Page::challenge(&challenge))]), "its metadata lies at another origin");
    assert!(elsewhere.seen("GET /metadata").is_empty());
    // A redirect is not followed either.
    let redirect = Page::redirect(&format!("{}/metadata", elsewhere.origin));
    refused(Pages::start(|_| vec![(well_known, redirect)]), "neither an issuer nor a resource");
    assert!(elsewhere.seen("GET /metadata").is_empty());
    assert!(providers_file(&session).is_empty());
}

#[test]
fn an_issuer_that_is_another_than_was_named_is_refused() {
    let session = Session::new();
    let server = bare(|_| json!({ "issuer": "https://id.example" }), &[]);
    let said = session.larder(&["sign-in", &server.origin, "--no-browser"]).fails(8);
    assert!(said.contains("another issuer") && said.contains("https://id.example"), "{said}");
    let resource = resource(&server.origin);
    let said = session.larder(&["sign-in", &format!("{}/mcp", resource.origin), "--no-browser"]).fails(8);
    assert!(said.contains("another issuer"), "{said}");
    // A resource names its server to the letter.
    let server = bare(|_| json!({}), &[]);
    let resource = self::resource(&format!("{}/", server.origin));
    session.larder(&["sign-in", &format!("{}/mcp", resource.origin), "--no-browser"]).fails(8);
    for (url, part) in [
        ("http://id.example", "plain http"),
        ("ftp://127.0.0.1/", "must be an https URL"),
        ("https://ada:secret@id.example", "user name"),
    ] {
        let said = session.larder(&["sign-in", url, "--no-browser"]).fails(8);
        assert!(said.contains(part), "{url}: {said}");
    }
    assert!(providers_file(&session).is_empty());
}

#[test]
fn an_issuer_without_registration_and_one_that_refuses_it_say_what_to_do() {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    let said = session.larder(&["sign-in", &provider.issuer, "--no-browser"]).fails(8);
    assert!(said.contains("larder providers add") && said.contains("dev.larder.desktop:/callback"), "{said}");
    let refusal = json!({ "error": "invalid_client_metadata", "error_description": "not for you" });
    for (page, part) in [
        (Page::answer(400, refusal), "larder: The provider says: not for you"),
        (Page::answer(401, json!({})), "(status 401)"),
        (Page::answer(201, json!({ "id": "x" })), "not that of a registration"),
        (Page::answer(201, json!({ "client_id": "" })), "cannot be one"),
        (
            Page::answer(201, json!({ "client_id": "x", "token_endpoint_auth_method": "client_secret_basic" })),
            "demands a secret, and gave none",
        ),
    ] {
        let server = bare(|origin| json!({ "registration_endpoint": format!("{origin}/reg") }), &[("/reg", page)]);
        let said = session.larder(&["sign-in", &server.origin, "--no-browser"]).fails(8);
        assert!(said.contains(part) && said.contains("larder providers add"), "{part}: {said}");
    }
    assert!(providers_file(&session).is_empty());
}

#[test]
fn nothing_is_registered_that_could_not_be_kept() {
    let session = Session::with(Keyring::Locked);
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    session.larder(&["sign-in", &provider.issuer, "--no-browser"]).fails(6);
    assert!(provider.registrations().is_empty() && providers_file(&session).is_empty());
}

#[test]
fn two_who_ask_for_one_address_at_once_share_registration_and_provider() {
    let session = Session::new();
    let provider = OidcProvider::start_with(&session, &[("REGISTRATION", "public")]);
    session.larder(&["accounts"]).ok();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| session.larder(&["sign-in", &provider.issuer, "--no-browser"]).ok());
        }
    });
    assert_eq!(provider.registrations(), [("POST".to_owned(), 201)]);
    assert_eq!(providers_file(&session).matches("[provider.").count(), 1);
}

#[test]
fn a_sign_in_by_device_code_asks_for_the_resource_too() {
    let session = Session::new();
    let token = Page::json(json!({ "access_token": "a-token", "token_type": "Bearer", "expires_in": 600 }));
    let code = json!({
        "device_code": "d",
        "user_code": "U-1",
        "verification_uri": "https://id.example/device",
        "expires_in": 600,
        "interval": 1,
    });
    let server = bare(
        |origin| {
            json!({
                "registration_endpoint": format!("{origin}/reg"),
                "device_authorization_endpoint": format!("{origin}/device"),
            })
        },
        &[
            ("/token", token),
            ("/device", Page::json(code)),
            ("/reg", Page::answer(201, json!({ "client_id": "registered" }))),
        ],
    );
    let resource = resource(&server.origin);
    let url = format!("{}/mcp", resource.origin);
    let events = session.events();
    session.larder(&["sign-in", &url, "--device", "--no-browser"]).ok();
    events.wait("signed-in");
    let encoded: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
    for request in ["POST /device", "POST /token"] {
        let seen = server.seen(request);
        assert!(!seen.is_empty() && seen.iter().all(|body| body.contains(&format!("resource={encoded}"))), "{seen:?}");
    }
    assert!(server.seen("POST /reg").concat().contains("urn:ietf:params:oauth:grant-type:device_code"));
}
