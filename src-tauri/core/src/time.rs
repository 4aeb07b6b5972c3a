//! Time as a value: core reads no clock.

use serde::{Deserialize, Serialize};
use std::time::Duration;
use ts_rs::TS;

/// Milliseconds since 1970-01-01 UTC, as the wall clock says. It can be set, forward and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, TS)]
#[ts(type = "number")]
pub struct WallTime(pub i64);

/// Milliseconds since the machine started, counting sleep. Nobody can set it, and it means nothing after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BootTime(pub i64);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// What the wall clock says.
    pub wall: WallTime,
    /// How long the machine has been up, sleep included.
    pub boot: BootTime,
}

impl Now {
    /// The moment `after` from now, on both clocks.
    #[must_use]
    pub fn plus(self, after: Duration) -> Moment {
        let millis = millis(after);
        Moment {
            wall: WallTime(self.wall.0.saturating_add(millis)),
            boot: Some(BootTime(self.boot.0.saturating_add(millis))),
        }
    }
}

/// A moment ahead, kept on both clocks where both were known when it was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// On the wall clock: survives a restart.
    pub wall: WallTime,
    /// On the boot clock: survives a change of the wall clock. `None` for what an earlier start of the machine wrote down.
    pub boot: Option<BootTime>,
}

impl Moment {
    /// Milliseconds left, by the stricter of the two clocks: a clock that is set back makes nothing fresher.
    pub fn left(self, now: Now) -> i64 {
        let wall = self.wall.0.saturating_sub(now.wall.0);
        match self.boot {
            Some(boot) => wall.min(boot.0.saturating_sub(now.boot.0)),
            None => wall,
        }
    }

    /// Milliseconds until a *waiting time* is over: by the boot clock where it is known, so that a jump of the
    /// wall clock neither ends all waits at once nor stretches them.
    pub fn wait(self, now: Now) -> i64 {
        match self.boot {
            Some(boot) => boot.0.saturating_sub(now.boot.0),
            None => self.wall.0.saturating_sub(now.wall.0),
        }
    }

    /// This moment, `by` earlier.
    #[must_use]
    pub fn earlier(self, by: Duration) -> Self {
        let millis = millis(by);
        Self {
            wall: WallTime(self.wall.0.saturating_sub(millis)),
            boot: self.boot.map(|boot| BootTime(boot.0.saturating_sub(millis))),
        }
    }
}

/// A duration in whole milliseconds, clamped to what fits.
pub fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
