//! What a program writes to the socket.

use super::wait;
use larder_agent::socket;
use larder_core::problem::Problem;

/// As many lines as a conversation may have: each is a message or the end of it, and what is taken for a message is written
/// again as the same one.
pub fn frames(data: &[u8]) {
    let mut rest = data;
    let mut left = data.len() + 1;
    while let Some(message) = wait(socket::read(&mut rest)).expect("a slice does not fail") {
        left = left.checked_sub(1).expect("a message takes bytes");
        let ask = match message {
            Ok(ask) => ask,
            Err(Problem::BadRequest { detail }) => {
                // Nothing of the message, which may have held a redirect or a passphrase.
                assert!(detail.len() < 128, "{detail:?}");
                return;
            }
            Err(other) => panic!("another problem: {other:?}"),
        };
        let written = serde_json::to_string(&ask).expect("it can be written");
        let mut again = written.as_bytes();
        let mut line = [again, b"\n"].concat();
        again = &line;
        let again = wait(socket::read(&mut again)).expect("a slice does not fail").expect("a message");
        match again {
            Ok(again) => assert_eq!(serde_json::to_string(&again).expect("it can be written"), written),
            // Written anew it may be longer than a message may be: escapes, and fields that were left out.
            Err(_) => assert!(line.len() > 64 * 1024, "{written}"),
        }
        line.clear();
    }
}
