//! A machine without a desktop: no session bus, no keychain. Keys are in a file that its person chose the opener of.

use crate::support::larder::Ran;
use crate::support::{Child, Keyring, Provider, Session, files_below, holds, program, support};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A passphrase of a person's.
const PASSPHRASE: &str = "staple battery horse";

/// What a command may take to say that the keys are locked, on a busy machine.
const PROMPT: Duration = Duration::from_secs(8);

/// A session without a bus.
fn server() -> Session {
    let mut session = Session::with(Keyring::None);
    session.unset("DBUS_SESSION_BUS_ADDRESS");
    assert!(!session.home().join("run/bus").exists(), "there is a bus");
    session
}

/// The same, where its person chose this store.
fn server_with(store: &str) -> Session {
    let session = server();
    choose(&session, store);
    session
}

fn choose(session: &Session, store: &str) {
    fs::write(session.profile().join("config.toml"), format!("[keychain]\nstore = \"{store}\"\n")).unwrap();
}

/// A credential as `age-keygen` makes it, given to agents from now on.
fn give_credential(session: &mut Session) -> PathBuf {
    let folder = session.home().join("credentials");
    fs::create_dir(&folder).unwrap();
    let credential = folder.join("larder");
    session.ran("age-keygen", &["-o", &credential.display().to_string()]);
    session.set("CREDENTIALS_DIRECTORY", folder);
    credential
}

fn unlock(session: &Session, passphrase: &str) -> Ran {
    session.larder_reads(&["unlock"], &format!("{passphrase}\n"))
}

fn keychain(session: &Session) -> Value {
    let status: Value = serde_json::from_str(&session.larder(&["status", "--json"]).stdout).expect("JSON");
    status["house"]["keychain"].clone()
}

/// What `larder doctor` says of the keychain.
fn checked(session: &Session) -> Value {
    let checks: Value = serde_json::from_str(&session.larder(&["doctor", "--json"]).stdout).expect("JSON");
    let check = checks.as_array().unwrap().iter().find(|check| check["check"] == "keychain").expect("a keychain check");
    check.clone()
}

/// A sign-in that cannot be stored: it fails in time, and the provider gets its tokens back.
fn sign_in_fails(session: &Session, provider: &Provider, code: i32) -> String {
    let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
    let redirect = session.browse(&url, "ada", "allow");
    let start = Instant::now();
    let said = session.larder_reads(&["callback"], &redirect).fails(code);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    session.wait_for("the revocation", || provider.live_sessions() == 0);
    said
}

#[track_caller]
fn nowhere(session: &Session, what: &[u8]) {
    assert!(!what.is_empty());
    let found: Vec<_> = files_below(&session.profile()).into_iter().filter(|file| holds(file, what)).collect();
    assert!(found.is_empty(), "in the clear in {found:?}");
}

#[test]
fn a_passphrase_opens_the_keys_once_for_each_start_of_the_agent() {
    let session = server_with("passphrase");
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let said = sign_in_fails(&session, &provider, 6);
    assert!(said.contains("No passphrase is chosen yet"), "{said}");
    unlock(&session, "too short").fails(2);
    unlock(&session, PASSPHRASE).ok();
    session.sign_in("work", "ada");
    let token = session.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&token).0, 200);
    assert_eq!(keychain(&session)["kind"], "passphrase");
    assert!(session.larder(&["status"]).ok().contains("keychain  passphrase: open"));

    session.stop_agent();
    let start = Instant::now();
    let said = session.larder(&["token", "work"]).fails(6);
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert!(said.contains("run `larder unlock`"), "{said}");
    session.larder(&["refresh", "work"]).fails(6);
    let status = session.larder(&["status"]);
    assert_eq!(status.code, 6);
    assert!(status.stdout.contains("keychain  passphrase: locked, see `larder unlock`"), "{status:?}");
    assert_eq!(checked(&session)["problem"]["code"], "passphrase-needed");
    // Nobody gives one: the window's button, and a script without any.
    session.larder(&["unlock"]).fails(6);
    let said = unlock(&session, "staple battery hors").fails(6);
    assert!(said.contains("That passphrase does not open the keys"), "{said}");
    session.larder(&["token", "work"]).fails(6);

    let events = session.events();
    unlock(&session, PASSPHRASE).ok();
    // The refresh that was asked for while the keys were locked is made up for without another word.
    events.wait("refreshed");
    let refreshed = session.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&refreshed).0, 200);
    assert_eq!(checked(&session)["problem"], Value::Null);
    for secret in [PASSPHRASE, "AGE-SECRET-KEY", &token, &refreshed] {
        nowhere(&session, secret.as_bytes());
    }
    for file in ["passphrase.age", "passphrase-keys.age"] {
        assert_eq!(fs::metadata(session.profile().join(file)).unwrap().mode() & 0o777, 0o600, "{file}");
    }
}

