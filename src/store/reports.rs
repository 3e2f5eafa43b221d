//! Reports that were written: Markdown and JSON, under the event that asked for each.

use super::sql::{self, Connection, Optional, Row, ToSql, params};
use serde::{Deserialize, Serialize};

use super::{ReadError, Store, WriteError, decode};
use crate::event::{EventId, Millis};

/// Reports that are kept, at most.
const REPORTS_MAX: usize = 200;

/// A report as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// What it is called, such as `week-2026-11-29T060000Z`.
    pub name: String,
    /// The event that asked for it: there is one report of each.
    pub event: String,
    /// When it was written, milliseconds since 1970.
    pub at: i64,
    pub markdown: String,
    /// The same figures as one JSON object.
    pub json: String,
}

/// Keeps a report, unless there is one that the same event asked for.
pub(super) fn put(connection: &Connection, report: &ReportRow) -> Result<(), WriteError> {
    connection
        .prepare_cached(
            "INSERT INTO report (event, name, at, markdown, json) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (event) DO NOTHING",
        )?
        .execute(params![report.event, report.name, report.at, report.markdown, report.json])?;
    connection
        .prepare_cached(
            "DELETE FROM report WHERE n IN (SELECT n FROM report ORDER BY n DESC LIMIT 9223372036854775807 OFFSET ?1)",
        )?
        .execute([REPORTS_MAX])?;
    Ok(())
}

/// Forgets reports from before `before`.
pub(super) fn prune(connection: &Connection, before: Millis) -> Result<usize, WriteError> {
    Ok(connection
        .prepare_cached("DELETE FROM report WHERE at < ?1")?
        .execute([before])?)
}

const COLUMNS: &str = "name, event, at, markdown, json";

fn report(row: &Row<'_>) -> sql::Result<ReportRow> {
    Ok(ReportRow {
        name: row.get(0)?,
        event: row.get(1)?,
        at: row.get(2)?,
        markdown: row.get(3)?,
        json: row.get(4)?,
    })
}

impl Store {
    /// The first report of what `rest` of a statement selects by `of`.
    async fn report(
        &self,
        rest: &'static str,
        of: impl ToSql + Send + 'static,
    ) -> Result<Option<ReportRow>, ReadError> {
        self.read("reports", move |connection| {
            connection
                .prepare_cached(&format!("SELECT {COLUMNS} FROM report {rest}"))?
                .query_row([of], decode::of("report", report))
                .optional()
        })
        .await
    }

    /// The report that an event asked for.
    pub async fn report_of(&self, event: EventId) -> Result<Option<ReportRow>, ReadError> {
        self.report("WHERE event = ?1", event.to_string()).await
    }

    /// The reports that are kept, the newest first: their names, and when they were written.
    pub async fn reports(&self) -> Result<Vec<(String, Millis)>, ReadError> {
        self.read("reports", |connection| {
            connection
                .prepare_cached("SELECT name, at FROM report ORDER BY n DESC")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    /// The newest report of a name.
    pub async fn report_named(&self, name: String) -> Result<Option<ReportRow>, ReadError> {
        let rest = "WHERE name = ?1 ORDER BY n DESC LIMIT 1";
        self.report(rest, name).await
    }

    /// The report that was written nearest to this time.
    pub async fn report_nearest(&self, time: Millis) -> Result<Option<ReportRow>, ReadError> {
        let rest = "ORDER BY ABS(at - ?1), n DESC LIMIT 1";
        self.report(rest, time).await
    }
}
