//! What the writer does around its commits where the store is a file.

use std::sync::Arc;

use super::files::Files;
use super::leave_log;
use super::upkeep::{Asker, LOG_MAX};
use crate::store::WriteError;
use crate::store::shared::{PUT_BACK, StoreShared};
use crate::store::sql::{self, Connection};

/// The files of the store and the way to their upkeep.
pub(in crate::store) struct FileKeeper {
    pub(in crate::store) files: Arc<Files>,
    pub(in crate::store) upkeep: Asker,
}

impl FileKeeper {
    /// Whether the files are still the ones that are open.
    pub(in crate::store) fn in_place(&self, shared: &StoreShared) -> Result<(), WriteError> {
        let replaced = self.files.replaced();
        let refused = replaced.as_ref().map(|how| {
            let cause = format!("{how}; {PUT_BACK}");
            Err(WriteError::Unavailable(cause))
        });
        shared.set_replaced(replaced);
        refused.unwrap_or(Ok(()))
    }

    /// Has a log that became long shortened.
    pub(in crate::store) fn committed(&self) {
        if self.files.log_bytes() > LOG_MAX {
            self.upkeep.ask();
        }
    }

    /// Writes the log back. Where the files are not the ones that are open, none is removed under its name.
    pub(in crate::store) fn end(self, connection: &Connection) -> sql::Result<()> {
        self.upkeep.end();
        if let Connection::Sqlite(connection) = connection
            && self.files.replaced().is_some()
        {
            leave_log(connection)?;
        }
        if self.files.can_be_completed() {
            connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        }
        Ok(())
    }
}
