//! How the daemon stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AgentState, AlertsView, Heard, ListedState};
use crate::amounts::duration;
use crate::word::words;

/// The daemon's condition in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condition {
    /// Not every agent has reported started yet.
    Starting,
    /// Running, and nothing is wrong.
    Running,
    /// Running, and something is wrong.
    Degraded,
    /// Told to stop; finishing what is pending.
    Draining,
}

words! { Condition:
    Starting = "starting", Running = "running", Degraded = "degraded", Draining = "draining",
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Status {
    pub state: Condition,
    /// What is wrong; empty unless degraded.
    pub wrong: Vec<IssueText>,
    /// The version of the daemon.
    pub version: String,
    pub instance: String,
    pub data_dir: String,
    pub started_at: String,
    /// How long ago that is, in seconds.
    pub uptime_s: u64,
    /// How deliveries are carried, and how many there are.
    pub bus: BusView,
    /// Every agent, by name.
    pub agents: BTreeMap<String, AgentView>,
    /// How far search is behind the disk.
    pub freshness: Freshness,
    /// Documents that are stored.
    pub documents: u64,
    /// Files in scope, including those that are not documents.
    pub files: u64,
    /// How many of these files are in each state that `documents --state` knows.
    #[serde(default)]
    #[schema(value_type = BTreeMap<ListedState, u64>)]
    pub states: BTreeMap<Heard<ListedState>, u64>,
    /// Collections that the config names.
    #[serde(default)]
    pub configured: u64,
    /// Chunks that belong in the index.
    pub chunks: u64,
    /// The identity of the embedder.
    pub embedder: String,
    /// Every collection, once its root was looked at.
    #[serde(default)]
    pub collections: Vec<CollectionView>,
    /// What change detection is doing.
    pub scan: ScanView,
    /// The state of the index.
    pub index: IndexView,
    /// Free space on the disk of `data_dir`.
    pub free_space: FreeSpace,
    /// Health issues that are open.
    pub issues: u64,
    /// How the rules of alerts stand.
    #[serde(default)]
    pub alerts: AlertsView,
    /// The hosts that work on the store, where it is a database.
    #[serde(default)]
    pub hosts: Vec<HostView>,
}

/// A host that works on a store in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct HostView {
    pub instance: String,
    pub version: String,
    pub joined_at: String,
    /// How long ago it renewed its row, in milliseconds. After 10 s others take over its work.
    pub renewed_ago_ms: u64,
    /// Its share of the 256 slots of subjects.
    pub slots: u64,
    /// How many deliveries each of its agents had in flight when it renewed its row.
    #[serde(default)]
    pub in_flight: BTreeMap<String, u64>,
    /// The collections that it watches.
    pub collections: Vec<String>,
    /// What it does for all hosts.
    pub tasks: Vec<String>,
    /// It is the one that was asked.
    pub this: bool,
}

/// Milliseconds after which a host is late with the renewal of its row: it does so every three seconds.
const RENEWED_LATE: u64 = 5000;

impl HostView {
    /// Whether it is late with the renewal of its row. After twice that time others take over its work.
    pub(crate) const fn is_late(&self) -> bool {
        self.renewed_ago_ms > RENEWED_LATE
    }

    /// Seconds since it renewed its row.
    pub(crate) const fn renewed_ago(&self) -> f64 {
        // Below 2^53 ms.
        self.renewed_ago_ms as f64 / 1000.0
    }

    /// The same in words.
    pub(crate) fn renewed(&self) -> String {
        format!("{} ago", duration(self.renewed_ago()))
    }

    /// The agents that have deliveries in flight, with how many: `logging_audit 1, rag 3`. Empty if there are none.
    pub(crate) fn flights(&self) -> String {
        let busy = self.in_flight.iter().filter(|(_, count)| **count > 0);
        let busy: Vec<String> = busy
            .map(|(agent, count)| format!("{agent} {count}"))
            .collect();
        busy.join(", ")
    }
}

/// An issue that degrades the daemon, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IssueText {
    pub what: String,
    pub remedy: String,
}

