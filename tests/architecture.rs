//! The walls between the crates, and what the project promises about its own files.

use crate::support::files_below;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Who must not depend on what, and why.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    (
        "larder-core",
        &["tokio", "reqwest", "rusqlite", "keyring", "keyring-core", "tauri", "getrandom", "rand", "uuid", "oauth2"],
        "core decides: no IO, no async, no clock, no randomness, no tokens",
    ),
    (
        "larder-client",
        &["tokio", "reqwest", "rusqlite", "keyring", "keyring-core", "tauri", "gtk", "oauth2"],
        "the client is small, for other people's programs too",
    ),
    (
        "larder-cli",
        &[
            "tokio",
            "reqwest",
            "rusqlite",
            "libsqlite3-sys",
            "keyring",
            "keyring-core",
            "tauri",
            "gtk",
            "webkit2gtk",
            "oauth2",
            "rustls",
        ],
        "the command starts within milliseconds",
    ),
    ("larder-agent", &["tauri", "gtk", "webkit2gtk", "wry"], "the agent runs without a desktop"),
    ("larder-demo", &["tauri", "gtk", "webkit2gtk", "wry", "keyring", "rusqlite"], "a server needs no desktop"),
    (
        "larder-desktop",
        &[
            "rusqlite",
            "libsqlite3-sys",
            "keyring",
            "keyring-core",
            "oauth2",
            "openidconnect",
            "larder-agent",
            "larder-demo",
        ],
        "the window shows; it holds no token, key or database",
    ),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// For this platform alone: nothing else need be downloaded to build here.
fn metadata() -> Value {
    let about = Command::new("rustc").arg("-vV").output().expect("rustc -vV");
    let about = String::from_utf8(about.stdout).expect("text");
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--filter-platform", host])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn no_crate_reaches_through_a_wall() {
    let metadata = metadata();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    // Normal dependencies alone: tests and build scripts may use what they need.
    let edges: BTreeMap<String, Vec<String>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let normal = node["deps"].as_array().unwrap().iter().filter(|dependency| {
                dependency["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null())
            });
            (text(&node["id"]), normal.map(|dependency| text(&dependency["pkg"])).collect())
        })
        .collect();
    for (package, forbidden, reason) in FORBIDDEN {
        let id = names
            .iter()
            .find(|(_, name)| name == package)
            .map(|(id, _)| id.clone())
            .unwrap_or_else(|| panic!("no {package}"));
        let (mut reached, mut next) = (BTreeSet::new(), vec![id]);
        while let Some(id) = next.pop() {
            for dependency in &edges[&id] {
                if reached.insert(dependency.clone()) {
                    next.push(dependency.clone());
                }
            }
        }
        for id in reached {
            assert!(!forbidden.contains(&names[&id].as_str()), "{package} depends on {}: {reason}", names[&id]);
        }
    }
}

#[test]
fn core_reads_no_clock_and_touches_nothing() {
    for path in files_below(&root().join("src-tauri/core/src")) {
        let source = std::fs::read_to_string(&path).unwrap();
        for word in
            ["std::fs", "std::net", "std::process", "std::env", "SystemTime", "Instant::now", "async fn", "unsafe"]
        {
            assert!(!source.contains(word), "{} says {word}", path.display());
        }
    }
}

#[test]
fn only_one_file_of_the_window_knows_tauri() {
    let files = files_below(&root().join("ui/src"));
    let knowing: Vec<_> = files
        .iter()
        .filter(|path| {
            std::fs::read_to_string(path)
                .is_ok_and(|text| text.contains("from \"@tauri-apps") || text.contains("from '@tauri-apps"))
        })
        .collect();
    assert_eq!(knowing, [&root().join("ui/src/backend.ts")]);
}

#[test]
fn the_scheme_is_one_constant() {
    let conf: Value = serde_json::from_str(&std::fs::read_to_string(root().join("tauri.conf.json")).unwrap()).unwrap();
    assert_eq!(conf["identifier"], larder_core::scheme::SCHEME);
    assert_eq!(conf["plugins"]["deep-link"]["desktop"]["schemes"][0], larder_core::scheme::SCHEME);
    assert!(larder_core::scheme::REDIRECT_URI.starts_with(larder_core::scheme::SCHEME));
}

#[test]
fn nothing_updates_itself() {
    let conf: Value = serde_json::from_str(&std::fs::read_to_string(root().join("tauri.conf.json")).unwrap()).unwrap();
    assert_eq!(conf["bundle"]["createUpdaterArtifacts"], false);
    assert!(conf["plugins"]["updater"].is_null());
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    assert!(!lock.contains("tauri-plugin-updater") && !lock.contains("self_update"), "something updates itself");
}

