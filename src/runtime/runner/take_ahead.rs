//! How many deliveries a host takes before it has a permit for them.
//!
//! A take is a commit, and commits of all hosts are serial. If a permit waited for it, an agent with short handlers would stand still
//! for most of the time. So as many are taken in advance as handlers end while a take is under way: those wait no longer for a
//! permit than the take took. Where handlers are long that is none, and whoever has a permit first does the work. What waits all
//! the same, because handlers suddenly take longer, is given back after [`PATIENCE`].

use std::time::Duration;

/// How long one that is taken waits for a permit.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// Never more than so many for each permit.
const MOST: usize = 4;

/// How much of an average is the newest value.
const NEWEST: f64 = 1.0 / 16.0;

/// How long takes and handlers have taken lately.
#[derive(Debug, Default)]
pub(super) struct TakeAhead {
    take: Average,
    handler: Average,
}

impl TakeAhead {
    /// A take has taken so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.take.add(time);
    }

    /// A handler has run for so long.
    pub(super) fn ran(&mut self, time: Duration) {
        self.handler.add(time);
    }

    /// How many to take beyond these permits.
    pub(super) fn places(&self, permits: usize) -> usize {
        let (Some(take), Some(handler)) = (self.take.0, self.handler.0) else {
            return 0;
        };
        let end_meanwhile = permits as f64 * take / handler.max(f64::MIN_POSITIVE);
        end_meanwhile.min((permits * MOST) as f64) as usize
    }
}

/// Seconds, of which later ones count more; `None`: there was none yet.
#[derive(Debug, Default)]
struct Average(Option<f64>);

impl Average {
    fn add(&mut self, time: Duration) {
        let newest = time.as_secs_f64();
        self.0 = Some(match self.0 {
            None => newest,
            Some(average) => average + (newest - average) * NEWEST,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(take: u64, handler: u64) -> TakeAhead {
        let mut ahead = TakeAhead::default();
        for _ in 0..200 {
            ahead.took(Duration::from_millis(take));
            ahead.ran(Duration::from_millis(handler));
        }
        ahead
    }

    #[test]
    fn as_many_are_taken_ahead_as_end_during_a_take_and_none_where_handlers_are_long() {
        assert_eq!(TakeAhead::default().places(16), 0);
        assert_eq!(measured(10, 20).places(16), 8);
        assert_eq!(measured(20, 5_000).places(16), 0);
        assert_eq!(measured(20, 1).places(16), 64);
        assert_eq!(measured(20, 0).places(16), 64);
    }

    #[test]
    fn what_was_lately_counts() {
        let mut ahead = measured(20, 1);
        for _ in 0..200 {
            ahead.ran(Duration::from_secs(60));
        }
        assert_eq!(ahead.places(16), 0);
    }
}
