//! Where an event comes from, and what came of it.

use super::sql::{Optional, ToSql};

use super::ledger::{EVENT_COLUMNS, event_row};
use super::subjects::InCollections;
use super::{ReadError, Store};
use crate::event::{Event, EventId};

impl Store {
    /// The events that led to the one with this id, the nearest first, at most `limit`: its cause, the cause of that, and so on.
    /// The list ends before an event that has left the ledger.
    pub async fn causes_of(
        &self,
        cause: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Event>, ReadError> {
        self.read("what led to an event", move |connection| {
            let sql = format!("SELECT {EVENT_COLUMNS} FROM event e WHERE e.id = ?1");
            let mut select = connection.prepare_cached(&sql)?;
            let (mut causes, mut next) = (Vec::new(), cause);
            while let Some(id) = next
                && causes.len() < limit
            {
                let Some(event) = select.query_row([id], event_row).optional()? else {
                    break;
                };
                next = event.causation;
                causes.push(event);
            }
            Ok(causes)
        })
        .await
    }

    /// What each of these events caused itself, in the order of the ledger: at most `limit` events in all; `within` these collections,
    /// or any.
    pub async fn caused_by(
        &self,
        causes: Vec<EventId>,
        limit: usize,
        within: Option<&[String]>,
    ) -> Result<Vec<Event>, ReadError> {
        let within = InCollections::new(within);
        self.read("what events caused", move |connection| {
            let mut caused = Vec::new();
            for cause in causes {
                let left = limit - caused.len();
                let mut given: Vec<&dyn ToSql> = vec![&cause, &left];
                let subjects = within.condition("e.subject", &mut given);
                let sql = format!(
                    "SELECT {EVENT_COLUMNS} FROM event e WHERE e.causation = ?1 AND {subjects} ORDER BY e.seq LIMIT ?2"
                );
                let mut select = connection.prepare_cached(&sql)?;
                for event in select.query_map(&given[..], event_row)? {
                    caused.push(event?);
                }
            }
            Ok(caused)
        })
        .await
    }
}
