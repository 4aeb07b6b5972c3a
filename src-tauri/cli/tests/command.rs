//! The command as it is run, against an agent that says what the test tells it to.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as its test does")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

const ACCOUNT: &str = r#"{"id":"i1","label":"work","provider":"corp","issuer":"https://a.example","name":"Ada","email":null,
    "scopes":[],"state":"fresh","expires_at":null,"lifetime":null,"refresh_at":null,"refreshed_at":null,
    "signed_in_at":null,"problem":null,"undo_until":null,"browser_sign_out":false,"grant_type":"authorization-code"}"#;
const SIGN_IN: &str = r#"{"is":"sign-in","attempt":"t1","authorization_url":"https://a.example/auth?state=s",
    "redirect":"deep-link","until":0}"#;
const TOKEN: &str =
    r#"{"is":"token","access_token":"at-1","token_type":"bearer","expires_at":null,"scope":"a","account":"work"}"#;

struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("larder-cli-{}-{number}", std::process::id()));
        fs::create_dir_all(folder.join("run")).unwrap();
        Self(folder)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command.args(arguments).env("LARDER_HOME", &self.0).env("LARDER_AGENT", "/nowhere/larder-agent");
        command.stdin(Stdio::null());
        command
    }

    /// Answers one connection: its Hello, then each request with the next of `answers`, which are whole but for the id.
    /// Gives back what was asked.
    fn agent(&self, answers: &[&str]) -> thread::JoinHandle<Vec<String>> {
        let listener = UnixListener::bind(self.0.join("run/agent.sock")).unwrap();
        let hello = r#""answer":{"is":"hello","protocol":1,"build":"9.0.0","profile":"/p","pid":7}"#;
        let answers: Vec<String> =
            std::iter::once(hello).chain(answers.iter().copied()).map(|text| text.replace('\n', "")).collect();
        thread::spawn(move || {
            let mut lines = BufReader::new(listener.accept().unwrap().0);
            let mut asked = Vec::new();
            for (at, answer) in answers.iter().enumerate() {
                let mut line = String::new();
                lines.read_line(&mut line).unwrap();
                asked.push(line);
                writeln!(lines.get_mut(), "{{\"id\":{},{answer}}}", at + 1).unwrap();
            }
            asked.split_off(1)
        })
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn answer(answer: &str) -> String {
    format!("\"answer\":{answer}")
}

#[test]
fn a_token_is_alone_on_stdout() {
    for (arguments, expected) in [
        (&["token", "work", "--min-validity", "5m"][..], "at-1\n"),
        (&["token", "work", "--format", "header"], "Authorization: Bearer at-1\n"),
        (
            &["token", "work", "--json"],
            "{\"access_token\":\"at-1\",\"account\":\"work\",\"expires_at\":null,\"scope\":\"a\",\"token_type\":\"bearer\"}\n",
        ),
    ] {
        let home = Home::new();
        let agent = home.agent(&[&answer(TOKEN)]);
        let output = home.command(arguments).output().unwrap();
        assert_eq!(said(&output), (0, expected.to_owned(), String::new()));
        agent.join().unwrap();
    }
}

#[test]
fn a_bound_token_comes_with_the_proof_that_was_asked_for() {
    let bound = TOKEN.replace("\"bearer\"", "\"DPoP\"");
    let proven = bound.replace("\"account\"", "\"dpop\":\"h.c.s\",\"account\"");
    let request = ["--dpop", "GET", "https://api.example/me?a=b"];
    for (more, expected) in [
        (&[][..], "at-1\nh.c.s\n"),
        (&["--format", "header"], "Authorization: DPoP at-1\nDPoP: h.c.s\n"),
        (
            &["--json", "--dpop-nonce", "n-1"],
            "{\"access_token\":\"at-1\",\"account\":\"work\",\"dpop\":\"h.c.s\",\"expires_at\":null,\"scope\":\"a\",\"token_type\":\"DPoP\"}\n",
        ),
    ] {
        let home = Home::new();
        let agent = home.agent(&[&answer(&proven)]);
        let output = home.command(&[&["token", "work"], &request[..], more].concat()).output().unwrap();
        assert_eq!(said(&output), (0, expected.to_owned(), String::new()));
        let asked: serde_json::Value = serde_json::from_str(&agent.join().unwrap()[0]).unwrap();
        let nonce = more.get(2);
        assert_eq!(
            asked["request"]["dpop"],
            serde_json::json!({ "method": "GET", "url": "https://api.example/me?a=b", "nonce": nonce })
        );
    }
    // Without a proof it is the answer all the same, and what is missing is said beside it.
    let home = Home::new();
    let agent = home.agent(&[&answer(&bound)]);
    let (exit, stdout, stderr) = said(&home.command(&["token", "work"]).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (0, "at-1\n"));
    assert!(stderr.contains("`larder token work --dpop METHOD URL`"), "{stderr}");
    assert!(!agent.join().unwrap()[0].contains("dpop"));
    // Nor is an answer without the proof taken for one with it.
    let home = Home::new();
    let agent = home.agent(&[&answer(&bound)]);
    let (exit, stdout, _) = said(&home.command(&[&["token", "work"], &request[..]].concat()).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (1, ""));
    agent.join().unwrap();
    let usage = |arguments: &[&str]| Home::new().command(arguments).output().unwrap().status.code();
    assert_eq!(usage(&["token", "work", "--dpop", "GET"]), Some(2));
    assert_eq!(usage(&["token", "work", "--dpop-nonce", "n"]), Some(2));
}

/// The account with an e-mail address, as the agent shows it.
fn view_with(email: &str) -> String {
    let account = ACCOUNT.replace("\"email\":null", &format!("\"email\":{email}"));
    answer(&format!(
        r#"{{"is":"view","at":0,"accounts":[{account}],"attempts":[],"providers":[],
        "keychain":{{"kind":"x","state":"open"}},"problems":[],"tray":"fresh","next_refresh":null}}"#
    ))
}

