//! The client against an agent that says what the test tells it to. Nothing here waits by the clock.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as its test does")]

mod support;

use larder_client::{Answer, BUILD, Client, Problem, Push, Request, Start, stop};
use std::fs;
use std::io::Write;
use std::thread;
use std::time::Duration;
use support::{Home, Peer};

const VIEW: &str = r#"{"is":"view","at":5,"accounts":[],"attempts":[],"providers":[],
    "keychain":{"kind":"Secret Service","state":"unasked"},"problems":[],"tray":"fresh","next_refresh":null}"#;
const EVENT: &str =
    r#"{"push":{"event":{"at":AT,"kind":"refreshed","account":null,"label":null,"program":null,"problem":null}}}"#;

fn event(at: i64) -> String {
    format!("{}\n", EVENT.replace("AT", &at.to_string()))
}

fn at(push: Result<Push, Problem>) -> i64 {
    match push {
        Ok(Push::Event(event)) => event.at.0,
        other => panic!("expected an event, got {other:?}"),
    }
}

/// A client, connected to an agent that then does `then`.
fn connected(home: &Home, then: impl FnOnce(Peer) + Send + 'static) -> (Client, thread::JoinHandle<()>) {
    let listener = home.listen();
    let agent = thread::spawn(move || then(Peer::greet(&listener, BUILD)));
    (Client::connect(&home.profile, Start::Never).unwrap(), agent)
}

#[test]
fn hello_says_who_answers() {
    let home = Home::new();
    let (client, agent) = connected(&home, |mut peer| peer.expect_end());
    assert_eq!((client.agent().build.as_str(), client.agent().profile.as_str(), client.agent().pid), (BUILD, "/p", 7));
    drop(client);
    agent.join().unwrap();
}

