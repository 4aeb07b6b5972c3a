//! Which of two builds is older.

/// Whether version `theirs` is older than `ours`, by major, minor and patch (semver.org, section 11).
/// What cannot be read as a version is not older: no agent is stopped on a guess.
pub(crate) fn older(theirs: &str, ours: &str) -> bool {
    matches!((triple(theirs), triple(ours)), (Some(theirs), Some(ours)) if theirs < ours)
}

fn triple(version: &str) -> Option<[u64; 3]> {
    // A pre-release or build mark may stand behind; it does not count here.
    let core = version.split(['-', '+']).next()?;
    let mut parts = core.split('.').map(|part| part.parse::<u64>().ok());
    let triple = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(triple)
}

#[cfg(test)]
mod tests {
    use super::older;

    #[test]
    fn versions_compare_by_number_not_by_letter() {
        assert!(older("0.9.0", "0.10.0"));
        assert!(older("0.1.9", "0.1.10"));
        assert!(older("1.2.3", "2.0.0"));
        assert!(!older("0.10.0", "0.9.0"));
    }

    #[test]
    fn the_same_version_is_not_older() {
        assert!(!older("0.1.0", "0.1.0"));
        assert!(!older("0.1.0-rc.1", "0.1.0"));
        assert!(!older("0.1.0+abc", "0.1.0"));
    }

    #[test]
    fn what_is_no_version_is_not_older() {
        for text in ["", "dev", "0.1", "0.1.0.0", "0.x.0", "-1.0.0"] {
            assert!(!older(text, "9.9.9"), "{text}");
            assert!(!older("0.0.1", text), "{text}");
        }
    }
}
