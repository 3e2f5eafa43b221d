//! Which issues this host judges: all of them, unless several hosts share the store.
//!
//! Then each judges what is its own. What all share is judged by the one that has the lease of housekeeping, and a collection
//! by the one that watches it. Issues of others are shown, and left alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::Subject;
use crate::store::{Detector, Issue, LeaseName, Leases};

/// What this host judges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Responsibility {
    #[default]
    Everything,
    /// Its own things, and
    Shared {
        /// the collections that it watches,
        collections: BTreeSet<String>,
        /// and what all hosts share and what is left of hosts that have ended, if that is its task.
        store: bool,
        /// The names of the hosts that have not ended.
        hosts: Arc<[String]>,
    },
}

impl Responsibility {
    /// What a host judges that has these leases.
    pub(crate) fn of(leases: &Leases) -> Self {
        match leases.collections() {
            None => Responsibility::Everything,
            Some(watched) => Responsibility::Shared {
                collections: watched.into_keys().collect(),
                store: leases.has(&LeaseName::Housekeeping),
                hosts: leases.hosts(),
            },
        }
    }

    /// Whether the host `instance` judges what a detector finds about a subject.
    pub(crate) fn includes(&self, detector: Detector, about: &str, instance: &str) -> bool {
        let Responsibility::Shared {
            collections,
            store,
            hosts,
        } = self
        else {
            return true;
        };
        match detector {
            Detector::RootAbsent
            | Detector::RemovalsHeld
            | Detector::DirectoriesUnlisted
            | Detector::IgnoreRules
            | Detector::ScanOverdue
            | Detector::FileDrift => collections.contains(about),
            _ => match about.rsplit_once('@') {
                Some((_, of)) if of == instance => true,
                // Before it has looked for the first time, it knows nobody.
                Some((_, of)) => *store && !hosts.is_empty() && hosts.iter().all(|host| host != of),
                None => *store,
            },
        }
    }

    /// Whether the host `instance` judges an issue that is open.
    pub(crate) fn includes_issue(&self, issue: &Issue, instance: &str) -> bool {
        let about = about(issue);
        match issue.detector {
            Some(detector) => self.includes(detector, about, instance),
            None => *self == Responsibility::Everything,
        }
    }

    /// A thing of the host `instance`, which is one of several if the store is shared.
    pub(super) fn of_host(&self, thing: &str, instance: &str) -> Subject {
        Subject::collection(&match self {
            Responsibility::Everything => thing.to_owned(),
            Responsibility::Shared { .. } => format!("{thing}@{instance}"),
        })
    }
}

/// Whether an issue is about another host than `instance`.
pub(super) fn is_of_another_host(issue: &Issue, instance: &str) -> bool {
    about(issue)
        .rsplit_once('@')
        .is_some_and(|(_, of)| of != instance)
}

/// What an issue is about.
fn about(issue: &Issue) -> &str {
    let parts = issue.subject.split_once(':');
    parts.map_or(issue.subject.as_str(), |(_, about)| about)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_hosts_each_judges_its_own_and_one_what_they_share() {
        let hosts: Arc<[String]> = ["here", "there"].map(str::to_owned).into();
        let watcher = Responsibility::Shared {
            collections: BTreeSet::from(["docs".to_owned()]),
            store: false,
            hosts: hosts.clone(),
        };
        let keeper = Responsibility::Shared {
            collections: BTreeSet::new(),
            store: true,
            hosts,
        };
        let cases = [
            (Detector::AgentParked, "agent/rag@here", [true, true]),
            (Detector::AgentParked, "agent/rag@there", [false, false]),
            (Detector::Disk, "disk@there", [false, false]),
            (Detector::Disk, "disk@gone", [false, true]),
            (Detector::RootAbsent, "docs", [true, false]),
            (Detector::FileDrift, "code", [false, false]),
            (Detector::DeadLetters, "dead", [false, true]),
            (Detector::Integrity, "store", [false, true]),
        ];
        for (detector, about, judged) in cases {
            let by = [&watcher, &keeper].map(|who| who.includes(detector, about, "here"));
            assert_eq!(by, judged, "{detector:?} {about}");
            assert!(Responsibility::Everything.includes(detector, about, "here"));
        }
    }
}
