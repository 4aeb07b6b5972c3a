//! The profile's folders: private, ours, and no detour.

use larder_core::problem::Problem;
use larder_core::profile::Profile;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes every folder of the profile, 0700 whatever the umask, and refuses one that is a symlink or somebody else's.
///
/// # Errors
/// [`Problem::UnsafePath`], [`Problem::NotWritten`].
pub fn prepare(profile: &Profile) -> Result<(), Problem> {
    profile.folders().into_iter().try_for_each(prepare_one)
}

fn prepare_one(folder: &Path) -> Result<(), Problem> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| cannot_write(folder, &error))?;
    let found = fs::symlink_metadata(folder).map_err(|error| cannot_write(folder, &error))?;
    let refuse =
        |detail: &str| Err(Problem::UnsafePath { path: folder.display().to_string(), detail: detail.to_owned() });
    if found.file_type().is_symlink() {
        return refuse("it is a symbolic link");
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        return refuse("it belongs to somebody else");
    }
    if found.mode() & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(|error| cannot_write(folder, &error))?;
    }
    Ok(())
}

/// Opens a file of the profile for writing, 0600 whatever the umask; makes it where it is missing. A symlink is refused.
///
/// # Errors
/// As the system says.
pub fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default())
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Replaces a configuration file as a whole: [`replace_bytes`].
///
/// # Errors
/// [`Problem::NotWritten`].
pub fn replace(path: &Path, text: &str) -> Result<(), Problem> {
    replace_bytes(path, text.as_bytes())
}

/// Replaces a file of the profile as a whole: written beside it, on the disk, then renamed.
///
/// # Errors
/// [`Problem::NotWritten`].
pub fn replace_bytes(path: &Path, content: &[u8]) -> Result<(), Problem> {
    let beside = path.with_extension("new");
    let write = |beside: &Path| -> io::Result<()> {
        let mut file = private_file(beside)?;
        file.set_len(0)?;
        io::Write::write_all(&mut file, content)?;
        file.sync_all()?;
        fs::rename(beside, path)?;
        // The rename itself is on the disk only when the folder is.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    write(&beside).map_err(|error| {
        // Half a file helps nobody, and takes room.
        let _ = fs::remove_file(&beside);
        cannot_write(path, &error)
    })
}

/// The problem for a path that cannot be written.
pub fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    Problem::NotWritten { file: path.display().to_string(), detail: error.kind().to_string() }
}
