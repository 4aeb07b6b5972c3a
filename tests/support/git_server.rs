//! A git server: `git http-backend` (its own, CGI) behind a resource server that checks tokens.

use super::Session;
use super::resource::{Answered, Asked, Resource};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The git that serves. Which one is tried as a client is another matter.
const BACKEND: &str = "/usr/bin/git";

/// A server with repositories `one/repo.git` and `two/repo.git`, each with a commit, that whoever has a token may read and
/// write.
pub fn start(session: &Session, issuer: &str, challenges: &[&str]) -> Resource {
    let root = session.home().join(format!("git-{}", challenges.len()));
    for owner in ["one", "two"] {
        let repository = root.join(owner).join("repo.git");
        std::fs::create_dir_all(&repository).expect("a folder");
        let path = repository.display().to_string();
        session.ran(BACKEND, &["init", "--quiet", "--bare", "--initial-branch=main", &path]);
        let seed = root.join(format!("seed-{owner}")).display().to_string();
        session.ran(BACKEND, &["init", "--quiet", "--initial-branch=main", &seed]);
        let commit = ["-C", &seed, "-c", "user.name=Seed", "-c", "user.email=seed@x.example", "commit", "--quiet"];
        session.ran(BACKEND, &[&commit[..], &["--allow-empty", "--message=first"]].concat());
        session.ran(BACKEND, &["-C", &seed, "push", "--quiet", &path, "main"]);
    }
    Resource::start(issuer, challenges, move |asked| backend(&root, asked))
}

/// One request, as CGI (RFC 3875).
fn backend(root: &Path, asked: &Asked) -> Answered {
    let header = |name: &str| asked.headers.get(name).cloned().unwrap_or_default();
    let mut child = Command::new(BACKEND)
        .arg("http-backend")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", &asked.path)
        .env("QUERY_STRING", &asked.query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        // Whoever is known may push (git-http-backend(1)).
        .env("REMOTE_USER", if asked.user.is_empty() { "somebody" } else { &asked.user })
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git http-backend");
    let (mut stdin, body) = (child.stdin.take().expect("piped"), asked.body.clone());
    let writer = std::thread::spawn(move || stdin.write_all(&body));
    let output = child.wait_with_output().expect("git http-backend");
    // It may end without reading all.
    let _ = writer.join();
    let text = output.stdout;
    let end = text.windows(4).position(|window| window == b"\r\n\r\n").expect("headers");
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let mut headers: Vec<(String, String)> =
        head.lines().filter_map(|line| line.split_once(": ")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let status = headers.iter().find(|(name, _)| name == "Status").and_then(|(_, value)| value.get(..3)?.parse().ok());
    headers.retain(|(name, _)| name != "Status");
    (status.unwrap_or(200), headers, text[end + 4..].to_vec())
}

/// The gits that are tried, with their versions: Debian's, and every other one that the path has. One must know `authtype`.
pub fn gits() -> Vec<(PathBuf, (u32, u32))> {
    let path = std::env::var_os("PATH").expect("PATH");
    let mut found: Vec<PathBuf> = std::env::split_paths(&path).map(|folder| folder.join("git")).collect();
    found.insert(0, BACKEND.into());
    let mut gits: Vec<(PathBuf, (u32, u32))> = Vec::new();
    for git in found.into_iter().filter(|git| git.is_file()) {
        let version = version(&git);
        if gits.iter().all(|(_, known)| *known != version) {
            gits.push((git, version));
        }
    }
    let newer = gits.iter().any(|(_, version)| *version >= AUTHTYPE);
    assert!(newer, "git 2.46 or newer is missing from the path, beside Debian's own; found {gits:?}");
    gits
}

/// Since when git lets a helper send a token in a header of its own.
pub const AUTHTYPE: (u32, u32) = (2, 46);

fn version(git: &Path) -> (u32, u32) {
    let output = Command::new(git).arg("--version").output().expect("git");
    let text = String::from_utf8(output.stdout).expect("text");
    let numbers = text.split_whitespace().nth(2).expect("a version").split('.');
    let mut numbers = numbers.map(|number| number.parse().expect("a number"));
    (numbers.next().expect("a number"), numbers.next().expect("a number"))
}
