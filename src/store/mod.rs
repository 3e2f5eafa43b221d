//! The truth: one file, one writer. What is owed stands here, and all that docent knows.
//!
//! The verbs are those of the ledger: [`Store::publish`], [`Store::classify`] (an offer is answered by it), [`Store::settle`],
//! [`Store::operate`]; the rest reads. They are asynchronous and name no type of SQLite, so that another store can stand
//! behind them. SQL stands in this folder alone.
//!
//! - **ONCE-1** Only the store applies an outcome: effects, `owed → done` and the derived events are one transaction.
//! - A verb that writes returns when its commit is durable (`synchronous=FULL`); a batch shares one fsync.
//! - Readers never wait for the writer; no read transaction outlives its query.
//! - Every read gives a [`ReadError`] where the store cannot be read, every write a [`WriteError`] where nothing was written.

mod access;
mod ahead;
mod alerts;
mod audit;
mod batch;
mod captures;
mod chunks;
mod copy;
mod dead;
mod decode;
mod digest;
mod documents;
mod due;
mod error;
mod events;
mod fence;
mod figures;
#[cfg(all(test, feature = "testing"))]
pub(crate) mod gate;
mod health;
mod history;
mod hosts;
mod identity;
mod ingress;
mod jobs;
mod keeper;
mod leases;
mod ledger;
mod lineage;
mod listed;
mod lock;
mod manifest;
mod measured;
mod meta;
mod oldest;
mod open;
mod operate;
mod outcome;
mod outline;
mod owed;
mod past;
mod postgres;
mod readers;
mod readiness;
mod recorder;
mod reports;
mod restarts;
mod schema;
mod shared;
mod sql;
mod sqlite;
mod subjects;
mod suspects;
mod tokens;
mod work;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use access::denied;
pub(crate) use alerts::{AlertChange, AlertRow, AlertStage, Notification, Undelivered};
#[cfg(test)]
pub(crate) use audit::AuditBreak;
pub(crate) use audit::{AuditChain, AuditRecord};
pub(crate) use captures::{Capture, pack};
pub(crate) use chunks::NewestEvent;
pub(crate) use chunks::{ChunkRow, ChunkSet, ChunkSource, Feed, IndexedState};
pub(crate) use copy::{CopyError, CopySummary, StorePlace, copy};
pub(crate) use dead::DeadLetter;
pub(crate) use digest::Digest;
pub(crate) use documents::{DocumentRow, DocumentState, DocumentVersion};
pub(crate) use due::DueBy;
pub(crate) use error::{
    DatabaseError, FINISH_COPY, OpenError, ReadError, WriteError, follow_moved,
};
pub(crate) use events::{DeliveryView, EventFilter};
pub(crate) use fence::{Fence, Incarnation};
pub(crate) use health::{
    Detector, FileView, FixAttempt, Issue, IssueClosed, IssueOpened, Severity,
};
pub(crate) use history::AgentTimes;
pub use hosts::HostOptions;
pub(crate) use hosts::{INDEXED_BY, disagreement_with_others};
pub(crate) use identity::StoreIdentity;
pub(crate) use ingress::{INGRESS_POSITION, IngressDead, IngressDeadRow};
pub(crate) use jobs::{JobChange, JobPlanned, JobState};
pub(crate) use leases::{
    FlightRight, HoldToken, HoldUse, HostRow, LeaseName, LeaseTerm, Leases, SlotUse,
};
pub use ledger::RetryPolicy;
pub(crate) use ledger::{
    DATABASE_SUBJECT_MAX, DeliveryKey, DeliveryState, PublishedEvent, Settled,
};
pub(crate) use listed::{CollectionCounts, ListedDocument, ListedState, RejectionCount};
pub(crate) use manifest::{
    FileStat, FileState, KnownTree, ManifestEntry, ManifestRow, ScanRequest, ScanRow,
};
pub(crate) use measured::{MeasuredChanges, quantile};
pub(crate) use oldest::OwedView;
pub(crate) use operate::{Act, DROPPED, Operation};
#[cfg(test)]
pub(crate) use outcome::Derived;
pub use outcome::{Effect, Outcome};
pub(crate) use outcome::{Settlement, derived_id, effects_weight};
pub(crate) use outline::ChunkPlace;
pub(crate) use owed::{CarriedState, OfferClass, OwedRow, RetryCursor};
pub(crate) use past::{AuditSearch, EventSearch, PastEvent, PastRecord, PastRow, Span};
pub(crate) use postgres::DatabaseInspection;
pub use postgres::{Database, Trust};
pub(crate) use recorder::Crash;
pub use recorder::FlightRecorder;
pub(crate) use reports::ReportRow;
pub(crate) use restarts::{RESTART_EXPIRES, RestartAsked, RestartChange, RestartRow, RestartStage};
pub(crate) use shared::PUT_BACK;
pub(crate) use shared::{AgentCounts, AgentSignal, Head, HeldLog, Standing};
pub(crate) use sqlite::{Inspection, identity_in, inspect};
pub(crate) use suspects::Suspicion;
pub(crate) use tokens::{TokenRole, TokenRow};

