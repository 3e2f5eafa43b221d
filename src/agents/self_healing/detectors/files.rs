//! Faults between the disk, the manifest, the documents and their chunks.

use super::{Finding, ROOT_ABSENT};
use crate::agents::self_healing::Limits;
use crate::agents::self_healing::facts::Facts;
use crate::agents::self_healing::remedy::Remedy;
use crate::event::{AgentName, Subject};
use crate::store::Severity;

/// A collection's root cannot be reached.
pub(super) fn root_absent(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let absent = facts.edge.iter().flat_map(|edge| &edge.absent);
    let found = absent.map(|(collection, cause)| Finding {
        detector: ROOT_ABSENT,
        subject: Subject::collection(collection),
        severity: Severity::Error,
        value: cause.clone(),
        limit: "every root can be reached".to_owned(),
        remedy: None,
    });
    Some(found.collect())
}

/// Another directory is at a root's place than its files were in: nothing of it is read, and nothing is taken for removed.
pub(super) fn removals_held(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let held = facts.edge.iter().flat_map(|edge| &edge.removals_held);
    let found = held.map(|(collection, cause)| Finding {
        detector: "removals_held",
        subject: Subject::collection(collection),
        severity: Severity::Error,
        value: cause.clone(),
        limit: format!("the directory that was there is back, or `docent scan {collection} --accept-removals` accepts the one that is there"),
        remedy: None,
    });
    Some(found.collect())
}

/// Directories cannot be listed, or files cannot be read: what is new in them is not seen.
pub(super) fn unlisted(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let unlisted = facts.edge.iter().flat_map(|edge| &edge.unlisted);
    let found = unlisted.map(|(collection, which)| Finding {
        detector: "directories_unlisted",
        subject: Subject::collection(collection),
        severity: Severity::Warning,
        value: format!("cannot be read: {which}"),
        limit: "everything can be read, or `exclude` names it".to_owned(),
        remedy: None,
    });
    Some(found.collect())
}

/// Ignore rules cannot be used: what they are about is left out as a whole.
pub(super) fn shut(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let shut = facts.edge.iter().flat_map(|edge| &edge.shut);
    let found = shut.map(|(collection, which)| Finding {
        detector: "ignore_rules",
        subject: Subject::collection(collection),
        severity: Severity::Warning,
        value: format!("cannot be used, so nothing below is taken in: {which}"),
        limit: "every file of ignore rules can be used".to_owned(),
        remedy: None,
    });
    Some(found.collect())
}

pub(super) fn captures_held(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let held = facts.edge.as_ref().and_then(|edge| edge.held.clone());
    let found = held.map(|cause| Finding {
        detector: "captures_held",
        subject: Subject::agent(AgentName::ChangeDetection, &facts.instance),
        severity: Severity::Error,
        value: cause,
        limit: "every changed file is captured".to_owned(),
        remedy: None,
    });
    Some(found.into_iter().collect())
}

/// The last scan of a collection is older than the timer of scans allows.
pub(super) fn scan_overdue(facts: &Facts, limits: &Limits) -> Option<Vec<Finding>> {
    let Some(edge) = &facts.edge else {
        return Some(Vec::new());
    };
    let overdue = edge.scans.as_ref()?.iter().filter(|scan| {
        edge.collections.contains(&scan.collection)
            && edge.scanning.as_ref() != Some(&scan.collection)
            // One whose root is away cannot be scanned; that is another issue.
            && edge.absent.iter().all(|(absent, _)| *absent != scan.collection)
            && facts.age(scan.ended_at) > limits.scan_age
    });
    let found = overdue.map(|scan| Finding {
        detector: "scan_overdue",
        subject: Subject::collection(&scan.collection),
        severity: Severity::Warning,
        value: format!("last scanned {}", scan.ended_at),
        limit: format!("a scan every {} s", limits.scan_age.as_secs()),
        remedy: Some(Remedy::Rescan),
    });
    Some(found.collect())
}

/// Files whose document or chunks are not those of the bytes that were captured, though nobody owes anything.
pub(super) fn drift(facts: &Facts, _: &Limits) -> Option<Vec<Finding>> {
    let drifted = facts.drift.as_ref()?.iter();
    let found = drifted.filter_map(|(collection, drifted)| {
        let first = drifted.files.first()?;
        let (count, how) = (drifted.files.len(), drifted.how);
        Some(Finding {
            detector: "file_drift",
            subject: Subject::collection(collection),
            severity: Severity::Error,
            value: format!("{count} files, for example {first} {how}"),
            limit: "every captured file has its document and its chunks".to_owned(),
            remedy: Some(Remedy::CheckDocuments(drifted.files.clone())),
        })
    });
    Some(found.collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::agents::self_healing::facts::EdgeFacts;
    use crate::event::Millis;
    use crate::store::ScanRow;

    #[test]
    fn a_scan_is_overdue_beyond_its_age_unless_it_runs_or_cannot() {
        let limits = Limits::default();
        let now = Millis(1_700_000_000_000);
        let ended_at = now.minus(limits.scan_age + Duration::from_millis(1));
        let scan = ScanRow {
            collection: "docs".to_owned(),
            began_at: ended_at,
            ended_at,
            files: 1,
        };
        let overdue = EdgeFacts {
            collections: vec!["docs".to_owned()],
            scans: Some(vec![scan.clone()]),
            ..EdgeFacts::default()
        };
        let count = |edge: EdgeFacts| {
            let facts = Facts {
                now,
                edge: Some(edge),
                ..Facts::default()
            };
            scan_overdue(&facts, &limits).unwrap().len()
        };
        assert_eq!(count(overdue.clone()), 1);
        let late = ScanRow {
            ended_at: now.minus(limits.scan_age),
            ..scan
        };
        assert_eq!(
            count(EdgeFacts {
                scans: Some(vec![late]),
                ..overdue.clone()
            }),
            0
        );
        let docs = || "docs".to_owned();
        assert_eq!(
            count(EdgeFacts {
                scanning: Some(docs()),
                ..overdue.clone()
            }),
            0
        );
        assert_eq!(
            count(EdgeFacts {
                absent: vec![(docs(), String::new())],
                ..overdue.clone()
            }),
            0
        );
        assert_eq!(
            count(EdgeFacts {
                collections: Vec::new(),
                ..overdue
            }),
            0
        );
    }
}