#[test]
fn xoauth2_names_the_accounts_person_or_whom_one_says() {
    // `user=ada@x.example`, 0x01, `auth=Bearer at-1`, 0x01, 0x01.
    let ada = "dXNlcj1hZGFAeC5leGFtcGxlAWF1dGg9QmVhcmVyIGF0LTEBAQ==\n";
    let token = ["token", "work", "--format", "xoauth2"];
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN), &view_with("\"ada@x.example\"")]);
    assert_eq!(said(&home.command(&token).output().unwrap()), (0, ada.to_owned(), String::new()));
    agent.join().unwrap();
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN)]);
    let output = home.command(&[&token[..], &["--user", "ada@x.example"]].concat()).output().unwrap();
    assert_eq!(said(&output), (0, ada.to_owned(), String::new()));
    agent.join().unwrap();
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN), &view_with("null")]);
    let (exit, stdout, stderr) = said(&home.command(&token).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (2, ""));
    assert!(stderr.contains("--user") && !stderr.contains("at-1"), "{stderr}");
    agent.join().unwrap();
    let usage = |more: &[&str]| Home::new().command(&[&token[..], more].concat()).output().unwrap().status.code();
    assert_eq!(usage(&["--dpop", "GET", "https://x.example"]), Some(2));
    assert_eq!(usage(&["--user", ""]), Some(2));
}

