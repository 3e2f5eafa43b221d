//! Which owed deliveries come next, in ledger order, without ever scanning what is owed.
//!
//! First attempts are looked for from a *cursor* upwards, ripe retries by their moment, and the two are merged. The cursor passes
//! what is in hand, and what only waits for its own subject; that subject is remembered, and **whatever leaves the table makes
//! the order ask for that subject's next**. It goes back to the lowest delivery that became offerable again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{AgentName, Millis, Seq, Subject};
use crate::store::{AgentSignal, DueBy, OwedRow, ReadError, RetryCursor, Store};

/// Rows read at once, and how often in one call: a backlog of one busy subject is passed over in several calls.
const ROWS: usize = 256;
const READS_MAX: usize = 8;

/// How often it looks without having been told, and for retries from the first one on, whatever was passed: clocks jump.
const AFRESH: Duration = Duration::from_secs(5);

/// How long nothing is looked at after the store could not be read.
const UNREADABLE: Duration = Duration::from_millis(500);

/// How soon it is asked whether another host has settled what it had taken.
const HELD: Duration = Duration::from_millis(200);

/// Retries that became ripe so short a time ago are never passed.
const RETRIES_OVERLAP: Duration = Duration::from_millis(100);

/// What a carrier says of a delivery that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    Take,
    /// It is in hand already: in the table, or carried.
    InHand,
    /// It waits for another one of its subject.
    Waits,
}

/// How far one agent's ledger has been looked at.
pub(super) struct LedgerOrder {
    store: Store,
    agent: AgentName,
    backoff_max: Duration,
    /// Deliveries of one subject that its carrier may have in hand at once.
    per_subject: usize,
    signal: Arc<AgentSignal>,
    position: LedgerCursor,
    /// First attempts behind the cursor that were read and not looked at yet. What became offerable among them since is told
    /// by [`LedgerOrder::back_to`] or a rewind, and what was settled since is answered so when it is offered.
    ahead: VecDeque<OwedRow>,
    /// Subjects of which something was passed because another of theirs was in hand.
    skipped: HashSet<Subject>,
    /// Subjects of which something was passed because another host has taken one of theirs. It settles that without a word.
    held: HashSet<Subject>,
    held_at: Instant,
    retry_at: Option<Millis>,
    afresh_at: Instant,
    /// The store could not be read: until when it is left alone.
    rests_until: Option<Instant>,
    /// There is more to look at, without waiting.
    more: bool,
    /// It was signalled that there may be something new since the last read.
    fresh: bool,
}

#[derive(Clone)]
struct LedgerCursor {
    /// First attempts up to here are passed.
    cursor: Seq,
    /// Retries up to here are passed.
    retries: RetryCursor,
    /// Subjects whose next is to be looked at.
    asked: Vec<Subject>,
}

impl Default for LedgerCursor {
    fn default() -> Self {
        LedgerCursor {
            cursor: Seq(0),
            retries: RetryCursor::START,
            asked: Vec::new(),
        }
    }
}

impl LedgerOrder {
    /// From the beginning, for a carrier that may have `per_subject` deliveries of one subject in hand at once.
    pub(super) fn new(
        store: Store,
        agent: AgentName,
        backoff_max: Duration,
        per_subject: usize,
    ) -> Self {
        LedgerOrder {
            signal: store.signal(agent),
            store,
            agent,
            backoff_max,
            per_subject,
            position: LedgerCursor::default(),
            ahead: VecDeque::new(),
            skipped: HashSet::new(),
            held: HashSet::new(),
            held_at: Instant::now(),
            retry_at: None,
            afresh_at: Instant::now(),
            rests_until: None,
            more: true,
            fresh: true,
        }
    }

    /// Whether looking may find something now.
    pub(super) fn has_something(&self) -> bool {
        if self.rests_until.is_some_and(|until| until > Instant::now()) {
            return false;
        }
        let retry = self.retry_at.is_some_and(|at| at <= Millis::now());
        // Retries are looked for now and then without having been told.
        let afresh = self.afresh_at <= Instant::now();
        let held = !self.held.is_empty() && self.held_at <= Instant::now();
        self.more || self.fresh || retry || afresh || held || !self.position.asked.is_empty()
    }

