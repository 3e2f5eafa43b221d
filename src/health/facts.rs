//! What is judged: what was true when it was gathered, and what only time tells.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::Responsibility;
use crate::event::{AgentName, Millis, Subject, awake};
use crate::runtime::{AgentStatus, ScanProgress};
use crate::store::{HeldLog, ScanRow, Undelivered};

/// Everything that was gathered for one round. What could not be read is `None`: nothing is concluded from it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub instance: String,
    /// What this host judges, where several share the store.
    pub responsibility: Responsibility,
    /// When it was gathered.
    pub now: Millis,
    /// The agents that are on.
    pub agents: Vec<AgentFacts>,
    /// Dead deliveries of each agent, in the order of the data flow.
    pub dead: Vec<(AgentName, u64)>,
    /// Bytes free for docent where its data are.
    pub free: Option<u64>,
    /// The last verdict on the store's pages; the inner `None`: they are intact.
    pub integrity: Option<Option<String>>,
    /// Where the chain of the audit log was broken when it was checked last; the inner `None`: nowhere.
    pub audit_break: Option<Option<String>>,
    /// When it was found that commits are gone from the store.
    pub commits_lost: Option<Millis>,
    /// What happened to the store's files while they were open. It is no issue in the store: nothing can be written then.
    pub replaced: Option<String>,
    /// Why the store cannot be written. It is no issue in the store either.
    pub unwritable: Option<String>,
    /// A log of the store that another process keeps from being shortened.
    pub held_log: Option<HeldLog>,
    /// The index; `None` where the agent that feeds it is off.
    pub index: Option<IndexFacts>,
    /// The edge; `None` where `change_detection` is off.
    pub edge: Option<EdgeFacts>,
    /// Files that documents or chunks do not agree with, by collection.
    pub drift: Option<BTreeMap<String, Drifted>>,
    /// Entries of other programs that could not be published.
    pub ingress_dead: Option<u64>,
    /// Alerts that could not be told to their receivers in time, by rule.
    pub undelivered: Option<Vec<Undelivered>>,
    /// Redis; `None` where the config does not use it.
    pub redis: Option<RedisView>,
    /// The keys of the issues that are open.
    pub open: HashSet<String>,
}

impl Facts {
    /// How long ago a moment is, less what went by without this process: nothing is to blame for that.
    pub(crate) fn age(&self, moment: Millis) -> Duration {
        self.now
            .since(moment)
            .saturating_sub(awake::missed_since(moment))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct AgentFacts {
    /// What the board says.
    pub status: AgentStatus,
    /// For how long it has been running without a restart.
    pub steady: Duration,
    /// How often it was restarted lately.
    pub restarts: usize,
    /// When the oldest event that it owes was published; the inner `None`: it owes nothing.
    pub oldest_owed: Option<Option<Millis>>,
}

impl AgentFacts {
    /// What can be said at once.
    pub(crate) fn now(status: AgentStatus) -> Self {
        AgentFacts {
            status,
            steady: Duration::ZERO,
            restarts: 0,
            oldest_owed: None,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct IndexFacts {
    /// Why it does not follow the store any more.
    pub stopped: Option<String>,
    /// For how long it has not been ready; zero if it is.
    pub unready: Duration,
    /// For how long a change has been in the store and not in the index; zero if there is none.
    pub behind: Duration,
    /// Chunks in the index and in the store, where the index has followed to the end.
    pub chunks: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct EdgeFacts {
    /// The collections that are configured.
    pub collections: Vec<String>,
    /// What goes on there, with the root of each collection.
    pub progress: ScanProgress,
    /// The last scan of each collection.
    pub scans: Option<Vec<ScanRow>>,
}

/// Files of one collection that differ from their documents or chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drifted {
    /// Those that are known to, in order; there may be more.
    pub files: Vec<Subject>,
    /// How the first of them differs.
    pub how: &'static str,
}

/// Tells how Redis stands; `None`: this config does not use it. It is called often, and must not wait.
pub(crate) type RedisLook = Arc<dyn Fn() -> Option<RedisFacts> + Send + Sync>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RedisFacts {
    /// An agent is carried by Redis alone: while it cannot carry, that agent handles nothing.
    pub needed: bool,
    /// Whether it can carry.
    pub standing: RedisStanding,
    /// The streams that it carries with; `None`: not known.
    pub streams: Option<Vec<StreamFacts>>,
}

impl RedisFacts {
    /// What can be said at once: one that is needed and is still being looked for cannot carry.
    pub(crate) fn now(mut self, now: Millis) -> RedisView {
        if self.needed && self.standing == RedisStanding::Unknown {
            self.standing = RedisStanding::Away {
                why: "docent is connecting to Redis".to_owned(),
                since: now,
                answers: false,
            };
        }
        RedisView {
            facts: self,
            has_carried: false,
            reconnects: 0,
            cause: None,
        }
    }
}

/// Whether Redis can carry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RedisStanding {
    /// It is being found out.
    Unknown,
    Carries {
        /// How many connections there were so far, this one counted.
        connections: u64,
    },
    Away {
        why: String,
        since: Millis,
        /// It answers, and does not do what it is asked for.
        answers: bool,
    },
    /// The namespace belongs to another store.
    Foreign {
        /// Whose it is, and what to do.
        why: String,
    },
}

/// How one stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFacts {
    pub key: String,
    /// Whose inbox it is; `None`: the ingress.
    pub agent: Option<AgentName>,
    pub entries: u64,
    /// How many there may be; `None`: as many as other programs write.
    pub entries_max: Option<u64>,
    /// Entries that have been pending for longer than an event may be owed.
    pub stuck: u64,
    /// Consumers of other names in docent's group.
    pub strangers: Vec<String>,
    /// For how long its first entry has been waiting, where none stays that was answered.
    pub standing: Duration,
}

/// Redis as it is now, with what was seen of it before.
#[derive(Debug, Clone)]
pub(crate) struct RedisView {
    /// How it stands now.
    pub facts: RedisFacts,
    /// It has carried in this run.
    pub has_carried: bool,
    pub reconnects: usize,
    /// Why it could not carry when that was seen last.
    pub cause: Option<String>,
}
