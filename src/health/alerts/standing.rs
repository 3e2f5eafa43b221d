//! Where a rule stands, and what follows from a reading: pure, the state is the row in the store.

use super::reading::Reading;
use super::rule::AlertRule;
use crate::event::Millis;
use crate::store::{AlertRow, AlertStage};

/// What happened to a rule, as its receiver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlertTransition {
    Raised,
    Cleared,
}

/// What follows from a reading.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AlertStep {
    /// Where the rule stands now; `None`: it is quiet, and nothing is to be remembered.
    pub row: Option<AlertRow>,
    pub told: Option<AlertTransition>,
}

/// What follows from `reading` for a rule that stands like `row`; `None`: nothing changes.
pub(crate) fn step(
    rule: &AlertRule,
    row: Option<&AlertRow>,
    reading: &Reading,
    now: Millis,
) -> Option<AlertStep> {
    let stage = row.map_or(AlertStage::Quiet, |row| row.stage);
    let cleared_at = row.and_then(|row| row.cleared_at);
    let cooling = cleared_at.filter(|at| now.since(Millis(*at)) < rule.cooldown && *at <= now.0);
    let stands = |stage, since: Millis, cleared_at| AlertRow {
        rule: rule.name.clone(),
        stage,
        since: since.0,
        cleared_at,
        value: reading.value.to_string(),
        limit: reading.limit.to_string(),
        severity: rule.severity,
    };
    let silently = |row| Some(AlertStep { row, told: None });
    match (stage, reading.holds) {
        (AlertStage::Raised, true) => None,
        (AlertStage::Raised, false) => Some(AlertStep {
            row: (!rule.cooldown.is_zero()).then(|| stands(AlertStage::Quiet, now, Some(now.0))),
            told: Some(AlertTransition::Cleared),
        }),
        (AlertStage::Quiet, false) if row.is_some() && cooling.is_none() => silently(None),
        (AlertStage::Quiet, false) => None,
        (AlertStage::Pending, false) => {
            silently(cooling.map(|at| stands(AlertStage::Quiet, now, Some(at))))
        }
        (AlertStage::Quiet | AlertStage::Pending, true) => {
            let begun = row.filter(|row| row.stage == AlertStage::Pending && row.since <= now.0);
            let since = begun.map_or(now, |row| Millis(row.since));
            if now.since(since) >= rule.hold && cooling.is_none() {
                return Some(AlertStep {
                    row: Some(stands(AlertStage::Raised, since, None)),
                    told: Some(AlertTransition::Raised),
                });
            }
            match begun {
                Some(_) => None,
                None => silently(Some(stands(AlertStage::Pending, since, cleared_at))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::health::alerts::Bound;
    use crate::store::Severity;

    fn rule(hold: u64, cooldown: u64) -> AlertRule {
        AlertRule {
            name: "a".to_owned(),
            when: "parked",
            bound: Bound::Parked,
            agent: None,
            job: None,
            hold: Duration::from_millis(hold),
            cooldown: Duration::from_millis(cooldown),
            severity: Severity::Error,
        }
    }

    fn reading(holds: bool) -> Reading {
        Reading {
            holds,
            value: json!(1),
            limit: json!(0),
            what: "x".to_owned(),
        }
    }

    /// What is told of readings that come each at its moment, with the moment since when it was so.
    fn told(
        rule: &AlertRule,
        readings: &[(i64, bool)],
    ) -> Vec<(i64, AlertTransition, Option<i64>)> {
        let (mut row, mut told): (Option<AlertRow>, _) = (None, Vec::new());
        for (at, holds) in readings {
            if let Some(step) = step(rule, row.as_ref(), &reading(*holds), Millis(*at)) {
                let since = step.row.as_ref().map(|row| row.since);
                told.extend(step.told.map(|told| (*at, told, since)));
                row = step.row;
            }
        }
        told
    }

    #[test]
    fn an_alert_begins_when_it_was_so_for_long_enough_and_ends_at_once() {
        let readings = [
            (0, true),
            (5, false),
            (10, true),
            (19, true),
            (20, true),
            (30, true),
            (40, false),
            (50, false),
        ];
        let told = told(&rule(10, 0), &readings);
        assert_eq!(
            told,
            [
                (20, AlertTransition::Raised, Some(10)),
                (40, AlertTransition::Cleared, None)
            ]
        );
    }

    #[test]
    fn what_flaps_is_raised_again_only_after_the_cooldown() {
        let flapping: Vec<(i64, bool)> = (0..40).map(|at| (at, at % 2 == 0)).collect();
        let moments: Vec<(i64, AlertTransition)> = told(&rule(0, 10), &flapping)
            .into_iter()
            .map(|(at, told, _)| (at, told))
            .collect();
        let expected: Vec<(i64, AlertTransition)> = [0, 12, 24, 36]
            .iter()
            .flat_map(|at| {
                [
                    (*at, AlertTransition::Raised),
                    (at + 1, AlertTransition::Cleared),
                ]
            })
            .collect();
        assert_eq!(moments, expected);
    }

    #[test]
    fn one_that_came_back_during_the_cooldown_and_stays_is_raised_after_it() {
        let readings = [(0, true), (1, false), (3, true), (10, true), (11, true)];
        let told = told(&rule(0, 10), &readings);
        assert_eq!(told[2], (11, AlertTransition::Raised, Some(3)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_hold_an_alert_back() {
        let readings = [(1000, true), (0, true), (10, true)];
        assert_eq!(
            told(&rule(10, 0), &readings),
            [(10, AlertTransition::Raised, Some(0))]
        );
        let readings = [(1000, true), (1001, false), (0, true)];
        assert_eq!(told(&rule(0, 50), &readings).len(), 3);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_rules_of_alerts_hold(
            hold in 0_u64..20,
            cooldown in 0_u64..40,
            steps in proptest::collection::vec((1_i64..10, any::<bool>()), 1..80),
        ) {
            let mut at = 0;
            let readings: Vec<(i64, bool)> = steps.into_iter().map(|(pause, holds)| { at += pause; (at, holds) }).collect();
            let told = told(&rule(hold, cooldown), &readings);
            let mut last_end: Option<i64> = None;
            for (place, (at, what, since)) in told.iter().enumerate() {
                // Begin and end take turns.
                let expected = if place % 2 == 0 { AlertTransition::Raised } else { AlertTransition::Cleared };
                prop_assert_eq!(*what, expected);
                if *what == AlertTransition::Cleared {
                    last_end = Some(*at);
                    continue;
                }
                // It was so at every reading since then, for long enough.
                let since = since.unwrap();
                prop_assert!(u64::try_from(at - since).unwrap() >= hold);
                prop_assert!(readings.iter().filter(|(when, _)| (since..=*at).contains(when)).all(|(_, holds)| *holds));
                // And not within the cooldown.
                prop_assert!(last_end.is_none_or(|end| u64::try_from(at - end).unwrap() >= cooldown));
            }
            // What is so for hold and cooldown is raised; what is not so is not.
            let raised = told.len() % 2 == 1;
            let (end, holds) = readings[readings.len() - 1];
            prop_assert!(holds || !raised);
            let begun = readings.iter().rev().take_while(|(_, holds)| *holds).last();
            if let Some((begun, _)) = begun {
                let long = u64::try_from(end - begun).unwrap() >= hold.max(cooldown);
                prop_assert!(raised || !long);
            }
        }
    }
}