    /// Waits until looking may find something. May be dropped at any moment.
    pub(super) async fn woken(&mut self) {
        if let Some(until) = self.rests_until {
            tokio::time::sleep_until(until).await;
        }
        if self.has_something() {
            return;
        }
        let retry = self.retry_at.map(|at| at.since(Millis::now()));
        let held = (!self.held.is_empty()).then(|| self.held_at - Instant::now());
        let wait = retry.into_iter().chain(held).min();
        match wait {
            None => self.signal.woken().await,
            Some(wait) => {
                // A moment too early would find nothing and ask again at once.
                let wait = tokio::time::sleep(wait + Duration::from_millis(2));
                tokio::select! {
                    () = self.signal.woken() => {}
                    () = wait => {}
                }
            }
        }
        self.fresh = true;
    }

    /// Up to `capacity` deliveries that come next and that `judge` takes.
    ///
    /// # Errors
    /// The store cannot be read; nothing was passed over.
    pub(super) async fn next(
        &mut self,
        capacity: usize,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) -> Result<Vec<OwedRow>, ReadError> {
        if capacity == 0 || !self.has_something() {
            return Ok(Vec::new());
        }
        self.rests_until = None;
        if self.held_at <= Instant::now() {
            self.position.asked.extend(self.held.drain());
        }
        // With what was held: it is asked for again after an error.
        let before = self.position.clone();
        self.more = false;
        self.fresh = false;
        let mut picked = Picked {
            rows: Vec::new(),
            capacity,
        };
        match self.gather(&mut picked, judge).await {
            Ok(()) => Ok(picked.rows),
            Err(error) => {
                // What was picked is not handed over, so it must be found again; a rewind that was taken stays.
                let cursor = self.position.cursor.min(before.cursor);
                self.position = LedgerCursor { cursor, ..before };
                self.ahead.clear();
                self.more = true;
                self.rests_until = Some(Instant::now() + UNREADABLE);
                Err(error)
            }
        }
    }

    /// A delivery of this subject has left the table: what waited for it is looked at again.
    pub(super) fn left(&mut self, subject: &Subject) {
        // What left may have failed, and is due again sooner than anything that was seen.
        self.fresh |= self.store.counts(self.agent).retrying > 0;
        if self.skipped.remove(subject) {
            self.position.asked.push(subject.clone());
        }
    }

    /// This delivery became offerable again without having left the table.
    pub(super) fn back_to(&mut self, seq: Seq) {
        self.cursor_back_to(seq);
        self.position.retries = RetryCursor::START;
        self.more = true;
    }

    /// What was read ahead may lack it, so that is read again.
    fn cursor_back_to(&mut self, seq: Seq) {
        self.position.cursor = self.position.cursor.min(Seq(seq.0.saturating_sub(1)));
        self.ahead.clear();
    }

    async fn gather(
        &mut self,
        picked: &mut Picked,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) -> Result<(), ReadError> {
        if let Some(seq) = self.signal.take_rewind() {
            self.cursor_back_to(seq);
        }
        self.next_of_asked(picked, judge).await?;
        self.ripe_retries(picked, judge).await?;
        self.first_attempts(picked, judge).await
    }

    async fn next_of_asked(
        &mut self,
        picked: &mut Picked,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) -> Result<(), ReadError> {
        if self.position.asked.is_empty() {
            return Ok(());
        }
        let due = DueBy::new(Millis::now(), self.backoff_max);
        let asked = self.position.asked.clone();
        // One of them has left, so the one that may follow is among so many.
        let rows = self
            .store
            .next_of_subjects(self.agent, asked, self.per_subject, due)
            .await?;
        self.position.asked.clear();
        for row in rows {
            if picked.full() {
                if self.position.asked.last() != Some(&row.subject) {
                    self.position.asked.push(row.subject);
                }
            } else {
                // There may be more behind it: its subject is asked again when this one leaves, until nothing is found.
                self.skipped.insert(row.subject.clone());
                self.pick(row, picked, judge);
            }
        }
        Ok(())
    }

