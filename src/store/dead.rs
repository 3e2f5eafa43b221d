//! Dead letters: deliveries that failed for good.

use super::sql::{self, Optional, Row, ToSql, params};
use serde_json::Value;

use super::readers::page;
use super::subjects::InCollections;
use super::{ReadError, Store, decode};
use crate::event::{AgentName, EventId, EventType, Millis, Seq, Subject};

#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    pub seq: Seq,
    pub event: EventId,
    /// Who could not handle it.
    pub agent: AgentName,
    pub kind: EventType,
    pub subject: Subject,
    pub attempts: u32,
    /// The error chain, oldest first.
    pub errors: Value,
    pub at: Millis,
}

const SELECT: &str =
    "SELECT e.id, d.agent, e.type, e.subject, d.attempts, d.errors, d.settled_at, d.event
    FROM delivery d JOIN event e ON e.seq = d.event";

impl Store {
    /// Whether `agent` owes anything up to `seq`.
    pub async fn owes_up_to(&self, agent: AgentName, seq: Seq) -> Result<bool, ReadError> {
        self.read("what is owed up to an event", move |connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts = 0 AND event <= ?2)
                     OR EXISTS (SELECT 1 FROM delivery WHERE agent = ?1 AND state = 'owed' AND attempts > 0 AND event <= ?2)",
                params![agent, seq],
                |row| row.get(0),
            )
        })
        .await
    }

    /// The first delivery up to `seq`, `within` these collections or in any, on which `agent` gave up, with no later done one of its
    /// subject that has made up for it.
    pub async fn gave_up(
        &self,
        agent: AgentName,
        seq: Seq,
        within: Option<&[String]>,
    ) -> Result<Option<DeadLetter>, ReadError> {
        let within = InCollections::new(within);
        self.read("dead letters", move |connection| {
            let mut given: Vec<&dyn ToSql> = vec![&agent, &seq];
            let subjects = within.condition("d.subject", &mut given);
            let sql = format!(
                "{SELECT} WHERE d.agent = ?1 AND d.state = 'dead' AND d.event <= ?2
                   AND NOT EXISTS (SELECT 1 FROM delivery later JOIN event le ON le.seq = later.event
                                   WHERE later.agent = d.agent AND later.subject = d.subject
                                     AND later.event > d.event AND later.state = 'done')
                   AND {subjects}
                 ORDER BY d.event LIMIT 1"
            );
            connection
                .query_row(&sql, &given[..], dead_row)
                .optional()
        })
        .await
    }

    /// A page of dead letters, oldest first, at most `limit` from the one after `after` on; `within` these collections, or any.
    pub async fn dead_letters(
        &self,
        after: Option<(Seq, AgentName)>,
        limit: usize,
        within: Option<&[String]>,
    ) -> Result<Vec<DeadLetter>, ReadError> {
        let within = InCollections::new(within);
        self.read("dead letters", move |connection| {
            let (seq, agent) = after.map_or((0, ""), |(seq, agent)| (seq.0, agent.as_str()));
            let mut given: Vec<&dyn ToSql> = vec![&seq, &agent, &limit];
            let subjects = within.condition("e.subject", &mut given);
            // Not in the order of the key: the few that are dead have an index of their own.
            let sql = format!(
                "{SELECT} WHERE d.state = 'dead' AND (+d.event, d.agent) > (?1, ?2) AND {subjects}
                 ORDER BY +d.event, d.agent LIMIT ?3"
            );
            let mut select = connection.prepare_cached(&sql)?;
            page(select.query(&given[..])?, dead_row)
        })
        .await
    }

    /// The newest dead letters, newest first.
    pub(crate) async fn newest_dead(&self, limit: usize) -> Result<Vec<DeadLetter>, ReadError> {
        self.read("dead letters", move |connection| {
            let sql = format!(
                "{SELECT} WHERE (d.event, d.agent) IN
                   (SELECT event, agent FROM delivery WHERE state = 'dead' ORDER BY +event DESC, agent LIMIT ?1)
                 ORDER BY d.event DESC, d.agent"
            );
            let mut select = connection.prepare_cached(&sql)?;
            page(select.query([limit])?, dead_row)
        })
        .await
    }

    /// The dead letter of one delivery, if it is dead.
    pub async fn dead_letter(
        &self,
        seq: Seq,
        agent: AgentName,
    ) -> Result<Option<DeadLetter>, ReadError> {
        self.read("a dead letter", move |connection| {
            let sql = format!("{SELECT} WHERE d.event = ?1 AND d.agent = ?2 AND d.state = 'dead'");
            connection
                .query_row(&sql, params![seq, agent], dead_row)
                .optional()
        })
        .await
    }
}

fn dead_row(row: &Row<'_>) -> sql::Result<DeadLetter> {
    let dead = |row: &Row<'_>| {
        Ok(DeadLetter {
            event: row.get(0)?,
            agent: row.get(1)?,
            kind: row.get(2)?,
            subject: row.get(3)?,
            attempts: row.get(4)?,
            errors: errors_column(row, 5)?,
            at: row.get(6)?,
            seq: row.get(7)?,
        })
    };
    decode::of("delivery", dead)(row)
}

/// The error chain; an empty list where nothing failed yet.
pub(super) fn errors_column(row: &Row<'_>, column: usize) -> sql::Result<Value> {
    match row.get::<Option<String>>(column)? {
        None => Ok(Value::Array(Vec::new())),
        Some(text) => serde_json::from_str(&text).map_err(|e| decode::unreadable(row, column, e)),
    }
}
