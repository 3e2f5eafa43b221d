//! What of the changes in the collections of a host is captured, as the row of the host says it.

use crate::event::Millis;

/// How far the captures of a host are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Captures {
    reach: Reach,
    pending: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    /// Something may have changed that was not noticed.
    #[default]
    Unknown,
    /// All that was noticed is captured.
    Now,
    /// All that had been noticed by then is.
    Until(Millis),
}

/// What was captured at some moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Captured {
    /// Up to when every change that was noticed is captured; `None`: not known.
    pub(crate) to: Option<Millis>,
    /// Changed paths that are not captured.
    pub(crate) pending: u64,
}

impl Captures {
    /// Notes that so many paths are not captured, of which the first was noticed at `since`, if that is known. `caught_up`: everything
    /// that changed before was noticed.
    pub(super) fn note(
        &mut self,
        caught_up: bool,
        pending: u64,
        since: Option<Millis>,
        now: Millis,
    ) {
        self.pending = pending;
        self.reach = match (self.reach, since) {
            _ if !caught_up => Reach::Unknown,
            _ if pending == 0 => Reach::Now,
            (_, Some(since)) => Reach::Until(since),
            (Reach::Now, None) => Reach::Until(now),
            (before @ (Reach::Until(_) | Reach::Unknown), None) => before,
        };
    }

    pub(super) fn at(self, now: Millis) -> Captured {
        Captured {
            to: match self.reach {
                Reach::Unknown => None,
                Reach::Now => Some(now),
                Reach::Until(at) => Some(at),
            },
            pending: self.pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_captured_is_known_from_the_first_moment_at_which_all_is() {
        let mut captures = Captures::default();
        let mut to = |caught_up, pending, since: Option<i64>, now| {
            captures.note(caught_up, pending, since.map(Millis), Millis(now));
            captures.at(Millis(now + 5)).to.map(|at| at.0)
        };
        assert_eq!(to(false, 0, None, 10), None, "it was not scanned");
        assert_eq!(
            to(true, 3, None, 20),
            None,
            "what the scan found is not captured"
        );
        assert_eq!(to(true, 0, None, 30), Some(35));
        assert_eq!(to(true, 1, None, 40), Some(40));
        assert_eq!(to(true, 2, None, 50), Some(40));
        assert_eq!(to(true, 0, None, 60), Some(65));
        assert_eq!(to(true, 2, Some(66), 70), Some(66));
        assert_eq!(
            to(true, 1, Some(71), 80),
            Some(71),
            "the other one is captured"
        );
        assert_eq!(to(false, 0, None, 90), None, "notifications were lost");
    }
}
