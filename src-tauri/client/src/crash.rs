//! What a program of Larder's leaves behind where it breaks off: the place in the source, and nothing of what was in memory.
//!
//! The agent looks at the executable of who asks, which the system shows of no process that is not dumpable; so these
//! programs only see to it that a dump of them is empty.

use std::io::Write;
#[cfg(unix)]
use std::sync::OnceLock;

/// Which kinds of memory a dump holds (core(5)); whoever this process starts inherits it.
#[cfg(target_os = "linux")]
const FILTER: &str = "/proc/self/coredump_filter";

/// How it was before.
#[cfg(unix)]
#[derive(Debug)]
struct Before {
    limit: Option<u64>,
    filter: Option<String>,
}

#[cfg(unix)]
static BEFORE: OnceLock<Before> = OnceLock::new();

/// From now on neither a dump nor the words of a panic hold a token or a redirect's code. Called before there are threads.
pub fn leave_nothing() {
    // The words of a panic may quote what was looked at.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "larder: a mistake in Larder ended this at {place}");
    }));
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Core).current;
        BEFORE.get_or_init(|| Before { limit, filter: filter() });
        set_limit(Some(0));
        // A dump that is piped to a program does not heed the limit.
        set_filter("0");
    }
}

/// Undoes it for a program that this process becomes: dumps of that one are its own affair.
pub fn as_before() {
    #[cfg(unix)]
    if let Some(before) = BEFORE.get() {
        set_limit(before.limit);
        before.filter.as_deref().into_iter().for_each(set_filter);
    }
}

/// The upper limit stays, so that it can be undone. A system that refuses has none to undo.
#[cfg(unix)]
fn set_limit(current: Option<u64>) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    let _ = setrlimit(Resource::Core, Rlimit { current, maximum });
}

#[cfg(target_os = "linux")]
fn filter() -> Option<String> {
    // The kernel says it in hexadecimal digits without their prefix, and reads it with one.
    std::fs::read_to_string(FILTER).ok().map(|text| format!("0x{}", text.trim()))
}

#[cfg(target_os = "linux")]
fn set_filter(filter: &str) {
    // A kernel without dumps has no such file.
    let _ = std::fs::write(FILTER, filter);
}

#[cfg(all(unix, not(target_os = "linux")))]
fn filter() -> Option<String> {
    None
}

#[cfg(all(unix, not(target_os = "linux")))]
fn set_filter(_filter: &str) {}
