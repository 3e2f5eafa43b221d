//! The direct carrier: owed, due deliveries in ledger order whose subject is free, straight from the ledger.
//!
//! It never scans what is owed: first attempts are looked for from a *cursor* upwards, ripe retries by their moment. The cursor
//! passes what is in the table, and what only waits for its own subject; that subject is remembered, and **whatever leaves the
//! table makes the carrier ask for that subject's next**. The subjects remembered are held by something in the table, so there
//! are never more of them than the table has room. The cursor goes back at a replay; a new runner begins with a new carrier.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Boxed, Carrier, CopyId, Offer, TableView};
use crate::event::{AgentName, Millis, Seq, Subject};
use crate::store::{AgentSignal, OwedRow, ReadError, Store};

/// Rows read at once, and how often in one call: a backlog of one busy subject is passed over in several calls.
const ROWS: usize = 256;
const READS_MAX: usize = 8;

/// How often it looks without having been told, and for retries from the first one on, whatever was passed: clocks jump.
const AFRESH: Duration = Duration::from_secs(5);

/// Retries that became ripe so short a time ago are never passed.
const RETRIES_OVERLAP: Duration = Duration::from_millis(100);

/// The embedded bus of one agent.
pub struct Direct {
    store: Store,
    agent: AgentName,
    backoff_max: Duration,
    signal: Arc<AgentSignal>,
    place: Place,
    /// Subjects of which something was passed because another of theirs was in hand.
    skipped: HashSet<Subject>,
    retry_at: Option<Millis>,
    afresh_at: Instant,
    /// There is more to look at, without waiting.
    more: bool,
    /// Somebody said that there may be something new since the last look.
    fresh: bool,
}

/// How far the carrier has looked.
#[derive(Clone, Default)]
struct Place {
    /// First attempts up to here are passed.
    cursor: Seq,
    /// Retries up to this moment and delivery are passed.
    ripe: (Millis, Seq),
    /// Subjects whose next is to be offered.
    asked: Vec<Subject>,
}

impl Direct {
    /// A carrier that has passed nothing yet.
    pub fn new(store: Store, agent: AgentName, backoff_max: Duration) -> Self {
        Direct {
            signal: store.signal(agent),
            store,
            agent,
            backoff_max,
            place: Place::default(),
            skipped: HashSet::new(),
            retry_at: None,
            afresh_at: Instant::now(),
            more: true,
            fresh: true,
        }
    }

    fn has_something(&self) -> bool {
        let retry = self.retry_at.is_some_and(|at| at <= Millis::now());
        self.more || self.fresh || retry || !self.place.asked.is_empty()
    }

    async fn gather(
        &mut self,
        table: &dyn TableView,
        room: usize,
    ) -> Result<Vec<Offer>, ReadError> {
        if let Some(seq) = self.signal.take_rewind() {
            self.place.cursor = self.place.cursor.min(Seq(seq.0.saturating_sub(1)));
        }
        let mut picked = Picked {
            room,
            ..Picked::default()
        };
        self.next_of_asked(table, &mut picked).await?;
        self.ripe_retries(table, &mut picked).await?;
        self.first_attempts(table, &mut picked).await?;
        Ok(picked.offers)
    }

    async fn next_of_asked(
        &mut self,
        table: &dyn TableView,
        picked: &mut Picked,
    ) -> Result<(), ReadError> {
        if self.place.asked.is_empty() {
            return Ok(());
        }
        let now = (Millis::now(), self.backoff_max);
        let asked = self.place.asked.clone();
        let rows = self.store.next_of_subjects(self.agent, asked, now).await?;
        self.place.asked.clear();
        for row in rows {
            if picked.full() {
                self.place.asked.push(row.subject);
            } else {
                // There may be more behind it: the subject is asked again when this one leaves, until nothing is found.
                self.skipped.insert(row.subject.clone());
                self.pick(row, table, picked);
            }
        }
        Ok(())
    }

    async fn ripe_retries(
        &mut self,
        table: &dyn TableView,
        picked: &mut Picked,
    ) -> Result<(), ReadError> {
        if self.afresh_at <= Instant::now() {
            self.place.ripe = (Millis(i64::MIN), Seq(0));
            self.afresh_at = Instant::now() + AFRESH;
        }
        if self.store.counts(self.agent).retrying == 0 {
            self.retry_at = None;
            return Ok(());
        }
        let now = Millis::now();
        let rows = self
            .store
            .ripe_retries(self.agent, self.place.ripe, (now, self.backoff_max), ROWS)
            .await?;
        for row in rows {
            if picked.full() {
                self.more = true;
                break;
            }
            // A failure that is being committed may be due at nearly the same moment, so the last ones are looked at again.
            if row.due_at < now.minus(RETRIES_OVERLAP) {
                self.place.ripe = (row.due_at, row.seq);
            }
            self.pick(row, table, picked);
        }
        self.retry_at = self.store.next_retry(self.agent, now).await?;
        Ok(())
    }

    async fn first_attempts(
        &mut self,
        table: &dyn TableView,
        picked: &mut Picked,
    ) -> Result<(), ReadError> {
        for _ in 0..READS_MAX {
            let rows = self
                .store
                .first_attempts(self.agent, self.place.cursor, ROWS)
                .await?;
            let last = rows.len() < ROWS;
            for row in rows {
                if picked.full() {
                    self.more = true;
                    return Ok(());
                }
                self.place.cursor = row.seq;
                self.pick(row, table, picked);
            }
            if last {
                return Ok(());
            }
        }
        self.more = true;
        Ok(())
    }

    /// Offers a delivery, unless it is in hand or waits for its subject.
    fn pick(&mut self, row: OwedRow, table: &dyn TableView, picked: &mut Picked) {
        if table.contains(row.seq) || picked.seqs.contains(&row.seq) {
            return;
        }
        if table.holds(&row.subject) || picked.subjects.contains(&row.subject) {
            self.skipped.insert(row.subject);
            return;
        }
        picked.seqs.insert(row.seq);
        picked.subjects.insert(row.subject.clone());
        picked.offers.push(Offer {
            seq: row.seq,
            subject: Some(row.subject),
            copy: None,
        });
    }
}

/// What one call has found so far.
#[derive(Default)]
struct Picked {
    offers: Vec<Offer>,
    seqs: HashSet<Seq>,
    subjects: HashSet<Subject>,
    room: usize,
}

impl Picked {
    fn full(&self) -> bool {
        self.offers.len() >= self.room
    }
}

impl Carrier for Direct {
    fn woken(&mut self) -> Boxed<'_, ()> {
        let until_retry = self.retry_at.map(|at| at.since(Millis::now()));
        Box::pin(async move {
            if self.has_something() {
                return;
            }
            match until_retry {
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
        })
    }

    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        room: usize,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        Box::pin(async move {
            // Now and then it looks without having been told, so that no slip could leave something owed for ever.
            self.fresh |= self.afresh_at <= Instant::now();
            if !self.has_something() {
                return Ok(Vec::new());
            }
            let before = self.place.clone();
            self.more = false;
            self.fresh = false;
            let offers = self.gather(table, room).await;
            if offers.is_err() {
                // What was picked is not handed over, so it must be found again.
                self.place = before;
                self.more = true;
            }
            offers
        })
    }

    fn left(&mut self, subject: &Subject) {
        // What left may have failed, and is due again sooner than anything that was seen.
        self.fresh |= self.store.counts(self.agent).retrying > 0;
        if self.skipped.remove(subject) {
            self.place.asked.push(subject.clone());
        }
    }

    fn acknowledge(&mut self, _copies: Vec<CopyId>) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}
