//! What the writer does around its commits where the store is a file.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::files::Files;
use super::upkeep::{Asker, LOG_MAX, LOG_TOLD, PATIENCE, PAUSE};
use super::{BUSY, leave_log};
use crate::store::WriteError;
use crate::store::shared::{PUT_BACK, StoreShared};
use crate::store::sql::{self, Connection};

/// The files of the store and the way to their upkeep.
pub(in crate::store) struct FileKeeper {
    pub(in crate::store) files: Arc<Files>,
    pub(in crate::store) upkeep: Asker,
    pub(in crate::store) shortening: Shortening,
}

/// When the writer shortens the log next, and the pause after an attempt that somebody who reads makes futile.
pub(in crate::store) struct Shortening {
    not_before: Instant,
    pause: Duration,
}

impl Default for Shortening {
    fn default() -> Self {
        Shortening {
            not_before: Instant::now(),
            pause: PATIENCE,
        }
    }
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

    /// Has a log that became long shortened. While one commit follows the other, the upkeep finds no moment for it, and the log
    /// would grow until there is no more work, or no more space: then work waits for it.
    pub(in crate::store) fn committed(&mut self, connection: &Connection) {
        let bytes = self.files.log_bytes();
        if bytes > LOG_MAX {
            self.upkeep.ask();
        }
        let due = Instant::now() >= self.shortening.not_before;
        if bytes > LOG_TOLD && due && self.files.can_be_completed() {
            if let Err(error) = shorten(connection) {
                tracing::debug!(%error, "the writer cannot shorten the write-ahead log");
            }
            let futile = self.files.log_bytes() > LOG_TOLD;
            let pause = if futile {
                self.shortening.pause
            } else {
                PATIENCE
            };
            self.shortening = Shortening {
                not_before: Instant::now() + pause,
                pause: (pause * 2).min(PAUSE),
            };
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

/// Writes the log back and cuts it, if nobody who reads needs it for long.
fn shorten(connection: &Connection) -> sql::Result<()> {
    let Connection::Sqlite(file) = connection else {
        return Ok(());
    };
    file.busy_timeout(PATIENCE)?;
    let shortened = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    file.busy_timeout(BUSY)?;
    shortened
}
