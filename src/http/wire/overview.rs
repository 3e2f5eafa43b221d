//! Everything that the first page of the dashboard and `docent top` show, as it was at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    AgentView, CollectionView, Detector, Heard, JobView, ListedState, Problem, Severity, Status,
};
use crate::word::words;

/// `GET /api/v1/overview`, and each event `overview` of its stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Overview {
    pub taken_at: String,
    /// The same as `GET /api/v1/status` answers.
    pub status: Status,
    /// The state, and what to do about it, in words.
    pub summary: Summary,
    pub freshness: FreshnessOverview,
    /// How many seconds "the last minute" has here: about 60, and less shortly after the start.
    pub minute_s: f64,
    /// The way of a change from the disk to search, in its order.
    pub stages: Vec<Stage>,
    /// Every agent, in the order of the data flow.
    pub agents: Vec<AgentOverview>,
    /// Events published in the last minute.
    pub published_minute: u64,
    /// Searches answered in the last minute, including those that failed.
    pub searches_minute: u64,
    /// The state of Redis; null if the config does not use it.
    pub redis: Option<RedisOverview>,
    /// Health issues that are open: the errors first, then the newest.
    pub issues: Vec<IssueOverview>,
    pub dead: DeadOverview,
    /// All jobs, by name. A run that is under way has `last.state` *running*.
    pub jobs: Vec<JobView>,
    pub collections: Vec<CollectionOverview>,
    /// Size of `store.db` and its log; null while it is not known.
    pub store_bytes: Option<u64>,
}

/// The data of an event of `GET /api/v1/overview/stream`, as the API's description has it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "what is sent was written as JSON before")]
pub(crate) enum OverviewMessage {
    /// Of an event `overview`.
    Overview(Box<Overview>),
    /// Of an event `history`.
    History(FigureHistory),
    /// Of an event `problem`: the daemon cannot read its state at the moment.
    Problem(Problem),
}

/// The state in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Summary {
    pub text: String,
    /// What to do about it; null if there is nothing to do.
    pub remedy: Option<String>,
}

/// How far search is behind the disk, and how long changes took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FreshnessOverview {
    /// Every change that was noticed up to then is searchable; null while that is not known.
    pub complete_to: Option<String>,
    /// Changes that are pending.
    pub pending: u64,
    /// Changes that failed for good.
    pub failed: u64,
    /// How long the last changes took to be searchable; null if none was measured since the start.
    pub measured: Option<Measured>,
}

/// The last changes that were measured, from being noticed to being searchable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Measured {
    /// How many they are, at most 1,000.
    pub changes: u64,
    /// When the first and the last of them were searchable.
    pub since: String,
    pub until: String,
    pub p50_s: f64,
    pub p99_s: f64,
}

/// A stage that a change passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Stage {
    #[schema(value_type = StageName)]
    pub stage: Heard<StageName>,
    /// What waits to pass it; null for the last one, where nothing waits.
    pub waiting: Option<u64>,
    /// What passed it in the last minute; null while that is not known.
    pub passed_minute: Option<u64>,
    /// Why it makes no progress; null while it does.
    pub held: Option<String>,
}

/// The stages in the order in which a change passes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StageName {
    /// Read from the disk into the store: what waits was noticed and not read yet.
    Captured,
    /// Handled by `document_management`.
    Validated,
    /// Handled by `rag`.
    Chunked,
    /// In the index.
    Indexed,
    /// Found by a search.
    Searchable,
}

words! { StageName:
    Captured = "captured",
    Validated = "validated",
    Chunked = "chunked",
    Indexed = "indexed",
    Searchable = "searchable",
}

