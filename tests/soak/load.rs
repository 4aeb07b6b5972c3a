//! A day in an hour: 200 accounts whose tokens live 150 s, where most live an hour; 50 programs that ask for them; and a
//! provider that fails at random a third of the time. It may go on for as long as it likes: memory, descriptors, threads and
//! files stay what they were, and no token that was handed out is refused before its promised end.
//!
//! `LARDER_SOAK_LOAD` is its length in seconds. What was sampled is drawn to target/load.svg.

#[path = "../bench/processes.rs"]
mod processes;

use crate::support::{Child, Provider, Session, program, support};
use processes::memory;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Seconds, where nothing else is asked for.
const LENGTH: u64 = 60 * 60;

/// A 24th of the usual hour, in seconds.
const LIFETIME: u32 = 150;

const ACCOUNTS: usize = 200;
const PROGRAMS: usize = 50;

/// Each program asks for so many of them.
const ASKED_BY_ONE: usize = 8;

/// Samples of a run, at most one a second.
const SAMPLES: u32 = 360;

/// As long as the longest wait between two tries at this length of failures, and a margin: then all tokens are fresh again.
const SETTLING: Duration = Duration::from_secs(300);

/// Looks at the descriptors before anybody asks, one a second.
const LOOKS: u32 = 15;

/// Caches fill in the first quarter of an hour; a shorter run only tells what memory it saw.
const FLAT_FROM: Duration = Duration::from_secs(50 * 60);

/// The last quarter's median is at most so much of the second's, or so many MB more, and more for each new thread: a thread for
/// what blocks stays while there is work, and the allocator gives it a pool of its own, of which there are eight a processor.
const MEMORY_PART: f64 = 1.05;
const MEMORY_MORE: f64 = 1.0;
const MEMORY_OF_A_THREAD: f64 = 0.8;

/// Threads at any time: two that serve, the keychain's, and as many as ever blocked at the same moment.
const THREADS_MOST: usize = 32;

/// The databases with their WALs, in bytes, after an hour: some 25,000 refreshes and 60,000 tokens handed out.
const DATABASE_MOST: u64 = 8 << 20;
const AUDIT_MOST: u64 = 32 << 20;

/// Token requests, at most, as a part of the lives that accounts have in the time: a third of the time the provider fails.
const REQUESTS_PART: f64 = 1.6;

/// What the provider does wrong, and for how many milliseconds at a time.
const FAILURES: [(&str, u64); 7] = [
    ("down", 12_000),
    ("rate_limited", 10_000),
    ("html", 8_000),
    ("cut", 8_000),
    ("lost_answer", 8_000),
    ("normal", 10_000),
    ("hang", 4_000),
];

/// One look at the agent.
struct Sample {
    seconds: f64,
    pss: f64,
    anonymous: f64,
    descriptors: usize,
    threads: usize,
    database: u64,
    audit: u64,
}

