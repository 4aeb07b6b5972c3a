//! The profile's folders: private, ours, and no detour.

use larder_core::problem::Problem;
use larder_core::profile::Profile;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The longest configuration file that is read, in bytes: a rule takes 100.
const MOST_TEXT: u64 = 1024 * 1024;

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

/// Opens a file of the profile for writing, 0600 whatever the umask; makes it where it is missing. Refuses a symlink, what is
/// no plain file, and what is somebody else's.
///
/// # Errors
/// As the system says; [`cannot_write`] tells what must not be trusted from what cannot be written.
pub fn private_file(path: &Path) -> io::Result<File> {
    // Not waiting: a pipe of this name would wait for somebody at its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
        .open(path)?;
    own_file(&file.metadata()?).map_err(io::Error::other)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Why a path must not be trusted.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Untrusted(&'static str);

fn own_file(found: &fs::Metadata) -> Result<(), Untrusted> {
    if found.is_symlink() {
        return Err(Untrusted("it is a symbolic link"));
    }
    if !found.is_file() {
        return Err(Untrusted("it is no plain file"));
    }
    if found.uid() != rustix::process::getuid().as_raw() {
        return Err(Untrusted("it belongs to somebody else"));
    }
    Ok(())
}

/// Looks whether what is at this path, if anything, is a plain file of ours.
///
/// # Errors
/// [`Problem::UnsafePath`]; [`Problem::NotWritten`] where it cannot be looked at.
pub fn own_if_there(path: &Path) -> Result<bool, Problem> {
    match fs::symlink_metadata(path) {
        Ok(found) => own_file(&found).map(|()| true).map_err(|why| unsafe_path(path, why.0)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

/// Reads a configuration file, which its person may keep elsewhere: a link to it is followed.
///
/// # Errors
/// As the system says; for what is no plain file, or longer than [`MOST_TEXT`].
pub fn read_text(path: &Path) -> io::Result<String> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(Untrusted("it is no plain file")));
    }
    let mut text = String::new();
    file.take(MOST_TEXT + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MOST_TEXT {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(text)
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

/// The problem for a path that cannot be written, or must not be.
pub fn cannot_write(path: &Path, error: &io::Error) -> Problem {
    if let Some(Untrusted(why)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return unsafe_path(path, why);
    }
    if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
        return unsafe_path(path, "it is a symbolic link");
    }
    Problem::NotWritten { file: path.display().to_string(), detail: error.kind().to_string() }
}

fn unsafe_path(path: &Path, why: &str) -> Problem {
    Problem::UnsafePath { path: path.display().to_string(), detail: why.to_owned() }
}
