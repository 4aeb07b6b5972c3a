//! Issuers and resources that publish what they must not: nothing is opened, asked for or sent because of it, and accounts
//! that are there go on.

use crate::hostile_tokens::leaves_no_trace;
use crate::support::larder::Ran;
use crate::support::odd_provider::{Odd, OddProvider, WELL_KNOWN, tokens};
use crate::support::tls::TlsFront;
use crate::support::{Child, Session, program};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Part of whatever must not be kept.
const CANARY: &str = "c4nary-in-the-metadata";

/// Nobody signed in yet.
fn odd() -> (Session, OddProvider) {
    let (session, provider) = (Session::new(), OddProvider::issuer());
    provider.add_issuer(&session, &[]);
    (session, provider)
}

fn begins(session: &Session) -> Ran {
    session.larder(&["sign-in", "odd", "--no-browser"])
}

/// A browser that writes down with which arguments it was started.
fn browser(session: &mut Session) -> std::path::PathBuf {
    let (browser, opened) = (session.home().join("browser"), session.home().join("opened"));
    let script = format!("#!/bin/sh\nfor argument; do printf '%s\\n' \"$argument\"; done >> '{}'\n", opened.display());
    std::fs::write(&browser, script).expect("a script");
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    session.set("BROWSER", &browser);
    opened
}

/// The most memory that the agent has had, in KiB.
fn peak(session: &Session) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", session.agent_pid())).expect("the agent");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn an_issuer_that_differs_by_slash_case_port_or_host_is_discarded_and_accounts_go_on() {
    let (session, provider) = odd();
    provider.sign_in(&session).ok();
    let at = provider.at.clone();
    let port: u16 = at.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    for other in [
        format!("{at}/"),
        at.to_uppercase(),
        at.replace("http://", "HTTP://"),
        at.replace("127.0.0.1", "localhost"),
        at.replace(&port.to_string(), &(port ^ 1).to_string()),
        format!("{at}/."),
        format!("{at}?"),
        format!("{at}#"),
        format!(" {at}"),
        at.replace("127", "%3127"),
        "https://evil.example".to_owned(),
        String::new(),
    ] {
        provider.publishes(json!({ "issuer": other }));
        let said = begins(&session).fails(8);
        assert!(said.contains("another issuer") && said.contains("to the letter"), "{other:?}: {said}");
    }
    for none in [json!(null), json!(7), json!([at])] {
        provider.publishes(json!({ "issuer": none }));
        begins(&session).fails(8);
    }
    // What it was signed in with is kept.
    session.larder(&["refresh", "odd"]).ok();
    assert_eq!(provider.got("/token").len(), 2);
    // What was read before and holds is kept too: it is not even asked for.
    let kept = Odd::answer(200, "cache-control: max-age=600\r\n", provider.metadata(&json!({})).to_string());
    provider.answers(
        WELL_KNOWN,
        [kept, Odd::json(provider.metadata(&json!({ "issuer": "https://evil.example" })).to_string())],
    );
    begins(&session).ok();
    begins(&session).ok();
}

#[test]
fn an_endpoint_that_is_no_https_address_never_reaches_the_opener() {
    let mut session = Session::new();
    let opened = browser(&mut session);
    let provider = OddProvider::issuer();
    provider.add_issuer(&session, &["--redirect", "loopback"]);
    for (hostile, part) in [
        ("file:///etc/passwd", "must"),
        ("file://localhost/etc/passwd", "must"),
        ("javascript:alert(1)", "no host"),
        ("javascript://127.0.0.1/%0aalert(1)", "must be an https URL"),
        ("data:text/html,<script>alert(1)</script>", "no host"),
        ("ms-msdt:/id PCWDiagnostic", "no host"),
        ("ms-msdt://127.0.0.1/", "must be an https URL"),
        (r"\\evil.example\share\a.exe", "not a URL"),
        ("//evil.example/share", "not a URL"),
        ("--gtk-module=/tmp/evil.so", "not a URL"),
        ("-a https://evil.example", "not a URL"),
        ("$(touch pwned)", "not a URL"),
        ("https://", "not a URL"),
        ("https:///", "not a URL"),
        ("https://id.example:99999/", "not a URL"),
        ("https://ada:secret@id.example/", "user name"),
        ("https://id.example/#fragment", "fragment"),
        ("http://evil.example/", "plain http"),
        ("http://127.0.0.1.evil.example/", "plain http"),
        ("ftp://127.0.0.1/", "must be an https URL"),
        ("dev.larder.desktop:/callback", "no host"),
        ("", "not a URL"),
    ] {
        for endpoint in
            ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "revocation_endpoint", "jwks_uri"]
        {
            provider.publishes(json!({ endpoint: hostile }));
            let said = session.larder(&["sign-in", "odd"]).fails(8);
            assert!(said.contains(part) || said.contains("no host"), "{endpoint} {hostile}: {said}");
        }
    }
    assert!(!opened.exists(), "a browser was opened");
    assert!(provider.got("/token").is_empty());
}

