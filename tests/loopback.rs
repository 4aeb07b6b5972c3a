//! A redirect to this computer's own address (RFC 8252 section 7.3), a client with a secret, and an address that is pasted.

use crate::support::oidc_provider::CLIENT_SECRET;
use crate::support::oidc_provider::OidcProvider;
use crate::support::{PATIENCE, Provider, Session, files_below, holds};
use larder_client::{Answer, Client, Profile, Request, Start};
use larder_core::names::AttemptId;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use url::Url;

/// A provider called "work", and nobody signed in.
fn work() -> (Session, Provider) {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    (session, provider)
}

/// Begins a sign-in that waits at an address of this computer: where to go, and where it waits.
fn waiting(session: &Session, provider: &str) -> (String, Url) {
    let url = session.larder(&["sign-in", provider, "--redirect", "loopback", "--no-browser"]).ok();
    let uri = redirect_uri(&url);
    (url, uri)
}

fn redirect_uri(url: &str) -> Url {
    let url = Url::parse(url).expect("a URL");
    let (_, uri) = url.query_pairs().find(|(name, _)| name == "redirect_uri").expect("a redirect_uri");
    Url::parse(&uri).expect("a URL")
}

fn place(uri: &Url) -> SocketAddr {
    uri.socket_addrs(|| None).expect("an address").first().copied().expect("an address")
}

/// Opens an address as a browser does whose person reads this language.
fn open(address: &str, language: &str) -> (u16, String) {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).proxy(None);
    let agent: ureq::Agent = config.build().into();
    let mut answer = agent.get(address).header("Accept-Language", language).call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("a page"))
}

