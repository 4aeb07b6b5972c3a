//! What a client can ask for (RFC 6749 3.3).

/// A scope and what the consent page says it is.
const KNOWN: [(&str, &str); 6] = [
    ("openid", "Recognise you when you come back"),
    ("profile", "See your name"),
    ("email", "See your e-mail address"),
    ("offline_access", "Stay signed in while you are away"),
    ("notes.read", "Read your notes"),
    ("notes.write", "Change your notes"),
];

/// What is asked for where a request names no scope (RFC 6749 3.3 leaves this to the server).
const DEFAULT: &str = "openid";

/// The names, for the discovery document.
pub(crate) fn names() -> Vec<&'static str> {
    KNOWN.iter().map(|(name, _)| *name).collect()
}

/// The scope in words.
pub(crate) fn in_words(name: &str) -> &'static str {
    KNOWN.iter().find(|(known, _)| *known == name).map_or("", |(_, words)| words)
}

/// Reads a scope parameter. `Err` names the first that is not known here.
pub(crate) fn parse(text: Option<&str>) -> Result<Vec<String>, String> {
    let mut scope: Vec<String> = Vec::new();
    for name in text.unwrap_or(DEFAULT).split(' ').filter(|name| !name.is_empty()) {
        if !KNOWN.iter().any(|(known, _)| *known == name) {
            return Err(name.to_owned());
        }
        if !scope.iter().any(|had| had == name) {
            scope.push(name.to_owned());
        }
    }
    if scope.is_empty() { Ok(vec![DEFAULT.to_owned()]) } else { Ok(scope) }
}