#[test]
fn what_a_shell_would_act_on_reaches_the_browser_as_one_argument_written_anew() {
    let mut session = Session::new();
    let opened = browser(&mut session);
    let provider = OddProvider::issuer();
    provider.add_issuer(&session, &["--redirect", "loopback"]);
    let path = "/a b\"`touch pwned`$(touch pwned);touch pwned|&'<>\\x\t\u{1b}[31mé--help";
    provider.publishes(json!({ "authorization_endpoint": format!("{}{path}?x=%s;touch pwned&y=a b", provider.at) }));
    let mut command = session.command(program("larder"));
    let _waits = Child(command.args(["sign-in", "odd"]).stderr(std::process::Stdio::null()).spawn().expect("larder"));
    session.wait_for("the browser", || opened.exists());
    session.wait_for("its argument", || std::fs::read_to_string(&opened).is_ok_and(|text| text.ends_with('\n')));
    let text = std::fs::read_to_string(&opened).expect("what it was opened with");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with(&format!("{}/a%20b%22%60touch", provider.at)), "{text}");
    assert!(text.trim_end().bytes().all(|byte| (b'!'..=b'~').contains(&byte) && !b"\"`<> ".contains(&byte)), "{text}");
    assert!(!session.home().join("pwned").exists() && !Path::new("pwned").exists());
}

#[test]
fn an_address_to_enter_a_device_code_at_must_be_one_too() {
    let (session, provider) = odd();
    provider.publishes(json!({ "device_authorization_endpoint": format!("{}/device", provider.at) }));
    let code = |uri: &str, complete: &str| {
        json!({
            "device_code": "d", "user_code": "U-1\u{1b}[31m", "verification_uri": uri, "verification_uri_complete": complete,
            "expires_in": 600, "interval": 60,
        })
    };
    for hostile in ["file:///etc/passwd", "javascript:alert(1)", "http://evil.example/", "--help", ""] {
        provider.answers("/device", [Odd::json(code(hostile, "").to_string())]);
        let ran = session.larder(&["sign-in", "odd", "--device", "--no-browser"]);
        assert!(matches!(ran.code, 4 | 8) && ran.stdout.is_empty(), "{hostile}: {ran:?}");
    }
    provider.answers("/device", [Odd::json(code("https://id.example/d", "javascript:alert(1)").to_string())]);
    let ran = session.larder(&["sign-in", "odd", "--device", "--no-browser", "--json"]);
    let said = format!("{}{}", ran.stderr, ran.stdout);
    assert!(ran.code == 0 && said.contains("https://id.example/d"), "{said}");
    assert!(!said.contains("javascript") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_token_endpoint_that_moves_never_gets_the_refresh_token_of_an_account_that_is_there() {
    let elsewhere = OddProvider::issuer();
    let (session, provider) = odd();
    provider.sign_in(&session).ok();
    let moved = format!("{}/token", elsewhere.at);
    provider.publishes(json!({ "token_endpoint": moved, "revocation_endpoint": format!("{}/revoke", elsewhere.at) }));
    // Something reads the new metadata, then the account is refreshed, before and after a restart.
    begins(&session).ok();
    for _ in 0..2 {
        session.larder(&["refresh", "odd"]).ok();
        session.stop_agent();
    }
    assert_eq!((provider.got("/token").len(), elsewhere.asked()), (3, 0));
    assert!(!session.larder(&["audit", "--json"]).ok().contains("endpoint-moved"));
    // Its person signs in again: the new server gives tokens of its own, and what moved is in the record.
    elsewhere.answers("/token", [Odd::json(tokens(7))]);
    elsewhere.answers("/revoke", [Odd::json("{}")]);
    provider.sign_in(&session).ok();
    let sent = elsewhere.got("/token");
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].form["grant_type"], "authorization_code");
    assert!(!sent[0].form.contains_key("refresh_token"));
    let host = |at: &str| at.trim_start_matches("http://").to_owned();
    let audit = session.larder(&["audit", "--json"]).ok();
    let row: Value = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .find(|row| row["kind"] == "endpoint-moved")
        .expect("a row");
    assert_eq!(
        (row["problem"]["code"].as_str(), row["problem"]["from"].as_str(), row["problem"]["to"].as_str()),
        (Some("endpoint-moved"), Some(host(&provider.at).as_str()), Some(host(&elsewhere.at).as_str())),
        "{row}"
    );
    // From here on it is where its person signed in.
    session.larder(&["refresh", "odd"]).ok();
    assert_eq!(elsewhere.got("/token")[1].form["refresh_token"], "refresh-7-of-ada");
    // Signing in there once more is no move.
    provider.sign_in(&session).ok();
    assert_eq!(session.larder(&["audit", "--json"]).ok().matches("\"kind\":\"endpoint-moved\"").count(), 1);
}

