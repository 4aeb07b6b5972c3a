//! The long-lived connection: says that this app has the window, offers the demonstration, and hears every change.

use crate::link::{Link, News};
use larder_client::{Client, unexpected};
use larder_core::problem::Problem;
use larder_core::protocol::{Answer, Push, Request};
use std::sync::Arc;
use std::time::Duration;

/// The first pause after the agent went: it may be making way for a newer one, which takes some 100 ms.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// The longest pause: what keeps an agent from starting (a full disk, a damaged file) is corrected by a person, who
/// should then not wait to see it.
const MOST_PAUSE: Duration = Duration::from_secs(10);

/// A connection on which this app has the window.
#[derive(Debug)]
pub struct Attached {
    client: Client,
}

/// What came of asking for the window's place.
#[derive(Debug)]
pub enum Place {
    /// This app has it.
    Ours(Attached),
    /// Another one has it, and was told to come to the front.
    Taken,
}

/// Asks for the window's place, and says with what the desktop lets a window come to the front.
pub fn attach(mut client: Client, activation_token: Option<String>) -> Result<Place, Problem> {
    match client.ask(Request::AttachWindow { activation_token, answers: true })? {
        Answer::Window { other: false } => Ok(Place::Ours(Attached { client })),
        Answer::Window { other: true } => Ok(Place::Taken),
        _ => Err(unexpected("attach-window")),
    }
}

/// Watches on a thread of its own for as long as the app runs: `first` is the connection that it began with,
/// `demo` the demonstration's issuer. Whenever the agent goes, another one is started.
///
/// # Errors
/// Where the system gives no thread.
pub fn start(link: Arc<Link>, first: Option<Attached>, demo: Option<String>) -> std::io::Result<()> {
    std::thread::Builder::new().name("watch".to_owned()).spawn(move || watch(&link, first, demo.as_deref()))?;
    Ok(())
}

fn watch(link: &Link, mut first: Option<Attached>, demo: Option<&str>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut heard = false;
        let ended = session(link, first.take(), demo, &mut heard);
        if link.is_leaving() {
            return;
        }
        match ended {
            Ok(()) => return link.tell(News::Replaced),
            Err(problem) => link.away(problem),
        }
        pause = if heard { FIRST_PAUSE } else { (pause * 2).min(MOST_PAUSE) };
        std::thread::sleep(pause);
        if link.is_leaving() {
            return;
        }
    }
}

/// One connection from beginning to end; `Ok` where another app has the window's place.
fn session(link: &Link, first: Option<Attached>, demo: Option<&str>, heard: &mut bool) -> Result<(), Problem> {
    let attached = match first {
        Some(attached) => attached,
        None => match attach(link.connect()?, None)? {
            Place::Ours(attached) => attached,
            Place::Taken => return Ok(()),
        },
    };
    let mut client = attached.client;
    if let Some(issuer) = demo {
        match client.ask(Request::OfferDemo { issuer: issuer.to_owned() }) {
            Ok(_) => {}
            Err(gone @ (Problem::NoAgent { .. } | Problem::Stopping)) => return Err(gone),
            // Everything else goes on without it.
            Err(problem) => link.notice(Some(problem)),
        }
    }
    let mut pushes = client.subscribe()?;
    // Asked on the same connection and after subscribing, so that no change falls between the two.
    match pushes.ask(Request::View)? {
        Answer::View(house) => link.seen(house),
        _ => return Err(unexpected("view")),
    }
    *heard = true;
    link.learn_settings();
    for push in pushes {
        match push? {
            Push::View(house) => link.seen(house),
            Push::ShowWindow { activation_token } => link.tell(News::ShowWindow(activation_token)),
            // The window reads the activity when it shows it.
            Push::Event(_) => {}
        }
    }
    // The stream ends with a problem; without one it never ends.
    Err(Problem::Stopping)
}
