//! An agent that is watched from outside, system call by system call, and ended as `kill -9` does when it is about to make a
//! certain one: what it did before is done, this call and all after it are not.
//!
//! The calls of all its threads are counted together, in the order in which they come, from the moment that a test says.

use super::super::{PATIENCE, Session, program};
use nix::libc;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// What changes a file, or goes to or comes from somebody else.
const WATCHED: &[(i64, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_pwritev, "pwritev"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_sendmmsg, "sendmmsg"),
    (libc::SYS_recvfrom, "recvfrom"),
    (libc::SYS_recvmsg, "recvmsg"),
    (libc::SYS_connect, "connect"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_fallocate, "fallocate"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_unlinkat, "unlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, "link"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
];

/// Those whose first argument is a path or a folder.
const OF_A_NAME: &[&str] = &["renameat", "renameat2", "linkat", "unlinkat", "rename", "link", "unlink"];

/// One at a time: each call of a traced agent waits twice for whoever traces it, and several at once on a machine with little to
/// spare come to the end of the agent's patience with its keychain.
static ONE: Mutex<()> = Mutex::new(());

/// What happens when a thread of the agent is about to make the call that it is to end at. That thread stands meanwhile.
pub type AtTheEnd = Box<dyn FnOnce() + Send>;

/// What the tracer and the test both know.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The calls since counting began; `None` before.
    calls: Option<Vec<String>>,
    /// How many there were, counted or not.
    all: usize,
    end_at: usize,
    at_the_end: Option<AtTheEnd>,
    gone: bool,
}

/// The agent, traced. It ends with this.
pub struct Traced {
    shared: Arc<Shared>,
    go: Option<std::process::ChildStdin>,
    pid: i32,
    tracer: Option<JoinHandle<()>>,
    _one: MutexGuard<'static, ()>,
}

impl Traced {
    /// An agent that has not begun yet: it does with [`Self::begin`].
    pub fn new(session: &Session) -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = Arc::new(Shared::default());
        let mut command = session.command("/bin/sh");
        // Traced before it is the agent: an agent that is asks the system to let nobody look into it.
        command.args(["-c", "read -r go && exec \"$0\" < /dev/null"]).arg(program("larder-agent"));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let (sender, started) = mpsc::channel();
        let known = Arc::clone(&shared);
        // What traces is a thread: it alone can wait for it, and all that it traces ends with it.
        let tracer = std::thread::spawn(move || {
            let mut child = command.spawn().expect("/bin/sh");
            let pid = i32::try_from(child.id()).expect("a process id");
            let options = Options::PTRACE_O_TRACESYSGOOD
                | Options::PTRACE_O_TRACECLONE
                | Options::PTRACE_O_TRACEEXEC
                | Options::PTRACE_O_EXITKILL;
            ptrace::seize(Pid::from_raw(pid), options).expect("to trace a child of this process");
            ptrace::interrupt(Pid::from_raw(pid)).expect("it stands");
            sender.send((child.stdin.take().expect("piped"), pid)).expect("the test waits");
            trace(Pid::from_raw(pid), &known);
            // It was waited for there.
            let _ = child.wait();
            known.lock().gone = true;
            known.changed.notify_all();
        });
        let (go, pid) = started.recv_timeout(PATIENCE).expect("a traced process");
        Self { shared, go: Some(go), pid, tracer: Some(tracer), _one: one }
    }

    /// Lets it begin.
    pub fn begin(&mut self) {
        self.go.take().expect("only once").write_all(b"go\n").expect("it waits");
    }

    /// Counts from here on, and ends the agent when it is about to make this call, counted from one; `at_the_end` comes first.
    pub fn end_at(&self, call: usize, at_the_end: Option<AtTheEnd>) {
        let mut state = self.shared.lock();
        (state.calls, state.end_at, state.at_the_end) = (Some(Vec::new()), call, at_the_end);
    }

    /// What it called since, each with what it was about. Counting ends.
    pub fn calls(&self) -> Vec<String> {
        self.shared.lock().calls.take().unwrap_or_default()
    }

    /// Whether it has ended.
    pub fn gone(&self) -> bool {
        self.shared.lock().gone
    }

    /// Waits until it has ended, or nothing has been counted for so long.
    pub fn quiet(&self, long: Duration) {
        let mut state = self.shared.lock();
        while !state.gone {
            let so_far = state.all;
            let waited =
                self.shared.changed.wait_timeout_while(state, long, |state| !state.gone && state.all == so_far);
            let (next, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return;
            }
            state = next;
        }
    }

    /// Waits until it has.
    pub fn wait(&self) {
        let state = self.shared.lock();
        let waited = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !state.gone);
        assert!(waited.unwrap_or_else(PoisonError::into_inner).0.gone, "waited in vain for the agent's end");
    }

    /// Ends it now, wherever it is.
    pub fn kill(&self) {
        if !self.gone() {
            let _ = nix::sys::signal::kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
        self.wait();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        // A shell that never began reads the end of its stdin.
        drop(self.go.take());
        if !self.gone() {
            let _ = nix::sys::signal::kill(Pid::from_raw(self.pid), Signal::SIGKILL);
        }
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets `process` run until it has ended.
fn trace(process: Pid, shared: &Shared) {
    // Of this thread alone: other tests have children too.
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
    loop {
        // A thread that is gone meanwhile cannot be told to go on.
        let go_on = |pid, signal: Option<Signal>| {
            let _ = ptrace::syscall(pid, signal);
        };
        match waitpid(None::<Pid>, Some(flags)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) if pid == process => return,
            Ok(WaitStatus::PtraceSyscall(pid)) => {
                let end = watched(process, pid).and_then(|call| shared.passes(call));
                if let Some(at_the_end) = end {
                    at_the_end();
                    let _ = nix::sys::signal::kill(process, Signal::SIGKILL);
                }
                go_on(pid, None);
            }
            Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                // The end of a thread whose siblings are killed, a new one, a new program.
                debug_assert!(event != Event::PTRACE_EVENT_SECCOMP as i32, "nothing was asked of seccomp");
                go_on(pid, None);
            }
            Ok(WaitStatus::Stopped(pid, signal)) => go_on(pid, Some(signal)),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return,
        }
    }
}

