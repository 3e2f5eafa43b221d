//! What the writer's engine does around its commits.

use super::WriteError;
use super::leases::HeldTerms;
use super::postgres::{BatchStart, DatabaseKeeper};
use super::readiness::Readiness;
use super::shared::StoreShared;
use super::sql::{self, Connection};
use super::sqlite::FileKeeper;

/// The keeper of the writer's engine.
pub(super) enum Keeper {
    File(FileKeeper),
    Database(Box<DatabaseKeeper>),
}

impl Keeper {
    /// Sees to it that a commit can begin.
    ///
    /// # Errors
    /// Nothing can be written at the moment.
    pub(super) fn ready(
        &mut self,
        connection: &mut Connection,
        shared: &StoreShared,
    ) -> Result<Readiness, WriteError> {
        match self {
            Keeper::File(keeper) => keeper.in_place(shared).map(|()| Readiness::Ready),
            Keeper::Database(keeper) => keeper.ready(connection),
        }
    }

    /// Begins the transaction of a batch. Gives what stands in the store, where others may have written into it.
    pub(super) fn begin(
        &mut self,
        connection: &Connection,
        known: &HeldTerms,
    ) -> sql::Result<Option<BatchStart>> {
        match self {
            Keeper::File(_) => connection.execute_batch("BEGIN IMMEDIATE").map(|()| None),
            Keeper::Database(keeper) => keeper.begin(connection, known).map(Some),
        }
    }

    /// Takes note that the store has lost what was committed: [`Keeper::ready`] says so next.
    pub(super) fn lose_commits(&mut self) {
        if let Keeper::Database(keeper) = self {
            keeper.lose_commits();
        }
    }

    /// Whether what a batch will ask is worth one question for all of it: each is answered over a network.
    pub(super) fn reads_ahead(&self) -> bool {
        matches!(self, Keeper::Database(_))
    }

    /// Ends the transaction of a batch. All of it is durable then. `has_changes`: there is something in it.
    pub(super) fn commit(
        &mut self,
        connection: &mut Connection,
        has_changes: bool,
    ) -> Result<(), WriteError> {
        match self {
            Keeper::File(_) => {
                let committed = connection.execute_batch("COMMIT");
                committed.map_err(|error| super::error::unavailable(&error))
            }
            Keeper::Database(keeper) => keeper.commit(connection, has_changes),
        }
    }

    /// What is said to whoever waits for a batch that is durable.
    pub(super) fn committed(
        &mut self,
        connection: &Connection,
        shared: &StoreShared,
    ) -> Result<(), WriteError> {
        match self {
            Keeper::File(keeper) => {
                keeper.committed(connection);
                keeper.in_place(shared)
            }
            Keeper::Database(_) => Ok(()),
        }
    }

    /// Ends what belongs to the engine.
    pub(super) fn end(self, connection: &Connection) -> sql::Result<()> {
        match self {
            Keeper::File(keeper) => keeper.end(connection),
            Keeper::Database(_) => Ok(()),
        }
    }
}
