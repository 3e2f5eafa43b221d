//! Issues of the store and of the disk under it.

use std::time::Duration;

use super::{Detected, Detector, Facts, Limits};
use crate::config::format_size;
use crate::event::Subject;
use crate::store::PUT_BACK;

/// How long lost commits are an issue.
const TOLD_FOR: Duration = Duration::from_secs(24 * 3600);

/// A thing that has no subject of its own in the grammar of subjects.
fn named(subject: &'static str) -> Subject {
    Subject::collection(subject)
}

/// Deliveries that failed for good, and entries of other programs that could not be published: somebody must look at them.
pub(super) fn dead_letters(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let ingress = ("ingress", facts.ingress_dead?);
    let agents = facts
        .dead
        .iter()
        .map(|(agent, dead)| (agent.as_str(), *dead));
    let each: Vec<_> = agents
        .chain([ingress])
        .filter(|(_, dead)| *dead > 0)
        .collect();
    let what = match each.iter().map(|(_, dead)| dead).sum::<u64>() {
        0 => return Some(Vec::new()),
        1 => "1 delivery is dead".to_owned(),
        dead => format!("{dead} deliveries are dead"),
    };
    let each: Vec<String> = each
        .iter()
        .map(|(name, dead)| format!("{name} {dead}"))
        .collect();
    let what = format!("{what}: {}", each.join(", "));
    let limit = "no delivery is dead";
    let found = Detected::new(Detector::DeadLetters, named("dead"), what.clone(), limit);
    Some(vec![found.told(
        what,
        "see `docent dead list`; fix the cause, then run `docent dead replay ID…`, or give up with `docent dead drop ID…`",
    )])
}

/// Free space under its floor; enough again a tenth above it, so that it does not flap.
pub(super) fn disk(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let (bytes, floor) = (facts.free?, limits.free_space);
    let (free, least) = (format_size(bytes), format_size(floor));
    let found = Detected::new(
        Detector::Disk,
        facts.responsibility.of_host("disk", &facts.instance),
        format!("{free} free"),
        format!("at least {least} free"),
    );
    let found = found.told(
        format!("the disk of data_dir has {free} free, less than {least}: nothing is captured"),
        "free space; captures then continue by themselves",
    );
    let enough = if facts.open.contains(&found.key()) {
        floor.saturating_add(floor / 10)
    } else {
        floor
    };
    Some((bytes < enough).then_some(found).into_iter().collect())
}

/// Pages of the store that are damaged.
pub(super) fn integrity(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let damage = facts.integrity.as_ref()?.iter();
    let found = damage.map(|damage| {
        let limit = "every page is intact";
        Detected::new(Detector::Integrity, Subject::store(), damage.clone(), limit)
    });
    Some(found.collect())
}

/// A record of the audit log that does not fit the one before it.
pub(super) fn audit_broken(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let broken = facts.audit_break.as_ref()?.iter();
    let found = broken.map(|at| {
        let limit = "every record fits the one before it";
        Detected::new(Detector::AuditBroken, Subject::store(), at.clone(), limit)
    });
    Some(found.collect())
}

/// Commits that are not in the store any more. It is told for a day.
pub(super) fn commits_lost(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let lately = facts.commits_lost.filter(|at| facts.age(*at) < TOLD_FOR);
    let found = lately.map(|at| {
        let value = format!(
            "commits are gone from the store, which was found at {at}: it was restored, or failed over to a replica that was behind"
        );
        let about = facts.responsibility.of_host("store", &facts.instance);
        let limit = "what was committed stays in the store";
        Detected::new(Detector::CommitsLost, about, value, limit)
    });
    Some(found.into_iter().collect())
}

/// The files of the store are gone, or are others.
pub(super) fn replaced(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let found = facts.replaced.iter().map(|how| {
        let limit = "the store's files are those that docent opened";
        let found = Detected::new(
            Detector::StoreReplaced,
            Subject::store(),
            how.clone(),
            limit,
        );
        found.told(how.clone(), PUT_BACK)
    });
    Some(found.collect())
}

/// The store cannot be written: what is published is refused, and work waits.
pub(super) fn unwritable(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let found = facts.unwritable.iter().map(|why| {
        // A writer that knows what to do says so after the cause.
        let (cause, remedy) = why
            .split_once("; ")
            .unwrap_or((why, Detector::StoreUnwritable.remedy()));
        let what = format!("the store cannot be written: {cause}");
        let about = facts.responsibility.of_host("store", &facts.instance);
        let limit = "the store can be written";
        let found = Detected::new(Detector::StoreUnwritable, about, cause.to_owned(), limit);
        found.told(what, remedy)
    });
    Some(found.collect())
}

/// A log that grows because somebody else reads the store without an end. Its size is no part of the value: that stands still.
pub(super) fn log_held(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let found = facts.held_log.iter().map(|held| {
        let value = format!(
            "store.db-wal grows: another process has been reading the store since {}",
            held.since
        );
        let limit = "no program reads it for long";
        Detected::new(Detector::LogHeld, Subject::store(), value, limit)
    });
    Some(found.collect())
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
            facts
                .open
                .extend(standing.then(|| Detector::Disk.key(&named("disk"))));
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
