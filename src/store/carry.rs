//! What a carrier asks the ledger: the events behind the deliveries that it carries, and the places of the events that it read.

use rusqlite::{Connection, OptionalExtension, params};

use super::ledger::{EVENT_COLUMNS, event_row};
use super::look::{DEAD_SELECT, dead_row};
use super::{DeadLetter, ReadError, Store};
use crate::event::{AgentName, Event, EventId, Seq};

impl Store {
    /// The events at these places; one that is gone is left out.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn events_at(&self, seqs: Vec<Seq>) -> Result<Vec<Event>, ReadError> {
        self.read("events to carry", move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.seq = ?1");
            let mut select = connection.prepare_cached(&sql)?;
            let mut events = Vec::with_capacity(seqs.len());
            for seq in seqs {
                events.extend(select.query_row([seq.0], event_row).optional()?);
            }
            Ok(events)
        })
        .await
    }

    /// The places of the events of these ids, in the same order; `None` for one that the ledger does not have.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn seqs_of(&self, ids: Vec<EventId>) -> Result<Vec<Option<Seq>>, ReadError> {
        self.read("the places of events", move |connection| {
            ids.iter().map(|id| seq_of(connection, *id)).collect()
        })
        .await
    }

    /// The dead letter of one delivery, if it is dead.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn dead_letter(
        &self,
        seq: Seq,
        agent: AgentName,
    ) -> Result<Option<DeadLetter>, ReadError> {
        self.read("a dead letter", move |connection| {
            let sql =
                format!("{DEAD_SELECT} WHERE d.event = ?1 AND d.agent = ?2 AND d.state = 'dead'");
            connection
                .query_row(&sql, params![seq.0, agent.as_str()], dead_row)
                .optional()
        })
        .await
    }
}

fn seq_of(connection: &Connection, id: EventId) -> rusqlite::Result<Option<Seq>> {
    connection
        .prepare_cached("SELECT seq FROM event WHERE id = ?1")?
        .query_row([id.to_string()], |row| row.get(0).map(Seq))
        .optional()
}
