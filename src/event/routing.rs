//! Which types of event there are, who takes each, and which may come from outside. Closed and compiled.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The agents of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AgentName {
    /// Watches the trees and captures what changed.
    ChangeDetection,
    /// Validates documents and keeps their versions.
    DocumentManagement,
    /// Chunks, embeds, and keeps the index in step.
    Rag,
    /// Writes every event into the audit log.
    LoggingAudit,
    /// Runs jobs when they are due.
    Scheduler,
    /// Looks for faults and repairs them.
    SelfHealing,
    /// Does what `test.work` says: the agent that faults are tried on.
    #[cfg(feature = "testing")]
    Test,
}

impl AgentName {
    /// All of them, in the order of the data flow.
    pub const ALL: &'static [AgentName] = &[
        AgentName::ChangeDetection,
        AgentName::DocumentManagement,
        AgentName::Rag,
        AgentName::LoggingAudit,
        AgentName::Scheduler,
        AgentName::SelfHealing,
        #[cfg(feature = "testing")]
        AgentName::Test,
    ];

    /// The name as it stands in the config, in subjects and in every output.
    pub const fn as_str(self) -> &'static str {
        match self {
            AgentName::ChangeDetection => "change_detection",
            AgentName::DocumentManagement => "document_management",
            AgentName::Rag => "rag",
            AgentName::LoggingAudit => "logging_audit",
            AgentName::Scheduler => "scheduler",
            AgentName::SelfHealing => "self_healing",
            #[cfg(feature = "testing")]
            AgentName::Test => "test",
        }
    }

    /// Its place in [`AgentName::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names nothing that docent knows.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("there is no {what} `{name}`")]
pub struct UnknownName {
    /// What was looked for.
    pub what: &'static str,
    /// The text.
    pub name: String,
}

impl FromStr for AgentName {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        AgentName::ALL
            .iter()
            .copied()
            .find(|a| a.as_str() == name)
            .ok_or_else(|| UnknownName {
                what: "agent",
                name: name.to_owned(),
            })
    }
}