/// What is in the key file, as age's own program says, which asks for the passphrase on a terminal.
fn keys_behind_the_passphrase(session: &Session) -> usize {
    let [identity, keys] = ["passphrase.age", "passphrase-keys.age"].map(|name| session.profile().join(name));
    let opened = session.home().join("opened");
    let mut command = session.command(support("terminal"));
    command.args([PASSPHRASE, "--", "age", "-d", "-o"]).arg(&opened).arg("-i").arg(identity).arg(keys);
    let output = command.output().expect("python3");
    assert!(output.status.success(), "{output:?}");
    let opened = fs::read_to_string(&opened).expect("what age wrote");
    let key = |line: &str| line.split_once(' ').expect("an item and its key").1.len();
    opened.lines().filter(|line| key(line) == 64).count()
}

#[test]
fn signing_out_while_the_keys_are_locked_clears_now_and_deletes_the_key_with_the_passphrase() {
    let session = server_with("passphrase");
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    unlock(&session, PASSPHRASE).ok();
    session.sign_in("work", "ada");
    session.sign_in("work", "grace");
    assert_eq!(keys_behind_the_passphrase(&session), 2);
    session.stop_agent();
    session.larder(&["sign-out", "work"]).fails(6);
    assert_eq!(session.account("work")["state"], "signing-out");
    let events = session.events();
    unlock(&session, PASSPHRASE).ok();
    events.wait("signed-out");
    assert_eq!(keys_behind_the_passphrase(&session), 1);
    session.larder(&["token", "work-2"]).ok();
}

#[test]
fn a_status_tells_that_the_keys_are_locked_before_anything_needs_them() {
    let session = server_with("passphrase");
    unlock(&session, PASSPHRASE).ok();
    assert_eq!(session.larder(&["status"]).code, 0);
    session.stop_agent();
    assert_eq!(session.larder(&["status"]).code, 6);
    assert_eq!(keychain(&session)["state"], "locked");
}

#[test]
fn a_terminal_is_asked_without_echo_and_twice_for_a_new_passphrase() {
    let session = server_with("passphrase");
    let unlock = |lines: &[&str]| {
        let mut command = session.command(support("terminal"));
        let output = command.args(lines).arg("--").arg(program("larder")).arg("unlock").output().expect("python3");
        let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
        lines.iter().for_each(|line| assert!(!shown.contains(line), "{shown}"));
        (output.status.code(), shown)
    };
    let (code, shown) = unlock(&[PASSPHRASE, "something else"]);
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("the two passphrases differ"), "{shown}");
    assert!(!session.profile().join("passphrase.age").exists());
    let (code, shown) = unlock(&[PASSPHRASE, PASSPHRASE]);
    assert_eq!(code, Some(0), "{shown}");
    session.stop_agent();
    let (code, shown) = unlock(&["something else"]);
    assert_eq!(code, Some(6), "{shown}");
    let (code, shown) = unlock(&[PASSPHRASE]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Passphrase: "), "{shown}");
}

