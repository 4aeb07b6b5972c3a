//! One agent a profile: clients start it where none runs, and it refuses what it must not open.

use crate::support::{Provider, Session, program};
use std::os::unix::fs::PermissionsExt;

#[test]
fn many_clients_at_once_start_one_agent() {
    let session = Session::new();
    let pids: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| session.larder(&["status", "--json"]).ok())).collect();
        clients
            .into_iter()
            .map(|client| {
                let status: serde_json::Value = serde_json::from_str(&client.join().unwrap()).unwrap();
                status["agent"]["pid"].to_string()
            })
            .collect()
    });
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
}

#[test]
fn a_second_agent_refuses_and_the_lock_of_a_killed_one_is_no_obstacle() {
    let session = Session::new();
    session.larder(&["status"]).ok();
    let second = session.command(program("larder-agent")).output().unwrap();
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("already-running"));
    session.kill_agent();
    session.larder(&["status"]).ok();
}

#[test]
fn without_a_start_a_client_says_that_no_agent_runs() {
    let session = Session::new();
    let said = session.larder(&["status", "--no-start"]).fails(7);
    assert!(said.contains("agent"), "{said}");
}

#[test]
fn an_agent_in_the_foreground_serves_without_a_desktop_and_ends_when_told() {
    let session = Session::new();
    let provider = Provider::start(&session, 600);
    let mut agent = session.command(program("larder")).arg("agent").spawn().unwrap();
    session.wait_for("the agent", || session.larder(&["status", "--no-start"]).code == 0);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    session.stop_agent();
    assert!(agent.wait().unwrap().success());
}

#[test]
fn a_database_of_a_newer_larder_is_refused_with_a_sentence_and_left_alone() {
    let session = Session::new();
    session.larder(&["status"]).ok();
    session.stop_agent();
    let path = session.profile().join("larder.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let said = session.larder(&["status"]).fails(9);
    assert!(said.contains("newer Larder (schema 99, this one knows 4)"), "{said}");
    assert!(std::fs::read(&path).unwrap() == before, "the file was changed");
}

#[test]
fn a_folder_that_is_a_detour_is_refused() {
    let mut session = Session::new();
    let link = session.home().join("link");
    std::os::unix::fs::symlink(session.profile(), &link).unwrap();
    session.set("LARDER_HOME", &link);
    let said = session.larder(&["status"]).fails(9);
    assert!(said.contains("symbolic link"), "{said}");
    session.set("LARDER_HOME", session.profile());
}

#[test]
fn folders_and_files_are_private_whatever_the_umask() {
    let session = Session::new().that_asks();
    std::fs::set_permissions(session.profile(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let line = format!("umask 000; {} status", program("larder").display());
    session.ran("sh", &["-c", &line]);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&session.profile()), 0o700);
    assert_eq!(mode(&session.profile().join("run")), 0o700);
    for name in
        ["larder.db", "larder.db-wal", "larder.db-shm", "audit.db", "policy.toml", "run/agent.sock", "run/agent.log"]
    {
        assert_eq!(mode(&session.profile().join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_socket_path_over_the_limit_is_refused_with_a_sentence() {
    let mut session = Session::new();
    let long = session.home().join("x".repeat(100));
    session.set("LARDER_HOME", &long);
    let said = session.larder(&["status"]).fails(7);
    assert!(said.contains("the system allows 107"), "{said}");
    assert!(!long.exists());
    session.set("LARDER_HOME", session.profile());
}

#[test]
fn what_is_no_message_is_answered_with_a_problem_and_others_are_served() {
    use std::io::{BufRead, BufReader, Write};
    let session = Session::new();
    session.larder(&["status"]).ok();
    let socket = session.profile().join("run/agent.sock");
    let long = format!("{{\"id\":1,\"request\":\"{}\"}}\n", "x".repeat(70_000));
    for line in [
        "nonsense\n",
        "{\"id\":1,\"request\":{\"do\":\"view\"}}\n",
        "{\"id\":1,\"request\":{\"do\":\"refresh-token\"}}\n",
        long.as_str(),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        // The agent may close before all of a line that is too long is written.
        let _ = stream.write_all(line.as_bytes());
        let mut answer = String::new();
        let _ = BufReader::new(stream).read_line(&mut answer);
        assert!(answer.contains("bad-request") || line.len() > 70_000, "{answer}");
        assert!(!answer.contains("nonsense"));
    }
    session.larder(&["status"]).ok();
}
