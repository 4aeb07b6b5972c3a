//! The page that the browser shows after a loopback redirect, in the person's language.

use serde_json::{Map, Value};
use std::sync::OnceLock;

const WORDS: &str = include_str!("pages.json");

/// What a page says.
#[derive(Clone, Copy, Debug)]
pub enum Page<'a> {
    /// Signed in.
    SignedIn {
        /// The account's label.
        account: &'a str,
    },
    /// Not signed in.
    Failed {
        /// Why.
        sentence: &'a str,
    },
    /// Larder goes on by itself.
    GoesOn,
    /// Nobody waits here for anything.
    Nothing,
}

fn words() -> &'static Map<String, Value> {
    static WORDS_READ: OnceLock<Map<String, Value>> = OnceLock::new();
    WORDS_READ.get_or_init(|| serde_json::from_str(WORDS).unwrap_or_default())
}

/// The first language of `Accept-Language` that there are words in; English else. Browsers send them in order.
pub fn language(accepted: &str) -> &'static str {
    accepted
        .split(',')
        .filter_map(|entry| entry.split([';', '-']).next())
        .find_map(|wanted| words().keys().find(|known| known.eq_ignore_ascii_case(wanted.trim())))
        .map_or("en", String::as_str)
}

/// The page as HTML. What comes from elsewhere is escaped.
pub fn write(language: &str, page: Page<'_>) -> String {
    let say = |key: &'static str| {
        words().get(language).and_then(|words| words.get(key)).and_then(Value::as_str).unwrap_or(key)
    };
    let (title, text) = match page {
        Page::SignedIn { account } => (say("signed-in"), say("close").replace("{account}", account)),
        Page::Failed { sentence } => (say("failed"), sentence.to_owned()),
        Page::GoesOn => (say("goes-on"), say("watch").to_owned()),
        Page::Nothing => (say("nothing"), say("start").to_owned()),
    };
    let text = escape(&text);
    format!(
        "<!doctype html><html lang=\"{language}\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Larder</title><style>\
         :root{{color-scheme:light dark;--ground:#f6f4ef;--ink:#211f1b;--ink-2:#5f594e;--fresh:#2c6e4e}}\
         @media(prefers-color-scheme:dark){{:root{{--ground:#181714;--ink:#eeeae1;--ink-2:#b5ae9f;--fresh:#86c8a4}}}}\
         body{{background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,sans-serif;display:grid;place-content:center;\
         min-height:90vh;text-align:center;margin:0 24px}}h1{{font-size:22px;font-weight:600;margin:0 0 8px}}\
         p{{color:var(--ink-2);max-width:36em;margin:0}}b{{color:var(--fresh);letter-spacing:.02em}}</style>\
         <main><p><b>Larder</b></p><h1>{title}</h1><p>{text}</p></main></html>"
    )
}

fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, character| {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_in_the_first_language_that_there_are_words_in() {
        assert_eq!(language("de-CH,de;q=0.9,en;q=0.8"), "de");
        assert_eq!(language("xx, fr;q=0.5"), "fr");
        assert_eq!(language(""), "en");
        for (_, known) in words() {
            let keys: Vec<_> = known.as_object().unwrap().keys().collect();
            assert_eq!(keys, words()["en"].as_object().unwrap().keys().collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_comes_from_elsewhere_is_text() {
        let page = write("en", Page::SignedIn { account: "<img onerror=alert(1)>" });
        assert!(page.contains("&lt;img") && !page.contains("<img"));
    }
}
