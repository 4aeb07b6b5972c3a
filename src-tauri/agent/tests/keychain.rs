//! Keychains as other systems have them, played by a store that misbehaves: what Linux cannot show with a real one.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use larder_agent::keychain::{KeyStore, Keychain};
use larder_agent::seal::DataKey;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use secrecy::SecretString;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// The most that the Windows Credential Manager takes for one item, in bytes (`CRED_MAX_CREDENTIAL_BLOB_SIZE`).
const WINDOWS_MOST: usize = 5 * 512;

/// How the store behaves, and what was seen of it.
#[derive(Default)]
struct Seen {
    items: Mutex<HashMap<String, Vec<u8>>>,
    longest: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    unlocked: AtomicUsize,
    fault: Mutex<Option<Fault>>,
}

#[derive(Clone)]
enum Fault {
    /// Nobody may be asked, or its person said no.
    Says(Problem),
    /// The next call breaks off.
    Panics,
    /// It takes what it is given and keeps something else.
    Forgets,
    /// It says that it deleted, and did not.
    Keeps,
}

struct Store(Arc<Seen>);

impl Store {
    fn fault(&self) -> Option<Fault> {
        self.0.fault.lock().unwrap().clone()
    }
}

impl KeyStore for Store {
    fn ready(&mut self) -> Result<(), Problem> {
        Ok(())
    }
    fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
        self.0.unlocked.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
        let now = self.0.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_at_once.fetch_max(now, Ordering::SeqCst);
        std::thread::yield_now();
        self.0.at_once.fetch_sub(1, Ordering::SeqCst);
        match self.fault() {
            Some(Fault::Says(problem)) => Err(problem),
            Some(Fault::Panics) => {
                *self.0.fault.lock().unwrap() = None;
                panic!("the platform's library broke off");
            }
            _ => Ok(self.0.items.lock().unwrap().get(item).cloned().map(Zeroizing::new)),
        }
    }
    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
        self.0.longest.fetch_max(bytes.len(), Ordering::SeqCst);
        if let Some(Fault::Says(problem)) = self.fault() {
            return Err(problem);
        }
        let kept = if matches!(self.fault(), Some(Fault::Forgets)) { Vec::new() } else { bytes.to_vec() };
        self.0.items.lock().unwrap().insert(item.to_owned(), kept);
        Ok(())
    }
    fn delete(&mut self, item: &str) -> Result<(), Problem> {
        if !matches!(self.fault(), Some(Fault::Keeps)) {
            self.0.items.lock().unwrap().remove(item);
        }
        Ok(())
    }
}

fn keychain() -> (Arc<Keychain>, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let own = Arc::clone(&seen);
    (Arc::new(Keychain::new(|| None, move || Box::new(Store(Arc::clone(&own))))), seen)
}

fn account(number: usize) -> AccountId {
    AccountId(format!("account-{number}"))
}

#[tokio::test]
async fn windows_limit_is_never_met_because_a_key_of_32_bytes_is_all_that_is_ever_put() {
    let (keychain, seen) = keychain();
    for number in 0..50 {
        keychain.store(&account(number), &DataKey::random().unwrap()).await.unwrap();
    }
    keychain.key_or_new(&AccountId::from("clients")).await.unwrap();
    let longest = seen.longest.load(Ordering::SeqCst);
    // Twice that, where it is written in UTF-16.
    assert!(longest == 32 && 2 * longest < WINDOWS_MOST, "{longest} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_accounts_at_the_start_are_read_one_at_a_time_and_ask_nobody() {
    let (keychain, seen) = keychain();
    for number in 0..50 {
        keychain.store(&account(number), &DataKey::random().unwrap()).await.unwrap();
    }
    let reads: Vec<_> = (0..50)
        .map(|number| {
            let keychain = Arc::clone(&keychain);
            tokio::spawn(async move { keychain.key(&account(number)).await })
        })
        .collect();
    for read in reads {
        assert!(read.await.unwrap().unwrap().is_some());
    }
    assert_eq!((seen.most_at_once.load(Ordering::SeqCst), seen.unlocked.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test]
async fn a_person_who_says_no_on_macos_is_asked_by_nothing_in_the_background_and_nothing_is_lost() {
    let (keychain, seen) = keychain();
    let key = DataKey::random().unwrap();
    keychain.store(&account(1), &key).await.unwrap();
    let denied = Problem::KeychainTrouble { detail: "the platform's call failed".to_owned() };
    *seen.fault.lock().unwrap() = Some(Fault::Says(denied.clone()));
    assert_eq!(keychain.key(&account(1)).await.err(), Some(denied.clone()));
    assert_eq!(keychain.store(&account(2), &key).await, Err(denied.clone()));
    assert_eq!(keychain.key_or_new(&AccountId::from("clients")).await.err(), Some(denied));
    assert_eq!(seen.unlocked.load(Ordering::SeqCst), 0);
    *seen.fault.lock().unwrap() = None;
    assert_eq!(keychain.key(&account(1)).await.unwrap().unwrap().bytes(), key.bytes());
}

#[tokio::test]
async fn a_platform_library_that_breaks_off_takes_one_call_with_it_and_not_the_agent() {
    let (keychain, seen) = keychain();
    keychain.store(&account(1), &DataKey::random().unwrap()).await.unwrap();
    *seen.fault.lock().unwrap() = Some(Fault::Panics);
    assert!(matches!(keychain.key(&account(1)).await, Err(Problem::KeychainTrouble { .. })));
    assert!(keychain.key(&account(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_keychain_that_forgets_or_does_not_delete_is_not_believed() {
    let (keychain, seen) = keychain();
    let key = DataKey::random().unwrap();
    *seen.fault.lock().unwrap() = Some(Fault::Forgets);
    assert!(matches!(keychain.store(&account(1), &key).await, Err(Problem::KeychainTrouble { .. })));
    *seen.fault.lock().unwrap() = None;
    keychain.store(&account(1), &key).await.unwrap();
    *seen.fault.lock().unwrap() = Some(Fault::Keeps);
    assert!(matches!(keychain.delete(&account(1)).await, Err(Problem::KeychainTrouble { .. })));
}

#[tokio::test]
async fn what_another_program_put_in_a_keys_place_is_no_key_and_is_not_overwritten() {
    let (keychain, seen) = keychain();
    let clients = AccountId::from("clients");
    seen.items.lock().unwrap().insert(clients.0.clone(), b"garbage".to_vec());
    assert!(keychain.key(&clients).await.unwrap().is_none());
    assert!(matches!(keychain.key_or_new(&clients).await, Err(Problem::KeychainTrouble { .. })));
    assert_eq!(seen.items.lock().unwrap()[&clients.0], b"garbage");
}
