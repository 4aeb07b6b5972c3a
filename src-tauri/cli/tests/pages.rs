//! Generates the command's manual pages and shell completions, and looks whether they can be used. They lie in
//! `target/tmp/pages` afterwards, which is what `make pages` is. Not part of the command itself, which stays small.

#![expect(clippy::unwrap_used, reason = "a test fails as it must")]

#[path = "../src/args.rs"]
mod args;
#[path = "../src/duration.rs"]
mod duration;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn command() -> clap::Command {
    args::Args::command()
}

/// An empty folder for what is generated.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a program says that must succeed.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success() && stderr.is_empty(), "{program}: {stderr}");
    stdout
}

#[test]
fn each_command_has_a_manual_page_that_can_be_read() {
    let folder = folder("man");
    clap_mangen::generate_to(command(), &folder).unwrap();
    let pages: Vec<_> = fs::read_dir(&folder).unwrap().map(|page| page.unwrap().path()).collect();
    for of in command().get_subcommands().filter(|of| !of.is_hide_set()) {
        let page = folder.join(format!("larder-{}.1", of.get_name()));
        assert!(pages.contains(&page), "{} has no page", of.get_name());
    }
    for page in &pages {
        let page = page.display().to_string();
        said("mandoc", &["-T", "lint", "-W", "error", &page]);
    }
    let shown = said("mandoc", &["-T", "utf8", &folder.join("larder-token.1").display().to_string()]);
    assert!(shown.contains("Print an access token that works"), "{shown}");
}

#[test]
fn each_shell_completes_commands_and_options() {
    let folder = folder("completions");
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command(), "larder", &folder).unwrap();
    }
    let file = |name: &str| folder.join(name).display().to_string();
    let ask = "COMP_WORDS=(larder git-c); COMP_CWORD=1; _larder larder git-c larder; echo \"${COMPREPLY[@]}\"; \
               COMP_WORDS=(larder token work --fo); COMP_CWORD=3; _larder larder --fo work; echo \"${COMPREPLY[@]}\"";
    let bash = said("bash", &["--noprofile", "--norc", "-c", &format!("source {}; {ask}", file("larder.bash"))]);
    assert_eq!(bash, "git-credential\n--format\n");
    said("zsh", &["--no-rcs", "-n", &file("_larder")]);
    let ask = |text: &str| format!("source {}; complete --do-complete '{text}'", file("larder.fish"));
    let fish = |text: &str| said("fish", &["--no-config", "-c", &ask(text)]);
    assert!(fish("larder git-c").starts_with("git-credential"));
    assert!(fish("larder token work --format ").contains("xoauth2"));
}