#[test]
fn another_protocol_is_refused() {
    let home = Home::new();
    let listener = home.listen();
    let agent = thread::spawn(move || {
        let mut peer = Peer::accept(&listener);
        peer.expect("hello");
        peer.answer(1, r#"{"is":"hello","protocol":2,"build":"9.0.0","profile":"/p","pid":7}"#);
    });
    let problem = Client::connect(&home.profile, Start::Never).unwrap_err();
    assert_eq!(problem, Problem::OtherProtocol { ours: 1, theirs: 2 });
    agent.join().unwrap();
}

#[test]
fn two_requests_get_their_two_answers() {
    let home = Home::new();
    let (mut client, agent) = connected(&home, |mut peer| {
        peer.expect("view");
        // In two parts, with a line end inside neither.
        let answer = VIEW.replace('\n', "");
        let (first, second) = answer.split_at(20);
        peer.say(&format!("{{\"id\":2,\"answer\":{first}"));
        peer.say(&format!("{second}}}\n"));
        assert!(peer.expect("token").contains(r#""account":"work","min_validity":60"#));
        peer.answer(3, r#"{"is":"token","access_token":"at-1","token_type":"Bearer","expires_at":9,"scope":"a b","account":"work"}"#);
    });
    assert!(matches!(client.ask(Request::View), Ok(Answer::View(view)) if view.at.0 == 5));
    let token = client.token("work", Some(60)).unwrap();
    assert_eq!((token.access_token.expose(), token.scope.as_str()), ("at-1", "a b"));
    assert!(!format!("{token:?}").contains("at-1"));
    agent.join().unwrap();
}

#[test]
fn the_agents_problem_is_the_callers() {
    let home = Home::new();
    let (mut client, agent) = connected(&home, |mut peer| {
        peer.expect("token");
        peer.say("{\"id\":2,\"problem\":{\"code\":\"no-such-account\",\"account\":\"wrok\"}}\n");
        peer.expect("unlock");
        peer.say("{\"id\":3,\"problem\":{\"code\":\"of-tomorrow\"}}\n");
    });
    assert_eq!(client.token("wrok", None), Err(Problem::NoSuchAccount { account: "wrok".to_owned() }));
    let problem = client.ask(Request::Unlock { passphrase: None }).unwrap_err();
    assert!(matches!(&problem, Problem::Internal { detail } if detail.contains("of-tomorrow")), "{problem:?}");
    agent.join().unwrap();
}

#[test]
fn pushes_between_answers_are_kept_in_order() {
    let home = Home::new();
    let (client, agent) = connected(&home, |mut peer| {
        peer.expect("subscribe");
        peer.say(&event(1));
        peer.answer(2, r#"{"is":"done"}"#);
        peer.say(&event(2));
        peer.expect("view");
        peer.say("{\"push\":{\"of-tomorrow\":{}}}\n");
        peer.say(&event(3));
        peer.answer(3, &VIEW.replace('\n', ""));
        peer.say(&event(4));
    });
    let mut pushes = client.subscribe().unwrap();
    assert!(matches!(pushes.ask(Request::View), Ok(Answer::View(_))));
    let four: Vec<i64> = pushes.by_ref().take(4).map(at).collect();
    assert_eq!(four, [1, 2, 3, 4]);
    agent.join().unwrap();
    assert!(matches!(pushes.next(), Some(Err(Problem::NoAgent { .. }))));
    assert!(pushes.next().is_none());
}

#[test]
fn an_agent_that_dies_in_between_is_no_agent() {
    let home = Home::new();
    let (mut client, agent) = connected(&home, |mut peer| {
        peer.expect("view");
        peer.say("{\"id\":2,\"ans");
    });
    assert!(matches!(client.ask(Request::View), Err(Problem::NoAgent { .. })));
    assert!(matches!(client.ask(Request::View), Err(Problem::NoAgent { .. })));
    agent.join().unwrap();
}

#[test]
fn a_late_answer_is_not_the_next_requests() {
    let home = Home::new();
    let (mut client, agent) = connected(&home, |mut peer| {
        peer.expect("refresh");
        peer.expect("token");
        peer.answer(2, r#"{"is":"done"}"#);
        peer.answer(3, r#"{"is":"token","access_token":"at-2","token_type":"Bearer","expires_at":null,"scope":"","account":"work"}"#);
    });
    client.set_timeout(Some(Duration::from_millis(1)));
    let problem = client.ask(Request::Refresh { account: "work".to_owned() }).unwrap_err();
    assert!(matches!(problem, Problem::NoAgent { .. }));
    client.set_timeout(None);
    assert_eq!(client.token("work", None).unwrap().access_token.expose(), "at-2");
    agent.join().unwrap();
}

#[test]
fn a_line_past_the_bound_is_not_read_to_its_end() {
    let home = Home::new();
    let (mut client, agent) = connected(&home, |mut peer| {
        peer.expect("view");
        let mebibyte = "x".repeat(1024 * 1024);
        (0..20).for_each(|_| peer.try_say(&mebibyte));
    });
    assert!(matches!(client.ask(Request::View), Err(Problem::Internal { .. })));
    drop(client);
    agent.join().unwrap();
}

#[test]
fn a_request_past_the_bound_is_not_sent() {
    let home = Home::new();
    let (mut client, agent) = connected(&home, |mut peer| {
        assert!(peer.expect("view").contains(r#""id":3"#));
        peer.answer(3, &VIEW.replace('\n', ""));
    });
    assert!(matches!(client.token(&"x".repeat(64 * 1024), None), Err(Problem::BadRequest { .. })));
    assert!(client.ask(Request::View).is_ok());
    agent.join().unwrap();
}

#[test]
fn without_an_agent_and_leave_to_start_one_there_is_no_agent() {
    let home = Home::new();
    assert!(matches!(Client::connect(&home.profile, Start::Never), Err(Problem::NoAgent { .. })));
    assert_eq!(stop(&home.profile), Ok(false));
    // What a killed agent leaves behind.
    drop(home.listen());
    assert!(matches!(Client::connect(&home.profile, Start::Never), Err(Problem::NoAgent { .. })));
    assert_eq!(stop(&home.profile), Ok(false));
}

#[test]
fn an_agent_that_is_not_there_is_named() {
    let home = Home::new();
    let problem = Client::connect(&home.profile, Start::This("/nowhere/larder-agent".into())).unwrap_err();
    assert!(matches!(&problem, Problem::NoAgent { detail, .. } if detail.contains("/nowhere/larder-agent")));
}

#[test]
fn why_an_agent_could_not_start_is_the_problem() {
    let home = Home::new();
    fs::create_dir_all(&home.profile.run).unwrap();
    fs::write(home.profile.log(), "{\"problem\":{\"code\":\"keychain-locked\"}}\n").unwrap();
    let agent = home.program(
        r#"echo "to the side"
echo "starting" >&2
echo '{"problem":{"code":"newer-schema","file":"larder.db","found":9,"known":1}}' >&2
exit 9"#,
    );
    let problem = Client::connect(&home.profile, Start::This(agent)).unwrap_err();
    assert_eq!(problem, Problem::NewerSchema { file: "larder.db".to_owned(), found: 9, known: 1 });
    // Of an agent that says nothing, an earlier one's words are not the reason.
    let silent = home.program("exit 3");
    let problem = Client::connect(&home.profile, Start::This(silent)).unwrap_err();
    assert!(matches!(&problem, Problem::NoAgent { detail, .. } if detail.contains("exit status: 3")), "{problem:?}");
}

#[test]
fn the_agent_is_started_for_this_profile_in_folders_of_ones_own() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let agent =
        home.program(r#"echo "{\"problem\":{\"code\":\"internal\",\"detail\":\"$LARDER_HOME $PWD\"}}" >&2; exit 1"#);
    let problem = Client::connect(&home.profile, Start::This(agent)).unwrap_err();
    let detail = format!("{} /", home.profile.data.display());
    assert_eq!(problem, Problem::Internal { detail });
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(home.profile.run.clone()), mode(home.profile.log())), (0o700, 0o600));
}

#[test]
fn of_two_clients_that_start_at_once_both_get_the_one_agent() {
    let home = Home::new();
    let (ready, end) = (home.fifo("ready"), home.fifo("end"));
    // The lock is a folder, as only one can make it; who comes second says so and goes.
    let program = home.program(&format!(
        r#"if mkdir "$LARDER_HOME/lock" 2>/dev/null; then echo > "{}"; read -r _ < "{}"
else echo '{{"problem":{{"code":"already-running","path":"p"}}}}' >&2; exit 1; fi"#,
        ready.display(),
        end.display()
    ));
    thread::scope(|scope| {
        let clients =
            [(); 2].map(|()| scope.spawn(|| Client::connect(&home.profile, Start::This(program.clone())).unwrap()));
        fs::read(&ready).unwrap();
        let listener = home.listen();
        let peers = [Peer::greet(&listener, BUILD), Peer::greet(&listener, BUILD)];
        for client in clients {
            assert_eq!(client.join().unwrap().agent().pid, 7);
        }
        drop(peers);
    });
    fs::OpenOptions::new().write(true).open(end).unwrap().write_all(b"\n").unwrap();
}

#[test]
fn an_older_agent_makes_way_once() {
    let home = Home::new();
    let ready = home.fifo("ready");
    let program = home.program(&format!("echo > \"{}\"", ready.display()));
    let old = home.listen();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer::greet(&old, "0.0.1");
            peer.expect("drain");
            fs::remove_file(home.profile.socket().unwrap()).unwrap();
            peer.answer(2, r#"{"is":"done"}"#);
            drop(peer);
            fs::read(&ready).unwrap();
            // Still an older one, for whatever reason: it is taken as it is.
            let new = home.listen();
            let mut peer = Peer::greet(&new, "0.0.2");
            peer.expect_end();
        });
        let client = Client::connect(&home.profile, Start::This(program)).unwrap();
        assert_eq!(client.agent().build, "0.0.2");
    });
}

#[test]
fn an_older_agent_that_has_a_reason_to_stay_is_used_as_it_is() {
    let home = Home::new();
    let listener = home.listen();
    let agent = thread::spawn(move || {
        let mut peer = Peer::greet(&listener, "0.0.1");
        peer.expect("drain");
        peer.say("{\"id\":2,\"problem\":{\"code\":\"not-yet\",\"account\":\"work\"}}\n");
        peer.expect_end();
    });
    let client = Client::connect(&home.profile, Start::This("/nowhere".into())).unwrap();
    assert_eq!(client.agent().build, "0.0.1");
    drop(client);
    agent.join().unwrap();
}

#[test]
fn a_client_that_may_not_start_one_leaves_an_older_agent_alone() {
    let home = Home::new();
    let listener = home.listen();
    let agent = thread::spawn(move || Peer::greet(&listener, "0.0.1").expect_end());
    drop(Client::connect(&home.profile, Start::Never).unwrap());
    agent.join().unwrap();
}

#[test]
fn stopping_waits_until_the_agent_has_gone() {
    let home = Home::new();
    let listener = home.listen();
    let agent = thread::spawn(move || {
        let mut peer = Peer::greet(&listener, BUILD);
        peer.expect("drain");
        peer.answer(2, r#"{"is":"done"}"#);
        peer.say(&event(1));
    });
    assert_eq!(stop(&home.profile), Ok(true));
    agent.join().unwrap();
}
