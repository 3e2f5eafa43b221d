//! The inbox's reader: rounds, what they bring, and what they find lost.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inbox, Reply};
use crate::bus::redis::reply::{Entry, StreamId};
use crate::bus::redis::round::Next;
use crate::bus::{CopyId, Offer, TableView};
use crate::event::{AgentName, EventId, Seq, awake};
use crate::store::ReadError;

/// How often what other consumers hold is taken over, and for how long they must have held it.
const CLAIM_EVERY: Duration = Duration::from_secs(5);
const CLAIM_IDLE: Duration = Duration::from_secs(3);

impl Inbox {
    /// Entries that were read: what they carry is looked up by the event's id alone.
    pub(super) async fn take_entries(&mut self, entries: &[Entry]) -> Result<(), ReadError> {
        let ids: Vec<Option<EventId>> = entries
            .iter()
            .map(|entry| entry.text("id").and_then(|id| id.parse().ok()))
            .collect();
        let known: Vec<EventId> = ids.iter().flatten().copied().collect();
        let mut seqs = match known.is_empty() {
            true => Vec::new(),
            false => self.link.store().seqs_of(known).await?,
        }
        .into_iter();
        let mut unreadable = 0;
        for (entry, id) in entries.iter().zip(ids) {
            let seq = id.and_then(|_| seqs.next().flatten());
            match seq {
                Some(seq) => {
                    self.notes.came(seq);
                    self.ready.push_back((seq, entry.id));
                }
                // An event that everybody has handled long ago, or nothing that docent wrote.
                None => {
                    unreadable += usize::from(id.is_none());
                    self.acknowledged.push(entry.id.to_string());
                }
            }
        }
        if unreadable > 0 && !std::mem::replace(&mut self.said_unreadable, true) {
            tracing::warn!(agent = %self.agent, unreadable, "the inbox held entries that docent did not write; they are acknowledged and left alone");
        }
        Ok(())
    }

    /// Goes on with the round as far as it can.
    pub(super) fn advance(&mut self, table: &dyn TableView, room: usize) {
        let Some(session) = self.session() else {
            return;
        };
        loop {
            let now = Instant::now();
            let room = room.saturating_sub(self.ready.len());
            let (number, ready) = (self.number, &self.ready);
            let in_hand = |entry: StreamId| {
                table.has_copy(&copy(number, entry)) || ready.iter().any(|(_, id)| *id == entry)
            };
            let session = session.clone();
            match self.round.next(now, room, in_hand) {
                Next::Wait => return,
                Next::Begin => {
                    let ready: HashSet<Seq> = self.ready.iter().map(|(seq, _)| *seq).collect();
                    let in_hand = |seq| table.contains(seq) || ready.contains(&seq);
                    let noted = self.notes.begin_round(in_hand);
                    self.round.begun(noted);
                    self.start(async move { Reply::LastId(session.last_id().await) });
                }
                Next::Read => {
                    self.read_began = awake::now();
                    self.start(async move { Reply::Read(session.read_new(room).await) });
                }
                Next::AskPending(after) => {
                    self.start(async move { Reply::Pending(session.pending(after).await) });
                }
                Next::Fetch(ids) => self.start(async move {
                    let entries = session.fetch(&ids).await;
                    Reply::Fetched(ids, entries)
                }),
                Next::Judge(None) => {}
                Next::Judge(Some(noted)) => {
                    let lost = self.notes.judge(&noted);
                    for seq in &lost {
                        self.order.back_to(*seq);
                    }
                    if !lost.is_empty() {
                        let (link, agent, count) = (self.link.clone(), self.agent, lost.len());
                        self.telling.push(Box::pin(link.tell_lost(agent, count)));
                    }
                    self.trim();
                    self.claim(now);
                }
            }
        }
    }

    /// Takes over what a consumer of another name holds: a stranger in our group that read entries must not keep them.
    pub(super) fn claim(&mut self, now: Instant) {
        let Some(session) = self.session() else {
            return;
        };
        if now.duration_since(self.claimed_at) >= CLAIM_EVERY {
            self.claimed_at = now;
            self.start(async move { Reply::Claimed(session.claim(CLAIM_IDLE).await) });
        }
    }

    /// The journal keeps what other programs may want to read, up to its bounds.
    pub(super) fn trim(&mut self) {
        let Some(session) = self.session() else {
            return;
        };
        if self.agent != AgentName::LoggingAudit || self.trimming {
            return;
        }
        self.trimming = true;
        let (entries, bytes) = (
            self.settings().journal_entries,
            self.settings().journal_bytes,
        );
        self.start(async move { Reply::Trimmed(session.trim(entries, bytes).await) });
    }

    pub(super) fn hand_over(&mut self, room: usize) -> Vec<Offer> {
        let (number, count) = (self.number, room.min(self.ready.len()));
        let entries: Vec<(Seq, StreamId)> = self.ready.drain(..count).collect();
        let offer = |(seq, entry)| Offer {
            seq,
            subject: None,
            copy: Some(copy(number, entry)),
        };
        entries.into_iter().map(offer).collect()
    }
}

/// The name of an entry that came by session `number`.
fn copy(number: u64, entry: StreamId) -> CopyId {
    CopyId {
        session: number,
        entry: entry.to_string(),
    }
}
