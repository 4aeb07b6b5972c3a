//! The machine's sleep, announced by a logind: what is in flight is stored first, nothing starts, and all goes on afterwards.

use crate::support::logind::{Logind, SystemBus};
use crate::support::{Provider, Session};
use serde_json::json;
use std::time::{Duration, Instant};

/// Ada is signed in as `work` with tokens that live so many seconds, and the agent knows of a logind.
fn signed_in(access_lifetime: u32) -> (Session, Provider, SystemBus, Logind) {
    let mut session = Session::new();
    let bus = SystemBus::start(&mut session);
    let logind = Logind::start(&session);
    let provider = Provider::start(&session, access_lifetime);
    session.add("work", &provider);
    let lock = logind.wait("lock");
    assert_eq!(lock["lock"], "Larder");
    session.sign_in("work", "ada");
    (session, provider, bus, logind)
}

/// What the account's row says on the disk: its generation, and the hash of a refresh token that may be with the provider.
fn row(session: &Session) -> (i64, Option<String>) {
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).unwrap();
    database.query_row("SELECT generation, in_flight FROM account", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

fn ended(session: &Session) -> bool {
    let database = rusqlite::Connection::open(session.profile().join("larder.db")).unwrap();
    let ends: i64 = database.query_row("SELECT expires_at FROM account", [], |row| row.get(0)).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    now > u128::try_from(ends).unwrap()
}

#[test]
fn a_sleep_in_the_middle_of_a_refresh_begins_when_the_new_token_is_on_the_disk() {
    let (session, provider, _bus, mut logind) = signed_in(600);
    let (generation, _) = row(&session);
    // Carried out at once, so that the old refresh token is spent; the answer takes its time.
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500, "times": 1 }));
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
        session.wait_for("the request", || !provider.refreshes().is_empty());
        logind.tell("suspend");
        let asleep = logind.wait("asleep");
        // The agent is stopped now, as a machine that sleeps stops it.
        assert_eq!(asleep["held"], 0, "it let go by itself: {asleep}");
        assert!(asleep["asleep"].as_f64().unwrap() > 0.2, "it was waited for: {asleep}");
        assert_eq!(row(&session), (generation + 1, None));
        logind.tell("resume");
        refresh.join().unwrap().ok();
    });
    logind.wait("lock");
    assert_eq!(provider.refreshes().len(), 1);
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(provider.live_sessions(), 1);
}

#[test]
fn no_refresh_starts_between_the_announcement_of_a_sleep_and_its_end() {
    let (session, provider, _bus, mut logind) = signed_in(600);
    logind.tell("announce");
    let awake = logind.wait("awake");
    assert!(awake["held"] == 0 && awake["awake"].as_f64().unwrap() < 1.0, "nothing was in flight: {awake}");
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
        // It is asked for, and the agent has long answered everything else.
        assert!(session.agent_pid() > 0);
        std::thread::sleep(Duration::from_secs(2));
        assert!(provider.refreshes().is_empty() && !refresh.is_finished());
        logind.tell("resume");
        refresh.join().unwrap().ok();
    });
    assert_eq!(provider.refreshes().len(), 1);
}

#[test]
fn what_became_due_in_a_sleep_is_refreshed_once_after_it() {
    let (session, provider, _bus, mut logind) = signed_in(6);
    logind.tell("suspend");
    logind.wait("asleep");
    session.wait_for("the token's end", || ended(&session));
    let before = provider.refreshes().len();
    provider.access_lifetime(600);
    let woken = Instant::now();
    logind.tell("resume");
    session.wait_for("a refresh", || provider.refreshes().len() > before);
    let took = woken.elapsed();
    assert!(took > Duration::from_millis(1500) && took < Duration::from_secs(20), "a little later: {took:?}");
    let token = session.larder(&["token", "work"]).ok();
    assert_eq!(provider.userinfo(&token).0, 200);
    assert_eq!(provider.refreshes().len(), before + 1);
}

