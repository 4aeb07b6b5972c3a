//! Hands an address to the person's browser.

use std::io;
use std::process::{Command, Stdio};

/// Opens `url`: with `$BROWSER` where the person set it, else with what the desktop says
/// (`xdg-open` and its kin, `open`, the Windows shell). Does not wait for the browser.
pub fn open(url: &str) -> io::Result<()> {
    let chosen = std::env::var("BROWSER").unwrap_or_default();
    for (program, arguments) in candidates(&chosen, url) {
        // Nothing of a browser's own talk belongs into the answer on stdout.
        let command = &mut Command::new(program);
        if command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_ok() {
            return Ok(());
        }
    }
    open::that_detached(url)
}

/// The commands that `$BROWSER` lists: separated by colons, `%s` for the address or else behind them, as `xdg-open`,
/// Python and git read it. No shell is asked: an address cannot become a command.
fn candidates(list: &str, url: &str) -> Vec<(String, Vec<String>)> {
    let command = |text: &str| {
        let mut words: Vec<String> = text.split_whitespace().map(|word| word.replace("%s", url)).collect();
        if !text.contains("%s") {
            words.push(url.to_owned());
        }
        (words.remove(0), words)
    };
    // Windows has no such custom, and colons in its paths.
    let list = if cfg!(windows) { "" } else { list };
    list.split(':').filter(|text| !text.trim().is_empty()).map(command).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use super::candidates;

    #[test]
    fn browser_is_a_list_of_commands() {
        let url = "https://a.example/?q=%s;rm";
        assert_eq!(candidates("", url), []);
        assert_eq!(candidates("::", url), []);
        let firefox = ("firefox".to_owned(), vec!["--new-tab".to_owned(), url.to_owned()]);
        let w3m = ("w3m".to_owned(), vec![format!("-u={url}"), "-x".to_owned()]);
        assert_eq!(candidates("firefox --new-tab:w3m -u=%s -x", url), [firefox, w3m]);
    }
}