#[test]
fn kubernetes_gets_its_credential_in_the_version_that_it_names() {
    let dated = answer(&TOKEN.replace("\"expires_at\":null", "\"expires_at\":1700000000999"));
    for (info, version) in
        [(None, "v1"), (Some(r#"{"apiVersion":"client.authentication.k8s.io/v1beta1","spec":{}}"#), "v1beta1")]
    {
        let home = Home::new();
        let agent = home.agent(&[&dated]);
        let mut command = home.command(&["token", "work", "--format", "k8s"]);
        command.env_remove("KUBERNETES_EXEC_INFO").envs(info.map(|info| ("KUBERNETES_EXEC_INFO", info)));
        let (exit, stdout, stderr) = said(&command.output().unwrap());
        assert_eq!((exit, stderr.as_str()), (0, ""));
        let credential: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        let expected = serde_json::json!({
            "apiVersion": format!("client.authentication.k8s.io/{version}"),
            "kind": "ExecCredential",
            "status": { "token": "at-1", "expirationTimestamp": "2023-11-14T22:13:20Z" },
        });
        assert_eq!(credential, expected);
        agent.join().unwrap();
    }
}

#[test]
fn a_command_has_the_token_in_its_environment_and_ends_as_it_does() {
    // Its own process: the shell that prints its id is the one that was started.
    let script = "printf '%s %s %s' \"$ACCESS_TOKEN\" \"$OTHER\" $$; cat; exit 7";
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN)]);
    let mut command = home.command(&["exec", "work", "--", "sh", "-c", script]);
    command.env("OTHER", "stays").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let pid = child.id();
    child.stdin.take().unwrap().write_all(b" and its input").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(said(&output), (7, format!("at-1 stays {pid} and its input"), String::new()));
    let asked: serde_json::Value = serde_json::from_str(&agent.join().unwrap()[0]).unwrap();
    assert_eq!(asked["request"]["min_validity"], 900);
    // Under another name, it stands there alone.
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN)]);
    let script = "echo ${GH_TOKEN-none} ${ACCESS_TOKEN-none}; kill -TERM $$";
    let mut command = home.command(&["exec", "work", "--name", "GH_TOKEN", "--", "sh", "-c", script]);
    let output = command.env_remove("ACCESS_TOKEN").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "at-1 none\n");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(15));
    agent.join().unwrap();
}

#[test]
fn less_life_than_asked_for_is_said_and_what_cannot_be_run_too() {
    let run = |until: u64, command: &[&str]| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let home = Home::new();
        let text = TOKEN.replace("\"expires_at\":null", &format!("\"expires_at\":{}", (now + until) * 1000));
        let agent = home.agent(&[&answer(&text)]);
        let output = home.command(&[&["exec", "work", "--"], command].concat()).output().unwrap();
        agent.join().unwrap();
        said(&output)
    };
    assert_eq!(run(1000, &["true"]), (0, String::new(), String::new()));
    let (exit, stdout, stderr) = run(300, &["true"]);
    assert_eq!((exit, stdout.as_str()), (0, ""));
    assert!(stderr.contains("ends in 4 min") || stderr.contains("ends in 5 min"), "{stderr}");
    let (exit, _, stderr) = run(1000, &["/nowhere/command"]);
    assert!(exit == 127 && stderr.contains("/nowhere/command") && !stderr.contains("at-1"), "{exit} {stderr}");
    assert_eq!(run(1000, &["/"]).0, 126);
    let usage = |arguments: &[&str]| Home::new().command(arguments).output().unwrap().status.code();
    assert_eq!(usage(&["exec", "work"]), Some(2));
    assert_eq!(usage(&["exec", "work", "true"]), Some(2));
    assert_eq!(usage(&["exec", "work", "--name", "A=B", "--", "true"]), Some(2));
}

#[test]
fn a_token_that_would_break_its_line_is_not_printed() {
    let home = Home::new();
    let agent = home.agent(&[&answer(&TOKEN.replace("at-1", "at\\r\\nX: y"))]);
    let (exit, stdout, stderr) = said(&home.command(&["token", "work", "--format", "header"]).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (1, ""));
    assert!(!stderr.contains("X: y"));
    agent.join().unwrap();
}

#[test]
fn a_failure_is_a_sentence_and_an_exit_code_and_json_if_wanted() {
    let problem = r#""problem":{"code":"denied","program":"/a\u001b[2J\nb","account":"work"}"#;
    let home = Home::new();
    let agent = home.agent(&[problem]);
    let (exit, stdout, stderr) = said(&home.command(&["token", "work"]).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (5, ""));
    assert!(stderr.starts_with("larder: The policy does not let /a\u{FFFD}[2J\u{FFFD}b use work;"), "{stderr}");
    agent.join().unwrap();

    let home = Home::new();
    let agent = home.agent(&[problem]);
    let (exit, stdout, stderr) = said(&home.command(&["--json", "token", "work"]).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (5, ""));
    let stderr: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!(stderr["problem"]["code"], "denied");
    agent.join().unwrap();
}

