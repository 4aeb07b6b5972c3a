//! What is left behind where a program breaks off.

use crate::support::canary::nothing;
use crate::support::secrets::Secrets;
use crate::support::{Child, Desktop, Session, files_below, program};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Whether a dump of this process would be written, and what it would hold.
fn dumps(process: i32) -> (String, String) {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).expect("a limit");
    let filter = std::fs::read_to_string(format!("/proc/{process}/coredump_filter")).unwrap_or_default();
    (line.split_whitespace().next().expect("a limit").to_owned(), filter.trim().trim_matches('0').to_owned())
}

fn off() -> (String, String) {
    ("0".to_owned(), String::new())
}

/// A command that would leave a dump in the session's home, as far as it does not see to it itself.
fn with_dumps(session: &Session, program: &Path) -> std::process::Command {
    let mut command = session.command("sh");
    command.args(["-c", "ulimit -c unlimited && exec \"$0\" \"$@\""]).arg(program);
    command
}

fn cores(session: &Session) -> Vec<PathBuf> {
    let name = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core"));
    files_below(session.home()).into_iter().filter(name).collect()
}

#[test]
fn an_agent_that_breaks_off_with_tokens_in_its_hands_leaves_no_dump_and_no_word_of_them() {
    let session = Session::new();
    let mut secrets = Secrets::signed_in(&session);
    session.stop_agent();
    secrets.gives(3);
    // Where new tokens are in memory alone.
    let mut agent = with_dumps(&session, &program("larder-agent"));
    let log = session.home().join("agent.stderr");
    agent.env("LARDER_FAIL_AT", "save.before").env("RUST_BACKTRACE", "full");
    agent.stderr(std::fs::File::create(&log).unwrap());
    let mut agent = Child(agent.spawn().expect("larder-agent"));
    session.wait_for("the agent", || session.larder(&["status", "--no-start"]).code == 0);
    let process = session.agent_pid();
    assert_eq!(dumps(process).0, "0");
    session.larder(&["refresh", "work", "--no-start"]).fails(7);
    let status = agent.0.wait().expect("it ends");
    assert!(!std::os::unix::process::ExitStatusExt::core_dumped(&status), "{status}");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "{status}");
    assert!(std::fs::read_to_string(&log).unwrap().contains("ending at the failpoint save.before"));
    assert_eq!(cores(&session), [] as [PathBuf; 0]);
    nothing(&secrets.search().below(session.home()), "files, after the crash");
    // What a program does that does not see to it: where dumps go to a program, the kernel says so, and else they lie here.
    let mut other = with_dumps(&session, Path::new("sh"));
    let status = other.args(["-c", "kill -ABRT $$"]).stdout(Stdio::null()).status().expect("sh");
    assert!(std::os::unix::process::ExitStatusExt::core_dumped(&status), "{status}");
}

#[test]
fn no_program_of_larders_leaves_a_dump() {
    let mut desktop = Desktop::new();
    desktop.start(&["--hidden"]);
    desktop.wait_for_tray("the tray", |tray| !tray.entries.is_empty());
    let _following = desktop.session.events();
    desktop.session.wait_for("the command", || !desktop.running("larder").is_empty());
    let app = desktop.running("larder-desktop");
    assert!(!app.is_empty() && app.iter().all(|process| dumps(*process) == off()), "{app:?}");
    desktop.session.wait_for("the command's beginning", || {
        desktop.running("larder").iter().all(|process| dumps(*process) == off())
    });
    assert_eq!(dumps(desktop.session.agent_pid()).0, "0");
    // The web view's processes are the app's children.
    desktop.click_tray(&["Open Larder"]);
    desktop.wait_for_window();
    for name in ["WebKitWebProcess", "WebKitNetworkProcess"] {
        let found = desktop.running(name);
        assert!(!found.is_empty() && found.iter().all(|process| dumps(*process) == off()), "{name}");
    }
}

#[test]
fn a_command_that_is_run_with_a_token_has_its_dumps_as_before() {
    let (session, _provider) = Session::signed_in(3600);
    let mut command = with_dumps(&session, &program("larder"));
    let show = "ulimit -c; cat /proc/self/coredump_filter";
    let output = command.args(["exec", "work", "--", "sh", "-c", show]).output().expect("larder");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("unlimited\n") && !said.trim_end().ends_with("00000000"), "{said}");
}
