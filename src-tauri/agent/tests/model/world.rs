//! The agent as it is shipped, with a server, a keychain and clocks that the test holds: makes it do things, waits until it rests.

use crate::around::{Keys, Memory, Stepped};
use crate::server::Server;
use larder_agent::agent::{Message, Peer};
use larder_agent::database::Database;
use larder_agent::keychain::Keychain;
use larder_agent::settings::Store;
use larder_agent::start::{Around, agent, load};
use larder_core::names::AttemptId;
use larder_core::problem::Problem;
use larder_core::profile::Profile;
use larder_core::protocol::{Answer, Request};
use larder_core::view::HouseView;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// What comes back of a request.
pub type Reply = oneshot::Receiver<Result<Answer, Problem>>;

/// Where an agent, or an answer, is not there after so many looks, it hangs.
const MOST_ROUNDS: u32 = 20_000;

/// So many rounds in which nothing is seen to go on: more than work on the database has steps of which nothing else is seen.
const STILL: u32 = 7;

/// So often they are tried again, after a time in which the machine delivers what was sent to itself.
const MOST_WAITS: u32 = 2;

/// See [`MOST_WAITS`].
const A_PACKETS_TIME: Duration = Duration::from_millis(4);

/// A running agent.
pub struct Running {
    runtime: Runtime,
    pub inbox: mpsc::Sender<Message>,
    /// What the agent's own work tells it, on its way.
    outbox: mpsc::Receiver<Message>,
    ended: tokio::task::JoinHandle<()>,
    pub database: Database,
    /// Reads what lies on the disk.
    pub disk: rusqlite::Connection,
    keychain: Arc<Keychain>,
    /// Whether it keeps the machine from sleeping for a moment.
    pub holds: watch::Receiver<bool>,
}

/// The agent and what is around it.
pub struct World {
    pub folder: tempfile::TempDir,
    pub profile: Profile,
    pub clock: Stepped,
    pub memory: Memory,
    pub servers: [Server; 2],
    pub running: Option<Running>,
    /// So many messages of the agent's own work are still delivered; all, where it is none.
    pub deliver: Option<u32>,
    delivered: u64,
}

pub const PROVIDERS: [&str; 2] = ["north", "south"];

