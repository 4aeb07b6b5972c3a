//! Prepares the Tauri app.

fn main() {
    tauri_build::build();
}