#[test]
fn pkce_is_sent_where_nothing_is_said_of_it_and_never_given_up() {
    let (session, provider) = odd();
    for silent in [json!(null), json!(["S256"]), json!(["plain", "S256"])] {
        provider.publishes(json!({ "code_challenge_methods_supported": silent }));
        let query = provider.begin(&session);
        assert_eq!((query["code_challenge_method"].as_str(), query["code_challenge"].len()), ("S256", 43), "{silent}");
    }
    for other in [json!(["plain"]), json!([]), json!(["s256"]), json!([""])] {
        provider.publishes(json!({ "code_challenge_methods_supported": other }));
        let said = begins(&session).fails(8);
        assert!(said.contains("does not offer S256"), "{other}: {said}");
    }
    // What it means cannot be guessed.
    for odd in [json!("S256"), json!(7), json!({ "S256": true })] {
        provider.publishes(json!({ "code_challenge_methods_supported": odd }));
        begins(&session).fails(8);
    }
}

#[test]
fn a_resource_that_names_another_one_is_discarded_and_no_token_is_requested() {
    let session = Session::new();
    let (resource, server) = (OddProvider::issuer(), OddProvider::issuer());
    let at = resource.at.clone();
    let url = format!("{at}/mcp");
    let port: u16 = at.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    resource.answers(WELL_KNOWN, [Odd::answer(404, "", "")]);
    for named in [
        "https://bank.example/mcp".to_owned(),
        format!("{at}/mcp2"),
        format!("{at}/mcp/x"),
        format!("{at}/MCP"),
        format!("{at}/mc"),
        format!("{at}/mcp?tenant=1"),
        format!("{at}/mcp#x"),
        url.replace("127.0.0.1", "localhost"),
        url.replace(&port.to_string(), &(port ^ 1).to_string()),
        url.replace("http:", "https:"),
        url.replace("http://", "http://ada@"),
        "mcp".to_owned(),
        String::new(),
    ] {
        let document = json!({ "resource": named, "authorization_servers": [server.at] });
        resource.answers("/.well-known/oauth-protected-resource/mcp", [Odd::json(document.to_string())]);
        let said = session.larder(&["sign-in", &url, "--no-browser"]).fails(8);
        assert!(said.contains("Nothing was changed"), "{named}: {said}");
    }
    assert_eq!((server.asked(), resource.got("/token").len()), (0, 0));
    assert!(!session.profile().join("providers.toml").exists());
}

