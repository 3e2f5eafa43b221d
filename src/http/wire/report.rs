//! Reports.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ReportAnswer {
    /// What it is called.
    pub name: String,
    /// For people.
    pub markdown: String,
    /// The same figures as JSON.
    pub report: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportList {
    /// Those that were written, the newest first.
    pub reports: Vec<ReportName>,
}

/// A report that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportName {
    pub name: String,
    /// When it was written.
    pub at: String,
}
