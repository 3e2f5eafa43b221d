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
use crate::store::Severity;

/// What a detector found.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) detector: &'static str,
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
pub(super) fn key(detector: &str, subject: &Subject) -> String {
    format!("{detector}:{subject}")
}

pub(super) struct Detector {
    /// Its name, as in the issue and its events.
    pub(super) name: &'static str,
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

pub(super) const ALL: &[Detector] = &[
    detector("agent_parked", (AT_ONCE, AT_ONCE), agents::parked),
    detector("agent_restarts", (AT_ONCE, AT_ONCE), agents::restarts),
    detector("agent_unavailable", (AT_ONCE, A_WHILE), agents::unavailable),
    detector("oldest_owed", (TWICE, A_WHILE), agents::oldest_owed),
    detector("dead_letters", (AT_ONCE, AT_ONCE), store::dead_letters),
    detector("disk", (AT_ONCE, AT_ONCE), store::disk),
    detector("integrity", (AT_ONCE, AT_ONCE), store::integrity),
    detector("log_held", (A_WHILE, AT_ONCE), store::log_held),
    detector("index_stopped", (AT_ONCE, AT_ONCE), index::stopped),
    detector("index_unready", (AT_ONCE, AT_ONCE), index::unready),
    detector("index_behind", (AT_ONCE, A_WHILE), index::behind),
    detector("index_drift", (TWICE, AT_ONCE), index::drift),
    detector(ROOT_ABSENT, (AT_ONCE, AT_ONCE), files::root_absent),
    detector("removals_held", (AT_ONCE, AT_ONCE), files::removals_held),
    detector("directories_unlisted", (AT_ONCE, AT_ONCE), files::unlisted),
    detector("ignore_rules", (AT_ONCE, AT_ONCE), files::shut),
    detector("captures_held", (AT_ONCE, AT_ONCE), files::captures_held),
    detector("scan_overdue", (AT_ONCE, AT_ONCE), files::scan_overdue),
    detector("file_drift", (TWICE, AT_ONCE), files::drift),
    detector("redis_away", (TWICE, AT_ONCE), redis::away),
    detector("redis_reconnects", (AT_ONCE, AT_ONCE), redis::reconnects),
    detector("redis_strangers", (TWICE, A_WHILE), streams::strangers),
    detector("redis_stuck", (TWICE, A_WHILE), streams::stuck),
    detector("redis_inbox", (A_WHILE, A_WHILE), streams::inbox),
    detector("redis_ingress", (TWICE, A_WHILE), streams::ingress),
];

/// The detector whose issue asks for a scan when it is gone.
pub(super) const ROOT_ABSENT: &str = "root_absent";

const fn detector(
    name: &'static str,
    (opens_after, closes_after): (Duration, Duration),
    look: fn(&Facts, &Limits) -> Option<Vec<Finding>>,
) -> Detector {
    Detector {
        name,
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
    fn names_are_unique_and_make_keys_that_can_be_told_apart() {
        let names: HashSet<&str> = ALL.iter().map(|d| d.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(names.iter().all(|n| !n.contains(':')));
    }

    #[test]
    fn a_finding_names_the_detector_that_is_listed_with_it() {
        let facts = agents::tests::everything_wrong();
        for detector in ALL {
            let found = (detector.look)(&facts, &Limits::default()).unwrap();
            assert_eq!(found.len(), 1, "{}", detector.name);
            assert_eq!(found[0].detector, detector.name);
        }
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong_and_nothing_said_where_nothing_is_known() {
        let facts = agents::tests::all_well();
        for detector in ALL {
            let found = (detector.look)(&facts, &Limits::default());
            assert_eq!(found, Some(Vec::new()), "{}", detector.name);
        }
        let unknown = agents::tests::nothing_known();
        for name in [
            "oldest_owed",
            "dead_letters",
            "redis_away",
            "redis_strangers",
            "redis_stuck",
            "redis_inbox",
            "redis_ingress",
            "disk",
            "integrity",
            "index_drift",
            "scan_overdue",
            "file_drift",
        ] {
            let detector = ALL.iter().find(|d| d.name == name).unwrap();
            assert_eq!(
                (detector.look)(&unknown, &Limits::default()),
                None,
                "{name}"
            );
        }
    }
}
