//! When a delivery is due.

use std::time::Duration;

use crate::event::Millis;

/// What counts as due: a moment that has come, and one that is further off than any backoff, for then the clock jumped back.
#[derive(Debug, Clone, Copy)]
pub struct DueBy {
    pub(super) now: Millis,
    pub(super) far: Millis,
}

impl DueBy {
    /// What is due at `now`, where no backoff is longer than `backoff_max`.
    pub fn new(now: Millis, backoff_max: Duration) -> Self {
        let far = now.plus(backoff_max);
        DueBy { now, far }
    }

    /// Whether this moment counts as come.
    pub(super) fn includes(self, due_at: Millis) -> bool {
        due_at <= self.now || due_at > self.far
    }
}
