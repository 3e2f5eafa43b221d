//! Which passages a query looks at: those of its collection that contain its phrases.

use std::io;

use tantivy::query::{EnableScoring, PhraseQuery, Query as _};
use tantivy::{DocSet, InvertedIndexReader, TERMINATED, Term};

use super::passages::Address;
use super::segments::{Segment, Segments, each_block};

impl Segments {
    /// The passages of `collection` that contain all `phrases`, deleted ones among them; `None` means all.
    pub(super) fn filter(
        &self,
        collection: Option<&str>,
        phrases: &[Vec<String>],
    ) -> tantivy::Result<Option<Filter>> {
        let mut filter: Option<Filter> = None;
        if let Some(collection) = collection {
            let term = Term::from_field_bytes(self.fields.collection, collection.as_bytes());
            filter = Some(self.having(&term, |segment| &segment.collections)?);
        }
        for phrase in phrases {
            let terms = phrase
                .iter()
                .map(|term| Term::from_field_text(self.fields.text, term));
            let terms: Vec<Term> = terms.collect();
            let having = match terms.as_slice() {
                [term] => self.having(term, |segment| &segment.terms)?,
                _ => self.containing(PhraseQuery::new(terms))?,
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

    fn and(mut self, other: &Filter) -> Filter {
        let pairs = self.by_place.iter_mut().flatten();
        for (mine, other) in pairs.zip(other.by_place.iter().flatten()) {
            *mine &= other;
        }
        self
    }
}
