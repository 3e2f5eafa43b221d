//! Which chunks contain a quoted part of a query.

use std::io;

use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::{DocSet, TERMINATED, Term};

use super::analyse::LOOKAHEAD;
use super::chunks::Address;
use super::phrase::Phrase;
use super::segments::{Segment, Segments, each_block};

/// The chunks that contain a quoted part, deleted ones among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Containing {
    by_place: Vec<Vec<bool>>,
}

impl Containing {
    pub(super) fn has(&self, address: Address) -> bool {
        self.by_place[address.segment as usize][address.doc as usize]
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> {
        (0..).zip(&self.by_place).flat_map(|(segment, has)| {
            (0..)
                .zip(has)
                .filter(|(_, has)| **has)
                .map(move |(doc, _)| Address { segment, doc })
        })
    }

    /// Leaves out the chunk at `address`.
    pub(super) fn remove(&mut self, address: Address) {
        self.by_place[address.segment as usize][address.doc as usize] = false;
    }

    /// The chunks that contain all of `parts`; `None` if there are none of these.
    pub(super) fn all<'a>(mut parts: impl Iterator<Item = &'a Self>) -> Option<Self> {
        let mut all = parts.next()?.clone();
        for part in parts {
            for (all, part) in all.by_place.iter_mut().zip(&part.by_place) {
                for (all, part) in all.iter_mut().zip(part) {
                    *all &= part;
                }
            }
        }
        Some(all)
    }
}

impl Segments {
    /// The chunks in which `phrase` may begin. Where it stands at the beginning of what follows a chunk, or is longer than what
    /// is known of that, only the text itself can tell.
    pub(super) fn with_phrase(&self, phrase: &Phrase) -> tantivy::Result<Containing> {
        let mut at = 0;
        // Where a chunk ends within a word, the rest of that word is the first piece of what follows.
        let terms = phrase.parts.iter().take(LOOKAHEAD).enumerate();
        let terms = terms.map(|(number, part)| {
            at += if number > 0 && part.spaced { 2 } else { 1 };
            (at, Term::from_field_text(self.fields.exact, &part.folded))
        });
        let terms: Vec<(usize, Term)> = terms.collect();
        match terms.as_slice() {
            [(_, term)] => Ok(self.with_term(term)?),
            _ => self.with_row(terms),
        }
    }

    /// The chunks that contain `term` as it stands.
    fn with_term(&self, term: &Term) -> io::Result<Containing> {
        let mut by_place = self.per_doc(false);
        for (segment, containing) in self.places.iter().zip(&mut by_place) {
            let Some(segment) = segment else { continue };
            each_block(&segment.exact, term, |postings| {
                for &doc in postings.docs() {
                    containing[doc as usize] = true;
                }
            })?;
        }
        Ok(Containing { by_place })
    }

    /// The chunks that contain all of `terms`, each as far from the others as it is said.
    fn with_row(&self, terms: Vec<(usize, Term)>) -> tantivy::Result<Containing> {
        let mut by_place = self.per_doc(false);
        let phrase = PhraseQuery::new_with_offset(terms);
        for (segment, containing) in self.places.iter().zip(&mut by_place) {
            let Some(Segment { reader, .. }) = segment else {
                continue;
            };
            let weight = phrase.weight(EnableScoring::disabled_from_schema(reader.schema()))?;
            let mut matches = weight.scorer(reader, 1.0)?;
            while matches.doc() != TERMINATED {
                containing[matches.doc() as usize] = true;
                matches.advance();
            }
        }
        Ok(Containing { by_place })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::phrase::{Shown, extended};
    use super::super::testing::{open, replacement, text_chunk};
    use super::*;
    use crate::store::ChunkRow;

    /// What texts are made of: words with endings and capitals, names, signs, a script without spaces, white space.
    const PARTS: &[&str] = &[
        "agent",
        "Agents",
        "readBlock",
        "snake_case",
        "caf\u{e9}",
        "the",
        "x",
        "42",
        "\u{ad}",
        "虚",
        "拟机",
        "->",
        ".",
        "(",
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "  ",
    ];

    fn text() -> impl Strategy<Value = String> {
        let parts = prop::collection::vec(prop::sample::select(PARTS), 1..40);
        parts.prop_map(|parts| parts.concat())
    }

    /// The text in chunks of whole lines, or of parts of the last line.
    fn chunks(text: &str, cuts: &[prop::sample::Index]) -> Vec<ChunkRow> {
        let is_line_end = |at: &usize| *at == text.len() || text.as_bytes()[*at - 1] == b'\n';
        let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len()) + 1).collect();
        ends.retain(is_line_end);
        let last_line = text.rfind('\n').map_or(0, |at| at + 1);
        let within = cuts
            .iter()
            .map(|cut| text.floor_char_boundary(cut.index(text.len())));
        ends.extend(within.filter(|at| *at > last_line));
        ends.extend([last_line, text.len()]);
        ends.retain(|end| *end > 0);
        ends.sort_unstable();
        ends.dedup();
        let line = |at: usize| 1 + text[..at].matches('\n').count() as u32;
        let mut chunks: Vec<ChunkRow> = Vec::new();
        let mut start = 0;
        for (number, end) in (1..).zip(ends) {
            let chunk = text[start..end]
                .strip_suffix('\n')
                .unwrap_or(&text[start..end]);
            chunks.push(ChunkRow {
                first_line: line(start),
                last_line: line(start + chunk.len()),
                ..text_chunk(number, chunk)
            });
            start = end;
        }
        chunks
    }

    proptest! {
        #[test]
        fn whatever_begins_in_a_chunk_may_begin_there(
            text in text(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            (from, to) in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let (from, to) = (from.index(text.len() + 1), to.index(text.len() + 1));
            let (from, to) = (text.floor_char_boundary(from.min(to)), text.floor_char_boundary(from.max(to)));
            let Some(phrase) = Phrase::new(&text[from..to], 100) else {
                return Ok(());
            };
            let folder = tempfile::tempdir().unwrap();
            let index = open(folder.path()).index;
            let chunks = chunks(&text, &cuts);
            index.apply(&[replacement(1, chunks.clone())], 1).unwrap();
            let published = index.published();
            let containing = published.segments.with_phrase(&phrase).unwrap();
            for chunk in chunks {
                let shown = Shown { first_line: chunk.first_line, last_line: chunk.last_line, text: chunk.text.clone() };
                // What stands twice is not told apart.
                let is_there = text.matches(&chunk.text).count() == 1
                    && extended(&text, &shown, &[&phrase]).is_some();
                let slot = published.chunks.slot(chunk.number).unwrap();
                let may = containing.has(published.chunks.slots()[slot].address.unwrap());
                prop_assert!(may || !is_there, "{:?} in {:?} of {:?}", &text[from..to], chunk.text, text);
            }
        }
    }

    #[test]
    fn what_must_be_there_is_there_together() {
        let of = |has: &[bool]| Containing {
            by_place: vec![has.to_vec(), vec![]],
        };
        let (first, second) = (of(&[true, true, false]), of(&[false, true, true]));
        assert_eq!(Containing::all([].into_iter()), None);
        assert_eq!(Containing::all([&first].into_iter()), Some(first.clone()));
        let both = Containing::all([&first, &second].into_iter());
        assert_eq!(both, Some(of(&[false, true, false])));
    }
}
