//! Files for the person to find: in their own Downloads folder, under a name that nothing has yet.

use crate::moment::Zone;
use larder_core::problem::Problem;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// So many files of one name and day: past it, something writes them in a loop.
const MOST: usize = 100;

/// A name of today's that nothing has yet, in the Downloads folder.
///
/// # Errors
/// [`Problem::NotWritten`] where there is no such folder.
pub fn free(stem: &str, extension: &str) -> Result<PathBuf, Problem> {
    let folder = folder().ok_or_else(|| not_written(Path::new("~"), "there is no home folder"))?;
    (1..=MOST)
        .map(|number| folder.join(name(stem, extension, &Zone::here().today(), number)))
        .find(|path| !path.exists())
        .ok_or_else(|| not_written(&folder, "there are too many files of this name"))
}

/// Writes a new file there, for its person alone, and says where it is.
///
/// # Errors
/// [`Problem::NotWritten`].
pub fn write(stem: &str, extension: &str, text: &str) -> Result<String, Problem> {
    let path = free(stem, extension)?;
    let written = create(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| not_written(&path, &error.to_string()))?;
    Ok(path.display().to_string())
}

fn create(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn not_written(path: &Path, detail: &str) -> Problem {
    Problem::NotWritten { file: path.display().to_string(), detail: detail.to_owned() }
}

fn name(stem: &str, extension: &str, day: &str, number: usize) -> String {
    let more = if number == 1 { String::new() } else { format!("-{number}") };
    format!("{stem}-{day}{more}.{extension}")
}

/// The Downloads folder (xdg-user-dirs), else the home folder.
#[cfg(target_os = "linux")]
fn folder() -> Option<PathBuf> {
    let told = gtk::glib::user_special_dir(gtk::glib::UserDirectory::Downloads);
    told.filter(|folder| folder.is_dir()).or_else(|| Some(gtk::glib::home_dir()))
}

#[cfg(not(target_os = "linux"))]
fn folder() -> Option<PathBuf> {
    let home = std::env::home_dir()?;
    let downloads = home.join("Downloads");
    Some(if downloads.is_dir() { downloads } else { home })
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_second_file_of_a_day_has_a_number() {
        assert_eq!(name("larder-activity", "csv", "2026-11-24", 1), "larder-activity-2026-11-24.csv");
        assert_eq!(name("larder-activity", "csv", "2026-11-24", 2), "larder-activity-2026-11-24-2.csv");
    }
}
