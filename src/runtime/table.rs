//! What a runner has in hand: the deliveries that are running, submitted or queued. No clock, no I/O: it can be tried exhaustively.
//!
//! *Running* holds a permit; *submitted* was handed to the writer and holds none; *queued* waits. Where hosts take deliveries from
//! each other, *taken* is being taken, or was and waits for a permit. *In flight* is taken, running or submitted. What is in flight
//! or paused holds its subject. Unsettled flights are bounded besides the permits, in number and in bytes.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::bus::{CopyId, TableView};
use crate::event::{Seq, Subject};

/// The bounds of a table.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableLimits {
    /// Deliveries that run at once.
    pub(super) permits: usize,
    /// Running and submitted ones.
    pub(super) unsettled: usize,
    /// Bytes of submitted outcomes beyond which nothing is started.
    pub(super) unsettled_bytes: usize,
    /// Deliveries in the table beyond which nothing is asked for.
    pub(super) capacity: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EntryState {
    Taken,
    Running,
    Submitted {
        bytes: usize,
    },
    Queued,
    /// Queued, and it holds its subject: what its handler works with was not there.
    Paused,
}

impl EntryState {
    fn holds_subject(self) -> bool {
        self != EntryState::Queued
    }
}

#[derive(Debug)]
struct TableEntry {
    subject: Subject,
    state: EntryState,
    copies: Vec<CopyId>,
    /// Nothing else may be in flight while it is handled.
    is_suspect: bool,
}

/// The table of one runner, which owns it alone.
#[derive(Debug)]
pub(super) struct DeliveryTable {
    limits: TableLimits,
    entries: BTreeMap<Seq, TableEntry>,
    holders: HashMap<Subject, Seq>,
    /// The copies of all entries.
    copies: HashSet<CopyId>,
    taken: usize,
    running: usize,
    submitted: usize,
    bytes: usize,
}

impl DeliveryTable {
    pub(super) fn new(limits: TableLimits) -> Self {
        DeliveryTable {
            limits,
            entries: BTreeMap::new(),
            holders: HashMap::new(),
            copies: HashSet::new(),
            taken: 0,
            running: 0,
            submitted: 0,
            bytes: 0,
        }
    }

    /// How many more may begin: permits, and so many `ahead` of them that are taken without, and places for unsettled flights.
    pub(super) fn free(&self, ahead: usize) -> usize {
        if self.bytes >= self.limits.unsettled_bytes {
            return 0;
        }
        let places = self.limits.unsettled.saturating_sub(self.in_flight());
        let begun = self.running + self.taken;
        (self.limits.permits + ahead)
            .saturating_sub(begun)
            .min(places)
    }

    /// Whether one that is taken may run.
    pub(super) fn has_permit(&self) -> bool {
        self.running < self.limits.permits
    }

    pub(super) fn permits(&self) -> usize {
        self.limits.permits
    }

    /// How many more it has capacity for.
    pub(super) fn capacity(&self) -> usize {
        self.limits.capacity.saturating_sub(self.entries.len())
    }

    pub(super) fn in_flight(&self) -> usize {
        self.taken + self.running + self.submitted
    }

    pub(super) fn queued(&self) -> usize {
        self.entries.len() - self.in_flight()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a copy to a delivery that is in hand already; false if it is not.
    pub(super) fn add_copy(&mut self, seq: Seq, copy: Option<CopyId>) -> bool {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return false;
        };
        self.copies.extend(copy.clone());
        entry.copies.extend(copy);
        true
    }

    /// Whether it has a delivery under another subject than this one.
    pub(super) fn has_under_another(&self, seq: Seq, subject: &Subject) -> bool {
        let entry = self.entries.get(&seq);
        entry.is_some_and(|entry| entry.subject != *subject)
    }

