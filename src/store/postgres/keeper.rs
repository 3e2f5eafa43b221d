//! What the writer does around its commits where the store is a database.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::database::{Database, Writers};
use crate::store::batch::{Counters, NO_HASH};
use crate::store::error;
use crate::store::leases::{HeldTerms, LOCK_HEAD, Leases, NOTIFY, TRANSFERS, in_turn, leases_of};
use crate::store::readiness::Readiness;
use crate::store::sql::{self, Connection, Error, Optional, Row, params};
use crate::store::{DatabaseError, WriteError};

/// How long those who wait for a commit wait, if its answer was lost, to hear how it ended. Until that is known no handler starts.
const LOST_REPLY: Duration = Duration::from_secs(15);

/// Between two attempts to reach the server.
const AGAIN: Duration = Duration::from_millis(250);

/// What is asked when a batch begins.
const COUNTERS: &str = "SELECT name, value FROM counter";
const HEAD_HASH: &str = "SELECT hash FROM audit ORDER BY n DESC LIMIT 1";

/// What stands in the store when a batch begins.
pub(in crate::store) struct BatchStart {
    pub(in crate::store) counters: Counters,
    /// The leases of this host; `None`: they are those that were known.
    pub(in crate::store) held: Option<HeldTerms>,
}

/// The way to the database, and the batch that is under way.
pub(in crate::store) struct DatabaseKeeper {
    database: Arc<Database>,
    leases: Leases,
    /// Whose row has the id of the batch that is under way.
    incarnation: Arc<str>,
    /// The id of the batch that is under way, or was the last one.
    batch: String,
    /// The last batch that was committed, and whose row has its id.
    committed: Option<(Arc<str>, String)>,
    /// The server could not be reached the last time, and that was said.
    is_away: bool,
    /// What was found on a session that is another one than that of the last batch.
    found: Readiness,
    /// Closed when this is: the thread that answers for the lock ends then.
    _alive: SyncSender<()>,
}

impl DatabaseKeeper {
    pub(in crate::store) fn new(
        database: Arc<Database>,
        leases: Leases,
        alive: SyncSender<()>,
    ) -> Self {
        DatabaseKeeper {
            database,
            leases,
            incarnation: Arc::default(),
            batch: String::new(),
            committed: None,
            is_away: false,
            found: Readiness::Ready,
            _alive: alive,
        }
    }

    /// Connects again where the connection was lost; gives what was found then.
    pub(in crate::store) fn ready(
        &mut self,
        connection: &mut Connection,
    ) -> Result<Readiness, WriteError> {
        if !connection.is_lost() && !self.leases.is_in_doubt() {
            return Ok(std::mem::take(&mut self.found));
        }
        let connected = self.database.connect_writer(Writers::Shared);
        let connected = connected.and_then(|again| {
            let found = self.look_for_commits(&again);
            let found = found.map_err(|error| self.database.unreachable(&error))?;
            Ok((again, found))
        });
        match connected {
            Ok((again, found)) => {
                *connection = again;
                self.is_away = false;
                // It had the lock that was waited for, or never will.
                self.leases.set_in_doubt(false);
                tracing::info!(
                    store = self.database.shown(),
                    "connected to the store again"
                );
                Ok(found)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(%error, "the connection to the store is lost; docent keeps trying");
                }
                Err(away(&error))
            }
        }
    }

    /// Begins a batch, alone: others that write wait for its end. Gives what is in the store then, and the leases of this
    /// host if they differ from `known`.
    pub(in crate::store) fn begin(
        &mut self,
        connection: &Connection,
        known: &HeldTerms,
    ) -> sql::Result<BatchStart> {
        let Connection::Postgres(session) = connection else {
            return Err(Error::Ended);
        };
        // Each statement sees what was committed before it began: the lock is the first of them.
        let answers = session.begin_with(&[LOCK_HEAD, COUNTERS, HEAD_HASH])?;
        let [_, counters, hash] = answers.as_slice() else {
            return Err(Error::NoRows);
        };
        let (mut counters, transfers) = read_counters(counters)?;
        counters.audit_hash = match hash.first() {
            Some(row) => Row::Postgres(row).get(0)?,
            None => NO_HASH.to_owned(),
        };
        self.incarnation = self.leases.incarnation().unwrap_or_default();
        let is_known = known.transfers == transfers && known.incarnation == self.incarnation;
        let held = match is_known {
            true => None,
            false => Some(leases_of(connection, &self.incarnation)?),
        };
        Ok(BatchStart { counters, held })
    }

    /// Ends a batch. If the answer is lost with the connection, the store is asked whether it has the batch. A batch that
    /// `has_changes` is counted, and others are told.
    pub(in crate::store) fn commit(
        &mut self,
        connection: &mut Connection,
        has_changes: bool,
    ) -> Result<(), WriteError> {
        if has_changes {
            let marked = self.mark(connection);
            marked.map_err(|error| error::unavailable(&error))?;
        }
        match connection.execute_batch("COMMIT") {
            Ok(()) => {
                self.note_committed(has_changes);
                Ok(())
            }
            Err(error) if error.ends_session() || connection.is_lost() => self.find_out(connection),
            Err(error) => Err(error::unavailable(&error)),
        }
    }

    fn note_committed(&mut self, has_changes: bool) {
        if has_changes {
            self.committed = Some((self.incarnation.clone(), self.batch.clone()));
        }
    }

    /// Whether the last batch that was committed is in the store, on a session that is new. If it is not, the database was restored,
    /// or failed over to a replica that was behind: it gives out terms and numbers a second time, so nothing from before may count.
    fn look_for_commits(&mut self, connection: &Connection) -> sql::Result<Readiness> {
        let Some((incarnation, batch)) = &self.committed else {
            // Asked even so: it waits for the end of a batch that is in doubt.
            let last = last_batch(connection, &self.incarnation)?;
            self.note_committed(last.as_ref() == Some(&self.batch));
            return Ok(Readiness::Reconnected);
        };
        let last = last_batch(connection, incarnation)?;
        if last.as_ref() == Some(batch) {
            return Ok(Readiness::Reconnected);
        }
        if last.as_ref() == Some(&self.batch) {
            // It was under way and was committed, though nobody heard of it.
            self.note_committed(true);
            return Ok(Readiness::Reconnected);
        }
        self.forget();
        Ok(Readiness::CommitsLost)
    }

    /// Takes note that batches that were committed are not in the store any more, although the session is the same.
    pub(in crate::store) fn lose_commits(&mut self) {
        self.forget();
        self.found = Readiness::CommitsLost;
    }

    /// Nothing from before counts.
    fn forget(&mut self) {
        self.committed = None;
        self.leases.lose();
    }

    fn mark(&mut self, connection: &Connection) -> sql::Result<()> {
        self.batch = Uuid::now_v7().to_string();
        connection
            .prepare_cached("UPDATE host SET batch = ?1 WHERE incarnation = ?2")?
            .defer(params![self.batch, &*self.incarnation])?;
        connection
            .prepare_cached(
                "INSERT INTO counter (name, value) VALUES ('batches', 1) ON CONFLICT (name) DO UPDATE SET value = counter.value + 1",
            )?
            .defer([])?;
        if self.leases.has_others() {
            connection.prepare_cached(NOTIFY)?.defer([])?;
        }
        Ok(())
    }

    /// Whether the batch is in the store. The lock of the lost session makes this wait for its end.
    fn find_out(&mut self, connection: &mut Connection) -> Result<(), WriteError> {
        let until = Instant::now() + LOST_REPLY;
        loop {
            let asked = self.database.connect_writer(Writers::Shared);
            let asked = asked.and_then(|again| {
                let last = last_batch(&again, &self.incarnation);
                let last = last.map_err(|error| self.database.unreachable(&error));
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
                        self.note_committed(true);
                        return Ok(());
                    }
                    self.found = self
                        .look_for_commits(connection)
                        .map_err(|error| error::unavailable(&error))?;
                    return Err(WriteError::Unavailable(
                        "the connection was lost before the commit; nothing was written".to_owned(),
                    ));
                }
                Err(error) if Instant::now() > until => {
                    self.leases.set_in_doubt(true);
                    return Err(away(&error));
                }
                Err(_) => std::thread::park_timeout(AGAIN),
            }
        }
    }
}

