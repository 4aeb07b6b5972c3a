//! Waits until something is due, through the machine's sleep and a clock that somebody sets, without waking up on the way.

use std::pin::Pin;
use std::time::Duration;

/// What is to be waited for.
pub type Waited<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Rings after a time. One waits for it at a time. A seam, as [`crate::clock::Clock`] is, which makes it.
pub trait Alarm: Send + Sync {
    /// Returns after this time, counted through the machine's sleep; earlier where the wall clock is set. What is due
    /// then is the caller's to look up.
    fn ring(&self, after: Duration) -> Waited<'_>;
}

/// The machine's own.
pub struct SystemAlarm {
    #[cfg(target_os = "linux")]
    timers: Option<linux::Timers>,
}

/// Where the system has no timer that counts its sleep and hears of a set clock: what is due is looked at again at least
/// this often, so nothing is late by more than this after either.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

impl SystemAlarm {
    /// The best that this system has. Needs a tokio runtime with I/O.
    pub fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            timers: linux::Timers::new()
                .inspect_err(|error| tracing::warn!("no timer that counts sleep ({error}): looking every minute"))
                .ok(),
        }
    }
}

impl Alarm for SystemAlarm {
    fn ring(&self, after: Duration) -> Waited<'_> {
        Box::pin(async move {
            #[cfg(target_os = "linux")]
            if let Some(timers) = &self.timers
                && timers.ring(after).await.is_ok()
            {
                return;
            }
            tokio::time::sleep(after.min(LONGEST_SLEEP)).await;
        })
    }
}

impl Default for SystemAlarm {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::io::Errno;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use std::io;
    use std::time::Duration;
    // Reads a descriptor of any kind, and is the one way to have tokio wait for a timer's that needs no unsafe code.
    use tokio::net::unix::pipe::Receiver;

    /// timerfd_create(2).
    pub(super) struct Timers {
        /// Counts the machine's sleep.
        due: Receiver,
        /// Never due; reading it fails when the wall clock is set.
        set: Receiver,
    }

    /// Never, for a timer: the system takes no later second.
    const NEVER: Timespec = Timespec { tv_sec: i64::MAX / 1_000_000_000, tv_nsec: 0 };

    impl Timers {
        pub(super) fn new() -> io::Result<Self> {
            let timer = |clock| {
                let timer = timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
                Receiver::from_owned_fd_unchecked(timer)
            };
            let timers = Self { due: timer(TimerfdClockId::Boottime)?, set: timer(TimerfdClockId::Realtime)? };
            let flags = TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET;
            timerfd_settime(&timers.set, flags, &once(NEVER))?;
            Ok(timers)
        }

        pub(super) async fn ring(&self, after: Duration) -> io::Result<()> {
            // A time of zero would turn the timer off.
            let after = after.max(Duration::from_nanos(1));
            let seconds = i64::try_from(after.as_secs()).unwrap_or(NEVER.tv_sec).min(NEVER.tv_sec);
            let time = Timespec { tv_sec: seconds, tv_nsec: after.subsec_nanos().into() };
            timerfd_settime(&self.due, TimerfdTimerFlags::empty(), &once(time))?;
            tokio::select! {
                rung = rung(&self.due) => rung,
                set = rung(&self.set) => set,
            }
        }
    }

    fn once(time: Timespec) -> Itimerspec {
        Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: time }
    }

    async fn rung(timer: &Receiver) -> io::Result<()> {
        loop {
            timer.readable().await?;
            match timer.try_read(&mut [0; 8]) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => return Ok(()),
                read => return read.map(drop),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn rings_when_due_also_at_once_and_again() {
        let alarm = SystemAlarm::new();
        for after in [0, 30, 1].map(Duration::from_millis) {
            let began = Instant::now();
            alarm.ring(after).await;
            assert!(began.elapsed() >= after, "{after:?}");
        }
    }

    #[tokio::test]
    async fn what_was_not_waited_for_does_not_ring_the_next_time() {
        let alarm = SystemAlarm::new();
        let first = tokio::time::timeout(Duration::from_millis(5), alarm.ring(Duration::from_secs(3600))).await;
        assert!(first.is_err(), "it waits");
        // Due while nobody waits.
        let _ = tokio::time::timeout(Duration::ZERO, alarm.ring(Duration::from_nanos(1))).await;
        let began = Instant::now();
        alarm.ring(Duration::from_millis(40)).await;
        assert!(began.elapsed() >= Duration::from_millis(40));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn this_system_has_the_timers() {
        assert!(SystemAlarm::new().timers.is_some());
    }
}
