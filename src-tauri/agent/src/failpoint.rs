//! Crash points: each effect passes two of them, before and after it is performed. The list writes itself.

/// In a debug build, ends the process at the point named by `LARDER_FAIL_AT`, as `kill -9` would.
pub fn pass(effect: &str, side: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("LARDER_FAIL_AT").is_ok_and(|at| at.split_once('.') == Some((effect, side))) {
        tracing::warn!("ending at the failpoint {effect}.{side}");
        std::process::abort();
    }
    let _ = (effect, side);
}
