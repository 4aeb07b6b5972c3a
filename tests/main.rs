//! One harness; one module a promise. Each test has a session of its own: home, D-Bus, keychain, server.

mod support;

mod architecture;
mod configuration;
mod crashes;
mod hand_out;
mod keychain;
mod one_agent;
mod refreshing;
mod sign_in;
mod sign_out;
