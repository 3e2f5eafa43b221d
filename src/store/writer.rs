//! The writer: one thread, one connection, group commit without a timer.
//!
//! It takes what queued while the last commit was under way, bounded by rows and bytes, applies it, and makes it durable with one
//! fsync. If one transaction of the batch is refused, the batch is applied again, each transaction in a savepoint of its own. A full
//! disk or an I/O error rolls the whole batch back and is told to every member.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::ahead::{Ahead, Questions};
use super::batch::{Batch, Counters, Pruned};
use super::due::DueBy;
use super::error::unavailable;
use super::figures::fix_labels;
use super::keeper::Keeper;
use super::leases::{self, FlightRight, HeldTerms, HoldToken, lowest_position};
use super::ledger::{self, DeliveryKey, Failure, PublishedEvent, Settled};
use super::outcome::{self, Outcome, Settlement};
use super::postgres::BatchStart;
use super::readiness::Readiness;
use super::sql::{self, Connection};
use super::work::{Command, Done, Prune, Work};
use super::{
    StoreShared, WriteError, alerts, audit, captures, chunks, documents, health, manifest, operate,
    reports,
};
use crate::event::{EventType, Millis, NewEvent, Seq};
use crate::metrics::label;

/// The most transactions and bytes in one commit.
const BATCH_ROWS_MAX: usize = 512;
const BATCH_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How often the counts of all agents are read again while others write too.
const RECOUNT: Duration = Duration::from_secs(1);
/// So many times as long as a count takes, there is none.
const RECOUNT_REST: u32 = 20;

/// The writer's side of the store.
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) keeper: Keeper,
    pub(super) queue: mpsc::Receiver<Command>,
    pub(super) shared: Arc<StoreShared>,
    pub(super) batch: Batch,
    /// When the counts of all agents may be read from the store again, where others write into it too.
    pub(super) count_at: Instant,
    /// Others have written since.
    pub(super) uncounted: bool,
}

impl Writer {
    /// Tells the handles what the store holds.
    pub(super) fn announce(&self) {
        self.shared.set_head(&self.batch.counters);
        self.count_audited();
    }