/// The deliveries of all agents, and what carries them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct BusView {
    pub active: String,
    pub why: String,
    pub owed: u64,
    /// Of these, running or submitted.
    pub in_flight: u64,
    /// Of these, waiting for another attempt.
    pub retrying: u64,
    pub dead: u64,
    /// Copies that Redis lost since the start.
    pub lost_by_redis: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AgentView {
    #[schema(value_type = AgentState)]
    pub state: Heard<AgentState>,
    /// What carries its events: `redis` or `embedded`.
    #[serde(default)]
    pub carrier: String,
    /// How often it was restarted.
    pub restarts: u64,
    /// Why it ended last.
    pub reason: Option<String>,
    /// Deliveries done since the daemon's start.
    pub handled: u64,
    /// Failed attempts since the daemon's start.
    pub failed: u64,
    pub owed: u64,
    /// The age of the oldest of these, in seconds; null if there is none.
    pub oldest_owed_s: Option<f64>,
    /// Of the owed, running or submitted.
    pub in_flight: u64,
    /// Of the owed, waiting in its table for a permit or for their subject.
    pub queued: u64,
    /// The same as `queued`, under its earlier name.
    pub kept: u64,
    /// Of the owed, waiting for another attempt.
    pub retrying: u64,
    pub dead: u64,
    /// Set while something that it needs is not available.
    pub unavailable: Option<Unavailable>,
}

/// Why an agent starts nothing new.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Unavailable {
    /// What is not available.
    pub why: String,
    pub since: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AgentList {
    /// All agents, in the order of the data flow.
    pub agents: Vec<NamedAgent>,
}

/// An agent with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct NamedAgent {
    pub name: String,
    /// The rest, beside it.
    #[serde(flatten)]
    pub agent: AgentView,
}

/// How far search is behind the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Freshness {
    /// Every change that was noticed up to then is searchable; null while that is not known.
    pub complete_to: Option<String>,
    /// Changes that are pending.
    pub pending: u64,
    /// Changes that failed for good.
    pub failed: u64,
}

/// What change detection is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScanView {
    /// The collection that is being scanned.
    pub scanning: Option<String>,
    /// Files that the running scan, or the last one, has seen.
    pub seen: u64,
    /// Of these, to be read again.
    pub changed: u64,
    /// Files marked and not captured or reported yet.
    pub marked: u64,
    /// Why captures are held.
    pub held: Option<String>,
    /// Roots that cannot be reached.
    pub absent: Vec<Absent>,
}

/// A root that cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Absent {
    pub collection: String,
    pub cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CollectionView {
    pub name: String,
    /// Where its root is.
    pub path: String,
    /// `there`, `absent`, or `removals held`.
    pub root: String,
    /// Why it is not there.
    pub cause: Option<String>,
    /// How changes are noticed: `native` or `poll`.
    pub watch: String,
    /// Why it is scanned often instead of being notified of changes.
    pub why_poll: Option<String>,
    /// Directories that cannot be listed, a bounded number of them.
    #[serde(default)]
    pub unlisted: Vec<String>,
    /// Files of ignore rules that cannot be used, with the reason: nothing below them is taken in.
    #[serde(default)]
    pub shut: Vec<String>,
}

/// The state of the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IndexView {
    pub ready: bool,
    /// The change of the store's feed that it has reached.
    pub position: u64,
    /// Changes that it has not followed yet.
    pub behind: u64,
    #[serde(default)]
    pub chunks: u64,
    /// The same, under its earlier name.
    pub passages: u64,
    /// Why it was rebuilt at this start.
    pub rebuilt: Option<String>,
    /// Why it does not follow.
    pub stopped: Option<String>,
}

/// Free space on the disk of `data_dir`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FreeSpace {
    pub bytes: u64,
    /// Bytes below which nothing is captured.
    pub floor: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Readiness {
    /// Whether all checks pass.
    pub ready: bool,
    pub checks: Vec<Check>,
}

/// One check of readiness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Check {
    pub name: String,
    pub ok: bool,
    pub detail: String,
}

/// `POST /api/v1/scan`: a scan that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScanAnswer {
    /// Files seen in all collections.
    pub seen: u64,
    /// Of these, to be read again.
    pub changed: u64,
    /// What was found in each collection, or in the requested one.
    pub collections: Vec<ScannedCollection>,
    /// Roots that could not be reached.
    pub absent: Vec<Absent>,
    /// Directories that could not be listed.
    #[serde(default)]
    pub unlisted: Vec<Absent>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The last scan of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ScannedCollection {
    pub collection: String,
    pub files: u64,
    pub began_at: String,
    /// When every file that it saw was captured or reported.
    pub ended_at: String,
}

/// `POST /api/v1/wait`: all is searchable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct WaitAnswer {
    /// How long it took, in milliseconds.
    pub waited_ms: u64,
    /// The newest event when the scan had ended.
    pub seq: u64,
    /// Directories that could not be listed: what is new in them is not searchable.
    #[serde(default)]
    pub unlisted: Vec<Absent>,
}
