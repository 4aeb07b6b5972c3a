//! A passphrase, from the terminal without echo, or from stdin where that is none. Never from arguments or environment.

use larder_client::{OnWire, Problem};
use larder_core::protocol::MOST_PASSPHRASE;
use std::io::{self, BufRead, IsTerminal};

/// What the agent wants: the passphrase that was chosen, or a new one. A new one is asked for twice at a terminal.
pub fn read(wanted: Problem) -> Result<OnWire, Problem> {
    let stdin = io::stdin().lock();
    if !stdin.is_terminal() {
        return line(stdin, wanted);
    }
    if wanted != Problem::PassphraseUnset {
        return ask("Passphrase: ");
    }
    let passphrase = ask("Choose a passphrase for this profile's keys: ")?;
    if ask("The same passphrase again: ")? != passphrase {
        let detail = "the two passphrases differ, and nothing was changed".to_owned();
        return Err(Problem::BadRequest { detail });
    }
    Ok(passphrase)
}

/// What seals a file; at a terminal it is asked for twice, where it is chosen.
pub fn of_a_file(chosen: bool) -> Result<OnWire, Problem> {
    let stdin = io::stdin().lock();
    if !stdin.is_terminal() {
        let detail = "give the file's passphrase on stdin, or run this in a terminal".to_owned();
        return line(stdin, Problem::BadRequest { detail });
    }
    let passphrase = ask(if chosen { "Choose a passphrase for the file: " } else { "The file's passphrase: " })?;
    if chosen && ask("The same passphrase again: ")? != passphrase {
        let detail = "the two passphrases differ, and nothing was changed".to_owned();
        return Err(Problem::BadRequest { detail });
    }
    Ok(passphrase)
}

fn ask(prompt: &str) -> Result<OnWire, Problem> {
    rpassword::prompt_password(prompt).map(OnWire::new).map_err(unreadable)
}

/// The first line, without its end. Where there is none, what was wanted is still wanted.
fn line(from: impl BufRead, wanted: Problem) -> Result<OnWire, Problem> {
    // Room for a line end, and for one byte more, by which one that is too long is known.
    let mut text = String::with_capacity(MOST_PASSPHRASE + 3);
    from.take(MOST_PASSPHRASE as u64 + 3).read_line(&mut text).map_err(unreadable)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    // Wrapped before anything can fail, so that its memory is cleared.
    let passphrase = OnWire::new(text);
    match passphrase.expose().len() {
        0 => Err(wanted),
        1..=MOST_PASSPHRASE => Ok(passphrase),
        _ => Err(Problem::BadRequest { detail: format!("a passphrase has at most {MOST_PASSPHRASE} bytes") }),
    }
}

fn unreadable(error: io::Error) -> Problem {
    Problem::BadRequest { detail: format!("the passphrase cannot be read: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_the_first_line_with_its_spaces() {
        let passphrase = line(&b" correct  horse \r\nmore"[..], Problem::PassphraseNeeded).unwrap();
        assert_eq!(passphrase.expose(), " correct  horse ");
    }

    #[test]
    fn nothing_is_no_passphrase_and_too_much_is_none_either() {
        for text in ["", "\n", "\r\n"] {
            assert_eq!(line(text.as_bytes(), Problem::PassphraseNeeded), Err(Problem::PassphraseNeeded));
        }
        let longest = "x".repeat(MOST_PASSPHRASE);
        assert!(line(format!("{longest}\r\n").as_bytes(), Problem::PassphraseNeeded).is_ok());
        for text in [format!("{longest}x\n"), "x".repeat(1 << 20)] {
            let refused = line(text.as_bytes(), Problem::PassphraseNeeded);
            assert!(matches!(refused, Err(Problem::BadRequest { .. })));
        }
    }
}
