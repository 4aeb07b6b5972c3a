//! The demonstration's authorization server, for as long as this app runs: the program `larder-demo` that lies beside
//! this one. A packaged install has no such program.

use larder_core::profile::Profile;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Names a server that runs already, which is then offered instead of starting one: for tests.
const ISSUER_VARIABLE: &str = "LARDER_DEMO_ISSUER";

/// Its port: always the same one, so that accounts of an earlier demonstration still find their issuer.
const PORT: &str = "4747";

/// How long it may take until it listens. It makes a signing key first, which a debug build takes seconds for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The demonstration, offered as long as this is kept.
#[derive(Debug)]
pub struct Demo {
    /// Where it listens.
    pub issuer: String,
    /// It ends when its standard input does, which happens however this process ends.
    _life: Option<(Child, ChildStdin)>,
}

/// The program, or a sentence that says where it is missing. Nothing is started.
pub fn find() -> Result<Option<PathBuf>, String> {
    if std::env::var_os(ISSUER_VARIABLE).is_some() {
        return Ok(None);
    }
    let name = format!("larder-demo{}", std::env::consts::EXE_SUFFIX);
    let here = std::env::current_exe().map_err(|error| format!("Where this program lies cannot be read: {error}."))?;
    let program = here.with_file_name(name);
    if program.is_file() {
        Ok(Some(program))
    } else {
        Err(format!(
            "The demonstration needs {}, which is not there; it is built by `make run` and not part of a package.",
            program.display()
        ))
    }
}

/// Starts the program that [`find`] found, and waits until it listens.
pub fn start(program: Option<PathBuf>, profile: &Profile) -> Result<Demo, String> {
    let Some(program) = program else {
        let issuer = std::env::var(ISSUER_VARIABLE).map_err(|_| format!("{ISSUER_VARIABLE} is not text."))?;
        return Ok(Demo { issuer, _life: None });
    };
    let failed = |detail: &str| format!("The demonstration cannot start: {detail}.");
    let mut child = Command::new(&program)
        .args(["--port", PORT, "--with-parent", "--state"])
        .arg(profile.data.join("demo-state.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .env_remove("XDG_ACTIVATION_TOKEN")
        .spawn()
        .map_err(|error| failed(&format!("{}: {error}", program.display())))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(failed("it has no standard input or output"));
    };
    let (sender, first) = mpsc::channel();
    std::thread::spawn(move || {
        // Read to its end: a full pipe would stop it, a closed one might end it.
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            let _ = sender.send(line);
        }
    });
    let line = first.recv_timeout(PATIENCE).map_err(|_| failed("it did not say where it listens"));
    match line.and_then(|line| issuer(&line).ok_or_else(|| failed("it said something else than where it listens"))) {
        Ok(issuer) => Ok(Demo { issuer, _life: Some((child, stdin)) }),
        Err(sentence) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(sentence)
        }
    }
}

/// `listening http://127.0.0.1:4747` names the issuer.
fn issuer(line: &str) -> Option<String> {
    let address = line.strip_prefix("listening ")?.trim();
    address.starts_with("http://127.0.0.1:").then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::issuer;

    #[test]
    fn the_first_line_names_the_issuer() {
        assert_eq!(issuer("listening http://127.0.0.1:4747\n").as_deref(), Some("http://127.0.0.1:4747"));
        assert_eq!(issuer("listening http://example.com:4747"), None);
        assert_eq!(issuer("address in use"), None);
    }
}
