//! Larder's desktop app: window, tray, menu and deep link. It shows what the agent does, and asks it;
//! it holds no token, and speaks to no provider, database or keychain.

mod act;
mod actions;
mod activity;
#[cfg(target_os = "linux")]
mod appearance;
mod args;
mod attention;
mod browser;
mod choose;
mod commands;
mod consent;
mod demo;
mod downloads;
#[cfg(target_os = "linux")]
mod drawing;
mod entry;
mod folder;
mod language;
mod link;
mod login;
mod menu;
mod moment;
mod notices;
mod notify;
mod picture;
mod preferences;
mod providers;
mod say;
mod scheme;
mod shell;
mod start;
mod toolkit;
mod tray;
mod watch;
mod window;

use args::Start;
use say::{say, say_out};
use std::process::ExitCode;

/// Runs the app to its end. A process that was started with a redirect hands it over before any window
/// toolkit is touched, and becomes the app only where none runs.
pub fn run() -> ExitCode {
    #[cfg(target_os = "linux")]
    drawing::without_accelerator();
    larder_client::crash::leave_nothing();
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Start::Help) => {
            say_out(args::USAGE);
            ExitCode::SUCCESS
        }
        Ok(Start::Version) => {
            say_out(concat!("larder-desktop ", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Ok(Start::Unregister) => scheme::unregister(),
        Ok(Start::Redirect(url)) => start::redirect(url),
        Ok(Start::App(options)) => start::app(options),
        Err(usage) => {
            say(&format!("{usage}\n\n{}", args::USAGE));
            ExitCode::from(larder_core::problem::Exit::Usage as u8)
        }
    }
}