/// The id of the last batch that this host has committed. A session that was lost may still be at its commit: its lock is waited for.
fn last_batch(connection: &Connection, incarnation: &str) -> sql::Result<Option<String>> {
    let select = "SELECT batch FROM host WHERE incarnation = ?1";
    let batch = || connection.query_row(select, [incarnation], |row| row.get(0));
    let found: Option<Option<String>> = in_turn(connection, || batch().optional())?;
    Ok(found.flatten())
}

/// The counters, and the number of the last transfer of leases.
fn read_counters(rows: &[tokio_postgres::Row]) -> sql::Result<(Counters, u64)> {
    let (mut counters, mut transfers) = (Counters::default(), 0);
    for row in rows {
        let row = Row::Postgres(row);
        let name: String = row.get(0)?;
        match name.as_str() {
            TRANSFERS => transfers = row.get(1)?,
            name => counters.set(name, row.get(1)?),
        }
    }
    Ok((counters, transfers))
}

fn away(error: &DatabaseError) -> WriteError {
    WriteError::Unavailable(format!(
        "{error}; work continues by itself once the database answers"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema;
    use crate::store::tests::server::TestDatabase;

    #[test]
    fn a_batch_whose_reply_was_lost_is_known_to_be_committed_once_the_store_says_so() {
        let server = TestDatabase::new();
        let database = Arc::new(server.reached());
        let mut connection = database.connect_writer(Writers::Shared).unwrap();
        schema::migrate(&connection, 0).unwrap();
        server.run(
            "INSERT INTO host (incarnation, instance, data_dir, version, joined_at, renewed_at, change) VALUES ('me', 'me', 'me', '1', 0, 0, 0);
             INSERT INTO counter (name, value) VALUES ('seq', 0)",
        );
        let (alive, _ended) = std::sync::mpsc::sync_channel(0);
        let leases = Leases::of_a_host("me", false);
        let mut keeper = DatabaseKeeper::new(database, leases, alive);
        let mut commit = |keeper: &mut DatabaseKeeper| {
            keeper.begin(&connection, &HeldTerms::default()).unwrap();
            keeper.commit(&mut connection, true).unwrap();
        };
        commit(&mut keeper);
        let first = keeper.committed.clone();
        commit(&mut keeper);
        // As if nobody had heard of the second one, and another were lost before its commit.
        keeper.committed = first;
        assert_eq!(
            keeper.look_for_commits(&connection).unwrap(),
            Readiness::Reconnected
        );
        keeper.batch = "lost".to_owned();
        assert_eq!(
            keeper.look_for_commits(&connection).unwrap(),
            Readiness::Reconnected
        );
        server.run("UPDATE host SET batch = 'earlier'");
        assert_eq!(
            keeper.look_for_commits(&connection).unwrap(),
            Readiness::CommitsLost
        );
    }
}
