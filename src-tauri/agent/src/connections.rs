//! Connections: how many there may be, and which one makes room for another. Whoever is idle longest goes first, and whoever
//! asks or listens stays. A client that is let go connects again when it has something to ask.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Connections at once, where the system gives so many descriptors. Each costs one, and some 10 KB.
const MOST: usize = 16_384;

/// Descriptors that connections leave alone: databases, the keychain, requests to providers, programs that are run.
const RESERVE: usize = 512;

/// Connections of one process, at the most: a program that forgets to close them costs itself first.
pub const MOST_OF_ONE_PROCESS: usize = 4096;

/// Connections that follow what happens, at the most: every change goes to each of them.
pub const MOST_SUBSCRIBERS: usize = 64;

/// When the agent ends, answers on their way have so long to go out.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// All that are there.
pub struct Connections {
    most: usize,
    most_of_one: usize,
    there: Mutex<There>,
    ended: Notify,
}

#[derive(Default)]
struct There {
    connections: HashMap<u64, Connection>,
    processes: HashMap<i32, usize>,
    subscribers: usize,
}

struct Connection {
    process: Option<i32>,
    /// Requests that wait for their answer.
    asked: usize,
    /// Since when none does.
    idle: Instant,
    /// It follows what happens.
    subscribed: bool,
    let_go: Arc<Notify>,
}

impl Connections {
    /// None yet; as many as this process may have descriptors for, which is raised as far as the system allows.
    pub fn as_the_system_allows() -> Self {
        Self::with(most(), MOST_OF_ONE_PROCESS)
    }

    fn with(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, there: Mutex::default(), ended: Notify::new() }
    }

    fn there(&self) -> MutexGuard<'_, There> {
        self.there.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if need be that of another one. `None` where its process has too many, and asks on all
    /// of them. Waits while everybody asks or listens.
    pub async fn admit(self: &Arc<Self>, id: u64, process: Option<i32>) -> Option<Place> {
        loop {
            let ended = self.ended.notified();
            match self.try_admit(id, process) {
                Admission::Place(place) => return Some(place),
                Admission::No => return None,
                Admission::Wait => ended.await,
            }
        }
    }

    fn try_admit(self: &Arc<Self>, id: u64, process: Option<i32>) -> Admission {
        let mut there = self.there();
        let of_one = process.and_then(|process| there.processes.get(&process)).copied().unwrap_or_default();
        if of_one >= self.most_of_one && !there.make_room(|other| other.process == process) {
            return Admission::No;
        }
        if there.connections.len() >= self.most && !there.make_room(|_| true) {
            return Admission::Wait;
        }
        let let_go = Arc::new(Notify::new());
        let connection =
            Connection { process, asked: 0, idle: Instant::now(), subscribed: false, let_go: Arc::clone(&let_go) };
        there.connections.insert(id, connection);
        if let Some(process) = process {
            *there.processes.entry(process).or_default() += 1;
        }
        Admission::Place(Place { id, connections: Arc::clone(self), let_go })
    }

    /// Waits until every connection has had its answers, or has been given long enough.
    pub async fn ended(&self) {
        let all = async {
            loop {
                let ended = self.ended.notified();
                if self.there().connections.is_empty() {
                    return;
                }
                ended.await;
            }
        };
        let _ = tokio::time::timeout(CLOSE_PATIENCE, all).await;
    }
}

enum Admission {
    Place(Place),
    Wait,
    No,
}

impl There {
    /// Lets go of the one among these that has been idle longest.
    fn make_room(&mut self, among: impl Fn(&Connection) -> bool) -> bool {
        let idle = |connection: &&Connection| connection.asked == 0 && !connection.subscribed && among(connection);
        let longest = self
            .connections
            .iter()
            .filter(|(_, connection)| idle(connection))
            .min_by_key(|(_, connection)| connection.idle)
            .map(|(id, _)| *id);
        let Some(id) = longest else { return false };
        self.remove(id);
        true
    }

    fn remove(&mut self, id: u64) {
        let Some(connection) = self.connections.remove(&id) else { return };
        connection.let_go.notify_one();
        self.subscribers -= usize::from(connection.subscribed);
        if let Some(process) = connection.process
            && let Some(left) = self.processes.get_mut(&process)
        {
            *left -= 1;
            if *left == 0 {
                self.processes.remove(&process);
            }
        }
    }
}

