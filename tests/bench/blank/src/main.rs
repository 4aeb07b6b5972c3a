//! A blank Tauri app, to measure Larder's against.
//!
//! usage: blank shown     a window that shows at once, as Tauri's does unless told otherwise
//!        blank drawn     a window that shows when its page is loaded, as Larder's shows when it is drawn
//!        blank tray      a tray icon with a menu, and no window; a line `open` on stdin opens one that shows when its
//!                        page is loaded

use std::io::BufRead;
use tauri::menu::{Menu, MenuItem};
use tauri::tray::TrayIconBuilder;
use tauri::webview::PageLoadEvent;
use tauri::{AppHandle, RunEvent, WebviewUrl, WebviewWindowBuilder};

fn open(app: &AppHandle, at_once: bool) -> tauri::Result<()> {
    WebviewWindowBuilder::new(app, "main", WebviewUrl::App("index.html".into()))
        .title("Blank")
        // As Larder's.
        .inner_size(860.0, 580.0)
        .visible(at_once)
        .on_page_load(move |window, load| {
            if load.event() == PageLoadEvent::Finished && !at_once {
                let _ = window.show();
                let _ = window.set_focus();
            }
        })
        .build()?;
    Ok(())
}

fn tray(app: &AppHandle) -> tauri::Result<()> {
    let quit = MenuItem::with_id(app, "quit", "Quit", true, None::<&str>)?;
    let menu = Menu::with_items(app, &[&quit])?;
    let icon = app.default_window_icon().expect("an icon").clone();
    TrayIconBuilder::with_id("blank").icon(icon).menu(&menu).build(app)?;
    let app = app.clone();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if line == "open" {
                open(&app, false).expect("a window");
            }
        }
    });
    Ok(())
}

fn main() {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let in_tray = mode == "tray";
    tauri::Builder::default()
        .setup(move |app| {
            match mode.as_str() {
                "tray" => tray(app.handle())?,
                "drawn" => open(app.handle(), false)?,
                _ => open(app.handle(), true)?,
            }
            Ok(())
        })
        .build(tauri::generate_context!())
        .expect("a Tauri app")
        .run(move |_, event| match event {
            RunEvent::ExitRequested { code: None, api, .. } if in_tray => api.prevent_exit(),
            _ => {}
        });
}
