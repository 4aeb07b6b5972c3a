//! The machine's sleep on Linux, as systemd-logind announces it (org.freedesktop.login1(5), "Inhibitor Locks"): what
//! is in flight is waited for, and nothing starts between the announcement and the end of the sleep. A machine without system
//! bus or logind is fine: then only the clocks tell of a sleep, and that is enough to hand out nothing that has ended.

use crate::agent::Message;
use futures_util::StreamExt;
use larder_core::words;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use zbus::fdo::DBusProxy;
use zbus::names::BusName;
use zbus::proxy::{CacheProperties, MethodFlags};
use zbus::zvariant::OwnedFd;
use zbus::{Connection, Proxy};

const LOGIND: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";

/// No answer of bus or logind takes longer: they do nothing but look into their own memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// A bus that was there and is gone is looked for again after this: seldom enough to be no wake-up that counts.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// Tells the agent of every sleep that is announced and over, and keeps the machine from it for a moment while the agent
/// says so. Ends where there is no system bus.
pub async fn follow(outbox: mpsc::Sender<Message>, mut hold: watch::Receiver<bool>) {
    let mut known = false;
    loop {
        match connect().await {
            Ok(bus) => {
                known = true;
                if let Err(error) = on_bus(&bus, &outbox, &mut hold).await {
                    tracing::warn!("logind is not followed for a while: {error}");
                }
            }
            Err(error) if !known => {
                tracing::info!("sleep is not announced here, no system bus: {error}");
                return;
            }
            Err(_) => {}
        }
        // Nobody will tell of the end of a sleep that was announced there.
        if outbox.send(Message::Sleep { announced: false }).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn connect() -> zbus::Result<Connection> {
    let connecting = zbus::connection::Builder::system()?.method_timeout(PATIENCE).build();
    let slow = |_| zbus::Error::Failure("no answer".to_owned());
    tokio::time::timeout(PATIENCE, connecting).await.map_err(slow)?
}

/// Returns when the bus is gone, or does not let itself be used.
async fn on_bus(
    bus: &Connection,
    outbox: &mpsc::Sender<Message>,
    hold: &mut watch::Receiver<bool>,
) -> zbus::Result<()> {
    let logind: Proxy = zbus::proxy::Builder::new(bus)
        .destination(LOGIND)?
        .path(PATH)?
        .interface(MANAGER)?
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    // Followed before it is asked how it stands, so that nothing falls between.
    let mut owners = logind.receive_owner_changed().await?;
    let mut signals = logind.receive_signal("PrepareForSleep").await?;
    // It is not started for this.
    let there = DBusProxy::new(bus).await?.name_has_owner(BusName::try_from(LOGIND)?).await?;
    let mut logind = Logind { proxy: logind, outbox: outbox.clone(), inhibitor: None };
    if there {
        logind.came().await;
    } else {
        tracing::info!("sleep is not announced here while there is no logind");
    }
    loop {
        tokio::select! {
            // What the agent said last counts before what comes next.
            biased;
            said = hold.changed() => match said {
                Ok(()) if *hold.borrow_and_update() => logind.inhibit().await,
                // The machine sleeps once nobody holds it any more.
                Ok(()) => logind.inhibitor = None,
                Err(_) => return Ok(()),
            },
            owner = owners.next() => match owner {
                Some(Some(_)) => logind.came().await,
                Some(None) => logind.gone().await,
                None => return Ok(()),
            },
            signal = signals.next() => match signal {
                Some(signal) => {
                    let announced: bool = signal.body().deserialize()?;
                    logind.announced(announced).await;
                }
                None => return Ok(()),
            },
        }
    }
}

struct Logind {
    proxy: Proxy<'static>,
    outbox: mpsc::Sender<Message>,
    /// The machine does not sleep before it is closed, or logind's own patience is over.
    inhibitor: Option<OwnedFd>,
}

impl Logind {
    /// It is there, or there anew: what it knew of us before is forgotten.
    async fn came(&mut self) {
        self.inhibitor = None;
        self.inhibit().await;
        // In the middle of a sleep's preparations, its signal has been missed.
        let announced = self.proxy.get_property("PreparingForSleep").await.unwrap_or(false);
        self.tell(announced).await;
    }

    /// It went, and will not tell of the end of a sleep that it announced.
    async fn gone(&mut self) {
        self.inhibitor = None;
        self.tell(false).await;
    }

    async fn announced(&mut self, announced: bool) {
        if !announced {
            // For the next sleep, before anything starts that it would have to wait for.
            self.inhibit().await;
        }
        self.tell(announced).await;
    }

    async fn tell(&self, announced: bool) {
        // An agent that is gone needs to know nothing.
        let _ = self.outbox.send(Message::Sleep { announced }).await;
    }

    async fn inhibit(&mut self) {
        if self.inhibitor.is_some() {
            return;
        }
        let why = words::message("agent.sleep", &serde_json::Map::new());
        let asked = ("sleep", "Larder", why.as_str(), "delay");
        let flags = MethodFlags::NoAutoStart.into();
        match self.proxy.call_with_flags::<_, _, OwnedFd>("Inhibit", flags, &asked).await {
            Ok(inhibitor) => self.inhibitor = inhibitor,
            // It goes without: what is in flight may then be cut off, which is what the journal is for.
            Err(error) => tracing::warn!("the machine cannot be kept from sleeping for a moment: {error}"),
        }
    }
}