/// One row of the table: the variant, its name, whether it may come from outside, and who takes it besides the audit.
macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $(#[cfg($cfg:meta)])? $variant:ident $name:literal $open:ident [$($agent:ident),*];)*) => {
        /// What happened: the closed list of the types of event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum EventType {
            $($(#[doc = $doc])+ $(#[cfg($cfg)])? $variant,)*
            /// A type of a newer docent, read from the ledger. It is none of [`EventType::ALL`], and nobody publishes it here.
            Unknown,
        }

        impl EventType {
            /// All types that this docent knows.
            pub const ALL: &'static [EventType] = &[$($(#[cfg($cfg)])? EventType::$variant,)*];

            /// The name as it stands in the ledger and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(#[cfg($cfg)])? EventType::$variant => $name,)*
                    EventType::Unknown => "unknown",
                }
            }

            /// Whether the command line, HTTP and other programs may publish it.
            pub const fn open(self) -> bool {
                match self {
                    $($(#[cfg($cfg)])? EventType::$variant => openness::$open,)*
                    EventType::Unknown => openness::CLOSED,
                }
            }

            /// The agents that owe an event of this type a delivery.
            pub const fn subscribers(self) -> &'static [AgentName] {
                match self {
                    $($(#[cfg($cfg)])? EventType::$variant => &[$(AgentName::$agent,)* AgentName::LoggingAudit],)*
                    EventType::Unknown => &[],
                }
            }
        }
    };
}

mod openness {
    pub(super) const OPEN: bool = true;
    pub(super) const CLOSED: bool = false;
}

event_types! {
    /// Look at a collection, or at one path of it, again.
    ScanRequested "scan.requested" OPEN [ChangeDetection];
    /// A file is new or has other bytes, or could not be read.
    FileChanged "file.changed" CLOSED [DocumentManagement];
    /// A file is gone, or no longer in scope.
    FileRemoved "file.removed" CLOSED [DocumentManagement];
    /// Validate documents again.
    DocumentCheckRequested "document.check_requested" OPEN [DocumentManagement];
    /// A document has a new version.
    DocumentStored "document.stored" CLOSED [Rag];
    /// A document is gone.
    DocumentRemoved "document.removed" CLOSED [Rag];
    /// A file is no document that docent can keep.
    DocumentRejected "document.rejected" CLOSED [Rag];
    /// The chunks of a document are in the store.
    IndexUpdated "index.updated" CLOSED [];
    /// Compare the index with the store.
    IndexVerifyRequested "index.verify_requested" OPEN [Rag];
    /// Differences between store and index were repaired.
    IndexRepaired "index.repaired" CLOSED [SelfHealing];
    /// Run a job now.
    JobRequested "job.requested" OPEN [Scheduler];
    /// Pause a job or let it run again.
    JobChanged "job.changed" OPEN [Scheduler];
    /// Prune what has outlived its retention, check what is kept.
    MaintenanceRequested "maintenance.requested" OPEN [ChangeDetection, DocumentManagement, Rag, SelfHealing];
    /// Look for faults now.
    HealthCheckRequested "health.check_requested" OPEN [SelfHealing];
    /// Write a report.
    ReportRequested "report.requested" OPEN [];
    /// A report was written.
    ReportWritten "report.written" OPEN [];
    /// What a rule watches is not as it should be.
    AlertRaised "alert.raised" CLOSED [SelfHealing];
    /// It is as it should be again.
    AlertCleared "alert.cleared" CLOSED [SelfHealing];
    /// An agent ended and was started again.
    AgentRestarted "agent.restarted" CLOSED [SelfHealing];
    /// An agent failed too often and is no longer started.
    AgentParked "agent.parked" CLOSED [SelfHealing];
    /// An agent that was restarted or parked has been well for a while.
    AgentRecovered "agent.recovered" CLOSED [SelfHealing];
    /// The config has turned an agent on or off since the last start.
    AgentSwitched "agent.switched" CLOSED [];
    /// A delivery failed for good.
    EventDeadLettered "event.dead_lettered" CLOSED [SelfHealing];
    /// What carries events has changed.
    RedisChanged "redis.changed" CLOSED [SelfHealing];
    /// Redis lost copies of deliveries; they are carried again.
    RedisLost "redis.lost" CLOSED [SelfHealing];
    /// Something is wrong.
    HealthIssue "health.issue" CLOSED [];
    /// It is right again.
    HealthRecovered "health.recovered" CLOSED [];
    /// A fix was tried, and the detector that found the fault no longer sees it.
    FixApplied "fix.applied" CLOSED [];
    /// A fix was tried in vain.
    FixFailed "fix.failed" CLOSED [];
    /// An operator did something over the control socket.
    OperatorActed "operator.acted" CLOSED [];
    /// Work for the agent `test`.
    #[cfg(feature = "testing")]
    TestWork "test.work" OPEN [Test];
    /// The same, for a docent that is newer than one of the feature `testing-older`.
    #[cfg(all(feature = "testing", not(feature = "testing-older")))]
    TestLater "test.later" OPEN [Test];
}

impl EventType {
    /// The type of this name in the ledger, where a newer docent may have written types that this one does not know.
    ///
    /// # Errors
    /// It is no name of a type.
    pub(crate) fn stored(name: &str) -> Result<Self, UnknownName> {
        let is_word = |word: &str| {
            let letter = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
            !word.is_empty() && word.bytes().all(letter)
        };
        let is_name = name.contains('.') && name.split('.').all(is_word);
        name.parse().or_else(|unknown| match is_name {
            true => Ok(EventType::Unknown),
            false => Err(unknown),
        })
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventType {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        EventType::ALL
            .iter()
            .copied()
            .find(|t| t.as_str() == name)
            .ok_or_else(|| UnknownName {
                what: "event type",
                name: name.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_as_its_type_and_its_agent() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse::<EventType>().unwrap(), *kind);
        }
        for (place, agent) in AgentName::ALL.iter().enumerate() {
            assert_eq!(agent.as_str().parse::<AgentName>().unwrap(), *agent);
            assert_eq!(agent.index(), place);
        }
        assert!("no.such".parse::<EventType>().is_err());
    }

    #[test]
    fn a_type_of_a_newer_docent_is_told_from_damage() {
        assert_eq!(EventType::stored("test.newer"), Ok(EventType::Unknown));
        assert_eq!(
            EventType::stored("file.changed"),
            Ok(EventType::FileChanged)
        );
        for damaged in ["", "file", "file.", ".changed", "File.changed", "a. b"] {
            assert!(EventType::stored(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn the_audit_takes_every_type_once() {
        for kind in EventType::ALL {
            let audits = kind
                .subscribers()
                .iter()
                .filter(|a| **a == AgentName::LoggingAudit)
                .count();
            assert_eq!(audits, 1, "{kind}");
        }
    }
}