    /// Takes a delivery in without starting it; one that is in hand stays as it is.
    pub(super) fn queue(&mut self, seq: Seq, subject: &Subject, copy: Option<CopyId>) {
        let entry = self.entries.entry(seq).or_insert_with(|| TableEntry {
            subject: subject.clone(),
            state: EntryState::Queued,
            copies: Vec::new(),
            is_suspect: false,
        });
        self.copies.extend(copy.clone());
        entry.copies.extend(copy);
    }

    /// Queues a delivery that is to be handled alone.
    pub(super) fn queue_suspect(&mut self, seq: Seq, subject: &Subject) {
        self.queue(seq, subject, None);
        if let Some(entry) = self.entries.get_mut(&seq) {
            entry.is_suspect = true;
        }
    }

    /// The oldest delivery that is to be handled alone, and whose subject is free.
    pub(super) fn next_suspect(&self) -> Option<Seq> {
        let mut entries = self.entries.iter();
        let waits = |entry: &TableEntry| {
            entry.is_suspect
                && entry.state == EntryState::Queued
                && !self.holders.contains_key(&entry.subject)
        };
        entries.find(|(_, entry)| waits(entry)).map(|(seq, _)| *seq)
    }

    /// Begins to take a delivery, queued or new: it takes its subject, which must be free, and no permit yet.
    pub(super) fn take(&mut self, seq: Seq, subject: &Subject) {
        self.queue(seq, subject, None);
        self.set(seq, EntryState::Taken);
    }

    /// Starts a delivery, queued or new: it takes a permit and its subject, which must be free, or its own already.
    pub(super) fn start(&mut self, seq: Seq, subject: &Subject) {
        self.queue(seq, subject, None);
        self.set(seq, EntryState::Running);
    }

    /// Its outcome or failure was handed to the writer: the permit is free, the subject is not.
    pub(super) fn submit(&mut self, seq: Seq, bytes: usize) {
        self.set(seq, EntryState::Submitted { bytes });
    }

    /// It goes back to queued and holds its subject.
    pub(super) fn pause(&mut self, seq: Seq) {
        self.set(seq, EntryState::Paused);
    }

    /// The pause is over: what was paused is answered again, before anything else of its subject.
    pub(super) fn resume(&mut self) -> usize {
        let paused: Vec<Seq> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.state == EntryState::Paused)
            .map(|(seq, _)| *seq)
            .collect();
        for seq in &paused {
            self.set(*seq, EntryState::Queued);
        }
        paused.len()
    }

    /// Leaves the table; gives its subject and its copies.
    pub(super) fn leave(&mut self, seq: Seq) -> Option<(Subject, Vec<CopyId>)> {
        self.set(seq, EntryState::Queued);
        let entry = self.entries.remove(&seq)?;
        for copy in &entry.copies {
            self.copies.remove(copy);
        }
        Some((entry.subject, entry.copies))
    }

    /// The queued deliveries that may be answered again: of each free subject the oldest, oldest first, at most `most`.
    pub(super) fn answerable(&self, most: usize) -> Vec<Seq> {
        let mut subjects = std::collections::HashSet::new();
        self.entries
            .iter()
            .filter(|(_, entry)| {
                entry.state == EntryState::Queued && !self.holders.contains_key(&entry.subject)
            })
            .filter(|(_, entry)| subjects.insert(&entry.subject))
            .map(|(seq, _)| *seq)
            .take(most)
            .collect()
    }

    /// Gives back all that is queued, for a drain.
    pub(super) fn give_back(&mut self) -> Vec<CopyId> {
        let queued: Vec<Seq> = self
            .entries
            .iter()
            .filter(|(_, entry)| matches!(entry.state, EntryState::Queued | EntryState::Paused))
            .map(|(seq, _)| *seq)
            .collect();
        queued
            .into_iter()
            .filter_map(|seq| self.leave(seq))
            .flat_map(|(_, copies)| copies)
            .collect()
    }

    /// The subjects that are in flight, for a list of stragglers.
    pub(super) fn flying(&self) -> Vec<String> {
        self.entries
            .values()
            .filter(|e| !matches!(e.state, EntryState::Queued | EntryState::Paused))
            .map(|e| e.subject.to_string())
            .collect()
    }

    fn set(&mut self, seq: Seq, state: EntryState) {
        let Some(entry) = self.entries.get_mut(&seq) else {
            return;
        };
        match entry.state {
            EntryState::Taken => self.taken -= 1,
            EntryState::Running => self.running -= 1,
            EntryState::Submitted { bytes } => {
                self.submitted -= 1;
                self.bytes -= bytes;
            }
            EntryState::Queued | EntryState::Paused => {}
        }
        match state {
            EntryState::Taken => self.taken += 1,
            EntryState::Running => self.running += 1,
            EntryState::Submitted { bytes } => {
                self.submitted += 1;
                self.bytes += bytes;
            }
            EntryState::Queued | EntryState::Paused => {}
        }
        if state.holds_subject() {
            self.holders.insert(entry.subject.clone(), seq);
        } else if self.holders.get(&entry.subject) == Some(&seq) {
            self.holders.remove(&entry.subject);
        }
        entry.state = state;
    }
}

