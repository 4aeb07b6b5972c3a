//! A token that was rejected, from stdin: arguments are seen by other programs.

use larder_client::{OnWire, Problem, Rejected};
use larder_core::protocol::MOST_TOKEN;
use std::io::{self, BufRead};

/// What `--rejected` and `--rejected-token -` say.
pub fn rejected(last: bool, token: bool) -> Result<Option<Rejected>, Problem> {
    match (last, token) {
        (_, true) => line(io::stdin().lock()).map(|token| Some(Rejected::Token(token))),
        (true, false) => Ok(Some(Rejected::Last)),
        (false, false) => Ok(None),
    }
}

/// The first line, without what surrounds it.
fn line(from: impl BufRead) -> Result<OnWire, Problem> {
    // Room for a line end, and for one byte more, by which one that is too long is known.
    let mut text = String::with_capacity(MOST_TOKEN + 3);
    let unreadable = |error: io::Error| refused(&format!("the token cannot be read: {error}"));
    from.take(MOST_TOKEN as u64 + 3).read_line(&mut text).map_err(unreadable)?;
    // Wrapped, so that its memory is cleared.
    let text = OnWire::new(text);
    match text.expose().trim() {
        "" => Err(refused("the token that was rejected is expected on stdin, on a line")),
        token if token.len() > MOST_TOKEN => Err(refused(&format!("a token has at most {MOST_TOKEN} bytes"))),
        token => Ok(OnWire::new(token.to_owned())),
    }
}

fn refused(detail: &str) -> Problem {
    Problem::BadRequest { detail: detail.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_the_first_line_and_no_longer_than_any_is() {
        assert_eq!(line(&b" abc \r\nmore"[..]).unwrap().expose(), "abc");
        for text in ["", "\n", " \r\n"] {
            assert!(matches!(line(text.as_bytes()), Err(Problem::BadRequest { .. })));
        }
        let longest = "x".repeat(MOST_TOKEN);
        assert!(line(format!("{longest}\r\n").as_bytes()).is_ok());
        assert!(matches!(line(format!("{longest}x").as_bytes()), Err(Problem::BadRequest { .. })));
    }
}
