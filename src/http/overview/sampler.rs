//! A point of the history: the figures at this moment, and rates since the point before.

use std::time::Duration;

use super::super::freshness::behind;
use super::super::history::{Figure, Point};
use super::super::{State, count};
use super::counters::Passed;
use crate::disk;
use crate::event::AgentName;
use crate::store::quantile;

/// The figures now; `passed` is what happened since the point before, if there was one.
pub(super) fn point(state: &State, passed: Option<&Passed>) -> Point {
    let mut point = Point::from([(Figure::Pending, pending(state) as f64)]);
    for agent in AgentName::ALL {
        let owed = count(state.store.counts(*agent).owed);
        point.insert(Figure::Owed(*agent), owed as f64);
    }
    let bytes = state.store.bytes().map(|bytes| bytes as f64);
    point.extend(bytes.map(|bytes| (Figure::StoreBytes, bytes)));
    let free = disk::free_space(&state.info.data_dir).ok();
    point.extend(free.map(|bytes| (Figure::FreeBytes, bytes as f64)));
    if let Some(passed) = passed {
        rates(&mut point, passed);
        let took = newest(state, passed.searchable);
        point.extend(took.map(|took| (Figure::FreshnessP99, took.as_secs_f64())));
    }
    point
}

/// Changes on their way, as freshness counts them.
fn pending(state: &State) -> u64 {
    let queued = state.scans.progress().borrow().pending;
    let owed = |agent| count(state.store.counts(agent).owed);
    let owed = owed(AgentName::DocumentManagement) + owed(AgentName::Rag);
    let head = state.store.head().borrow().change;
    queued + owed + behind(&state.follower(), head)
}

fn rates(point: &mut Point, passed: &Passed) {
    let seconds = passed.span.as_secs_f64();
    if seconds <= 0.0 {
        return;
    }
    let each = |count: u64, of: f64| count as f64 * of / seconds;
    point.insert(Figure::SearchesPerMinute, each(passed.searches, 60.0));
    point.insert(Figure::EventsPerSecond, each(passed.published, 1.0));
    for agent in AgentName::ALL {
        let handled = each(passed.of(*agent).handled, 60.0);
        point.insert(Figure::HandledPerMinute(*agent), handled);
    }
}

/// How long at most 99 of 100 of the newest so many changes took.
fn newest(state: &State, changes: u64) -> Option<Duration> {
    let changes = usize::try_from(changes).unwrap_or(usize::MAX);
    let measured = state.store.figures().measured();
    let newest = measured.last().rev().take(changes);
    let mut took: Vec<Duration> = newest.map(|change| change.took).collect();
    quantile(&mut took, 0.99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_minute_or_second_of_the_time_that_passed() {
        let passed = Passed {
            span: Duration::from_secs(20),
            searches: 10,
            published: 5,
            ..Passed::default()
        };
        let mut point = Point::new();
        rates(&mut point, &passed);
        assert_eq!(point[&Figure::SearchesPerMinute], 30.0);
        assert_eq!(point[&Figure::EventsPerSecond], 0.25);
        let mut unknown = Point::new();
        rates(&mut unknown, &Passed::default());
        assert!(unknown.is_empty(), "no time, no rate");
    }
}
