//! Issues of the index: it follows the store, and its chunks are the store's chunks.
//!
//! Where the agent that feeds it is off there is nothing to find.

use super::{Detected, Detector, Facts, Fix, IndexFacts, Limits};
use crate::event::Subject;

fn about(facts: &Facts, detector: Detector, value: String, limit: impl Into<String>) -> Detected {
    Detected::new(detector, Subject::index(&facts.instance), value, limit)
}

/// The follower stopped. It has no fix: the follower tries to go on by itself, and compares nothing until it can.
pub(super) fn stopped(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let stopped = facts
        .index
        .iter()
        .filter_map(|index| index.stopped.as_ref());
    let found = stopped.map(|cause| {
        let limit = "the index follows the store; it continues by itself when the cause is gone";
        let found = about(facts, Detector::IndexStopped, cause.clone(), limit);
        let what = format!("the index does not follow the store: {cause}");
        found.told(what, "it continues by itself when the cause is gone")
    });
    Some(found.collect())
}

/// The index cannot be searched for long: opening or rebuilding it does not come to an end.
pub(super) fn unready(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let longest = limits.index_unready;
    let is_long = |index: &&IndexFacts| index.unready > longest;
    let found = facts.index.iter().filter(is_long).map(|_| {
        let what = "the index is being opened or rebuilt".to_owned();
        let limit = format!("the index is ready within {} s", longest.as_secs());
        let found = about(facts, Detector::IndexUnready, what.clone(), limit);
        found.told(what, "wait: search answers when it is ready")
    });
    Some(found.collect())
}

/// The index lacks a change that the store has had for long.
pub(super) fn behind(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let longest = limits.index_behind;
    let is_long = |index: &&IndexFacts| index.behind > longest;
    let found = facts.index.iter().filter(is_long).map(|_| {
        let value = "a change that the store has is not searchable yet".to_owned();
        let limit = format!("every change is searchable within {} s", longest.as_secs());
        about(facts, Detector::IndexBehind, value, limit)
    });
    Some(found.collect())
}

/// The index has followed to the end and has other chunks than the store.
pub(super) fn drift(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let Some(index) = &facts.index else {
        return Some(Vec::new());
    };
    let (indexed, stored) = index.chunks?;
    let found = (indexed != stored).then(|| {
        let value = format!("the index has {indexed} chunks");
        let limit = format!("{stored} chunks, as in the store");
        about(facts, Detector::IndexDrift, value, limit).fixed_by(Fix::VerifyIndex)
    });
    Some(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_index_that_lacks_a_change_or_is_not_ready_is_found_beyond_its_limit() {
        let limits = Limits::default();
        let facts = |unready, behind| Facts {
            index: Some(IndexFacts {
                unready,
                behind,
                ..IndexFacts::default()
            }),
            ..Facts::default()
        };
        let within = facts(limits.index_unready, limits.index_behind);
        assert_eq!(unready(&within, &limits).unwrap().len(), 0);
        assert_eq!(behind(&within, &limits).unwrap().len(), 0);
        let more = Duration::from_millis(1);
        let beyond = facts(limits.index_unready + more, limits.index_behind + more);
        assert_eq!(unready(&beyond, &limits).unwrap().len(), 1);
        assert_eq!(behind(&beyond, &limits).unwrap().len(), 1);
    }

    #[test]
    fn where_nothing_feeds_the_index_nothing_is_wrong_with_it() {
        let facts = Facts::default();
        for look in [stopped, unready, behind, drift] {
            assert_eq!(look(&facts, &Limits::default()), Some(Vec::new()));
        }
    }
}
