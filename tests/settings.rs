//! `config.toml`: hooks, the way to the network, and what `larder doctor` says of it all.

use crate::support::{Provider, Session};
use serde_json::Value;
use std::path::Path;

/// A hook that appends what it was told, and everything that it could see, to a file.
fn write_hooks(session: &Session, file: &Path) {
    let script = session.home().join("hook");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\necho \"$LARDER_EVENT $LARDER_ACCOUNT $LARDER_PROVIDER $1\" >> {0}\nenv >> {0}.env\n",
            file.display()
        ),
    )
    .unwrap();
    session.ran("chmod", &["700", &script.display().to_string()]);
    let hook = |name: &str| format!("{name} = [\"{}\", \"$(touch pwned) ; x\"]\n", script.display());
    let hooks: String = ["on_sign_in", "on_sign_out", "on_refresh", "on_attention"].map(hook).concat();
    std::fs::create_dir_all(session.profile()).unwrap();
    std::fs::write(session.profile().join("config.toml"), format!("[hooks]\n{hooks}")).unwrap();
}

#[test]
fn hooks_run_without_a_shell_and_learn_what_happened_but_never_a_token() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    let seen = session.home().join("seen");
    write_hooks(&session, &seen);
    let line = |line: &str| {
        let wanted = format!("{line} $(touch pwned) ; x");
        session.wait_for(line, || {
            std::fs::read_to_string(&seen).is_ok_and(|text| text.lines().any(|found| found == wanted))
        });
    };
    session.add("work", &provider);
    session.sign_in("work", "ada");
    line("sign-in work work");
    let token = session.larder(&["token", "work"]).ok();
    session.larder(&["refresh", "work"]).ok();
    line("refresh work work");
    provider.revoke_user("ada");
    session.larder(&["refresh", "work"]).fails(3);
    line("attention work work");
    session.larder(&["sign-out", "work"]).ok();
    line("sign-out work work");
    let environment = std::fs::read_to_string(session.home().join("seen.env")).unwrap();
    assert!(!environment.contains(&token));
    assert!(!session.home().join("pwned").exists());
}

#[test]
fn settings_that_cannot_be_read_name_file_and_line_and_accounts_go_on() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    std::fs::write(session.profile().join("config.toml"), "[hooks]\non_refrehs = [\"x\"]\n").unwrap();
    let said = session.larder(&["status"]);
    assert_eq!(said.code, 8);
    assert!(said.stdout.contains("config.toml, line 2"), "{said:?}");
    session.larder(&["token", "work"]).ok();
    std::fs::write(session.profile().join("config.toml"), "ca_file = \"/nowhere.pem\"\n").unwrap();
    let said = session.larder(&["status"]);
    assert!(said.stdout.contains("ca_file /nowhere.pem"), "{said:?}");
    session.larder(&["refresh", "work"]).ok();
}

#[test]
fn a_proxy_is_used_for_the_world_and_never_for_this_computer() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    // Nothing listens there: whatever goes through it fails.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = dead.local_addr().unwrap().port();
    std::fs::write(session.profile().join("config.toml"), format!("proxy = \"http://127.0.0.1:{port}\"\n")).unwrap();
    session.sign_in("work", "ada");
    let asked = std::thread::spawn(move || {
        use std::io::Read;
        let (mut stream, _) = dead.accept().unwrap();
        let mut request = [0; 256];
        let read = stream.read(&mut request).unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    session.larder(&["providers", "add", "far", "--issuer", "https://id.example.test", "--client-id", "c"]).ok();
    session.larder(&["sign-in", "far", "--no-browser"]).fails(4);
    assert!(asked.join().unwrap().starts_with("CONNECT id.example.test:443"));
}

/// How much of its token's life an account has left when it is refreshed, in thousandths.
fn margin(session: &Session, lifetime: i64) -> i64 {
    let account = session.account("work");
    (account["expires_at"].as_i64().unwrap() - account["refresh_at"].as_i64().unwrap()) / lifetime
}

#[test]
fn how_early_tokens_are_refreshed_is_a_setting_that_holds_at_once() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let file = session.profile().join("config.toml");
    // Up to a quarter more, so that accounts that expire together do not ask together.
    assert!((199..=251).contains(&margin(&session, 600)), "{}", session.account("work"));
    std::fs::write(&file, "[refresh]\nmargin_percent = 50\n").unwrap();
    // A change of the file is noticed at the next request.
    session.larder(&["providers", "list"]).ok();
    assert!((499..=626).contains(&margin(&session, 600)), "{}", session.account("work"));
    // It outlives the agent, and what is written down.
    session.stop_agent();
    assert!((499..=626).contains(&margin(&session, 600)), "{}", session.account("work"));
    // One that would have programs wait is refused, and the last good one stays in use.
    std::fs::write(&file, "[refresh]\nmargin_percent = 5\n").unwrap();
    let said = session.larder(&["status"]);
    assert_eq!(said.code, 8);
    assert!(said.stdout.contains("config.toml, line 2") && said.stdout.contains("from 15 to 50 percent"), "{said:?}");
    assert!((499..=626).contains(&margin(&session, 600)), "{}", session.account("work"));
    // A token that lives seconds is refreshed a part of them before its end, and not the moment it comes.
    std::fs::write(&file, "[refresh]\nmargin_percent = 50\n").unwrap();
    provider.expire(serde_json::json!({ "access_lifetime": 20 }));
    session.larder(&["refresh", "work"]).ok();
    assert!((499..=626).contains(&margin(&session, 20)), "{}", session.account("work"));
}

#[test]
fn the_doctor_names_what_is_wrong_and_what_to_do() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let found = |session: &Session| -> Vec<Value> {
        serde_json::from_str(&session.larder(&["doctor", "--json"]).stdout).unwrap()
    };
    let check = |checks: &[Value], name: &str| checks.iter().find(|check| check["check"] == name).unwrap().clone();
    let checks = found(&session);
    for good in ["socket", "keychain", "configuration", "network", "clock"] {
        assert!(check(&checks, good)["problem"].is_null(), "{good}: {checks:?}");
    }
    // Nobody opens Larder's links in this session.
    assert_eq!(check(&checks, "links")["problem"]["code"], "scheme-unhandled");
    session.lock_keyring();
    drop(provider);
    let checks = found(&session);
    assert_eq!(check(&checks, "keychain")["problem"]["code"], "keychain-locked");
    assert_eq!(check(&checks, "network")["problem"]["code"], "unreachable");
    let said = session.larder(&["doctor"]);
    assert_eq!(said.code, 6);
    assert!(said.stdout.contains("unlock it"), "{said:?}");
}
