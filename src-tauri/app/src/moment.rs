//! Moments in words, by the person's own clock.

use crate::language::Spoken;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use larder_core::time::WallTime;

/// A clock on the wall: where the person is.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// The system's zone. Read anew for each menu: people travel.
    pub fn here() -> Self {
        Self(TimeZone::system())
    }

    /// Somewhere that does not move, for tests.
    #[cfg(test)]
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// `2026-11-24`.
    pub fn today(&self) -> String {
        self.0.to_datetime(Timestamp::now()).date().to_string()
    }

    /// `14:32` today, `Tue 14:32` within a week, else `3 Dec 14:32`; `None` outside the calendar.
    pub fn until(&self, at: WallTime, now: WallTime, spoken: Spoken) -> Option<String> {
        let local =
            |time: WallTime| Timestamp::from_millisecond(time.0).ok().map(|t| t.to_zoned_datetime(self.0.clone()));
        let (at, now) = (local(at)?, local(now)?);
        let days = now.date().until(at.date()).ok()?.get_days();
        let time = at.strftime("%H:%M").to_string();
        let name = |list: &str, at: i8| spoken.text(list).split(' ').nth(usize::try_from(at).ok()?).map(str::to_owned);
        Some(match days {
            0 => time,
            // A week ahead has the same name as today.
            1..=6 => {
                let weekday = name("moment.weekdays", at.weekday().to_monday_zero_offset())?;
                spoken.with("moment.day", &[("weekday", &weekday), ("time", &time)])
            }
            _ => {
                let (day, month) = (at.day().to_string(), name("moment.months", at.month() - 1)?);
                spoken.with("moment.date", &[("day", &day), ("month", &month), ("time", &time)])
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(at: &str, now: &str) -> String {
        until_in(Spoken::English, at, now)
    }

    fn until_in(spoken: Spoken, at: &str, now: &str) -> String {
        let wall = |text: &str| WallTime(text.parse::<Timestamp>().unwrap().as_millisecond());
        Zone::utc().until(wall(at), wall(now), spoken).unwrap()
    }

    #[test]
    fn the_day_is_named_only_where_it_is_another_one() {
        assert_eq!(until("2025-11-24T14:32:59Z", "2025-11-24T00:00:00Z"), "14:32");
        assert_eq!(until("2025-11-25T00:05:00Z", "2025-11-24T23:59:00Z"), "Tue 00:05");
        assert_eq!(until("2025-12-01T09:00:00Z", "2025-11-24T09:00:00Z"), "1 Dec 09:00");
        assert_eq!(until("2025-11-23T09:00:00Z", "2025-11-24T09:00:00Z"), "23 Nov 09:00");
        let german = |at| until_in(Spoken::German, at, "2025-11-24T09:00:00Z");
        assert_eq!(german("2025-11-25T00:05:00Z"), "Di 00:05");
        assert_eq!(german("2025-11-30T00:05:00Z"), "So 00:05");
        assert_eq!(german("2026-03-01T09:00:00Z"), "1. März 09:00");
    }

    #[test]
    fn a_moment_outside_the_calendar_has_no_words() {
        assert_eq!(Zone::utc().until(WallTime(i64::MAX), WallTime(0), Spoken::English), None);
    }
}
