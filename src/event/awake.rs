//! Time that passes only while this process runs.
//!
//! A process that is frozen (SIGSTOP, a paused container, a suspended machine) does nothing, so nothing in it may be judged by
//! the time that went by meanwhile. Whatever measures whether something makes progress takes its moments from [`now`]: they stand
//! still during a freeze. A thread of its own ticks; a tick that comes far too late is a freeze, and is logged.
//! Where nobody ticks, as in the command line, [`now`] is the monotonic clock.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::Millis;

const TICK: Duration = Duration::from_millis(250);

/// How far time passes without a tick: then it stands still until the next one.
const AHEAD: Duration = Duration::from_secs(1);

/// What is too late by less than this is a busy machine, and not worth a line in the log.
const WORTH_A_LINE: Duration = Duration::from_secs(2);

/// Pauses that are remembered; the oldest give way.
const PAUSES: usize = 64;

/// In the place of the last tick: nobody ticks.
const NOBODY: u64 = u64::MAX;

static CLOCK: LazyLock<ProcessClock> = LazyLock::new(|| ProcessClock {
    epoch: Instant::now(),
    lost: AtomicU64::new(0),
    ticked: AtomicU64::new(NOBODY),
    pauses: Mutex::default(),
});

struct ProcessClock {
    epoch: Instant,
    /// Nanoseconds of the monotonic clock in which the process did not run.
    lost: AtomicU64,
    /// Nanoseconds that had passed at the last tick.
    ticked: AtomicU64,
    /// When the process ran again, and how much time of day had gone by without it.
    pauses: Mutex<VecDeque<(Millis, Duration)>>,
}

impl ProcessClock {
    fn passed(&self) -> Duration {
        // In this order: a tick stores what is lost first, so time never runs backwards here.
        let ticked = self.ticked.load(Ordering::SeqCst);
        let lost = Duration::from_nanos(self.lost.load(Ordering::SeqCst));
        let passed = self.epoch.elapsed().saturating_sub(lost);
        match ticked {
            NOBODY => passed,
            ticked => passed.min(Duration::from_nanos(ticked) + AHEAD),
        }
    }

    fn tick(&self, gap: &ClockGap) {
        let lost = nanos(gap.monotonic.saturating_sub(AHEAD));
        self.lost.fetch_add(lost, Ordering::SeqCst);
        let lost = Duration::from_nanos(self.lost.load(Ordering::SeqCst));
        let passed = self.epoch.elapsed().saturating_sub(lost);
        self.ticked.store(nanos(passed), Ordering::SeqCst);
        if let Some(away) = gap.away() {
            let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
            pauses.push_back((Millis::now(), away));
            if pauses.len() > PAUSES {
                pauses.pop_front();
            }
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(NOBODY - 1)
}

/// The present moment. To be compared with other moments from here alone: `elapsed()` of one would count a freeze.
pub(crate) fn now() -> Instant {
    CLOCK.epoch + CLOCK.passed()
}

/// How long ago `moment`, which came from [`now`], is.
pub(crate) fn since(moment: Instant) -> Duration {
    now().saturating_duration_since(moment)
}

/// How much of the time of day since `moment` went by without this process: it was frozen, or the clock was set forward.
pub(crate) fn missed_since(moment: Millis) -> Duration {
    let pauses = CLOCK.pauses.lock().unwrap_or_else(PoisonError::into_inner);
    let missed = |(end, away): &(Millis, Duration)| (*away).min(end.since(moment));
    pauses.iter().map(missed).sum()
}

/// The time was over before the future was.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not in time")]
pub(crate) struct Late;

/// Waits for `work`, at most for `limit`. A freeze takes nothing of it.
///
/// # Errors
/// The time was over first; the work is dropped.
pub(crate) async fn timeout<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Late> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        done = &mut work => Ok(done),
        () = sleep(limit) => Err(Late),
    }
}

/// Sleeps for `time`. A freeze takes nothing of it.
pub(crate) async fn sleep(time: Duration) {
    let began = now();
    loop {
        let left = time.saturating_sub(since(began));
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left).await;
    }
}

/// What ticks; dropped, it ends.
#[derive(Debug)]
pub(crate) struct Ticker {
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// Begins to tick.
///
/// # Errors
/// There is no thread to be had.
#[expect(clippy::disallowed_methods, reason = "joined by Ticker")]
pub(crate) fn tick() -> io::Result<Ticker> {
    CLOCK.tick(&ClockGap::default());
    let stop = Arc::new(AtomicBool::new(false));
    let told = stop.clone();
    let work = move || {
        let mut last = ClockReading::now();
        while !told.load(Ordering::SeqCst) {
            std::thread::park_timeout(TICK);
            let reading = ClockReading::now();
            let gap = reading.after(&last);
            CLOCK.tick(&gap);
            gap.tell();
            last = reading;
        }
    };
    let thread = std::thread::Builder::new()
        .name("clock".to_owned())
        .spawn(work)?;
    Ok(Ticker {
        thread: Some(thread),
        stop,
    })
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It does nothing that can panic.
            thread.join().ok();
        }
        CLOCK.ticked.store(NOBODY, Ordering::SeqCst);
    }
}