#[test]
fn the_window_may_do_nothing_but_its_own_commands_and_no_answer_of_theirs_holds_a_secret() {
    let capability: Value =
        serde_json::from_str(&std::fs::read_to_string(root().join("src-tauri/app/capabilities/main.json")).unwrap())
            .unwrap();
    assert_eq!(capability["windows"], serde_json::json!(["main"]));
    for permission in capability["permissions"].as_array().unwrap() {
        let permission = permission.as_str().expect("a plain permission");
        let own = permission.starts_with("allow-");
        assert!(own || ["core:event:allow-listen", "core:event:allow-unlisten"].contains(&permission), "{permission}");
    }
    // What the window is told is made of these types, generated from Rust.
    for entry in std::fs::read_dir(root().join("ui/src/generated")).unwrap() {
        let path = entry.unwrap().path();
        let types = std::fs::read_to_string(&path).unwrap().to_lowercase();
        for word in ["access_token", "refresh_token", "id_token", "verifier", "client_secret", "data_key"] {
            assert!(!types.contains(word), "{} tells the window about {word}", path.display());
        }
    }
}

/// What is built from: each has a lock file, and is built with what stands in it.
const BUILT: [(&str, &str); 5] = [
    ("Cargo.toml", "Cargo.lock"),
    ("src-tauri/fuzz/Cargo.toml", "src-tauri/fuzz/Cargo.lock"),
    ("tests/bench/blank/Cargo.toml", "tests/bench/blank/Cargo.lock"),
    ("ui/package.json", "ui/package-lock.json"),
    ("tests/support/oidc-provider/package.json", "tests/support/oidc-provider/package-lock.json"),
];

#[test]
fn every_crate_and_package_is_pinned_by_its_hash_and_no_lock_file_names_a_registrys_host() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().expect("git");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let files: BTreeSet<&str> = listed.lines().collect();
    // Members of the workspace share its lock file.
    let alone = |path: &&str| {
        let text = std::fs::read_to_string(root().join(path)).unwrap();
        path.ends_with("package.json") || (path.ends_with("Cargo.toml") && text.contains("[workspace]"))
    };
    let named = files.iter().copied().filter(|path| path.ends_with("package.json") || path.ends_with("Cargo.toml"));
    let built: BTreeSet<&str> = named.filter(alone).collect();
    assert_eq!(built, BUILT.iter().map(|(manifest, _)| *manifest).collect());
    for (_, lock) in BUILT {
        assert!(files.contains(lock), "{lock} is not kept");
        let text = std::fs::read_to_string(root().join(lock)).unwrap();
        if lock.ends_with("package-lock.json") {
            let lock_file: Value = serde_json::from_str(&text).unwrap();
            let packages = lock_file["packages"].as_object().unwrap();
            assert!(!text.contains("\"resolved\"") && !text.contains("://registry"), "{lock} names a host");
            for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
                assert!(package["integrity"].is_string(), "{lock}: {name} has no hash");
            }
        } else {
            let packages = text.split("[[package]]").skip(1).filter(|package| package.contains("\nsource = "));
            for package in packages {
                assert!(
                    package.contains("\nsource = \"registry+https://github.com/rust-lang/crates.io-index\""),
                    "{package}"
                );
                assert!(package.contains("\nchecksum = "), "{package}");
            }
        }
    }
    // npm ci takes what the lock file says; what installs tools takes theirs.
    for script in ["Makefile", ".ci/run", ".ci/packages", ".ci/advisories", ".ci/fuzz"] {
        let text = std::fs::read_to_string(root().join(script)).unwrap();
        for line in text.lines().filter(|line| line.contains("cargo install") || line.contains("npm install")) {
            assert!(line.contains("--locked"), "{script}: {line}");
        }
    }
}

#[test]
fn nothing_that_is_built_is_committed() {
    let listed = Command::new("git").args(["ls-files"]).current_dir(root()).output().expect("git");
    let listed = String::from_utf8(listed.stdout).expect("names");
    assert!(listed.lines().any(|file| file == "Cargo.toml"), "no list of files");
    let made = ["target", "node_modules", "dist", "gen", "permissions"];
    let built: Vec<_> = listed.lines().filter(|file| file.split('/').any(|part| made.contains(&part))).collect();
    assert_eq!(built, Vec::<&str>::new());
}

#[test]
fn an_action_of_somebody_elses_is_pinned_by_its_commit() {
    let listed = Command::new("git").args(["ls-files", "*.yml", "*.yaml"]).current_dir(root()).output().expect("git");
    for file in String::from_utf8(listed.stdout).expect("text").lines() {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        for used in text.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses:")) {
            let version =
                used.trim().split([' ', '#']).next().unwrap_or_default().rsplit_once('@').map_or("", |(_, at)| at);
            let pinned = version.len() == 40 && version.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(pinned || used.trim().starts_with("./"), "{file}: {used}");
        }
    }
}
