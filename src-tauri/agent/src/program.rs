//! Which program asks: the first ancestor of the connecting process that is neither `larder` itself, a shell, nor git's plumbing.
//!
//! This is what the system says of a process of the same user, not a proof: such a process can pretend to be another.
//! In a container or a sandbox a path names another file, so what runs there is not named: who started it is.

use larder_core::view::AskingProgram;

/// So many ancestors are looked at; deeper chains do not occur outside of attacks.
#[cfg(target_os = "linux")]
const DEEPEST: usize = 32;

/// Shells: where one stands between a person's program and `larder`, it decides nothing.
const SHELLS: &[&str] = &["sh", "bash", "dash", "zsh", "fish", "ksh", "busybox"];

/// What stands between them too.
#[cfg(target_os = "linux")]
const GO_BETWEENS: &[&str] = &["larder", "env", "git-remote-http", "git-remote-https", "git-credential-larder"];

/// Programs that run what others wrote: allowing one allows all of that. Without the version at the end of their names.
const RUNNERS: &[&str] = &[
    // Interpreters.
    "python",
    "pypy",
    "ipython",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "luajit",
    "tclsh",
    "wish",
    "expect",
    "java",
    "mono",
    "dotnet",
    "Rscript",
    "R",
    "julia",
    "guile",
    "racket",
    "sbcl",
    "ghc",
    "elixir",
    "erl",
    "beam.smp",
    "gjs",
    "pwsh",
    "osascript",
    "awk",
    "gawk",
    "mawk",
    "emacs",
    "vim",
    "nvim",
    "uv",
    "pipx",
    "npx",
    "npm",
    "cargo",
    "go",
    "make",
    "gmake",
    "ninja",
    // Git runs helpers, hooks and aliases.
    "git",
    // What runs a command that it is given.
    "env",
    "xargs",
    "find",
    "parallel",
    "timeout",
    "nohup",
    "nice",
    "setsid",
    "script",
    "sudo",
    "doas",
    "su",
    "ssh",
    "sshd",
    "tmux",
    "tmux: server",
    "screen",
    "cron",
    "crond",
    "at",
    "atd",
    "systemd",
    "systemd-run",
    "init",
    // Containers and sandboxes.
    "docker",
    "dockerd",
    "containerd",
    "containerd-shim",
    "containerd-shim-runc-v",
    "podman",
    "conmon",
    "runc",
    "crun",
    "buildah",
    "bwrap",
    "flatpak",
    "firejail",
    "snap",
    "snap-confine",
    "nsjail",
    "unshare",
    "nsenter",
    "chroot",
    "systemd-nspawn",
    "lxc-start",
    "distrobox",
    "toolbox",
    "wine",
    "wine64",
    // Editors that run what they are asked to.
    "code",
    "codium",
    "electron",
];

/// Arguments that are shown, at the most: more is more than anybody reads.
#[cfg(target_os = "linux")]
const MOST_ARGUMENTS: usize = 16;

/// Characters of each, at the most.
#[cfg(target_os = "linux")]
const MOST_ARGUMENT: usize = 200;

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
    for (program, name) in ancestors(pid) {
        if !GO_BETWEENS.contains(&name.as_str()) && !SHELLS.contains(&name.as_str()) {
            return Some(program);
        }
        // A person at a shell, with nothing behind it but the terminal: then the shell asks.
        found.get_or_insert(program);
    }
    found
}

/// A process and what started it, and so on, as far as it can be looked into, with the names of their executables. What runs
/// elsewhere is passed over.
#[cfg(target_os = "linux")]
fn ancestors(pid: i32) -> impl Iterator<Item = (Program, String)> {
    let mut next = Some(pid);
    std::iter::from_fn(move || {
        // What belongs to somebody else, such as the login that started it all, cannot be looked into.
        let process = procfs::process::Process::new(next.take()?).ok()?;
        let (exe, stat) = (process.exe().ok()?, process.stat().ok()?);
        next = (stat.ppid > 1).then_some(stat.ppid);
        let here = runs_here(&process, &exe);
        // The kernel marks an executable that was replaced, as an update does, while it runs.
        let path = exe.display().to_string();
        let path = path.strip_suffix(DELETED).unwrap_or(&path).to_owned();
        let name =
            std::path::Path::new(&path).file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        Some(here.then_some((Program { path, process: Some((process.pid, stat.starttime)) }, name)))
    })
    .take(DEEPEST)
    .flatten()
}

#[cfg(target_os = "linux")]
const DELETED: &str = " (deleted)";