#[test]
fn a_day_in_an_hour_costs_nothing_that_stays_and_no_token_is_refused() {
    let length =
        std::env::var("LARDER_SOAK_LOAD").map_or(LENGTH, |text| text.parse().expect("LARDER_SOAK_LOAD: seconds"));
    let length = Duration::from_secs(length);
    let session = Session::new();
    let provider = Provider::start(&session, LIFETIME);
    // A client whose answer was lost may come again with the token that it has, as at Auth0 and Okta.
    provider.expire(json!({ "reuse_leeway": 86_400 }));
    session.add("work", &provider);
    (0..ACCOUNTS).for_each(|number| {
        session.sign_in("work", &format!("user{number}"));
    });
    let accounts: Value = serde_json::from_str(&session.larder(&["accounts", "--json"]).ok()).expect("JSON");
    let accounts = accounts.as_array().expect("a list").clone();
    assert_eq!(accounts.len(), ACCOUNTS);
    let pid = session.agent_pid();
    let idle = descriptors_at_most(pid);
    println!("{ACCOUNTS} accounts are signed in; the agent has at most {idle} descriptors while nobody asks");

    let programs: Vec<_> = (0..PROGRAMS).map(|number| asking(&session, &provider, &accounts, number)).collect();
    let (stop, stopped) = channel::<()>();
    let (samples, outages, requests) = std::thread::scope(|scope| {
        let outages = scope.spawn(|| fail_at_random(&provider, stopped));
        let mut requests = Requests::default();
        let samples = sample(&session, &provider, pid, length, &mut requests);
        drop(stop);
        (samples, outages.join().expect("the failures"), requests)
    });
    let told: Vec<Value> = programs.into_iter().map(tell).collect();

    let svg = draw(&samples);
    let sum = |name: &str| told.iter().map(|told| told[name].as_u64().expect("a number")).sum::<u64>();
    let (tokens, late) = (sum("tokens"), sum("tried_late"));
    let refused: Vec<_> = told.iter().flat_map(|told| told["refused"].as_array().expect("a list")).collect();
    let mut problems = BTreeMap::<&str, u64>::new();
    for (code, count) in told.iter().flat_map(|told| told["problems"].as_object().expect("an object")) {
        *problems.entry(code).or_default() += count.as_u64().expect("a number");
    }
    let slowest = told.iter().filter_map(|told| told["slowest"].as_f64()).fold(0.0, f64::max);
    println!(
        "{tokens} tokens handed out and tried at once, {late} tried again in their last seconds: {} refused",
        refused.len()
    );
    println!(
        "not answered with a token: {problems:?}; the slowest answer took {slowest:.1} s; {} connections opened anew",
        sum("anew")
    );
    println!("the provider's failures: {outages:?}; it got {requests:?}");
    assert!(refused.is_empty(), "{refused:?}");
    let passing = ["unreachable", "provider-trouble", "rate-limited", "not-yet", "exit 4"];
    assert!(problems.keys().all(|code| passing.contains(code)), "only what passes: {problems:?}");

    // The failures are over: nobody has lost a session.
    let until = Instant::now() + SETTLING;
    let mut others = Vec::new();
    while Instant::now() < until {
        let accounts: Value = serde_json::from_str(&session.larder(&["accounts", "--json"]).ok()).expect("JSON");
        let accounts = accounts.as_array().expect("a list").clone();
        others = accounts.into_iter().filter(|account| account["state"] != "fresh").collect();
        if others.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    assert!(others.is_empty(), "not fresh: {others:?}");
    assert_eq!(provider.live_sessions(), ACCOUNTS);
    assert_eq!(session.agent_pid(), pid, "the agent is the one that began");

    // With tokens that live long the agent is idle again, and its idle connections to the provider close.
    provider.access_lifetime(24 * 60 * 60);
    let until = Instant::now() + SETTLING;
    let mut after = entries(pid, "fd");
    while after > idle && Instant::now() < until {
        std::thread::sleep(Duration::from_secs(1));
        after = entries(pid, "fd");
    }
    let quarter = |number: usize| &samples[samples.len() * number / 4..samples.len() * (number + 1) / 4];
    let (second, last) = (quarter(1), quarter(3));
    let change = |of: fn(&Sample) -> f64| (median(second, of), median(last, of));
    let (pss, anonymous) = (change(|sample| sample.pss), change(|sample| sample.anonymous));
    let (open, threads) = (change(|sample| sample.descriptors as f64), change(|sample| sample.threads as f64));
    let end = samples.last().expect("a sample");
    println!(
        "medians of the second and of the last quarter: PSS {pss:.2?} MB, anonymous {anonymous:.2?} MB, descriptors {open:?}, threads {threads:?}"
    );
    println!("larder.db {} kB, audit.db {} kB, with their WALs", end.database / 1000, end.audit / 1000);
    println!("descriptors while nobody asks: {idle} before, {after} after; {}", svg.display());
    let judged = if length >= FLAT_FROM { vec![("PSS", pss), ("anonymous", anonymous)] } else { Vec::new() };
    let more = MEMORY_MORE + MEMORY_OF_A_THREAD * (threads.1 - threads.0).max(0.0);
    for (name, (second, last)) in judged {
        let most = (second * MEMORY_PART).max(second + more);
        assert!(last <= most, "{name} grows: {second:.2} MB, then {last:.2} MB");
    }
    assert!(after <= idle, "descriptors: {idle} before, {after} after: {:#?}", descriptors(pid));
    assert!(open.1 <= open.0 + 2.0, "descriptors: {open:?}");
    let most = samples.iter().map(|sample| sample.threads).max().unwrap_or_default();
    assert!(most <= THREADS_MOST, "{most} threads");
    assert!(end.database < DATABASE_MOST && end.audit < AUDIT_MOST, "files grow: {} and {}", end.database, end.audit);
    let lives = ACCOUNTS as f64 * (length.as_secs_f64() / (f64::from(LIFETIME) * 0.75) + 1.0);
    assert!(
        (requests.refreshes as f64) < lives * REQUESTS_PART,
        "{} refreshes in {lives:.0} lives",
        requests.refreshes
    );
}

/// Every other one keeps a connection; the others run the command.
fn asking(session: &Session, provider: &Provider, accounts: &[Value], number: usize) -> std::process::Child {
    let how = if number.is_multiple_of(2) { "connection" } else { "command" };
    let asked = (0..ASKED_BY_ONE).map(|place| &accounts[(number * ASKED_BY_ONE / 2 + place) % accounts.len()]);
    let asked: serde_json::Map<_, _> =
        asked.map(|account| (account["id"].as_str().expect("an id").to_owned(), account["email"].clone())).collect();
    let mut command = session.command(support("asking-program"));
    command.arg(how).arg(program("larder")).arg(session.profile().join("run/agent.sock"));
    command.arg(format!("{}/userinfo", provider.issuer)).arg(number.to_string());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("tests/support/asking-program");
    writeln!(child.stdin.as_mut().expect("piped"), "{}", Value::Object(asked)).expect("it reads");
    child
}

/// What it counted. It ends when its stdin does.
fn tell(mut program: std::process::Child) -> Value {
    drop(program.stdin.take());
    let mut text = String::new();
    program.stdout.take().expect("piped").read_to_string(&mut text).expect("it tells");
    let status = Child(program).0.wait().expect("it ends");
    assert!(status.success(), "{status}");
    serde_json::from_str(&text).expect("JSON")
}

/// Lets the provider fail, then work, until it is told to stop. How often it failed in which way.
fn fail_at_random(provider: &Provider, stop: Receiver<()>) -> BTreeMap<&'static str, u32> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = move |end: u64| {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    };
    let mut failed = BTreeMap::new();
    let works = json!({ "endpoint": "token", "mode": "normal" });
    let goes_on = |wait: u64| matches!(stop.recv_timeout(Duration::from_millis(wait)), Err(RecvTimeoutError::Timeout));
    while goes_on(4_000 + below(16_000)) {
        let (mode, most) = FAILURES[usize::try_from(below(FAILURES.len() as u64)).expect("small")];
        *failed.entry(if mode == "normal" { "slow" } else { mode }).or_default() += 1;
        let mut failure = json!({ "endpoint": "token", "mode": mode });
        match mode {
            "normal" => failure["delay_ms"] = json!(1_000 + below(6_000)),
            "rate_limited" => failure["retry_after"] = json!(5 + below(15)),
            "down" if below(2) == 0 => failure["retry_after"] = json!(3 + below(5)),
            _ => {}
        }
        provider.behave(failure);
        // The keys that ID tokens are checked with are out of reach too, now and then.
        let keys = if below(2) == 0 { "down" } else { "normal" };
        provider.behave(json!({ "endpoint": "jwks", "mode": keys }));
        let more = goes_on(most / 4 + below(most * 3 / 4));
        provider.behave(works.clone());
        provider.behave(json!({ "endpoint": "jwks", "mode": "normal" }));
        if !more {
            break;
        }
    }
    failed
}

