//! What is carried: a note in memory for each copy, made when its XADD is *sent*. Pure.
//!
//! A note ends by the commit of an outcome or of a failure, by an XADD that failed or whose outcome is unknown, and by a round
//! that finds the copy lost.

use std::collections::HashMap;

use crate::event::{Seq, Subject};

/// One delivery that is carried.
#[derive(Debug)]
struct Note {
    /// Which note of this delivery it is.
    generation: u64,
    subject: Subject,
    /// The XADD's reply has come.
    replied: bool,
    /// Its copy was read since the round began.
    came: bool,
}

/// A note that a round judges: the delivery and which of its notes.
pub(super) type Noted = Vec<(Seq, u64)>;

/// All notes of one agent.
#[derive(Debug, Default)]
pub(super) struct Notes {
    notes: HashMap<Seq, Note>,
    subjects: HashMap<Subject, usize>,
    generations: u64,
}

impl Notes {
    pub(super) fn len(&self) -> usize {
        self.notes.len()
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.notes.contains_key(&seq)
    }

    /// How many of a subject are carried.
    pub(super) fn of_subject(&self, subject: &Subject) -> usize {
        self.subjects.get(subject).copied().unwrap_or(0)
    }

    /// The XADD is being sent. Gives the note's generation.
    pub(super) fn sent(&mut self, seq: Seq, subject: &Subject) -> u64 {
        self.end(seq);
        self.generations += 1;
        let note = Note {
            generation: self.generations,
            subject: subject.clone(),
            replied: false,
            came: false,
        };
        self.notes.insert(seq, note);
        *self.subjects.entry(subject.clone()).or_default() += 1;
        self.generations
    }

    /// The XADD's reply has come.
    pub(super) fn replied(&mut self, seq: Seq, generation: u64) {
        if let Some(note) = self.notes.get_mut(&seq) {
            note.replied |= note.generation == generation;
        }
    }

    /// A copy of this delivery was read.
    pub(super) fn came(&mut self, seq: Seq) {
        if let Some(note) = self.notes.get_mut(&seq) {
            note.came = true;
        }
    }

    /// The delivery is not carried any more. False: it was not.
    pub(super) fn end(&mut self, seq: Seq) -> bool {
        let Some(note) = self.notes.remove(&seq) else {
            return false;
        };
        if let Some(count) = self.subjects.get_mut(&note.subject) {
            *count -= 1;
            if *count == 0 {
                self.subjects.remove(&note.subject);
            }
        }
        true
    }

    /// The connection is gone, and with it the replies that had not come: these notes end. Gives their deliveries.
    pub(super) fn end_unreplied(&mut self) -> Vec<Seq> {
        let unknown = self.notes.iter().filter(|(_, note)| !note.replied);
        let unknown: Vec<Seq> = unknown.map(|(seq, _)| *seq).collect();
        for seq in &unknown {
            self.end(*seq);
        }
        unknown
    }

    /// Ends this very note, if it is still the delivery's.
    pub(super) fn end_generation(&mut self, seq: Seq, generation: u64) -> bool {
        let same = self
            .notes
            .get(&seq)
            .is_some_and(|note| note.generation == generation);
        same && self.end(seq)
    }

    /// A round begins: what is carried, has its XADD's reply and is not in hand.
    pub(super) fn begin_round(&mut self, in_hand: impl Fn(Seq) -> bool) -> Noted {
        let mut noted = Noted::new();
        for (seq, note) in &mut self.notes {
            note.came = false;
            if note.replied && !in_hand(*seq) {
                noted.push((*seq, note.generation));
            }
        }
        noted
    }

    /// A round ends: of what was noted, what never came and is still carried under the same note was lost. Their notes end.
    pub(super) fn judge(&mut self, noted: &Noted) -> Vec<Seq> {
        let mut lost = Vec::new();
        for (seq, generation) in noted {
            let gone = self
                .notes
                .get(seq)
                .is_some_and(|note| note.generation == *generation && !note.came);
            if gone {
                self.end(*seq);
                lost.push(*seq);
            }
        }
        lost.sort_unstable();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject::parse("docs/a").unwrap()
    }

    fn carried(notes: &mut Notes, seq: u64) -> u64 {
        let generation = notes.sent(Seq(seq), &subject());
        notes.replied(Seq(seq), generation);
        generation
    }

    #[test]
    fn what_was_noted_and_never_came_is_lost_and_what_came_is_not() {
        let mut notes = Notes::default();
        carried(&mut notes, 1);
        carried(&mut notes, 2);
        let noted = notes.begin_round(|_| false);
        notes.came(Seq(1));
        assert_eq!(notes.judge(&noted), [Seq(2)]);
        assert!(notes.contains(Seq(1)) && !notes.contains(Seq(2)));
    }

    #[test]
    fn a_copy_without_its_reply_or_in_hand_is_not_judged() {
        let mut notes = Notes::default();
        notes.sent(Seq(1), &subject());
        carried(&mut notes, 2);
        let noted = notes.begin_round(|seq| seq == Seq(2));
        assert!(notes.judge(&noted).is_empty());
    }

    #[test]
    fn a_younger_note_of_the_same_delivery_is_not_judged_by_an_older_round() {
        let mut notes = Notes::default();
        carried(&mut notes, 1);
        let noted = notes.begin_round(|_| false);
        notes.end(Seq(1));
        carried(&mut notes, 1);
        assert!(notes.judge(&noted).is_empty());
    }

    #[test]
    fn a_reply_of_an_older_note_says_nothing_of_a_younger_one() {
        let mut notes = Notes::default();
        let old = notes.sent(Seq(1), &subject());
        notes.sent(Seq(1), &subject());
        notes.replied(Seq(1), old);
        assert!(notes.begin_round(|_| false).is_empty());
        assert!(!notes.end_generation(Seq(1), old));
    }

    #[test]
    fn subjects_are_counted_until_their_notes_end() {
        let mut notes = Notes::default();
        notes.sent(Seq(1), &subject());
        notes.sent(Seq(2), &subject());
        assert_eq!((notes.of_subject(&subject()), notes.len()), (2, 2));
        notes.end(Seq(1));
        notes.end(Seq(2));
        assert_eq!(notes.of_subject(&subject()), 0);
    }
}
