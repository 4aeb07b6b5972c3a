//! The package that `make package` made, and the same as a lower version.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file below `target`.
fn built(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target").join(path)
}

fn ran(command: &mut Command) {
    let output = command.output().expect("a program");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What `make package` made.
pub fn made() -> PathBuf {
    let folder = built("release/bundle/deb");
    let is_package = |path: &PathBuf| path.extension() == Some(OsStr::new("deb"));
    let entries = fs::read_dir(&folder).unwrap_or_else(|_| panic!("{}: run `make package` first", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).find(is_package).expect("a .deb: run `make package` first")
}

/// The same package with the programs of `src-tauri/app/package/lower`, and with their version.
pub fn lower(made: &Path, scratch: &Path) -> PathBuf {
    let programs = built("package-lower/bin");
    let tree = scratch.join("lower");
    ran(Command::new("dpkg-deb").arg("--raw-extract").args([made, &tree]));
    for program in ["larder", "larder-agent", "larder-desktop"] {
        let from = programs.join(program);
        fs::copy(&from, tree.join("usr/bin").join(program))
            .unwrap_or_else(|error| panic!("{}: {error}: run src-tauri/app/package/lower first", from.display()));
    }
    let said = Command::new(programs.join("larder")).arg("--version").output().expect("larder");
    let said = String::from_utf8(said.stdout).expect("text");
    let version = said.trim().strip_prefix("larder ").expect("a version").to_owned();
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).expect("the package's description");
    let of_lower =
        |line: &str| if line.starts_with("Version: ") { format!("Version: {version}") } else { line.to_owned() };
    let lines: Vec<_> = text.lines().map(of_lower).collect();
    fs::write(&control, lines.join("\n") + "\n").expect("the package's description");
    let sums = "find usr -type f -exec md5sum {} + > DEBIAN/md5sums";
    ran(Command::new("sh").args(["-c", sums]).current_dir(&tree));
    let deb = scratch.join("lower.deb");
    ran(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).args([&tree, &deb]));
    deb
}
