//! Issues between the disk, the manifest, the documents and their chunks.

use super::{Detected, Detector, Facts, Fix, Limits};
use crate::event::{AgentName, Subject};
use crate::runtime::{RootReport, RootState, ScanProgress};

fn accept(collection: &str) -> String {
    format!("docent scan {collection} --accept-removals")
}

/// What `issue` makes of each root.
fn roots(
    facts: &Facts,
    issue: impl Fn(&RootReport, Subject) -> Option<Detected>,
) -> Option<Vec<Detected>> {
    let roots = facts.edge.iter().flat_map(|edge| &edge.progress.roots);
    let found = roots.filter_map(|root| issue(root, Subject::collection(&root.collection)));
    Some(found.collect())
}

/// A collection's root cannot be reached.
pub(super) fn root_absent(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    roots(facts, |root, subject| {
        let (name, (cause, then)) = (&root.collection, root.state.away()?);
        let remedy = match root.state {
            RootState::Denied(_) => format!("let docent's user read it; {then}"),
            RootState::LetGo(_) => {
                format!("put it back, or take the collection out of the config; {then}")
            }
            _ => format!(
                "mount it or put it back; {then} until then; to remove them from search instead: {}",
                accept(name)
            ),
        };
        let value = format!("{cause}; {then}");
        let found = Detected::new(
            Detector::RootAbsent,
            subject,
            value,
            "every root can be reached",
        );
        Some(found.told(
            format!("the root of {name} cannot be reached: {cause}"),
            remedy,
        ))
    })
}

/// Another directory is at a root's place than its files were in: nothing of it is read, and nothing is taken for removed.
pub(super) fn removals_held(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    roots(facts, |root, subject| {
        let RootState::RemovalsHeld(cause) = &root.state else {
            return None;
        };
        let (name, accept) = (&root.collection, accept(&root.collection));
        let limit =
            format!("the original directory is back, or `{accept}` accepts the one that is there");
        let found = Detected::new(Detector::RemovalsHeld, subject, cause.clone(), limit);
        Some(found.told(
            format!("the removals in {name} are held: {cause}"),
            format!("mount the volume again or put the directory back; to accept what is there now: {accept}"),
        ))
    })
}

/// What `told` names of each collection, and what is said of it.
fn named(
    facts: &Facts,
    detector: Detector,
    told: fn(&ScanProgress) -> Vec<(String, String)>,
    how: &str,
    limit: &str,
) -> Option<Vec<Detected>> {
    let named = facts.edge.iter().flat_map(|edge| told(&edge.progress));
    let found = named.map(|(collection, which)| {
        let subject = Subject::collection(&collection);
        Detected::new(detector, subject, format!("{how}: {which}"), limit)
    });
    Some(found.collect())
}

/// Directories cannot be listed, or files cannot be read: what is new in them is not seen.
pub(super) fn unlisted(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    named(
        facts,
        Detector::DirectoriesUnlisted,
        ScanProgress::unlisted,
        "cannot be read",
        "everything can be read, or `exclude` names it",
    )
}

/// Ignore rules cannot be used: what they are about is left out as a whole.
pub(super) fn shut(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    named(
        facts,
        Detector::IgnoreRules,
        ScanProgress::shut,
        "cannot be used, so nothing below is taken in",
        "every file of ignore rules can be used",
    )
}

pub(super) fn captures_held(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let held = facts
        .edge
        .iter()
        .filter_map(|edge| edge.progress.held.as_ref());
    let found = held.map(|cause| {
        let subject = Subject::agent(AgentName::ChangeDetection, &facts.instance);
        let limit = "every changed file is captured";
        let found = Detected::new(Detector::CapturesHeld, subject, cause.clone(), limit);
        let remedy = "they continue by themselves when the cause is gone";
        found.told(format!("captures are held: {cause}"), remedy)
    });
    Some(found.collect())
}

/// The last scan of a collection is older than the timer of scans allows.
pub(super) fn scan_overdue(facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let Some(edge) = &facts.edge else {
        return Some(Vec::new());
    };
    let is_away = |collection: &String| {
        let mut roots = edge.progress.roots.iter();
        roots.any(|root| root.collection == *collection && root.state.away().is_some())
    };
    let overdue = edge.scans.as_ref()?.iter().filter(|scan| {
        edge.collections.contains(&scan.collection)
            && edge.progress.scanning.as_ref() != Some(&scan.collection)
            // One whose root is away cannot be scanned; that is another issue.
            && !is_away(&scan.collection)
            && facts.age(scan.ended_at) > limits.scan_age
    });
    let found = overdue.map(|scan| {
        let found = Detected::new(
            Detector::ScanOverdue,
            Subject::collection(&scan.collection),
            format!("last scanned {}", scan.ended_at),
            format!("a scan every {} s", limits.scan_age.as_secs()),
        );
        found.fixed_by(Fix::Rescan)
    });
    Some(found.collect())
}

/// Files whose document or chunks are not those of the bytes that were captured, though nobody owes anything.
pub(super) fn drift(facts: &Facts, _: &Limits) -> Option<Vec<Detected>> {
    let drifted = facts.drift.as_ref()?.iter();
    let found = drifted.filter_map(|(collection, drifted)| {
        let first = drifted.files.first()?;
        let (count, how) = (drifted.files.len(), drifted.how);
        let found = Detected::new(
            Detector::FileDrift,
            Subject::collection(collection),
            format!("{count} files, for example {first} {how}"),
            "every captured file has its document and its chunks",
        );
        Some(found.fixed_by(Fix::CheckDocuments(drifted.files.clone())))
    });
    Some(found.collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::Millis;
    use crate::health::EdgeFacts;
    use crate::health::tests::root;
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
                progress: ScanProgress {
                    scanning: Some(docs()),
                    ..ScanProgress::default()
                },
                ..overdue.clone()
            }),
            0
        );
        assert_eq!(
            count(EdgeFacts {
                progress: ScanProgress {
                    roots: vec![root("docs", RootState::Absent(String::new()))],
                    ..ScanProgress::default()
                },
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