    /// Works until every sender is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let mut bytes = first.weight();
            let mut commands = vec![first];
            while commands.len() < BATCH_ROWS_MAX && bytes < BATCH_BYTES_MAX {
                match self.queue.try_recv() {
                    Ok(next) => {
                        bytes += next.weight();
                        commands.push(next);
                    }
                    Err(_) => break,
                }
            }
            self.commit(commands);
        }
        if let Err(error) = self.keeper.end(&self.connection) {
            tracing::warn!(%error, "cannot write the write-ahead log back; the next start does it");
        }
    }

    /// Sees to it that a commit can begin on what the store holds now.
    fn ready(&mut self) -> Result<(), WriteError> {
        let mut ready = self.keeper.ready(&mut self.connection, &self.shared)?;
        if ready == Readiness::Reconnected && !self.has_what_was_seen()? {
            self.keeper.lose_commits();
            ready = self.keeper.ready(&mut self.connection, &self.shared)?;
        }
        if ready == Readiness::CommitsLost {
            tracing::error!(
                "the database has lost commits: it was restored, or failed over to a replica that was behind; docent goes on from what it has, and builds its index anew; check that no token that was revoked is back (`docent token list`)"
            );
            self.shared.begin_anew();
        }
        if ready != Readiness::Ready {
            // A database that lost a transfer gives out its number again.
            self.batch.held = HeldTerms::default();
            self.batch.follows_transfer = true;
            let counters = audit::counters(&self.connection).map_err(|e| unavailable(&e))?;
            let recounted = self.shared.recount(&self.connection);
            recounted.map_err(|e| unavailable(&e))?;
            self.batch.counters = counters;
            self.count_at = Instant::now() + RECOUNT;
            self.announce();
        }
        Ok(())
    }

    /// Whether the store still has what this host has seen in it, also of the commits of others, though others may have written
    /// since into one that went back.
    fn has_what_was_seen(&self) -> Result<bool, WriteError> {
        let seen = &self.batch.counters;
        let now = audit::counters(&self.connection).map_err(|e| unavailable(&e))?;
        let has_record = audit::has_record(&self.connection, seen.audit_n, &seen.audit_hash);
        Ok(now.batches >= seen.batches && has_record.map_err(|e| unavailable(&e))?)
    }

    /// One batch: all of it durable, or none of it. Members that break a rule are refused alone.
    fn commit(&mut self, commands: Vec<Command>) {
        let (began, members) = (Instant::now(), commands.len());
        let (works, replies): (Vec<Work>, Vec<_>) =
            commands.into_iter().map(|c| (c.work, c.reply)).unzip();
        let ready = self.ready();
        let (before, transfers) = (self.batch.counters.clone(), self.batch.held.transfers);
        match ready.and_then(|()| self.try_commit(&works)) {
            Ok(results) => {
                self.shared.set_unwritable(None);
                self.count(began, members);
                self.shared
                    .committed(&self.batch.counters, &self.batch.deltas);
                if self.batch.follows_transfer {
                    self.shared.look_from_the_beginning();
                } else if self.batch.follows_others {
                    self.shared.wake_all();
                }
                let durable = self.keeper.committed(&self.connection, &self.shared);
                for (reply, result) in replies.into_iter().zip(results) {
                    // A caller that no longer waits learns nothing; what was committed stands.
                    reply.send(durable.clone().and(result)).ok();
                }
            }
            Err(error) => {
                self.batch.counters = before;
                // What the batch learnt of leases is to be learnt, and told, again.
                self.batch.held.transfers = transfers;
                if let Err(error) = self.connection.undo("ROLLBACK") {
                    tracing::debug!(%error, "the transaction was rolled back already");
                }
                tracing::debug!(%error, members = replies.len(), "a commit was rolled back");
                if let WriteError::Unavailable(cause) = &error {
                    self.shared.set_unwritable(Some(cause));
                }
                for reply in replies {
                    reply.send(Err(error.clone())).ok();
                }
            }
        }
        self.batch.clear();
    }

    /// Counts a commit that is durable.
    fn count(&self, began: Instant, members: usize) {
        let figures = &self.shared.figures;
        figures
            .commit_seconds
            .observe(began.elapsed().as_secs_f64());
        figures.commits.inc();
        if self.batch.changes_files {
            figures.file_commits.inc();
        }
        figures.batch_size.observe(members as f64);
        figures.notifications_dropped.inc_by(self.batch.dropped);
        self.count_audited();
        for (kind, fix) in &self.batch.published {
            figures.published.get_or_create(&label("type", kind)).inc();
            if let Some(fix) = fix {
                let result = match kind {
                    EventType::FixApplied => "applied",
                    _ => "failed",
                };
                let labels = fix_labels(fix, result);
                figures.fixes.get_or_create(&labels).inc();
            }
        }
    }

    fn count_audited(&self) {
        let audited = self.shared.figures.audited.inner();
        audited.store(self.batch.counters.audit_n, Ordering::Relaxed);
    }

    fn try_commit(&mut self, works: &[Work]) -> Result<Vec<Result<Done, WriteError>>, WriteError> {
        #[cfg(all(test, feature = "testing"))]
        self.shared.gate.pass(super::gate::Point::Gathered)?;
        self.begin()?;
        let before = self.batch.counters.clone();
        let taken: Vec<bool> = works.iter().map(Work::take).collect();
        let members = || works.iter().zip(taken.iter().copied());
        if self.keeper.reads_ahead() {
            self.read_ahead(works)?;
        }
        let results = match self.members_together(members())? {
            Some(results) => results,
            None => self.members_alone(members())?,
        };
        #[cfg(all(test, feature = "testing"))]
        self.shared.gate.pass(super::gate::Point::Taken)?;
        if self.batch.counters != before {
            let written = self.batch.counters.write(&self.connection);
            written.map_err(|e| unavailable(&e))?;
        }
        let rewound = self
            .batch
            .deltas
            .values()
            .any(|delta| delta.rewind.is_some());
        if rewound && self.shared.leases().are_shared() {
            // The hosts that have passed it look again.
            leases::transferred(&self.connection).map_err(|e| unavailable(&e))?;
            self.batch.held.transfers += 1; // this host knows it already
        }
        let has_changes = works.iter().any(|work| !matches!(work, Work::Barrier));
        self.keeper.commit(&mut self.connection, has_changes)?;
        self.batch.counters.batches += u64::from(has_changes);
        Ok(results)
    }

    fn begin(&mut self) -> Result<(), WriteError> {
        let begun = self.keeper.begin(&self.connection, &self.batch.held);
        let Some(BatchStart { counters, held }) = begun.map_err(|e| unavailable(&e))? else {
            return Ok(());
        };
        // Batches are only ever added: a dump was restored while this session was open.
        if counters.batches < self.batch.counters.batches {
            self.keeper.lose_commits();
            return Err(WriteError::Unavailable(
                "the database went back to an earlier state; docent joins it again by itself"
                    .to_owned(),
            ));
        }
        let gained = held.is_some();
        if let Some(held) = held {
            // With the first batch nothing was passed yet.
            let is_first = self.batch.held.incarnation.is_empty();
            self.batch.held = held;
            self.batch.follows_transfer |= !is_first;
        }
        self.batch.follows_others |= counters != self.batch.counters;
        self.batch.counters = counters;
        // What others have settled and published counts too, and is not counted one by one.
        self.uncounted |= gained || self.batch.follows_others;
        if self.uncounted && (gained || Instant::now() >= self.count_at) {
            let began = Instant::now();
            let recounted = self.shared.recount(&self.connection);
            recounted.map_err(|e| unavailable(&e))?;
            // Others wait meanwhile: of a long backlog it takes long, and is done the less often.
            let took = began.elapsed();
            self.count_at = Instant::now() + RECOUNT.max(took * RECOUNT_REST);
            self.uncounted = false;
        }
        Ok(())
    }

    fn read_ahead(&mut self, works: &[Work]) -> Result<(), WriteError> {
        let mut questions = Questions::default();
        works.iter().for_each(|work| work.ask(&mut questions));
        let due = DueBy::new(Millis::now(), self.batch.options().retry.backoff_max);
        let me = &self.batch.held.incarnation;
        let ahead = Ahead::read(&self.connection, questions, me, due);
        self.batch.ahead = ahead.map_err(|e| unavailable(&e))?;
        Ok(())
    }

    /// All members of the batch without savepoints, which cost more than the members; `None`: one was refused, and a transaction
    /// has begun in which nothing is applied.
    fn members_together<'w>(
        &mut self,
        members: impl Iterator<Item = (&'w Work, bool)>,
    ) -> Result<Option<Vec<Result<Done, WriteError>>>, WriteError> {
        let counters = self.batch.counters.clone();
        let mut results = Vec::new();
        for (work, taken) in members {
            if !taken {
                results.push(Err(WriteError::Refused));
                continue;
            }
            match apply(&self.connection, work, &mut self.batch) {
                Ok(done) => results.push(Ok(done)),
                Err(WriteError::Unavailable(cause)) => return Err(WriteError::Unavailable(cause)),
                Err(_) => return self.begin_anew(counters),
            }
        }
        match self.connection.run_deferred().map_err(WriteError::from) {
            Ok(()) => Ok(Some(results)),
            Err(WriteError::Unavailable(cause)) => Err(WriteError::Unavailable(cause)),
            Err(_) => self.begin_anew(counters),
        }
    }

    /// Takes back what was applied of the batch, and begins its transaction again.
    fn begin_anew<T>(&mut self, counters: Counters) -> Result<Option<T>, WriteError> {
        let follows = (self.batch.follows_others, self.batch.follows_transfer);
        self.batch.clear();
        (self.batch.follows_others, self.batch.follows_transfer) = follows;
        self.batch.counters = counters;
        let undone = self.connection.undo("ROLLBACK");
        undone.map_err(|e| unavailable(&e))?;
        self.begin()?;
        Ok(None)
    }

    /// The members of the batch, each in a savepoint of its own.
    fn members_alone<'w>(
        &mut self,
        members: impl Iterator<Item = (&'w Work, bool)>,
    ) -> Result<Vec<Result<Done, WriteError>>, WriteError> {
        let mut results = Vec::new();
        for (work, taken) in members {
            let result = match taken {
                true => self.member(work),
                false => Err(WriteError::Refused),
            };
            if let Err(WriteError::Unavailable(cause)) = result {
                return Err(WriteError::Unavailable(cause));
            }
            results.push(result);
        }
        Ok(results)
    }

    fn member(&mut self, work: &Work) -> Result<Done, WriteError> {
        let counters = self.batch.counters.clone();
        let deltas = self.batch.deltas.clone();
        let published = self.batch.published.len();
        execute(&self.connection, "SAVEPOINT member")?;
        let result = apply(&self.connection, work, &mut self.batch).and_then(|done| {
            self.connection
                .run_deferred()
                .map(|()| done)
                .map_err(WriteError::from)
        });
        match &result {
            Ok(_) => execute(&self.connection, "RELEASE member")?,
            Err(WriteError::Unavailable(_)) => {}
            Err(_) => {
                self.batch.counters = counters;
                self.batch.deltas = deltas;
                self.batch.published.truncate(published);
                self.connection.undo("ROLLBACK TO member")?;
                execute(&self.connection, "RELEASE member")?;
            }
        }
        result
    }
}

