//! Commands for other programs: a token in the form that they take, in a command's environment, and never over TCP.

use crate::support::{Provider, Session};
use serde_json::Value;
use std::path::Path;

#[test]
fn a_command_runs_with_a_token_that_works_and_ends_as_it_does() {
    let session = Session::new();
    let provider = Provider::start(&session, 3600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    let ran = session.larder(&["exec", "work", "--", "sh", "-c", "printf %s \"$ACCESS_TOKEN\"; exit 9"]);
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (9, token.as_str(), ""));
    assert_eq!(provider.userinfo(&ran.stdout).0, 200);
    // Nobody whom nobody knows runs anything.
    session.larder(&["exec", "nobody", "--", "touch", "ran"]).fails(2);
    assert!(!session.home().join("ran").exists());
    session.larder(&["policy", "set", "deny"]).ok();
    session.larder(&["exec", "work", "--", "touch", "ran"]).fails(5);
    assert!(!session.home().join("ran").exists());
}

#[test]
fn a_token_that_ends_soon_is_said_to_before_the_command_runs() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let ran = session.larder(&["exec", "work", "--", "true"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stderr.contains("This token ends in"), "{}", ran.stderr);
}

#[test]
fn the_other_formats_hold_the_same_token() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    let credential: Value = serde_json::from_str(&session.larder(&["token", "work", "--format", "k8s"]).ok()).unwrap();
    assert_eq!(credential["status"]["token"], token.as_str());
    let email = session.account("work")["email"].as_str().expect("an address").to_owned();
    let sasl = session.larder(&["token", "work", "--format", "xoauth2"]).ok();
    let plain = format!("user={email}\u{1}auth=Bearer {token}\u{1}\u{1}");
    use base64::Engine;
    assert_eq!(sasl, base64::prelude::BASE64_STANDARD.encode(plain));
}

/// The sockets of this process that listen on TCP, as the kernel has them: `0A` is LISTEN (`proc_pid_net(5)`).
fn tcp_listeners(pid: i32) -> Vec<String> {
    let files = Path::new("/proc").join(pid.to_string()).join("fd");
    let links =
        std::fs::read_dir(files).expect("its files").filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let own: Vec<String> = links.map(|link| link.display().to_string()).collect();
    assert!(own.iter().any(|link| link.starts_with("socket:[")), "it has a socket at all: {own:?}");
    let tables = ["tcp", "tcp6"].map(|table| format!("/proc/{pid}/net/{table}"));
    let lines = tables.iter().filter_map(|table| std::fs::read_to_string(table).ok());
    let lines: Vec<String> =
        lines.flat_map(|text| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()).collect();
    let listens = |line: &String| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(3) == Some(&"0A") && fields.get(9).is_some_and(|node| own.contains(&format!("socket:[{node}]")))
    };
    lines.into_iter().filter(listens).collect()
}

#[test]
fn the_agent_listens_on_no_tcp_socket_while_it_hands_out() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let agent = session.agent_pid();
    for format in ["raw", "json", "header", "xoauth2", "k8s"] {
        session.larder(&["token", "work", "--format", format]).ok();
        assert_eq!(tcp_listeners(agent), Vec::<String>::new());
    }
    // And the look itself sees one where there is one.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let me = i32::try_from(std::process::id()).expect("a process id");
    assert!(!tcp_listeners(me).is_empty());
    drop(listener);
}
