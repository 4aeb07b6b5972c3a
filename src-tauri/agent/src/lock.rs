//! The lock outlives the agent: a file beside the databases says how it stands. What cannot be read counts as sealed.

use larder_core::problem::Problem;
use larder_core::view::LockState;
use std::path::Path;

const LOCKED: &str = "locked\n";
const SEALED: &str = "sealed\n";

/// How an earlier run left it. No file is no lock.
pub fn read(path: &Path) -> LockState {
    match crate::folders::read_text(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => LockState::Unlocked,
        Ok(text) if text == LOCKED => LockState::Locked,
        _ => LockState::Sealed,
    }
}

/// Remembers it for the next run.
///
/// # Errors
/// [`Problem::LockNotKept`].
pub fn write(path: &Path, state: LockState) -> Result<(), Problem> {
    let written = match state {
        LockState::Unlocked => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::folders::cannot_write(path, &error))
            }
            _ => Ok(()),
        },
        LockState::Locked => crate::folders::replace(path, LOCKED),
        LockState::Sealed => crate::folders::replace(path, SEALED),
    };
    written.map_err(|problem| match problem {
        Problem::NotWritten { file, detail } => Problem::LockNotKept { file, detail },
        problem => problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_run_knows_and_what_cannot_be_read_is_sealed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(read(&path), LockState::Unlocked);
        for state in [LockState::Locked, LockState::Sealed, LockState::Unlocked] {
            write(&path, state).unwrap();
            assert_eq!(read(&path), state);
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(read(&path), LockState::Sealed);
    }

    #[test]
    fn what_cannot_be_kept_is_said_and_nothing_half_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        // A folder of its name is in the way of the file.
        std::fs::create_dir(&path).unwrap();
        assert!(matches!(write(&path, LockState::Locked), Err(Problem::LockNotKept { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
