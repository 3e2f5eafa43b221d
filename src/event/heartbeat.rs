//! A heartbeat: when something last made progress, written by what works, read by whoever watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::awake;

/// In the place of a moment: there need be no beat.
const EXEMPT: u64 = u64::MAX;

/// The last beat, on the clock that stands still while the process does. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    epoch: Instant,
    /// Milliseconds from the epoch to the last beat.
    last: Arc<AtomicU64>,
}

impl Default for Heartbeat {
    /// It has beaten just now.
    fn default() -> Self {
        Heartbeat {
            epoch: awake::now(),
            last: Arc::default(),
        }
    }
}

impl Heartbeat {
    pub fn beat(&self) {
        self.last.store(self.elapsed(), Ordering::SeqCst);
    }

    /// There need be no beat until [`Heartbeat::resume`] or the next beat.
    pub fn exempt(&self) {
        self.last.store(EXEMPT, Ordering::SeqCst);
    }

    /// From now on there must be a beat, if it was exempt.
    pub fn resume(&self) {
        let (now, order) = (self.elapsed(), Ordering::SeqCst);
        // An error is a heart that was not exempt: its last beat counts.
        self.last.compare_exchange(EXEMPT, now, order, order).ok();
    }

    /// How long ago the last beat was; zero while it is exempt.
    pub fn idle(&self) -> Duration {
        match self.last.load(Ordering::SeqCst) {
            EXEMPT => Duration::ZERO,
            last => awake::since(self.epoch).saturating_sub(Duration::from_millis(last)),
        }
    }

    /// Whether there need be no beat.
    #[cfg(test)]
    pub(crate) fn is_exempt(&self) -> bool {
        self.last.load(Ordering::SeqCst) == EXEMPT
    }

    /// One whose last beat was so long ago.
    #[cfg(test)]
    pub(crate) fn stood_still(time: Duration) -> Self {
        Heartbeat {
            epoch: Instant::now().checked_sub(time).unwrap(),
            last: Arc::default(),
        }
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(awake::since(self.epoch).as_millis()).unwrap_or(EXEMPT - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_idle_since_its_last_beat_and_not_while_it_is_exempt() {
        let minute = Duration::from_secs(60);
        let heartbeat = Heartbeat::stood_still(minute);
        assert!(heartbeat.idle() >= minute);
        heartbeat.resume();
        assert!(heartbeat.idle() >= minute, "it had to beat already");
        heartbeat.beat();
        assert!(heartbeat.idle() < minute);
        let heartbeat = Heartbeat::stood_still(minute);
        heartbeat.exempt();
        assert_eq!(heartbeat.idle(), Duration::ZERO);
        heartbeat.resume();
        assert!(heartbeat.idle() < minute, "it must beat from now on");
    }
}