/// A person's computer answers within this, whatever a server sends it; tests run on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn a_document_without_an_end_or_bottom_with_names_twice_or_wrong_types_is_refused_in_bounded_time_and_memory() {
    let (session, provider) = odd();
    provider.sign_in(&session).ok();
    let before = peak(&session);
    let good = provider.metadata(&json!({})).to_string();
    let more = |text: &str| good.replacen('{', &format!("{{{text},"), 1);
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let (objects, ends) = ("{\"a\":".repeat(100_000), "}".repeat(100_000));
    let page = |body: &str| Odd::answer(200, "content-type: application/json\r\n", body);
    for (case, document, code) in [
        ("50 MB", page(&format!("{good}{}", " ".repeat(50 << 20))), 4),
        ("lists without a bottom", page(&open), 8),
        ("lists in a member", page(&more(&format!("\"scopes_supported\":{open}{close}"))), 8),
        // What nobody knows is passed over, however deep.
        ("objects in a member", page(&more(&format!("\"x\":{objects}1{ends}"))), 0),
        ("the issuer twice", page(&more("\"issuer\":\"https://evil.example\"")), 8),
        ("an endpoint twice", page(&more("\"token_endpoint\":\"https://evil.example\"")), 8),
        ("an endpoint in a list", page(&more("\"jwks_uri\":[\"https://id.example\"]")), 8),
        ("a promise as text", page(&more("\"authorization_response_iss_parameter_supported\":\"true\"")), 8),
        ("a page", Odd::of("text/html", format!("<html>{CANARY}")), 8),
        ("half of it", page(&good[..good.len() / 2]), 8),
        ("a NUL", page(&good.replacen('{', "{\0", 1)), 8),
        ("a flood of header fields", Odd::answer(200, &format!("x-{CANARY}: y\r\n").repeat(5_000), &good), 4),
        ("no HTTP", Odd::bytes(CANARY), 4),
        ("fewer bytes than announced", Odd::bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{good}")), 4),
        ("a body that is packed", Odd::answer(200, "content-encoding: gzip\r\n", b"\x1f\x8b\x08\x00"), 8),
        ("a redirect to nowhere", Odd::redirect(302, None), 8),
        ("nothing", Odd::answer(204, "", ""), 8),
    ] {
        provider.answers(WELL_KNOWN, [document]);
        let since = Instant::now();
        let ran = begins(&session);
        assert_eq!(ran.code, code, "{case}: {ran:?}");
        assert!((code == 0 || ran.stderr.len() > 40) && !ran.stderr.contains(CANARY), "{case}: {ran:?}");
        assert!(since.elapsed() < AT_ONCE, "{case} took {:?}", since.elapsed());
    }
    let grown = peak(&session) - before;
    assert!(grown < 64 * 1024, "{grown} KiB more");
    session.larder(&["token", "odd"]).ok();
    session.larder(&["refresh", "odd"]).ok();
    leaves_no_trace(&session, CANARY);
}

#[test]
fn what_is_optional_may_be_missing_null_or_unknown_and_how_it_is_served_is_no_matter() {
    let (session, provider) = odd();
    let needed = json!({ "userinfo_endpoint": null, "revocation_endpoint": null });
    let all_null = [
        "registration_endpoint",
        "jwks_uri",
        "scopes_supported",
        "require_pushed_authorization_requests",
        "client_id_metadata_document_supported",
        "authorization_response_iss_parameter_supported",
        "end_session_endpoint",
        "prompt_values_supported",
        "token_endpoint_auth_methods_supported",
    ];
    let mut nulls = provider.metadata(&json!({ "of_tomorrow": { "a": [1, null] } }));
    all_null.iter().for_each(|name| nulls[*name] = json!(null));
    let good = provider.metadata(&needed).to_string();
    for (case, document) in [
        ("what is needed alone", Odd::json(&good)),
        ("null", Odd::json(nulls.to_string())),
        ("text", Odd::of("text/plain", &good)),
        ("no type", Odd::answer(200, "", &good)),
        ("a byte order mark", Odd::json([b"\xef\xbb\xbf", good.as_bytes()].concat())),
        ("HTTP/1.0", Odd::bytes(format!("HTTP/1.0 200 OK\r\n\r\n{good}"))),
    ] {
        provider.answers(WELL_KNOWN, [document]);
        let ran = begins(&session);
        assert_eq!(ran.code, 0, "{case}: {ran:?}");
    }
}

