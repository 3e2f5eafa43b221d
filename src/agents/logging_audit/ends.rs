//! How attempts of the agents ended lately: what only time tells.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::AgentName;
use crate::health::alerts::AgentEnds;
use crate::store::AgentCounts;

/// How far back failed attempts count,
const WINDOW: Duration = Duration::from_secs(300);
/// in steps of so much.
const STEP: Duration = Duration::from_secs(5);

/// Done and failed since the start, at a moment.
type Sample = (Instant, u64, u64);

#[derive(Debug)]
struct AttemptTimes {
    samples: VecDeque<Sample>,
    /// What had ended when something ended last, or there was no work.
    ended: u64,
    moved: Instant,
}

/// What was seen of each agent.
#[derive(Debug, Default)]
pub(super) struct AttemptEnds(HashMap<AgentName, AttemptTimes>);

impl AttemptEnds {
    /// Takes in how an agent stands at `at`, and says how its attempts ended lately.
    pub(super) fn see(&mut self, agent: AgentName, counts: AgentCounts, at: Instant) -> AgentEnds {
        let known = |n: i64| u64::try_from(n).unwrap_or(0);
        let (done, failed) = (known(counts.handled), known(counts.failed));
        let seen = self.0.entry(agent).or_insert_with(|| AttemptTimes {
            // What ended before this life of docent began to look is not lost: the counts began with the process.
            samples: VecDeque::from([(at, 0, 0)]),
            ended: done + failed,
            moved: at,
        });
        if counts.owed <= 0 || seen.ended != done + failed {
            (seen.ended, seen.moved) = (done + failed, at);
        }
        let last = seen.samples.back().map(|sample| sample.0);
        if last.is_none_or(|last| at.duration_since(last) >= STEP) {
            seen.samples.push_back((at, done, failed));
        }
        // The newest that is old enough is what is compared with.
        while seen
            .samples
            .get(1)
            .is_some_and(|s| at.duration_since(s.0) >= WINDOW)
        {
            seen.samples.pop_front();
        }
        let (_, done_then, failed_then) =
            seen.samples.front().copied().unwrap_or((at, done, failed));
        AgentEnds {
            agent,
            done: done.saturating_sub(done_then),
            failed: failed.saturating_sub(failed_then),
            silent: at.duration_since(seen.moved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(owed: i64, handled: i64, failed: i64) -> AgentCounts {
        AgentCounts {
            owed,
            retrying: 0,
            dead: 0,
            handled,
            failed,
        }
    }

    #[test]
    fn what_ended_counts_for_as_long_as_the_window() {
        let (mut ends, begin) = (AttemptEnds::default(), Instant::now());
        let mut see = |seconds, handled, failed| {
            let at = begin + Duration::from_secs(seconds);
            let seen = ends.see(AgentName::Rag, counts(0, handled, failed), at);
            (seen.done, seen.failed)
        };
        assert_eq!(see(0, 3, 1), (3, 1));
        assert_eq!(see(10, 4, 5), (4, 5));
        for second in 1..30 {
            see(10 + second * 10, 4, 5);
        }
        assert_eq!(see(309, 4, 6), (4, 6));
        assert_eq!(see(310, 4, 6), (0, 1));
    }

    #[test]
    fn an_agent_is_silent_while_it_has_work_and_ends_none() {
        let (mut ends, begin) = (AttemptEnds::default(), Instant::now());
        let mut silent = |seconds, owed, failed| {
            let at = begin + Duration::from_secs(seconds);
            ends.see(AgentName::Rag, counts(owed, 0, failed), at)
                .silent
                .as_secs()
        };
        assert_eq!(silent(0, 0, 0), 0);
        assert_eq!(silent(100, 0, 0), 0);
        assert_eq!(silent(160, 1, 0), 60);
        assert_eq!(silent(170, 1, 1), 0);
        assert_eq!(silent(200, 1, 1), 30);
        assert_eq!(silent(210, 0, 1), 0);
    }
}
