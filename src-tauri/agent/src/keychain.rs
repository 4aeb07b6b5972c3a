//! What keeps the data keys: the OS keychain, or the store that its person chose instead. One call at a time on a thread
//! of its own, every call bounded.
//!
//! Keychain calls can hang (a locked collection, a service that does not answer) and the Secret Service's client must
//! not run on an async worker. A call that takes too long is given up together with the thread it hangs on.

mod age_file;
mod chosen;
mod credential;
mod passphrase;

pub use age_file::decrypt;
pub use chosen::chosen;
pub use passphrase::{LEAST_PASSPHRASE, MOST_WORK, WORK};

use crate::seal::DataKey;
use crate::settings::Store;
use larder_core::names::AccountId;
use larder_core::problem::Problem;
use larder_core::scheme::KEYCHAIN_SERVICE;
use larder_core::view::KeychainState;
use secrecy::SecretString;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// No background call may take longer. A get takes 15-30 ms, a put into a large keyring 100 ms.
const PATIENCE: Duration = Duration::from_secs(5);

/// A person who is asked for a password takes longer.
const PROMPT_PATIENCE: Duration = Duration::from_secs(120);

/// What keeps the data keys. A seam: tests of faults put their own in its place.
pub trait KeyStore: Send + 'static {
    /// Says why it does not open, if it does not, without asking anybody for anything.
    fn ready(&mut self) -> Result<(), Problem>;
    /// Opens it; it may ask its person. Some want to be given a passphrase.
    fn unlock(&mut self, passphrase: Option<&SecretString>) -> Result<(), Problem>;
    /// Forgets what opens it, where that is in this process's memory, and says whether it was.
    fn close(&mut self) -> bool {
        false
    }
    /// Looks closer than [`Self::ready`], for `larder doctor`.
    fn inspect(&mut self) -> Result<(), Problem> {
        self.ready()
    }
    /// The item's bytes, if there is one. Called only while it is open.
    fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem>;
    /// Stores an item. Called only while it is open.
    fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem>;
    /// Deletes an item; an item that is not there is deleted. Called only while it is open.
    fn delete(&mut self, item: &str) -> Result<(), Problem>;
}

type Job = Box<dyn FnOnce(&mut dyn KeyStore) + Send>;

/// The keychain, asked from anywhere.
pub struct Keychain {
    make: Box<dyn Fn() -> Box<dyn KeyStore> + Send + Sync>,
    worker: Mutex<Option<Worker>>,
    /// Threads that hang in a call which was given up.
    hanging: Arc<AtomicUsize>,
    /// Which one it is, once that is known.
    chosen: Box<dyn Fn() -> Option<Store> + Send + Sync>,
}

/// The thread that calls the store.
#[derive(Clone)]
struct Worker {
    id: u64,
    jobs: mpsc::Sender<Job>,
    given_up: Arc<AtomicBool>,
}

/// So many threads may hang at once; past it, calls fail at once instead of adding another one.
const MOST_HANGING: usize = 2;

impl Keychain {
    /// A keychain whose store is made by `make`, again after a call that never ended.
    pub fn new(
        chosen: impl Fn() -> Option<Store> + Send + Sync + 'static,
        make: impl Fn() -> Box<dyn KeyStore> + Send + Sync + 'static,
    ) -> Self {
        Self { make: Box::new(make), worker: Mutex::new(None), hanging: Arc::default(), chosen: Box::new(chosen) }
    }

    /// Which one was chosen; `None` until the settings can be read.
    pub fn chosen(&self) -> Option<Store> {
        (self.chosen)()
    }

