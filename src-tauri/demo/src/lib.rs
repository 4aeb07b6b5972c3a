//! A real OAuth 2.0 and OpenID Connect authorization server on loopback.
//!
//! It is the provider "Demo" that Larder brings along, and the server of Larder's tests. Anybody can sign in to it by
//! any name, so it listens on 127.0.0.1 alone; in everything else it behaves as a provider should: code with PKCE (RFC
//! 6749, RFC 7636), the issuer in the redirect (RFC 9207), refresh tokens that rotate and whose reuse ends the family
//! (RFC 9700 4.14.2), revocation (RFC 7009), device authorization (RFC 8628), discovery (RFC 8414), signed ID tokens.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let server = larder_demo::Server::start(larder_demo::Options::default()).await?;
//! let issuer = server.issuer(); // "http://127.0.0.1:49152"
//! # Ok(())
//! # }
//! ```

mod answer;
mod app;
mod authorize;
mod clock;
mod control;
mod device;
mod grants;
mod metadata;
mod observe;
mod pages;
mod params;
mod pending;
mod revoke;
mod scope;
mod secret;
mod server;
mod signing;
mod store;
mod token;
mod user;
mod userinfo;

pub use server::{CLIENT_ID, DEEP_LINK, Options, Server};
