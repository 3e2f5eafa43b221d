//! Faults of the index: it follows the store, and its chunks are the store's chunks.
//!
//! Where the agent that feeds it is off there is nothing to find.

use super::Finding;
use crate::agents::self_healing::Limits;
use crate::agents::self_healing::facts::Facts;
use crate::agents::self_healing::remedy::Remedy;
use crate::event::Subject;
use crate::store::Severity;

fn one(
    facts: &Facts,
    (detector, severity): (&'static str, Severity),
    (value, limit): (String, String),
    remedy: Option<Remedy>,
) -> Option<Vec<Finding>> {
    let subject = Subject::index(&facts.instance);
    Some(vec![Finding {
        detector,
        subject,
        severity,
        value,
        limit,
        remedy,
    }])
}

/// The follower stopped. It has no remedy: the follower tries to go on by itself, and compares nothing until it can.
pub(super) fn stopped(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let Some(cause) = facts.index.as_ref().and_then(|index| index.stopped.clone()) else {
        return Some(Vec::new());
    };
    let limit = "the index follows the store; it goes on by itself when the cause is gone";
    let texts = (cause, limit.to_owned());
    one(facts, ("index_stopped", Severity::Error), texts, None)
}

/// The index cannot be searched for long: opening or rebuilding it does not come to an end.
pub(super) fn unready(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    let long = facts
        .index
        .as_ref()
        .is_some_and(|index| index.unready > limits.index_unready);
    if !long {
        return Some(Vec::new());
    }
    let limit = format!(
        "the index is ready within {} s",
        limits.index_unready.as_secs()
    );
    let texts = ("the index is being opened or rebuilt".to_owned(), limit);
    one(facts, ("index_unready", Severity::Error), texts, None)
}

/// The index lacks a change that the store has had for long.
pub(super) fn behind(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    let long = facts
        .index
        .as_ref()
        .is_some_and(|index| index.behind > limits.index_behind);
    if !long {
        return Some(Vec::new());
    }
    let value = "a change that the store has is not searchable yet".to_owned();
    let limit = format!(
        "every change is searchable within {} s",
        limits.index_behind.as_secs()
    );
    one(
        facts,
        ("index_behind", Severity::Warning),
        (value, limit),
        None,
    )
}

/// The index has followed to the end and has other chunks than the store.
pub(super) fn drift(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let Some(index) = &facts.index else {
        return Some(Vec::new());
    };
    let (indexed, stored) = index.chunks?;
    if indexed == stored {
        return Some(Vec::new());
    }
    let texts = (
        format!("the index has {indexed} chunks"),
        format!("{stored} chunks, as in the store"),
    );
    one(
        facts,
        ("index_drift", Severity::Error),
        texts,
        Some(Remedy::VerifyIndex),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agents::self_healing::facts::IndexFacts;

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