use crate::event::{AgentName, Millis, NewEvent, Seq, Subject};
use batch::Pruned;
use readers::Readers;
use shared::StoreShared;
use work::{Command, Done, Prune, Work};

/// How the store works: bounds and retention.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Retries and their backoff.
    pub retry: RetryPolicy,
    /// The largest event, in bytes.
    pub event_size: usize,
    /// Events that are done are kept no longer than this,
    pub ledger_keep: Duration,
    /// and no more of them than this.
    pub ledger_keep_events: u64,
    /// Versions kept of a document.
    pub versions: u32,
    /// The agents that are on; the others get no deliveries.
    pub agents: Vec<AgentName>,
}

/// Transactions that wait for the writer, at most: a sender waits beyond.
const QUEUE: usize = 1024;

/// The handle to the store: cheap to clone. The store closes when every handle is gone and [`Closer::close`] was called.
#[derive(Clone)]
pub struct Store {
    queue: mpsc::Sender<Command>,
    readers: Arc<Readers>,
    shared: Arc<StoreShared>,
    path: Arc<PathBuf>,
}

/// A write that is under way: await it for its end. Dropping it does not take the write back.
pub struct Pending<T> {
    reply: oneshot::Receiver<Result<Done, WriteError>>,
    read: fn(Done) -> Option<T>,
}

impl<T> Pending<T> {
    /// Waits until the write is durable or refused.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing was written then.
    pub async fn committed(self) -> Result<T, WriteError> {
        let done = self.reply.await.map_err(|_| WriteError::Closed)??;
        (self.read)(done).ok_or(WriteError::Closed)
    }
}

impl Store {
    /// The store's id, its own from its first day on: what follows another store does not follow this one.
    pub fn id(&self) -> &str {
        self.shared.identity.id()
    }

    /// Which store this is.
    pub(crate) fn identity(&self) -> &StoreIdentity {
        &self.shared.identity
    }

    /// What this host may do of what all hosts of the store share.
    pub(crate) fn leases(&self) -> &Leases {
        self.shared.leases()
    }

    /// How the run before this one ended, if it did not come to its end.
    pub(crate) fn last_crash(&self) -> Option<&Crash> {
        self.shared.last_crash.as_ref()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn send<T>(
        &self,
        work: Work,
        read: fn(Done) -> Option<T>,
    ) -> Result<Pending<T>, WriteError> {
        let (reply, receiver) = oneshot::channel();
        self.queue
            .send(Command { work, reply })
            .await
            .map_err(|_| WriteError::Closed)?;
        Ok(Pending {
            reply: receiver,
            read,
        })
    }

    /// Publishes one event; returns when it is durable. An id that is there with the same content is a success.
    pub async fn publish(&self, event: NewEvent) -> Result<PublishedEvent, WriteError> {
        let published = self
            .submit(Vec::new(), vec![event])
            .await?
            .committed()
            .await?;
        published.into_iter().next().ok_or(WriteError::Closed)
    }

    /// Hands a source's transaction (effects and the events that go with them) to the writer and does not wait for its
    /// commit: the caller bounds what it has outstanding.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn submit(
        &self,
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
    ) -> Result<Pending<Vec<PublishedEvent>>, WriteError> {
        self.submit_under(None, effects, events).await
    }

    /// The same, and it is refused unless the lease that it was made under is still held.
    ///
    /// # Errors
    /// The store is closed.
    pub(crate) async fn submit_under(
        &self,
        lease: Option<LeaseTerm>,
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
    ) -> Result<Pending<Vec<PublishedEvent>>, WriteError> {
        let work = Work::Publish {
            effects,
            events,
            lease,
        };
        self.send(work, |done| match done {
            Done::Published(published) => Some(published),
            _ => None,
        })
        .await
    }

