//! What stays in the agent's memory.

use crate::support::Session;
use crate::support::canary::{Search, counted, nothing};
use crate::support::secrets::Secrets;
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

/// What of it is in a process's memory. Who is not root is refused by the kernel, whoever the process belongs to: that is
/// what is seen then.
fn in_memory(search: &Search, process: i32) -> Vec<crate::support::canary::Found> {
    let root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
    if root {
        return search.memory(process);
    }
    let refused = std::fs::File::open(format!("/proc/{process}/mem")).expect_err("the agent's memory");
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
    Vec::new()
}

/// The search does find: this process is the provider, and holds every one of them.
fn finds_all(search: &Search, secrets: &Secrets) {
    let here = search.memory(std::process::id().cast_signed());
    let all: BTreeSet<&str> = secrets.all.iter().map(|(what, _)| what.as_str()).collect();
    assert_eq!(counted(&here).into_keys().collect::<BTreeSet<_>>(), all);
}

#[test]
fn sealed_the_agent_has_no_secret_in_memory() {
    let session = Session::new();
    let secrets = Secrets::signed_in(&session);
    let search = secrets.search();
    finds_all(&search, &secrets);
    let agent = session.agent_pid();
    // While it is used, the account's data key is there, and that once.
    let in_use = in_memory(&search, agent);
    assert!(in_use.iter().all(|found| found.what == "data key"), "{in_use:?}");
    assert!(std::fs::metadata("/proc/self").unwrap().uid() != 0 || !in_use.is_empty());
    session.larder(&["lock", "--seal"]).ok();
    nothing(&in_memory(&search, agent), "the agent's memory, sealed");
    // And again, now that it has fetched the key from the keychain by itself.
    session.larder(&["unlock"]).ok();
    session.larder(&["token", "work"]).ok();
    session.larder(&["lock", "--seal"]).ok();
    nothing(&in_memory(&search, agent), "the agent's memory, sealed once more");
    assert_eq!(session.agent_pid(), agent);
}

#[test]
fn signed_out_the_agent_has_no_secret_in_memory() {
    let session = Session::new();
    let secrets = Secrets::signed_in(&session);
    let search = secrets.search();
    finds_all(&search, &secrets);
    let agent = session.agent_pid();
    session.larder(&["sign-out", "work"]).ok();
    session.wait_for("the revocation", || secrets.provider.asked("/revoke") >= 1);
    nothing(&in_memory(&search, agent), "the agent's memory after the sign-out");
}

#[test]
fn the_agents_memory_is_nobodys_but_roots() {
    let (session, _provider) = Session::signed_in(600);
    // What is not dumpable belongs to root, and can be looked into by nobody else (proc(5), ptrace(2)).
    let agent = session.agent_pid();
    assert_eq!(std::fs::metadata(format!("/proc/{agent}/mem")).unwrap().uid(), 0);
}