/// A statement that is run for every member, so it is parsed once.
fn execute(connection: &Connection, statement: &'static str) -> sql::Result<()> {
    connection.prepare_cached(statement)?.execute([]).map(drop)
}

/// Carries one transaction out.
fn apply(connection: &Connection, work: &Work, batch: &mut Batch) -> Result<Done, WriteError> {
    let now = Millis::now();
    batch.now = now;
    match work {
        Work::Publish {
            effects,
            events,
            lease,
        } => {
            batch.check(lease.as_ref())?;
            for effect in effects {
                outcome::apply(connection, effect, batch, now)?;
            }
            let published = events
                .iter()
                .map(|event| ledger::publish(connection, event, batch, now))
                .collect::<Result<_, _>>()?;
            Ok(Done::Published(published))
        }
        Work::Settle {
            key,
            settlement,
            source,
            fence,
        } => {
            let hold = match fence.right() {
                FlightRight::Free => None,
                FlightRight::Slot(lease) => batch.check(Some(lease)).map(|()| None)?,
                FlightRight::Held(hold) => Some(hold),
            };
            let flight = SettledFlight { key, hold, source };
            settle(connection, &flight, settlement, batch).map(Done::Settled)
        }
        Work::Take {
            key,
            subject,
            incarnation,
        } => {
            let token = match batch.held.incarnation == *incarnation {
                true => ledger::take(connection, key, subject, incarnation, batch)?,
                false => None,
            };
            Ok(Done::Taken(token))
        }
        Work::Operate(operation) => {
            batch.ahead.forget();
            operate::apply(connection, operation, batch, now).map(Done::Operated)
        }
        Work::Prune(what) => {
            batch.ahead.forget();
            prune(connection, *what, batch, now).map(Done::Pruned)
        }
        Work::Barrier => Ok(Done::Passed),
    }
}

