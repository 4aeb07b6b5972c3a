//! The agent under load: many tokens on one connection, many clients, everybody at once when a token ends, and a start with
//! two hundred accounts and a real keychain.

use crate::figures::{Figure, Goal, Report, quantile};
use crate::peer::Peer;
use crate::processes::timed;
use crate::support::{Provider, Session, program};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tokens of a run on one connection, and how many are asked for before the first is read.
const TOKENS: usize = 20_000;
const AHEAD: usize = 64;

/// Runs that count.
const RUNS: usize = 5;

/// Clients at once; each asks so often, so long after its last answer.
const CLIENTS: usize = 100;
const ASKS: usize = 40;
const THINKS: Duration = Duration::from_millis(50);

/// Askers at once when a token ends; the provider takes this long to answer, so that all have asked by then.
const ASKERS: usize = 1000;
const DELAY: Duration = Duration::from_secs(5);

/// Commands at once, and how often.
const COMMANDS: usize = 100;
const ROUNDS: usize = 10;

/// Accounts whose tokens have all ended when the agent starts, and the lifetime of those.
const ACCOUNTS: usize = 200;
const LIFETIME: u32 = 40;

/// A connection that has said Hello.
struct Connection {
    stream: BufReader<UnixStream>,
    line: String,
}

impl Connection {
    fn new(session: &Session) -> Self {
        let stream = UnixStream::connect(session.profile().join("run/agent.sock")).expect("the agent listens");
        let mut connection = Self { stream: BufReader::new(stream), line: String::new() };
        connection.write(&json!({ "id": 1, "request": { "do": "hello", "protocol": 1, "build": "bench" } }));
        connection.read();
        connection
    }

    fn write(&mut self, ask: &Value) {
        self.write_all(&format!("{ask}\n"));
    }

    fn write_all(&mut self, lines: &str) {
        self.stream.get_mut().write_all(lines.as_bytes()).expect("it reads");
    }

    fn read(&mut self) -> &str {
        self.line.clear();
        assert_ne!(self.stream.read_line(&mut self.line).expect("an answer"), 0, "the agent went");
        assert!(!self.line.contains("\"problem\""), "{}", self.line);
        &self.line
    }

    fn ask(&mut self) {
        self.write(&token());
        self.read();
    }
}

fn token() -> Value {
    json!({ "id": 2, "request": { "do": "token", "account": "work" } })
}

/// Measures.
pub fn measure(report: &mut Report) {
    let session = Session::new();
    let provider = Provider::start(&session, 3600);
    session.add("work", &provider);
    session.sign_in("work", "ada");
    session.larder(&["token", "work"]).ok();
    one_connection(report, &session);
    many_clients(report, &session);
    many_commands(report, &session);
    everybody_at_expiry(report);
    many_accounts(report);
}

fn one_connection(report: &mut Report, session: &Session) {
    let mut connection = Connection::new(session);
    let asks = format!("{}\n", token()).repeat(AHEAD);
    let mut run = || {
        let began = Instant::now();
        for _ in 0..TOKENS / AHEAD {
            connection.write_all(&asks);
            (0..AHEAD).for_each(|_| {
                connection.read();
            });
        }
        began.elapsed().as_secs_f64() * 1e6 / (TOKENS / AHEAD * AHEAD) as f64
    };
    run();
    let samples = (0..RUNS).map(|_| run()).collect();
    // 20,000 a second.
    report.add(Figure::alone("a token on one connection, 64 asked ahead", "µs", samples, Goal::AtMost(50.0)));
}

fn many_clients(report: &mut Report, session: &Session) {
    let run = |thinks: Duration| -> Vec<f64> {
        let ready = Barrier::new(CLIENTS);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    let ready = &ready;
                    scope.spawn(move || {
                        let mut connection = Connection::new(session);
                        ready.wait();
                        // Not all at the same moment.
                        let share = u32::try_from(number).unwrap_or_default();
                        std::thread::sleep(thinks * share / u32::try_from(CLIENTS).unwrap_or(1));
                        let ask = |_| {
                            let began = Instant::now();
                            connection.ask();
                            let took = began.elapsed().as_secs_f64() * 1e3;
                            std::thread::sleep(thinks);
                            took
                        };
                        (0..ASKS).map(ask).collect::<Vec<_>>()
                    })
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().expect("a client")).collect()
        })
    };
    run(THINKS);
    let slowest = |thinks| (0..RUNS).map(|_| quantile(&run(thinks), 0.99)).collect();
    let paced = slowest(THINKS);
    report.add(Figure::alone(
        "100 clients that ask 20 times a second, 99th percentile",
        "ms",
        paced,
        Goal::AtMost(5.0),
    ));
    let rushed = slowest(Duration::ZERO);
    report.add(Figure::alone("100 clients that ask without a pause, 99th percentile", "ms", rushed, Goal::Told));
}

