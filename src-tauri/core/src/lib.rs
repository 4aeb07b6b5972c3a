//! What Larder decides: accounts, sign-ins, the refresh schedule, errors, views and the socket protocol.
//!
//! No IO, no async, no clock, no randomness and no token bytes: everything here can be tested by calling it.

pub mod account;
pub mod arranging;
pub mod attempt;
mod calendar;
pub mod consent;
pub mod effect;
pub mod git;
pub mod house;
pub mod lock;
pub mod names;
pub mod preferences;
pub mod problem;
pub mod profile;
pub mod protocol;
pub mod schedule;
pub mod scheme;
pub mod show;
pub mod time;
pub mod view;
pub mod words;
