//! From an empty process to a serving agent, and back.

use crate::agent::{Agent, Message};
use crate::audit::Audit;
use crate::clock::{Clock, SystemClock};
use crate::configuration::Configuration;
use crate::connections::Connections;
use crate::database::Database;
use crate::http::Http;
use crate::keychain::Keychain;
use crate::perform::Hands;
use crate::settings::{Settings, Store};
use crate::socket::{self, Serving};
#[cfg(target_os = "linux")]
use crate::suspend;
use crate::{audit, client_secret, folders, grants, keychain, lock, moving, salvage};
use larder_core::account::Account;
use larder_core::problem::Problem;
use larder_core::profile::Profile;
use larder_core::protocol::Push;
use larder_core::time::Now;
use larder_core::view::LockState;
use listenfd::ListenFd;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, watch};

/// Messages to the loop that wait; past it, connections wait.
const INBOX: usize = 1024;

/// Pushes that a slow reader may be behind, before it gets the view as it stands instead.
const PUSHES: usize = 256;

/// Takes the profile and serves it until told to make way, on the socket that systemd handed over, if it did.
///
/// # Errors
/// What keeps it from starting; nothing was changed then.
pub async fn run(profile: Profile, handed_over: ListenFd) -> Result<(), Problem> {
    let socket_path = profile.socket()?;
    folders::prepare(&profile)?;
    // However the process ends, the system lets go of it then.
    let taken = take(&profile)?;
    let handed_over = socket::taken_over(handed_over, &socket_path)?;
    let (outbox, inbox) = mpsc::channel(INBOX);
    let (pushes, _) = broadcast::channel(PUSHES);
    let keychain = Arc::new(keychain::chosen(&profile, |name| std::env::var_os(name)));
    let around = Around {
        clock: Arc::new(SystemClock),
        keychain: Arc::clone(&keychain),
        journal: Path::new(audit::journal::SOCKET),
    };
    let now = around.clock.now();
    let loaded = match open(&profile, now).await {
        Err(Problem::DatabaseDamaged { file, detail }) => {
            tracing::error!("{file} is damaged: {detail}");
            let kept = salvage::begin_anew(&profile.database(), now.wall)?;
            tracing::error!("it is kept as {}", kept.display());
            open(&profile, now).await
        }
        loaded => loaded,
    };
    let agent = agent(&profile, loaded?, around, (outbox.clone(), inbox), pushes.clone()).await?;
    // A store that no desktop watches is told of at once: it may wait for its passphrase, and asking it asks nobody.
    let state = match keychain.chosen() {
        Some(Store::OsKeychain) => None,
        _ => Some(keychain.state().await),
    };
    #[cfg(target_os = "linux")]
    let sleep = tokio::spawn(suspend::follow(outbox.clone(), agent.hold_sleep()));
    let own = handed_over.is_none();
    let listener = match handed_over {
        Some(listener) => listener,
        None => socket::bind(&socket_path)?,
    };
    if let Some(state) = state {
        // It is empty still.
        let _ = outbox.try_send(Message::Keychain(state));
    }
    let (close, closing) = watch::channel(false);
    let connections = Arc::new(Connections::as_the_system_allows());
    let serving =
        Serving { outbox: outbox.clone(), pushes, profile: profile.data.display().to_string(), closing, connections };
    let served = tokio::spawn(socket::serve(listener, serving.clone()));
    tokio::spawn(stop_on_signal(outbox));
    tracing::info!("serving {}", socket_path.display());
    agent.run().await;
    served.abort();
    #[cfg(target_os = "linux")]
    sleep.abort();
    // All is written. The next agent may begin before those who asked this one to go hear that it has.
    // systemd goes on listening on its own one, and starts the next agent.
    if own {
        let _ = std::fs::remove_file(&socket_path);
    }
    drop(taken);
    let _ = close.send(true);
    serving.connections.ended().await;
    Ok(())
}

/// What an agent is surrounded by and does not own. The seams are here: all else of it is the same wherever it runs.
pub struct Around<'a> {
    /// Tells the time, and rings.
    pub clock: Arc<dyn Clock>,
    /// Keeps the data keys.
    pub keychain: Arc<Keychain>,
    /// Where the audit's head is noted.
    pub journal: &'a Path,
}

/// The agent of this profile, as its files say, not running yet. What it does comes back to it through its outbox.
///
/// # Errors
/// What is wrong with its databases.
pub async fn agent(
    profile: &Profile,
    (database, accounts, secrets): Loaded,
    around: Around<'_>,
    (outbox, inbox): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
    pushes: broadcast::Sender<Push>,
) -> Result<Agent, Problem> {
    let Around { clock, keychain, journal } = around;
    let audit = Audit::open(&profile.audit(), Arc::clone(&clock), Arc::clone(&keychain), journal).await?;
    let hands = Hands::new(clock, database, keychain, Http::new(&Settings::default(), &profile.settings())?);
    let configuration = Configuration::new(profile, secrets);
    let locked = (profile.locked(), lock::read(&profile.locked()));
    if locked.1 == LockState::Sealed {
        hands.seal(Vec::new());
    }
    Ok(Agent::new(hands, audit, configuration, accounts, locked, (outbox, inbox), pushes))
}

/// What `larder.db` holds: itself, its accounts, and issuer and client of every secret that is kept.
pub type Loaded = (Database, Vec<Account>, BTreeSet<(String, String)>);

/// Reads what a start needs to know, once a move that was cut off is settled.
///
/// # Errors
/// [`Problem::DatabaseDamaged`] and its kin.
pub async fn load(database: Database, now: Now) -> Result<Loaded, Problem> {
    moving::export::settle(&database).await?;
    let accounts = grants::all(&database, now).await?;
    let secrets = client_secret::kept(&database).await?;
    Ok((database, accounts, secrets))
}

async fn open(profile: &Profile, now: Now) -> Result<Loaded, Problem> {
    load(Database::open(&profile.database())?, now).await
}

fn take(profile: &Profile) -> Result<File, Problem> {
    let path = profile.lock();
    let file = folders::private_file(&path).map_err(|error| folders::cannot_write(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Problem::AlreadyRunning { path: profile.data.display().to_string() }),
        Err(TryLockError::Error(error)) => Err(folders::cannot_write(&path, &error)),
    }
}

async fn stop_on_signal(outbox: mpsc::Sender<Message>) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if outbox.send(Message::Stop).await.is_err() {
            return;
        }
    }
}
