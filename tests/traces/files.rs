//! What lies in files, environments and arguments.

use crate::support::canary::{Found, Search, nothing};
use crate::support::secrets::Secrets;
use crate::support::{PATIENCE, Session, support};
use base64::Engine as _;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two looks at which processes there are: a command takes a few milliseconds.
const PAUSE: Duration = Duration::from_millis(1);

/// The processes of this home, and what stood in their environments and arguments, while `work` is done. Looked at again and
/// again: some end within milliseconds.
fn watched(home: &Path, search: &Search, work: impl FnOnce()) -> (BTreeSet<String>, Vec<Found>) {
    let mark = format!("HOME={}", home.display());
    let (done, seen) = (AtomicBool::new(false), Mutex::new((BTreeSet::new(), Vec::new())));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
                for process in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()) {
                    let variables = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
                    if variables.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                        let name = std::fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.0.insert(name.trim().to_owned());
                        seen.1.extend(search.environment(process));
                    }
                }
                std::thread::sleep(PAUSE);
            }
        });
        // A failure must not leave the watcher watching.
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::SeqCst);
        worked.unwrap_or_else(|failure| std::panic::resume_unwind(failure));
    });
    seen.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// A session whose temporary files lie in its home too, and whose hooks write down what they are given.
fn session() -> Session {
    let mut session = Session::new();
    let home = session.home().to_owned();
    std::fs::create_dir(home.join("tmp")).unwrap();
    session.set("TMPDIR", home.join("tmp"));
    session.set("RUST_BACKTRACE", "full");
    session.set("RUST_LOG", "trace");
    let hook = support("hook-that-tells").display().to_string();
    let hooks = ["on_sign_in", "on_sign_out", "on_refresh", "on_attention"];
    let lines: String = hooks.iter().map(|name| format!("{name} = [\"{hook}\"]\n")).collect();
    std::fs::write(session.profile().join("config.toml"), format!("[hooks]\n{lines}")).unwrap();
    session
}

fn hooks_told(session: &Session) -> String {
    std::fs::read_to_string(session.home().join("hooks")).unwrap_or_default()
}

#[test]
fn what_was_used_lies_in_no_file_environment_or_argument_and_neither_after_the_sign_out() {
    let session = session();
    let mut secrets = Secrets::signed_in(&session);
    // All of them have been used by now. What comes next brings new ones.
    secrets.gives(3);
    let search = secrets.search();
    let (processes, found) = watched(session.home(), &search, || {
        session.larder(&["refresh", "work"]).ok();
        let token = session.larder(&["token", "work"]).ok();
        assert!(!search.text("stdout", token.as_bytes()).is_empty(), "what is looked for is what was handed out");
        for format in ["json", "header"] {
            session.larder(&["token", "work", "--format", format]).ok();
        }
        let proof = ["token", "work", "--dpop", "GET", "https://api.example/me", "--json"];
        session.larder(&proof).ok();
        session.larder_reads(&["token", "work", "--rejected-token", "-"], &token).ok();
        for told in [&["status"][..], &["accounts"], &["audit"], &["events"], &["doctor"], &["providers", "list"]] {
            // What doctor finds in this session is not what this is about.
            let ran = session.larder(&[told, &["--json"]].concat());
            nothing(&search.text("stdout", ran.stdout.as_bytes()), &format!("{told:?}"));
            nothing(&search.text("stderr", ran.stderr.as_bytes()), &format!("{told:?}"));
        }
        // What goes wrong is told without what it went wrong with.
        secrets.provider.tell(|told| told.response["token_type"] = 7.into());
        session.larder(&["refresh", "work"]);
        session.wait_for("the hook", || hooks_told(&session).contains("LARDER_EVENT=refresh"));
    });
    assert!(["larder", "larder-agent"].iter().all(|name| processes.contains(*name)), "{processes:?}");
    nothing(&found, "environments and arguments");
    nothing(&search.below(session.home()), "files, while the agent runs");
    assert!(session.profile().join("larder.db-wal").is_file(), "the log was searched too");
    session.larder(&["sign-out", "work"]).ok();
    session.wait_for("the hook", || hooks_told(&session).contains("LARDER_EVENT=sign-out"));
    nothing(&search.below(session.home()), "files, after the sign-out");
    session.stop_agent();
    nothing(&search.below(session.home()), "files, after the agent's end");
    let told = hooks_told(&session);
    assert!(told.contains("LARDER_ACCOUNT=work") && told.contains("hook-that-tells"), "{told}");
}

#[test]
fn the_search_finds_what_lies_there_in_any_shape() {
    // Without this, the others could pass for any reason.
    let secret = b"canary/of+a=secret.0f1e2d3c4b5a";
    let search = Search::new().and("canary", secret);
    let folder = tempfile::tempdir().unwrap();
    let text = String::from_utf8(secret.to_vec()).unwrap();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let encoded: String = url::form_urlencoded::byte_serialize(secret).collect();
    let base64 = |before: &str| base64::prelude::BASE64_STANDARD.encode(format!("{before}{text};"));
    let shapes: [Vec<u8>; 8] = [
        secret.to_vec(),
        utf16,
        hex.to_uppercase().into_bytes(),
        hex.into_bytes(),
        encoded.into_bytes(),
        base64("").into_bytes(),
        base64("x").into_bytes(),
        base64("xy").into_bytes(),
    ];
    for shape in &shapes {
        for before in 0..9 {
            let file = folder.path().join("file");
            std::fs::write(&file, [&vec![b'.'; before], &shape[..], b"."].concat()).unwrap();
            assert!(!search.below(folder.path()).is_empty(), "{before}: {}", String::from_utf8_lossy(shape));
        }
    }
    // In an environment and in arguments too, however short the process lives.
    let session = Session::new();
    for (name, arguments) in [("LEFT", &["0.01"][..]), ("OTHER", &["0.01", &text])] {
        let (_, found) = watched(session.home(), &search, || {
            let until = std::time::Instant::now() + PATIENCE;
            let mut command = session.command("sh");
            command.args(["-c", "sleep \"$1\"", "sh"]).args(arguments);
            if name == "LEFT" {
                command.env(name, &text);
            }
            assert!(command.status().expect("sh").success() && std::time::Instant::now() < until);
        });
        assert!(!found.is_empty(), "{name}");
    }
}
