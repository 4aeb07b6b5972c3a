//! Has WebKit draw the window without a graphics processor. Rows and words need none; starting one is a seventh of the time until
//! the window shows, and leaves it empty with some drivers (NVIDIA's, virtual machines').
//!
//! WebKit reads a variable of the environment for that, once, and has no other way that spares the start. A browser that is
//! started from here, which may be made of WebKit, is not to inherit it. An agent that is started before does; it draws nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

const VARIABLE: &str = "WEBKIT_DISABLE_DMABUF_RENDERER";

/// How long somebody who starts a program waits for the main thread.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether it was set here, and not by a person who wants it one way or the other.
static OURS: AtomicBool = AtomicBool::new(false);

/// Sets it. To be called while there is one thread: the environment belongs to all of them.
pub fn without_accelerator() {
    if std::env::var_os(VARIABLE).is_none() {
        OURS.store(gtk::glib::setenv(VARIABLE, "1", false).is_ok(), Ordering::Relaxed);
    }
}

/// Has WebKit read it, and takes it away again: before another program is started, and with the first window. Not sooner, for
/// WebKit alone is 8 MB that an app in the tray need not have.
pub fn decided() {
    if !OURS.load(Ordering::Relaxed) {
        return;
    }
    if gtk::is_initialized_main_thread() {
        decide();
        return;
    }
    let (tell, told) = mpsc::channel();
    gtk::glib::idle_add_once(move || {
        decide();
        let _ = tell.send(());
    });
    // If it takes longer, a browser knows a variable too much, which harms nothing.
    let _ = told.recv_timeout(PATIENCE);
}

/// On the main thread, with GTK.
fn decide() {
    // The first settings that are made decide it.
    drop(webkit2gtk::Settings::new());
    // It was put last, so that nothing else moves while another thread looks for something.
    if OURS.swap(false, Ordering::Relaxed) {
        gtk::glib::unsetenv(VARIABLE);
    }
}
