//! What the agent pushes, as an iterator.

use crate::{Answer, Client, Problem, Push, Request};
use std::iter::FusedIterator;

/// Every change of the view and every event, as they come. Waits for the next one as long as it takes.
///
/// Ends with one [`Problem::NoAgent`] when the agent goes: connect again for more.
#[derive(Debug)]
pub struct Pushes {
    client: Client,
    ended: bool,
}

impl Pushes {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, ended: false }
    }

    /// Asks on the stream's own connection. What is pushed meanwhile is kept, in order.
    ///
    /// # Errors
    /// As [`Client::ask`].
    pub fn ask(&mut self, request: Request) -> Result<Answer, Problem> {
        self.client.ask(request)
    }
}

impl Iterator for Pushes {
    type Item = Result<Push, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.client.next_push();
        self.ended = next.is_err();
        Some(next)
    }
}

impl FusedIterator for Pushes {}