impl Shared {
    /// Counts a call. At the one that the agent ends at, returns what is to be done first.
    fn passes(&self, call: String) -> Option<AtTheEnd> {
        let mut state = self.lock();
        state.all += 1;
        self.changed.notify_all();
        let end_at = state.end_at;
        let calls = state.calls.as_mut()?;
        calls.push(call);
        (calls.len() == end_at).then(|| state.at_the_end.take().unwrap_or_else(|| Box::new(|| {})))
    }
}

/// What a thread is about to call, if it is one of [`WATCHED`].
fn watched(process: Pid, thread: Pid) -> Option<String> {
    let entry = ptrace::syscall_info(thread).is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY);
    if !entry {
        return None;
    }
    let registers = ptrace::getregs(thread).ok()?;
    #[cfg(target_arch = "x86_64")]
    let (number, first) = (registers.orig_rax, registers.rdi);
    #[cfg(target_arch = "aarch64")]
    let (number, first) = (registers.regs[8], registers.regs[0]);
    let (_, name) = WATCHED.iter().find(|(watched, _)| u64::try_from(*watched) == Ok(number))?;
    if OF_A_NAME.contains(name) {
        return Some((*name).to_owned());
    }
    let target = std::fs::read_link(format!("/proc/{process}/fd/{first}")).ok()?.display().to_string();
    // One thread waking another, and the log, are nobody else's.
    if target.starts_with("anon_inode:") || target == "/dev/null" {
        return None;
    }
    let about = match target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
        Some(inode) => {
            let connections = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap_or_default();
            let network = connections.lines().any(|line| line.split_whitespace().nth(9) == Some(inode));
            if network || (*name == "connect" && !listed(process, inode)) { "network" } else { "local" }.to_owned()
        }
        None => target.rsplit('/').next().unwrap_or_default().to_owned(),
    };
    // How often the keychain's or a client's words are read in parts is chance, and nobody else sees it.
    if about == "local" && name.starts_with("recv") {
        return None;
    }
    Some(format!("{name} {about}"))
}

/// Whether a socket is a Unix socket.
fn listed(process: Pid, inode: &str) -> bool {
    let sockets = std::fs::read_to_string(format!("/proc/{process}/net/unix")).unwrap_or_default();
    sockets.lines().any(|line| line.split_whitespace().nth(6) == Some(inode))
}