    /// Which one, for people.
    pub fn kind(&self) -> &'static str {
        match self.chosen() {
            None => "not chosen",
            Some(Store::OsKeychain) => os::KIND,
            Some(Store::SystemdCredential) => "systemd credential",
            Some(Store::Passphrase) => "passphrase",
        }
    }

    /// The key of an account; `None` where the keychain has none.
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] and its kin.
    pub async fn key(&self, account: &AccountId) -> Result<Option<DataKey>, Problem> {
        let item = account.0.clone();
        let bytes = self.call(PATIENCE, move |store| opened(store, |store| store.get(&item))).await?;
        Ok(bytes.and_then(|bytes| DataKey::from_bytes(&bytes)))
    }

    /// The key of what belongs to no account; made where there is none. What another program put in its place is not
    /// overwritten: what was sealed with the right one may open again.
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] and its kin.
    pub async fn key_or_new(&self, account: &AccountId) -> Result<DataKey, Problem> {
        let item = account.0.clone();
        let bytes = self.call(PATIENCE, move |store| opened(store, |store| store.get(&item))).await?;
        if let Some(bytes) = bytes {
            let foreign =
                || format!("its item `{account}` of {KEYCHAIN_SERVICE} holds no key; delete it to begin anew");
            return DataKey::from_bytes(&bytes).ok_or_else(|| Problem::KeychainTrouble { detail: foreign() });
        }
        let failed = |_| Problem::Internal { detail: "the system has no random numbers".to_owned() };
        let key = DataKey::random().map_err(failed)?;
        self.store(account, &key).await?;
        Ok(key)
    }

    /// Stores the key of an account, and reads it back: a keychain that forgets is noticed before tokens depend on it.
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] and its kin.
    pub async fn store(&self, account: &AccountId, key: &DataKey) -> Result<(), Problem> {
        let (item, key) = (account.0.clone(), key.clone());
        let store = move |store: &mut dyn KeyStore| {
            store.put(&item, key.bytes())?;
            match store.get(&item)? {
                Some(bytes) if bytes.as_slice() == key.bytes() => Ok(()),
                _ => Err(Problem::KeychainTrouble { detail: "it did not keep what it was given".to_owned() }),
            }
        };
        self.call(PATIENCE, |keychain| opened(keychain, store)).await
    }

    /// Deletes the key of an account, and sees that it is gone.
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] and its kin.
    pub async fn delete(&self, account: &AccountId) -> Result<(), Problem> {
        let item = account.0.clone();
        let delete = move |store: &mut dyn KeyStore| {
            store.delete(&item)?;
            match store.get(&item)? {
                None => Ok(()),
                Some(_) => Err(Problem::KeychainTrouble { detail: "it did not delete what it was told to".to_owned() }),
            }
        };
        self.call(PATIENCE, |store| opened(store, delete)).await
    }

    /// Whether it opens, without asking anybody for anything.
    pub async fn state(&self) -> KeychainState {
        match self.call(PATIENCE, KeyStore::ready).await {
            Ok(()) => KeychainState::Open,
            // What is not the store's own word for how it stands is a reason not to answer.
            Err(problem) => keychain_state(&problem).unwrap_or(KeychainState::Absent),
        }
    }

    /// What is wrong with it, if anything is; looks closer than [`Self::state`].
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] and its kin; of a file, [`Problem::UnsafePath`] and [`Problem::DatabaseDamaged`] too.
    pub async fn check(&self) -> Result<(), Problem> {
        self.call(PATIENCE, KeyStore::inspect).await
    }

    /// Opens it. Only after a click or `larder unlock`: it may raise the keychain's own prompt.
    ///
    /// # Errors
    /// [`Problem::KeychainLocked`] where its person said no, and its kin; [`Problem::PassphraseNeeded`],
    /// [`Problem::PassphraseUnset`], [`Problem::WrongPassphrase`].
    pub async fn unlock(&self, passphrase: Option<SecretString>) -> Result<(), Problem> {
        // On a worker of its own: people take their time, and background work does not wait for them.
        let mut store = (self.make)();
        let (answer, answered) = oneshot::channel();
        std::thread::spawn(move || {
            let _ = answer.send(store.unlock(passphrase.as_ref()));
        });
        let seconds = u32::try_from(PROMPT_PATIENCE.as_secs()).unwrap_or_default();
        match tokio::time::timeout(PROMPT_PATIENCE, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Problem::KeychainTrouble { detail: "it broke off".to_owned() }),
            Err(_) => Err(Problem::KeychainTimeout { seconds }),
        }
    }

    /// Forgets what opens it, where this process holds that, and says whether it does.
    pub async fn close(&self) -> bool {
        // The others hold nothing, and one that hangs is not waited for.
        self.chosen() == Some(Store::Passphrase)
            && self.call(PATIENCE, |store| Ok(store.close())).await.unwrap_or_default()
    }

    async fn call<T: Send + 'static>(
        &self,
        patience: Duration,
        job: impl FnOnce(&mut dyn KeyStore) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |store| {
            // What nobody waits for any more must not be done late: a newer call may have done otherwise.
            if !answer.is_closed() {
                let _ = answer.send(job(store));
            }
        });
        let seconds = u32::try_from(patience.as_secs()).unwrap_or_default();
        let Some(worker) = self.worker() else { return Err(Problem::KeychainTimeout { seconds }) };
        if worker.jobs.send(job).is_err() {
            self.drop_worker(&worker, false);
            return Err(Problem::KeychainTrouble { detail: "its thread ended".to_owned() });
        }
        match tokio::time::timeout(patience, answered).await {
            Ok(Ok(result)) => result,
            // The store panicked, or hangs: the next call gets a new one on a new thread.
            Ok(Err(_)) => {
                self.drop_worker(&worker, false);
                Err(Problem::KeychainTrouble { detail: "it broke off".to_owned() })
            }
            Err(_) => {
                self.drop_worker(&worker, true);
                Err(Problem::KeychainTimeout { seconds })
            }
        }
    }

    /// The worker, a new one where there is none; `None` while too many hang.
    fn worker(&self) -> Option<Worker> {
        let mut current = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = current.as_ref() {
            return Some(worker.clone());
        }
        if self.hanging.load(Ordering::SeqCst) >= MOST_HANGING {
            return None;
        }
        let (jobs, queue) = mpsc::channel::<Job>();
        let given_up = Arc::new(AtomicBool::new(false));
        let id = NEXT_WORKER.fetch_add(1, Ordering::SeqCst);
        let worker = Worker { id, jobs, given_up: Arc::clone(&given_up) };
        let (mut store, hanging) = ((self.make)(), Arc::clone(&self.hanging));
        std::thread::spawn(move || {
            for job in queue {
                // A store that panics ends its thread; whoever waits hears that it broke off.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(store.as_mut()))).is_err() {
                    break;
                }
            }
            if given_up.load(Ordering::SeqCst) {
                hanging.fetch_sub(1, Ordering::SeqCst);
            }
        });
        *current = Some(worker.clone());
        Some(worker)
    }

    /// Gives a worker up: its thread has ended, or hangs until its call ends, if ever.
    fn drop_worker(&self, worker: &Worker, hangs: bool) {
        let mut current = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| current.id == worker.id) {
            *current = None;
        }
        if hangs && !worker.given_up.swap(true, Ordering::SeqCst) {
            self.hanging.fetch_add(1, Ordering::SeqCst);
        }
    }
}

