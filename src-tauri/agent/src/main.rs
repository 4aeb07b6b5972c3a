//! `larder-agent`: serves one profile. It takes no arguments; `LARDER_HOME` names another profile than the person's own.

use larder_core::problem::Problem;
use larder_core::profile::Profile;
use larder_core::words::sentence;
use std::alloc::System;
use std::io::IsTerminal;
use std::process::ExitCode;
use zeroizing_alloc::ZeroAlloc;

/// Overwrites what is given back. Tokens pass through the buffers of HTTP, JSON and the system's bus, whose libraries do not
/// clear them; what Larder itself holds of a secret is cleared by its type.
#[global_allocator]
static MEMORY: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(tracing::Level::INFO)
        .init();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            report(&problem);
            ExitCode::from(problem.exit() as u8)
        }
    }
}

fn start() -> Result<(), Problem> {
    larder_agent::crash::leave_nothing();
    let handed_over = larder_agent::socket::handed_over();
    let profile = Profile::locate(|name| std::env::var_os(name))?;
    // One thread serves: an answer then needs no hand-over, and an idle agent wakes one thread. What blocks (database,
    // keychain) has threads of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::Internal { detail: error.kind().to_string() })?;
    let result = runtime.block_on(larder_agent::start::run(profile, handed_over));
    // A keychain call that hangs must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    result
}

/// The last line of the log says why there is no agent, for whoever started it; a person reads a sentence.
#[expect(clippy::print_stderr, reason = "whoever started the agent reads it here")]
fn report(problem: &Problem) {
    if std::io::stderr().is_terminal() {
        eprintln!("larder-agent: {}", sentence(problem));
    } else {
        // In one write: several agents may end at once, and lines that mix are no problem that anybody can read.
        let line = serde_json::json!({ "problem": problem }).to_string() + "\n";
        eprint!("{line}");
    }
}
