//! Whoever has got as far as the socket gets no more than an access token, and keeps nobody else from being served.

use crate::support::{Child, Session, support};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// While somebody misbehaves, everybody else has a token within this time, command included, in a build that is not optimised.
const SERVED: Duration = Duration::from_secs(5);

/// So much is written by somebody who never ends a line, in bytes; the agent reads 64 KiB of it.
const FLOOD: usize = 64 * 1024 * 1024;

/// The most that a connection whose client does not read may take, in kilobytes; a view of all providers is some 60.
const MOST_EACH: usize = 16 * 1024;

const HELLO: &str = "{\"id\":1,\"request\":{\"do\":\"hello\",\"protocol\":1,\"build\":\"0\"}}\n";

/// A connection that has said hello.
fn connect(session: &Session) -> UnixStream {
    let stream = UnixStream::connect(session.profile().join("run/agent.sock")).expect("the agent's socket");
    stream.set_write_timeout(Some(Duration::from_secs(30))).expect("a bound");
    (&stream).write_all(HELLO.as_bytes()).expect("it reads");
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).expect("an answer");
    assert!(answer.contains("\"hello\""), "{answer}");
    stream
}

fn resident_kilobytes(process: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the agent");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn descriptors(process: i32) -> usize {
    std::fs::read_dir(format!("/proc/{process}/fd")).expect("the agent's descriptors").count()
}

fn others_are_served(session: &Session) {
    let began = Instant::now();
    session.larder(&["token", "work"]).ok();
    assert!(began.elapsed() < SERVED, "{:?}", began.elapsed());
}

#[test]
fn a_length_of_four_gigabytes_or_a_line_without_an_end_is_cut_off_and_takes_no_memory() {
    let (session, _provider) = Session::signed_in(600);
    let agent = session.agent_pid();
    let before = resident_kilobytes(agent);
    // Others' protocols begin with a length; here it is the beginning of a line that is none.
    let mut stream = connect(&session);
    stream.write_all(&[0xff, 0xff, 0xff, 0xff, b'\n']).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("bad-request"), "{answer}");
    let mut stream = connect(&session);
    let chunk = vec![b'x'; 1024 * 1024];
    let written = (0..FLOOD / chunk.len()).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(written < 4, "{written} MiB were taken");
    assert!(resident_kilobytes(agent) < before + 8 * 1024, "{before} kB before");
    others_are_served(&session);
}

#[test]
fn a_client_that_asks_for_much_and_never_reads_is_let_go_and_others_are_served() {
    let (session, _provider) = Session::signed_in(600);
    let agent = session.agent_pid();
    let before = resident_kilobytes(agent);
    let mut greedy: Vec<UnixStream> = (0..8).map(|_| connect(&session)).collect();
    for stream in &mut greedy {
        stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
        // It stops being read when nothing of them is taken.
        for id in 2..2000 {
            let ask = format!("{{\"id\":{id},\"request\":{{\"do\":\"view\"}}}}\n");
            if stream.write_all(ask.as_bytes()).is_err() {
                break;
            }
        }
    }
    let there = descriptors(agent);
    for _ in 0..5 {
        others_are_served(&session);
    }
    // What is asked for and not read is bounded for each connection: 64 answers are made, and as many wait.
    let now = resident_kilobytes(agent);
    assert!(now < before + 8 * MOST_EACH, "{before} kB before, {now} now");
    // They are let go without a word more, after 10 s.
    session.wait_for("the end of those that do not read", || descriptors(agent) + 8 <= there);
    drop(greedy);
    others_are_served(&session);
}

#[test]
fn no_message_brings_a_refresh_token_or_a_key_whatever_is_asked_for() {
    let (session, _provider) = Session::signed_in(600);
    // The tokens as the provider gave them, and the key as the keychain has it.
    let key = session.ran(support("foreign-items").to_str().unwrap(), &["key"]);
    let key = key.trim();
    assert_eq!(key.len(), 64, "a key in hex");
    let account = session.account("work")["id"].as_str().unwrap().to_owned();
    let requests = [
        "view",
        "subscribe",
        "providers",
        "policy",
        "events",
        "audit",
        "audit-verify",
        "audit-head",
        "doctor",
        "token",
        "git-accounts",
        "refresh",
        "refresh-all",
        "browser-sign-out",
        "provider",
        "check-provider",
        "sign-in",
        "show-window",
        "undo-sign-out",
        "lock",
        "refresh-token",
        "client-secret",
        "key",
        "dump",
    ];
    let mut answers = String::new();
    for request in requests {
        let mut stream = connect(&session);
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let ask = format!(
            "{{\"id\":2,\"request\":{{\"do\":\"{request}\",\"account\":\"{account}\",\"name\":\"work\",\"provider\":\"work\",\
             \"limit\":1000,\"undoable\":true,\"seal\":false,\"to\":{{\"protocol\":\"https\",\"host\":\"x\"}},\
             \"activation_token\":null,\"min_validity\":null}}}}\n"
        );
        stream.write_all(ask.as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        assert!(answer.contains("\"id\":"), "{request}: {answer}");
        answers.push_str(&answer);
    }
    assert!(answers.contains("\"is\":\"token\"") && answers.contains("\"is\":\"view\""), "the asks were no asks");
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).unwrap();
    let sealed: Vec<u8> = database.query_row("SELECT refresh_token FROM account", [], |row| row.get(0)).unwrap();
    let in_hex = sealed.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for secret in [key, &in_hex] {
        assert!(!answers.to_lowercase().contains(secret), "a secret left");
    }
    for name in ["refresh_token\":\"", "client_secret\":\"", "id_token\":\"", "code_verifier"] {
        assert!(!answers.contains(name), "{name}");
    }
}

#[test]
fn a_program_that_names_itself_otherwise_is_called_by_its_file() {
    let session = Session::new().that_asks();
    let provider = crate::support::Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["policy", "set", "allow", "--program", "/usr/bin/git", "--account", "work"]).ok();
    // Its name and its command line say git; its file does not.
    let code = "import ctypes, subprocess, sys\n\
        ctypes.CDLL(None).prctl(15, b'git', 0, 0, 0)\n\
        sys.exit(subprocess.run([sys.argv[1], 'token', 'work']).returncode)";
    let line =
        format!("exec -a /usr/bin/git /usr/bin/python3 -c \"$0\" {}", crate::support::program("larder").display());
    let mut command = session.command("bash");
    let mut child =
        Child(command.args(["-c", &line, code]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let (mut out, mut said) = (String::new(), String::new());
    child.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.0.wait().unwrap().code(), out.as_str()), (Some(5), ""), "{said}");
    assert!(said.contains("python3") && !said.contains("/usr/bin/git "), "{said}");
    let events = session.larder(&["events", "--json"]).ok();
    assert!(events.contains("\"refused\"") && events.contains("python3"), "{events}");
}