/// The place of one connection; given back when it is dropped.
pub struct Place {
    id: u64,
    connections: Arc<Connections>,
    let_go: Arc<Notify>,
}

impl Place {
    /// Returns when this connection makes room for another one.
    pub async fn let_go(&self) {
        self.let_go.notified().await;
    }

    /// It asks something: it stays until that is answered. `false` where it was let go already.
    pub fn asks(&self) -> bool {
        let mut there = self.connections.there();
        there.connections.get_mut(&self.id).map(|connection| connection.asked += 1).is_some()
    }

    /// What it asked is answered.
    pub fn answered(&self) {
        if let Some(connection) = self.connections.there().connections.get_mut(&self.id) {
            connection.asked -= 1;
            connection.idle = Instant::now();
        }
    }

    /// It follows what happens from now on. `false` where too many do.
    pub fn subscribes(&self) -> bool {
        let mut there = self.connections.there();
        let there = &mut *there;
        match there.connections.get_mut(&self.id) {
            Some(connection) if connection.subscribed => true,
            Some(connection) if there.subscribers < MOST_SUBSCRIBERS => {
                connection.subscribed = true;
                there.subscribers += 1;
                true
            }
            _ => false,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.there().remove(self.id);
        self.connections.ended.notify_waiters();
    }
}

/// How many this process has descriptors for.
fn most() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(MOST + RESERVE).unwrap_or(u64::MAX);
    let soft = limit.maximum.unwrap_or(u64::MAX).min(wanted).max(limit.current.unwrap_or(u64::MAX));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(soft), maximum: limit.maximum }).is_err() {
        tracing::warn!("the limit of open files cannot be raised");
    }
    let there = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    let there = usize::try_from(there).unwrap_or(usize::MAX);
    // A machine that gives so little that the reserve is most of it still serves somebody.
    MOST.min(there.saturating_sub(RESERVE).max(there / 2)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(connections: &Arc<Connections>, id: u64, process: i32) -> Place {
        match connections.try_admit(id, Some(process)) {
            Admission::Place(place) => place,
            _ => panic!("no place for {id}"),
        }
    }

    fn there(connections: &Connections) -> Vec<u64> {
        let mut ids: Vec<_> = connections.there().connections.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    #[tokio::test]
    async fn whoever_is_idle_longest_makes_room_and_whoever_asks_or_listens_stays() {
        let connections = Arc::new(Connections::with(3, 3));
        let asks = admitted(&connections, 1, 1);
        let listens = admitted(&connections, 2, 2);
        let idle = admitted(&connections, 3, 3);
        assert!(asks.asks() && listens.subscribes());
        let _fourth = admitted(&connections, 4, 4);
        assert_eq!(there(&connections), [1, 2, 4]);
        idle.let_go().await;
        assert!(!idle.asks() && !idle.subscribes());
        asks.answered();
        let _fifth = admitted(&connections, 5, 5);
        assert_eq!(there(&connections), [1, 2, 5], "who asked a moment ago has not been idle for long");
    }

    #[tokio::test]
    async fn a_process_with_too_many_makes_room_among_its_own() {
        let connections = Arc::new(Connections::with(10, 2));
        let _other = admitted(&connections, 1, 1);
        let places = [admitted(&connections, 2, 2), admitted(&connections, 3, 2)];
        let _fourth = admitted(&connections, 4, 2);
        assert_eq!(there(&connections), [1, 3, 4]);
        assert!(places[1].asks() && _fourth.asks());
        assert!(matches!(connections.try_admit(5, Some(2)), Admission::No));
        let _sixth = admitted(&connections, 6, 3);
        drop(places);
        assert_eq!(there(&connections), [1, 4, 6]);
    }

    #[tokio::test]
    async fn where_everybody_asks_a_new_one_waits_until_one_has_ended() {
        let connections = Arc::new(Connections::with(1, 1));
        let place = admitted(&connections, 1, 1);
        assert!(place.asks());
        let waiting = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move { connections.admit(2, Some(2)).await.is_some() }
        });
        tokio::task::yield_now().await;
        drop(place);
        assert!(waiting.await.unwrap());
    }
}
