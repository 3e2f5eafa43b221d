//! Which passages a query looks at: those of its collection that contain its phrases.

use std::io;

use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::{DocSet, InvertedIndexReader, TERMINATED, Term};

use super::analyse::LOOKAHEAD;
use super::passages::Address;
use super::phrase::Phrase;
use super::segments::{Segment, Segments, each_block};

impl Segments {
    /// The passages of `collection` in which all `phrases` may begin, deleted ones among them; `None` means all. Where a
    /// phrase stands at the beginning of what follows a passage, or is longer than what is known of that, only the text
    /// itself can tell.
    pub(super) fn filter(
        &self,
        collection: Option<&str>,
        phrases: &[Phrase],
    ) -> tantivy::Result<Option<Filter>> {
        let mut filter: Option<Filter> = None;
        if let Some(collection) = collection {
            let term = Term::from_field_bytes(self.fields.collection, collection.as_bytes());
            filter = Some(self.having(&term, |segment| &segment.collections)?);
        }
        for phrase in phrases {
            let mut at = 0;
            let terms = phrase.parts.iter().take(LOOKAHEAD + 1).enumerate();
            let terms = terms.map(|(number, part)| {
                at += if number > 0 && part.spaced { 2 } else { 1 };
                (at, Term::from_field_text(self.fields.exact, &part.folded))
            });
            let terms: Vec<(usize, Term)> = terms.collect();
            let having = match terms.as_slice() {
                [(_, term)] => self.having(term, |segment| &segment.exact)?,
                _ => self.containing(PhraseQuery::new_with_offset(terms))?,
            };
            filter = Some(match filter {
                Some(filter) => filter.and(&having),
                None => having,
            });
        }
        Ok(filter)
    }

    /// The passages that have `term` in the postings `of` each segment.
    fn having(
        &self,
        term: &Term,
        of: impl Fn(&Segment) -> &InvertedIndexReader,
    ) -> io::Result<Filter> {
        let mut by_place = self.per_doc(false);
        for (segment, having) in self.places.iter().zip(&mut by_place) {
            let Some(segment) = segment else { continue };
            each_block(of(segment), term, |postings| {
                for &doc in postings.docs() {
                    having[doc as usize] = true;
                }
            })?;
        }
        Ok(Filter { by_place })
    }

    /// The passages that contain a phrase of two terms or more.
    fn containing(&self, phrase: PhraseQuery) -> tantivy::Result<Filter> {
        let weight = phrase.weight(EnableScoring::disabled_from_searcher(&self.searcher))?;
        let mut by_place = self.per_doc(false);
        for (segment, containing) in self.places.iter().zip(&mut by_place) {
            let Some(segment) = segment else { continue };
            let mut matches = weight.scorer(&segment.reader, 1.0)?;
            let mut doc = matches.doc();
            while doc != TERMINATED {
                containing[doc as usize] = true;
                doc = matches.advance();
            }
        }
        Ok(Filter { by_place })
    }
}

/// The passages that are looked at.
pub(super) struct Filter {
    by_place: Vec<Vec<bool>>,
}

impl Filter {
    pub(super) fn lets_through(&self, address: Address) -> bool {
        self.by_place[address.segment as usize][address.doc as usize]
    }

    /// The passages that are let through.
    pub(super) fn addresses(&self) -> impl Iterator<Item = Address> {
        (0..).zip(&self.by_place).flat_map(|(segment, passes)| {
            (0..)
                .zip(passes)
                .filter(|(_, passes)| **passes)
                .map(move |(doc, _)| Address { segment, doc })
        })
    }

    fn and(mut self, other: &Filter) -> Filter {
        let pairs = self.by_place.iter_mut().flatten();
        for (mine, other) in pairs.zip(other.by_place.iter().flatten()) {
            *mine &= other;
        }
        self
    }
}
