//! Hooks: the person's own commands, run when something happened. They learn what and where, never a token.

use larder_core::preferences::Hooks;
use larder_core::problem::Exit;
use larder_core::view::{EventKind, EventView};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// A hook that takes longer is ended.
const PATIENCE: Duration = Duration::from_secs(30);

/// Hooks at once. What comes while so many run is dropped and said: a hook that hangs must not fill the machine.
const MOST: usize = 8;

/// Runs hooks.
#[derive(Debug)]
pub struct Runner {
    places: Arc<Semaphore>,
}

impl Default for Runner {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(MOST)) }
    }
}

/// The hook for this event, with the name that it is told.
fn hook<'a>(hooks: &'a Hooks, event: &EventView) -> Option<(&'static str, &'a [String])> {
    let wants_its_person =
        || event.problem.as_ref().is_some_and(|problem| matches!(problem.exit(), Exit::SignIn | Exit::Configuration));
    let (name, command) = match event.kind {
        EventKind::SignedIn => ("sign-in", &hooks.on_sign_in),
        EventKind::SignedOut => ("sign-out", &hooks.on_sign_out),
        EventKind::Refreshed => ("refresh", &hooks.on_refresh),
        EventKind::RefreshFailed if wants_its_person() => ("attention", &hooks.on_attention),
        _ => return None,
    };
    (!command.is_empty()).then_some((name, command.as_slice()))
}

impl Runner {
    /// Runs the hook for this event, if there is one, without waiting for it.
    pub fn run(&self, hooks: &Hooks, event: &EventView, provider: &str) {
        let Some((name, command)) = hook(hooks, event) else { return };
        let Some((program, arguments)) = command.split_first() else { return };
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            tracing::warn!("a hook for {name} was not run: {MOST} others are running");
            return;
        };
        let mut child = tokio::process::Command::new(program);
        child
            .args(arguments)
            .env("LARDER_EVENT", name)
            .env("LARDER_ACCOUNT", event.label.as_deref().unwrap_or_default())
            .env("LARDER_PROVIDER", provider)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let program = program.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(PATIENCE, child.status()).await {
                Ok(Ok(status)) if status.success() => {}
                Ok(Ok(status)) => tracing::warn!("the hook for {name}, {program}, ended with {status}"),
                Ok(Err(error)) => tracing::warn!("the hook for {name}, {program}, did not start: {}", error.kind()),
                Err(_) => {
                    tracing::warn!("the hook for {name}, {program}, took over {} s and was ended", PATIENCE.as_secs())
                }
            }
            drop(place);
        });
    }
}