fn scratch() -> PathBuf {
    // What is written is flushed each time; memory takes that best.
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { memory } else { std::env::temp_dir() }
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir_in(scratch()).unwrap();
        let home = folder.path().as_os_str().to_owned();
        let profile = Profile::locate(|name| (name == "LARDER_HOME").then(|| home.clone())).unwrap();
        larder_agent::folders::prepare(&profile).unwrap();
        let world = Self {
            folder,
            profile,
            clock: Stepped::at(1_800_000_000_000, 50_000),
            memory: Memory::new(),
            servers: [Server::start(), Server::start()],
            running: None,
            deliver: None,
            delivered: 0,
        };
        world.policy(true);
        world.providers("North");
        world
    }

    pub fn policy(&self, allow: bool) {
        let decision = if allow { "allow" } else { "deny" };
        std::fs::write(self.profile.policy(), format!("default = \"{decision}\"\n")).unwrap();
    }

    pub fn providers(&self, title: &str) {
        let mut text = String::new();
        for (name, server) in PROVIDERS.iter().zip(&self.servers) {
            let at = server.address;
            text += &format!(
                "[provider.{name}]\ntitle = \"{title}\"\nauthorization_endpoint = \"http://{at}/authorize\"\n\
                 token_endpoint = \"http://{at}/token\"\nrevocation_endpoint = \"http://{at}/revoke\"\n\
                 userinfo_endpoint = \"http://{at}/userinfo\"\nclient_id = \"larder\"\nscopes = [\"files\"]\n\
                 redirects = [\"deep-link\"]\n\n"
            );
        }
        std::fs::write(self.profile.providers(), text).unwrap();
    }

    /// The agent begins, as it does in a process of its own.
    pub fn start(&mut self) {
        assert!(self.running.is_none());
        // One thread serves, as in the agent; what blocks goes in the order in which it came.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
        let memory = self.memory.clone();
        let store = move || Box::new(memory.clone()) as Box<dyn larder_agent::keychain::KeyStore>;
        let keychain = Arc::new(Keychain::new(|| Some(Store::OsKeychain), store));
        let database = Database::open(&self.profile.database()).unwrap();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let disk = rusqlite::Connection::open_with_flags(self.profile.database(), flags).unwrap();
        let (inbox, taken) = mpsc::channel(1024);
        let (told, outbox) = mpsc::channel(1024);
        let journal = self.folder.path().join("no-journal");
        let around = Around { clock: Arc::new(self.clock.clone()), keychain: Arc::clone(&keychain), journal: &journal };
        let (pushes, _) = broadcast::channel(16);
        let started = runtime.block_on(async {
            let loaded = load(database.clone(), around.clock.now()).await?;
            agent(&self.profile, loaded, around, (told, taken), pushes).await
        });
        let started = started.unwrap();
        let holds = started.hold_sleep();
        let ended = runtime.spawn(started.run());
        self.running = Some(Running { runtime, inbox, outbox, ended, database, disk, keychain, holds });
        self.settle();
    }

    /// The process is gone, in the middle of whatever it did.
    pub fn crash(&mut self) {
        let Some(running) = self.running.take() else { return };
        // What is with the disk gets there or not as a whole; the next agent opens it after that.
        running.runtime.shutdown_timeout(Duration::from_secs(30));
        for server in &self.servers {
            server.release();
            server.rest();
        }
        self.deliver = None;
    }

    /// It is told to end, and does.
    pub fn stop(&mut self) {
        let running = self.running.as_ref().unwrap();
        running.inbox.try_send(Message::Stop).unwrap_or_else(|_| panic!("the inbox is full"));
        for _ in 0..1000 {
            self.settle();
            if self.running.as_ref().unwrap().ended.is_finished() {
                return self.crash();
            }
            let next = self.clock.next().unwrap_or(100).clamp(1, 1000);
            self.advance(next);
        }
        let stand = self.view().accounts.into_iter().map(|account| (account.label, account.state, account.problem));
        panic!("the agent was told to end, and does not: {:?}", stand.collect::<Vec<_>>());
    }

    /// True time passes, for everybody, at once.
    pub fn advance(&self, by: i64) {
        for server in &self.servers {
            server.record().now += by;
        }
        self.clock.advance(by);
    }

    /// The machine is about to sleep, or awake.
    pub fn announce(&self, announced: bool) {
        let sent = self.running.as_ref().unwrap().inbox.try_send(Message::Sleep { announced });
        sent.unwrap_or_else(|_| panic!("the agent hears nothing"));
    }

    pub fn holds(&self) -> bool {
        *self.running.as_ref().unwrap().holds.borrow()
    }

    pub fn request(&self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        let peer = Peer { connection: 1, process: None, program: None };
        let sent = self.running.as_ref().unwrap().inbox.try_send(Message::Request { peer, request, reply });
        sent.unwrap_or_else(|_| panic!("the agent takes no requests"));
        answer
    }

    /// The same, and waits until there is an answer: what asks a person has a thread of its own.
    pub fn answered(&mut self, request: Request) -> Reply {
        let (reply, answer) = oneshot::channel();
        let mut asked = self.request(request);
        for _ in 0..MOST_ROUNDS {
            self.round();
            if let Ok(found) = asked.try_recv() {
                let _ = reply.send(found);
                return answer;
            }
        }
        panic!("no answer comes");
    }

    /// Returns when nothing is under way any more that goes on by itself.
    pub fn settle(&mut self) {
        let (mut still, mut waited) = (0, 0);
        let mut before = (0, 0, 0, 0);
        for _ in 0..MOST_ROUNDS {
            let quiet = self.round();
            let requests = self.servers.iter().map(|server| server.record().requests).sum::<u64>();
            let now = (self.alive(), self.delivered, requests, self.memory.shelf().calls);
            still = if quiet && now == before { still + 1 } else { 0 };
            if now != before {
                waited = 0;
            }
            before = now;
            if self.alive() <= self.resting() && still >= 1 || still >= STILL && waited == MOST_WAITS {
                return;
            }
            if still >= STILL {
                // A busy machine brings packets late, even from one end of itself to the other.
                (still, waited) = (0, waited + 1);
                std::thread::sleep(A_PACKETS_TIME);
            }
        }
        panic!("the agent does not come to rest");
    }

    fn alive(&self) -> usize {
        self.running.as_ref().unwrap().runtime.metrics().num_alive_tasks()
    }

    /// Agent and audit live on, and who sleeps rests too; where no more than these live, nothing can be under way.
    fn resting(&self) -> usize {
        2 + self.clock.sleeping()
    }

    /// Lets everything that is under way go one step further, at the least, and waits for that.
    fn round(&mut self) -> bool {
        let mut quiet = true;
        let World { running, servers, deliver, delivered, clock, .. } = self;
        let Running { runtime, inbox, outbox, keychain, ended, .. } = running.as_mut().unwrap();
        let (tasks, resting) = (runtime.metrics(), 2 + clock.sleeping());
        runtime.block_on(async {
            let mut pass_on = async || {
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                    while deliver.is_none_or(|left| left > 0) {
                        let Ok(message) = outbox.try_recv() else { break };
                        *deliver = deliver.map(|left| left - 1);
                        *delivered += 1;
                        let _ = inbox.send(message).await;
                    }
                }
            };
            pass_on().await;
            if tasks.num_alive_tasks() > resting {
                let _ = tokio::task::spawn_blocking(|| ()).await;
                pass_on().await;
            }
            if tasks.num_alive_tasks() > resting {
                let _ = keychain.check().await;
                pass_on().await;
            }
            if tasks.num_alive_tasks() > resting {
                for server in servers.iter() {
                    quiet &= server.rest();
                }
                pass_on().await;
            }
            // Whatever the loop was in the middle of is over when it answers.
            if !ended.is_finished() {
                let (reply, answer) = oneshot::channel();
                let peer = Peer { connection: 0, process: None, program: None };
                let request = Request::AuthorizationUrl { attempt: AttemptId::from("none") };
                let _ = inbox.send(Message::Request { peer, request, reply }).await;
                let _ = answer.await;
            }
            pass_on().await;
        });
        quiet
    }

    pub fn view(&self) -> HouseView {
        let answer = self.request(Request::View);
        match self.running.as_ref().unwrap().runtime.block_on(answer) {
            Ok(Ok(Answer::View(view))) => *view,
            other => panic!("no view: {other:?}"),
        }
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.running.as_ref().unwrap().runtime.block_on(work)
    }

    /// From now on nothing can be written into the database, or it can again.
    pub fn disk(&self, works: bool) {
        let database = self.running.as_ref().unwrap().database.clone();
        let set =
            self.block_on(database.run(move |connection| Ok(connection.pragma_update(None, "query_only", !works)?)));
        set.unwrap();
    }

    pub fn keys(&self, keys: Keys) {
        self.memory.shelf().keys = keys;
    }
}
