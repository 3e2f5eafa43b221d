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
        let terms = phrase.parts.iter().take(LOOKAHEAD + 1).enumerate();
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
    use super::*;

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
