//! What was counted since the start, at one moment and at an earlier one: the difference is what happened between them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::{State, count};
use crate::event::{AgentName, EventType};
use crate::metrics::label;

/// What "the last minute" is.
const MINUTE: Duration = Duration::from_secs(60);

/// Counters since the start.
#[derive(Debug, Clone)]
pub(super) struct CounterSample {
    pub(super) at: Instant,
    /// Events of any type.
    pub(super) published: u64,
    /// Files that were captured or found removed.
    pub(super) captured: u64,
    pub(super) searches: u64,
    /// Changes that became searchable.
    pub(super) searchable: u64,
    /// The change that the index has reached; `None` while it is not open.
    pub(super) position: Option<u64>,
    /// In the order of the data flow.
    agents: Vec<Deliveries>,
}

/// Of one agent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deliveries {
    pub(super) handled: u64,
    pub(super) failed: u64,
}

impl CounterSample {
    pub(super) fn now(state: &State) -> Self {
        let figures = state.store.figures();
        let of = |kind: &EventType| {
            let published = figures.published.get(&label("type", kind));
            published.map_or(0, |counter| counter.get())
        };
        let follower = state.follower();
        let deliveries = |agent: &AgentName| {
            let counts = state.store.counts(*agent);
            Deliveries {
                handled: count(counts.handled),
                failed: count(counts.failed),
            }
        };
        CounterSample {
            at: Instant::now(),
            published: EventType::ALL.iter().map(of).sum(),
            captured: of(&EventType::FileChanged) + of(&EventType::FileRemoved),
            searches: state.memory.searches.total(),
            searchable: figures.measured().total(),
            position: follower.ready.then_some(follower.position),
            agents: AgentName::ALL.iter().map(deliveries).collect(),
        }
    }

    /// What was counted since `earlier`.
    pub(super) fn since(&self, earlier: &CounterSample) -> Passed {
        let agents = self.agents.iter().zip(&earlier.agents);
        let position = self.position.zip(earlier.position);
        Passed {
            span: self.at.saturating_duration_since(earlier.at),
            published: self.published.saturating_sub(earlier.published),
            captured: self.captured.saturating_sub(earlier.captured),
            searches: self.searches.saturating_sub(earlier.searches),
            searchable: self.searchable.saturating_sub(earlier.searchable),
            // One that is behind where it was is built anew: how far it came since is not known.
            indexed: position.and_then(|(now, then)| now.checked_sub(then)),
            agents: agents
                .map(|(now, then)| Deliveries {
                    handled: now.handled.saturating_sub(then.handled),
                    failed: now.failed.saturating_sub(then.failed),
                })
                .collect(),
        }
    }
}

/// What happened between two moments.
#[derive(Debug, Clone, Default)]
pub(super) struct Passed {
    pub(super) span: Duration,
    pub(super) published: u64,
    pub(super) captured: u64,
    pub(super) searches: u64,
    pub(super) searchable: u64,
    pub(super) indexed: Option<u64>,
    /// In the order of the data flow.
    pub(super) agents: Vec<Deliveries>,
}

impl Passed {
    pub(super) fn of(&self, agent: AgentName) -> Deliveries {
        self.agents.get(agent.index()).copied().unwrap_or_default()
    }
}

/// The samples of the last minute and a little more.
#[derive(Debug, Default)]
pub(super) struct LastMinute {
    samples: VecDeque<CounterSample>,
}

impl LastMinute {
    pub(super) fn push(&mut self, sample: CounterSample) {
        // The one before the minute is needed as its beginning.
        let is_old = |one: &CounterSample| sample.at.saturating_duration_since(one.at) > MINUTE;
        while self.samples.get(1).is_some_and(is_old) {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }

    pub(super) fn newest(&self) -> Option<&CounterSample> {
        self.samples.back()
    }

    /// What happened in the last minute, as near as there are samples: less while there are none so old.
    pub(super) fn passed(&self, now: &CounterSample) -> Passed {
        let off = |one: &&CounterSample| {
            let age = now.at.saturating_duration_since(one.at);
            age.abs_diff(MINUTE)
        };
        let nearest = self.samples.iter().min_by_key(off);
        nearest.map_or_else(Passed::default, |then| now.since(then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(began: Instant, seconds: u64, handled: u64) -> CounterSample {
        CounterSample {
            at: began + Duration::from_secs(seconds),
            published: handled * 2,
            captured: 0,
            searches: 0,
            searchable: 0,
            position: Some(handled),
            agents: vec![Deliveries { handled, failed: 0 }; AgentName::ALL.len()],
        }
    }

    #[test]
    fn the_last_minute_is_the_difference_to_the_sample_nearest_to_it_and_bounded() {
        let (began, mut minute) = (Instant::now(), LastMinute::default());
        for n in 0..100 {
            minute.push(counters(began, n * 10, n));
            assert!(minute.samples.len() <= 8);
        }
        let passed = minute.passed(&counters(began, 993, 100));
        assert_eq!(passed.span, Duration::from_secs(63));
        assert_eq!(passed.of(AgentName::Rag).handled, 7);
        assert_eq!((passed.published, passed.indexed), (14, Some(7)));
    }

    #[test]
    fn shortly_after_the_start_it_is_what_there_was_and_a_rebuilt_index_is_not_known() {
        let (began, mut minute) = (Instant::now(), LastMinute::default());
        minute.push(counters(began, 0, 5));
        let mut now = counters(began, 4, 8);
        assert_eq!(minute.passed(&now).span, Duration::from_secs(4));
        assert_eq!(minute.passed(&now).indexed, Some(3));
        now.position = Some(2);
        assert_eq!(minute.passed(&now).indexed, None);
        now.position = None;
        assert_eq!(minute.passed(&now).indexed, None);
    }
}
