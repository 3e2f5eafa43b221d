//! What the writer does around its commits where the store is a database.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::database::Database;
use crate::store::error;
use crate::store::sql::{self, Connection, Optional, params};
use crate::store::{DatabaseError, WriteError};

/// How long a commit whose answer was lost is asked after.
const LOST_REPLY: Duration = Duration::from_secs(15);

/// Between two attempts to reach the server.
const AGAIN: Duration = Duration::from_millis(250);

/// The way to the database, and the batch that is under way.
pub(in crate::store) struct DatabaseKeeper {
    database: Arc<Database>,
    /// The id of the batch that is under way, or was the last one.
    batch: String,
    /// The server could not be reached the last time, and that was said.
    is_away: bool,
    /// The session is another one than that of the last batch that was committed: somebody else may have written in between.
    is_new: bool,
    /// Closed when this is: the thread that answers for the lock ends then.
    _alive: SyncSender<()>,
}

impl DatabaseKeeper {
    pub(in crate::store) fn new(database: Arc<Database>, alive: SyncSender<()>) -> Self {
        DatabaseKeeper {
            database,
            batch: String::new(),
            is_away: false,
            is_new: false,
            _alive: alive,
        }
    }

    /// Connects again where the connection was lost; gives whether the session is a new one.
    pub(in crate::store) fn ready(
        &mut self,
        connection: &mut Connection,
    ) -> Result<bool, WriteError> {
        if !connection.is_lost() {
            return Ok(std::mem::take(&mut self.is_new));
        }
        match self.database.connect_writer() {
            Ok(again) => {
                *connection = again;
                self.is_away = false;
                tracing::info!(
                    store = self.database.shown(),
                    "connected to the store again"
                );
                Ok(true)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(%error, "the connection to the store is lost; docent goes on trying");
                }
                Err(away(&error))
            }
        }
    }

    /// Begins a batch, alone: whoever else writes waits for its end.
    pub(in crate::store) fn begin(&mut self, connection: &Connection) -> sql::Result<()> {
        connection.execute_batch("BEGIN")?;
        connection
            .prepare_cached("SELECT value FROM counter WHERE name = 'seq' FOR UPDATE")?
            .query([])?;
        Ok(())
    }

    /// Ends a batch. Where the answer is lost with the connection, the store is asked whether it has the batch.
    pub(in crate::store) fn commit(
        &mut self,
        connection: &mut Connection,
    ) -> Result<(), WriteError> {
        self.batch = Uuid::now_v7().to_string();
        let marked = connection.prepare_cached(
            "INSERT INTO meta (name, value) VALUES ('batch', ?1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        );
        marked
            .and_then(|mut mark| mark.defer(params![self.batch]))
            .map_err(|error| error::unavailable(&error))?;
        match connection.execute_batch("COMMIT") {
            Ok(()) => Ok(()),
            Err(error) if error.ends_session() || connection.is_lost() => self.find_out(connection),
            Err(error) => Err(error::unavailable(&error)),
        }
    }

    /// Whether the batch is in the store. The lock of the lost session makes this wait for its end.
    fn find_out(&mut self, connection: &mut Connection) -> Result<(), WriteError> {
        let until = Instant::now() + LOST_REPLY;
        loop {
            let asked = self.database.connect_writer().and_then(|again| {
                let last = last_batch(&again).map_err(|error| self.database.unreachable(&error));
                Ok((last?, again))
            });
            match asked {
                Ok((last, again)) => {
                    *connection = again;
                    tracing::info!(
                        store = self.database.shown(),
                        "connected to the store again"
                    );
                    if last.as_ref() == Some(&self.batch) {
                        return Ok(());
                    }
                    self.is_new = true;
                    return Err(WriteError::Unavailable(
                        "the connection was lost before the commit; nothing of it was written"
                            .to_owned(),
                    ));
                }
                Err(error) if Instant::now() > until => return Err(away(&error)),
                Err(_) => std::thread::park_timeout(AGAIN),
            }
        }
    }
}

/// The id of the last batch that was committed.
fn last_batch(connection: &Connection) -> sql::Result<Option<String>> {
    connection
        .query_row("SELECT value FROM meta WHERE name = 'batch'", [], |row| {
            row.get(0)
        })
        .optional()
}

fn away(error: &DatabaseError) -> WriteError {
    WriteError::Unavailable(format!(
        "{error}; the work goes on by itself once it answers"
    ))
}
