//! Faults of the store and of the disk under it.

use super::Finding;
use crate::agents::self_healing::Limits;
use crate::agents::self_healing::facts::Facts;
use crate::event::Subject;
use crate::store::Severity;

/// What `detectors` finds about a thing that has no subject of its own in the grammar of subjects.
fn named(subject: &'static str) -> Subject {
    Subject::collection(subject)
}

/// Deliveries that failed for good, and entries of other programs that could not be published: somebody must look at them.
pub(super) fn dead_letters(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let ingress = facts.ingress_dead?;
    let agents = facts.dead.iter().map(|(_, count)| count.unsigned_abs());
    let total = agents.sum::<u64>() + ingress;
    if total == 0 {
        return Some(Vec::new());
    }
    let agents = facts.dead.iter();
    let mut each: Vec<String> = agents
        .map(|(agent, count)| format!("{agent} {count}"))
        .collect();
    let what = match total {
        1 => "1 delivery is dead".to_owned(),
        total => format!("{total} deliveries are dead"),
    };
    each.extend((ingress > 0).then(|| format!("ingress {ingress}")));
    Some(vec![Finding {
        detector: "dead_letters",
        subject: named("dead"),
        severity: Severity::Error,
        value: format!("{what}: {}", each.join(", ")),
        limit: "no delivery is dead".to_owned(),
        remedy: None,
    }])
}

/// Free space under its floor; enough again a tenth above it, so that it does not flap.
pub(super) fn disk(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    const MIB: u64 = 1024 * 1024;
    let free = facts.free?;
    let finding = Finding {
        detector: "disk",
        subject: named("disk"),
        severity: Severity::Error,
        value: format!("{} MiB free", free / MIB),
        limit: format!("at least {} MiB free", limits.free_space / MIB),
        remedy: None,
    };
    let enough = if facts.open.contains(&finding.key()) {
        limits.free_space.saturating_add(limits.free_space / 10)
    } else {
        limits.free_space
    };
    Some((free < enough).then_some(finding).into_iter().collect())
}

/// Pages of the store that are damaged.
pub(super) fn integrity(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let fault = facts.integrity.as_ref()?.as_ref();
    let found = fault.map(|fault| Finding {
        detector: "integrity",
        subject: Subject::store(),
        severity: Severity::Error,
        value: fault.clone(),
        limit: "every page is intact".to_owned(),
        remedy: None,
    });
    Some(found.into_iter().collect())
}

/// A log that grows because somebody else reads the store without an end. Its size is no part of the value: that stands still.
pub(super) fn log_held(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let found = facts.held_log.as_ref().map(|held| Finding {
        detector: "log_held",
        subject: Subject::store(),
        severity: Severity::Warning,
        value: format!(
            "store.db-wal grows: another process has been reading the store since {}",
            held.since
        ),
        limit: "no reader that stays: `fuser -v` on store.db lists who has it open; end the one that is not docent".to_owned(),
        remedy: None,
    });
    Some(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::AgentName;

    #[test]
    fn free_space_is_an_issue_below_the_floor_and_none_a_tenth_above_it() {
        let limits = Limits {
            free_space: 1000,
            ..Limits::default()
        };
        let cases = [
            (999, false, 1),
            (1000, false, 0),
            (1099, true, 1),
            (1100, true, 0),
        ];
        for (free, standing, expected) in cases {
            let mut facts = Facts {
                free: Some(free),
                ..Facts::default()
            };
            facts.open.extend(standing.then(|| "disk:disk".to_owned()));
            assert_eq!(
                disk(&facts, &limits).unwrap().len(),
                expected,
                "{free} {standing}"
            );
        }
    }

    #[test]
    fn dead_letters_are_one_issue_that_says_whose_they_are() {
        let dead = vec![(AgentName::DocumentManagement, 1), (AgentName::Rag, 2)];
        let mut facts = Facts {
            dead,
            ..Facts::default()
        };
        assert_eq!(dead_letters(&facts, &Limits::default()), None);
        facts.ingress_dead = Some(4);
        let found = dead_letters(&facts, &Limits::default()).unwrap();
        assert_eq!(
            found[0].value,
            "7 deliveries are dead: document_management 1, rag 2, ingress 4"
        );
        facts.ingress_dead = Some(0);
        let found = dead_letters(&facts, &Limits::default()).unwrap();
        assert_eq!(
            found[0].value,
            "3 deliveries are dead: document_management 1, rag 2"
        );
        assert_eq!(found[0].key(), "dead_letters:dead");
    }
}
