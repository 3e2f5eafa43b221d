//! What runners count and measure, for monitoring. What the ledger counts stands in the store.

use std::time::Duration;

use crate::event::AgentName;
use crate::metrics::{Histogram, LabelledCounts, LabelledHistograms, label};

// Measured with a debug build on two busy cores, 300 files: a call took 1 to 50 ms, most of them 5 to 25 ms. One that makes no
// progress is stopped after 20 s.
const HANDLE_BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0,
];

/// Counters and histograms of each agent since the start.
#[derive(Debug)]
pub(crate) struct RunFigures {
    /// Deliveries that failed for good.
    pub(crate) dead: LabelledCounts,
    /// Calls that found unavailable what the agent works with.
    pub(crate) unavailable: LabelledCounts,
    /// How long calls of handlers took, whatever came of them.
    pub(crate) handle_seconds: LabelledHistograms,
}

impl Default for RunFigures {
    fn default() -> Self {
        RunFigures {
            dead: LabelledCounts::default(),
            unavailable: LabelledCounts::default(),
            handle_seconds: LabelledHistograms::new_with_constructor(|| {
                Histogram::new(HANDLE_BUCKETS)
            }),
        }
    }
}

impl RunFigures {
    pub(super) fn died(&self, agent: AgentName) {
        self.dead.get_or_create(&label("agent", agent)).inc();
    }

    pub(super) fn was_unavailable(&self, agent: AgentName) {
        self.unavailable.get_or_create(&label("agent", agent)).inc();
    }

    pub(super) fn took(&self, agent: AgentName, took: Duration) {
        let labels = label("agent", agent);
        let histogram = self.handle_seconds.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }
}
