//! How attempts of the agents ended lately: what only time tells.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::AgentName;
use crate::health::alerts::{AgentEnds, ENDS_WINDOW};
use crate::store::AgentCounts;

/// The steps in which what falls out of the window is noticed.
const STEP: Duration = Duration::from_secs(5);

/// Done and failed since the start of the process, at a moment.
type Sample = (Instant, u64, u64);

#[derive(Debug)]
struct AttemptTimes {
    began: Instant,
    samples: VecDeque<Sample>,
    /// What had ended when something ended last, or there was no work.
    ended: u64,
    moved_at: Instant,
    /// Whether something ended, or there was no work, at all.
    moved: bool,
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
            began: at,
            // The counts are older than this run of the agent: what ended before it may have ended long ago.
            samples: VecDeque::from([(at, done, failed)]),
            ended: done + failed,
            moved_at: at,
            moved: false,
        });
        if counts.owed <= 0 || seen.ended != done + failed {
            (seen.ended, seen.moved_at, seen.moved) = (done + failed, at, true);
        }
        let last = seen.samples.back().map(|sample| sample.0);
        if last.is_none_or(|last| at.duration_since(last) >= STEP) {
            seen.samples.push_back((at, done, failed));
        }
        // The newest that is old enough is what is compared with.
        while seen
            .samples
            .get(1)
            .is_some_and(|s| at.duration_since(s.0) >= ENDS_WINDOW)
        {
            seen.samples.pop_front();
        }
        let (_, done_then, failed_then) =
            seen.samples.front().copied().unwrap_or((at, done, failed));
        AgentEnds {
            agent,
            watched: at.duration_since(seen.began),
            moved: seen.moved,
            done: done.saturating_sub(done_then),
            failed: failed.saturating_sub(failed_then),
            silent: at.duration_since(seen.moved_at),
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
        assert_eq!(see(0, 3, 1), (0, 0), "it ended before anybody looked");
        assert_eq!(see(10, 4, 5), (1, 4));
        for second in 1..30 {
            see(10 + second * 10, 4, 5);
        }
        assert_eq!(see(309, 4, 6), (1, 5));
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

    #[test]
    fn how_long_it_was_looked_at_and_whether_it_moved_is_told() {
        let (mut ends, begin) = (AttemptEnds::default(), Instant::now());
        let mut see = |seconds, owed, handled| {
            let at = begin + Duration::from_secs(seconds);
            let seen = ends.see(AgentName::Rag, counts(owed, handled, 0), at);
            (seen.watched.as_secs(), seen.moved)
        };
        assert_eq!(see(0, 1, 7), (0, false));
        assert_eq!(see(10, 1, 7), (10, false));
        assert_eq!(see(20, 1, 8), (20, true));
        assert_eq!(see(30, 1, 8), (30, true));
        let idle = ends.see(AgentName::Scheduler, counts(0, 0, 0), begin);
        assert!(idle.moved, "it owes nothing");
    }
}
