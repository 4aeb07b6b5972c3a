//! What the system counts of a process.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A process's memory, in MB of 10⁶ bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Its own pages, and its share of those that others have too.
    pub pss: f64,
    /// Pages that no file stands behind.
    pub anonymous: f64,
}

/// What one thread has used so far.
#[derive(Clone, Debug, Default)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// How often it went to sleep, which is how often it was woken.
    pub sleeps: u64,
    /// How long it ran.
    pub ran: Duration,
}

/// What a process did while it was watched.
#[derive(Clone, Debug, Default)]
pub struct Activity {
    /// How often one of its threads was woken.
    pub wakes: u64,
    /// How long it ran.
    pub ran: Duration,
    /// Who was woken, how often.
    pub who: String,
}

/// The memory that a process has now. An agent is not dumpable, so that only root may ask.
pub fn memory(pid: i32) -> Memory {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error} (the bench runs as root)"));
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a field of smaps_rollup");
        let kibibytes: f64 = line.trim_matches([':', ' ', 'k', 'B']).parse().expect("a number");
        kibibytes * 1024.0 / 1e6
    };
    Memory { pss: field("Pss:"), anonymous: field("Anonymous:") }
}

/// The memory of several processes together.
pub fn memory_of(pids: &[i32]) -> Memory {
    let each = pids.iter().map(|pid| memory(*pid));
    each.fold(Memory::default(), |sum, each| Memory {
        pss: sum.pss + each.pss,
        anonymous: sum.anonymous + each.anonymous,
    })
}

fn threads(pid: i32) -> BTreeMap<String, Thread> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process runs");
    let read = |path: &Path, file: &str| fs::read_to_string(path.join(file));
    let mut threads = BTreeMap::new();
    for path in tasks.filter_map(Result::ok).map(|task| task.path()) {
        // It may end while it is looked at.
        let (Ok(name), Ok(status), Ok(ran)) = (read(&path, "comm"), read(&path, "status"), read(&path, "schedstat"))
        else {
            continue;
        };
        let sleeps = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        let thread = Thread {
            name: name.trim().to_owned(),
            sleeps: sleeps.and_then(|count| count.trim().parse().ok()).expect("a count"),
            ran: Duration::from_nanos(ran.split(' ').next().and_then(|time| time.parse().ok()).expect("a time")),
        };
        threads.insert(path.display().to_string(), thread);
    }
    threads
}

/// What a process does in this time. A thread that both begins and ends within it is not seen.
pub fn watch(pid: i32, time: Duration) -> Activity {
    let before = threads(pid);
    std::thread::sleep(time);
    let mut activity = Activity::default();
    let mut who = Vec::new();
    for (task, after) in threads(pid) {
        let before = before.get(&task).cloned().unwrap_or_default();
        let wakes = after.sleeps - before.sleeps;
        activity.wakes += wakes;
        activity.ran += after.ran.saturating_sub(before.ran);
        if wakes > 0 {
            who.push(format!("{} {wakes}", after.name));
        }
    }
    activity.who = if who.is_empty() { "nobody".to_owned() } else { who.join(", ") };
    activity
}

/// How long a command takes as a whole process, in milliseconds, and what it printed. It must succeed.
pub fn timed(mut command: Command) -> (f64, String) {
    let began = Instant::now();
    let output = command.output();
    let took = began.elapsed();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    (took.as_secs_f64() * 1000.0, String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// How many instructions a command takes outside the kernel, by valgrind's count. `None` where there is no valgrind.
pub fn instructions(command: &Command) -> Option<f64> {
    let mut counted = Command::new("valgrind");
    counted.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(command.get_program());
    counted.args(command.get_args()).env_clear();
    counted.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = counted.output().ok()?;
    assert!(output.status.success(), "{counted:?}: {}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let count = said.lines().find_map(|line| line.split_once("Collected :")).expect("valgrind counts");
    Some(count.1.trim().parse().expect("a number"))
}
