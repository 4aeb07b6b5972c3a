//! The page in the app's real window: where it cannot go, what it is never told, what others wrote in it, and
//! each page of it at work.

mod commands;
mod fence;
mod hostile;
mod memory;
mod pages;

use crate::support::web_driver::Page;
use crate::support::{Desktop, Provider};

/// A desktop, Ada signed in as `work`, and the window open.
pub fn window() -> (Desktop, Provider, Page) {
    let desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 600);
    desktop.session.add("work", &provider);
    desktop.session.sign_in("work", "ada");
    let page = Page::open(&desktop, &[]);
    page.reads("work");
    (desktop, provider, page)
}
