//! `confirm_cmd`: the person's own command that asks them, where no window is. It learns who asks for what, never a token.

use larder_core::account::Identity;
use larder_core::consent::{PROMPT_PATIENCE, Prompt, called};
use std::process::Stdio;
use tokio::process::Command;

/// The command for this prompt, with its details in the environment. No shell reads any of it.
pub fn command(words: &[String], prompt: &Prompt, account: Option<&Identity>) -> Option<Command> {
    let (program, arguments) = words.split_first()?;
    let asking = &prompt.program;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("LARDER_PROGRAM", called(&asking.path))
        .env("LARDER_ARGUMENTS", asking.arguments.join(" "))
        .env("LARDER_PID", asking.pid.to_string())
        .env("LARDER_STARTED_BY", asking.started_by.as_deref().unwrap_or_default())
        .env("LARDER_ACCOUNT", account.map(|account| account.label.as_str()).unwrap_or_default())
        .env("LARDER_PROVIDER", account.map(|account| account.provider.as_str()).unwrap_or_default())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    Some(command)
}

/// Runs it. Anything but exit code 0 in time is a no; so is a command that cannot be run.
pub async fn agrees(command: Option<Command>) -> bool {
    let Some(mut command) = command else { return false };
    match tokio::time::timeout(PROMPT_PATIENCE, command.status()).await {
        Ok(Ok(status)) => status.success(),
        Ok(Err(error)) => {
            tracing::warn!("confirm_cmd does not run: {}", error.kind());
            false
        }
        Err(_) => false,
    }
}