#[test]
fn a_redirect_of_metadata_keys_or_a_resource_is_not_followed() {
    let elsewhere = OddProvider::issuer();
    let (session, provider) = odd();
    for status in [301, 302, 303, 307, 308] {
        provider.answers(WELL_KNOWN, [Odd::redirect(status, Some(&format!("{}{WELL_KNOWN}", elsewhere.at)))]);
        let said = begins(&session).fails(8);
        assert!(said.contains("it publishes no metadata"), "{said}");
        provider.answers("/mcp", [Odd::redirect(status, Some(&format!("{}/mcp", elsewhere.at)))]);
        session.larder(&["sign-in", &format!("{}/mcp", provider.at), "--no-browser"]).fails(8);
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn an_issuer_with_a_user_name_a_fragment_or_a_query_is_none() {
    let session = Session::new();
    let provider = OddProvider::issuer();
    let add = |issuer: &str| session.larder(&["providers", "add", "odd", "--issuer", issuer, "--client-id", "id"]);
    for (odd, part) in [
        (provider.at.replace("http://", "http://ada:secret@"), "user name"),
        (format!("{}/#x", provider.at), "fragment"),
        (provider.at.replace("http://", "http://127.0.0.1@"), "user name"),
        (format!("{}/?tenant=1", provider.at), "no query"),
    ] {
        let said = add(&odd).fails(8);
        assert!(said.contains(part), "{odd}: {said}");
    }
    assert_eq!(provider.asked(), 0);
}

#[test]
fn an_issuer_at_this_computers_other_address_is_one() {
    let session = Session::new();
    let provider = OddProvider::issuer_at(("::1", 0));
    assert!(provider.at.starts_with("http://[::1]:"), "{}", provider.at);
    provider.add_issuer(&session, &[]);
    provider.sign_in(&session).ok();
    session.larder(&["refresh", "odd"]).ok();
    assert_eq!(session.larder(&["token", "odd"]).ok(), "access-1-of-ada");
}

/// An answer is let go after half a minute, whatever it goes on saying.
#[test]
fn an_answer_that_drips_is_let_go_and_nobody_else_waits_for_it() {
    let drip = Duration::from_secs(1);
    let (session, metadata) = odd();
    let slow = |name: &str, path: &str, good: String| {
        let provider = OddProvider::issuer();
        session.larder(&["providers", "add", name, "--issuer", &provider.at, "--client-id", "id", "--scope", "a"]).ok();
        provider.answers(path, [Odd::json(good).dripping(drip)]);
        provider
    };
    let token = slow("token", "/token", tokens(1));
    let who = slow("who", "/userinfo", r#"{"sub":"ada"}"#.to_owned());
    metadata.answers(WELL_KNOWN, [Odd::json(metadata.metadata(&json!({})).to_string()).dripping(drip)]);
    let _keep = (&token, &who);
    std::thread::scope(|scope| {
        let since = Instant::now();
        let begun = scope.spawn(|| begins(&session).fails(4));
        let others: Vec<_> = ["token", "who"]
            .map(|name| {
                let session = &session;
                scope.spawn(move || {
                    let url = session.larder(&["sign-in", name, "--no-browser"]).ok();
                    let query = url::Url::parse(&url).expect("a URL").query_pairs().into_owned().collect();
                    session.larder_reads(&["callback"], &OddProvider::redirect(&query)).fails(4)
                })
            })
            .into_iter()
            .collect();
        // Meanwhile the agent answers.
        let asked = Instant::now();
        session.larder(&["accounts"]).ok();
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
        for ended in std::iter::once(begun).chain(others) {
            let said = ended.join().expect("it ends");
            assert!(said.contains("127.0.0.1"), "{said}");
        }
        assert!(since.elapsed() < Duration::from_secs(45), "{:?}", since.elapsed());
    });
    assert_eq!(session.larder(&["accounts"]).ok(), "");
}

#[test]
fn a_certificate_that_nobody_vouches_for_and_no_certificate_at_all_are_no_server() {
    let session = Session::new();
    let provider = OddProvider::issuer();
    let port: u16 = provider.at.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let front = TlsFront::start(&session, port);
    let add = |name: &str, issuer: &str| {
        session.larder(&["providers", "add", name, "--issuer", issuer, "--client-id", "id", "--scope", "a"]).ok();
    };
    let issuer = format!("https://localhost:{}", front.port);
    add("odd", &issuer);
    // TLS is expected where there is none.
    add("plain", &provider.at.replace("http://", "https://"));
    for name in ["odd", "plain"] {
        let said = session.larder(&["sign-in", name, "--no-browser"]).fails(4);
        assert!(said.contains("cannot be reached"), "{said}");
    }
    assert_eq!(provider.asked(), 0, "something was said before the certificate was looked at");
}
