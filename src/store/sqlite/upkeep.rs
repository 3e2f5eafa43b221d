//! Upkeep: one thread that sees to the store's files, so that the writer never waits for it.
//!
//! It notices files that were removed or replaced, also while nothing is written, and shortens the log. Writing the log back
//! into the store needs no lock that the writer wants; cutting the emptied log does, for at most [`PATIENCE`].

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::files::Files;
use crate::event::Millis;
use crate::store::lock::Lock;
use crate::store::shared::{HeldLog, StoreShared};

/// How often it checks without being asked.
const TICK: Duration = Duration::from_secs(2);

/// A log of more bytes than this is written back and cut.
pub(super) const LOG_MAX: u64 = 16 << 20;

/// A log of more bytes than this that cannot be cut is worth telling.
pub(in crate::store) const LOG_TOLD: u64 = 2 * LOG_MAX;

/// How long cutting the log may make the writer wait.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// After an attempt that somebody who reads made futile.
pub(super) const PAUSE: Duration = Duration::from_secs(2);

/// What the thread has.
pub(in crate::store) struct Upkeep {
    connection: Connection,
    files: Arc<Files>,
    shared: Arc<StoreShared>,
    lock: Arc<Lock>,
    /// The writer asks for a check; it is gone when the writer is.
    asked: Receiver<()>,
    /// No attempt at shortening before then.
    not_before: Instant,
    /// Closed when all above is: the last one, for fields end in their order.
    _ended: SyncSender<()>,
}

/// The writer's way to the upkeep.
pub(in crate::store) struct Asker {
    ask: SyncSender<()>,
    ended: Receiver<()>,
}

impl Asker {
    /// Asks for a check soon. One that is asked already needs no more.
    pub(super) fn ask(&self) {
        self.ask.try_send(()).ok();
    }

    /// Ends the upkeep and waits until its connection is closed.
    pub(super) fn end(self) {
        drop(self.ask);
        self.ended.recv().ok(); // nothing is ever sent: it ends with the other end
    }
}

impl Upkeep {
    /// The upkeep of files that `connection` has open, and the writer's way to it.
    pub(in crate::store) fn new(
        connection: Connection,
        files: Arc<Files>,
        shared: Arc<StoreShared>,
        lock: Arc<Lock>,
    ) -> (Self, Asker) {
        let (ask, asked) = sync_channel(1);
        let (end, ended) = sync_channel(0);
        let upkeep = Upkeep {
            connection,
            files,
            shared,
            lock,
            asked,
            not_before: Instant::now(),
            _ended: end,
        };
        (upkeep, Asker { ask, ended })
    }

    /// Works until the writer is gone.
    pub(in crate::store) fn run(mut self) {
        if let Err(error) = self.connection.busy_timeout(PATIENCE) {
            tracing::warn!(%error, "cannot set a timeout; the writer may wait while the write-ahead log is shortened");
        }
        while self.asked.recv_timeout(TICK) != Err(RecvTimeoutError::Disconnected) {
            self.check();
        }
    }

    fn check(&mut self) {
        self.lock.answer();
        self.shared.set_replaced(self.files.replaced());
        if !self.files.can_be_completed() || Instant::now() < self.not_before {
            return;
        }
        let bytes = self.files.log_bytes();
        if bytes > LOG_MAX || self.files.log_is_gone() {
            match self.shorten() {
                Ok(true) => {}
                Ok(false) => self.not_before = Instant::now() + PAUSE,
                Err(error) => {
                    tracing::debug!(%error, "cannot shorten the write-ahead log");
                    self.not_before = Instant::now() + PAUSE;
                }
            }
        }
        self.tell(self.files.log_bytes());
    }

    /// Writes the log back, and cuts it if all of it is. False: somebody who reads needs it.
    fn shorten(&self) -> rusqlite::Result<bool> {
        if !self.checkpoint("PRAGMA wal_checkpoint(PASSIVE)")? {
            return Ok(false);
        }
        self.checkpoint("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    /// Whether nothing of the log was left over.
    fn checkpoint(&self, pragma: &str) -> rusqlite::Result<bool> {
        self.connection.query_row(pragma, [], |row| {
            let (busy, frames, written): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(busy == 0 && frames == written)
        })
    }

    fn tell(&self, bytes: u64) {
        let since = self.shared.standing().held_log.map(|held| held.since);
        let held = (bytes > LOG_TOLD).then(|| HeldLog {
            bytes,
            since: since.unwrap_or_else(Millis::now),
        });
        self.shared.set_held_log(held);
    }
}