#[test]
fn no_start_means_no_agent() {
    let home = Home::new();
    let (exit, stdout, stderr) = said(&home.command(&["accounts", "--no-start"]).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (7, ""));
    assert!(stderr.contains("none is running"), "{stderr}");
    assert!(!home.0.join("run/agent.log").exists());
    let (exit, _, stderr) = said(&home.command(&["accounts"]).output().unwrap());
    assert_eq!(exit, 7);
    assert!(stderr.contains("/nowhere/larder-agent was not found"), "{stderr}");
}

#[test]
fn without_a_browser_the_address_is_alone_on_stdout() {
    let home = Home::new();
    let agent = home.agent(&[&answer(SIGN_IN)]);
    let (exit, stdout, _) = said(&home.command(&["sign-in", "corp", "--no-browser"]).output().unwrap());
    assert_eq!((exit, stdout.as_str()), (0, "https://a.example/auth?state=s\n"));
    assert!(agent.join().unwrap()[0].contains(r#""provider":"corp""#));
}

#[test]
fn waiting_prints_the_address_then_the_account() {
    let home = Home::new();
    let account = answer(&format!("{{\"is\":\"account\",{}", &ACCOUNT[1..]));
    let agent = home.agent(&[&answer(SIGN_IN), &account]);
    let output = home.command(&["sign-in", "corp", "--no-browser", "--wait"]).output().unwrap();
    let (exit, stdout, _) = said(&output);
    assert_eq!((exit, stdout.as_str()), (0, "https://a.example/auth?state=s\nwork\n"));
    agent.join().unwrap();
}

#[test]
fn the_browser_that_its_person_chose_gets_the_address() {
    let home = Home::new();
    let account = answer(&format!("{{\"is\":\"account\",{}", &ACCOUNT[1..]));
    let agent = home.agent(&[&answer(SIGN_IN), &account]);
    let fifo = home.0.join("opened");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Written by a process of its own: a file that another test's child inherits open for writing cannot be executed.
    let script = home.0.join("browser");
    let text = "#!/bin/sh\nprintf %s \"$1\" > \"$(dirname \"$0\")/opened\"\n";
    let write = ["-c", "printf %s \"$1\" > \"$0\" && chmod 700 \"$0\""];
    assert!(Command::new("/bin/sh").args(write).arg(&script).arg(text).status().unwrap().success());
    let command = home.command(&["sign-in", "corp"]).env("BROWSER", &script).output().unwrap();
    assert_eq!(said(&command).1, "work\n");
    assert_eq!(fs::read_to_string(&fifo).unwrap(), "https://a.example/auth?state=s");
    agent.join().unwrap();
}

#[test]
fn a_callback_comes_through_stdin() {
    let home = Home::new();
    let agent = home.agent(&["\"problem\":{\"code\":\"unknown-callback\"}"]);
    let mut child = home.command(&["callback"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"dev.larder.desktop:/callback?code=c1&state=s\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("c1"));
    assert!(agent.join().unwrap()[0].contains("dev.larder.desktop:/callback?code=c1&state=s"));
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN)]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = home.command(&["token", "work"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let output = output.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
    agent.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let home = Home::new();
    let agent = home.agent(&[&answer(TOKEN)]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut child = home.command(&["token", "work"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
    assert!(stderr.contains("standard output"), "{stderr}");
    agent.join().unwrap();
}

#[test]
fn the_agent_runs_in_the_foreground_in_place_of_the_command() {
    let home = Home::new();
    let output = home.command(&["agent"]).env("LARDER_AGENT", "/bin/pwd").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!output.stdout.is_empty());
    let (exit, _, stderr) = said(&home.command(&["agent", "--stop"]).output().unwrap());
    assert_eq!((exit, stderr.as_str()), (0, "No agent was running.\n"));
}
