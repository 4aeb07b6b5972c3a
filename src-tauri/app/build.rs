//! Prepares the Tauri app: which commands exist, and what the window may do.

/// Every command of the window, by name. One that is missing here cannot be called, whatever the code registers.
const COMMANDS: &[&str] = &[
    "house",
    "sign_in",
    "cancel_sign_in",
    "open_again",
    "copy_link",
    "paste_address",
    "open_registration",
    "copy_redirect",
    "own_redirect",
    "copy_own_redirect",
    "save_client",
    "picture",
    "find",
    "adopt",
    "add_provider",
    "check_provider",
    "refresh",
    "refresh_all",
    "sign_out",
    "sign_out_in_browser",
    "undo_sign_out",
    "forget",
    "unlock",
    "answer_prompt",
    "policy",
    "set_policy",
    "remove_rule",
    "lock",
    "events",
    "rename",
    "place",
    "test",
    "history",
    "last_uses",
    "activity",
    "save_activity",
    "settings",
    "change_settings",
    "open_folder",
    "export_accounts",
    "import_accounts",
    "reset",
    "ready",
    "hears",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Without these lines an edit of a capability or an icon is silently ignored: Tauri watches its usual folder alone.
    println!("cargo:rerun-if-changed=src-tauri/app/capabilities");
    println!("cargo:rerun-if-changed=icons");
    println!("cargo:rerun-if-changed=ui/dist");
    let attributes = tauri_build::Attributes::new()
        .capabilities_path_pattern("./src-tauri/app/capabilities/**/*")
        .app_manifest(tauri_build::AppManifest::new().commands(COMMANDS));
    Ok(tauri_build::try_build(attributes)?)
}
