//! The app's side of the agent: what was last seen of it, and asking it. All blocking; callers stay off the main thread.

use larder_client::{Client, Start, unexpected};
use larder_core::preferences::SettingsView;
use larder_core::problem::Problem;
use larder_core::profile::Profile;
use larder_core::protocol::{Answer, Request};
use larder_core::view::{HouseView, TrayState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What window, tray and menu hear of.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// The picture changed: ask [`Link::picture`].
    Picture,
    /// Bring the window to the front, with what the desktop gave for it (Wayland).
    ShowWindow(Option<String>),
    /// Another app took the window's place while the agent was away: one of the two has to go, and it is this one.
    Replaced,
}

/// How the agent stands, and with it all that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Picture {
    /// Nothing was heard yet.
    Starting,
    /// As the agent says.
    Known(Box<HouseView>),
    /// It cannot be reached; it is being started again. The last view, if there was one, carries the problem too.
    Away(Problem, Option<Box<HouseView>>),
}

impl Picture {
    /// What the tray shows. Nothing heard yet is no alarm, and no promise either.
    pub fn tray(&self) -> TrayState {
        match self {
            Self::Starting => TrayState::Refreshing,
            Self::Known(house) => house.tray,
            Self::Away(..) => TrayState::Attention,
        }
    }

    /// The view, where it is known to be true now.
    pub fn house(&self) -> Option<&HouseView> {
        match self {
            Self::Known(house) => Some(house),
            Self::Starting | Self::Away(..) => None,
        }
    }
}

#[derive(Debug, Default)]
struct Seen {
    house: Option<Box<HouseView>>,
    away: Option<Problem>,
    /// What failed here and stands in no view of the agent's, such as a browser that does not open.
    notice: Option<Problem>,
}

type Listener = Box<dyn Fn(News) + Send + Sync>;

/// The one that every command, menu item and thread of the app asks through.
pub struct Link {
    profile: Profile,
    /// For what the agent answers at once. A connection takes one request at a time, so what waits for a provider,
    /// the keychain or a person gets one of its own ([`Link::ask_long`]) and holds nothing up.
    quick: Mutex<Option<Client>>,
    seen: Mutex<Seen>,
    listener: OnceLock<Listener>,
    /// What is set, as the agent last said.
    pub(crate) settings: Mutex<Option<SettingsView>>,
    leaving: AtomicBool,
}

impl Link {
    /// For this profile; nothing is connected yet.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            quick: Mutex::default(),
            seen: Mutex::default(),
            listener: OnceLock::new(),
            settings: Mutex::default(),
            leaving: AtomicBool::new(false),
        }
    }

    /// The profile that the agent owns.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Who hears the news, from now on. Only the first one counts.
    pub fn listen(&self, listener: impl Fn(News) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    /// Tells the listener.
    pub fn tell(&self, news: News) {
        if let Some(listener) = self.listener.get() {
            listener(news);
        }
    }

    /// Asks what is answered at once.
    ///
    /// # Errors
    /// The agent's own, or [`Problem::NoAgent`].
    pub fn ask(&self, request: Request) -> Result<Answer, Problem> {
        let mut quick = lock(&self.quick);
        let mut client = match quick.take() {
            Some(client) => client,
            None => self.connect()?,
        };
        let answer = client.ask(request);
        // A broken connection is not put back. The request is not sent again: it may have been carried out.
        if !matches!(answer, Err(Problem::NoAgent { .. } | Problem::Stopping)) {
            *quick = Some(client);
        }
        answer
    }

    /// Asks on a connection of its own: for what waits for a provider, the keychain or a person.
    ///
    /// # Errors
    /// The agent's own, or [`Problem::NoAgent`].
    pub fn ask_long(&self, request: Request) -> Result<Answer, Problem> {
        self.connect()?.ask(request)
    }

    /// A new connection; starts an agent where none runs.
    ///
    /// # Errors
    /// [`Problem::NoAgent`], or why it could not start.
    pub fn connect(&self) -> Result<Client, Problem> {
        Client::connect(&self.profile, Start::IfNeeded)
    }

    /// Everything there is to show: the last view, with what is in the way here added to its problems.
    ///
    /// # Errors
    /// Why there is none.
    pub fn house(&self) -> Result<HouseView, Problem> {
        if let Some(house) = self.shown() {
            return Ok(house);
        }
        if let Some(away) = lock(&self.seen).away.clone() {
            return Err(away);
        }
        // Asked before the first push came.
        match self.ask(Request::View)? {
            Answer::View(house) => {
                let mut seen = lock(&self.seen);
                seen.house.get_or_insert(house);
                drop(seen);
                self.shown().ok_or_else(|| unexpected("view"))
            }
            _ => Err(unexpected("view")),
        }
    }

    /// The last view with what is in the way here, if there was a view.
    pub fn shown(&self) -> Option<HouseView> {
        let seen = lock(&self.seen);
        let mut house = seen.house.clone()?;
        for problem in seen.away.iter().chain(&seen.notice) {
            let known = house.problems.contains(problem)
                || house.attempts.iter().any(|attempt| attempt.problem.as_ref() == Some(problem));
            if !known {
                house.problems.insert(0, problem.clone());
            }
        }
        if seen.away.is_some() {
            house.tray = TrayState::Attention;
        }
        Some(*house)
    }

    /// How things stand, for tray and menu.
    pub fn picture(&self) -> Picture {
        let seen = lock(&self.seen);
        match (&seen.away, &seen.house) {
            (Some(away), house) => Picture::Away(away.clone(), house.clone()),
            (None, Some(house)) => Picture::Known(house.clone()),
            (None, None) => Picture::Starting,
        }
    }

    /// The agent said how things stand.
    pub fn seen(&self, house: Box<HouseView>) {
        let mut seen = lock(&self.seen);
        seen.house = Some(house);
        seen.away = None;
        drop(seen);
        self.tell(News::Picture);
    }

    /// The agent is gone, or cannot be started.
    pub fn away(&self, problem: Problem) {
        // What was connected to it is broken as well.
        lock(&self.quick).take();
        let before = lock(&self.seen).away.replace(problem.clone());
        if before.as_ref() != Some(&problem) {
            self.tell(News::Picture);
        }
    }

    /// Something failed here that stands in no view. Shown until the next thing is asked for.
    pub fn notice(&self, problem: Option<Problem>) {
        let mut seen = lock(&self.seen);
        if seen.notice != problem {
            seen.notice = problem;
            drop(seen);
            self.tell(News::Picture);
        }
    }

    /// From now on an agent that goes is not missed: this app stopped it, or stops itself.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::SeqCst);
    }

    /// Whether this app is on its way out.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }
}

/// A lock whose holder panicked is still a lock: what it guards is replaced whole, never half.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
