//! The last changes that were measured, from being noticed to being searchable.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::Millis;

/// Changes that are remembered.
const CHANGES_MAX: usize = 1000;

/// A change that is searchable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MeasuredChange {
    /// When it was searchable.
    pub(crate) at: Millis,
    /// How long that took.
    pub(crate) took: Duration,
}

/// The newest of them, oldest first, and how many there were in all.
#[derive(Debug, Clone, Default)]
pub(crate) struct MeasuredChanges {
    total: u64,
    last: VecDeque<MeasuredChange>,
}

impl MeasuredChanges {
    pub(super) fn push(&mut self, change: MeasuredChange) {
        if self.last.len() == CHANGES_MAX {
            self.last.pop_front();
        }
        self.last.push_back(change);
        self.total += 1;
    }

    /// How many were measured since the start.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Those that are remembered, oldest first.
    pub(crate) fn last(&self) -> impl DoubleEndedIterator<Item = &MeasuredChange> {
        self.last.iter()
    }
}

/// The least of these times that so large a part of them does not exceed; `None`: there are none.
pub(crate) fn quantile(times: &mut [Duration], part: f64) -> Option<Duration> {
    let rank = (times.len() as f64 * part).ceil() as usize;
    let at = rank.clamp(1, times.len().max(1)) - 1;
    if at >= times.len() {
        return None;
    }
    Some(*times.select_nth_unstable(at).1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_times_and_of_none_there_is_none() {
        let seconds = |n: u64| Duration::from_secs(n);
        let of = |times: &[u64], part| {
            let mut times: Vec<Duration> = times.iter().copied().map(seconds).collect();
            quantile(&mut times, part)
        };
        assert_eq!(of(&[], 0.5), None);
        assert_eq!(of(&[7], 0.99), Some(seconds(7)));
        assert_eq!(of(&[4, 1, 3, 2], 0.5), Some(seconds(2)));
        let hundred: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(of(&hundred, 0.5), Some(seconds(50)));
        assert_eq!(of(&hundred, 0.99), Some(seconds(99)));
        assert_eq!(of(&hundred, 1.0), Some(seconds(100)));
        assert_eq!(of(&hundred, 0.0), Some(seconds(1)));
    }

    #[test]
    fn the_newest_are_remembered_and_all_are_counted() {
        let mut changes = MeasuredChanges::default();
        let took = Duration::ZERO;
        for at in 0..CHANGES_MAX as i64 + 5 {
            let at = Millis(at);
            changes.push(MeasuredChange { at, took });
        }
        assert_eq!(changes.total(), CHANGES_MAX as u64 + 5);
        assert_eq!(changes.last().count(), CHANGES_MAX);
        assert_eq!(changes.last().next().map(|c| c.at), Some(Millis(5)));
    }
}