#[test]
fn a_systemd_credential_opens_the_keys_without_anybody_there() {
    let mut session = server_with("systemd-credential");
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let said = sign_in_fails(&session, &provider, 6);
    assert!(said.contains("started without credentials"), "{said}");
    session.stop_agent();

    let credential = give_credential(&mut session);
    session.sign_in("work", "ada");
    session.sign_in("work", "grace");
    session.stop_agent();
    let token = session.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&token).0, 200);
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(keychain(&session)["kind"], "systemd credential");
    assert!(session.larder(&["status"]).ok().contains("keychain  systemd credential: open"));

    // What is in the file, age itself says.
    let file = session.profile().join("credential-keys.age");
    let (file, identity) = (file.display().to_string(), credential.display().to_string());
    let keys = || session.ran("age", &["-d", "-i", &identity, &file]);
    assert_eq!(keys().lines().count(), 2);
    for line in keys().lines() {
        let key = line.split_once(' ').expect("an item and its key").1;
        let bytes: Vec<u8> =
            (0..key.len()).step_by(2).map(|at| u8::from_str_radix(&key[at..at + 2], 16).unwrap()).collect();
        assert_eq!(bytes.len(), 32);
        nowhere(&session, key.as_bytes());
        nowhere(&session, &bytes);
    }
    nowhere(&session, b"AGE-SECRET-KEY");
    nowhere(&session, token.as_bytes());

    let id = session.account("work")["id"].as_str().unwrap().to_owned();
    assert!(keys().contains(&id));
    session.larder(&["sign-out", "work"]).ok();
    assert!(!keys().contains(&id), "the key of an account that is signed out is still in the file");
    assert_eq!(keys().lines().count(), 1);

    session.stop_agent();
    fs::remove_file(&credential).unwrap();
    let said = session.larder(&["token", "work-2"]).fails(6);
    assert!(said.contains(&identity), "{said}");
    assert_eq!(checked(&session)["problem"]["code"], "credential-unusable");
    assert_eq!(session.larder(&["status"]).code, 6);
    assert_eq!(session.larder(&["unlock"]).code, 6);
}

