//! A carrier that offers exactly what a test says, and writes down what it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, watch};

use crate::bus::{Boxed, Carrier, CopyId, Demand, Left, Offer, TableView};
use crate::event::{Seq, Subject};
use crate::store::ReadError;

/// What the runner told its carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// This delivery has left, so.
    Left(Seq, Left),
    /// These copies are answered.
    Acknowledged(Vec<String>),
}

/// What the test and its carriers share.
#[derive(Default)]
pub(super) struct Script {
    state: Mutex<State>,
    wake: Notify,
    /// How many batches had been taken when the runner last began to wait: these are answered.
    answered: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    batches: VecDeque<Vec<Offer>>,
    written: u64,
    taken: u64,
    told: Vec<Told>,
    fails: bool,
    failed: u64,
}

/// The name of a copy.
fn copy(entry: &str) -> CopyId {
    CopyId {
        session: 1,
        entry: entry.to_owned(),
    }
}

impl Script {
    /// Offers these deliveries in one batch, each by the copy of this name.
    pub(super) fn write(&self, batch: &[(Seq, &str)]) -> u64 {
        let offer = |(seq, entry): &(Seq, &str)| Offer {
            seq: *seq,
            subject: None,
            copy: Some(copy(entry)),
        };
        let mut state = self.state.lock().unwrap();
        state.batches.push_back(batch.iter().map(offer).collect());
        state.written += 1;
        let number = state.written;
        drop(state);
        self.wake.notify_one();
        number
    }

    /// From now on reading what is owed fails, or does not any more.
    pub(super) fn fails(&self, fails: bool) {
        self.state.lock().unwrap().fails = fails;
        self.wake.notify_one();
    }

    /// How often a read has failed.
    pub(super) fn failed(&self) -> u64 {
        self.state.lock().unwrap().failed
    }

    /// How many batches the runner has taken.
    pub(super) fn taken(&self) -> u64 {
        self.state.lock().unwrap().taken
    }

    /// How many batches are answered, to watch.
    pub(super) fn answered(&self) -> watch::Receiver<u64> {
        self.answered.subscribe()
    }

    /// What the runner has told.
    pub(super) fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap().told.clone()
    }
}

/// One carrier of a script; the next run's reads on in the same script.
pub(super) struct Scripted(pub(super) Arc<Script>);

impl Carrier for Scripted {
    fn woken(&mut self, demand: Demand) -> Boxed<'_, ()> {
        Box::pin(async move {
            let ready = {
                let state = self.0.state.lock().unwrap();
                self.0.answered.send_replace(state.taken);
                let next = state.batches.front();
                next.is_some_and(|batch| batch.len() <= demand.capacity)
            };
            if !ready {
                self.0.wake.notified().await;
            }
        })
    }

    fn offer<'a>(
        &'a mut self,
        _table: &'a dyn TableView,
        demand: Demand,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>> {
        let mut state = self.0.state.lock().unwrap();
        let fits = |batch: &Vec<Offer>| batch.len() <= demand.capacity;
        let result = if state.fails {
            state.failed += 1;
            Err(ReadError {
                what: "what is owed",
                cause: "the test says so".to_owned(),
                is_away: false,
            })
        } else if state.batches.front().is_some_and(fits) {
            state.taken += 1;
            Ok(state.batches.pop_front().unwrap_or_default())
        } else {
            Ok(Vec::new())
        };
        Box::pin(async move { result })
    }

    fn left(&mut self, seq: Seq, _subject: Option<&Subject>, how: Left) {
        self.0.state.lock().unwrap().told.push(Told::Left(seq, how));
    }

    fn acknowledge(&mut self, copies: Vec<CopyId>) {
        if !copies.is_empty() {
            let names = copies.into_iter().map(|copy| copy.entry).collect();
            let mut state = self.0.state.lock().unwrap();
            state.told.push(Told::Acknowledged(names));
        }
    }

    fn close(&mut self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }
}
