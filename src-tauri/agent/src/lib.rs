//! Larder's agent: alone owns the keychain, database, schedule and socket of a profile.

pub mod agent;
pub mod audit;
pub mod clock;
pub mod configuration;
pub mod database;
pub mod discovery;
pub mod failpoint;
pub mod folders;
pub mod grants;
pub mod http;
pub mod identity;
pub mod keychain;
pub mod perform;
pub mod policy;
pub mod program;
pub mod providers;
pub mod seal;
pub mod sign_in;
pub mod socket;
pub mod start;
pub mod token_endpoint;
pub mod token_response;
