//! The restart decision: a pure function of what happened and when.

use std::time::Duration;

use crate::backoff::{Backoff, half_jitter};

/// When an agent is started again, and when no more.
#[derive(Debug, Clone, Copy)]
pub struct RestartPolicy {
    /// Restarts within the window; one more parks the agent.
    pub restarts: usize,
    pub window: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
}

/// The decision about an agent whose run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartDecision {
    /// Begin a new run after this long.
    Restart { after: Duration },
    /// Begin no new run: it failed too often.
    Park,
}

/// Decides. `ends` are the moments of the ends before this one that led to a restart, oldest first, and `now` that of this one,
/// all on one clock that does not run backwards; `jitter` is a random number from 0 to 1.
pub(super) fn decide(
    policy: &RestartPolicy,
    ends: &[Duration],
    now: Duration,
    jitter: f64,
) -> RestartDecision {
    let recent = ends
        .iter()
        .filter(|end| now.saturating_sub(**end) <= policy.window)
        .count();
    if recent >= policy.restarts {
        return RestartDecision::Park;
    }
    let failures = u32::try_from(recent).unwrap_or(u32::MAX).saturating_add(1);
    let backoff = Backoff::new(policy.backoff_min, policy.backoff_max);
    RestartDecision::Restart {
        after: half_jitter(backoff.after(failures), jitter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RestartPolicy = RestartPolicy {
        restarts: 5,
        window: Duration::from_secs(60),
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
    };

    fn seconds(list: &[u64]) -> Vec<Duration> {
        list.iter().map(|s| Duration::from_secs(*s)).collect()
    }

    fn after(list: &[u64], now: u64, jitter: f64) -> Option<u64> {
        match decide(&POLICY, &seconds(list), Duration::from_secs(now), jitter) {
            RestartDecision::Restart { after } => Some(u64::try_from(after.as_millis()).unwrap()),
            RestartDecision::Park => None,
        }
    }

    #[test]
    fn the_table_of_decisions() {
        let cases: &[(&[u64], u64, f64, Option<u64>)] = &[
            (&[], 100, 1.0, Some(1_000)),
            (&[], 100, 0.0, Some(500)),
            (&[99], 100, 1.0, Some(2_000)),
            (&[97, 99], 100, 1.0, Some(4_000)),
            (&[90, 92, 95, 98], 100, 1.0, Some(16_000)),
            // the sixth end within the window parks
            (&[50, 60, 70, 80, 90], 100, 1.0, None),
            // what is older than the window does not count
            (&[1, 2, 3, 4, 5], 100, 1.0, Some(1_000)),
            (&[39, 60, 70, 80, 90], 100, 1.0, Some(16_000)),
            (&[40, 60, 70, 80, 90], 100, 1.0, None),
        ];
        for (ends, now, jitter, expected) in cases {
            assert_eq!(after(ends, *now, *jitter), *expected, "{ends:?} at {now}");
        }
    }

    #[test]
    fn the_backoff_has_a_ceiling() {
        let policy = RestartPolicy {
            restarts: 100,
            ..POLICY
        };
        let ends = seconds(&[100; 50]);
        assert_eq!(
            decide(&policy, &ends, Duration::from_secs(100), 1.0),
            RestartDecision::Restart {
                after: Duration::from_secs(30)
            }
        );
    }
}