    async fn ripe_retries(
        &mut self,
        picked: &mut Picked,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) -> Result<(), ReadError> {
        if self.afresh_at <= Instant::now() {
            self.position.retries = RetryCursor::START;
            self.afresh_at = Instant::now() + AFRESH;
        }
        if self.store.counts(self.agent).retrying == 0 {
            self.retry_at = None;
            return Ok(());
        }
        let now = Millis::now();
        let due = DueBy::new(now, self.backoff_max);
        let rows = self
            .store
            .ripe_retries(self.agent, self.position.retries, due, ROWS)
            .await?;
        let (is_page, before) = (rows.len() == ROWS, self.position.retries);
        for row in rows {
            if picked.full() {
                self.more = true;
                break;
            }
            // A failure that is being committed may be due at nearly the same moment, so the last ones are looked at again.
            if row.due_at < now.minus(RETRIES_OVERLAP) {
                self.position.retries = RetryCursor {
                    due_at: row.due_at,
                    seq: row.seq,
                };
            }
            self.pick(row, picked, judge);
        }
        // There may be more behind a page of which nothing was picked.
        self.more |= is_page && self.position.retries != before;
        self.retry_at = self.store.next_retry(self.agent, now).await?;
        Ok(())
    }

    async fn first_attempts(
        &mut self,
        picked: &mut Picked,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) -> Result<(), ReadError> {
        self.take_ahead(picked, judge);
        for _ in 0..READS_MAX {
            if picked.full() {
                self.more = true;
                return Ok(());
            }
            let rows = self
                .store
                .first_attempts(self.agent, self.position.cursor, ROWS)
                .await?;
            let last = rows.len() < ROWS;
            self.ahead = rows.into();
            self.take_ahead(picked, judge);
            if last && self.ahead.is_empty() {
                return Ok(());
            }
        }
        self.more = true;
        Ok(())
    }

    /// Goes on with what was read ahead, while there is capacity.
    fn take_ahead(
        &mut self,
        picked: &mut Picked,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) {
        while !picked.full()
            && let Some(row) = self.ahead.pop_front()
        {
            self.position.cursor = row.seq;
            self.pick(row, picked, judge);
        }
    }

    fn pick(
        &mut self,
        row: OwedRow,
        picked: &mut Picked,
        judge: &mut (dyn FnMut(&OwedRow) -> Judged + Send),
    ) {
        // What another host handles is not remembered: when its slot comes here, all is looked at from the beginning.
        if !self.store.leases().has_slot_of(&row.subject) {
            return;
        }
        match judge(&row) {
            // What is in hand may be settled and owed again by the time that it leaves: its subject is looked at again then.
            Judged::InHand | Judged::Waits => {
                self.skipped.insert(row.subject);
            }
            Judged::Take if row.is_held => {
                if self.held.is_empty() {
                    self.held_at = Instant::now() + HELD;
                }
                self.held.insert(row.subject);
            }
            Judged::Take => picked.rows.push(row),
        }
    }
}

/// What one call has found so far.
struct Picked {
    rows: Vec<OwedRow>,
    capacity: usize,
}

impl Picked {
    fn full(&self) -> bool {
        self.rows.len() >= self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Ledger, subject};
    use super::*;

    #[tokio::test]
    async fn what_another_host_had_taken_is_not_forgotten_when_the_store_cannot_be_read() {
        let mut ledger = Ledger::open();
        let seq = ledger.publish("a").await;
        let backoff = Duration::from_millis(4);
        let mut order = LedgerOrder::new(ledger.store.clone(), AgentName::Test, backoff, 1);
        // It was passed because another host had taken it.
        let mut held = |_: &OwedRow| Judged::InHand;
        assert!(order.next(9, &mut held).await.unwrap().is_empty());
        order.skipped.clear();
        order.held.insert(subject("a"));
        order.held_at = Instant::now();

        let mut take = |_: &OwedRow| Judged::Take;
        ledger.break_it(true);
        order.next(9, &mut take).await.unwrap_err();
        ledger.break_it(false);
        tokio::time::sleep_until(order.rests_until.unwrap()).await;
        let found = order.next(9, &mut take).await.unwrap();
        assert_eq!(found.iter().map(|row| row.seq).collect::<Vec<_>>(), [seq]);
    }
}