static NEXT_WORKER: AtomicU64 = AtomicU64::new(0);

/// Runs `job` where the store is open, and says why not elsewhere: nothing may raise a prompt that nobody asked for.
fn opened<T>(
    store: &mut dyn KeyStore,
    job: impl FnOnce(&mut dyn KeyStore) -> Result<T, Problem>,
) -> Result<T, Problem> {
    store.ready()?;
    job(store)
}

/// How the keychain stands, as far as a failed call tells.
pub fn keychain_state(problem: &Problem) -> Option<KeychainState> {
    match problem {
        Problem::KeychainLocked | Problem::PassphraseNeeded | Problem::PassphraseUnset | Problem::WrongPassphrase => {
            Some(KeychainState::Locked)
        }
        Problem::KeychainAbsent | Problem::CredentialUnusable { .. } => Some(KeychainState::Absent),
        Problem::KeychainTimeout { .. } | Problem::KeychainTrouble { .. } => Some(KeychainState::Silent),
        _ => None,
    }
}

fn refused(error: &keyring::Error) -> Problem {
    match error {
        keyring::Error::NoStorageAccess(_) => Problem::KeychainLocked,
        // Not the error's own text: some variants carry the bytes of an item.
        keyring::Error::PlatformFailure(_) => {
            Problem::KeychainTrouble { detail: "the platform's call failed".to_owned() }
        }
        keyring::Error::Ambiguous(_) => Problem::KeychainTrouble {
            detail: "it holds several items for one account; signing out deletes them all".to_owned(),
        },
        _ => Problem::KeychainTrouble { detail: "it answered something unexpected".to_owned() },
    }
}

