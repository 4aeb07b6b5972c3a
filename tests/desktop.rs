//! The window, the tray, the menu and the link that comes back from the browser, on a real desktop without a monitor.

mod account;
mod consent;
mod language;
mod notices;
mod one_app;
mod refreshing;
mod sign_in;
mod sign_out;
mod tray;
mod trouble;

use crate::support::{Desktop, Provider};

/// A desktop, a provider called "work" whose tokens live this long, and nobody signed in.
pub fn desktop(access_lifetime: u32) -> (Desktop, Provider) {
    let desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, access_lifetime);
    desktop.session.add("work", &provider);
    (desktop, provider)
}

/// The same, with Ada signed in and the app running.
pub fn signed_in(access_lifetime: u32, arguments: &[&str]) -> (Desktop, Provider) {
    let (mut desktop, provider) = desktop(access_lifetime);
    desktop.session.sign_in("work", "ada");
    desktop.start(arguments);
    desktop.wait_for_tray("the account", |tray| tray.words("work").is_some());
    (desktop, provider)
}
