//! Events as they are listed, followed and carried.

use super::sql::{self, Connection, Optional, ToSql, params};
use serde_json::Value;

use super::dead::errors_column;
use super::ledger::{DeliveryState, EVENT_COLUMNS, event_row};
use super::readers::page;
use super::subjects::InCollections;
use super::{ReadError, Store, decode};
use crate::event::{AgentName, Event, EventId, EventType, Millis, Seq};

/// Which events to list.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this subject.
    pub subject: Option<String>,
    /// Only of this type.
    pub kind: Option<EventType>,
    /// Only of this chain.
    pub correlation: Option<EventId>,
    /// Only from then on.
    pub since: Option<Millis>,
    /// Only about these collections and what is in them.
    pub within: Option<Vec<String>>,
    /// Only those before this place: where the next page goes on.
    pub before: Option<Seq>,
    /// At most so many.
    pub limit: usize,
}

/// One delivery of an event, for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliveryView {
    pub agent: AgentName,
    pub state: DeliveryState,
    pub attempts: u32,
    pub errors: Value,
    /// When it was settled.
    pub settled_at: Option<Millis>,
}

impl Store {
    /// A page of events, newest first.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<Event>, ReadError> {
        let within = InCollections::new(filter.within.as_deref());
        self.read("events", move |connection| {
            // A bound of its own, so that the next page begins at its place.
            let before = filter.before.map_or(i64::MAX.unsigned_abs(), |seq| seq.0);
            let mut given: Vec<&dyn ToSql> = vec![
                &filter.subject,
                &filter.kind,
                &filter.correlation,
                &filter.since,
                &before,
                &filter.limit,
            ];
            let subjects = within.condition("e.subject", &mut given);
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e
                 WHERE (CAST(?1 AS TEXT) IS NULL OR e.subject = ?1) AND (CAST(?2 AS TEXT) IS NULL OR e.type = ?2)
                   AND (CAST(?3 AS TEXT) IS NULL OR e.correlation = ?3) AND (CAST(?4 AS BIGINT) IS NULL OR e.time >= ?4)
                   AND e.seq < ?5 AND {subjects}
                 ORDER BY e.seq DESC LIMIT ?6"
            );
            let mut select = connection.prepare_cached(&sql)?;
            page(select.query(&given[..])?, event_row)
        })
        .await
    }

    /// A page of events after `cursor` in ledger order: what `tail` follows.
    pub async fn events_after(&self, cursor: Seq, limit: usize) -> Result<Vec<Event>, ReadError> {
        self.read("events", move |connection| {
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e WHERE e.seq > ?1 ORDER BY e.seq LIMIT ?2"
            );
            let mut select = connection.prepare_cached(&sql)?;
            page(select.query(params![cursor, limit])?, event_row)
        })
        .await
    }

    /// How many events the ledger has after `cursor`, up to `last`.
    pub(crate) async fn count_events(&self, cursor: Seq, last: Seq) -> Result<u64, ReadError> {
        self.read("events", move |connection| {
            connection
                .prepare_cached("SELECT COUNT(*) FROM event WHERE seq > ?1 AND seq <= ?2")?
                .query_row([cursor, last], |row| row.get(0))
        })
        .await
    }

    /// The events whose ids begin or end with `part`, the newest first, at most so many; `within` these collections, or any.
    pub async fn events_named(
        &self,
        part: String,
        limit: usize,
        within: Option<&[String]>,
    ) -> Result<Vec<Event>, ReadError> {
        let within = InCollections::new(within);
        self.read("events by a part of their ids", move |connection| {
            // Digits of ids and dashes come before `g`; the beginning is looked up in the index, the end is not.
            let mut given: Vec<&dyn ToSql> = vec![&part, &limit];
            let subjects = within.condition("e.subject", &mut given);
            let sql = format!(
                "SELECT {EVENT_COLUMNS} FROM event e
                 WHERE ((e.id >= ?1 AND e.id < ?1 || 'g') OR e.id LIKE '%' || ?1) AND {subjects}
                 ORDER BY e.seq DESC LIMIT ?2"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(&given[..], event_row)?
                .collect()
        })
        .await
    }

    /// One event with its deliveries and a page of what it caused.
    pub async fn event(
        &self,
        id: EventId,
    ) -> Result<Option<(Event, Vec<DeliveryView>, Vec<Event>)>, ReadError> {
        self.read("an event", move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.id = ?1");
            let Some(event) = connection
                .query_row(&sql, [id], event_row)
                .optional()?
            else {
                return Ok(None);
            };
            let deliveries = deliveries_of(connection, event.seq)?;
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.causation = ?1 ORDER BY e.seq LIMIT 1000");
            let mut select = connection.prepare_cached(&sql)?;
            let caused = page(select.query([id])?, event_row)?;
            Ok(Some((event, deliveries, caused)))
        })
        .await
    }

    /// The events at these places; one that is gone is left out.
    pub async fn events_at(&self, seqs: Vec<Seq>) -> Result<Vec<Event>, ReadError> {
        self.read("events to carry", move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.seq = ?1");
            let mut select = connection.prepare_cached(&sql)?;
            let mut events = Vec::with_capacity(seqs.len());
            for seq in seqs {
                events.extend(select.query_row([seq], event_row).optional()?);
            }
            Ok(events)
        })
        .await
    }

    /// The places of the events of these ids, in the same order; `None` for one that the ledger does not have.
    pub async fn seqs_of(&self, ids: Vec<EventId>) -> Result<Vec<Option<Seq>>, ReadError> {
        self.read("the places of events", move |connection| {
            ids.iter().map(|id| seq_of(connection, *id)).collect()
        })
        .await
    }

    /// The effects that the agent `test` has left: (event, attempt).
    #[cfg(feature = "testing")]
    pub async fn test_effects(&self) -> Result<Vec<(u64, u32)>, ReadError> {
        self.read("what the agent test has done", move |connection| {
            connection
                .prepare_cached("SELECT event, attempt FROM test_effect ORDER BY event, attempt")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }
}

pub(super) fn deliveries_of(connection: &Connection, seq: Seq) -> sql::Result<Vec<DeliveryView>> {
    let mut select = connection.prepare_cached(
        "SELECT event, agent, state, attempts, errors, settled_at FROM delivery WHERE event = ?1 ORDER BY agent",
    )?;
    let delivery = decode::of("delivery", |row| {
        Ok(DeliveryView {
            agent: row.get(1)?,
            state: row.get(2)?,
            attempts: row.get(3)?,
            errors: errors_column(row, 4)?,
            settled_at: row.get(5)?,
        })
    });
    select.query_map([seq], delivery)?.collect()
}

fn seq_of(connection: &Connection, id: EventId) -> sql::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT seq FROM event WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
}