/// An agent, with the recent results of its deliveries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AgentOverview {
    pub name: String,
    /// The same as `GET /api/v1/agents` answers, beside it.
    #[serde(flatten)]
    pub agent: AgentView,
    /// Deliveries done in the last minute.
    pub handled_minute: u64,
    /// Failed attempts in the last minute.
    pub failed_minute: u64,
    /// When its last attempt ended, successful or not; null: none since the start.
    pub last_progress_at: Option<String>,
    /// The oldest deliveries that it owes, oldest first, at most 5.
    #[serde(default)]
    pub oldest: Vec<OwedDelivery>,
}

/// A delivery that is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct OwedDelivery {
    pub event: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    /// When the event was published.
    pub since: String,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Why the last attempt failed; null: none failed.
    pub error: Option<String>,
}

/// How Redis stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RedisOverview {
    /// Whether it can carry events.
    pub up: bool,
    /// Connections after the first one.
    pub reconnects: u64,
    /// Copies that it lost since the start; they were sent again.
    pub lost: u64,
    /// Its streams, as they were a few seconds ago; null while that is not known.
    pub streams: Option<Vec<StreamOverview>>,
}

/// A stream of Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct StreamOverview {
    pub key: String,
    /// Whose inbox it is; null: the ingress.
    pub agent: Option<String>,
    /// Entries in it.
    pub length: u64,
    /// Of these, delivered and not acknowledged.
    pub pending: u64,
    /// Of these, not delivered yet; null: Redis does not know.
    pub lag: Option<u64>,
    pub consumers: u64,
}

/// An open issue, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct IssueOverview {
    /// Its key: the detector and what it is about.
    pub subject: String,
    #[schema(value_type = Detector)]
    pub detector: Heard<Detector>,
    /// An error makes the daemon degraded.
    #[schema(value_type = Severity)]
    pub severity: Heard<Severity>,
    pub what: String,
    /// What to do about it.
    pub remedy: String,
    pub since: String,
    /// What `self_healing` tried last; null: nothing.
    pub fix: Option<FixOverview>,
}

/// A fix that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FixOverview {
    pub name: String,
    /// How many fixes were tried on the issue.
    pub attempts: u32,
    /// The result of this one; null while it is running.
    pub result: Option<String>,
}

/// Dead letters, in groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeadOverview {
    /// How many there are in all.
    pub total: u64,
    /// How many of them, the newest, are in the groups.
    pub looked_at: u64,
    /// Groups of the same agent, type and error: the one with the newest dead letter first, at most 20.
    pub groups: Vec<DeadGroup>,
    /// How many more groups there are.
    pub more_groups: u64,
}

/// Dead letters of the same agent, type and error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeadGroup {
    /// Whose they are; `ingress`: entries of other programs.
    pub agent: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// The last error of each, truncated if it is long.
    pub error: String,
    pub count: u64,
    /// The newest of them: its event, or its entry.
    pub event: String,
    pub subject: String,
    pub at: String,
}

/// A collection, with its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CollectionOverview {
    /// The same as in the status, beside the rest.
    #[serde(flatten)]
    pub collection: CollectionView,
    /// Files in scope.
    pub files: u64,
    /// How many of these are in each state that `documents --state` knows.
    #[schema(value_type = BTreeMap<ListedState, u64>)]
    pub states: BTreeMap<Heard<ListedState>, u64>,
    /// Why files are rejected: the most frequent reasons, at most 5.
    pub rejections: Vec<RejectionReason>,
}

/// Why files are rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RejectionReason {
    pub reason: String,
    pub files: u64,
}

/// `GET /api/v1/overview/history`, and each event `history` of the stream: the figures of the last hour and of the last day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct FigureHistory {
    /// A point every 10 seconds.
    pub hour: Trend,
    /// A point for each 5 minutes that have passed.
    pub day: Trend,
}

/// Figures over time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Trend {
    /// Seconds from one point to the next.
    pub step_s: u64,
    /// When the step of the newest point began; null while there is none.
    pub until: Option<String>,
    /// Each figure by name, oldest first, all of the same length; null where it is not known.
    pub figures: BTreeMap<String, Vec<Option<f64>>>,
}
