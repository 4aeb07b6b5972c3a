//! Which program asks: the first ancestor of the connecting process that is neither `larder` itself, a shell, nor git's plumbing.
//!
//! This is what the system says of a process of the same user, not a proof: such a process can pretend to be another.

/// So many ancestors are looked at; deeper chains do not occur outside of attacks.
#[cfg(target_os = "linux")]
const DEEPEST: usize = 32;

/// Stands between a person's program and `larder`, and decides nothing.
#[cfg(target_os = "linux")]
const GO_BETWEENS: &[&str] = &[
    "larder",
    "sh",
    "bash",
    "dash",
    "zsh",
    "fish",
    "ksh",
    "env",
    "git-remote-http",
    "git-remote-https",
    "git-credential-larder",
];

/// A program that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its executable.
    pub path: String,
    /// Its process, and when that started: together they are never used again.
    pub process: Option<(i32, u64)>,
}

/// The program behind the process that connected.
#[cfg(target_os = "linux")]
pub fn behind(pid: i32) -> Option<Program> {
    let mut found = None;
    let mut next = pid;
    for _ in 0..DEEPEST {
        // What belongs to somebody else, such as the login that started it all, cannot be looked into.
        let Ok(process) = procfs::process::Process::new(next) else { break };
        let (Ok(path), Ok(stat)) = (process.exe(), process.stat()) else { break };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // The kernel marks an executable that was replaced, as an update does, while it runs.
        let path_text = path.display().to_string();
        let path_text = path_text.strip_suffix(" (deleted)").unwrap_or(&path_text).to_owned();
        let program = Program { path: path_text, process: Some((next, stat.starttime)) };
        if !GO_BETWEENS.contains(&name) {
            return Some(program);
        }
        // A person at a shell, with nothing behind it but the terminal: then the shell asks.
        found.get_or_insert(program);
        if stat.ppid <= 1 {
            break;
        }
        next = stat.ppid;
    }
    found
}

/// Whether the program is still the one that asked: process ids are used again.
#[cfg(target_os = "linux")]
pub fn still_there(program: &Program) -> bool {
    program.process.is_none_or(|(pid, start)| {
        procfs::process::Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.starttime == start)
    })
}

/// The program behind the process that connected: not known on this system yet.
#[cfg(not(target_os = "linux"))]
pub fn behind(_pid: i32) -> Option<Program> {
    None
}

/// Whether the program is still the one that asked.
#[cfg(not(target_os = "linux"))]
pub fn still_there(_program: &Program) -> bool {
    true
}
