//! The state of the commit that the writer puts together.

use std::collections::HashMap;

use super::ahead::Ahead;
use super::leases::{HeldTerms, LeaseTerm};
use super::sql::{self, Connection, params};
use super::{StoreOptions, WriteError};
use crate::event::{AgentName, EventType, Millis, Seq};

/// What one slice of pruning did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pruned {
    /// Rows that are gone.
    pub(super) gone: usize,
    /// Where the next slice of the ledger begins, if there may be more.
    pub(super) next: Option<Seq>,
}

/// What changed in an agent's counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Delta {
    pub(super) owed: i64,
    pub(super) retrying: i64,
    pub(super) dead: i64,
    pub(super) handled: i64,
    pub(super) failed: i64,
    /// There are deliveries that were not owed before.
    pub(super) fresh: bool,
    /// The lowest delivery that became offerable again.
    pub(super) rewind: Option<Seq>,
}

/// What the first record's hash is computed over.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The numbers that only go up. They are written with the batch that used them, so none is given twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) seq: u64,
    pub(super) change: u64,
    pub(super) chunk: u64,
    pub(super) audit_n: u64,
    pub(super) audit_hash: String,
    /// Batches that were committed in a database, by whatever host.
    pub(super) batches: u64,
}

impl Counters {
    /// What the store has; the hash of the audit log is for [`audit::counters`](super::audit::counters) to add.
    pub(super) fn read(connection: &Connection) -> sql::Result<Self> {
        let mut counters = Counters::default();
        let mut select = connection.prepare_cached("SELECT name, value FROM counter")?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            counters.set(&row.get::<String>(0)?, row.get(1)?);
        }
        Ok(counters)
    }

    /// Takes one of the names in the store; another one is none of these.
    pub(super) fn set(&mut self, name: &str, value: u64) {
        match name {
            "seq" => self.seq = value,
            "change" => self.change = value,
            "passage" => self.chunk = value,
            "audit" => self.audit_n = value,
            "batches" => self.batches = value,
            _ => {}
        }
    }

    pub(super) fn write(&self, connection: &Connection) -> sql::Result<()> {
        let mut put = connection.prepare_cached(
            "INSERT INTO counter (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?;
        put.defer(params!["seq", self.seq])?;
        put.defer(params!["change", self.change])?;
        put.defer(params!["passage", self.chunk])?;
        put.defer(params!["audit", self.audit_n])?;
        Ok(())
    }
}

/// The state of the commit that is being put together.
pub(super) struct Batch {
    pub(super) options: StoreOptions,
    pub(super) counters: Counters,
    /// What its members ask of a database.
    pub(super) ahead: Ahead,
    /// What this host may do; on a file nobody asks.
    pub(super) held: HeldTerms,
    pub(super) deltas: HashMap<AgentName, Delta>,
    /// The events that were published, each with the fix that it tells of.
    pub(super) published: Vec<(EventType, Option<String>)>,
    /// Notifications of alerts that there was no room for.
    pub(super) dropped: u64,
    /// Others have committed since the batch before.
    pub(super) follows_others: bool,
    /// Leases have moved since the batch before, or something that was passed is owed again.
    pub(super) follows_transfer: bool,
    /// Files, documents or their chunks may be others than before.
    pub(super) changes_files: bool,
    /// When the member that is being applied was begun.
    pub(super) now: Millis,
}

impl Batch {
    /// The state before the first commit.
    pub(super) fn new(options: StoreOptions, counters: Counters) -> Self {
        Batch {
            options,
            counters,
            ahead: Ahead::default(),
            held: HeldTerms::default(),
            deltas: HashMap::new(),
            published: Vec::new(),
            dropped: 0,
            follows_others: false,
            follows_transfer: false,
            changes_files: false,
            now: Millis::now(),
        }
    }

    /// That what was begun under a lease may be written.
    ///
    /// # Errors
    /// The lease is another host's by now, or has another term.
    pub(super) fn check(&self, lease: Option<&LeaseTerm>) -> Result<(), WriteError> {
        match lease {
            Some(lease) if !self.held.allow(lease) => Err(WriteError::Refused),
            _ => Ok(()),
        }
    }

    pub(super) fn options(&self) -> &StoreOptions {
        &self.options
    }

    pub(super) fn versions_kept(&self) -> u32 {
        self.options.versions
    }

    pub(super) fn next_seq(&mut self) -> Seq {
        self.counters.seq += 1;
        Seq(self.counters.seq)
    }

    pub(super) fn next_change(&mut self) -> u64 {
        self.counters.change += 1;
        self.counters.change
    }

    pub(super) fn next_chunk(&mut self) -> u64 {
        self.counters.chunk += 1;
        self.counters.chunk
    }

    pub(super) fn delta(&mut self, agent: AgentName) -> &mut Delta {
        self.deltas.entry(agent).or_default()
    }
    /// Forgets what the commit changed, once it is told or undone.
    pub(super) fn clear(&mut self) {
        self.ahead.forget();
        self.deltas.clear();
        self.published.clear();
        self.dropped = 0;
        self.follows_others = false;
        self.follows_transfer = false;
        self.changes_files = false;
    }
}
