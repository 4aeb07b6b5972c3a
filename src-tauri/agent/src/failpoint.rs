//! Crash points: each effect passes two of them, before and after it is performed. The list writes itself.

/// In a debug build, ends the process at the point named by `LARDER_FAIL_AT`, as `kill -9` would; and writes each point that is
/// passed to the file named by `LARDER_FAIL_POINTS`, a line each. A point that is passed again has `#2` after its name, and so on.
pub fn pass(effect: &str, side: &str) {
    #[cfg(debug_assertions)]
    for_tests::pass(&format!("{effect}.{side}"));
    let _ = (effect, side);
}

#[cfg(debug_assertions)]
mod for_tests {
    use std::collections::HashMap;
    use std::io::Write;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static PASSED: LazyLock<Mutex<HashMap<String, u32>>> = LazyLock::new(Mutex::default);

    pub fn pass(point: &str) {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        let times = passed.entry(point.to_owned()).and_modify(|times| *times += 1).or_insert(1);
        let point = if *times == 1 { point.to_owned() } else { format!("{point}#{times}") };
        if let Some(file) = std::env::var_os("LARDER_FAIL_POINTS")
            && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(file)
        {
            // In one write, so that lines do not mix. Whoever reads the list sees what is missing.
            let _ = file.write_all(format!("{point}\n").as_bytes());
        }
        if std::env::var("LARDER_FAIL_AT").is_ok_and(|at| at == point) {
            tracing::warn!("ending at the failpoint {point}");
            std::process::abort();
        }
    }
}
