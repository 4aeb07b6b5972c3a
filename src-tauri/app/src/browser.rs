//! Opens the person's own browser (RFC 8252 section 6): the URL is parsed and written anew, and reaches the
//! system's opener as one argument, never through a shell.

use larder_core::problem::Problem;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use url::{Host, Url};

/// How long the system's opener is watched for a failure. `xdg-open` fails within a few hundred milliseconds where
/// it knows no browser; one that still runs then has become the browser.
const WATCHED: Duration = Duration::from_secs(2);

/// Opens `text` where it is an address that a sign-in may lead to, in this browser (a program with its arguments), or in
/// the system's own where it is empty.
///
/// # Errors
/// [`Problem::NotLoopback`] for plain http elsewhere, [`Problem::Internal`] for anything that is no web address, or
/// where no browser starts.
pub fn open(text: &str, browser: &[String]) -> Result<(), Problem> {
    start(&allowed(text)?, browser)
}

/// Opens `text` where it is a page on the web, for its person to read.
///
/// # Errors
/// [`Problem::Internal`] for anything that is not https, or where no browser starts.
pub fn open_web(text: &str, browser: &[String]) -> Result<(), Problem> {
    let url = allowed(text)?;
    if url.scheme() == "https" {
        start(&url, browser)
    } else {
        Err(no_address(&format!("its scheme is {}", url.scheme())))
    }
}

fn start(url: &Url, browser: &[String]) -> Result<(), Problem> {
    #[cfg(target_os = "linux")]
    crate::drawing::decided();
    if let [program, arguments @ ..] = browser {
        // Its output is nobody's; it goes on when this app ends.
        let started =
            Command::new(program).args(arguments).arg(url.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        return started.map(|child| drop(std::thread::spawn(|| reap(child)))).map_err(|error| Problem::Internal {
            detail: format!("the browser that is set, {program}, could not be started: {}", error.kind()),
        });
    }
    let opened = if cfg!(windows) {
        open::that_detached(url.as_str())
    } else {
        open::that_detached_with_timeout(url.as_str(), WATCHED)
    };
    // The error's text would repeat the whole command, and with it the URL and its state: only its kind is shown.
    opened.map_err(|error| Problem::Internal { detail: format!("no browser could be opened: {}", error.kind()) })
}

/// A process that has ended is to be asked how, or its entry stays in the system's table.
fn reap(mut child: Child) {
    let _ = child.wait();
}

/// The address, if it is https, or http on this computer.
fn allowed(text: &str) -> Result<Url, Problem> {
    let url = Url::parse(text).map_err(|error| no_address(&error.to_string()))?;
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_loopback(&host) => Ok(url),
        ("http", _) => Err(Problem::NotLoopback {
            field: "authorization_endpoint".to_owned(),
            url: url.origin().ascii_serialization(),
        }),
        (scheme, _) => Err(no_address(&format!("its scheme is {scheme}"))),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

fn no_address(why: &str) -> Problem {
    Problem::Internal { detail: format!("the agent named an address that no browser may open: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_and_this_computer_are_opened() {
        for good in
            ["https://login.example.com/a?b=c", "http://127.0.0.1:4747/a", "http://[::1]/", "http://localhost:1/"]
        {
            assert!(allowed(good).is_ok(), "{good}");
        }
        for bad in [
            "http://example.com/",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "dev.larder.desktop:/callback",
            "-a https://example.com",
            "",
        ] {
            assert!(allowed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_page_to_read_is_https() {
        for bad in ["http://127.0.0.1:4747/", "file:///etc/passwd", "http://example.com/"] {
            assert!(open_web(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_a_shell_would_read_is_written_anew() {
        let url = allowed("https://example.com/a b\"`?c=$(d)'").unwrap();
        assert_eq!(url.as_str(), "https://example.com/a%20b%22%60?c=$(d)%27");
    }

    #[test]
    fn plain_http_elsewhere_is_named_without_its_query() {
        let Err(Problem::NotLoopback { url, .. }) = allowed("http://example.com/a?state=s") else { panic!() };
        assert_eq!(url, "http://example.com");
    }
}
