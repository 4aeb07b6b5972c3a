//! The agent and the app end and start again in the middle of everything, and a newer agent takes an older one's place.

use crate::support::{Child, Desktop, Provider, Session, program};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest that anybody who asks is kept waiting while one agent takes another's place.
const MOST_WAIT: Duration = Duration::from_secs(2);

/// How an agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

fn end_agent(session: &Session, how: End) {
    match how {
        End::Killed => session.kill_agent(),
        End::Stopped => session.stop_agent(),
    }
}

/// Signed in at "work" as Ada.
#[test]
fn a_sign_in_that_waited_is_over_with_its_agent_and_a_new_one_works() {
    for how in [End::Killed, End::Stopped] {
        let session = Session::new();
        let provider = Provider::start(&session, 600);
        session.add("work", &provider);
        let url = session.larder(&["sign-in", "work", "--no-browser"]).ok();
        let redirect = session.browse(&url, "ada", "allow");
        end_agent(&session, how);
        let said = session.larder_reads(&["callback"], &redirect).fails(1);
        assert!(said.contains("No sign-in waits for this redirect"), "{how:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{how:?}: {said}");
        assert!(provider.seen("/token").is_empty(), "{how:?}");
        assert_eq!(session.keychain_items(), 0, "{how:?}");
        assert_eq!(session.sign_in("work", "ada"), "work", "{how:?}");
        session.larder(&["token", "work"]).ok();
    }
}

#[test]
fn the_window_shows_no_sign_in_that_ended_with_its_agent_and_a_new_one_works() {
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 600);
    desktop.session.add("work", &provider);
    desktop.start(&[]);
    begin_in_window(&desktop);
    desktop.kill_app();
    desktop.session.kill_agent();
    desktop.start(&[]);
    desktop.wait_for_window();
    desktop.reads("Nothing in the larder yet");
    let events = desktop.session.events();
    desktop.browser_goes_on();
    events.wait("callback-refused");
    assert!(provider.seen("/token").is_empty());
    desktop
        .session
        .wait_for("the process that brought the answer to end", || desktop.running("larder-desktop").len() == 1);
    choose_work(&desktop);
    desktop.reads("1 of 1 ready");
    assert_eq!(desktop.session.account("work")["email"], "ada@example.com");
}

#[test]
fn a_sign_in_goes_on_when_the_app_alone_ends_and_its_answer_starts_the_app_again() {
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 600);
    desktop.session.add("work", &provider);
    desktop.start(&[]);
    begin_in_window(&desktop);
    desktop.kill_app();
    desktop.browser_goes_on();
    desktop.wait_for_window();
    desktop.reads("1 of 1 ready");
    assert_eq!(desktop.session.account("work")["state"], "fresh");
    assert_eq!(provider.seen("/token").len(), 1);
    desktop.session.wait_for("one app to be left", || desktop.running("larder-desktop").len() == 1);
}

/// Begins a sign-in at "work"; the browser opens and waits.
fn begin_in_window(desktop: &Desktop) {
    desktop.wait_for_window();
    desktop.reads("Nothing in the larder yet");
    desktop.browser_holds();
    choose_work(desktop);
    desktop.session.wait_for("the browser", || desktop.browsers_opened() == 1);
}

fn choose_work(desktop: &Desktop) {
    desktop.press("Sign in…");
    let tile = desktop.find("the provider", |seen| seen.role == "push button" && seen.name.starts_with("work"));
    desktop.press(&tile.name);
}

#[test]
fn a_refresh_in_flight_is_let_finish_by_an_agent_that_stops() {
    let (session, provider) = Session::signed_in(600);
    let first = session.larder(&["token", "work"]).ok();
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 1500, "times": 1 }));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| session.larder(&["refresh", "work"]));
        session.wait_for("the refresh", || provider.refreshes().len() == 1);
        session.stop_agent();
        asked.join().unwrap().ok();
    });
    // The new one is there, and the spent one is not sent again.
    let second = session.larder(&["token", "work"]).ok();
    assert_ne!(second, first);
    assert_eq!(provider.userinfo(&second).0, 200);
    session.larder(&["refresh", "work"]).ok();
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    assert_eq!((provider.refreshes().len(), provider.live_sessions()), (2, 1));
}

#[test]
fn a_refresh_in_flight_of_a_killed_agent_is_tried_at_most_once_more() {
    let (session, provider) = Session::signed_in(600);
    provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 60_000, "times": 1 }));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| session.larder(&["refresh", "work", "--no-start"]));
        session.wait_for("the refresh", || provider.refreshes().len() == 1);
        session.kill_agent();
        asked.join().unwrap().fails(7);
    });
    // The provider rotates strictly: what it answered is lost, and one more try says so.
    let events = session.events();
    events.wait("refresh-failed");
    assert_eq!(session.account("work")["state"], "sign-in-again");
    // However often the agent starts again.
    for how in [End::Killed, End::Stopped] {
        end_agent(&session, how);
        session.larder(&["token", "work"]).fails(3);
        session.larder(&["refresh", "work"]).fails(3);
    }
    assert_eq!(provider.refreshes().len(), 2);
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
}

