//! What happened and is not in the chain yet. The same of one program within a minute is one row; so is a trouble that lasts
//! within an hour.

use larder_core::names::{AccountId, Scope};
use larder_core::problem::Problem;
use larder_core::time::{WallTime, millis};
use larder_core::view::{EventKind, EventView};
use std::collections::{BTreeMap, HashMap};
use std::mem::Discriminant;
use std::time::Duration;

/// The same within this time is one row.
pub const MINUTE: Duration = Duration::from_secs(60);

/// A trouble that lasts is tried many times; of those within this time, the first is a row, and all others are one more.
const LASTS: Duration = Duration::from_secs(60 * 60);

/// So many rows wait at the most while the disk is full, about 2 MiB; past it, the oldest ones go.
pub const MOST_WAITING: usize = 4096;

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Same {
    kind: EventKind,
    account: Option<AccountId>,
    program: Option<String>,
    scopes: Vec<Scope>,
    /// Its code alone: how long a provider asks to wait differs each time.
    problem: Option<Discriminant<Problem>>,
}

impl Same {
    fn of(event: &EventView) -> Self {
        let problem = event.problem.as_ref().map(std::mem::discriminant);
        let (account, program, scopes) = (event.account.clone(), event.program.clone(), event.scopes.clone());
        Self { kind: event.kind, account, program, scopes, problem }
    }
}

/// A row that may still change.
#[derive(Clone, Debug)]
pub struct Open {
    /// Its number, once it is on the disk.
    pub number: Option<i64>,
    /// How often it happened, as the disk has it.
    written: u32,
    /// What happened.
    pub event: EventView,
}

/// A trouble that lasts.
#[derive(Debug)]
struct Lasting {
    since: WallTime,
    /// What of it is in no row yet.
    repeated: Option<EventView>,
}

/// All that waits.
#[derive(Debug, Default)]
pub struct Waiting {
    rows: BTreeMap<u64, Open>,
    places: HashMap<Same, u64>,
    lasting: HashMap<Same, Lasting>,
    next: u64,
    /// So many rows went for want of room.
    lost: u64,
}

/// Whether `at` is within this time of `since`; a clock that was set back is not.
fn within(since: WallTime, at: WallTime, time: Duration) -> bool {
    (0..millis(time)).contains(&at.0.saturating_sub(since.0))
}

fn repeat(row: &mut EventView, event: &EventView) {
    row.count = row.count.saturating_add(event.count);
    row.last = Some(event.last.unwrap_or(event.at));
}

impl Waiting {
    /// Something happened.
    pub fn add(&mut self, event: EventView) {
        match event.kind {
            EventKind::HandedOut | EventKind::Refused | EventKind::CallbackRefused => self.repeatable(event),
            EventKind::RefreshFailed | EventKind::Unsaved | EventKind::RegistrationLeft => self.trouble(event),
            _ => {
                // What lasted is over, or is another session's.
                if let Some(account) = &event.account {
                    self.is_over(account);
                }
                // What a program gets from now on is another thing than what it got before this.
                self.places.retain(|same, _| event.account.is_some() && same.account != event.account);
                self.push(event);
            }
        }
    }

    fn repeatable(&mut self, event: EventView) {
        let same = Same::of(&event);
        let open = self.places.get(&same).and_then(|id| self.rows.get_mut(id));
        match open.filter(|open| within(open.event.at, event.at, MINUTE)) {
            Some(open) => repeat(&mut open.event, &event),
            None => {
                let id = self.push(event);
                self.places.insert(same, id);
            }
        }
    }

    fn trouble(&mut self, event: EventView) {
        let same = Same::of(&event);
        match self.lasting.get_mut(&same) {
            Some(lasting) if within(lasting.since, event.at, LASTS) => match &mut lasting.repeated {
                Some(row) => repeat(row, &event),
                None => lasting.repeated = Some(event),
            },
            _ => {
                let before = self.lasting.insert(same, Lasting { since: event.at, repeated: None });
                if let Some(row) = before.and_then(|before| before.repeated) {
                    self.push(row);
                }
                self.push(event);
            }
        }
    }

    fn is_over(&mut self, account: &AccountId) {
        let over: Vec<_> = self.lasting.keys().filter(|same| same.account.as_ref() == Some(account)).cloned().collect();
        let mut rows: Vec<_> =
            over.iter().filter_map(|same| self.lasting.remove(same)).filter_map(|lasting| lasting.repeated).collect();
        rows.sort_by_key(|row| row.at);
        for row in rows {
            self.push(row);
        }
    }

    /// The agent ends: what lasts is written too.
    pub fn end(&mut self) {
        let mut rows: Vec<_> = self.lasting.drain().filter_map(|(_, lasting)| lasting.repeated).collect();
        rows.sort_by_key(|row| row.at);
        for row in rows {
            self.push(row);
        }
    }

    fn push(&mut self, event: EventView) -> u64 {
        if self.rows.len() >= MOST_WAITING {
            self.rows.pop_first();
            self.lost += 1;
        }
        self.next += 1;
        self.rows.insert(self.next, Open { number: None, written: 0, event });
        self.next
    }

    /// Takes the name of an account away.
    pub fn forget(&mut self, account: &AccountId) {
        let rows = self.rows.values_mut().map(|open| &mut open.event);
        let repeated = self.lasting.values_mut().filter_map(|lasting| lasting.repeated.as_mut());
        for event in rows.chain(repeated).filter(|event| event.account.as_ref() == Some(account)) {
            event.label = None;
            event.problem = None;
        }
    }