/// The clocks at one moment.
struct ClockReading {
    /// Stands still while the machine is suspended.
    monotonic: Duration,
    /// Goes on while the machine is suspended.
    boot: Duration,
    day: Millis,
}

impl ClockReading {
    fn now() -> Self {
        let boot = clock_gettime(ClockId::Boottime);
        let seconds = Duration::from_secs(u64::try_from(boot.tv_sec).unwrap_or(0));
        ClockReading {
            monotonic: CLOCK.epoch.elapsed(),
            boot: seconds + Duration::from_nanos(u64::try_from(boot.tv_nsec).unwrap_or(0)),
            day: Millis::now(),
        }
    }

    fn after(&self, last: &ClockReading) -> ClockGap {
        let boot = self.boot.saturating_sub(last.boot);
        ClockGap {
            monotonic: self.monotonic.saturating_sub(last.monotonic),
            boot,
            set_forward: self.day.since(last.day.plus(boot)),
            set_back: last.day.plus(boot).since(self.day),
        }
    }
}

/// What lies between two ticks.
#[derive(Debug, Default)]
struct ClockGap {
    monotonic: Duration,
    boot: Duration,
    set_forward: Duration,
    set_back: Duration,
}

impl ClockGap {
    /// For how long the process did not run, if that is worth a line.
    fn stopped(&self) -> Option<Duration> {
        Some(self.boot.saturating_sub(TICK)).filter(|late| *late >= WORTH_A_LINE)
    }

    /// How much time of day went by without this process.
    fn away(&self) -> Option<Duration> {
        let forward = self.set_forward;
        match (self.stopped(), forward >= WORTH_A_LINE) {
            (None, false) => None,
            (stopped, _) => Some(stopped.unwrap_or_default() + forward),
        }
    }

    fn tell(&self) {
        if let Some(stopped) = self.stopped() {
            tracing::warn!(
                name: "docent.was_stopped", seconds = stopped.as_secs_f64(),
                "this process was stopped for {} s (a signal, a paused container, a suspended or overloaded machine); no agent is to blame",
                stopped.as_secs()
            );
        }
        for (by, direction) in [(self.set_forward, "forward"), (self.set_back, "back")] {
            if by >= WORTH_A_LINE {
                tracing::warn!(
                    name: "docent.clock_set", seconds = by.as_secs_f64(), direction,
                    "the clock of this machine was set {direction} by {} s", by.as_secs()
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock(ticked: u64) -> ProcessClock {
        ProcessClock {
            epoch: Instant::now().checked_sub(40 * SECOND).unwrap(),
            lost: AtomicU64::new(0),
            ticked: AtomicU64::new(ticked),
            pauses: Mutex::default(),
        }
    }

    fn reading(monotonic: u64, boot: u64, day: i64) -> ClockReading {
        ClockReading {
            monotonic: Duration::from_secs(monotonic),
            boot: Duration::from_secs(boot),
            day: Millis(day * 1000),
        }
    }

    #[test]
    fn time_stands_still_a_second_after_the_last_tick_and_goes_on_from_there() {
        // The last tick was 30 s ago, when 10 s had passed.
        let clock = clock(nanos(10 * SECOND));
        assert_eq!(clock.passed(), 11 * SECOND);
        let gap = ClockGap {
            monotonic: 30 * SECOND,
            boot: 30 * SECOND,
            ..ClockGap::default()
        };
        clock.tick(&gap);
        let after = clock.passed();
        assert!(after >= 11 * SECOND && after < 12 * SECOND, "{after:?}");
        assert_eq!(clock.pauses.lock().unwrap().len(), 1);
    }

    #[test]
    fn where_nobody_ticks_it_is_the_monotonic_clock() {
        assert!(clock(NOBODY).passed() >= 40 * SECOND);
    }

    #[test]
    fn a_gap_tells_a_freeze_from_a_suspended_machine_and_from_a_clock_that_was_set() {
        let last = reading(100, 200, 300);
        let told = |now: ClockReading| {
            let gap = now.after(&last);
            (
                gap.stopped().map(|d| d.as_secs()),
                gap.away().map(|d| d.as_secs()),
            )
        };
        assert_eq!(told(reading(101, 201, 301)), (None, None), "a late tick");
        assert_eq!(told(reading(132, 232, 332)), (Some(31), Some(31)), "frozen");
        assert_eq!(
            told(reading(100, 3800, 3900)),
            (Some(3599), Some(3599)),
            "suspended"
        );
        assert_eq!(
            told(reading(100, 200, 3900)),
            (None, Some(3600)),
            "set forward"
        );
        let back = reading(100, 200, 0).after(&last);
        assert_eq!((back.set_back, back.away()), (300 * SECOND, None));
    }

    #[tokio::test]
    async fn what_is_done_in_time_is_given_and_what_is_not_is_dropped() {
        assert_eq!(timeout(SECOND, async { 7 }).await, Ok(7));
        let never = std::future::pending::<()>();
        assert_eq!(timeout(Duration::from_millis(1), never).await, Err(Late));
    }
}
