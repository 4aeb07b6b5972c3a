//! Has WebKit draw the window without a graphics processor. Rows and words need none; starting one is a seventh of the time until
//! the window shows, and leaves it empty with some drivers (NVIDIA's, virtual machines').
//!
//! WebKit reads a variable of the environment for that, once, and has no other way that spares the start. What is started
//! from here, such as a browser made of WebKit, is not to inherit it.

use std::sync::atomic::{AtomicBool, Ordering};

const VARIABLE: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";

/// Whether it was set here, and not by a person who wants it one way or the other.
static OURS: AtomicBool = AtomicBool::new(false);

/// Sets it. To be called while there is one thread: the environment belongs to all of them.
pub fn without_accelerator() {
    if std::env::var_os(VARIABLE).is_none() {
        OURS.store(gtk::glib::setenv(VARIABLE, "1", false).is_ok(), Ordering::Relaxed);
    }
}

/// Has WebKit read it, and takes it away again. On the main thread, with GTK.
pub fn decided() {
    // The first settings that are made decide it.
    drop(webkit2gtk::Settings::new());
    // It was put last, so that nothing else moves while another thread looks for something.
    if OURS.swap(false, Ordering::Relaxed) {
        gtk::glib::unsetenv(VARIABLE);
    }
}
