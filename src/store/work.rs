//! What the writer is asked to do, what it gives, and the state of the commit that it puts together.

use std::collections::HashMap;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::ledger::{DeliveryKey, PublishedEvent, Settled};
use super::outcome::{self, Effect, Settlement};
use super::{Fence, Operation, StoreOptions, WriteError, audit};
use crate::event::{AgentName, Millis, NewEvent, Seq};

/// What the writer is asked to do.
pub(super) enum Work {
    /// A source's transaction: effects and the events that go with them.
    Publish(Vec<Effect>, Vec<NewEvent>),
    /// The end of a flight. `source` is who publishes the derived events.
    Settle {
        key: DeliveryKey,
        fence: Fence,
        settlement: Settlement,
        source: String,
    },
    /// What an operator does to deliveries.
    Operate(Box<Operation>),
    /// One slice of what has outlived its use.
    Prune(Prune),
    /// Nothing: its reply says that all that was queued before is committed or refused.
    Barrier,
}

/// Removal of what has outlived its use, a slice at a time.
pub(super) enum Prune {
    /// Events from this place on that are done.
    Ledger(Seq),
    /// Chunks that were replaced at or before this change, which the follower has passed.
    Chunks(u64),
    /// Bytes that no manifest row and no version names.
    Content,
    /// Embeddings that no chunk uses, of models other than the one named too.
    Embeddings,
    /// Versions of documents removed before then, closed issues, and scans of collections that left the config.
    Documents(Millis),
    /// Audit records from before then.
    Audit(Millis),
}

/// What a transaction gave.
#[derive(Debug, Clone)]
pub(super) enum Done {
    Published(Vec<PublishedEvent>),
    Settled(Settled),
    Operated(usize),
    Pruned(Pruned),
    Passed,
}

/// What one slice of pruning did.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pruned {
    /// Rows that are gone.
    pub(super) gone: usize,
    /// Where the next slice of the ledger begins, if there may be more.
    pub(super) next: Option<Seq>,
}

/// One transaction with the way back.
pub(super) struct Command {
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Done, WriteError>>,
}

impl Command {
    pub(super) fn weight(&self) -> usize {
        match &self.work {
            Work::Publish(effects, _) => outcome::effects_weight(effects),
            Work::Settle { settlement, .. } => settlement.weight(),
            _ => 0,
        }
    }
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

/// The numbers that only go up. They are written with the batch that used them, so none is given twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counters {
    pub(super) seq: u64,
    pub(super) change: u64,
    pub(super) chunk: u64,
    pub(super) audit_n: u64,
    pub(super) audit_hash: String,
}

/// The state of the commit that is being put together.
pub(super) struct Batch {
    pub(super) options: StoreOptions,
    pub(super) counters: Counters,
    pub(super) deltas: HashMap<AgentName, Delta>,
    /// When the member that is being applied was begun.
    pub(super) now: Millis,
}

impl Batch {
    /// The state before the first commit.
    pub(super) fn load(connection: &Connection, options: StoreOptions) -> rusqlite::Result<Self> {
        Ok(Batch {
            options,
            counters: read_counters(connection)?,
            deltas: HashMap::new(),
            now: Millis::now(),
        })
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
}

fn read_counters(connection: &Connection) -> rusqlite::Result<Counters> {
    let value = |name: &str| {
        connection
            .query_row("SELECT value FROM counter WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .or_else(|e| match e {
                rusqlite::Error::QueryReturnedNoRows => Ok(0),
                other => Err(other),
            })
    };
    Ok(Counters {
        seq: value("seq")?,
        change: value("change")?,
        chunk: value("passage")?,
        audit_n: value("audit")?,
        audit_hash: audit::head_hash(connection)?,
    })
}
