//! The deep link: one constant. Who publishes a build puts a domain of their own here (RFC 8252 section 7.1)
//! and the same in `tauri.conf.json`; a test compares the two.

/// The private-use URI scheme.
pub const SCHEME: &str = "dev.larder.desktop";

/// The redirect URI that is registered at providers.
pub const REDIRECT_URI: &str = "dev.larder.desktop:/callback";

/// The service name of Larder's items in the OS keychain.
pub const KEYCHAIN_SERVICE: &str = "dev.larder.desktop";

/// Whether `text` begins as a URL of Larder's scheme does. It says nothing about the rest.
pub fn is_ours(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME))
}
