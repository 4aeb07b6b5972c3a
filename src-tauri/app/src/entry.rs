//! The desktop entry of a build run from source, as text (Desktop Entry Specification 1.5).

use larder_core::scheme::SCHEME;

/// The entry's file name. A package's is another one, so neither is ever taken for the other.
pub const FILE: &str = "larder-desktop-dev.desktop";

/// The scheme's MIME type, under which handlers are registered.
pub fn mime_type() -> String {
    format!("x-scheme-handler/{SCHEME}")
}

/// The entry that starts `program` with a redirect; `None` where the path cannot be written in one.
pub fn text(program: &str) -> Option<String> {
    let exec = quoted(program)?;
    let mime = mime_type();
    Some(format!(
        "[Desktop Entry]\n\
         # Written by a build of Larder that was run from its source; `larder-desktop --unregister` removes it.\n\
         Type=Application\n\
         Name=Larder (from source)\n\
         Exec={exec} %u\n\
         NoDisplay=true\n\
         Terminal=false\n\
         StartupNotify=true\n\
         MimeType={mime};\n"
    ))
}

/// The entry that starts `program` at login, without a window or with one; `None` where the path cannot be written in one.
pub fn at_login(program: &str, hidden: bool) -> Option<String> {
    let exec = quoted(program)?;
    let hidden = if hidden { HIDDEN } else { "" };
    Some(format!(
        "[Desktop Entry]\n\
         # Written by Larder's menu, “Start at login”, which also removes it.\n\
         Type=Application\n\
         Name=Larder\n\
         Comment=Keeps your accounts signed in\n\
         Exec={exec}{hidden}\n\
         Icon=larder-desktop\n\
         Terminal=false\n\
         X-GNOME-Autostart-enabled=true\n"
    ))
}

/// What makes it start without a window.
const HIDDEN: &str = " --hidden";

/// Whether this entry starts Larder without a window.
pub fn starts_hidden(entry: &str) -> bool {
    entry.lines().any(|line| line.starts_with("Exec=") && line.ends_with(HIDDEN))
}

/// Whether a desktop that finds this entry in its autostart folder starts it: people switch entries off by these keys.
pub fn starts(entry: &str) -> bool {
    let says = |key: &str, value: &str| {
        entry.lines().filter_map(|line| line.split_once('=')).any(|(k, v)| k.trim() == key && v.trim() == value)
    };
    !says("Hidden", "true") && !says("X-GNOME-Autostart-enabled", "false")
}

/// The program as `Exec` wants it. Unquoted wherever the specification allows it, because Debian's `xdg-open` takes
/// quotes for a part of the path when no desktop is known.
fn quoted(program: &str) -> Option<String> {
    if program.is_empty() || program.chars().any(char::is_control) {
        return None;
    }
    let field = program.replace('%', "%%");
    if !program.contains(|c: char| c == ' ' || "\"'\\><~|&;$*?#()`".contains(c)) {
        return Some(field);
    }
    // Two layers: within quotes `"`, `` ` ``, `$` and `\` are escaped, and then every `\` once more as a string value.
    let mut inner = String::new();
    for c in field.chars() {
        if matches!(c, '"' | '`' | '$' | '\\') {
            inner.push('\\');
        }
        inner.push(c);
    }
    Some(format!("\"{}\"", inner.replace('\\', "\\\\")))
}

/// `mimeapps.list` without the lines that name our entry for the scheme; `None` where there are none.
pub fn without_us(list: &str) -> Option<String> {
    let mime = mime_type();
    let ours = |line: &str| {
        line.split_once('=')
            .is_some_and(|(key, value)| key.trim() == mime && value.trim().trim_end_matches(';') == FILE)
    };
    let kept: String = list.split_inclusive('\n').filter(|line| !ours(line)).collect();
    (kept != list).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_path_is_not_quoted() {
        assert!(
            text("/home/ada/larder/target/debug/larder-desktop")
                .unwrap()
                .contains("\nExec=/home/ada/larder/target/debug/larder-desktop %u\n")
        );
    }

    #[test]
    fn a_path_with_reserved_characters_is_quoted_as_specified() {
        assert_eq!(quoted("/home/my code/larder").unwrap(), "\"/home/my code/larder\"");
        assert_eq!(quoted("/a$b").unwrap(), "\"/a\\\\$b\"");
        assert_eq!(quoted("/100%/x").unwrap(), "/100%%/x");
        assert_eq!(quoted("/a\\b").unwrap(), "\"/a\\\\\\\\b\"");
    }

    #[test]
    fn what_starts_at_login_starts_hidden_unless_it_was_switched_off() {
        let entry = at_login("/home/my code/larder", true).unwrap();
        assert!(entry.contains("\nExec=\"/home/my code/larder\" --hidden\n"));
        assert!(starts(&entry));
        assert!(!starts(&format!("{entry}Hidden=true\n")));
        assert!(!starts(&entry.replace("enabled=true", "enabled=false")));
        assert_eq!(at_login("/a\nExec=/bin/sh", true), None);
    }

    #[test]
    fn a_path_that_would_begin_a_new_line_is_refused() {
        assert_eq!(text("/a\nExec=/bin/sh"), None);
    }

    #[test]
    fn only_our_own_line_leaves_the_list() {
        let list = "[Default Applications]\ntext/html=firefox.desktop\n\
                    x-scheme-handler/dev.larder.desktop=larder-desktop-dev.desktop\n\
                    x-scheme-handler/other=larder-desktop-dev.desktop\n";
        assert_eq!(
            without_us(list).unwrap(),
            "[Default Applications]\ntext/html=firefox.desktop\nx-scheme-handler/other=larder-desktop-dev.desktop\n"
        );
        assert_eq!(without_us("[Default Applications]\n"), None);
    }

    #[test]
    fn configuration_and_package_name_the_same_scheme() {
        let configuration: serde_json::Value = serde_json::from_str(include_str!("../../../tauri.conf.json")).unwrap();
        assert_eq!(configuration["plugins"]["deep-link"]["desktop"]["schemes"], serde_json::json!([SCHEME]));
        assert_eq!(configuration["identifier"], SCHEME);
        let packaged = include_str!("../larder.desktop");
        assert!(packaged.contains(&format!("\nMimeType={};\n", mime_type())));
        assert!(packaged.contains("\nExec={{exec}} %u\n"));
    }
}
