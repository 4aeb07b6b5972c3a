//! What the agent is surrounded by, in the test's hand: both clocks, and a keychain with faults.

use larder_agent::alarm::{Alarm, Waited};
use larder_agent::clock::Clock;
use larder_agent::keychain::KeyStore;
use larder_core::problem::Problem;
use larder_core::time::{BootTime, Now, WallTime};
use secrecy::SecretString;
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;
use zeroize::Zeroizing;

/// Both clocks, which stand still until they are moved, and ring then.
#[derive(Clone)]
pub struct Stepped(Arc<Mutex<Inner>>);

struct Inner {
    now: Now,
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

struct Waiting {
    until: i64,
    /// Rings when the wall clock is set, too.
    alarm: bool,
    rung: bool,
    waker: Option<Waker>,
}

/// One that waits; it waits no more when it is dropped.
struct Place(Arc<Mutex<Inner>>, u64);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap().waiting.remove(&self.1);
    }
}

impl Stepped {
    pub fn at(wall: i64, boot: i64) -> Self {
        let now = Now { wall: WallTime(wall), boot: BootTime(boot) };
        Self(Arc::new(Mutex::new(Inner { now, waiting: BTreeMap::new(), next: 0 })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Time passes.
    pub fn advance(&self, by: i64) {
        let mut inner = self.inner();
        inner.now.wall.0 += by;
        inner.now.boot.0 += by;
        let boot = inner.now.boot.0;
        for waiting in inner.waiting.values_mut().filter(|waiting| waiting.until <= boot) {
            waiting.ring();
        }
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, by: i64) {
        let mut inner = self.inner();
        inner.now.wall.0 += by;
        for waiting in inner.waiting.values_mut().filter(|waiting| waiting.alarm) {
            waiting.ring();
        }
    }

    /// How long until somebody is rung.
    pub fn next(&self) -> Option<i64> {
        let inner = self.inner();
        inner.waiting.values().filter(|waiting| !waiting.rung).map(|waiting| waiting.until - inner.now.boot.0).min()
    }

    /// How many wait for something else than the alarm.
    pub fn sleeping(&self) -> usize {
        self.inner().waiting.values().filter(|waiting| !waiting.alarm && !waiting.rung).count()
    }

    fn wait(&self, after: Duration, alarm: bool) -> Waited<'static> {
        let millis = i64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX / 2);
        let mut inner = self.inner();
        let (until, number) = (inner.now.boot.0.saturating_add(millis), inner.next);
        inner.next += 1;
        inner.waiting.insert(number, Waiting { until, alarm, rung: millis <= 0, waker: None });
        let place = Place(Arc::clone(&self.0), number);
        Box::pin(async move {
            poll_fn(|context| {
                let mut inner = place.0.lock().unwrap();
                let Some(waiting) = inner.waiting.get_mut(&place.1) else { return Poll::Ready(()) };
                if waiting.rung {
                    return Poll::Ready(());
                }
                waiting.waker = Some(context.waker().clone());
                Poll::Pending
            })
            .await;
        })
    }
}

impl Waiting {
    fn ring(&mut self) {
        self.rung = true;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Clock for Stepped {
    fn now(&self) -> Now {
        self.inner().now
    }

    fn alarm(&self) -> Box<dyn Alarm> {
        Box::new(self.clone())
    }

    fn pass(&self, time: Duration) -> Waited<'static> {
        self.wait(time, false)
    }
}

impl Alarm for Stepped {
    fn ring(&self, after: Duration) -> Waited<'_> {
        self.wait(after, true)
    }
}

/// How the keychain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    Open,
    Locked,
    Gone,
    /// It says that it opens, and fails every call.
    Denying,
    /// It does not answer in time.
    Silent,
}

/// A keychain in memory, with faults.
#[derive(Clone)]
pub struct Memory(Arc<Mutex<Shelf>>);

pub struct Shelf {
    pub items: HashMap<String, Vec<u8>>,
    pub keys: Keys,
    pub calls: u64,
    pub hurt: u64,
}

impl Memory {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Shelf { items: HashMap::new(), keys: Keys::Open, calls: 0, hurt: 0 })))
    }

    pub fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap()
    }

    fn call(&self) -> Result<MutexGuard<'_, Shelf>, Problem> {
        let mut shelf = self.shelf();
        shelf.calls += 1;
        if shelf.keys == Keys::Denying {
            shelf.hurt += 1;
            return Err(Problem::KeychainTrouble { detail: "no".to_owned() });
        }
        Ok(shelf)
    }
}

impl KeyStore for Memory {
    fn ready(&mut self) -> Result<(), Problem> {
        let mut shelf = self.shelf();
        shelf.calls += 1;
        shelf.hurt += u64::from(!matches!(shelf.keys, Keys::Open | Keys::Denying));
        match shelf.keys {
            Keys::Open | Keys::Denying => Ok(()),
            Keys::Locked => Err(Problem::KeychainLocked),
            Keys::Gone => Err(Problem::KeychainAbsent),
            Keys::Silent => Err(Problem::KeychainTimeout { seconds: 5 }),
        }
    }

    /// No fault: the test asks whether the thread has done what it was given.
    fn inspect(&mut self) -> Result<(), Problem> {
        Ok(())
    }

    fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
        self.ready()
    }

    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        Ok(self.call()?.items.get(item).cloned().map(Zeroizing::new))
    }

    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
        self.call()?.items.insert(item.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn delete(&mut self, item: &str) -> Result<(), Problem> {
        self.call()?.items.remove(item);
        Ok(())
    }
}
