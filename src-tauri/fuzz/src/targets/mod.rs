//! What comes from outside, a target each: bytes that anybody may have written, and what must hold whatever they are.

mod addresses;
mod configuration;
mod frames;
mod id_token;
mod metadata;
mod row;
mod token_response;

/// A target's name, which is also its folder's in `corpus`, and what it does with an input. It panics where a promise is broken.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 11] = [
    ("callback", addresses::callback),
    ("token_response", token_response::token_response),
    ("metadata", metadata::metadata),
    ("resource", metadata::resource),
    ("id_token", id_token::id_token),
    ("providers", configuration::providers),
    ("policy", configuration::policy),
    ("settings", configuration::settings),
    ("frames", frames::frames),
    ("row", row::row),
    ("export", row::export),
];

/// The target of this name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target");
    target(data);
}

/// The input as text; most of what is read is text, and what is none has been refused before.
fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// What is shown to people and printed on terminals has an end, and no control characters.
fn shown(text: &str) {
    assert!(text.chars().count() <= 200 && !text.chars().any(char::is_control), "not for people: {text:?}");
}

/// An address that a token or code may be sent to.
fn sent_to(url: &url::Url) {
    let safe = url.scheme() == "https" || (url.scheme() == "http" && larder_agent::http::is_loopback(url));
    assert!(safe && url.host().is_some(), "{url}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
}

/// A runtime of the thread's own, for what is `async`.
fn wait<T>(work: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    }
    RUNTIME.with(|runtime| runtime.block_on(work))
}
