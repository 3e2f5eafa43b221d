//! The detectors: each looks at the facts and says what is wrong, or that it cannot say.

mod agents;
mod files;
mod index;
mod redis;
mod store;
mod streams;

use std::time::Duration;

use super::Limits;
use super::facts::Facts;
use super::remedy::Remedy;
use crate::event::Subject;
use crate::store::{Detector, Severity};

/// What a detector found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) detector: Detector,
    /// What it is about.
    pub(super) subject: Subject,
    /// How bad it is.
    pub(super) severity: Severity,
    /// What was found, for a person.
    pub(super) value: String,
    /// What would be right.
    pub(super) limit: String,
    /// What may mend it.
    pub(super) remedy: Option<Remedy>,
}

impl Finding {
    /// The key of its issue: unique among the open ones, also where two detectors find fault with one subject.
    pub(super) fn key(&self) -> String {
        key(self.detector, &self.subject)
    }
}

/// The key of an issue: `<detector>:<subject>`. No detector's name has a colon.
pub(super) fn key(detector: Detector, subject: &Subject) -> String {
    format!("{}:{subject}", detector.as_str())
}

/// How one kind of fault is looked for.
pub(super) struct Detection {
    pub(super) detector: Detector,
    /// How long a fault must be seen before it is an issue.
    pub(super) opens_after: Duration,
    /// How long a fault must not be seen before its issue is closed.
    pub(super) closes_after: Duration,
    /// What is wrong now, everything of its kind; `None`: that cannot be said from these facts.
    pub(super) look: fn(&Facts, &Limits) -> Option<Vec<Finding>>,
}

/// Enough for a second look: what passes between two looks is no issue.
const TWICE: Duration = Duration::from_millis(900);
const AT_ONCE: Duration = Duration::ZERO;
/// For what comes and goes by its nature.
const A_WHILE: Duration = Duration::from_secs(30);

pub(super) const ALL: &[Detection] = &[
    detection(Detector::AgentParked, (AT_ONCE, AT_ONCE), agents::parked),
    detection(
        Detector::AgentRestarts,
        (AT_ONCE, AT_ONCE),
        agents::restarts,
    ),
    detection(
        Detector::AgentUnavailable,
        (AT_ONCE, A_WHILE),
        agents::unavailable,
    ),
    detection(Detector::OldestOwed, (TWICE, A_WHILE), agents::oldest_owed),
    detection(
        Detector::DeadLetters,
        (AT_ONCE, AT_ONCE),
        store::dead_letters,
    ),
    detection(Detector::Disk, (AT_ONCE, AT_ONCE), store::disk),
    detection(Detector::Integrity, (AT_ONCE, AT_ONCE), store::integrity),
    detection(Detector::LogHeld, (A_WHILE, AT_ONCE), store::log_held),
    detection(Detector::IndexStopped, (AT_ONCE, AT_ONCE), index::stopped),
    detection(Detector::IndexUnready, (AT_ONCE, AT_ONCE), index::unready),
    detection(Detector::IndexBehind, (AT_ONCE, A_WHILE), index::behind),
    detection(Detector::IndexDrift, (TWICE, AT_ONCE), index::drift),
    detection(Detector::RootAbsent, (AT_ONCE, AT_ONCE), files::root_absent),
    detection(
        Detector::RemovalsHeld,
        (AT_ONCE, AT_ONCE),
        files::removals_held,
    ),
    detection(
        Detector::DirectoriesUnlisted,
        (AT_ONCE, AT_ONCE),
        files::unlisted,
    ),
    detection(Detector::IgnoreRules, (AT_ONCE, AT_ONCE), files::shut),
    detection(
        Detector::CapturesHeld,
        (AT_ONCE, AT_ONCE),
        files::captures_held,
    ),
    detection(
        Detector::ScanOverdue,
        (AT_ONCE, AT_ONCE),
        files::scan_overdue,
    ),
    detection(Detector::FileDrift, (TWICE, AT_ONCE), files::drift),
    detection(Detector::RedisAway, (TWICE, AT_ONCE), redis::away),
    detection(
        Detector::RedisReconnects,
        (AT_ONCE, AT_ONCE),
        redis::reconnects,
    ),
    detection(
        Detector::RedisStrangers,
        (TWICE, A_WHILE),
        streams::strangers,
    ),
    detection(Detector::RedisStuck, (TWICE, A_WHILE), streams::stuck),
    detection(Detector::RedisInbox, (A_WHILE, A_WHILE), streams::inbox),
    detection(Detector::RedisIngress, (TWICE, A_WHILE), streams::ingress),
];

const fn detection(
    detector: Detector,
    (opens_after, closes_after): (Duration, Duration),
    look: fn(&Facts, &Limits) -> Option<Vec<Finding>>,
) -> Detection {
    Detection {
        detector,
        opens_after,
        closes_after,
        look,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_detector_is_listed_once_and_its_name_makes_a_key() {
        let listed: HashSet<Detector> = ALL.iter().map(|d| d.detector).collect();
        assert_eq!(listed.len(), ALL.len());
        let mut names = listed.iter().map(|detector| detector.as_str());
        assert!(names.all(|name| !name.contains(':')));
    }

    #[test]
    fn a_finding_names_the_detector_that_is_listed_with_it() {
        let facts = agents::tests::everything_wrong();
        for detection in ALL {
            let found = (detection.look)(&facts, &Limits::default()).unwrap();
            assert_eq!(found.len(), 1, "{:?}", detection.detector);
            assert_eq!(found[0].detector, detection.detector);
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong_and_nothing_said_where_nothing_is_known() {
        let facts = agents::tests::all_well();
        for detection in ALL {
            let found = (detection.look)(&facts, &Limits::default());
            assert_eq!(found, Some(Vec::new()), "{:?}", detection.detector);
        }
        let unknown = agents::tests::nothing_known();
        for detector in [
            Detector::OldestOwed,
            Detector::DeadLetters,
            Detector::RedisAway,
            Detector::RedisStrangers,
            Detector::RedisStuck,
            Detector::RedisInbox,
            Detector::RedisIngress,
            Detector::Disk,
            Detector::Integrity,
            Detector::IndexDrift,
            Detector::ScanOverdue,
            Detector::FileDrift,
        ] {
            let detection = ALL.iter().find(|d| d.detector == detector).unwrap();
            assert_eq!(
                (detection.look)(&unknown, &Limits::default()),
                None,
                "{detector:?}"
            );
        }
    }
}
