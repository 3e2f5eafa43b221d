//! Restarts of agents that one host asks of another one. Each is a row: the host that it names looks for it and says what came
//! of it, and whoever asked looks for that.
//!
//! - A row names the *incarnation* of a host, which is never used again: what is started in its place is asked nothing.
//! - It is begun once, by a write that changes nothing where it was withdrawn. Whoever says that a host did not answer has
//!   withdrawn it before.
//! - One that nobody withdraws, because its asker has ended too, is begun within [`RESTART_EXPIRES`] or never.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::leases::{HostIncarnation, NOW};
use super::sql::{Connection, Optional, params};
use super::{ReadError, Store, WriteError, decode};
use crate::event::{AgentName, EventId};

/// How long a restart may wait to be begun.
pub(crate) const RESTART_EXPIRES: Duration = Duration::from_secs(15);

/// How long rows are kept, in milliseconds: an hour.
const KEPT: i64 = 3600 * 1000;

/// What becomes of a restart that one host asks of another one. Its id is that of the event that records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RestartChange {
    /// It is asked of a host.
    Asked {
        id: String,
        /// The incarnation of the host.
        host: String,
        agent: String,
    },
    /// The host begins it, unless it was withdrawn or is too old.
    Begun { id: String },
    /// The host has done it.
    Ended {
        id: String,
        /// How the agent stands then.
        state: String,
        /// How often it was restarted.
        restarts: u64,
    },
    /// Nobody waits for it any more: it is not begun, unless it was.
    Withdrawn { id: String },
}

impl RestartChange {
    pub(crate) fn asked(id: EventId, host: &HostIncarnation, agent: AgentName) -> Self {
        RestartChange::Asked {
            id: id.to_string(),
            host: host.as_str().to_owned(),
            agent: agent.to_string(),
        }
    }

    pub(crate) fn begun(id: EventId) -> Self {
        RestartChange::Begun { id: id.to_string() }
    }

    pub(crate) fn ended(id: EventId, state: &str, restarts: u64) -> Self {
        RestartChange::Ended {
            id: id.to_string(),
            state: state.to_owned(),
            restarts,
        }
    }

    pub(crate) fn withdrawn(id: EventId) -> Self {
        RestartChange::Withdrawn { id: id.to_string() }
    }
}

/// A restart that this host is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RestartAsked {
    pub(crate) id: EventId,
    pub(crate) agent: AgentName,
}

/// How far a restart is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RestartStage {
    Asked,
    Begun,
    Ended {
        /// How the agent stands.
        state: String,
        restarts: u64,
    },
}

/// A restart as whoever asked for it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RestartRow {
    pub(crate) stage: RestartStage,
    /// The host that it was asked of has not ended.
    pub(crate) host_works: bool,
}

fn expires() -> i64 {
    i64::try_from(RESTART_EXPIRES.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn apply(connection: &Connection, change: &RestartChange) -> Result<(), WriteError> {
    match change {
        RestartChange::Asked { id, host, agent } => {
            let delete = format!("DELETE FROM restart_wanted WHERE at < {NOW} - ?1");
            connection.execute(&delete, [KEPT])?;
            let insert = format!(
                "INSERT INTO restart_wanted (id, host, agent, at) VALUES (?1, ?2, ?3, {NOW})"
            );
            connection.execute(&insert, params![id, host, agent])?;
        }
        RestartChange::Begun { id } => {
            let update = format!(
                "UPDATE restart_wanted SET begun_at = {NOW} WHERE id = ?1 AND begun_at IS NULL AND at > {NOW} - ?2"
            );
            connection.execute(&update, params![id, expires()])?;
        }
        RestartChange::Ended {
            id,
            state,
            restarts,
        } => {
            let update = "UPDATE restart_wanted SET state = ?2, restarts = ?3 WHERE id = ?1";
            connection.execute(update, params![id, state, restarts])?;
        }
        RestartChange::Withdrawn { id } => {
            let delete = "DELETE FROM restart_wanted WHERE id = ?1 AND begun_at IS NULL";
            connection.execute(delete, params![id])?;
        }
    }
    Ok(())
}

impl Store {
    /// The restarts that this host is asked for and has not begun, oldest first; none where the store is a file.
    pub(crate) async fn restarts_asked(&self, most: usize) -> Result<Vec<RestartAsked>, ReadError> {
        let Some(this) = self.leases().incarnation() else {
            return Ok(Vec::new());
        };
        self.read("restarts", move |connection| {
            let select = format!(
                "SELECT id, agent FROM restart_wanted WHERE host = ?1 AND begun_at IS NULL AND at > {NOW} - ?2
                 ORDER BY at, id LIMIT ?3"
            );
            let asked = decode::of("restart_wanted", |row| {
                Ok(RestartAsked {
                    id: row.get(0)?,
                    agent: row.get(1)?,
                })
            });
            connection
                .prepare_cached(&select)?
                .query_map(params![&*this, expires(), most as u64], asked)?
                .collect()
        })
        .await
    }

    /// How far a restart is that was asked for; `None`: it was withdrawn.
    pub(crate) async fn restart(&self, id: EventId) -> Result<Option<RestartRow>, ReadError> {
        self.read("a restart", move |connection| {
            connection
                .prepare_cached(
                    "SELECT id, begun_at IS NOT NULL, state, restarts,
                         EXISTS (SELECT 1 FROM host WHERE incarnation = restart_wanted.host AND ended_at IS NULL)
                     FROM restart_wanted WHERE id = ?1",
                )?
                .query_row(
                    params![id],
                    decode::of("restart_wanted", |row| {
                        let (state, restarts): (Option<String>, Option<u64>) =
                            (row.get(2)?, row.get(3)?);
                        let stage = match (state, restarts, row.get(1)?) {
                            (Some(state), Some(restarts), _) => {
                                RestartStage::Ended { state, restarts }
                            }
                            (_, _, true) => RestartStage::Begun,
                            (_, _, false) => RestartStage::Asked,
                        };
                        Ok(RestartRow {
                            stage,
                            host_works: row.get(4)?,
                        })
                    }),
                )
                .optional()
        })
        .await
    }
}
