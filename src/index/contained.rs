//! Which chunks contain a quoted part of a query.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::vec::IntoIter;

use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, Term};

use super::analyse::LOOKAHEAD;
use super::chunks::Address;
use super::phrase::Phrase;
use super::processors::Processors;
use super::segments::{Segment, Segments, each_block};

/// So many chunks of a segment are looked through in one go.
const PIECE: usize = 4 * 1024;

/// With fewer chunks that may contain a phrase, a thread that helps takes longer to begin and to end than it saves.
const WORTH_HELP: u32 = 16 * 1024;

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
    pub(super) fn with_phrase(
        &self,
        phrase: &Phrase,
        processors: &Processors,
    ) -> io::Result<Containing> {
        let mut at = 0;
        let terms = phrase.parts.iter().take(LOOKAHEAD + 1).enumerate();
        let terms = terms.map(|(number, part)| {
            at += if number > 0 && part.spaced { 2 } else { 1 };
            (at, Term::from_field_text(self.fields.exact, &part.folded))
        });
        let terms: Vec<(u32, Term)> = terms.collect();
        match terms.as_slice() {
            [(_, term)] => self.with_term(term),
            _ => self.with_row(&terms, processors),
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
    fn with_row(&self, terms: &[(u32, Term)], processors: &Processors) -> io::Result<Containing> {
        let mut by_place = self.per_doc(false);
        let mut candidates = 0;
        let mut pieces = Vec::new();
        let rows = self.places.iter().map(|segment| match segment {
            Some(segment) => Row::find(segment, terms),
            None => Ok(None),
        });
        let rows: Vec<Option<Row<'_>>> = rows.collect::<io::Result<_>>()?;
        for (row, containing) in rows.iter().zip(&mut by_place) {
            let Some(row) = row else { continue };
            candidates += row.candidates();
            let containing = containing.chunks_mut(PIECE).enumerate();
            pieces.extend(containing.map(|(at, containing)| Piece {
                row,
                first: (at * PIECE) as u32,
                containing,
            }));
        }
        let pieces = Pieces(Mutex::new(pieces.into_iter()));
        let look = || pieces.look_through();
        if candidates < WORTH_HELP {
            look()?;
        } else {
            let (looked, helped) = processors.helped(look, look);
            looked.and(helped.unwrap_or(Ok(())))?;
        }
        drop(pieces);
        Ok(Containing { by_place })
    }
}

/// The terms of a phrase in a segment that has all of them.
struct Row<'a> {
    segment: &'a Segment,
    /// How far each stands before the last one; the rarest first.
    terms: Vec<(u32, TermInfo)>,
}

impl<'a> Row<'a> {
    fn find(segment: &'a Segment, terms: &[(u32, Term)]) -> io::Result<Option<Self>> {
        let last = terms.iter().map(|(at, _)| *at).max().unwrap_or(0);
        let mut found = Vec::with_capacity(terms.len());
        for (at, term) in terms {
            match segment.exact.get_term_info(term)? {
                Some(info) => found.push((last - at, info)),
                None => return Ok(None),
            }
        }
        found.sort_by_key(|(_, info)| info.doc_freq);
        Ok(Some(Self {
            segment,
            terms: found,
        }))
    }

    /// How many chunks have all of them, at most.
    fn candidates(&self) -> u32 {
        self.terms.first().map_or(0, |(_, info)| info.doc_freq)
    }

    fn open(&self) -> io::Result<Walk> {
        let option = IndexRecordOption::WithFreqsAndPositions;
        let index = &self.segment.exact;
        let open = |(before, info): &(u32, TermInfo)| {
            let postings = index.read_postings_from_terminfo(info, option)?;
            Ok((*before, postings))
        };
        Ok(Walk {
            terms: self.terms.iter().map(open).collect::<io::Result<_>>()?,
            positions: Vec::new(),
            others: Vec::new(),
        })
    }
}

/// A part of a segment that is to be looked through.
struct Piece<'a> {
    row: &'a Row<'a>,
    /// Its first chunk.
    first: u32,
    containing: &'a mut [bool],
}

/// All of them. Whoever has time takes the next one: several may at once.
struct Pieces<'a>(Mutex<IntoIter<Piece<'a>>>);

impl Pieces<'_> {
    /// Works until no piece is left to be taken.
    fn look_through(&self) -> io::Result<()> {
        let mut before: Option<(&Row<'_>, Walk)> = None;
        while let Some(piece) = self.next() {
            // The pieces of a segment come in order, so nobody goes back.
            let mut walk = match before.take() {
                Some((row, walk)) if std::ptr::eq(row, piece.row) => walk,
                _ => piece.row.open()?,
            };
            walk.mark(piece.first, piece.containing);
            before = Some((piece.row, walk));
        }
        Ok(())
    }

    fn next(&self) -> Option<Piece<'_>> {
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pieces.next()
    }
}

/// A way through the chunks of a segment that have all terms of a phrase.
struct Walk {
    terms: Vec<(u32, SegmentPostings)>,
    /// Where the last term would stand in the chunk at hand, by those that were looked at.
    positions: Vec<u32>,
    /// The same by the one that is looked at.
    others: Vec<u32>,
}