/// A flight that ends.
struct SettledFlight<'a> {
    key: &'a DeliveryKey,
    /// `None`: it was not taken.
    hold: Option<&'a HoldToken>,
    /// Who publishes its derived events.
    source: &'a str,
}

fn settle(
    connection: &Connection,
    flight: &SettledFlight<'_>,
    settlement: &Settlement,
    batch: &mut Batch,
) -> Result<Settled, WriteError> {
    let &SettledFlight { key, hold, .. } = flight;
    let now = batch.now;
    let (error, permanent) = match settlement {
        Settlement::Transient(error) => (error, false),
        Settlement::Permanent(error) => (error, true),
        Settlement::Done(outcome) => {
            ledger::done(connection, key, hold, batch, now)?;
            return apply_outcome(connection, flight, outcome, batch);
        }
    };
    let failure = Failure { error, permanent };
    ledger::fail(connection, key, hold, failure, batch)
}

/// What a flight that is done leaves behind.
fn apply_outcome(
    connection: &Connection,
    flight: &SettledFlight<'_>,
    outcome: &Outcome,
    batch: &mut Batch,
) -> Result<Settled, WriteError> {
    let now = batch.now;
    for effect in &outcome.effects {
        outcome::apply(connection, effect, batch, now)?;
    }
    for (ordinal, event) in outcome::derived(&outcome.events, flight.key, flight.source).enumerate()
    {
        publish_derived(connection, event, flight.key, ordinal, batch)?;
    }
    Ok(Settled::Done)
}

/// Publishes a derived event. Its id is known only where a delivery that was done is replayed: then this is another event.
fn publish_derived(
    connection: &Connection,
    mut event: NewEvent,
    key: &DeliveryKey,
    ordinal: usize,
    batch: &mut Batch,
) -> Result<(), WriteError> {
    let now = batch.now;
    for replay in 1_u64.. {
        match ledger::publish(connection, &event, batch, now) {
            Ok(PublishedEvent { fresh: true, .. }) => break,
            Ok(PublishedEvent { fresh: false, .. }) | Err(WriteError::Conflict(_)) => {
                event.id = outcome::derived_again_id(key, ordinal, replay);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many rows one slice of pruning reads: it shares its commit with work that somebody waits for.
const SLICE: usize = 500;

fn prune(
    connection: &Connection,
    what: Prune,
    batch: &mut Batch,
    now: Millis,
) -> Result<Pruned, WriteError> {
    let gone = match what {
        Prune::Ledger(from) => {
            let options = &batch.options;
            let before = now.minus(options.ledger_keep);
            let floor = Seq(batch
                .counters
                .seq
                .saturating_sub(options.ledger_keep_events));
            return ledger::prune(connection, from, before, floor, SLICE);
        }
        Prune::Chunks(position) => {
            let others = lowest_position(connection)?;
            let position = others.map_or(position, |lowest| lowest.min(position));
            chunks::prune(connection, position, SLICE)?
        }
        Prune::Content => captures::prune(connection, SLICE)?,
        Prune::Embeddings => chunks::prune_embeddings(connection, SLICE)?,
        Prune::Documents(before) => {
            documents::prune(connection, before, SLICE)?
                + health::prune(connection, before, SLICE)?
                + manifest::prune(connection, before)?
                + alerts::prune(connection, before)?
                + reports::prune(connection, before)?
        }
        Prune::Audit(before) => audit::prune(connection, before, batch, now)?,
    };
    Ok(Pruned { gone, next: None })
}
