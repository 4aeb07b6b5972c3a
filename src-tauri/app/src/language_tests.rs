//! Every language has every word, and the code has none.

use super::*;
use std::collections::BTreeSet;

/// What says something to a person who is at no terminal.
const SPEAKING: [(&str, &str); 7] = [
    ("choose.rs", include_str!("choose.rs")),
    ("commands.rs", include_str!("commands.rs")),
    ("menu.rs", include_str!("menu.rs")),
    ("moment.rs", include_str!("moment.rs")),
    ("notices.rs", include_str!("notices.rs")),
    ("notify.rs", include_str!("notify.rs")),
    ("tray.rs", include_str!("tray.rs")),
];

/// The literals of a source, without its comments and its tests, each with its line.
fn literals(source: &str) -> Vec<(&str, &str)> {
    let tests = |part: &&str| ["mod ", "#[path"].iter().any(|begin| part.trim_start().starts_with(begin));
    let code = source.split("#[cfg(test)]").take_while(|part| !tests(part));
    let lines = code.flat_map(str::lines).filter(|line| !line.trim_start().starts_with("//"));
    lines.flat_map(|line| line.split('"').skip(1).step_by(2).map(move |literal| (literal, line))).collect()
}

/// `{name}`s, each once.
fn holes(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

#[test]
fn every_language_has_every_word_with_the_same_parameters() {
    let (english, german) = (Spoken::English.messages(), Spoken::German.messages());
    assert!(english.len() > 50);
    assert_eq!(english.keys().collect::<Vec<_>>(), german.keys().collect::<Vec<_>>());
    for (key, text) in english {
        assert_eq!(holes(text), holes(&german[key]), "{key}");
        assert!(!text.trim().is_empty() && !german[key].trim().is_empty(), "{key}");
    }
    for spoken in [Spoken::English, Spoken::German] {
        assert_eq!(spoken.text("moment.months").split(' ').count(), 12);
        assert_eq!(spoken.text("moment.weekdays").split(' ').count(), 7);
    }
}

#[test]
fn every_word_that_is_used_is_there_and_every_one_that_is_there_is_used() {
    let english = Spoken::English.messages();
    let kinds: BTreeSet<&str> = english.keys().filter_map(|key| key.split('.').next()).collect();
    let is_key = |literal: &&str| {
        literal.split_once('.').is_some_and(|(kind, rest)| kinds.contains(kind) && !rest.contains([' ', '/', ':']))
    };
    let used = SPEAKING.iter().flat_map(|(_, source)| literals(source)).map(|(literal, _)| literal);
    let used: BTreeSet<&str> = used.filter(is_key).collect();
    let base = |key| [".one", ".other"].iter().find_map(|form| str::strip_suffix(key, form)).unwrap_or(key);
    assert_eq!(used, english.keys().map(|key| base(key.as_str())).collect());
}

#[test]
fn no_text_stands_in_the_code() {
    for (file, source) in SPEAKING {
        for (literal, line) in literals(source) {
            // A terminal's, or a problem's detail.
            if ["say(", "detail:", "Err(", "expect("].iter().any(|other| line.contains(other)) {
                continue;
            }
            let letters = |text: &str| text.chars().filter(|letter| letter.is_alphabetic()).count();
            let words = literal.split_whitespace().filter(|word| letters(word) > 1 && !word.contains('{')).count();
            assert!(words < 2 && !literal.contains('…'), "{file}: {literal}");
        }
    }
}

#[test]
fn the_desktop_s_language_is_what_gettext_would_take() {
    let of = |variables: &[(&str, &str)]| {
        Spoken::of_system(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    };
    assert_eq!(of(&[]), Spoken::English);
    assert_eq!(of(&[("LANG", "de_AT.UTF-8")]), Spoken::German);
    assert_eq!(of(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "en_GB.UTF-8")]), Spoken::English);
    assert_eq!(of(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "")]), Spoken::German);
    assert_eq!(of(&[("LANG", "en_GB.UTF-8"), ("LANGUAGE", "fr:de:en")]), Spoken::German);
    assert_eq!(of(&[("LANG", "C.UTF-8"), ("LANGUAGE", "de")]), Spoken::English);
    assert_eq!(of(&[("LANG", "fr_FR.UTF-8")]), Spoken::English);
    assert_eq!(Spoken::chosen(Language::De), Spoken::German);
    assert_eq!(Spoken::chosen(Language::En), Spoken::English);
}

#[test]
fn parameters_are_filled_in_and_nothing_else_is_taken_for_one() {
    let said = Spoken::German.with("menu.asks", &[("program", "{account}"), ("account", "arbeit")]);
    assert_eq!(said, "{account} fragt nach arbeit…");
    assert_eq!(Spoken::German.count("menu.problems", 3, &[]), "3 Dinge wollen angesehen werden…");
    assert_eq!(Spoken::English.count("menu.problems", 1, &[]), "Something needs a look…");
    assert_eq!(Spoken::English.text("menu.unheard-of"), "menu.unheard-of");
}
