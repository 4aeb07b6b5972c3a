//! Has a person choose a file, in the system's own dialog.

use std::path::PathBuf;
use tauri::AppHandle;

/// The file that was chosen; `None` where nobody chose one.
pub async fn file(app: &AppHandle, title: String) -> Option<PathBuf> {
    let (chosen, path) = std::sync::mpsc::channel();
    let main = app.clone();
    // Fails only when the app is ending; then nothing comes.
    let _ = app.run_on_main_thread(move || ask(&main, &title, move |path| drop(chosen.send(path))));
    tauri::async_runtime::spawn_blocking(move || path.recv().ok().flatten()).await.ok().flatten()
}

#[cfg(target_os = "linux")]
fn ask(app: &AppHandle, title: &str, then: impl FnOnce(Option<PathBuf>) + 'static) {
    use gtk::prelude::{FileChooserExt, NativeDialogExt};
    use std::cell::RefCell;
    use tauri::Manager;
    let window = app.get_webview_window(crate::window::LABEL).and_then(|window| window.gtk_window().ok());
    let action = gtk::FileChooserAction::Open;
    let dialog = gtk::FileChooserNative::new(Some(title), window.as_ref(), action, None, None);
    // Nothing else holds it while it is open.
    let waiting = RefCell::new(Some((dialog.clone(), then)));
    dialog.connect_response(move |dialog, response| {
        if let Some((_held, then)) = waiting.borrow_mut().take() {
            then(if response == gtk::ResponseType::Accept { dialog.filename() } else { None });
        }
    });
    dialog.show();
}

#[cfg(not(target_os = "linux"))]
fn ask(_app: &AppHandle, _title: &str, then: impl FnOnce(Option<PathBuf>)) {
    then(None);
}