/// Whether a process sees the files that this one sees, or at least its executable is the file that its path names here.
#[cfg(target_os = "linux")]
fn runs_here(process: &procfs::process::Process, exe: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let files = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let root = |pid: &str| std::fs::read_link(format!("/proc/{pid}/root")).ok();
    let pid = process.pid.to_string();
    let own = files("self");
    if own.is_some() && files(&pid) == own && root(&pid) == root("self") {
        return true;
    }
    let file = |path: &std::path::Path| std::fs::metadata(path).map(|found| (found.dev(), found.ino())).ok();
    let running = file(std::path::Path::new(&format!("/proc/{pid}/exe")));
    running.is_some() && running == file(exe)
}

/// What a person is told of a program that asks.
#[cfg(target_os = "linux")]
pub fn asking(program: Option<&Program>) -> AskingProgram {
    let Some(Program { path, process: Some((pid, _)) }) = program else { return unknown() };
    let arguments = procfs::process::Process::new(*pid).and_then(|process| process.cmdline()).unwrap_or_default();
    let mut shown: Vec<_> = arguments.iter().skip(1).take(MOST_ARGUMENTS).map(|text| shown(text)).collect();
    let more = arguments.len().saturating_sub(1 + MOST_ARGUMENTS);
    if more > 0 {
        shown.push(format!("… (+{more})"));
    }
    let mut started_by: Option<String> = None;
    for (starter, name) in ancestors(*pid).skip(1) {
        let shell = SHELLS.contains(&name.as_str());
        if started_by.is_none() || !shell {
            started_by = Some(self::shown(&starter.path));
        }
        if !shell {
            break;
        }
    }
    AskingProgram {
        path: path.clone(),
        arguments: shown,
        pid: *pid,
        started_by,
        anything_run_by: anything_run_by(path),
    }
}

/// Text of another program's, as it is shown: bounded, and nothing in it steers a screen or turns its direction.
#[cfg(target_os = "linux")]
fn shown(text: &str) -> String {
    let steers = |letter: char| {
        letter.is_control()
            || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let clean = |letter: char| if steers(letter) { char::REPLACEMENT_CHARACTER } else { letter };
    let mut shown: String = text.chars().take(MOST_ARGUMENT).map(clean).collect();
    let more = text.chars().count().saturating_sub(MOST_ARGUMENT);
    if more > 0 {
        shown.push_str(&format!("… (+{more})"));
    }
    shown
}

fn unknown() -> AskingProgram {
    AskingProgram { path: String::new(), arguments: Vec::new(), pid: 0, started_by: None, anything_run_by: true }
}

/// Whether what this program is allowed, anything is that it runs.
pub fn anything_run_by(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    // python3.11, perl5.36.0, lua5.4.
    let bare = name.trim_end_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | '-'));
    [name, bare].iter().any(|name| SHELLS.contains(name) || RUNNERS.contains(name))
}

/// Whether the program is still the one that asked: process ids are used again.
#[cfg(target_os = "linux")]
pub fn still_there(program: &Program) -> bool {
    program.process.is_none_or(|(pid, start)| {
        procfs::process::Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| stat.starttime == start)
    })
}

/// What a person is told of a program that asks: not known on this system yet.
#[cfg(not(target_os = "linux"))]
pub fn asking(_program: Option<&Program>) -> AskingProgram {
    unknown()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_others_is_known_whatever_its_version() {
        for runner in
            ["/usr/bin/python3.11", "/usr/bin/git", "/bin/bash", "/usr/bin/bwrap", "/opt/node-22", "/usr/bin/lua5.4"]
        {
            assert!(anything_run_by(runner), "{runner}");
        }
        for program in ["/usr/bin/mbsync", "/usr/bin/curl", "/usr/lib/thunderbird/thunderbird", "/opt/notgit"] {
            assert!(!anything_run_by(program), "{program}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_shown_is_bounded_and_steers_no_screen() {
        assert_eq!(shown("a\u{1b}[2K\u{202e}b\n"), "a\u{fffd}[2K\u{fffd}b\u{fffd}");
        assert_eq!(shown(&"x".repeat(1000)), format!("{}… (+800)", "x".repeat(200)));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_is_told_with_its_arguments_and_who_started_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        // Spawned is not yet begun: its arguments are there a moment later.
        while std::fs::read(format!("/proc/{pid}/cmdline")).unwrap().is_empty() {
            std::thread::yield_now();
        }
        let program = behind(pid).unwrap();
        let told = asking(Some(&program));
        let _ = child.kill();
        let _ = child.wait();
        let me = std::env::current_exe().unwrap().display().to_string();
        assert_eq!((told.pid, told.started_by.as_deref()), (pid, Some(me.as_str())));
        assert_eq!(told.arguments, ["60"]);
        assert!(!still_there(&program));
    }
}
