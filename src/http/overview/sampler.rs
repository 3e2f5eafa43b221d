//! A point of the history: the figures at this moment, and rates since the point before.

use std::sync::Arc;
use std::time::Duration;

use super::super::figures::FileCounts;
use super::super::freshness::reach;
use super::super::history::{Figure, Point};
use super::super::wire::{ListedState, NamedAgent};
use super::super::{State, agents};
use super::collections::totals;
use super::counters::Passed;
use crate::bus::redis::StreamView;
use crate::disk;
use crate::event::{AgentName, Millis};
use crate::store::quantile;

/// Of no more collections a history is kept.
const COLLECTIONS: usize = 50;

/// The figures now; `passed` is what happened since the point before, if there was one.
pub(super) async fn point(state: &State, passed: Option<&Passed>) -> Point {
    let mut point = Point::new();
    // What cannot be read now is not known of this moment.
    if let Ok(reach) = reach(state).await {
        point.insert(Figure::Pending, reach.pending as f64);
        let behind = reach.behind();
        point.extend(behind.map(|behind| (Figure::Behind, behind.as_secs_f64())));
    }
    if let Ok(files) = state.memory.files.sampled(&state.store).await {
        point.insert(Figure::Documents, totals(&files).documents as f64);
        of_collections(&mut point, &files);
    }
    of_streams(&mut point, state.carriers.streams());
    for NamedAgent { name, agent } in agents::all(state, Millis::now()).await.unwrap_or_default() {
        let Ok(name) = name.parse::<AgentName>() else {
            continue;
        };
        point.insert(Figure::Owed(name), agent.owed as f64);
        point.insert(Figure::OldestOwed(name), agent.oldest_owed_s.unwrap_or(0.0));
        point.insert(Figure::InFlight(name), agent.in_flight as f64);
        point.insert(Figure::Retrying(name), agent.retrying as f64);
        point.insert(Figure::Dead(name), agent.dead as f64);
        point.insert(Figure::Restarts(name), agent.restarts as f64);
    }
    let bytes = state.store.bytes().map(|bytes| bytes as f64);
    point.extend(bytes.map(|bytes| (Figure::StoreBytes, bytes)));
    let free = disk::free_space(&state.info.data_dir).ok();
    point.extend(free.map(|bytes| (Figure::FreeBytes, bytes as f64)));
    if let Some(passed) = passed {
        rates(&mut point, passed);
        let mut took = newest(state, passed.searchable);
        for (figure, part) in [(Figure::FreshnessP50, 0.5), (Figure::FreshnessP99, 0.99)] {
            let took = quantile(&mut took, part);
            point.extend(took.map(|took| (figure, took.as_secs_f64())));
        }
    }
    point
}

/// The first collections by name.
fn of_collections(point: &mut Point, counted: &FileCounts) {
    for (collection, states) in counted.files.iter().take(COLLECTIONS) {
        let collection: Arc<str> = collection.as_str().into();
        let stored = states.get(&ListedState::Stored).copied().unwrap_or(0);
        let files = states.values().sum::<u64>();
        point.insert(Figure::Files(collection.clone()), files as f64);
        point.insert(Figure::Stored(collection), stored as f64);
    }
}

fn of_streams(point: &mut Point, streams: Vec<StreamView>) {
    for stream in streams {
        let agent = stream.agent;
        point.insert(Figure::StreamLength(agent), stream.entries as f64);
        point.insert(Figure::StreamPending(agent), stream.pending as f64);
        let lag = stream.lag.map(|lag| lag as f64);
        point.extend(lag.map(|lag| (Figure::StreamLag(agent), lag)));
        point.insert(Figure::StreamConsumers(agent), stream.consumers as f64);
    }
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

/// How long the newest so many changes took.
fn newest(state: &State, changes: u64) -> Vec<Duration> {
    let changes = usize::try_from(changes).unwrap_or(usize::MAX);
    let measured = state.store.figures().measured();
    let newest = measured.last().rev().take(changes);
    newest.map(|change| change.took).collect()
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
