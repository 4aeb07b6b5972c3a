//! `make package-test`: the .deb on a clean system, from its first installation to its removal. As root, or with sudo without
//! a password; needs the machine's own mirror, the package (`make package`) and a lower version's programs (`package/lower`).

#![allow(clippy::print_stdout, reason = "figures are what it is for")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]
#![allow(dead_code, unused_imports, reason = "the support is the tests'; this uses a part of it")]

#[path = "package/deb.rs"]
mod deb;
#[path = "package/person.rs"]
mod person;
#[path = "package/root.rs"]
mod root;
mod support;

use person::Person;
use root::Root;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use support::{Keyring, Provider, Session};

/// What is installed here, as it names itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What has every person's systemd listen on the socket.
const ENABLED: &str = "/etc/systemd/user/sockets.target.wants/larder-agent.socket";

fn agent(person: &Person) -> (String, u64) {
    let status: Value = serde_json::from_str(&person.larder(&["status", "--json"]).ok()).expect("JSON");
    let agent = &status["agent"];
    (agent["build"].as_str().expect("a version").to_owned(), agent["pid"].as_u64().expect("a process id"))
}

/// The whole life of a package, in one system: each step stands on the one before.
#[test]
fn a_package_signs_in_is_upgraded_without_a_loss_and_leaves_nothing_but_the_persons_data() {
    let outside = Session::with(Keyring::None);
    let provider = Provider::start(&outside, 600);
    let root = Root::new();

    // Everything that it needs comes from the mirror, by what it says of itself.
    let lower = deb::lower(&deb::made(), root.scratch());
    root.install(&lower);
    let files = root.packaged("larder");
    assert!(root.is_link(ENABLED), "{ENABLED}");

    // The redirect comes back by the entry that was installed, which nobody registered.
    let person = Person::log_in(&root);
    assert_eq!(person.handler(), "Larder.desktop");
    person.ran(&["systemd-analyze", "verify", "--user", "/usr/lib/systemd/user/larder-agent.socket"]);
    person.larder(&["policy", "set", "allow"]).ok();
    person.add("work", &provider);
    assert_eq!(person.sign_in("work", "ada"), "work");
    let token = person.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&token).1["email"], "ada@example.com");
    let (build, older) = agent(&person);
    assert_ne!(build, VERSION);
    assert_eq!(root.running("larder-agent"), [older]);
    assert_eq!(root.running("larder-desktop").len(), 1);

    // While it is upgraded, nobody who asks is refused.
    let upgraded = AtomicBool::new(false);
    let asked = std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let mut asked = Vec::new();
            while !upgraded.load(Ordering::Relaxed) {
                asked.push(person.larder(&["token", "work"]));
            }
            asked
        });
        let installed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| root.install(&deb::made())));
        upgraded.store(true, Ordering::Relaxed);
        let asked = asker.join().unwrap();
        installed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        asked
    });
    assert!(asked.len() >= 10, "{}", asked.len());
    println!("asked {} times for a token during the upgrade", asked.len());
    let refused: Vec<_> = asked.iter().filter(|ran| ran.code != 0).collect();
    assert!(refused.is_empty(), "of {} asks {} were refused, such as {:?}", asked.len(), refused.len(), refused[0]);

    // The older agent made way, and its database is the newer one's.
    let (build, newer) = agent(&person);
    assert_eq!(build, VERSION);
    assert_ne!(newer, older);
    assert_eq!(root.running("larder-agent"), [newer]);
    person.larder(&["refresh", "work"]).ok();
    let token = person.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&token).1["email"], "ada@example.com");
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    assert_eq!(provider.live_sessions(), 1);

    // And this version's own handler, from a cold start.
    root.end("larder-desktop");
    assert_eq!(person.sign_in("work", "grace"), "work-2");
    person.larder(&["token", "work-2"]).ok();

    // Purging it ends nobody's agent and takes nobody's data; all else goes.
    assert!(!root.named("larder").is_empty() && !root.mentions("larder").is_empty());
    let kept = person.files();
    assert!(kept.iter().any(|file| file.ends_with("/.local/share/larder/larder.db")), "{kept:?}");
    root.ran(&["apt-get", "purge", "-y", "-q", "larder"]);
    assert_eq!(person.handler(), "");
    let left: Vec<_> = files.iter().filter(|file| root.has(file)).collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(root.named("larder"), [""; 0]);
    assert_eq!(root.mentions("larder"), [""; 0]);
    assert_eq!(person.files(), kept);
    assert_eq!(root.running("larder-agent"), [newer]);

    // Their data is still of use.
    root.end("larder-agent");
    root.install(&deb::made());
    assert_eq!(provider.userinfo(&person.larder(&["token", "work"]).ok()).1["email"], "ada@example.com");
    assert_eq!(provider.live_sessions(), 2);
}
