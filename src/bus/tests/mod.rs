//! Carriers over a real store, driven by hand, with a table that holds what the test puts into it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod embedded;

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::{CopyId, TableView};
use crate::event::{AgentName, EventId, EventType, NewEvent, Seq, Subject};
use crate::store::tests::{options, settle_key};
use crate::store::{
    Closer, DeliveryKey, Outcome, RetryPolicy, Settled, Settlement, Store, StoreOptions,
};

/// What a runner has in hand, as the test says.
#[derive(Default)]
pub(super) struct Table {
    entries: HashMap<Seq, (Subject, Vec<CopyId>)>,
}

impl Table {
    /// Takes a delivery in, in flight.
    pub(super) fn take(&mut self, seq: Seq, subject: &Subject, copy: Option<CopyId>) {
        let entry = self.entries.entry(seq);
        let (_, copies) = entry.or_insert_with(|| (subject.clone(), Vec::new()));
        copies.extend(copy);
    }

    /// It leaves with its copies.
    pub(super) fn leave(&mut self, seq: Seq) -> Vec<CopyId> {
        let left = self.entries.remove(&seq);
        left.map(|(_, copies)| copies).unwrap_or_default()
    }
}

impl TableView for Table {
    fn contains(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    fn holds(&self, subject: &Subject) -> bool {
        self.entries.values().any(|(held, _)| held == subject)
    }

    fn has_copy(&self, copy: &CopyId) -> bool {
        let mut copies = self.entries.values().flat_map(|(_, copies)| copies);
        copies.any(|known| known == copy)
    }
}

/// A store with events of one agent.
pub(crate) struct Ledger {
    pub(crate) store: Store,
    keys: HashMap<Seq, (DeliveryKey, Subject)>,
    _closer: Closer,
    _dir: tempfile::TempDir,
}

pub(super) fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

impl Ledger {
    pub(super) fn open() -> Self {
        Self::with_backoff(Duration::from_millis(1), Duration::from_millis(4))
    }

    /// What fails is tried again twice, after so long.
    pub(crate) fn with_backoff(backoff_min: Duration, backoff_max: Duration) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            retry: RetryPolicy {
                max_retries: 2,
                backoff_min,
                backoff_max,
            },
            agents: vec![AgentName::Test],
            ..options()
        };
        let (store, closer) = Store::open(dir.path(), options).unwrap();
        Ledger {
            store,
            keys: HashMap::new(),
            _closer: closer,
            _dir: dir,
        }
    }

    /// Another program takes a table away, or brings it back.
    pub(super) fn break_it(&self, broken: bool) {
        let names = ["delivery", "away"];
        let [from, to] = if broken { names } else { [names[1], names[0]] };
        let other = rusqlite::Connection::open(self.store.path()).unwrap();
        let rename = format!("PRAGMA legacy_alter_table = ON; ALTER TABLE {from} RENAME TO {to}");
        other.execute_batch(&rename).unwrap();
    }

    /// Publishes an event of this subject.
    pub(crate) async fn publish(&mut self, name: &str) -> Seq {
        let event = NewEvent::root(EventType::TestWork, "test", subject(name), json!({}));
        let published = self.store.publish(event).await.unwrap();
        let key = DeliveryKey {
            seq: published.seq,
            agent: AgentName::Test,
            event: published.id,
            correlation: published.id,
        };
        self.keys.insert(published.seq, (key, subject(name)));
        published.seq
    }

    pub(crate) fn key(&self, seq: Seq) -> DeliveryKey {
        self.keys[&seq].0
    }

    pub(super) fn id(&self, seq: Seq) -> EventId {
        self.key(seq).event
    }

    /// What it is about.
    pub(super) fn subject(&self, seq: Seq) -> &Subject {
        &self.keys[&seq].1
    }

    /// Commits the end of a flight of it.
    pub(crate) async fn settle(&self, seq: Seq, settlement: Settlement) -> Settled {
        let settled = settle_key(&self.store, self.key(seq), settlement);
        settled.await.unwrap()
    }

    /// Commits a good end.
    pub(crate) async fn done(&self, seq: Seq) {
        let done = Settlement::Done(Outcome::nothing());
        self.settle(seq, done).await;
    }
}
