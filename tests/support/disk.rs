//! A disk that is small enough to be filled: a tmpfs over the profile's folder.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Room for the databases, their logs and the agent's log, a few times over.
const SIZE: &str = "size=4m,mode=700";

/// What is written at once while the disk is filled: a page of a tmpfs, so that nothing is left of it.
const PAGE: usize = 4096;

/// The disk. It is unmounted with this.
#[derive(Debug)]
pub struct SmallDisk {
    at: PathBuf,
}

impl SmallDisk {
    /// Mounts it over this folder.
    pub fn mount(at: PathBuf) -> Self {
        let at_text = at.to_str().expect("text").to_owned();
        as_root(&["mount", "-t", "tmpfs", "-o", SIZE, "larder-test", &at_text]);
        let disk = Self { at };
        // What `mount` made belongs to root; the test may be somebody else.
        if !is_root() {
            let owner = String::from_utf8(run("id", &["-u"]).stdout).expect("a number");
            as_root(&["chown", owner.trim(), &at_text]);
        }
        fs::write(disk.at.join("policy.toml"), "default = \"allow\"\n").expect("policy.toml");
        disk
    }

    /// Takes all the room that is left.
    pub fn fill(&self) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file");
        loop {
            match file.write_all(&[b'x'; PAGE]) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        fs::remove_file(self.filler()).expect("the file that took the room");
    }

    /// From now on it can only be read. Nothing may have a file open for writing.
    pub fn read_only(&self) {
        as_root(&["mount", "-o", "remount,ro", self.at.to_str().expect("text")]);
    }

    /// And written again.
    pub fn writable(&self) {
        as_root(&["mount", "-o", "remount,rw", self.at.to_str().expect("text")]);
    }

    fn filler(&self) -> PathBuf {
        self.at.join("what-takes-the-room")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy", self.at.to_str().expect("text")]);
    }
}

/// A file that can only be read, whoever asks, until this is dropped.
#[derive(Debug)]
pub struct ReadOnlyFile(PathBuf);

impl ReadOnlyFile {
    /// This one.
    pub fn new(file: &Path) -> Self {
        let text = file.to_str().expect("text");
        as_root(&["mount", "--bind", text, text]);
        let made = Self(file.to_owned());
        as_root(&["mount", "-o", "remount,bind,ro", text]);
        made
    }
}

impl Drop for ReadOnlyFile {
    fn drop(&mut self) {
        as_root(&["umount", "--lazy", self.0.to_str().expect("text")]);
    }
}

fn is_root() -> bool {
    run("id", &["-u"]).stdout == b"0\n"
}

fn run(program: &str, arguments: &[&str]) -> std::process::Output {
    Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// Runs what only root may do: mounting, tracing.
pub fn as_root(line: &[&str]) {
    let line = root_line(line);
    let arguments: Vec<_> = line[1..].iter().map(String::as_str).collect();
    let output = run(&line[0], &arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "this test needs root, or sudo without a password: {line:?}: {said}");
}

/// The command line of it.
pub fn root_line(line: &[&str]) -> Vec<String> {
    let sudo: &[&str] = if is_root() { &[] } else { &["sudo", "-n"] };
    sudo.iter().chain(line).map(|word| (*word).to_owned()).collect()
}
