//! Token endpoints that answer what they must not: each is a sentence, loses nothing that was there, and leaves nothing of
//! what it said on the disk. Requests are counted where they arrive (tests/support/odd_provider.rs).

use crate::support::larder::Ran;
use crate::support::odd_provider::{Got, Odd, OddProvider, tokens};
use crate::support::{Session, files_below, holds};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Part of whatever must not be kept.
const CANARY: &str = "c4nary-in-the-body";

/// Nobody signed in yet.
fn odd() -> (Session, OddProvider) {
    let (session, provider) = (Session::new(), OddProvider::issuer());
    provider.add_issuer(&session, &[]);
    (session, provider)
}

/// Ada, with the first tokens.
fn signed_in() -> (Session, OddProvider) {
    let (session, provider) = odd();
    provider.sign_in(&session).ok();
    (session, provider)
}

/// A refresh that is answered so.
fn refresh(session: &Session, provider: &OddProvider, answer: Odd) -> Ran {
    provider.answers("/token", [answer]);
    session.larder(&["refresh", "odd"])
}

/// Signed in again with the first tokens, so that what was before delays nothing.
fn again(session: &Session, provider: &OddProvider) {
    provider.answers("/token", [Odd::json(tokens(1))]);
    provider.sign_in(session).ok();
}

fn refreshes(provider: &OddProvider) -> Vec<Got> {
    provider.got("/token").into_iter().filter(|got| got.form["grant_type"] == "refresh_token").collect()
}

fn with(change: &Value) -> Odd {
    let mut response: Value = serde_json::from_str(&tokens(2)).expect("JSON");
    for (name, member) in change.as_object().expect("an object") {
        response[name] = member.clone();
    }
    Odd::json(response.to_string())
}

/// Nothing below the session's home holds this, and no agent has panicked.
#[track_caller]
pub fn leaves_no_trace(session: &Session, of: &str) {
    session.stop_agent();
    for file in files_below(session.home()) {
        assert!(!holds(&file, of.as_bytes()), "{} holds {of}", file.display());
        assert!(!holds(&file, b"panicked"), "{} tells of a panic", file.display());
    }
}

