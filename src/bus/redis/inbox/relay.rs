//! The inbox's relay: owed deliveries become entries, in ledger order, a window of them at a time.

use std::collections::{HashMap, HashSet};

use super::{Inbox, Reply};
use crate::bus::TableView;
use crate::bus::order::Judged;
use crate::bus::redis::client::RedisError;
use crate::bus::redis::outstanding::EntryKey;
use crate::bus::redis::reply::StreamId;
use crate::event::{Event, EventType, Seq, Subject};
use crate::store::{OwedRow, ReadError};

/// Deliveries relayed with one write.
const BATCH: usize = 256;

impl Inbox {
    pub(super) fn may_relay(&self) -> bool {
        self.session().is_some()
            && self.round.one_has_ended()
            && !self.adding
            && self.outstanding.len() < self.settings().window
    }

    /// Carries what is owed and due, and neither carried nor in hand, in ledger order.
    pub(super) async fn relay(&mut self, table: &dyn TableView) -> Result<(), ReadError> {
        let Some(session) = self.session() else {
            return Ok(());
        };
        if !self.may_relay() {
            return Ok(());
        }
        let window = self.settings().window;
        let per_subject = self.per_subject;
        let ready: HashSet<Seq> = self.ready.iter().map(|(seq, _)| *seq).collect();
        let mut picked: HashMap<Subject, usize> = HashMap::new();
        let mut seqs: HashSet<Seq> = HashSet::new();
        let outstanding = &self.outstanding;
        let mut judge = |row: &OwedRow| {
            let in_hand = table.contains(row.seq) || ready.contains(&row.seq);
            if in_hand || outstanding.contains(row.seq) || seqs.contains(&row.seq) {
                return Judged::InHand;
            }
            let of_subject = picked.entry(row.subject.clone()).or_default();
            if outstanding.of_subject(&row.subject) + *of_subject >= per_subject {
                return Judged::Waits;
            }
            *of_subject += 1;
            seqs.insert(row.seq);
            Judged::Take
        };
        let capacity = (window - outstanding.len()).min(BATCH);
        let rows = self.order.next(capacity, &mut judge).await?;
        let Some(first) = rows.iter().map(|row| row.seq).min() else {
            return Ok(());
        };
        let events = match self
            .link
            .store()
            .events_at(rows.iter().map(|row| row.seq).collect())
            .await
        {
            Ok(events) => events,
            Err(error) => {
                self.order.back_to(first);
                return Err(error);
            }
        };
        let known = |event: &Event| event.kind != EventType::Unknown;
        let events: Vec<Event> = events.into_iter().filter(known).collect();
        if events.is_empty() {
            return Ok(());
        }
        let sent: Vec<EntryKey> = events
            .iter()
            .map(|event| self.outstanding.sent(event.seq, &event.subject))
            .collect();
        self.adding = true;
        self.start(async move {
            let results = session.add(&events).await;
            Reply::Added(sent, results)
        });
        Ok(())
    }

    pub(super) fn take_added(
        &mut self,
        sent: &[EntryKey],
        results: Vec<Result<Option<StreamId>, RedisError>>,
    ) -> Result<(), RedisError> {
        self.adding = false;
        let mut added = Ok(());
        for (key, result) in sent.iter().zip(results) {
            match result {
                Ok(id) => self.outstanding.replied(*key, id),
                Err(error) => {
                    // Failed or unknown: it is carried again. A second copy does no harm.
                    if self.outstanding.end_entry(*key) {
                        self.order.back_to(key.seq);
                    }
                    added = Err(error);
                }
            }
        }
        if added.is_ok() {
            self.strikes = 0;
        }
        added
    }

    pub(super) fn show_dead(&mut self, seq: Seq) {
        let Some(session) = self.session() else {
            return;
        };
        let (store, agent) = (self.link.store().clone(), self.agent);
        self.start(async move {
            // For other programs only: the ledger is what counts.
            if let Ok(Some(letter)) = store.dead_letter(seq, agent).await {
                let fields = vec![
                    ("id".to_owned(), letter.event.to_string()),
                    ("type".to_owned(), letter.kind.to_string()),
                    ("subject".to_owned(), letter.subject.to_string()),
                    ("attempts".to_owned(), letter.attempts.to_string()),
                    ("errors".to_owned(), letter.errors.to_string()),
                    ("time".to_owned(), letter.at.to_string()),
                ];
                if let Err(error) = session.show_dead(fields).await {
                    tracing::debug!(%error, "cannot write a dead letter to Redis");
                }
            }
            Reply::Told
        });
    }
}
