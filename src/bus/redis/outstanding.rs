//! The outstanding entries of one agent: copies that were *sent* to Redis and that are not known to be settled or lost. No I/O.
//!
//! An entry ends with the commit of an outcome or a failure, with an XADD that failed or whose outcome is unknown, and with a
//! round that finds the copy lost.

use std::collections::HashMap;

use super::reply::StreamId;
use crate::event::{Seq, Subject};

/// One outstanding entry of a delivery, told apart from earlier and later ones of the same delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryKey {
    pub(super) seq: Seq,
    generation: u64,
}

#[derive(Debug)]
struct OutstandingEntry {
    generation: u64,
    subject: Subject,
    /// The reply to its XADD has come.
    replied: bool,
    /// What Redis calls it, by that reply.
    entry: Option<StreamId>,
    /// Its copy was read since the round began.
    came: bool,
}

/// All outstanding entries of one agent, by delivery.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    entries: HashMap<Seq, OutstandingEntry>,
    subjects: HashMap<Subject, usize>,
    generations: u64,
}

impl Outstanding {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    /// How many entries of a subject are outstanding.
    pub(super) fn of_subject(&self, subject: &Subject) -> usize {
        self.subjects.get(subject).copied().unwrap_or(0)
    }

    /// Makes the entry of an XADD that is about to be sent.
    pub(super) fn sent(&mut self, seq: Seq, subject: &Subject) -> EntryKey {
        self.end(seq);
        self.generations += 1;
        let generation = self.generations;
        let entry = OutstandingEntry {
            generation,
            subject: subject.clone(),
            replied: false,
            entry: None,
            came: false,
        };
        self.entries.insert(seq, entry);
        *self.subjects.entry(subject.clone()).or_default() += 1;
        EntryKey { seq, generation }
    }

    /// The reply to its XADD has come.
    pub(super) fn replied(&mut self, key: EntryKey, id: Option<StreamId>) {
        let entry = self.entries.get_mut(&key.seq);
        if let Some(entry) = entry.filter(|entry| entry.generation == key.generation) {
            entry.replied = true;
            entry.entry = id;
        }
    }

    /// All deliveries that have an entry, with their subjects.
    pub(super) fn all(&self) -> Vec<(Seq, Subject)> {
        let entries = self.entries.iter();
        entries
            .map(|(seq, entry)| (*seq, entry.subject.clone()))
            .collect()
    }

    /// What Redis calls those of these entries that are still outstanding and did not come here.
    pub(super) fn unseen(&self, listed: &[EntryKey]) -> Vec<(EntryKey, StreamId)> {
        let unseen = |key: &EntryKey| {
            let entry = self.entries.get(&key.seq)?;
            let is_unseen = entry.generation == key.generation && !entry.came;
            Some((*key, entry.entry.filter(|_| is_unseen)?))
        };
        listed.iter().filter_map(unseen).collect()
    }

    /// A copy of this delivery was read.
    pub(super) fn came(&mut self, seq: Seq) {
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.came = true;
        }
    }

    /// Ends the delivery's entry. False: it had none.
    pub(super) fn end(&mut self, seq: Seq) -> bool {
        let Some(entry) = self.entries.remove(&seq) else {
            return false;
        };
        if let Some(count) = self.subjects.get_mut(&entry.subject) {
            *count -= 1;
            if *count == 0 {
                self.subjects.remove(&entry.subject);
            }
        }
        true
    }

    /// Ends the entries whose reply had not come when the connection was lost. Gives their deliveries.
    pub(super) fn end_unreplied(&mut self) -> Vec<Seq> {
        let unknown = self.entries.iter().filter(|(_, entry)| !entry.replied);
        let unknown: Vec<Seq> = unknown.map(|(seq, _)| *seq).collect();
        for seq in &unknown {
            self.end(*seq);
        }
        unknown
    }

    /// Ends this very entry, unless a later one has taken its place.
    pub(super) fn end_entry(&mut self, key: EntryKey) -> bool {
        self.is_present(key, |_| true) && self.end(key.seq)
    }

    /// Begins a round: lists the entries that have their XADD's reply and are not in hand.
    pub(super) fn list(&mut self, in_hand: impl Fn(Seq) -> bool) -> Vec<EntryKey> {
        let mut listed = Vec::new();
        for (seq, entry) in &mut self.entries {
            entry.came = false;
            if entry.replied && !in_hand(*seq) {
                listed.push(EntryKey {
                    seq: *seq,
                    generation: entry.generation,
                });
            }
        }
        listed
    }

    /// Ends a round: a listed entry that is still outstanding and whose copy never came was lost, and ends. Gives the
    /// deliveries of those, in ledger order.
    pub(super) fn judge(&mut self, listed: &[EntryKey]) -> Vec<Seq> {
        let mut lost = Vec::new();
        for key in listed {
            if self.is_present(*key, |entry| !entry.came) {
                self.end(key.seq);
                lost.push(key.seq);
            }
        }
        lost.sort_unstable();
        lost
    }

    fn is_present(&self, key: EntryKey, and: impl Fn(&OutstandingEntry) -> bool) -> bool {
        let entry = self.entries.get(&key.seq);
        entry.is_some_and(|entry| entry.generation == key.generation && and(entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject::parse("docs/a").unwrap()
    }

    fn carried(outstanding: &mut Outstanding, seq: u64) {
        let key = outstanding.sent(Seq(seq), &subject());
        outstanding.replied(key, None);
    }

    #[test]
    fn what_was_listed_and_never_came_is_lost_and_what_came_is_not() {
        let mut outstanding = Outstanding::default();
        carried(&mut outstanding, 1);
        carried(&mut outstanding, 2);
        let listed = outstanding.list(|_| false);
        outstanding.came(Seq(1));
        assert_eq!(outstanding.judge(&listed), [Seq(2)]);
        assert!(outstanding.contains(Seq(1)) && !outstanding.contains(Seq(2)));
    }

    #[test]
    fn a_copy_without_its_reply_or_in_hand_is_not_judged() {
        let mut outstanding = Outstanding::default();
        outstanding.sent(Seq(1), &subject());
        carried(&mut outstanding, 2);
        let listed = outstanding.list(|seq| seq == Seq(2));
        assert!(outstanding.judge(&listed).is_empty());
    }

    #[test]
    fn a_younger_entry_of_the_same_delivery_is_not_judged_by_an_older_round() {
        let mut outstanding = Outstanding::default();
        carried(&mut outstanding, 1);
        let listed = outstanding.list(|_| false);
        outstanding.end(Seq(1));
        carried(&mut outstanding, 1);
        assert!(outstanding.judge(&listed).is_empty());
    }

    #[test]
    fn a_reply_of_an_older_entry_says_nothing_of_a_younger_one() {
        let mut outstanding = Outstanding::default();
        let old = outstanding.sent(Seq(1), &subject());
        outstanding.sent(Seq(1), &subject());
        outstanding.replied(old, None);
        assert!(outstanding.list(|_| false).is_empty());
        assert!(!outstanding.end_entry(old));
    }

    #[test]
    fn subjects_are_counted_until_their_entries_end() {
        let mut outstanding = Outstanding::default();
        outstanding.sent(Seq(1), &subject());
        outstanding.sent(Seq(2), &subject());
        let counts = (outstanding.of_subject(&subject()), outstanding.len());
        assert_eq!(counts, (2, 2));
        outstanding.end(Seq(1));
        outstanding.end(Seq(2));
        assert_eq!(outstanding.of_subject(&subject()), 0);
    }
}
