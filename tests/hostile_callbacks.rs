//! Redirects that no provider sent, or not like this: nothing is sent because of them, and sign-ins that wait go on waiting.

use crate::hostile_tokens::leaves_no_trace;
use crate::support::larder::Ran;
use crate::support::odd_provider::{Odd, OddProvider, tokens};
use crate::support::{Desktop, Provider, Session, program};
use larder_client::{Client, OnWire, Profile, Request, Start};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Part of whatever must not be kept.
const CANARY: &str = "c4nary-in-the-redirect";

fn odd() -> (Session, OddProvider) {
    let (session, provider) = (Session::new(), OddProvider::issuer());
    provider.add_issuer(&session, &[]);
    (session, provider)
}

fn callback(session: &Session, text: &str) -> Ran {
    if text.len() <= 1 << 16 {
        return session.larder_reads(&["callback"], text);
    }
    // More than is read: a pipe would be closed before all of it is in.
    let file = session.home().join("long");
    std::fs::write(&file, text).expect("a file");
    let ran = session.ran(
        "sh",
        &["-c", &format!("'{}' callback < '{}' 2>&1; echo $?", program("larder").display(), file.display())],
    );
    let (said, code) = ran.trim_end().rsplit_once('\n').expect("a code");
    Ran { code: code.parse().expect("a number"), stdout: String::new(), stderr: said.to_owned() }
}

/// The rows of the audit that tell of redirects which were refused.
fn refusals(session: &Session) -> Vec<Value> {
    let rows = session.larder(&["audit", "--json", "--kind", "callback-refused"]).ok();
    rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn client(session: &Session) -> Client {
    let home = session.profile().into_os_string();
    let profile = Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone())).expect("a profile");
    Client::connect(&profile, Start::Never).expect("the agent")
}

#[test]
fn a_code_without_a_sign_in_that_waits_for_it_is_refused_before_any_request_and_is_one_line_of_the_audit() {
    let (session, provider) = odd();
    let waiting = provider.begin(&session);
    let before = provider.asked();
    for number in 0..20 {
        let forged = format!("dev.larder.desktop:/callback?code={CANARY}-{number}&state={CANARY}{number}");
        let said = callback(&session, &forged).fails(1);
        assert!(said.contains("No sign-in waits") && !said.contains(CANARY), "{said}");
    }
    assert_eq!(provider.asked(), before);
    let rows = refusals(&session);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0]["count"].as_u64(), rows[0]["problem"]["code"].as_str()), (Some(20), Some("unknown-callback")));
    callback(&session, &OddProvider::redirect(&waiting)).ok();
    assert_eq!(provider.got("/token").len(), 1);
    leaves_no_trace(&session, CANARY);
}

#[test]
fn a_redirect_that_is_delivered_many_times_at_once_is_one_request_and_no_trouble() {
    let (session, provider) = odd();
    let redirect = OddProvider::redirect(&provider.begin(&session));
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| callback(&session, &redirect).code)).collect();
        all.into_iter().map(|one| one.join().expect("it ends")).collect()
    });
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 1, "{codes:?}");
    assert_eq!(provider.got("/token").len(), 1);
    assert!(refusals(&session).is_empty(), "a second copy is no forgery");
    let status: Value = serde_json::from_str(&session.larder(&["status", "--json"]).stdout).expect("JSON");
    assert!(!status.to_string().contains("callback-used"), "{status}");
    assert_eq!(session.account("odd")["state"], "fresh");
}

