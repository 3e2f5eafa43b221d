//! The inbox's reader: rounds, what they bring, and what they find lost.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inbox, Reply};
use crate::bus::redis::reply::{StreamEntry, StreamId};
use crate::bus::redis::round::Next;
use crate::bus::{CopyId, Offer, TableView};
use crate::event::{AgentName, EventId, Millis, Seq, awake};
use crate::store::{CarriedState, DueBy, ReadError};

/// How often what other consumers hold is taken over, and for how long they must have held it.
const CLAIM_EVERY: Duration = Duration::from_secs(5);
const CLAIM_IDLE: Duration = Duration::from_secs(3);

/// How often what is outstanding is compared with the ledger, where other hosts may have settled it.
const COMPARE_EVERY: Duration = Duration::from_millis(25);

impl Inbox {
    /// Looks up what the entries carry that were read.
    pub(super) async fn look_up_read(&mut self) -> Result<(), ReadError> {
        while let Some(read) = self.read.pop_front() {
            if let Err(error) = self.take_entries(&read.entries).await {
                self.read.push_front(read);
                return Err(error);
            }
            let ids = read.entries.iter().map(|entry| entry.id);
            match read.asked {
                None => {
                    self.keeper.works();
                    self.round.read(ids.max());
                }
                Some(asked) => {
                    // What is pending and was deleted carries nothing any more.
                    let there: HashSet<StreamId> = ids.collect();
                    let gone = asked.iter().filter(|id| !there.contains(id));
                    self.acknowledged.extend(gone.map(ToString::to_string));
                    self.round.fetched();
                }
            }
        }
        Ok(())
    }

    /// Takes entries: what each carries is looked up by the event's id alone.
    async fn take_entries(&mut self, entries: &[StreamEntry]) -> Result<(), ReadError> {
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
                    self.outstanding.came(seq);
                    self.ready.push_back((seq, entry.id));
                }
                // An event that everybody has handled long ago, or nothing that docent wrote.
                None => {
                    unreadable += usize::from(id.is_none());
                    self.acknowledged.push(entry.id.to_string());
                }
            }
        }
        if unreadable > 0 && self.unreadable.is_new(true) {
            tracing::warn!(agent = %self.agent, unreadable, "the inbox held entries that docent did not write; they are acknowledged and ignored");
        }
        Ok(())
    }

    /// Goes on with the round as far as it can.
    pub(super) fn advance(&mut self, table: &dyn TableView, capacity: usize) {
        let Some(session) = self.session() else {
            return;
        };
        loop {
            let now = Instant::now();
            let capacity = capacity.saturating_sub(self.ready.len());
            let (number, ready) = (self.number, &self.ready);
            let in_hand = |entry: StreamId| {
                table.has_copy(&copy(number, entry)) || ready.iter().any(|(_, id)| *id == entry)
            };
            let session = session.clone();
            match self.round.next(now, capacity, in_hand) {
                Next::Wait => return,
                Next::Begin => {
                    let ready: HashSet<Seq> = self.ready.iter().map(|(seq, _)| *seq).collect();
                    let in_hand = |seq| table.contains(seq) || ready.contains(&seq);
                    let listed = self.outstanding.list(in_hand);
                    self.round.begun(listed);
                    self.start(async move { Reply::LastId(session.last_id().await) });
                }
                Next::Read => {
                    self.read_began = awake::now();
                    self.start(async move { Reply::Read(session.read_new(capacity).await) });
                }
                Next::AskPending(after) => {
                    self.start(async move { Reply::Pending(session.pending(after).await) });
                }
                Next::Fetch(ids) => self.start(async move {
                    let entries = session.fetch(&ids).await;
                    Reply::Fetched(ids, entries)
                }),
                Next::Judge(None) => {}
                Next::Judge(Some(listed)) if self.is_shared => {
                    // Others may have read it: the whole group is asked.
                    let unseen = self.outstanding.unseen(&listed);
                    if !unseen.is_empty() {
                        self.start(async move { Reply::Absent(session.absent(unseen).await) });
                    }
                    self.trim();
                    self.claim(now);
                }
                Next::Judge(Some(listed)) => {
                    let lost = self.outstanding.judge(&listed);
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
        if now.duration_since(self.claimed_at) < CLAIM_EVERY {
            return;
        }
        self.claimed_at = now;
        if !self.is_shared {
            return self.start(async move { Reply::Claimed(session.claim(CLAIM_IDLE).await) });
        }
        let store = self.link.store().clone();
        self.start(async move {
            Reply::Claimed(match store.hosts().await {
                Ok(hosts) => {
                    let hosts: Vec<String> = hosts.into_iter().map(|host| host.instance).collect();
                    session.claim_from_gone(&hosts).await
                }
                // Who is there is not known at the moment.
                Err(_) => Ok(()),
            })
        });
    }

    /// When outstanding entries are compared with the ledger next.
    pub(super) fn next_comparison(&self) -> Instant {
        self.compared_at + COMPARE_EVERY
    }

    /// Ends the entries of what other hosts have settled, so that the next of its subject is carried. What Redis has nowhere, and is
    /// owed, and nobody has taken, is carried again: its copy was refused, or lost.
    pub(super) async fn compare_with_ledger(
        &mut self,
        table: &dyn TableView,
    ) -> Result<(), ReadError> {
        let is_due = self.next_comparison() <= Instant::now() || !self.absent.is_empty();
        if !self.is_shared || !is_due || self.outstanding.len() == 0 {
            return Ok(());
        }
        self.compared_at = Instant::now();
        let mut carried = self.outstanding.all();
        carried.retain(|(seq, _)| !table.contains(*seq));
        let seqs = carried.iter().map(|(seq, _)| *seq).collect();
        let due = DueBy::new(Millis::now(), self.settings().backoff_max);
        let states = self.link.store().carried(self.agent, seqs, due).await?;
        for (seq, subject) in carried {
            if states.get(&seq) == Some(&CarriedState::Ended) && self.outstanding.end(seq) {
                self.order.left(&subject);
            }
        }
        for key in std::mem::take(&mut self.absent) {
            let is_free = states.get(&key.seq) == Some(&CarriedState::Free);
            if is_free && self.outstanding.end_entry(key) {
                self.order.back_to(key.seq);
            }
        }
        Ok(())
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

    pub(super) fn hand_over(&mut self, capacity: usize) -> Vec<Offer> {
        let (number, count) = (self.number, capacity.min(self.ready.len()));
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
