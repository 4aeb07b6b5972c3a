//! The two clocks, read together, and what waits by them.

use crate::alarm::{Alarm, SystemAlarm, Waited};
use larder_core::time::{BootTime, Now, WallTime};
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::time::Duration;

/// Tells the time. A seam: tests that need a day to pass set it.
pub trait Clock: Send + Sync {
    /// Both clocks.
    fn now(&self) -> Now;

    /// How long the machine has slept since it started, in milliseconds, where that can be told.
    fn asleep(&self) -> Option<i64> {
        None
    }

    /// An alarm that goes by the same clocks. Needs a tokio runtime with I/O.
    fn alarm(&self) -> Box<dyn Alarm> {
        Box::new(SystemAlarm::new())
    }

    /// Returns when this time has passed; the machine's sleep need not count.
    fn pass(&self, time: Duration) -> Waited<'static> {
        Box::pin(tokio::time::sleep(time))
    }
}

/// The machine's own.
pub struct SystemClock;

// Darwin's monotonic clock is the one that counts sleep; Linux has a clock of its own for that.
#[cfg(target_os = "linux")]
const BOOT: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const BOOT: ClockId = ClockId::Monotonic;

fn millis(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(1000).saturating_add(time.tv_nsec / 1_000_000)
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { wall: WallTime(millis(clock_gettime(ClockId::Realtime))), boot: BootTime(millis(clock_gettime(BOOT))) }
    }

    #[cfg(target_os = "linux")]
    fn asleep(&self) -> Option<i64> {
        // One counts sleep and the other does not.
        Some(millis(clock_gettime(ClockId::Boottime)).saturating_sub(millis(clock_gettime(ClockId::Monotonic))))
    }
}