#[test]
fn a_parameter_twice_both_code_and_error_or_neither_is_refused_and_the_sign_in_waits_on() {
    let (session, provider) = odd();
    let waiting = provider.begin(&session);
    let state = &waiting["state"];
    for (query, part) in [
        (format!("code=a&code=b&state={state}"), "code twice"),
        (format!("code=a&state={state}&state={state}"), "state twice"),
        (format!("code=a&state={state}&state=other"), "state twice"),
        (format!("code=a&%63ode=b&state={state}"), "code twice"),
        (format!("code=a&state={state}&iss=x&iss=y"), "iss twice"),
        (format!("code=a&error=access_denied&state={state}"), "both a code and an error"),
        (format!("state={state}"), "neither a code nor an error"),
        (format!("code=&state={state}"), "neither a code nor an error"),
        ("code=a&state=".to_owned(), "no state"),
        (format!("code=a&STATE={state}"), "no state"),
        (format!("code=a&state={}", state.to_uppercase()), "No sign-in waits"),
        (format!("code=a&state={state}%20"), "No sign-in waits"),
        (format!("code=a&state={state}%00"), "No sign-in waits"),
        (format!("code=a&state={}", &state[..state.len() - 1]), "No sign-in waits"),
        (format!("code=%ff&state={state}"), "no text"),
    ] {
        let said = callback(&session, &format!("dev.larder.desktop:/callback?{query}")).fails(1);
        assert!(said.contains(part), "{query}: {said}");
    }
    // Another response_type's answer (a token in the fragment) has no parameters.
    let fragment = format!("dev.larder.desktop:/callback#access_token={CANARY}&state={state}");
    let said = callback(&session, &fragment).fails(1);
    assert!(said.contains("no state"), "{said}");
    assert!(provider.got("/token").is_empty());
    callback(&session, &OddProvider::redirect(&waiting)).ok();
    leaves_no_trace(&session, CANARY);
}

#[test]
fn a_code_of_any_characters_reaches_the_token_endpoint_as_it_came() {
    let (session, provider) = odd();
    for code in ["a b", "a+b/c=", "%2B", "é", "'\";--", "a&state=x", "\u{202e}x"] {
        let query = provider.begin(&session);
        let mut redirect = url::Url::parse("dev.larder.desktop:/callback").expect("a URL");
        redirect.query_pairs_mut().append_pair("code", code).append_pair("state", &query["state"]);
        callback(&session, redirect.as_str()).ok();
        assert_eq!(provider.got("/token").last().expect("a request").form["code"], code);
    }
}

#[test]
fn an_issuer_that_is_missing_although_announced_or_differs_in_any_character_is_refused() {
    let (session, provider) = odd();
    provider.publishes(json!({ "authorization_response_iss_parameter_supported": true }));
    let at = provider.at.clone();
    let port = at.rsplit(':').next().expect("a port").to_owned();
    for iss in [
        None,
        Some(String::new()),
        Some(format!("{at}/")),
        Some(at.replace("http", "HTTP")),
        Some(at.to_uppercase()),
        Some(at.replace("127", "%3127")),
        Some(at.replace("127.0.0.1", "localhost")),
        Some(at.replace(&port, &format!("0{port}"))),
        Some(format!("{at}?")),
        Some(format!("{at} ")),
        Some(format!("{at}\u{200b}")),
        Some("https://evil.example".to_owned()),
    ] {
        let mut redirect = url::Url::parse(&OddProvider::redirect(&provider.begin(&session))).expect("a URL");
        if let Some(iss) = &iss {
            redirect.query_pairs_mut().append_pair("iss", iss);
        }
        let said = callback(&session, redirect.as_str()).fails(1);
        assert!(said.contains("server"), "{iss:?}: {said}");
    }
    assert!(provider.got("/token").is_empty());
    let mut redirect = url::Url::parse(&OddProvider::redirect(&provider.begin(&session))).expect("a URL");
    redirect.query_pairs_mut().append_pair("iss", &at);
    callback(&session, redirect.as_str()).ok();
}

