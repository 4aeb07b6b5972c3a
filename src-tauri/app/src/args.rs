//! The command line. A browser can make the system start this program with text of its choosing, so a
//! redirect is taken only where it is the one and only argument: nothing that follows it is ever a flag.

use larder_core::protocol::OnWire;
use larder_core::scheme;
use std::ffi::OsString;

/// What `--help` prints.
pub const USAGE: &str = "\
usage: larder-desktop [--demo] [--hidden]
       larder-desktop URL

  --demo        also offer the demonstration provider, on this computer, for as long as this app runs
  --hidden      start in the tray, without a window
  --unregister  stop opening Larder's links with this build (removes what a build run from source wrote)
  --help, --version

URL is a redirect of a sign-in (dev.larder.desktop:/callback?…), as the browser hands it over.";

/// What the process was started for.
#[derive(Debug, PartialEq, Eq)]
pub enum Start {
    /// To hand over a redirect.
    Redirect(OnWire),
    /// To be the app.
    App(Options),
    /// To undo the registration of a build run from source.
    Unregister,
    /// To print the usage.
    Help,
    /// To print the version.
    Version,
}

/// How the app starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Offer the demonstration provider.
    pub demo: bool,
    /// Without a window.
    pub hidden: bool,
}

/// Reads the arguments after the program's name; the error is a sentence.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Start, String> {
    let mut given = Vec::new();
    for argument in arguments {
        // The argument itself is not repeated: it may hold an authorization code.
        given.push(argument.into_string().map_err(|_| "An argument is not text.".to_owned())?);
    }
    if given.iter().any(|argument| scheme::is_ours(argument)) {
        return match <[String; 1]>::try_from(given) {
            Ok([url]) => Ok(Start::Redirect(OnWire::new(url))),
            Err(_) => Err("A redirect must be the only argument; nothing was handed over.".to_owned()),
        };
    }
    let alone = |start| if given.len() == 1 { Ok(start) } else { Err(format!("{} must stand alone.", given[0])) };
    match given.first().map(String::as_str) {
        Some("--help" | "-h") => return alone(Start::Help),
        Some("--version" | "-V") => return alone(Start::Version),
        Some("--unregister") => return alone(Start::Unregister),
        _ => {}
    }
    let mut options = Options::default();
    for argument in &given {
        match argument.as_str() {
            "--demo" => options.demo = true,
            "--hidden" => options.hidden = true,
            flag if flag.starts_with('-') => return Err(format!("{flag} is not an option of larder-desktop.")),
            _ => return Err("That argument is not a redirect of Larder's.".to_owned()),
        }
    }
    Ok(Start::App(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "dev.larder.desktop:/callback?code=c&state=s";

    fn parsed(arguments: &[&str]) -> Result<Start, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn a_redirect_alone_is_handed_over() {
        assert_eq!(parsed(&[URL]), Ok(Start::Redirect(OnWire::new(URL.to_owned()))));
    }

    #[test]
    fn a_redirect_beside_anything_else_is_refused_and_not_repeated() {
        for arguments in [[URL, "--demo"], ["--hidden", URL], [URL, URL], ["--", URL]] {
            assert!(!parsed(&arguments).unwrap_err().contains("code=c"));
        }
    }

    #[test]
    fn flags_combine_and_unknown_ones_are_refused() {
        assert_eq!(parsed(&[]), Ok(Start::App(Options::default())));
        assert_eq!(parsed(&["--hidden", "--demo"]), Ok(Start::App(Options { demo: true, hidden: true })));
        assert!(parsed(&["--gtk-module=x"]).is_err());
        assert!(parsed(&["https://example.com"]).is_err());
        assert!(parsed(&["--help", "--demo"]).is_err());
    }
}