/// What the provider saw so far. Its own log forgets.
#[derive(Debug, Default)]
struct Requests {
    last: u64,
    refreshes: u64,
    given: u64,
    missed: u64,
    other: BTreeMap<String, u64>,
}

impl Requests {
    fn count(&mut self, provider: &Provider) {
        for seen in provider.log() {
            let number = seen["seq"].as_u64().expect("a number");
            if number <= self.last {
                continue;
            }
            self.missed += number - self.last - 1;
            self.last = number;
            if seen["grant_type"] == "refresh_token" {
                self.refreshes += 1;
                self.given += u64::from(seen["outcome"] == "tokens");
            } else {
                *self.other.entry(seen["path"].as_str().expect("a path").to_owned()).or_default() += 1;
            }
        }
    }
}

fn sample(session: &Session, provider: &Provider, pid: i32, length: Duration, requests: &mut Requests) -> Vec<Sample> {
    let every = (length / SAMPLES).max(Duration::from_secs(1));
    requests.count(provider);
    *requests = Requests { last: requests.last, ..Requests::default() };
    let (began, mut samples, mut counted) = (Instant::now(), Vec::new(), Instant::now());
    while began.elapsed() < length {
        std::thread::sleep(every);
        let memory = memory(pid);
        let size = |name: &str| {
            let of = |end: &str| session.profile().join(format!("{name}{end}")).metadata().map_or(0, |file| file.len());
            of("") + of("-wal")
        };
        samples.push(Sample {
            seconds: began.elapsed().as_secs_f64(),
            pss: memory.pss,
            anonymous: memory.anonymous,
            descriptors: entries(pid, "fd"),
            threads: entries(pid, "task"),
            database: size("larder.db"),
            audit: size("audit.db"),
        });
        // Long before the log is full.
        if counted.elapsed() > Duration::from_secs(60) {
            counted = Instant::now();
            requests.count(provider);
            let last = samples.last().expect("one");
            println!(
                "{:.0} s: PSS {:.1} MB, {} descriptors, {} threads, {} refreshes",
                last.seconds, last.pss, last.descriptors, last.threads, requests.refreshes
            );
        }
    }
    requests.count(provider);
    samples
}