impl TableView for DeliveryTable {
    fn contains(&self, seq: Seq) -> bool {
        self.entries.contains_key(&seq)
    }

    fn holds(&self, subject: &Subject) -> bool {
        self.holders.contains_key(subject)
    }

    fn has_copy(&self, copy: &CopyId) -> bool {
        self.copies.contains(copy)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: TableLimits = TableLimits {
        permits: 2,
        unsettled: 3,
        unsettled_bytes: 100,
        capacity: 6,
    };

    fn subject(name: &str) -> Subject {
        Subject::parse(name).unwrap()
    }

    #[test]
    fn a_permit_comes_back_at_submit_and_the_subject_only_when_it_leaves() {
        let mut table = DeliveryTable::new(LIMITS);
        let a = subject("a");
        table.start(Seq(1), &a);
        assert_eq!(table.free(0), 1);
        table.submit(Seq(1), 10);
        assert_eq!(table.free(0), 2);
        assert!(table.holds(&a));
        table.queue(Seq(2), &a, None);
        assert!(table.answerable(9).is_empty());
        assert_eq!(table.leave(Seq(1)), Some((a, vec![])));
        assert_eq!(table.answerable(9), [Seq(2)]);
    }

    #[test]
    fn unsettled_flights_are_bounded_in_number_and_bytes() {
        let mut table = DeliveryTable::new(LIMITS);
        for n in 0..3 {
            table.start(Seq(n), &subject(&n.to_string()));
            table.submit(Seq(n), 10);
        }
        assert_eq!(table.free(0), 0);
        let mut table = DeliveryTable::new(LIMITS);
        table.start(Seq(1), &subject("a"));
        table.submit(Seq(1), 100);
        assert_eq!(table.free(0), 0);
    }

    #[test]
    fn what_is_paused_holds_its_subject_and_is_answered_first() {
        let mut table = DeliveryTable::new(LIMITS);
        let a = subject("a");
        table.start(Seq(1), &a);
        table.queue(Seq(2), &a, None);
        table.pause(Seq(1));
        assert!(table.holds(&a) && table.answerable(9).is_empty());
        assert_eq!(table.resume(), 1);
        assert_eq!(table.answerable(9), [Seq(1)]);
    }

    #[test]
    fn a_suspect_waits_for_its_subject_and_for_its_pause() {
        let mut table = DeliveryTable::new(LIMITS);
        let a = subject("a");
        table.queue(Seq(1), &a, None);
        table.queue(Seq(3), &subject("b"), None);
        assert_eq!(table.next_suspect(), None);
        table.queue_suspect(Seq(2), &a);
        table.queue_suspect(Seq(4), &subject("c"));
        assert_eq!(table.next_suspect(), Some(Seq(2)));
        table.start(Seq(1), &a);
        assert_eq!(table.next_suspect(), Some(Seq(4)));
        table.start(Seq(4), &subject("c"));
        table.pause(Seq(4));
        assert_eq!(table.next_suspect(), None);
        table.resume();
        assert_eq!(table.next_suspect(), Some(Seq(4)));
    }

    #[test]
    fn a_copy_is_added_to_what_is_in_hand_and_given_when_it_leaves() {
        let mut table = DeliveryTable::new(LIMITS);
        let copy = |n: &str| {
            Some(CopyId {
                session: 1,
                entry: n.to_owned(),
            })
        };
        assert!(!table.add_copy(Seq(1), copy("1-0")));
        table.queue(Seq(1), &subject("a"), copy("1-0"));
        assert!(table.add_copy(Seq(1), copy("2-0")));
        table.start(Seq(1), &subject("a"));
        let (_, copies) = table.leave(Seq(1)).unwrap();
        assert_eq!(copies.len(), 2);
    }

    #[test]
    fn what_is_taken_ahead_waits_for_a_permit_and_holds_its_subject() {
        let mut table = DeliveryTable::new(LIMITS);
        let subjects = ["a", "b", "c"].map(subject);
        for (n, subject) in (0..).zip(&subjects[..2]) {
            table.take(Seq(n), subject);
            table.start(Seq(n), subject);
        }
        assert_eq!((table.free(0), table.free(1)), (0, 1));
        table.take(Seq(2), &subjects[2]);
        assert_eq!((table.free(1), table.in_flight()), (0, 3));
        assert!(table.holds(&subjects[2]) && !table.has_permit());
        table.submit(Seq(0), 1);
        assert!(table.has_permit());
        assert_eq!(table.free(9), 0, "there is no place for another one");
        table.start(Seq(2), &subjects[2]);
        assert!(!table.has_permit());
    }

    proptest! {
        /// Whatever is done to it, the counts are those of the entries, and a subject is held by one delivery.
        #[test]
        fn the_counts_are_those_of_the_entries(steps in proptest::collection::vec((0u8..7, 0u64..8, 0u8..3), 1..80)) {
            let mut table = DeliveryTable::new(LIMITS);
            for (step, seq, name) in steps {
                let seq = Seq(seq);
                let name = table.entries.get(&seq).map_or_else(|| subject(&name.to_string()), |e| e.subject.clone());
                match step {
                    0 => table.queue(seq, &name, None),
                    1 if table.free(0) > 0 && !table.holds(&name) => table.start(seq, &name),
                    2 if table.entries.get(&seq).is_some_and(|e| e.state == EntryState::Running) => table.submit(seq, 7),
                    3 if table.entries.get(&seq).is_some_and(|e| e.state != EntryState::Queued) => table.pause(seq),
                    4 => { table.leave(seq); }
                    5 => { table.resume(); }
                    6 if table.free(1) > 0 && !table.holds(&name) => table.take(seq, &name),
                    _ => {}
                }
                let count = |wanted: fn(&EntryState) -> bool| table.entries.values().filter(|e| wanted(&e.state)).count();
                prop_assert_eq!(table.running, count(|s| *s == EntryState::Running));
                prop_assert_eq!(table.taken, count(|s| *s == EntryState::Taken));
                prop_assert_eq!(table.submitted, count(|s| matches!(s, EntryState::Submitted { .. })));
                prop_assert_eq!(table.bytes, 7 * table.submitted);
                prop_assert!(table.running <= LIMITS.permits && table.in_flight() <= LIMITS.unsettled);
                for (subject, seq) in &table.holders {
                    prop_assert!(table.entries[seq].state.holds_subject() && table.entries[seq].subject == *subject);
                }
                let holding = count(|s| s.holds_subject());
                prop_assert_eq!(holding, table.holders.len());
            }
        }
    }
}