    /// Whether no row is open.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What is to be written now, in order.
    pub fn changed(&self) -> Vec<(u64, Open)> {
        let changed = self.rows.iter().filter(|(_, open)| open.written != open.event.count);
        changed.map(|(id, open)| (*id, open.clone())).collect()
    }

    /// What was written, with its number and how often it had happened then.
    pub fn wrote(&mut self, written: Vec<(u64, i64, u32)>) {
        for (id, number, count) in written {
            if let Some(open) = self.rows.get_mut(&id) {
                open.number = Some(number);
                open.written = count;
            }
        }
    }

    /// Takes every row, to be written and closed: what repeats them from now on is a row of its own.
    pub fn take(&mut self) -> Vec<(u64, Open)> {
        self.places.clear();
        std::mem::take(&mut self.rows).into_iter().collect()
    }

    /// Rows that could be neither written nor closed.
    pub fn put_back(&mut self, rows: Vec<(u64, Open)>) {
        for (id, open) in rows {
            self.places.entry(Same::of(&open.event)).or_insert(id);
            self.rows.insert(id, open);
        }
        while self.rows.len() > MOST_WAITING {
            self.rows.pop_first();
            self.lost += 1;
        }
    }

    /// How many rows went for want of room, since this was last asked.
    pub fn lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64, kind: EventKind) -> EventView {
        EventView { account: Some("a".into()), label: Some("work".to_owned()), ..EventView::new(WallTime(ms), kind) }
    }

    fn handed_out(ms: i64, program: &str) -> EventView {
        EventView { program: Some(program.to_owned()), ..at(ms, EventKind::HandedOut) }
    }

    fn rows(waiting: &mut Waiting) -> Vec<(EventKind, i64, u32, Option<i64>)> {
        let rows = waiting.take().into_iter().map(|(_, open)| open.event);
        rows.map(|event| (event.kind, event.at.0, event.count, event.last.map(|last| last.0))).collect()
    }

    #[test]
    fn what_one_program_gets_within_a_minute_is_one_row() {
        let mut waiting = Waiting::default();
        for ms in 0..59_999 {
            waiting.add(handed_out(ms, "/usr/bin/git"));
        }
        waiting.add(handed_out(30_000, "/usr/bin/curl"));
        waiting.add(handed_out(60_000, "/usr/bin/git"));
        // A clock that was set back begins another one.
        waiting.add(handed_out(10, "/usr/bin/git"));
        let kind = EventKind::HandedOut;
        let expected =
            [(kind, 0, 59_999, Some(59_998)), (kind, 30_000, 1, None), (kind, 60_000, 1, None), (kind, 10, 1, None)];
        assert_eq!(rows(&mut waiting), expected);
    }

    #[test]
    fn what_a_program_gets_after_a_change_is_another_row() {
        let mut waiting = Waiting::default();
        waiting.add(handed_out(0, "/usr/bin/git"));
        waiting.add(at(1, EventKind::SignedOut));
        waiting.add(handed_out(2, "/usr/bin/git"));
        waiting.add(EventView::new(WallTime(3), EventKind::PolicyChanged));
        waiting.add(handed_out(4, "/usr/bin/git"));
        let counts: Vec<_> = rows(&mut waiting).into_iter().map(|(_, at, count, _)| (at, count)).collect();
        assert_eq!(counts, [(0, 1), (1, 1), (2, 1), (3, 1), (4, 1)]);
    }

    #[test]
    fn a_trouble_that_lasts_is_a_row_an_hour_and_one_at_its_end() {
        let mut waiting = Waiting::default();
        let failed = |ms| EventView { problem: Some(Problem::KeychainLocked), ..at(ms, EventKind::RefreshFailed) };
        // Every 20 seconds for an hour and a half.
        for tries in 0..270 {
            waiting.add(failed(tries * 20_000));
        }
        waiting.add(at(270 * 20_000, EventKind::Refreshed));
        let kind = EventKind::RefreshFailed;
        let expected = [
            (kind, 0, 1, None),
            (kind, 20_000, 179, Some(179 * 20_000)),
            (kind, 3_600_000, 1, None),
            (kind, 3_620_000, 89, Some(269 * 20_000)),
            (EventKind::Refreshed, 5_400_000, 1, None),
        ];
        assert_eq!(rows(&mut waiting), expected);
    }

    #[test]
    fn what_could_not_be_written_waits_and_only_the_oldest_goes_for_want_of_room() {
        let mut waiting = Waiting::default();
        for ms in 0..5000 {
            waiting.add(at(ms, EventKind::SignedIn));
        }
        let taken = waiting.take();
        waiting.add(at(5000, EventKind::SignedOut));
        waiting.put_back(taken);
        assert_eq!(waiting.lost(), 5001 - MOST_WAITING as u64);
        let rows = rows(&mut waiting);
        assert_eq!((rows.len(), rows[0].1, rows[MOST_WAITING - 1].1), (MOST_WAITING, 905, 5000));
    }

    #[test]
    fn a_row_that_grows_while_it_is_written_is_written_again() {
        let mut waiting = Waiting::default();
        waiting.add(handed_out(0, "/usr/bin/git"));
        let changed = waiting.changed();
        waiting.add(handed_out(1, "/usr/bin/git"));
        waiting.wrote(vec![(changed[0].0, 7, 1)]);
        let again = waiting.changed();
        assert_eq!((again[0].1.number, again[0].1.event.count), (Some(7), 2));
    }
}
