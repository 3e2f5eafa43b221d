//! The clock that docent goes by: that of this machine, or, on a store that several hosts share, that of its database. So hosts
//! whose clocks differ agree on what is due.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// By less than this, beside the time that asking took, clocks do not differ.
const TOLERANCE: i64 = 500;

/// By how many milliseconds it is ahead of the clock of this machine.
static AHEAD: AtomicI64 = AtomicI64::new(0);

/// The present moment by the clock of this machine, in milliseconds since 1970 UTC. One that stands before counts as 1970.
pub(crate) fn of_machine() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The present moment, in milliseconds since 1970 UTC.
pub(super) fn now() -> i64 {
    of_machine().saturating_add(AHEAD.load(Ordering::Relaxed))
}

/// Goes by another clock from now on, which was asked at `asked` by the clock of this machine, showed `shown`, and has just
/// answered. Gives by how many milliseconds it is ahead of this machine's, if that has changed.
pub(crate) fn follow(shown: i64, asked: i64) -> Option<i64> {
    let before = AHEAD.load(Ordering::Relaxed);
    let changed = ahead(shown, asked, of_machine(), before)?;
    AHEAD.store(changed, Ordering::Relaxed);
    Some(changed)
}

/// By how much a clock is ahead that showed `shown` between `asked` and `answered`, if that is not `before`.
fn ahead(shown: i64, asked: i64, answered: i64, before: i64) -> Option<i64> {
    let half = answered.saturating_sub(asked).max(0) / 2;
    let ahead = shown.saturating_sub(asked.saturating_add(half));
    let differs = ahead.abs_diff(before) > (TOLERANCE + half).unsigned_abs();
    // Clocks that agree are not told apart.
    let agrees = ahead.abs() <= TOLERANCE + half;
    differs.then_some(if agrees { 0 } else { ahead })
}

/// So many milliseconds, for a message.
pub(crate) fn distance(ahead: i64) -> Duration {
    Duration::from_millis(ahead.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_agree_are_not_told_apart_and_others_are() {
        let at = |shown, before| ahead(shown, 10_000, 10_200, before);
        assert_eq!(at(10_100, 0), None);
        assert_eq!(at(10_690, 0), None);
        assert_eq!(at(9_510, 0), None);
        assert_eq!(at(17_300, 0), Some(7_200));
        assert_eq!(at(3_100, 0), Some(-7_000));
        assert_eq!(at(17_310, 7_200), None);
        assert_eq!(at(10_300, 7_200), Some(0));
        // Whoever waited long for the answer knows little.
        let late = ahead(10_000, 10_000, 30_000, 0);
        assert_eq!(late, None);
    }
}