#[test]
fn a_mix_up_with_an_attackers_server_sends_the_code_to_neither() {
    let (session, honest) = odd();
    let attacker = OddProvider::issuer();
    session.larder(&["providers", "add", "evil", "--issuer", &attacker.at, "--client-id", "id", "--scope", "a"]).ok();
    // Both sign-ins wait. The attacker answers the honest one's with a code of its own, or one that it was sent.
    session.larder(&["sign-in", "evil", "--no-browser"]).ok();
    let waiting = honest.begin(&session);
    let iss: String = url::form_urlencoded::byte_serialize(attacker.at.as_bytes()).collect();
    let said = callback(&session, &format!("{}&iss={iss}", OddProvider::redirect(&waiting))).fails(1);
    assert!(said.contains("came from another server"), "{said}");
    // It is over: the right answer comes too late.
    callback(&session, &OddProvider::redirect(&waiting)).fails(1);
    assert_eq!((honest.got("/token").len(), attacker.got("/token").len()), (0, 0));
    // Where no issuer is named, the code goes where the sign-in began, and nowhere else.
    callback(&session, &OddProvider::redirect(&honest.begin(&session))).ok();
    assert_eq!((honest.got("/token").len(), attacker.got("/token").len()), (1, 0));
}

#[test]
fn a_link_of_two_megabytes_without_text_or_with_a_foreign_authority_is_refused_and_the_agent_answers_on() {
    let (session, provider) = odd();
    let waiting = provider.begin(&session);
    let state = &waiting["state"];
    let since = Instant::now();
    for text in [
        format!("dev.larder.desktop:/callback?state={state}&code={}", "c".repeat(2 << 20)),
        format!("dev.larder.desktop:/callback?{}", "a=&".repeat(5_000)),
        format!("dev.larder.desktop:/callback?state={state}&code=%"),
        format!("dev.larder.desktop:/callback?state={state}%&code=%zz%"),
        format!("dev.larder.desktop://evil.example/callback?code=a&state={state}"),
        format!("dev.larder.desktop://user:secret@evil.example/callback?code=a&state={state}"),
        format!("dev.larder.desktop://@/callback?code=a&state={state}"),
        format!("dev.larder.desktop://:80/callback?code=a&state={state}"),
        format!("dev.larder.desktop:\\\\evil.example\\callback?code=a&state={state}"),
        format!("dev.larder.desktop:callback?code=a&state={state}"),
        format!("dev.larder.desktop:/callback/?code=a&state={state}"),
        format!("dev.larder.desktop:/callback/../../etc?code=a&state={state}"),
        format!("dev.larder.desktop:/CALLBACK?code=a&state={state}"),
        format!("dev.larder.desktop.evil:/callback?code=a&state={state}"),
        format!("xdev.larder.desktop:/callback?code=a&state={state}"),
        format!("javascript:dev.larder.desktop:/callback?code=a&state={state}"),
        format!("http://127.0.0.1/callback?code=a&state={state}"),
        "dev.larder.desktop:".to_owned(),
        ":".to_owned(),
        "\u{0}".to_owned(),
        format!("dev.larder.desktop:/callback?code=a\0&state={state}"),
        format!("dev.larder.desktop:/call\tback?code=a&state={state}"),
    ] {
        let ran = callback(&session, &text);
        // A lone per cent sign is itself (URL Standard): that code is one, for a state that is not right.
        if text.ends_with("code=%") {
            continue;
        }
        let said = ran.fails(1);
        assert!(said.len() < 600, "{} bytes are said", said.len());
    }
    // Bytes that are no text, in the command's arguments and in what it reads.
    let bytes = OsString::from_vec(b"dev.larder.desktop:/callback?code=\xff&state=s".to_vec());
    for program in [program("larder"), program("larder-desktop")] {
        let mut command = session.command(&program);
        if program.ends_with("larder") {
            command.arg("callback");
        }
        let output = command.arg(&bytes).output().expect("it runs");
        assert!(!output.status.success(), "{output:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    session.larder(&["accounts"]).ok();
}

/// A number after the other, the same each time.
struct Dice(u64);

impl Dice {
    fn next(&mut self, below: usize) -> usize {
        // Knuth's constants (MMIX).
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

#[test]
fn three_thousand_mangled_links_send_nothing_and_end_nothing() {
    const PIECES: [&str; 24] = [
        "dev.larder.desktop:",
        "DEV.LARDER.DESKTOP:",
        "/callback",
        "?",
        "&",
        "=",
        "code",
        "state",
        "error",
        "iss",
        "#",
        "%",
        "%00",
        "%ff",
        "//",
        "@",
        "\\",
        "[::1]",
        ":",
        "\u{202e}",
        "é",
        " ",
        "a",
        "..",
    ];
    let (session, provider) = odd();
    let waiting = provider.begin(&session);
    let before = provider.asked();
    let redirect = OddProvider::redirect(&waiting);
    let mut client = client(&session);
    let mut dice = Dice(12);
    let since = Instant::now();
    for number in 0..3_000 {
        let mut text = if number % 2 == 0 { String::new() } else { redirect.replace(&waiting["state"], "s") };
        for _ in 0..=dice.next(12) {
            let at = (0..=dice.next(text.len() + 1)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
            text.insert_str(at, PIECES[dice.next(PIECES.len())]);
        }
        let answer = client.ask(Request::Callback { url: OnWire::new(text.clone()), activation_token: None });
        assert!(answer.is_err(), "{text:?}: {answer:?}");
    }
    assert!(since.elapsed() < Duration::from_secs(40), "{:?}", since.elapsed());
    assert_eq!(provider.asked(), before);
    callback(&session, &redirect).ok();
}

#[test]
fn a_link_beside_other_arguments_is_no_redirect_and_no_argument_of_one_is_a_command() {
    let (session, provider) = odd();
    let redirect = OddProvider::redirect(&provider.begin(&session));
    let run = |name: &str, arguments: &[&str]| {
        let output = session.command(program(name)).args(arguments).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(!output.status.success(), "{name} {arguments:?}: {said}");
        assert!(!said.contains("a-code"), "{name} repeats the code: {said}");
    };
    for arguments in [
        &[redirect.as_str(), "--hidden"][..],
        &["--demo", &redirect],
        &["--", &redirect],
        &[&redirect, &redirect],
        &["--unregister", &redirect],
        &[&redirect, "sign-out"],
    ] {
        run("larder-desktop", arguments);
    }
    for arguments in [
        &[redirect.as_str()][..],
        &["callback", &redirect, "--all"],
        &["callback", &redirect, &redirect],
        &["callback", "--help-me"],
        &["callback", "--", "--help"],
        &["callback", "sign-out --all"],
        &["dev.larder.desktop:sign-out", "--all"],
    ] {
        run("larder", arguments);
    }
    assert!(provider.got("/token").is_empty());
    callback(&session, &redirect).ok();
}

#[test]
fn a_port_that_others_have_at_any_address_is_named_at_once_and_the_redirect_is_the_literal_address() {
    let (session, provider) = (Session::new(), OddProvider::issuer());
    let add = |name: &str, redirect: &str| {
        let issuer = ["providers", "add", name, "--issuer", &provider.at, "--client-id", "id", "--scope", "a"];
        session.larder(&[&issuer[..], &["--redirect", redirect]].concat()).ok();
    };
    let begin = |name: &str| {
        let since = Instant::now();
        let ran = session.larder(&["sign-in", name, "--no-browser"]);
        assert!(since.elapsed() < Duration::from_secs(5), "{name}: {:?}", since.elapsed());
        ran
    };
    let everywhere = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port");
    let port = everywhere.local_addr().expect("its address").port();
    add("every4", &format!("loopback=http://127.0.0.1:{port}/callback"));
    let said = begin("every4").fails(8);
    assert!(said.contains(&format!("127.0.0.1:{port} is in use by another program")), "{said}");
    drop(everywhere);

    let both = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a port");
    let port = both.local_addr().expect("its address").port();
    for (name, host) in [("both4", "127.0.0.1"), ("both6", "[::1]"), ("both", "localhost")] {
        add(name, &format!("loopback=http://{host}:{port}/callback"));
        let said = begin(name).fails(8);
        assert!(said.contains(&format!("{host}:{port} is in use by another program")), "{said}");
    }
    drop(both);

    // At the other family's address alone: who is sent to the literal does not meet it, who is sent to the name might.
    let other = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).expect("a port");
    let port = other.local_addr().expect("its address").port();
    add("literal", &format!("loopback=http://127.0.0.1:{port}/callback"));
    let url = begin("literal").ok();
    assert!(url.contains(&format!("redirect_uri=http%3A%2F%2F127.0.0.1%3A{port}%2F")), "{url}");
    add("name", &format!("loopback=http://localhost:{port}/callback"));
    let said = begin("name").fails(8);
    assert!(said.contains("is in use by another program"), "{said}");
    // A port of the system's choice is one that is free at both.
    add("any", "loopback=http://localhost/callback");
    let url = begin("any").ok();
    let query: std::collections::HashMap<_, _> =
        url::Url::parse(&url).expect("a URL").query_pairs().into_owned().collect();
    let uri = url::Url::parse(&query["redirect_uri"]).expect("a URL");
    let at = SocketAddr::from((Ipv6Addr::LOCALHOST, uri.port().expect("a port")));
    assert!(TcpListener::bind(at).is_err(), "nobody listens at {at}");
}

#[test]
fn another_program_that_has_the_links_is_named_by_the_command_before_any_browser_opens() {
    let mut desktop = Desktop::new();
    let provider = OddProvider::issuer();
    provider.add_issuer(&desktop.session, &[]);
    let (browser, opened) = (desktop.session.home().join("b"), desktop.session.home().join("opened"));
    std::fs::write(&browser, format!("#!/bin/sh\necho > '{}'\n", opened.display())).expect("a script");
    std::fs::set_permissions(&browser, std::fs::Permissions::from_mode(0o700)).expect("chmod");
    desktop.session.set("BROWSER", &browser);
    let entry = "[Desktop Entry]\nType=Application\nName=Evil\nExec=/bin/true %u\nMimeType=x-scheme-handler/dev.larder.desktop;\n";
    desktop.add_program("evil.desktop", entry);
    desktop.handle_links_with("evil.desktop");
    let said = desktop.session.larder(&["sign-in", "odd"]).fails(8);
    assert!(said.contains("evil.desktop, opens Larder's links") && said.contains("--redirect loopback"), "{said}");
    assert!(!opened.exists(), "a browser was opened");
    assert!(provider.got("/token").is_empty());
}

#[test]
fn a_code_that_was_intercepted_is_worth_nothing_without_its_verifier() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = url::Url::parse(&session.browse(&url, "ada", "allow")).expect("a URL");
    let (_, code) = redirect.query_pairs().find(|(name, _)| name == "code").expect("a code");
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    let thief: ureq::Agent = config.build().into();
    for verifier in ["", "a-verifier-of-somebody-else-that-is-long-enough-to-be-one"] {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("client_id", "larder-desktop"),
            ("redirect_uri", "dev.larder.desktop:/callback"),
            ("code_verifier", verifier),
        ];
        let mut answer = thief.post(format!("{}/token", provider.issuer)).send_form(form).expect("an answer");
        let text = answer.body_mut().read_to_string().expect("a body");
        assert!(answer.status().as_u16() == 400 && !text.contains("access_token"), "{text}");
    }
    assert_eq!(provider.live_sessions(), 0);
}

/// What else may follow a redirect: a token endpoint that takes its time is asked once all the same.
#[test]
fn a_redirect_that_comes_again_while_its_code_is_exchanged_is_no_second_exchange() {
    let (session, provider) = odd();
    provider.answers("/token", [Odd::json(tokens(1)).dripping(Duration::from_millis(5))]);
    let redirect = OddProvider::redirect(&provider.begin(&session));
    std::thread::scope(|scope| {
        let first = scope.spawn(|| callback(&session, &redirect).ok());
        session.wait_for("the exchange", || provider.got("/token").len() == 1);
        let said = callback(&session, &redirect).fails(1);
        assert!(said.contains("used already"), "{said}");
        first.join().expect("it ends");
    });
    assert_eq!(provider.got("/token").len(), 1);
}
