//! Reports.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReportAnswer {
    /// What it is called.
    pub name: String,
    /// For people.
    pub markdown: String,
    /// The same figures as JSON.
    #[schema(value_type = Object)]
    pub report: Value,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReportList {
    /// The stored reports, newest first.
    pub reports: Vec<ReportName>,
}

/// A stored report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ReportName {
    pub name: String,
    /// When it was written.
    pub at: String,
}
