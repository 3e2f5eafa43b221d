//! Jobs and health issues.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Detector, Heard, Severity};
use crate::word::words;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobList {
    /// All jobs that were ever configured, by name.
    pub jobs: Vec<JobView>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobView {
    pub name: String,
    pub schedule: String,
    /// Whether an operator paused it.
    pub paused: bool,
    /// When it is due next.
    pub next_at: Option<String>,
    /// When it ran last.
    pub last_at: Option<String>,
    /// The event that its last run published.
    pub last_event: Option<String>,
    /// The result of that run; null if it never ran.
    #[serde(default)]
    pub last: Option<JobRun>,
    /// Runs that were missed and skipped.
    pub missed: u64,
}

/// The result of a job's run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct JobRun {
    #[schema(value_type = RunState)]
    pub state: Heard<RunState>,
    /// Why it failed, or what failed so far.
    pub reason: Option<String>,
    /// How long it took, in milliseconds; null while it runs, and once its event has left the ledger.
    pub took_ms: Option<u64>,
}

/// The state of a run of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Ok,
    Failed,
    /// An agent still owes its event.
    Running,
}

words! { RunState: Ok = "ok", Failed = "failed", Running = "running" }

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct HealthList {
    /// Issues: the open ones first, then the newest.
    pub issues: Vec<HealthIssue>,
    /// When this was checked.
    #[serde(default)]
    pub judged_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct HealthIssue {
    /// What it is about.
    pub subject: String,
    #[schema(value_type = Severity)]
    pub severity: Heard<Severity>,
    #[schema(value_type = Detector)]
    pub detector: Heard<Detector>,
    pub value: String,
    /// What would be right.
    pub limit: String,
    pub opened_at: String,
    /// When it was closed; null while it is open.
    pub closed_at: Option<String>,
    /// The last fix that was tried.
    pub fix: Option<String>,
    /// How many fixes were tried.
    pub fix_attempts: u32,
    /// The result of the last one.
    pub fix_result: Option<String>,
    /// What a person does about it; null where it is over.
    #[serde(default)]
    pub remedy: Option<String>,
}
