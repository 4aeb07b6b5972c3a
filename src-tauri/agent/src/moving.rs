//! Accounts that go to another machine of their person's, in a file that age seals (<https://age-encryption.org/v1>).
//!
//! Two machines that refresh one rotating refresh token would end the session. So an account stops here first, then its file
//! is written, and only then its tokens go here; wherever that is cut off, either this machine has the account or the file
//! does (`docs/moving.md`).

pub mod bundle;
pub mod export;
pub mod import;
pub mod sealed;
