//! What is wrong with the daemon, judged from facts. Pure: whoever asks gathers the facts, and the time is one of them.
//!
//! [`look`] says what one [`Detector`] finds. `self_healing` asks all of them, again and again, and makes issues of what they
//! find, with patience. [`present()`] is what `status` and `health` tell at this moment: what can be judged at once is judged
//! anew, and then an open issue that says otherwise is over, and one that `self_healing` has not opened yet is told all the
//! same. The rest are the open issues: what only time tells, or a look that takes long.

mod agents;
pub(crate) mod alerts;
mod responsibility;
mod facts;
mod files;
mod index;
mod present;
mod redis;
mod remedies;
mod store;
mod streams;

use std::time::Duration;

use crate::event::{AgentName, Subject};
use crate::store::{Detector, Severity};

pub(crate) use agents::parked_text;
pub(crate) use facts::{
    AgentFacts, Drifted, EdgeFacts, Facts, IndexFacts, RedisFacts, RedisLook, RedisStanding,
    RedisView, StreamFacts,
};
pub(crate) use present::{OpenIssue, Present, present};
pub(crate) use responsibility::Responsibility;

/// What is too much.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// The age of an event that an agent owes.
    pub oldest_owed: Duration,
    /// Free space where the data are, in bytes, below which there is an issue.
    pub free_space: u64,
    /// How long Redis may be away while work goes on without it.
    pub redis_away: Duration,
    /// How long an entry of another program may wait to be published.
    pub ingress_waits: Duration,
    /// New connections to Redis,
    pub redis_reconnects: usize,
    /// or restarts of one agent,
    pub restarts: usize,
    pub restarts_window: Duration,
    /// How long an agent that was parked must run to count as well again.
    pub steady: Duration,
    /// How long opening or rebuilding the index may take.
    pub index_unready: Duration,
    /// How long a change may be in the store and not in the index.
    pub index_behind: Duration,
    /// The age of a collection's last scan: twice the timer of scans is sensible.
    pub scan_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            oldest_owed: Duration::from_secs(5 * 60),
            free_space: 256 << 20,
            redis_away: Duration::from_secs(60),
            ingress_waits: Duration::from_secs(60),
            redis_reconnects: 3,
            restarts: 3,
            restarts_window: Duration::from_secs(10 * 60),
            steady: Duration::from_secs(30),
            index_unready: Duration::from_secs(10 * 60),
            index_behind: Duration::from_secs(60),
            scan_age: Duration::from_secs(2 * 3600),
        }
    }
}

/// An issue as a detector sees it now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detected {
    pub detector: Detector,
    /// What it is about.
    pub subject: Subject,
    pub severity: Severity,
    /// What was found, beside the subject.
    pub value: String,
    /// What would be right.
    pub limit: String,
    /// What is wrong, as a sentence of its own.
    pub what: String,
    /// What a person does about it.
    pub remedy: String,
    /// What `self_healing` tries.
    pub fix: Option<Fix>,
}

/// What may mend an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fix {
    /// The supervisor restarts the agent.
    RestartAgent(AgentName),
    /// The index is compared with the store, and what differs is repaired.
    VerifyIndex,
    /// All collections are scanned.
    Rescan,
    /// The documents of these files and their chunks are checked against what was captured.
    CheckDocuments(Vec<Subject>),
}

impl Detected {
    fn new(detector: Detector, subject: Subject, value: String, limit: impl Into<String>) -> Self {
        let limit = limit.into();
        let OpenIssue { what, remedy, .. } =
            OpenIssue::new(Some(detector), detector.key(&subject), &value, &limit);
        Detected {
            severity: detector.severity(),
            detector,
            subject,
            value,
            limit,
            what,
            remedy,
            fix: None,
        }
    }

    /// The same, told in these words.
    fn told(self, what: String, remedy: impl Into<String>) -> Self {
        Detected {
            what,
            remedy: remedy.into(),
            ..self
        }
    }

    fn fixed_by(self, fix: Fix) -> Self {
        Detected {
            fix: Some(fix),
            ..self
        }
    }

    /// The key of its issue.
    pub(crate) fn key(&self) -> String {
        self.detector.key(&self.subject)
    }
}

impl Detector {
    /// How bad it is what the detector finds.
    const fn severity(self) -> Severity {
        match self {
            Detector::AgentParked
            | Detector::AgentUnavailable
            | Detector::StoreReplaced
            | Detector::StoreUnwritable
            | Detector::Integrity
            | Detector::AuditBroken
            | Detector::IndexDrift
            | Detector::IndexStopped
            | Detector::IndexUnready
            | Detector::Disk
            | Detector::CapturesHeld
            | Detector::RootAbsent
            | Detector::RemovalsHeld
            | Detector::DeadLetters
            | Detector::FileDrift
            | Detector::RedisAway => Severity::Error,
            Detector::AgentRestarts
            | Detector::CommitsLost
            | Detector::OldestOwed
            | Detector::LogHeld
            | Detector::IndexBehind
            | Detector::DirectoriesUnlisted
            | Detector::IgnoreRules
            | Detector::ScanOverdue
            | Detector::RedisReconnects
            | Detector::RedisStrangers
            | Detector::RedisStuck
            | Detector::RedisInbox
            | Detector::RedisIngress
            | Detector::AlertUndelivered => Severity::Warning,
        }
    }
}

/// Everything of its kind that `detector` finds; `None`: that cannot be said from these facts.
pub(crate) fn look(detector: Detector, facts: &Facts, limits: &Limits) -> Option<Vec<Detected>> {
    let look: fn(&Facts, &Limits) -> Option<Vec<Detected>> = match detector {
        Detector::AgentParked => agents::parked,
        Detector::AgentRestarts => agents::restarts,
        Detector::AgentUnavailable => agents::unavailable,
        Detector::OldestOwed => agents::oldest_owed,
        Detector::DeadLetters => store::dead_letters,
        Detector::Disk => store::disk,
        Detector::Integrity => store::integrity,
        Detector::AuditBroken => store::audit_broken,
        Detector::CommitsLost => store::commits_lost,
        Detector::StoreReplaced => store::replaced,
        Detector::StoreUnwritable => store::unwritable,
        Detector::LogHeld => store::log_held,
        Detector::IndexStopped => index::stopped,
        Detector::IndexUnready => index::unready,
        Detector::IndexBehind => index::behind,
        Detector::IndexDrift => index::drift,
        Detector::RootAbsent => files::root_absent,
        Detector::RemovalsHeld => files::removals_held,
        Detector::DirectoriesUnlisted => files::unlisted,
        Detector::IgnoreRules => files::shut,
        Detector::CapturesHeld => files::captures_held,
        Detector::ScanOverdue => files::scan_overdue,
        Detector::FileDrift => files::drift,
        Detector::RedisAway => redis::away,
        Detector::RedisReconnects => redis::reconnects,
        Detector::RedisStrangers => streams::strangers,
        Detector::RedisStuck => streams::stuck,
        Detector::RedisInbox => streams::inbox,
        Detector::RedisIngress => streams::ingress,
        Detector::AlertUndelivered => alerts::undelivered,
    };
    look(facts, limits)
}

#[cfg(test)]
pub(crate) mod tests;