fn get(entry: &keyring::Entry) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    match entry.get_secret() {
        Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
        Err(keyring::Error::NoEntry) => Ok(None),
        Err(error) => Err(refused(&error)),
    }
}

fn delete(entry: &keyring::Entry) -> Result<(), Problem> {
    match entry.delete_credential() {
        Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
        Err(error) => Err(refused(&error)),
    }
}

#[cfg(target_os = "linux")]
mod os {
    use super::{KEYCHAIN_SERVICE, KeyStore, Problem, SecretString, Zeroizing, delete, get, refused};
    use keyring_core::api::CredentialStoreApi;
    use secret_service::blocking::SecretService;
    use secret_service::{EncryptionType, Error};
    use std::collections::HashMap;
    use std::sync::Arc;
    use zbus_secret_service_keyring_store::Store as SecretServiceStore;

    pub const KIND: &str = "Secret Service";

    /// The Secret Service. `keyring` remembers a failed start for good, so the store is made here, anew after each failure.
    #[derive(Default)]
    pub struct Store {
        store: Option<Arc<SecretServiceStore>>,
    }

    impl Store {
        /// The store unlocks what it finds, and with it raises a prompt; so what is locked is not looked for.
        fn entry(&mut self, item: &str) -> Result<keyring::Entry, Problem> {
            let service = SecretService::connect(EncryptionType::Plain).map_err(|_| Problem::KeychainAbsent)?;
            let attributes = HashMap::from([("service", KEYCHAIN_SERVICE), ("username", item)]);
            let found = service.search_items(attributes).map_err(|_| Problem::KeychainAbsent)?;
            if !found.locked.is_empty() {
                return Err(Problem::KeychainLocked);
            }
            let store = match &self.store {
                Some(store) => Arc::clone(store),
                None => SecretServiceStore::new().map_err(|_| Problem::KeychainAbsent)?,
            };
            self.store = Some(Arc::clone(&store));
            let inner = store.build(KEYCHAIN_SERVICE, item, None).map_err(|error| refused(&error))?;
            Ok(keyring::Entry { inner })
        }

        /// A connection that broke is made anew at the next call.
        fn checked<T>(&mut self, result: Result<T, Problem>) -> Result<T, Problem> {
            if result.is_err() {
                self.store = None;
            }
            result
        }
    }

    impl KeyStore for Store {
        fn ready(&mut self) -> Result<(), Problem> {
            // Asked anew each time: the store's own look-ups would try to unlock, and with it raise a prompt.
            let ask = || {
                let service = SecretService::connect(EncryptionType::Plain)?;
                service.get_default_collection()?.is_locked()
            };
            // Once more: a service that is just replaced, or a bus under load, fails a call now and then.
            let state = match ask() {
                Ok(locked) => Ok(locked),
                Err(error @ (Error::NoResult | Error::Locked)) => Err(error),
                Err(_) => ask(),
            };
            match state {
                Ok(false) => Ok(()),
                // No default collection yet: making one asks for a password, so it is as good as locked.
                Ok(true) | Err(Error::NoResult | Error::Locked) => Err(Problem::KeychainLocked),
                Err(_) => {
                    self.store = None;
                    Err(Problem::KeychainAbsent)
                }
            }
        }

        fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
            let service = SecretService::connect(EncryptionType::Plain).map_err(|_| Problem::KeychainAbsent)?;
            let collection = match service.get_default_collection() {
                Err(Error::NoResult) => service.create_collection("Login", "default"),
                other => other,
            };
            collection.and_then(|collection| collection.unlock()).map_err(|_| Problem::KeychainLocked)?;
            // Larder's items may lie in another collection than the one that is the default now.
            let attributes = HashMap::from([("service", KEYCHAIN_SERVICE)]);
            let found = service.search_items(attributes).map_err(|_| Problem::KeychainAbsent)?;
            let locked: Vec<_> = found.locked.iter().collect();
            if locked.is_empty() { Ok(()) } else { service.unlock_all(&locked).map_err(|_| Problem::KeychainLocked) }
        }

        fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
            let result = self.entry(item).and_then(|entry| get(&entry));
            self.checked(result)
        }

        fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
            let result = self.entry(item).and_then(|entry| entry.set_secret(bytes).map_err(|error| refused(&error)));
            self.checked(result)
        }

        fn delete(&mut self, item: &str) -> Result<(), Problem> {
            let result = match self.entry(item).and_then(|entry| delete(&entry)) {
                Err(Problem::KeychainTrouble { .. }) => delete_all(item),
                result => result,
            };
            self.checked(result)
        }
    }

    /// Another program may have made a second item of the same name, and nothing that opens must be left.
    fn delete_all(item: &str) -> Result<(), Problem> {
        let service = SecretService::connect(EncryptionType::Plain).map_err(|_| Problem::KeychainAbsent)?;
        let attributes = HashMap::from([("service", KEYCHAIN_SERVICE), ("username", item)]);
        let found = service.search_items(attributes).map_err(|_| Problem::KeychainAbsent)?;
        let failed = |_| Problem::KeychainTrouble { detail: "it did not delete what it was told to".to_owned() };
        found.unlocked.iter().try_for_each(|item| item.delete().map_err(failed))
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    use super::{KEYCHAIN_SERVICE, KeyStore, Problem, SecretString, Zeroizing, delete, get, refused};

    #[cfg(target_os = "macos")]
    pub const KIND: &str = "macOS Keychain";
    #[cfg(not(target_os = "macos"))]
    pub const KIND: &str = "Windows Credential Manager";

    /// The platform's keychain, open while its person is logged in.
    #[derive(Default)]
    pub struct Store;

    fn entry(item: &str) -> Result<keyring::Entry, Problem> {
        keyring::Entry::new(KEYCHAIN_SERVICE, item).map_err(|error| refused(&error))
    }

    impl KeyStore for Store {
        fn ready(&mut self) -> Result<(), Problem> {
            keyring::Entry::store_status().map_err(|_| Problem::KeychainAbsent)
        }

        fn unlock(&mut self, _: Option<&SecretString>) -> Result<(), Problem> {
            Ok(())
        }

        fn get(&mut self, item: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
            get(&entry(item)?)
        }

        fn put(&mut self, item: &str, bytes: &[u8]) -> Result<(), Problem> {
            entry(item)?.set_secret(bytes).map_err(|error| refused(&error))
        }

        fn delete(&mut self, item: &str) -> Result<(), Problem> {
            delete(&entry(item)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What macOS says when its person refuses (`errSecAuthFailed`, -25293), when nobody can be asked
    /// (`errSecInteractionNotAllowed`, -25308) or closes the question (`errSecUserCanceled`, -128) is a failure of the platform
    /// to `keyring`; without a keychain to write to (`errSecNotAvailable`, `errSecReadOnly`) there is no access.
    #[test]
    fn a_platform_that_refuses_is_a_problem_that_passes_and_says_nothing_of_what_it_holds() {
        let said = || Box::new(std::io::Error::other("SECRET"));
        let errors = [
            keyring::Error::PlatformFailure(said()),
            keyring::Error::NoStorageAccess(said()),
            keyring::Error::BadEncoding(b"SECRET".to_vec()),
            keyring::Error::TooLong("SECRET".to_owned(), 2560),
            keyring::Error::Ambiguous(Vec::new()),
        ];
        for error in errors {
            let problem = refused(&error);
            assert_eq!(problem.exit(), larder_core::problem::Exit::Keychain, "{error:?}");
            assert!(!larder_core::words::sentence(&problem).contains("SECRET"), "{problem:?}");
            assert!(keychain_state(&problem).is_some(), "{problem:?}");
        }
    }
}
