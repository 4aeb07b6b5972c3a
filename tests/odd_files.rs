//! What is at a path of Larder's and is not a plain file of its person's is refused in a sentence, and left as it is.

use crate::support::Session;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// Nobody but root has this id on any Debian.
const NOBODY: &str = "65534";

/// The longest that a refusal may take.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The files that an agent opens for writing.
const FILES: [&str; 5] = ["larder.db", "larder.db-wal", "audit.db", "audit.db-wal", "run/agent.lock"];

/// A session whose agent has run once, and stopped.
fn stopped() -> Session {
    let session = Session::new();
    session.larder(&["status"]).ok();
    session.stop_agent();
    session.wait_for("the end of the logs", || !session.profile().join("larder.db-wal").exists());
    session
}

fn is_refused(session: &Session, why: &str, name: &str) {
    let began = Instant::now();
    let said = session.larder(&["status"]).fails(9);
    assert!(said.contains("cannot be trusted") && said.contains(why), "{name}: {said}");
    assert!(began.elapsed() < AT_ONCE, "{name}: {:?}", began.elapsed());
}

#[test]
fn a_symlink_in_place_of_a_file_is_refused_and_what_it_leads_to_is_not_touched() {
    for name in FILES {
        let session = stopped();
        let (file, elsewhere) = (session.profile().join(name), session.home().join("elsewhere"));
        let _ = fs::remove_file(&file);
        fs::write(&elsewhere, "mine").unwrap();
        symlink(&elsewhere, &file).unwrap();
        is_refused(&session, "symbolic link", name);
        assert_eq!(fs::read(&elsewhere).unwrap(), b"mine");
    }
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_keeps_nobody_waiting() {
    for name in FILES {
        let session = stopped();
        let file = session.profile().join(name);
        let _ = fs::remove_file(&file);
        session.ran("mkfifo", &[file.to_str().unwrap()]);
        is_refused(&session, "no plain file", name);
        assert!(fs::symlink_metadata(&file).unwrap().file_type().is_fifo(), "{name}");
    }
}

#[test]
fn a_pipe_in_place_of_configuration_keeps_nobody_waiting() {
    for name in ["providers.toml", "config.toml", "policy.toml"] {
        let session = stopped();
        let file = session.profile().join(name);
        let _ = fs::remove_file(&file);
        session.ran("mkfifo", &[file.to_str().unwrap()]);
        let began = Instant::now();
        let status = session.larder(&["status"]);
        // Without settings it is not known what keeps the keys, which is worse.
        let code = if name == "config.toml" { 6 } else { 8 };
        assert!(status.code == code && status.stdout.contains(name), "{status:?}");
        assert!(status.stdout.contains("it is no plain file"), "{status:?}");
        assert!(began.elapsed() < AT_ONCE, "{name}: {:?}", began.elapsed());
    }
}

#[test]
fn a_file_or_folder_of_somebody_else_is_refused() {
    for name in ["larder.db", "audit.db", "run/agent.lock", "run", "."] {
        let session = stopped();
        let path = session.profile().join(name);
        crate::support::disk::as_root(&["chown", NOBODY, path.to_str().unwrap()]);
        is_refused(&session, "belongs to somebody else", name);
        let owner = fs::metadata(&path).unwrap().uid().to_string();
        assert_eq!(owner, NOBODY, "{name}");
        let own = fs::metadata(session.home()).unwrap().uid().to_string();
        crate::support::disk::as_root(&["chown", &own, path.to_str().unwrap()]);
    }
}

#[test]
fn a_hard_link_to_the_database_is_no_way_around_a_sign_out() {
    let (session, _provider) = Session::signed_in(600);
    let link = session.home().join("link");
    fs::hard_link(session.profile().join("larder.db"), &link).unwrap();
    session.larder(&["sign-out", "work"]).ok();
    session.stop_agent();
    // The file itself was overwritten, by whatever name.
    let connection = rusqlite::Connection::open(&link).unwrap();
    let sealed: Option<Vec<u8>> =
        connection.query_row("SELECT refresh_token FROM account", [], |row| row.get(0)).unwrap();
    assert_eq!(sealed, None);
    assert_eq!(fs::metadata(&link).unwrap().permissions().mode() & 0o777, 0o600);
}

fn socket(session: &Session) -> std::path::PathBuf {
    session.profile().join("run/agent.sock")
}

#[test]
fn what_lies_in_the_sockets_place_is_refused_and_left_unless_it_is_a_dead_agents_own() {
    let session = stopped();
    let path = socket(&session);
    fs::write(&path, "mine").unwrap();
    let said = session.larder(&["status"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    fs::remove_file(&path).unwrap();
    // A link to nowhere.
    symlink(session.home().join("nowhere"), &path).unwrap();
    is_refused(&session, "no socket", "a symlink");
    assert!(fs::symlink_metadata(&path).unwrap().is_symlink());
    fs::remove_file(&path).unwrap();
    // Somebody else's, who is dead.
    drop(UnixListener::bind(&path).unwrap());
    crate::support::disk::as_root(&["chown", NOBODY, path.to_str().unwrap()]);
    is_refused(&session, "belongs to somebody else", "somebody's socket");
    assert!(path.exists());
    crate::support::disk::as_root(&["rm", path.to_str().unwrap()]);
    // Ours, left by an agent that was killed.
    drop(UnixListener::bind(&path).unwrap());
    session.larder(&["status"]).ok();
    session.kill_agent();
    assert!(path.exists(), "a killed agent leaves its socket");
    session.larder(&["status"]).ok();
}

/// Runs python as another user of this machine, who may get as far as the socket if anybody lets them.
fn as_somebody_else(session: &Session, code: &str, path: &Path) -> std::process::Output {
    let line = crate::support::disk::root_line(&[
        "setpriv",
        &format!("--reuid={NOBODY}"),
        &format!("--regid={NOBODY}"),
        "--clear-groups",
        "/usr/bin/python3",
        "-c",
        code,
        path.to_str().unwrap(),
    ]);
    session.command(&line[0]).args(&line[1..]).output().unwrap()
}

#[test]
fn another_user_is_refused_even_where_the_modes_were_opened_to_all() {
    let (session, _provider) = Session::signed_in(600);
    let path = socket(&session);
    let code = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.settimeout(20); s.connect(sys.argv[1])\n\
        hello = b'{\"id\":1,\"request\":{\"do\":\"hello\",\"protocol\":1,\"build\":\"0\"}}\\n'\n\
        token = b'{\"id\":2,\"request\":{\"do\":\"token\",\"account\":\"work\"}}\\n'\n\
        try:\n    s.sendall(hello + token); print('heard', s.recv(4096))\n\
        except (BrokenPipeError, ConnectionResetError): print('heard', b'')";
    // The file's mode alone keeps them out, and so does the folder's.
    let out = as_somebody_else(&session, code, &path);
    assert!(String::from_utf8_lossy(&out.stderr).contains("PermissionError"), "{out:?}");
    for open in [session.home().to_owned(), session.profile(), session.profile().join("run")] {
        fs::set_permissions(open, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let out = as_somebody_else(&session, code, &path);
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "heard b''", "{out:?}");
    session.larder(&["token", "work"]).ok();
}

#[test]
fn the_command_tells_nothing_to_a_socket_that_somebody_else_listens_on() {
    let session = stopped();
    let theirs = tempfile::tempdir().unwrap();
    fs::set_permissions(theirs.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path = theirs.path().join("sock");
    let code = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); import os; os.chmod(sys.argv[1], 0o666)\n\
        s.settimeout(20); c, _ = s.accept(); c.settimeout(20); print('heard', c.recv(4096))";
    std::thread::scope(|scope| {
        let listens = scope.spawn(|| as_somebody_else(&session, code, &path));
        session.wait_for("the socket", || path.exists());
        symlink(&path, socket(&session)).unwrap();
        let said = session.larder(&["status"]).fails(7);
        assert!(said.contains("somebody else listens there"), "{said}");
        let heard = listens.join().unwrap();
        assert_eq!(String::from_utf8_lossy(&heard.stdout).trim(), "heard b''", "{heard:?}");
    });
    fs::remove_file(socket(&session)).unwrap();
}
