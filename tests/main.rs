//! One harness; one module a promise. Each test has a session of its own: home, D-Bus, keychain, server.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

mod access;
mod any_url;
mod architecture;
mod arranging;
mod audit;
mod browser;
mod certified;
mod commands;
mod configuration;
mod connections;
mod consent;
#[cfg(target_os = "linux")]
mod crashes;
mod cut_off;
mod damaged;
mod dead_tokens;
mod desktop;
mod device;
mod docs;
mod faulty_keychain;
mod full_disk;
mod git;
mod hand_out;
mod hostile_callbacks;
mod hostile_id_tokens;
mod hostile_metadata;
mod hostile_socket;
mod hostile_tokens;
mod keychain;
mod locking;
mod loopback;
mod machine;
mod mail;
mod moving;
mod narrower;
mod odd_files;
mod one_agent;
mod other_languages;
mod proofs;
mod quirks;
mod recipes;
mod refreshing;
mod rejected;
mod relying_party;
mod restarts;
mod servers;
mod settings;
mod sign_in;
mod sign_out;
mod suspend;
mod traces;
mod window;
