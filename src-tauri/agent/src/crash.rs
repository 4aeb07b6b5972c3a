//! What the agent leaves behind where it breaks off: the place in the source, and nothing of what was in memory.

/// From now on neither a dump nor the words of a panic hold keys and tokens. Called before there are threads.
pub fn leave_nothing() {
    // The words of a panic may quote what was looked at.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!("a mistake in Larder ended this at {place}");
    }));
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // A dump that is piped to a program does not heed the limit.
    #[cfg(target_os = "linux")]
    let limited = limited.and(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if limited.is_err() {
        tracing::warn!("core dumps cannot be turned off");
    }
}