#[test]
fn whoever_asks_while_a_sleep_is_announced_gets_the_token_that_works() {
    let (session, provider, _bus, mut logind) = signed_in(600);
    let token = session.larder(&["token", "work"]).ok();
    logind.tell("announce");
    logind.wait("awake");
    assert_eq!(session.larder(&["token", "work"]).ok(), token);
    assert_eq!(provider.userinfo(&token).0, 200);
    assert!(provider.refreshes().is_empty());
    logind.tell("resume");
    logind.wait("lock");
}

#[test]
fn a_provider_that_does_not_answer_holds_a_sleep_no_longer_than_logind_waits() {
    let (session, provider, _bus, mut logind) = signed_in(600);
    provider.behave(json!({ "endpoint": "token", "mode": "hang", "times": 1 }));
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
        session.wait_for("the request", || row(&session).1.is_some());
        logind.tell("announce");
        let awake = logind.wait("awake");
        assert_eq!(awake["held"], 0, "before logind lost its patience: {awake}");
        assert!(awake["awake"].as_f64().unwrap() > 3.5, "{awake}");
        logind.tell("resume");
        refresh.join().unwrap().fails(4);
    });
    session.larder(&["token", "work"]).ok();
}

#[test]
fn a_logind_that_starts_anew_is_followed_again_and_a_sleep_that_it_forgot_is_over() {
    let (session, provider, _bus, mut logind) = signed_in(600);
    logind.tell("announce");
    logind.wait("awake");
    logind.stop();
    // Nobody will ever tell that this sleep is over.
    session.larder(&["refresh", "work"]).ok();
    let mut logind = Logind::start(&session);
    logind.wait("lock");
    logind.tell("suspend");
    assert_eq!(logind.wait("asleep")["held"], 0);
    logind.tell("resume");
    logind.wait("lock");
    session.larder(&["refresh", "work"]).ok();
    assert_eq!(provider.refreshes().len(), 2);
}

#[test]
fn a_logind_that_gives_no_lock_is_believed_all_the_same() {
    let mut session = Session::new();
    let _bus = SystemBus::start(&mut session);
    let mut logind = Logind::that_denies(&session);
    let provider = Provider::start(&session, 600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    let said = || std::fs::read_to_string(session.profile().join("run/agent.log")).unwrap_or_default();
    session.wait_for("a word about it", || said().contains("cannot be kept from sleeping"));
    logind.tell("announce");
    logind.wait("awake");
    std::thread::scope(|scope| {
        let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
        std::thread::sleep(Duration::from_secs(1));
        assert!(provider.refreshes().is_empty());
        logind.tell("resume");
        refresh.join().unwrap().ok();
    });
}

/// How often the threads of this process have gone to sleep of their own accord: each time, something had woken them.
fn wakeups(pid: i32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().map(|thread| thread.unwrap().path());
    let of = |thread: std::path::PathBuf| {
        let status = std::fs::read_to_string(thread.join("status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    threads.map(of).sum()
}

#[test]
fn an_agent_that_follows_logind_sleeps_as_soundly_as_any() {
    let (session, _provider, _bus, _logind) = signed_in(86_400);
    let pid = session.agent_pid();
    // Threads that lent a hand a moment ago go by themselves.
    std::thread::sleep(Duration::from_secs(12));
    let before = wakeups(pid);
    std::thread::sleep(Duration::from_secs(15));
    assert!(wakeups(pid) - before <= 1, "woken {} times in 15 s", wakeups(pid) - before);
}

#[test]
fn without_a_system_bus_or_a_logind_everything_else_goes_on() {
    for bus in [false, true] {
        let mut session = Session::new();
        let _bus = bus.then(|| SystemBus::start(&mut session));
        let provider = Provider::start(&session, 600);
        session.add("work", &provider);
        session.sign_in("work", "ada");
        session.larder(&["refresh", "work"]).ok();
        let log = std::fs::read_to_string(session.profile().join("run/agent.log")).unwrap_or_default();
        assert_eq!(log.lines().filter(|line| line.contains("sleep is not announced")).count(), 1, "{log}");
    }
}
