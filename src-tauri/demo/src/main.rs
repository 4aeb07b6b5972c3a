//! `larder-demo`: the demonstration provider as a program of its own.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use larder_demo::{Options, Server};
use tokio::sync::oneshot;

/// A real OAuth 2.0 authorization server on this computer, for trying Larder and for its tests.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 4747)]
    port: u16,
    /// How long access tokens are good
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    access_lifetime: u64,
    /// How long refresh tokens are good, each counted from its own issue
    #[arg(long, value_name = "SECONDS", default_value_t = 30 * 24 * 60 * 60)]
    refresh_lifetime: u64,
    /// Keep grants and signing key in this file, so that a restart on the same port ends nobody's session
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Serve /_demo/…, by which tests steer and watch
    #[arg(long)]
    control: bool,
    /// End when stdin closes, so that no server is left behind by the program that started it
    #[arg(long)]
    with_parent: bool,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    // Before anything else, so that a signal that comes early ends the program the same way.
    let told_to_end = told_to_end()?;
    let server = Server::start(Options {
        port: arguments.port,
        access_lifetime: Duration::from_secs(arguments.access_lifetime),
        refresh_lifetime: Duration::from_secs(arguments.refresh_lifetime),
        state: arguments.state,
        control: arguments.control,
    })
    .await?;
    // The one line this program prints; who started it reads the port there. Written by hand, because println panics
    // where nobody listens.
    writeln!(io::stdout(), "listening {}", server.issuer())?;

    let parent = async { if arguments.with_parent { stdin_closed().await } else { std::future::pending().await } };
    tokio::select! {
        () = parent => {}
        () = told_to_end => {}
    }
    server.stop().await;
    Ok(())
}

/// Waits on a thread of its own: a read of stdin cannot be called off, and must not hold up the end of the runtime.
async fn stdin_closed() {
    let (closed, seen) = oneshot::channel();
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        let mut stdin = io::stdin().lock();
        while stdin.read(&mut ignored).is_ok_and(|bytes| bytes > 0) {}
        let _ = closed.send(());
    });
    let _ = seen.await;
}

/// SIGTERM and SIGINT.
#[cfg(unix)]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ctrl-C.
#[cfg(windows)]
fn told_to_end() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        let _ = interrupt.recv().await;
    })
}
