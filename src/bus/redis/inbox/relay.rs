//! The inbox's relay: owed deliveries become entries, in ledger order, a window of them at a time.

use std::collections::{HashMap, HashSet};

use super::{Connected, Inbox, Reply};
use crate::bus::TableView;
use crate::bus::order::Judged;
use crate::bus::redis::client::Trouble;
use crate::event::{Seq, Subject};
use crate::store::{OwedRow, ReadError};

/// Deliveries relayed with one write.
const BATCH: usize = 256;

impl Inbox {
    pub(super) fn may_relay(&self) -> bool {
        matches!(self.connected, Connected::Yes(_))
            && self.round.one_has_ended()
            && !self.adding
            && self.notes.len() < self.settings().window
    }

    /// Carries what is owed and due, and neither carried nor in hand, in ledger order.
    pub(super) async fn relay(&mut self, table: &dyn TableView) -> Result<(), ReadError> {
        let Some(session) = self.session() else {
            return Ok(());
        };
        if !self.may_relay() {
            return Ok(());
        }
        let (window, per_subject) = (self.settings().window, self.settings().window_per_subject);
        let ready: HashSet<Seq> = self.ready.iter().map(|(seq, _)| *seq).collect();
        let mut picked: HashMap<Subject, usize> = HashMap::new();
        let mut seqs: HashSet<Seq> = HashSet::new();
        let notes = &self.notes;
        let mut judge = |row: &OwedRow| {
            let in_hand = table.contains(row.seq) || ready.contains(&row.seq);
            if in_hand || notes.contains(row.seq) || seqs.contains(&row.seq) {
                return Judged::InHand;
            }
            let of_subject = picked.entry(row.subject.clone()).or_default();
            if notes.of_subject(&row.subject) + *of_subject >= per_subject {
                return Judged::Waits;
            }
            *of_subject += 1;
            seqs.insert(row.seq);
            Judged::Take
        };
        let room = (window - notes.len()).min(BATCH);
        let rows = self.order.next(room, &mut judge).await?;
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
        let sent: Vec<(Seq, u64)> = events
            .iter()
            .map(|event| (event.seq, self.notes.sent(event.seq, &event.subject)))
            .collect();
        self.adding = true;
        self.start(async move {
            let results = session.add(&events).await;
            Reply::Added(sent, results)
        });
        Ok(())
    }

    pub(super) fn take_added(&mut self, sent: &[(Seq, u64)], results: Vec<Result<(), Trouble>>) {
        self.adding = false;
        let mut failed = None;
        for ((seq, generation), result) in sent.iter().zip(results) {
            match result {
                Ok(()) => self.notes.replied(*seq, *generation),
                Err(trouble) => {
                    // Failed or unknown: it is carried again. A second copy does no harm.
                    if self.notes.end_generation(*seq, *generation) {
                        self.order.back_to(*seq);
                    }
                    failed = Some(trouble);
                }
            }
        }
        match failed {
            None => self.strikes = 0,
            Some(trouble) => self.fail(trouble),
        }
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
                    tracing::debug!(%error, "a dead letter was not shown on Redis");
                }
            }
            Reply::Told
        });
    }
}