fn many_commands(report: &mut Report, session: &Session) {
    let peer = Peer::start(session);
    let all = |command: &dyn Fn() -> Command| {
        let began = Instant::now();
        let start = |_| command().stdout(Stdio::null()).spawn().expect("a process");
        for mut child in (0..COMMANDS).map(start).collect::<Vec<_>>() {
            assert!(child.wait().expect("it ends").success());
        }
        began.elapsed().as_secs_f64() * 1e3
    };
    let larder = || {
        let mut command = session.command(program("larder"));
        command.args(["token", "work"]);
        command
    };
    let oidc_token = || peer.token_command(session);
    all(&larder);
    all(&oidc_token);
    let (mut mine, mut others) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            mine.push(all(&larder));
            others.push(all(&oidc_token));
        } else {
            others.push(all(&oidc_token));
            mine.push(all(&larder));
        }
    }
    report.add(Figure {
        name: "100 commands at once, the last one's end",
        unit: "ms",
        samples: mine,
        peer: Some(("oidc-token", others)),
        goal: Goal::Ratio(1.2, 1.2),
    });
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs_f64() * 1e3
}

/// Waits until the tokens of all accounts have ended.
fn ended(session: &Session) {
    session.wait_for("the tokens' end", || {
        let database = rusqlite::Connection::open(session.profile().join("larder.db")).expect("a database");
        let last: f64 = database.query_row("SELECT max(expires_at) FROM account", [], |row| row.get(0)).expect("a row");
        now() > last
    });
}

fn everybody_at_expiry(report: &mut Report) {
    let mut late = Vec::new();
    for _ in 0..RUNS {
        let session = Session::new();
        let provider = Provider::start(&session, 1);
        session.add("work", &provider);
        session.sign_in("work", "ada");
        session.stop_agent();
        ended(&session);
        let refreshes = || provider.seen("/token").iter().filter(|seen| seen["grant_type"] == "refresh_token").count();
        let before = refreshes();
        provider.access_lifetime(600);
        let delay = u64::try_from(DELAY.as_millis()).unwrap_or_default();
        provider.behave(json!({ "endpoint": "token", "mode": "normal", "delay_ms": delay }));
        session.larder(&["accounts"]).ok();
        let mut asking: Vec<Connection> = (0..ASKERS).map(|_| Connection::new(&session)).collect();
        asking.iter_mut().for_each(|connection| connection.write(&token()));
        let tokens: Vec<String> = asking.iter_mut().map(|connection| connection.read().to_owned()).collect();
        let last = now();
        let given = |line: &String| {
            let line: Value = serde_json::from_str(line).expect("JSON");
            line["answer"]["access_token"].as_str().expect("a token").to_owned()
        };
        assert!(tokens.iter().all(|token| given(token) == given(&tokens[0])), "all get the new token");
        assert_eq!(refreshes() - before, 1, "exactly one token request");
        let seen = provider.seen("/token").pop().expect("the refresh");
        let answered = seen["at_ms"].as_f64().expect("when it came") + DELAY.as_secs_f64() * 1e3;
        late.push(last - answered);
    }
    report.add(Figure::alone(
        "1,000 asks at expiry: the last answer, after the provider's",
        "ms",
        late,
        Goal::AtMost(100.0),
    ));
}

fn many_accounts(report: &mut Report) {
    let session = Session::new();
    let provider = Provider::start(&session, 3600);
    session.add("work", &provider);
    provider.access_lifetime(LIFETIME);
    (0..ACCOUNTS).for_each(|number| {
        session.sign_in("work", &format!("user{number}"));
    });
    let (mut first, mut fresh) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        session.stop_agent();
        ended(&session);
        let mut command = session.command(program("larder"));
        command.arg("accounts");
        let began = Instant::now();
        first.push(timed(command).0);
        session.wait_for("all to be fresh", || {
            let all: Value = serde_json::from_str(&session.larder(&["accounts", "--json"]).ok()).expect("JSON");
            all.as_array().expect("a list").iter().all(|account| account["state"] == "fresh")
        });
        fresh.push(began.elapsed().as_secs_f64());
    }
    report.add(Figure::alone(
        "first answer of an agent that starts with 200 ended accounts",
        "ms",
        first,
        Goal::AtMost(300.0),
    ));
    report.add(Figure::alone("until all 200 are fresh", "s", fresh, Goal::AtMost(30.0)));
}