#[test]
fn doctor_says_what_is_wrong_with_the_key_file_and_what_to_do() {
    let mut session = server_with("systemd-credential");
    give_credential(&mut session);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let file = session.profile().join("credential-keys.age");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let doctor = session.larder(&["doctor"]);
    assert_eq!(doctor.code, 9);
    assert!(doctor.stdout.contains("`chmod 600` it"), "{doctor:?}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(checked(&session)["problem"], Value::Null);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(checked(&session)["problem"]["code"], "database-damaged");
    session.stop_agent();
    let said = session.larder(&["token", "work"]).fails(9);
    assert!(said.contains("it is cut off or altered"), "{said}");
    fs::write(&file, &whole).unwrap();
    session.larder(&["token", "work"]).ok();
}

#[test]
fn no_choice_is_the_keychain_alone_whatever_else_is_there() {
    let mut session = server();
    give_credential(&mut session);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let said = sign_in_fails(&session, &provider, 6);
    assert!(said.contains("No keychain answers") && said.contains("docs/servers.md"), "{said}");
    unlock(&session, PASSPHRASE).fails(6);
    let files = files_below(&session.profile());
    assert!(!files.iter().any(|file| file.extension().is_some_and(|name| name == "age")), "{files:?}");
}

#[test]
fn an_unknown_choice_is_no_choice_until_it_is_corrected() {
    let mut session = server_with("vault");
    give_credential(&mut session);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    let said = sign_in_fails(&session, &provider, 8);
    assert!(said.contains("config.toml, line 2"), "{said}");
    assert_eq!(keychain(&session)["kind"], "not chosen");
    assert_eq!(session.larder(&["status"]).code, 6);
    assert_eq!(checked(&session)["problem"]["code"], "bad-config");
    choose(&session, "systemd-credential");
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    assert_eq!(keychain(&session)["kind"], "systemd credential");
}

#[test]
fn another_choice_is_told_and_counts_from_the_next_start_and_finds_no_keys() {
    let mut session = server_with("systemd-credential");
    give_credential(&mut session);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    choose(&session, "passphrase");
    let status = session.larder(&["status"]);
    assert_eq!(status.code, 8);
    assert!(status.stdout.contains("config.toml now names passphrase"), "{status:?}");
    session.larder(&["token", "work"]).ok();
    session.stop_agent();
    unlock(&session, PASSPHRASE).ok();
    let said = session.larder(&["token", "work"]).fails(3);
    assert!(said.contains("no longer holds this account's key"), "{said}");
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    assert_eq!(session.larder(&["status"]).code, 0);
}

/// systemd's own program, which listens, and starts the agent when somebody comes.
fn activate(session: &Session, socket: &Path, options: &[&str]) -> std::process::Child {
    let mut command = session.command("systemd-socket-activate");
    command.args(options).args(["--listen", &socket.display().to_string()]);
    // It hands on what it is told to, with its own value.
    for name in ["LARDER_HOME", "HOME", "XDG_RUNTIME_DIR", "LANG"] {
        command.args(["--setenv", name]);
    }
    let child = command.arg(program("larder-agent")).stderr(Stdio::piped()).spawn().expect("systemd-socket-activate");
    session.wait_for("the socket", || fs::metadata(socket).is_ok_and(|found| found.file_type().is_socket()));
    child
}

#[test]
fn the_agent_serves_on_the_socket_that_systemd_listens_on_and_leaves_it_there() {
    let session = server_with("passphrase");
    let run = session.profile().join("run");
    fs::create_dir(&run).unwrap();
    fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
    let socket = run.join("agent.sock");
    let mut agent = Child(activate(&session, &socket, &[]));
    let before = fs::metadata(&socket).unwrap().ino();
    // Nobody else may have started it: this client starts none.
    let status = session.larder(&["--no-start", "status", "--json"]);
    let status: Value = serde_json::from_str(&status.stdout).expect("JSON");
    assert_eq!(status["agent"]["pid"], agent.0.id(), "the process that systemd's program became");
    unlock(&session, PASSPHRASE).ok();
    // The lock says that it owns the profile, as ever.
    let second = session.command(program("larder-agent")).output().unwrap();
    assert!(String::from_utf8_lossy(&second.stderr).contains("already-running"), "{second:?}");
    session.stop_agent();
    assert!(agent.0.wait().unwrap().success());
    assert_eq!(fs::metadata(&socket).unwrap().ino(), before, "systemd's socket was removed");
}

#[test]
fn a_socket_that_is_not_the_profiles_or_not_a_listener_is_refused() {
    let session = server();
    let other = session.home().join("other.sock");
    let run = session.profile().join("run");
    fs::create_dir(&run).unwrap();
    let own = run.join("agent.sock");
    let unused = session.home().join("unused.sock").display().to_string();
    let refused = |socket: &Path, options: &[&str], wanted: &str| {
        let mut agent = Child(activate(&session, socket, options));
        let _connection = UnixStream::connect(socket).unwrap();
        let said = BufReader::new(agent.0.stderr.take().unwrap());
        let problem = said.lines().map(Result::unwrap).find(|line| line.contains("\"problem\"")).expect("a problem");
        assert!(problem.contains("foreign-socket") && problem.contains(wanted), "{problem}");
        let expected = own.display().to_string();
        assert!(problem.contains(&expected), "{problem}");
        assert!(!session.profile().join("larder.db").exists(), "something was written");
        fs::remove_file(socket).unwrap();
        agent
    };
    let mut agent = refused(&other, &[], "other.sock");
    assert_eq!(agent.0.wait().unwrap().code(), Some(8));
    refused(&own, &["--accept"], "Accept=no");
    refused(&own, &["--listen", &unused], "there are 2 of them");
}

#[test]
fn descriptors_for_another_process_are_not_taken() {
    let mut session = server();
    session.set("LISTEN_FDS", "1");
    session.set("LISTEN_PID", "1");
    session.larder(&["status"]).ok();
    session.stop_agent();
    session.unset("LISTEN_PID");
    session.larder(&["status"]).ok();
}

#[test]
fn the_units_are_as_systemd_wants_them_and_name_the_default_profiles_socket() {
    let session = server();
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("src-tauri/agent/systemd");
    let copy = |name: &str| {
        let text = fs::read_to_string(units.join(name)).unwrap();
        // It is not installed on this machine.
        let text = text.replace("/usr/bin/larder-agent", &program("larder-agent").display().to_string());
        fs::write(session.home().join(name), text.replace("#LoadCredential", "LoadCredential")).unwrap();
        session.home().join(name)
    };
    let (service, socket) = (copy("larder-agent.service"), copy("larder-agent.socket"));
    let mut command: Command = session.command("systemd-analyze");
    let output = command.args(["--user", "verify"]).args([&service, &socket]).output().expect("systemd-analyze");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    // %t is XDG_RUNTIME_DIR for a person's units.
    assert!(fs::read_to_string(&socket).unwrap().contains("ListenStream=%t/larder/agent.sock\n"));
    let variable = |name: &str| match name {
        "XDG_RUNTIME_DIR" => Some("/t".into()),
        "HOME" => Some("/h".into()),
        _ => None,
    };
    let profile = larder_core::profile::Profile::locate(variable).unwrap();
    assert_eq!(profile.socket().unwrap(), Path::new("/t/larder/agent.sock"));
    assert_eq!(profile.settings(), Path::new("/h/.config/larder/config.toml"));
}
