//! Alerts: what the rules of the config find in the facts, and when that begins and ends an alert.
//!
//! [`read`] says what one rule finds, [`step`] what follows from it for where the rule stands. The state is a row
//! of the store: nothing is remembered here.

mod reading;
mod rule;
mod standing;

pub(crate) use reading::{AgentEnds, AlertFacts, ENDS_WINDOW, Reading, read};
pub(crate) use rule::{AlertRule, Bound};
pub(crate) use standing::{AlertTransition, step};

use super::{Detected, Detector, Facts, Limits};
use crate::event::Subject;

/// Rules whose receivers could not be told in time.
pub(super) fn undelivered(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let found = facts.undelivered.as_ref()?.iter().filter_map(|one| {
        let value = format!(
            "{} given up by {}, the last attempt: {}",
            one.count, one.since, one.error
        );
        let limit = "the receiver accepts a message within 24 hours; fix what the error names, and the issue closes when the next message of this alert is accepted or its rule is removed";
        let subject = Subject::parse(&one.rule).ok()?;
        Some(Detected::new(Detector::AlertUndelivered, subject, value, limit))
    });
    Some(found.collect())
}