#[test]
fn an_error_with_status_200_is_an_error_and_no_account_has_an_empty_token() {
    let (session, provider) = odd();
    for (body, code) in [
        (r#"{"error":"bad_verification_code"}"#, 1),
        (r#"{"ok":false,"error":"invalid_code"}"#, 1),
        (r#"{"access_token":"","error":"bad_verification_code"}"#, 1),
        (r#"{"access_token":null,"error":"bad_verification_code"}"#, 1),
        (r#"{"ok":false,"error":"ratelimited"}"#, 4),
        (r#"{"ok":false}"#, 4),
        (r#"{"access_token":"","token_type":"bearer"}"#, 4),
        (r#"{"access_token":null}"#, 4),
        (r#"{"error":{"message":"c4nary-in-the-body","code":190}}"#, 4),
        ("{}", 4),
        ("[]", 4),
        ("null", 4),
    ] {
        provider.answers("/token", [Odd::json(body)]);
        let said = provider.sign_in(&session).fails(code);
        assert!(said.len() > 40 && !said.contains(CANARY), "{body}: {said}");
    }
    assert_eq!((session.larder(&["accounts"]).ok().as_str(), session.keychain_items()), ("", 0));
    provider.answers("/token", [Odd::json(tokens(1))]);
    provider.sign_in(&session).ok();
    for body in [r#"{"access_token":""}"#, r#"{"ok":false}"#, r#"{"access_token":"","refresh_token":""}"#] {
        refresh(&session, &provider, Odd::json(body)).fails(4);
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-1-of-ada", "{body}");
        again(&session, &provider);
    }
    let said = refresh(&session, &provider, Odd::json(r#"{"error":"bad_refresh_token"}"#)).fails(3);
    assert!(said.contains("sign in again"), "{said}");
    let before = provider.asked();
    session.larder(&["refresh", "odd"]).fails(3);
    session.larder(&["token", "odd"]).fails(3);
    assert_eq!(provider.asked(), before);
    leaves_no_trace(&session, CANARY);
}

#[test]
fn a_refresh_token_that_is_empty_or_null_or_the_same_or_no_text_keeps_the_one_that_was_sent() {
    let (session, provider) = signed_in();
    let same = json!("refresh-1-of-ada");
    for odd in [json!(""), json!(null), json!(7), json!({}), json!(["refresh-9"]), same] {
        provider.answers("/token", [with(&json!({ "refresh_token": odd }))]);
        session.larder(&["refresh", "odd"]).ok();
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-2-of-ada", "{odd}");
    }
    // It is what the disk holds, too.
    session.stop_agent();
    refresh(&session, &provider, Odd::json(tokens(3))).ok();
    refresh(&session, &provider, Odd::json(tokens(4))).ok();
    let sent: Vec<_> = refreshes(&provider).into_iter().map(|got| got.form["refresh_token"].clone()).collect();
    assert_eq!(sent, [&["refresh-1-of-ada"; 7][..], &["refresh-3-of-ada"]].concat());
}

#[test]
fn a_lifetime_that_is_missing_is_the_last_known_one_else_unknown_and_refreshed_on_request_alone() {
    let (session, provider) = signed_in();
    let known = session.account("odd")["expires_at"].as_i64().expect("a time");
    provider.answers("/token", [with(&json!({ "expires_in": null }))]);
    session.larder(&["refresh", "odd"]).ok();
    let account = session.account("odd");
    assert!(account["expires_at"].as_i64().expect("a time") >= known && account["refresh_at"].is_number(), "{account}");
    assert_eq!(account["lifetime"], 3_600_000);

    let (session, provider) = odd();
    provider.answers("/token", [with(&json!({ "expires_in": null }))]);
    provider.sign_in(&session).ok();
    for _ in 0..3 {
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-2-of-ada");
        session.stop_agent();
    }
    let account = session.account("odd");
    assert!(account["expires_at"].is_null() && account["refresh_at"].is_null(), "{account}");
    assert!(refreshes(&provider).is_empty(), "refreshed without end");
    // Nor never: a program that was rejected, and a person, get a new one.
    provider.answers("/token", [Odd::json(tokens(3))]);
    assert_eq!(session.larder(&["token", "odd", "--rejected"]).ok(), "access-3-of-ada");
    provider.answers("/token", [Odd::json(tokens(4))]);
    session.larder(&["refresh", "odd"]).ok();
    assert_eq!(refreshes(&provider).len(), 2);
}

#[test]
fn a_lifetime_is_text_a_float_zero_negative_beyond_any_number_or_an_object() {
    let (session, provider) = odd();
    let ten_years = 316_224_000_000_i64;
    for (written, lifetime) in [
        (r#""3600""#, Some(3_600_000)),
        ("3600.0", Some(3_600_000)),
        ("3.6e3", Some(3_600_000)),
        ("0", None),
        (r#""0""#, None),
        ("-1", None),
        ("-1e309", None),
        ("1e309", Some(ten_years)),
        ("9223372036854775808", Some(ten_years)),
        (r#""99999999999999999999999""#, Some(ten_years)),
        (r#""inf""#, None),
        (r#""NaN""#, None),
        (r#""an hour""#, None),
        ("{}", None),
        ("[3600]", None),
        ("true", None),
    ] {
        let body = format!(r#"{{"access_token":"a","refresh_token":"r","expires_in":{written}}}"#);
        provider.answers("/token", [Odd::json(body)]);
        provider.sign_in(&session).ok();
        assert_eq!(session.larder(&["token", "odd"]).ok(), "a", "{written}");
        assert_eq!(session.account("odd")["lifetime"].as_i64(), lifetime, "{written}");
    }
    assert!(refreshes(&provider).is_empty(), "a tight loop");
}

/// What cannot be read, or is no answer of a token endpoint, and how it is told. None says anything about the session.
fn unreadable() -> Vec<(&'static str, Odd)> {
    let page = format!("<html><body>Sign in to the Wi-Fi {CANARY}</body></html>");
    let good = tokens(9).replace("access-9-of-ada", &format!("access-9-{CANARY}"));
    let whole = |body: &str| Odd::answer(200, "content-type: application/json\r\n", body);
    let chunked = |end: &str| {
        Odd::bytes(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{good}{end}",
            good.len() + 1
        ))
    };
    // As gzip has it: a megabyte of zeros, of which ten bytes are sent; nobody asked for it to be packed.
    let packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xed\xc1\x01\x01\x00";
    let utf_16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        ("a captive portal's page", Odd::of("text/html", &page)),
        ("a page that says it is JSON", Odd::json(&page)),
        ("a page with status 400", Odd::answer(400, "content-type: text/html\r\n", &page)),
        ("a page with status 403", Odd::answer(403, "content-type: text/html\r\n", &page)),
        ("a page with status 511", Odd::answer(511, "content-type: text/html\r\n", &page)),
        ("an error of a gateway", Odd::answer(403, "", format!(r#"{{"error":"{CANARY}"}}"#))),
        ("nothing, with status 204", Odd::answer(204, "", "")),
        ("nothing, with status 200", whole("")),
        ("a redirect to nowhere", Odd::redirect(302, None)),
        ("half of the JSON", whole(&good[..good.len() - 9])),
        ("fewer bytes than announced", Odd::bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{good}"))),
        ("a chunk that is cut off", chunked("")),
        ("a chunk without an end", chunked("}\r\n")),
        ("no HTTP", Odd::bytes(format!("{CANARY}\r\n\r\n"))),
        ("no byte", Odd::bytes("")),
        ("a flood of header fields", Odd::answer(200, &format!("x-{CANARY}: y\r\n").repeat(5_000), &good)),
        ("one header field of a megabyte", Odd::answer(200, &format!("x: {CANARY}{}\r\n", "y".repeat(1 << 20)), &good)),
        ("a body of 50 MB", whole(&format!("{good}{}", " ".repeat(50 << 20)))),
        ("a body that is packed", Odd::answer(200, "content-encoding: gzip\r\n", packed)),
        ("another character set", Odd::answer(200, "content-type: application/json; charset=utf-16\r\n", utf_16)),
        ("a NUL in between", whole(&good.replace(':', ":\0"))),
        ("brackets without an end", whole(&"[".repeat(100_000))),
        ("an access token that is a number", with(&json!({ "access_token": 1234 }))),
        ("an access token in a list", with(&json!({ "access_token": [CANARY] }))),
        ("an access token with a line end", with(&json!({ "access_token": format!("{CANARY}\r\nX-Evil: 1") }))),
        ("an access token with a NUL", with(&json!({ "access_token": format!("{CANARY}\0") }))),
        ("an access token that is no ASCII", with(&json!({ "access_token": format!("{CANARY}é") }))),
    ]
}

#[test]
fn a_page_a_cut_off_body_or_anything_else_that_is_no_token_response_keeps_the_tokens_and_is_never_logged() {
    let (session, provider) = signed_in();
    for (case, answer) in unreadable() {
        let since = Instant::now();
        let said = refresh(&session, &provider, answer).fails(4);
        assert!(said.contains("127.0.0.1") && !said.contains(CANARY), "{case}: {said}");
        assert!(since.elapsed() < Duration::from_secs(20), "{case} took {:?}", since.elapsed());
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-1-of-ada", "{case}");
        assert_eq!(session.account("odd")["state"], "waiting", "{case}");
        again(&session, &provider);
    }
    refresh(&session, &provider, Odd::json(tokens(2))).ok();
    assert_eq!(session.larder(&["token", "odd"]).ok(), "access-2-of-ada");
    assert!(refreshes(&provider).iter().all(|got| got.form["refresh_token"] == "refresh-1-of-ada"));
    leaves_no_trace(&session, CANARY);
}

/// A portal has passed nothing on: however often somebody opens a computer in front of it, the token was not spent.
#[test]
fn a_captive_portal_ends_no_session_however_often_the_agent_starts_in_front_of_it() {
    let (session, provider) = signed_in();
    for kind in ["text/html", "application/json", "text/html; charset=utf-8", "application/json"] {
        refresh(&session, &provider, Odd::of(kind, format!("\n <!doctype html><p>{CANARY}"))).fails(4);
        session.stop_agent();
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-1-of-ada");
    }
    refresh(&session, &provider, Odd::json(tokens(2))).ok();
    leaves_no_trace(&session, CANARY);
}

#[test]
fn the_same_at_a_sign_in_stores_nothing() {
    let (session, provider) = odd();
    for (case, answer) in unreadable() {
        provider.answers("/token", [answer]);
        let ran = provider.sign_in(&session);
        assert_eq!(ran.code, 4, "{case}: {ran:?}");
        let said = ran.fails(4);
        assert!(said.contains("127.0.0.1") && !said.contains(CANARY), "{case}: {said}");
    }
    assert_eq!((session.larder(&["accounts"]).ok().as_str(), session.keychain_items()), ("", 0));
    leaves_no_trace(&session, CANARY);
}

#[test]
fn what_is_odd_but_can_be_meant_one_way_only_is_a_grant() {
    let (session, provider) = signed_in();
    let good = tokens(2);
    let marked = [b"\xef\xbb\xbf", good.as_bytes()].concat();
    let doubled = good.replacen('{', r#"{"access_token":"other","refresh_token":"other","#, 1);
    let deep = good.replacen('{', &format!(r#"{{"x":{}{},"#, "[".repeat(50_000), "]".repeat(50_000)), 1);
    let length = good.len();
    for (case, answer) in [
        ("text", Odd::of("text/plain", &good)),
        ("no type", Odd::answer(200, "", &good)),
        ("something behind it", Odd::json(format!("{good}<!-- {good}"))),
        ("a byte order mark", Odd::json(marked)),
        ("status 201", Odd::answer(201, "", &good)),
        ("members twice: the last counts", Odd::json(doubled)),
        ("a member without a bottom", Odd::json(deep)),
        ("HTTP/1.0", Odd::bytes(format!("HTTP/1.0 200 OK\r\n\r\n{good}"))),
        (
            "an interim answer",
            Odd::bytes(format!(
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{good}"
            )),
        ),
        ("a type that is null", with(&json!({ "token_type": null }))),
        ("a type that is a number", with(&json!({ "token_type": 7 }))),
        ("a scope that is a number", with(&json!({ "scope": 7 }))),
        ("an ID token that is an object", with(&json!({ "id_token": {} }))),
    ] {
        refresh(&session, &provider, answer).ok();
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-2-of-ada", "{case}");
        assert_eq!(session.account("odd")["state"], "fresh", "{case}");
    }
    let sent: Vec<_> = refreshes(&provider).into_iter().map(|got| got.form["refresh_token"].clone()).collect();
    assert!(sent[1..].iter().all(|token| token == "refresh-2-of-ada"), "{sent:?}");
}

#[test]
fn a_token_type_cannot_end_its_line_and_a_long_token_comes_out_whole() {
    let (session, provider) = odd();
    for (kind, scheme) in [
        ("bearer", "Bearer"),
        ("BEARER", "Bearer"),
        ("", "Bearer"),
        ("Bearer\r\nX-Evil: 1", "Bearer"),
        ("N_A", "N_A"),
        ("mac", "MAC"),
    ] {
        provider.answers("/token", [with(&json!({ "token_type": kind }))]);
        provider.sign_in(&session).ok();
        let header = session.larder(&["token", "odd", "--format", "header"]).ok();
        // What is no letter of a scheme is not printed as one either.
        let scheme = if scheme == "N_A" { "Bearer" } else { scheme };
        assert_eq!(header, format!("Authorization: {scheme} access-2-of-ada"), "{kind:?}");
    }
    let long = "x".repeat(900_000);
    provider.answers("/token", [with(&json!({ "access_token": long }))]);
    let since = Instant::now();
    provider.sign_in(&session).ok();
    assert_eq!(session.larder(&["token", "odd"]).ok(), long);
    assert!(since.elapsed() < Duration::from_secs(20), "{:?}", since.elapsed());
}

#[test]
fn invalid_grant_while_a_newer_refresh_token_is_stored_does_not_end_the_account() {
    let (session, provider) = signed_in();
    let refused = Odd::answer(400, "", r#"{"error":"invalid_grant"}"#).dripping(Duration::from_millis(20));
    provider.answers("/token", [refused, Odd::json(tokens(2))]);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| session.larder(&["refresh", "odd"]));
        session.wait_for("the refresh to be sent", || refreshes(&provider).len() == 1);
        // The person signs in again before the answer is there.
        provider.sign_in(&session).ok();
        slow.join().expect("it ends");
    });
    session.wait_for("the answer's end", || session.account("odd")["state"] == "fresh");
    assert_eq!(session.larder(&["token", "odd"]).ok(), "access-2-of-ada");
    assert_eq!(refreshes(&provider).len(), 1);
    refresh(&session, &provider, Odd::json(tokens(3))).ok();
    assert_eq!(refreshes(&provider)[1].form["refresh_token"], "refresh-2-of-ada");
}

#[test]
fn invalid_grant_with_an_unchanged_token_is_one_request_and_the_row_stays() {
    let (session, provider) = signed_in();
    refresh(&session, &provider, Odd::answer(400, "", r#"{"error":"invalid_grant"}"#)).fails(3);
    // An ended session keeps what it had until its person decides.
    for _ in 0..3 {
        session.larder(&["refresh", "odd"]).fails(3);
        session.larder(&["token", "odd"]).fails(3);
        session.stop_agent();
    }
    assert_eq!((refreshes(&provider).len(), session.account("odd")["state"].as_str()), (1, Some("sign-in-again")));
    session.stop_agent();
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("the database");
    let kept = "SELECT count(*) FROM account WHERE refresh_token IS NOT NULL AND access_token IS NOT NULL";
    assert_eq!(database.query_row(kept, [], |row| row.get(0)), Ok(1));
    assert_eq!(session.keychain_items(), 1);
}

#[test]
fn a_pause_in_seconds_or_by_a_date_is_kept_and_one_of_ten_to_the_nine_is_an_hour() {
    // Longer than the first retry would be (5 to 6 s), so that it is what was waited for.
    const PAUSE: Duration = Duration::from_secs(8);
    let (at, until) = ("Tue, 24 Nov 2026 08:00:00 GMT", "Tue, 24 Nov 2026 08:00:08 GMT");
    let by_date = format!("date: {at}\r\nretry-after: {until}\r\n");
    std::thread::scope(|scope| {
        for headers in ["retry-after: 8\r\n", &by_date] {
            scope.spawn(move || {
                let (session, provider) = signed_in();
                let busy = Odd::answer(429, headers, format!("{CANARY} slow down"));
                provider.answers("/token", [busy, Odd::json(tokens(2))]);
                session.larder(&["refresh", "odd"]).fails(4);
                let events = session.events();
                let said = session.larder(&["refresh", "odd"]).fails(4);
                assert!(said.contains("asks for a pause"), "{said}");
                assert_eq!(session.larder(&["token", "odd"]).ok(), "access-1-of-ada");
                events.wait("refreshed");
                let asked: Vec<_> = refreshes(&provider).iter().map(|got| got.at).collect();
                assert_eq!(asked.len(), 2, "{headers}");
                let waited = asked[1] - asked[0];
                assert!(waited >= PAUSE && waited < PAUSE * 3, "{headers}: {waited:?}");
                leaves_no_trace(&session, CANARY);
            });
        }
        scope.spawn(|| {
            let (session, provider) = signed_in();
            for seconds in ["1000000000", "18446744073709551615", "99999999999999999999999", "-1", "never"] {
                let busy = Odd::answer(429, &format!("retry-after: {seconds}\r\n"), "");
                // A pause is remembered by the agent that was asked for it.
                session.stop_agent();
                refresh(&session, &provider, busy).fails(4);
                session.larder(&["refresh", "odd"]).fails(4);
                let account = session.account("odd");
                let now = i64::try_from(crate::support::openid_provider::now()).expect("it fits") * 1000;
                let wait = account["refresh_at"].as_i64().expect("a time") - now;
                assert!((1_000..3_700_000).contains(&wait), "{seconds}: {wait} ms, {account}");
                if seconds.starts_with('1') {
                    assert!(wait > 3_500_000, "{seconds}: {wait} ms");
                }
            }
            assert_eq!(refreshes(&provider).len(), 5);
        });
    });
}

#[test]
fn a_redirect_to_another_origin_is_not_followed_and_no_token_reaches_it() {
    let elsewhere = OddProvider::issuer();
    let (session, provider) = odd();
    let to = |path: &str| format!("{}{path}", elsewhere.at);
    for status in [301, 302, 303, 307, 308] {
        provider.answers("/token", [Odd::redirect(status, Some(&to("/token")))]);
        provider.sign_in(&session).fails(4);
    }
    provider.answers("/token", [Odd::json(tokens(1))]);
    provider.answers("/userinfo", [Odd::redirect(307, Some(&to("/userinfo")))]);
    provider.sign_in(&session).fails(4);
    provider.answers("/userinfo", [Odd::json(r#"{"sub":"ada"}"#)]);
    provider.sign_in(&session).ok();
    for status in [301, 302, 303, 307, 308] {
        refresh(&session, &provider, Odd::redirect(status, Some(&to("/token")))).fails(4);
        assert_eq!(session.larder(&["token", "odd"]).ok(), "access-1-of-ada");
        again(&session, &provider);
    }
    refresh(&session, &provider, Odd::json(tokens(2))).ok();
    provider.answers("/revoke", [Odd::redirect(307, Some(&to("/revoke")))]);
    session.larder(&["sign-out", "odd"]).ok();
    session.wait_for("another try", || provider.got("/revoke").len() > 1);
    assert_eq!(elsewhere.asked(), 0);
}

#[test]
fn a_scope_that_is_narrower_wider_reordered_or_separated_by_commas_is_recorded_and_what_is_missing_is_refused() {
    let (session, provider) = (Session::new(), OddProvider::issuer());
    provider.add_issuer(&session, &["--scope", "b", "--scope", "c"]);
    let hostile = format!("a {} \u{1b}[31m \"quoted\" é", "x".repeat(300));
    for (answered, scopes) in [
        (json!(null), json!(["a", "b", "c"])),
        (json!("a b c"), json!(["a", "b", "c"])),
        (json!("c a b"), json!(["c", "a", "b"])),
        (json!("c,a, b"), json!(["c", "a", "b"])),
        (json!(["b", "c", "a"]), json!(["b", "c", "a"])),
        (json!("a b c d"), json!(["a", "b", "c", "d"])),
        (json!(hostile), json!(["a"])),
        (json!("a  b"), json!(["a", "b"])),
        (json!("a"), json!(["a"])),
    ] {
        provider.answers("/token", [with(&json!({ "scope": answered }))]);
        provider.sign_in(&session).ok();
        assert_eq!(session.account("odd")["scopes"], scopes, "{answered}");
    }
    let before = provider.asked();
    let said = session.larder(&["token", "odd", "--scope", "b"]).fails(3);
    assert!(said.contains("was not granted b"), "{said}");
    assert_eq!(provider.asked(), before, "the provider was asked");
    session.larder(&["token", "odd", "--scope", "a"]).ok();
    // Who waits for the sign-in is told.
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| session.larder(&["sign-in", "odd", "--no-browser", "--wait"]));
        let state = || {
            let url = session.larder(&["events", "--json", "--limit", "1"]).ok();
            url.contains("sign-in-started")
        };
        session.wait_for("the sign-in", state);
        session.larder_reads(&["callback"], &waiting_redirect(&session)).ok();
        let ran = waiting.join().expect("it ends");
        assert!(ran.stderr.contains("b was not granted") && ran.stderr.contains("c was not granted"), "{ran:?}");
    });
}

/// The answer to the sign-in that waits, as its address is shown again.
fn waiting_redirect(session: &Session) -> String {
    use larder_client::{Answer, Client, Profile, Request, Start};
    let home = session.profile().into_os_string();
    let profile = Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone())).expect("a profile");
    let mut client = Client::connect(&profile, Start::Never).expect("the agent");
    let Ok(Answer::View(house)) = client.ask(Request::View) else { panic!("no view") };
    let attempt = house.attempts.first().expect("a sign-in").id.clone();
    let Ok(Answer::AuthorizationUrl { url }) = client.ask(Request::AuthorizationUrl { attempt }) else {
        panic!("no URL")
    };
    let query = url::Url::parse(&url).expect("a URL").query_pairs().into_owned().collect();
    OddProvider::redirect(&query)
}

#[test]
fn cookies_are_neither_sent_back_nor_kept() {
    let (session, provider) = odd();
    let cookie = format!("set-cookie: session={CANARY}; Path=/\r\n");
    provider.answers("/token", [Odd::answer(200, &cookie, tokens(1))]);
    provider.sign_in(&session).ok();
    session.larder(&["refresh", "odd"]).ok();
    session.larder(&["refresh", "odd"]).ok();
    assert!(
        provider.got("/token").iter().chain(&provider.got("/userinfo")).all(|got| !got.headers.contains_key("cookie"))
    );
    leaves_no_trace(&session, CANARY);
}
