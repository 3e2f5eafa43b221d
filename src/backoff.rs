//! Exponential backoff: how long to wait before something that failed is tried again.

use std::time::Duration;

/// Waits that double with each failure in a row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    min: Duration,
    max: Duration,
}

impl Backoff {
    /// A backoff that begins with `min` and never exceeds `max`.
    pub(crate) const fn new(min: Duration, max: Duration) -> Self {
        Backoff { min, max }
    }

    /// The wait after this many failures in a row, from 1.
    pub(crate) fn after(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        self.min.saturating_mul(1 << doublings).min(self.max)
    }
}

/// A random part of `wait`: spreads a crowd as widely as possible. `random` is from 0 to 1.
pub(crate) fn full_jitter(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(random)
}

/// Half of `wait` and a random part of the other half: those that failed together do not come back together, and none comes
/// back at once. `random` is from 0 to 1.
pub(crate) fn half_jitter(wait: Duration, random: f64) -> Duration {
    wait.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_bound_and_jitter_only_shortens_it() {
        let seconds = Duration::from_secs;
        let backoff = Backoff::new(seconds(1), seconds(10));
        let waits: Vec<u64> = (1..7).map(|n| backoff.after(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
        assert_eq!(backoff.after(u32::MAX), seconds(10));
        assert_eq!(full_jitter(seconds(4), 0.0), Duration::ZERO);
        assert_eq!(half_jitter(seconds(4), 0.0), seconds(2));
        assert_eq!(half_jitter(seconds(4), 1.0), seconds(4));
    }
}
