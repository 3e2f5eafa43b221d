//! The oldest that is owed, for a person.

use super::sql::{Row, params};
use serde_json::Value;

use super::dead::errors_column;
use super::readers::page;
use super::{ReadError, Store, decode};
use crate::event::{AgentName, EventId, EventType, Millis, Subject};

/// A delivery that is owed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OwedView {
    pub(crate) event: EventId,
    pub(crate) kind: EventType,
    pub(crate) subject: Subject,
    /// When the event was published.
    pub(crate) since: Millis,
    pub(crate) attempts: u32,
    /// The error chain, oldest first.
    pub(crate) errors: Value,
}

impl Store {
    /// The oldest deliveries that `agent` owes, oldest first.
    pub(crate) async fn oldest_owed_views(
        &self,
        agent: AgentName,
        limit: usize,
    ) -> Result<Vec<OwedView>, ReadError> {
        self.read("the oldest that are owed", move |connection| {
            // Each half goes by an index of its own.
            let mut select = connection.prepare_cached(
                "SELECT e.id, e.type, e.subject, e.time, d.attempts, d.errors FROM delivery d JOIN event e ON e.seq = d.event
                 WHERE d.agent = ?1 AND d.event IN (
                   SELECT event FROM (SELECT event FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts = 0
                                      ORDER BY event LIMIT ?2) fresh
                   UNION ALL SELECT event FROM (SELECT event FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0
                                                ORDER BY event LIMIT ?2) retried)
                 ORDER BY d.event LIMIT ?2",
            )?;
            let view = |row: &Row<'_>| {
                Ok(OwedView {
                    event: row.get(0)?,
                    kind: row.get(1)?,
                    subject: row.get(2)?,
                    since: row.get(3)?,
                    attempts: row.get(4)?,
                    errors: errors_column(row, 5)?,
                })
            };
            page(select.query(params![agent, limit])?, decode::of("delivery", view))
        })
        .await
    }
}