/// What is written goes out as it stands; what is answered comes back as it stands.
fn say(to: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.write_all(text.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

fn refuses(at: SocketAddr) -> bool {
    TcpStream::connect(at).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// That nobody listens there any more, a few seconds from `since` at the latest.
#[track_caller]
fn closes(session: &Session, at: SocketAddr, since: Instant) {
    session.wait_for("the listener's end", || refuses(at));
    assert!(since.elapsed() < Duration::from_secs(10), "it listened for {:?} more", since.elapsed());
}

#[test]
fn the_browser_s_answer_comes_to_this_computer_and_the_page_says_so_in_its_person_s_language() {
    let (session, provider) = work();
    for (user, language, title, close) in [
        ("ada", "de-CH,de;q=0.9,en;q=0.8", "Angemeldet", "work ist angemeldet. Du kannst diese Seite schließen."),
        ("grace", "en-GB,en;q=0.9", "Signed in", "work-2 is signed in. You can close this page."),
    ] {
        let (url, uri) = waiting(&session, "work");
        assert_eq!((uri.scheme(), uri.host_str(), uri.path()), ("http", Some("127.0.0.1"), "/callback"), "{uri}");
        assert!(uri.port().is_some_and(|port| port >= 1024), "{uri}");
        assert!(place(&uri).ip().is_loopback());
        let redirect = session.browse(&url, user, "allow");
        assert!(redirect.starts_with(&format!("{uri}?")), "{redirect}");
        let (status, page) = open(&redirect, language);
        assert_eq!(status, 200);
        assert!(page.contains(title) && page.contains(close), "{page}");
        let language = language.get(..2).expect("two letters");
        assert!(page.contains(&format!("<html lang=\"{language}\">")), "{page}");
        // The page says so when it is so.
        let label = if user == "ada" { "work" } else { "work-2" };
        let (status, claims) = provider.userinfo(&session.larder(&["token", label]).ok());
        assert_eq!((status, &claims["email"]), (200, &json!(format!("{user}@example.com"))));
    }
}

#[test]
fn no_address_that_the_browser_keeps_holds_the_code() {
    let (session, _provider) = work();
    let (url, uri) = waiting(&session, "work");
    let redirect = session.browse(&url, "ada", "allow");
    let at = place(&uri);
    let target = redirect.strip_prefix(&format!("http://{at}")).expect("there");
    let get = |target: &str| say(at, &format!("GET {target} HTTP/1.1\r\nHost: {at}\r\n\r\n"));
    // Before the end there is no such page.
    assert!(get("/ended").starts_with("HTTP/1.1 404"));
    let answer = get(target);
    assert!(answer.starts_with("HTTP/1.1 303"), "{answer}");
    let mut headers = answer.lines().filter_map(|line| line.split_once(": "));
    let (_, location) = headers.find(|(name, _)| name.eq_ignore_ascii_case("location")).expect("a location");
    assert_eq!(location, "/ended");
    assert!(get(location).contains("work is signed in."));
    // Opened again, it says the same and asks nobody.
    assert!(get(location).contains("work is signed in."));
}

#[test]
fn what_else_comes_to_the_address_leaves_the_sign_in_waiting() {
    let (session, provider) = work();
    let (url, uri) = waiting(&session, "work");
    let at = place(&uri);
    // A preconnect that says nothing, and somebody who stops in the middle: both stay to the end.
    let _silent = TcpStream::connect(at).expect("it listens");
    let mut half = TcpStream::connect(at).expect("it listens");
    half.write_all(b"GET /callback?code=x&sta").expect("it reads");
    for _ in 0..200 {
        TcpStream::connect(at).expect("it listens");
    }
    let (status, page) = open(uri.join("/favicon.ico").expect("a URL").as_str(), "en");
    assert_eq!(status, 404);
    assert!(page.contains("Nothing waits here"), "{page}");
    assert_eq!(open(uri.as_str(), "en").0, 404);
    assert_eq!(open(&format!("{uri}/?code=x&state=y"), "en").0, 404);
    let (status, page) = open(&format!("{uri}?code=x&state=forged"), "de");
    assert_eq!(status, 400);
    assert!(page.contains("Hier wartet nichts") && !page.contains("forged"), "{page}");
    assert_eq!(open(&format!("{uri}?error=access_denied&state=forged"), "en").0, 400);
    let redirect = session.browse(&url, "ada", "allow");
    let target = redirect.strip_prefix(&format!("http://{at}")).expect("there");
    // The right answer, but for another name of this address (DNS rebinding), none, or by another method.
    let foreign = say(at, &format!("GET {target} HTTP/1.1\r\nHost: evil.example:{}\r\n\r\n", at.port()));
    assert!(foreign.starts_with("HTTP/1.1 421"), "{foreign}");
    let nameless = say(at, &format!("GET {target} HTTP/1.0\r\n\r\n"));
    assert!(nameless.starts_with("HTTP/1.0 421"), "{nameless}");
    let posted = say(at, &format!("POST {target} HTTP/1.1\r\nHost: {at}\r\nContent-Length: 0\r\n\r\n"));
    assert!(posted.starts_with("HTTP/1.1 404"), "{posted}");
    assert!(provider.seen("/token").is_empty());
    assert_eq!(session.keychain_items(), 0);
    let (status, page) = open(&redirect, "en");
    assert!(status == 200 && page.contains("Signed in"), "{status} {page}");
    assert_eq!(session.account("work")["state"], "fresh");
    assert_eq!(provider.seen("/token").len(), 1);
}

#[test]
fn nothing_listens_after_the_sign_in_has_ended_however_it_did() {
    let (session, provider) = work();
    let (url, uri) = waiting(&session, "work");
    let (status, _) = open(&session.browse(&url, "ada", "allow"), "en");
    assert_eq!(status, 200);
    closes(&session, place(&uri), Instant::now());

    let (url, uri) = waiting(&session, "work");
    let (status, page) = open(&session.browse(&url, "ada", "deny"), "en");
    assert!(status == 200 && page.contains("You said no at work"), "{status} {page}");
    closes(&session, place(&uri), Instant::now());

    let text = session.larder(&["sign-in", "work", "--redirect", "loopback", "--no-browser", "--json"]).ok();
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let at = place(&redirect_uri(answer["authorization_url"].as_str().expect("a URL")));
    assert!(!refuses(at));
    cancel(&session, answer["attempt"].as_str().expect("an attempt"));
    closes(&session, at, Instant::now());

    let (_, uri) = waiting(&session, "work");
    session.stop_agent();
    closes(&session, place(&uri), Instant::now());
    assert_eq!(provider.seen("/token").len(), 1);
}

/// As the window's Cancel does.
pub fn cancel(session: &Session, attempt: &str) {
    let home = session.profile().into_os_string();
    let profile = Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone())).expect("a profile");
    let mut client = Client::connect(&profile, Start::Never).expect("the agent");
    let answer = client.ask(Request::CancelSignIn { attempt: AttemptId(attempt.to_owned()) });
    assert!(matches!(answer, Ok(Answer::Done)), "{answer:?}");
}

#[test]
fn a_port_that_another_program_has_is_named_at_once_and_used_once_it_is_free() {
    let (session, provider) = work();
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = other.local_addr().expect("its address");
    let redirect = format!("loopback=http://{at}/callback");
    let issuer = provider.issuer.as_str();
    let add = ["providers", "add", "fixed", "--issuer", issuer, "--client-id", "larder-desktop", "--scope", "openid"];
    session.larder(&[&add[..], &["--scope", "email", "--redirect", &redirect]].concat()).ok();
    let since = Instant::now();
    let said = session.larder(&["sign-in", "fixed", "--no-browser"]).fails(8);
    let took = since.elapsed();
    assert!(said.contains(&format!("{at} is in use by another program")), "{said}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    drop(other);
    // A process that another test is just starting may hold a copy until it has started.
    session.wait_for("the port", || TcpListener::bind(at).is_ok());
    let url = session.larder(&["sign-in", "fixed", "--no-browser"]).ok();
    assert_eq!(place(&redirect_uri(&url)), at);
    let (status, page) = open(&session.browse(&url, "ada", "allow"), "en");
    assert!(status == 200 && page.contains("fixed is signed in"), "{status} {page}");
}

#[test]
fn a_client_with_a_secret_proves_itself_as_it_is_told_to_and_the_secret_lies_nowhere_in_the_open() {
    for method in ["client_secret_post", "client_secret_basic"] {
        let session = Session::new();
        let provider = OidcProvider::start(&session);
        provider.add(&session, "secretive", method, &["--auth-method", method, "--redirect", "loopback"]);
        let said = session.larder(&["sign-in", "secretive", "--no-browser"]).fails(8);
        assert!(said.contains("larder providers secret secretive"), "{said}");
        assert!(provider.seen().is_empty());
        let secret = session.larder_reads(&["providers", "secret", "secretive"], &format!("{CLIENT_SECRET}\n"));
        assert_eq!(secret.ok(), "");

        let url = session.larder(&["sign-in", "secretive", "--no-browser"]).ok();
        let (status, page) = open(&provider.browse(&url, "ada"), "en");
        assert!(status == 200 && page.contains("secretive is signed in"), "{method}: {status} {page}");
        let first = session.larder(&["token", "secretive"]).ok();
        session.larder(&["refresh", "secretive"]).ok();
        assert_ne!(session.larder(&["token", "secretive"]).ok(), first);
        // The secret outlives the agent, and opens again.
        session.stop_agent();
        session.larder(&["refresh", "secretive"]).ok();
        let inside = files_below(&session.profile());
        session.larder(&["sign-out", "secretive"]).ok();
        session.wait_for("the revocation", || provider.seen().iter().any(|seen| seen["path"] == "/token/revocation"));

        let seen = provider.seen();
        let kinds: Vec<_> = seen.iter().map(|seen| seen["grant_type"].as_str().unwrap_or("revocation")).collect();
        assert_eq!(kinds.get(..4), Some(&["authorization_code", "refresh_token", "refresh_token", "revocation"][..]));
        for request in &seen {
            let (header, form) = if method == "client_secret_post" { ("", true) } else { ("Basic", false) };
            assert_eq!(
                (&request["status"], &request["header"], &request["form"]),
                (&json!(200), &json!(header), &json!(form)),
                "{method}: {request}"
            );
        }
        let encoded: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
        session.stop_agent();
        for file in inside.into_iter().chain(files_below(session.home())) {
            for form in [CLIENT_SECRET, &encoded] {
                assert!(!holds(&file, form.as_bytes()), "{method}: {} holds the secret", file.display());
            }
        }
        let written = std::fs::read_to_string(session.profile().join("providers.toml")).expect("providers.toml");
        assert!(written.contains(method), "{written}");
    }
}

#[test]
fn an_address_that_does_not_load_is_pasted() {
    let session = Session::new();
    let provider = OidcProvider::start(&session);
    provider.add(&session, "own", "paste", &["--redirect", "paste=https://me.example/cb"]);
    let began = session.larder(&["sign-in", "own", "--no-browser"]);
    assert!(began.stderr.contains("larder callback"), "{}", began.stderr);
    let redirect = provider.browse(&began.ok(), "ada");
    assert!(redirect.starts_with("https://me.example/cb?"), "{redirect}");
    // Another page of the same site is not the one that is waited for.
    let elsewhere = redirect.replace("/cb?", "/cb/other?");
    let said = session.larder_reads(&["callback"], &elsewhere).fails(1);
    assert!(said.contains("does not begin with"), "{said}");
    assert!(provider.seen().is_empty());
    // As it is copied from an address bar.
    assert_eq!(session.larder_reads(&["callback"], &format!("  {redirect}\n")).ok(), "own");
    assert_eq!(session.account("own")["email"], "ada@example.com");
    session.larder_reads(&["callback"], &redirect).fails(1);
    assert_eq!(provider.seen().len(), 1);
}