#[test]
fn the_app_shows_a_sign_out_that_another_agent_finished() {
    let mut desktop = Desktop::new();
    let provider = Provider::start(&desktop.session, 600);
    desktop.session.add("work", &provider);
    desktop.session.sign_in("work", "ada");
    desktop.session.stop_agent();
    let mut command = desktop.session.command(program("larder-agent"));
    command.env("LARDER_FAIL_AT", "clear.after").stdout(Stdio::null()).stderr(Stdio::null());
    let mut agent = Child(command.spawn().expect("larder-agent"));
    desktop.session.wait_for("the agent", || desktop.session.larder(&["status", "--no-start"]).code == 0);
    desktop.start(&[]);
    desktop.wait_for_tray("the account", |tray| tray.words("work").is_some_and(|words| words.starts_with("fresh")));
    assert_ne!(desktop.session.larder(&["sign-out", "work", "--no-start"]).code, 0);
    desktop.session.wait_for("the agent's end", || agent.0.try_wait().expect("wait").is_some());
    // The app misses its agent and starts another one.
    desktop.wait_for_tray("the sign-out", |tray| tray.words("work").is_some_and(|words| words.contains("signed out")));
    assert_eq!(desktop.session.larder(&["accounts", "--no-start"]).code, 0);
    assert_eq!(desktop.session.account("work")["state"], "signed-out");
    assert_eq!(desktop.session.keychain_items(), 0);
}

/// An agent of an older build: it holds the lock, greets whoever comes, and makes way when it is asked to.
fn older_agent(session: &Session) -> impl FnOnce() + Send + 'static {
    let run = session.profile().join("run");
    std::fs::DirBuilder::new().mode(0o700).create(&run).expect("a folder");
    let lock = File::options().create(true).append(true).mode(0o600).open(run.join("agent.lock")).expect("a file");
    lock.try_lock().expect("the lock");
    let socket = run.join("agent.sock");
    let listener = UnixListener::bind(&socket).expect("the socket");
    move || {
        let mut asked = Vec::new();
        loop {
            let (stream, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(stream);
            let mut hello = String::new();
            // A client that only looked whether somebody is there.
            if lines.read_line(&mut hello).expect("a line") == 0 {
                continue;
            }
            assert!(hello.contains(r#""do":"hello""#), "{hello}");
            let answer = json!({ "id": 1, "answer":
                { "is": "hello", "protocol": 1, "build": "0.0.1", "profile": "/p", "pid": 1 } });
            writeln!(lines.get_mut(), "{answer}").expect("it reads");
            let mut drain = String::new();
            lines.read_line(&mut drain).expect("a line");
            assert!(drain.contains(r#""do":"drain""#), "asked an older agent for something else: {drain}");
            asked.push(lines);
            break;
        }
        // All is written: socket and lock go, then who asked hears of it. Those who came meanwhile find it closed.
        std::fs::remove_file(&socket).expect("the socket");
        drop(lock);
        for mut lines in asked {
            writeln!(lines.get_mut(), "{}", json!({ "id": 2, "answer": { "is": "done" } })).expect("it reads");
        }
    }
}

#[test]
fn an_older_agent_makes_way_for_a_newer_one_and_nobody_is_refused() {
    let session = Session::new();
    let older = older_agent(&session);
    std::thread::scope(|scope| {
        let older = scope.spawn(older);
        let asks: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let since = Instant::now();
                    (session.larder(&["status", "--json"]), since.elapsed())
                })
            })
            .collect();
        let answers: Vec<_> = asks.into_iter().map(|ask| ask.join().unwrap()).collect();
        older.join().unwrap();
        let mut pids = Vec::new();
        for (ran, took) in answers {
            let status: Value = serde_json::from_str(&ran.ok()).expect("JSON");
            assert_eq!(status["agent"]["build"], env!("CARGO_PKG_VERSION"), "{status}");
            assert!(took < MOST_WAIT, "{took:?}");
            pids.push(status["agent"]["pid"].clone());
        }
        assert!(pids.iter().all(|pid| *pid == pids[0] && *pid != 1), "{pids:?}");
    });
}

#[test]
fn while_an_agent_makes_way_every_asker_gets_its_token_and_none_is_lost() {
    let (session, provider) = Session::signed_in(600);
    let done = AtomicBool::new(false);
    let (asked, refreshed): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut asked = Vec::new();
                    while asked.len() < 10 || !done.load(Ordering::Relaxed) {
                        let since = Instant::now();
                        asked.push((session.larder(&["token", "work"]), since.elapsed()));
                    }
                    asked
                })
            })
            .collect();
        // Joined whatever becomes of it: until then the askers go on.
        let drains = scope.spawn(|| {
            let drain = |round| {
                // The drain waits for what is in flight.
                provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": 700, "times": 1 }));
                std::thread::scope(|scope| {
                    let refresh = scope.spawn(|| session.larder(&["refresh", "work"]));
                    session.wait_for("the refresh", || provider.refreshes().len() == round);
                    session.stop_agent();
                    refresh.join().unwrap()
                })
            };
            (1..=4).map(drain).collect()
        });
        let refreshed = drains.join();
        done.store(true, Ordering::Relaxed);
        let asked = askers.into_iter().flat_map(|asker| asker.join().unwrap()).collect();
        (asked, refreshed.unwrap())
    });
    assert!(asked.len() >= 20, "{}", asked.len());
    let mut longest = Duration::ZERO;
    let mut refused = Vec::new();
    let count = asked.len();
    for (ran, took) in asked {
        longest = longest.max(took);
        if ran.code != 0 {
            refused.push((ran, took));
        }
    }
    assert!(refused.is_empty(), "of {count} asks {} were refused, such as {:?}", refused.len(), refused[0]);
    assert!(longest < MOST_WAIT, "{longest:?}");
    refreshed.into_iter().for_each(|ran| drop(ran.ok()));
    assert!(provider.refreshes().iter().all(|entry| entry["outcome"] == "tokens"));
    assert_eq!((provider.refreshes().len(), provider.live_sessions()), (4, 1));
    assert_eq!(provider.userinfo(&session.larder(&["token", "work"]).ok()).0, 200);
}
