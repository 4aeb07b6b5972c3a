//! A disk whose power goes: what the agent made the system write out is there afterwards, and nothing else.
//!
//! An ext4 file system in an image, mounted so that it writes nothing by itself for five minutes. When the power goes the image
//! is copied as it stands, and the copy is what is mounted then. It needs root, and a system that has loop devices.

use super::traced::AtTheEnd;
use crate::support::Session;
use crate::support::disk::as_root;
use std::path::{Path, PathBuf};

/// Room for a profile, a keyring and a journal.
const SIZE: u64 = 48 * 1024 * 1024;

/// What of a session lies on it: the profile, the keychain, and the files that are written for others.
const FOLDERS: [&str; 3] = ["l", "data", "files"];

/// The disk. It is unmounted with this.
#[derive(Debug)]
pub struct Disk {
    images: tempfile::TempDir,
    home: PathBuf,
}

impl Disk {
    /// Moves a session to a disk of its own. No agent runs.
    pub fn under(session: &mut Session) -> Self {
        session.stop_keyring();
        let images = tempfile::tempdir().expect("a temporary folder");
        let disk = Self { images, home: session.home().to_owned() };
        let image = std::fs::File::create(disk.image()).expect("an image");
        image.set_len(SIZE).expect("an image");
        as_root(&["mkfs.ext4", "-q", "-F", text(&disk.image())]);
        std::fs::create_dir(disk.mounted()).expect("a folder");
        std::fs::create_dir_all(disk.home.join("files")).expect("a folder");
        disk.mount();
        for folder in FOLDERS {
            as_root(&["cp", "-a", text(&disk.home.join(folder)), text(&disk.mounted())]);
        }
        disk.bind();
        disk.settle();
        session.start_keyring();
        disk
    }

    fn image(&self) -> PathBuf {
        self.images.path().join("image")
    }

    fn cut(&self) -> PathBuf {
        self.images.path().join("cut")
    }

    fn mounted(&self) -> PathBuf {
        self.home.join("disk")
    }

    fn mount(&self) {
        // Nothing is to be written out but what somebody asks for.
        as_root(&["mount", "-o", "loop,commit=300", text(&self.image()), text(&self.mounted())]);
    }

    fn bind(&self) {
        for folder in FOLDERS {
            as_root(&["mount", "--bind", text(&self.mounted().join(folder)), text(&self.home.join(folder))]);
        }
    }

    fn unmount(&self) {
        for folder in FOLDERS.map(|folder| self.home.join(folder)) {
            as_root(&["umount", "--lazy", text(&folder)]);
        }
        as_root(&["umount", "--lazy", text(&self.mounted())]);
    }

    /// Writes everything out, as a system does that is left alone for long enough.
    pub fn settle(&self) {
        as_root(&["sync", "--file-system", text(&self.mounted())]);
    }

    /// The power goes, when this is called.
    pub fn power_goes(&self) -> AtTheEnd {
        let (image, cut) = (self.image(), self.cut());
        Box::new(move || as_root(&["cp", "--sparse=always", text(&image), text(&cut)]))
    }

    /// The power is back. Nothing of before runs, but for the keychain's daemon, which is started anew.
    pub fn power_is_back(&self, session: &mut Session) {
        session.stop_keyring();
        self.unmount();
        std::fs::rename(self.cut(), self.image()).expect("the power was gone");
        self.mount();
        self.bind();
        session.start_keyring();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}
