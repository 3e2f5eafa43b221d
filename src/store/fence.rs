//! "A flight is settled once, and only while it is in the runner's table": the two marks that the writer looks at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::leases::FlightRight;

/// One run of a runner. When the runner is replaced its incarnation ends, and whatever it submitted and the writer
/// has not taken yet is refused.
#[derive(Debug, Clone)]
pub(crate) struct Incarnation(Arc<AtomicBool>);

impl Incarnation {
    pub(crate) fn begin() -> Self {
        Incarnation(Arc::new(AtomicBool::new(true)))
    }

    /// From now on the writer takes nothing of it. What it took before is waited for with `Store::barrier`.
    pub(crate) fn end(&self) {
        self.0.store(false, Ordering::SeqCst);
    }

    /// The fence of a flight that begins in this run, by this right.
    pub(crate) fn flight(&self, right: FlightRight) -> Fence {
        Fence {
            incarnation: self.clone(),
            right,
            taken: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// What a flight's outcome and its failure carry: whichever the writer takes first counts, the other is refused.
#[derive(Debug, Clone)]
pub struct Fence {
    incarnation: Incarnation,
    right: FlightRight,
    taken: Arc<AtomicBool>,
}

impl Fence {
    /// By what right the flight is settled.
    pub(super) fn right(&self) -> &FlightRight {
        &self.right
    }

    /// Takes the flight, once; false if it was taken before or its runner was replaced.
    pub(super) fn take(&self) -> bool {
        self.incarnation.0.load(Ordering::SeqCst) && !self.taken.swap(true, Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flight_is_taken_once() {
        let fence = Incarnation::begin().flight(FlightRight::Free);
        let late = fence.clone();
        assert!(fence.take());
        assert!(!late.take());
    }

    #[test]
    fn a_flight_of_an_ended_run_is_not_taken() {
        let run = Incarnation::begin();
        let fence = run.flight(FlightRight::Free);
        run.end();
        assert!(!fence.take());
    }
}