fn entries(pid: i32, of: &str) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/{of}")).expect("the agent runs; the soak runs as root").count()
}

/// Connections to the provider come and go: the most of some looks.
fn descriptors_at_most(pid: i32) -> usize {
    let looks = (0..LOOKS).map(|_| {
        std::thread::sleep(Duration::from_secs(1));
        entries(pid, "fd")
    });
    looks.max().expect("looks")
}

/// What each is, for whoever reads of a leak.
fn descriptors(pid: i32) -> Vec<String> {
    let all = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("the agent runs").filter_map(Result::ok);
    let mut all: Vec<_> = all.filter_map(|entry| Some(entry.path().read_link().ok()?.display().to_string())).collect();
    all.sort();
    all
}

fn median(samples: &[Sample], of: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Draws what was sampled.
fn draw(samples: &[Sample]) -> std::path::PathBuf {
    const PLOT: &str = "set terminal svg size 720,360 background 'white'; set output 'load.svg'; set xlabel 'minutes'; \
      set ylabel 'MB'; set y2label 'descriptors'; set yrange [0:*]; set y2range [0:*]; set y2tics; set ytics nomirror; \
      set key bottom right; set grid; plot 'load.dat' using ($1/60):2 with lines title 'memory (PSS)', \
      '' using ($1/60):3 with lines title 'of it anonymous', '' using ($1/60):4 axes x1y2 with lines title 'descriptors'";
    let own = std::env::current_exe().expect("the test's own path");
    let target = own.ancestors().nth(3).expect("target/PROFILE/deps/TEST");
    let mut table = String::new();
    for Sample { seconds, pss, anonymous, descriptors, threads, database, audit } in samples {
        writeln!(table, "{seconds:.0} {pss:.3} {anonymous:.3} {descriptors} {threads} {database} {audit}")
            .expect("text");
    }
    std::fs::write(target.join("load.dat"), table).expect("target/load.dat");
    let drawn = Command::new("gnuplot").args(["-e", PLOT]).current_dir(target).status();
    assert!(drawn.is_ok_and(|status| status.success()), "gnuplot: `.ci/packages bench`");
    Path::new(target).join("load.svg")
}