impl Walk {
    /// Marks what contains the phrase among the chunks from `first` on, which are behind all that were marked before.
    fn mark(&mut self, first: u32, containing: &mut [bool]) {
        let mut chunk = first;
        while let Some(at) = self.next(chunk, first + containing.len() as u32) {
            containing[(at - first) as usize] = self.is_row();
            chunk = at + 1;
        }
    }

    /// The first chunk from `chunk` on, and before `end`, that has all terms.
    fn next(&mut self, mut chunk: u32, end: u32) -> Option<u32> {
        while chunk < end {
            let mut reached = self.terms.iter_mut().map(|(_, postings)| {
                let at = postings.doc();
                if at < chunk { postings.seek(chunk) } else { at }
            });
            match reached.find(|at| *at > chunk) {
                Some(behind) => chunk = behind,
                None => return Some(chunk),
            }
        }
        None
    }

    /// Whether all terms stand in a row in the chunk at hand.
    fn is_row(&mut self) -> bool {
        let mut terms = self.terms.iter_mut();
        if let Some((before, postings)) = terms.next() {
            postings.positions_with_offset(*before, &mut self.positions);
        }
        terms.all(|(before, postings)| {
            postings.positions_with_offset(*before, &mut self.others);
            retain_common(&mut self.positions, &self.others);
            !self.positions.is_empty()
        })
    }
}

/// Leaves those of `positions` that are among `others`. Both ascend.
fn retain_common(positions: &mut Vec<u32>, others: &[u32]) {
    let mut others = others.iter().peekable();
    positions.retain(|position| {
        while others.next_if(|other| *other < position).is_some() {}
        others.peek() == Some(&position)
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tantivy::TERMINATED;
    use tantivy::query::{EnableScoring, PhraseQuery, Query as _};

    use super::super::fields::schema;
    use super::super::testing::{open, replacement, text_chunk};
    use super::*;

    /// What tantivy's own search for phrases says.
    fn by_tantivy(segments: &Segments, terms: &[(u32, Term)]) -> Containing {
        let terms = terms.iter().map(|(at, term)| (*at as usize, term.clone()));
        let phrase = PhraseQuery::new_with_offset(terms.collect());
        let (schema, _) = schema();
        let scoring = EnableScoring::disabled_from_schema(&schema);
        let weight = phrase.weight(scoring).unwrap();
        let mut by_place = segments.per_doc(false);
        for (segment, containing) in segments.places.iter().zip(&mut by_place) {
            let Some(segment) = segment else { continue };
            let mut matches = weight.scorer(&segment.reader, 1.0).unwrap();
            while matches.doc() != TERMINATED {
                containing[matches.doc() as usize] = true;
                matches.advance();
            }
        }
        Containing { by_place }
    }

    /// Texts of few words, so that most phrases are somewhere; of so many chunks in so many documents.
    fn filled(seed: u64, documents: u8, chunks: u64) -> (tempfile::TempDir, super::super::Index) {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        for document in 0..documents {
            let first = u64::from(document) * 100_000;
            let chunks = (first..first + chunks).map(|number| {
                let words = (0..random.usize(1..30)).map(|_| random.choice(["a", "b", "c", "d,"]));
                let text: Vec<&str> = words.flatten().collect();
                text_chunk(number, &text.join(" "))
            });
            let batch = [replacement(document, chunks.collect::<Vec<_>>())];
            index.apply(&batch, document.into()).unwrap();
        }
        (folder, index)
    }

    fn terms(segments: &Segments, words: &[(u32, &str)]) -> Vec<(u32, Term)> {
        let term = |word| Term::from_field_text(segments.fields.exact, word);
        let mut at = 0;
        let placed = words.iter().map(|(step, word)| {
            at += step;
            (at, term(word))
        });
        placed.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_phrase_is_where_tantivy_finds_it(
            seed: u64,
            documents in 1..4_u8,
            chunks in 1..200_u64,
            words in prop::collection::vec((1..3_u32, prop::sample::select(vec!["a", "b", "c", "d", ",", "e"])), 2..5),
        ) {
            let (_folder, index) = filled(seed, documents, chunks);
            let published = index.published();
            let terms = terms(&published.segments, &words);
            let found = published.segments.with_row(&terms, &Processors::new(1)).unwrap();
            prop_assert_eq!(found, by_tantivy(&published.segments, &terms));
        }
    }

    #[test]
    fn several_find_together_what_one_finds() {
        let (_folder, index) = filled(1, 2, 3 * PIECE as u64);
        let published = index.published();
        let segments = &published.segments;
        for words in [
            &[(1, "a"), (2, "b")][..],
            &[(1, "c"), (2, "d"), (1, ",")],
            &[(1, "a"), (2, "a"), (2, "a"), (2, "a"), (2, "a")],
            &[(1, "a"), (2, "missing")],
        ] {
            let terms = terms(segments, words);
            let expected = by_tantivy(segments, &terms);
            let any = expected.addresses().next().is_some();
            assert_eq!(any, !words.contains(&(2, "missing")));
            for processors in [1, 8, 8, 8] {
                let processors = Processors::new(processors);
                let _busy = processors.take();
                let found = segments.with_row(&terms, &processors).unwrap();
                assert!(found == expected, "{words:?}");
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