    /// Hands the end of a flight to the writer. `source` names the publisher of the derived events.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn settle(
        &self,
        key: DeliveryKey,
        fence: Fence,
        settlement: Settlement,
        source: &str,
    ) -> Result<Pending<Settled>, WriteError> {
        let work = Work::Settle {
            key,
            fence,
            settlement,
            source: source.to_owned(),
        };
        self.send(work, |done| match done {
            Done::Settled(settled) => Some(settled),
            _ => None,
        })
        .await
    }

    /// Takes a delivery for this host, before its handler starts. `None`: somebody else has it or something of its subject, or it is
    /// not owed or not due, or an older one of its subject was never attempted.
    ///
    /// # Errors
    /// The store is closed.
    pub(crate) async fn take(
        &self,
        key: DeliveryKey,
        subject: Subject,
        hold: &HoldUse,
    ) -> Result<Pending<Option<HoldToken>>, WriteError> {
        let work = Work::Take {
            key,
            subject,
            incarnation: hold.incarnation().clone(),
        };
        self.send(work, |done| match done {
            Done::Taken(token) => Some(token),
            _ => None,
        })
        .await
    }

    /// Carries out what an operator asks for, and records it. Gives how many deliveries it changed; with none nothing is
    /// recorded either.
    pub async fn operate(&self, operation: Operation) -> Result<usize, WriteError> {
        let work = Work::Operate(Box::new(operation));
        self.send(work, |done| match done {
            Done::Operated(count) => Some(count),
            _ => None,
        })
        .await?
        .committed()
        .await
    }

    /// Returns when all that was handed to the writer before is committed or refused.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn barrier(&self) -> Result<(), WriteError> {
        self.send(Work::Barrier, |done| match done {
            Done::Passed => Some(()),
            _ => None,
        })
        .await?
        .committed()
        .await
    }

    async fn prune(&self, what: Prune) -> Result<Pruned, WriteError> {
        self.send(Work::Prune(what), |done| match done {
            Done::Pruned(pruned) => Some(pruned),
            _ => None,
        })
        .await?
        .committed()
        .await
    }

    /// Removes one slice of the events from `from` upwards that are done and outside `ledger_keep`.
    /// Gives how many are gone, and where the next slice begins if there may be more.
    pub async fn prune_ledger(&self, from: Seq) -> Result<(usize, Option<Seq>), WriteError> {
        let Pruned { gone, next } = self.prune(Prune::Ledger(from)).await?;
        Ok((gone, next))
    }

    /// Removes one slice of the chunks that were replaced at or before `position`, which the index has passed.
    pub async fn prune_chunks(&self, position: u64) -> Result<usize, WriteError> {
        self.follows_to(position);
        Ok(self.prune(Prune::Chunks(position)).await?.gone)
    }

    /// Says that the index of this host has come to a change, and no search looks for what was replaced before.
    pub(crate) fn follows_to(&self, position: u64) {
        self.leases().set_position(position);
    }

    /// Removes bytes and embeddings that nothing names; removed documents, closed issues, reports, scans of collections that left
    /// the config, and audit records older than `retention`: of each, slice by slice, at most `slices`. Gives how many rows are gone.
    pub async fn prune_retained(
        &self,
        retention: Duration,
        slices: usize,
    ) -> Result<usize, WriteError> {
        let before = Millis::now().minus(retention);
        let kinds = [
            Prune::Documents(before),
            Prune::Audit(before),
            Prune::Content,
            Prune::Embeddings,
        ];
        let mut gone = 0;
        for kind in kinds {
            for _ in 0..slices {
                // Looking through all of them may take long, so the writer is asked only if there is something.
                if !self.has_unused(kind).await? {
                    break;
                }
                match self.prune(kind).await?.gone {
                    0 => break,
                    slice => gone += slice,
                }
            }
        }
        Ok(gone)
    }

    /// Whether there may be something of this kind to be removed.
    async fn has_unused(&self, kind: Prune) -> Result<bool, WriteError> {
        let unused = match kind {
            Prune::Content => captures::UNUSED_CONTENT,
            Prune::Embeddings => chunks::UNUSED_EMBEDDINGS,
            _ => return Ok(true),
        };
        let found = self.read("what nothing uses", move |connection| {
            let mut select = connection.prepare_cached(unused)?;
            Ok(select.query([1])?.next()?.is_some())
        });
        found
            .await
            .map_err(|error| WriteError::Unavailable(error.to_string()))
    }

    /// The newest event and the newest change of the index's feed, as they are committed.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.shared.head()
    }

    /// What is wrong with the store's files, as far as it is known.
    pub fn standing(&self) -> Standing {
        self.shared.standing()
    }

    /// What wakes an agent's runner.
    pub fn signal(&self, agent: AgentName) -> Arc<AgentSignal> {
        self.shared.signal(agent)
    }

    /// Where a test holds the writer.
    #[cfg(all(test, feature = "testing"))]
    pub(crate) fn gate(&self) -> &gate::Gate {
        &self.shared.gate
    }

    /// The size of the file and its log; `None`: not known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        let size = |path: &Path| std::fs::metadata(path).map(|found| found.len());
        let log = self.path.with_extension("db-wal");
        Some(size(&self.path).ok()? + size(&log).unwrap_or(0))
    }

    /// What is counted and measured since the start.
    pub(crate) fn figures(&self) -> &StoreFigures {
        &self.shared.figures
    }

    /// An agent's counts, as of the last commit.
    pub fn counts(&self, agent: AgentName) -> AgentCounts {
        self.shared.counts(agent)
    }

    /// When an attempt of the agent ended last, well or not; `None`: none since the start.
    pub(crate) fn ended_at(&self, agent: AgentName) -> Option<Millis> {
        self.shared.ended_at(agent)
    }

    /// Dead deliveries of each agent, in the order of the data flow.
    pub fn dead_of_each(&self) -> Vec<(AgentName, u64)> {
        let each = AgentName::ALL.iter();
        each.map(|agent| (*agent, self.counts(*agent).dead.unsigned_abs()))
            .collect()
    }
}

pub(crate) use figures::StoreFigures;
pub use open::Closer;

#[cfg(test)]
impl Store {
    /// As if it were found to have lost commits.
    pub(crate) fn lose_commits(&self) {
        self.shared.begin_anew();
    }
}

#[cfg(test)]
pub(crate) mod tests;
