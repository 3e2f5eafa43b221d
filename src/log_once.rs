//! Logging on change, not on repetition.

/// What was logged last of something that repeats.
#[derive(Debug, Default)]
pub(crate) struct LogOnce<T>(T);

impl<T: PartialEq> LogOnce<T> {
    /// Whether `now` is something else than what was logged last, and thus to be logged.
    pub(crate) fn is_new(&mut self, now: T) -> bool {
        let new = self.0 != now;
        self.0 = now;
        new
    }

    /// What was logged last.
    #[cfg(test)]
    pub(crate) fn last(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_from_the_last_is_new() {
        let mut failing = LogOnce::default();
        let seen = [false, true, true, false, false].map(|now| failing.is_new(now));
        assert_eq!(seen, [false, true, false, true, false]);
    }
}
