//! The keyword leg: BM25 over the postings, from live statistics.
//!
//! tantivy's own scores depend on an index's history (its statistics count the deleted, its sums are in the order
//! of its segments), so they are computed here: term by term in sorted order, over every posting.

use std::io;

use tantivy::Term;
use tantivy::fieldnorm::FieldNormReader;

use super::chunks::Address;
use super::segments::{Segments, each_block_of};

/// BM25: how fast a repeated term stops to count.
const K1: f64 = 1.2;
/// BM25: how much a long chunk is held back.
const B: f64 = 0.75;
/// What a term that nearly every chunk has is worth at least.
const LEAST_IDF: f64 = 1e-6;

impl Segments {
    /// Scores every chunk that has one of `terms`, which are sorted: that fixes the order of summing.
    pub(super) fn scores(&self, terms: &[String]) -> io::Result<Scores> {
        let mut scores = Scores {
            by_place: self.per_doc(0.0),
            bound: 0.0,
        };
        // The part of the formula that depends on a chunk's length alone, for each of the norms there are.
        // Without a single term alive nothing can match, and 1 stands in for the sum of lengths.
        let (alive, length_sum) = (self.alive as f64, self.length.max(1) as f64);
        let saturation: Vec<f64> = (0..=u8::MAX)
            .map(|norm| f64::from(FieldNormReader::id_to_fieldnorm(norm)))
            .map(|length| K1 * (1.0 - B + B * length * alive / length_sum))
            .collect();
        for term in terms {
            let term = Term::from_field_text(self.fields.text, term);
            let (mut df, mut infos) = (0, Vec::with_capacity(self.places.len()));
            for segment in &self.places {
                let info = match segment {
                    Some(segment) => segment.terms.get_term_info(&term)?,
                    None => None,
                };
                if let (Some(segment), Some(info)) = (segment, &info) {
                    df += segment.live_df_of(&segment.terms, info)?;
                }
                infos.push(info);
            }
            let weight = idf(self.alive, df) * (K1 + 1.0);
            scores.bound += weight;
            let places = self.places.iter().zip(&infos).zip(&mut scores.by_place);
            for ((segment, info), scores) in places {
                let (Some(segment), Some(info)) = (segment, info) else {
                    continue;
                };
                each_block_of(&segment.terms, info, |postings| {
                    for (&doc, &tf) in postings.docs().iter().zip(postings.freqs()) {
                        let tf = f64::from(tf);
                        let norm = segment.lengths.fieldnorm_id(doc);
                        scores[doc as usize] += weight * tf / (tf + saturation[usize::from(norm)]);
                    }
                })?;
            }
        }
        Ok(scores)
    }
}

/// What a term is worth that `df` of `alive` chunks have.
fn idf(alive: u64, df: u64) -> f64 {
    let (alive, df) = (alive as f64, df as f64);
    ((alive - df + 0.5) / (df + 0.5)).ln().max(LEAST_IDF)
}

/// The keyword score of every chunk; 0 for what has none of the terms.
pub(super) struct Scores {
    by_place: Vec<Vec<f64>>,
    /// What no chunk can exceed.
    pub(super) bound: f64,
}

impl Scores {
    pub(super) fn at(&self, address: Address) -> f64 {
        self.by_place[address.segment as usize][address.doc as usize]
    }

    /// The chunks that have at least one of the terms, deleted ones among them.
    pub(super) fn matches(&self) -> impl Iterator<Item = (Address, f64)> {
        (0..).zip(&self.by_place).flat_map(|(segment, scores)| {
            (0..)
                .zip(scores)
                .filter(|(_, score)| **score > 0.0)
                .map(move |(doc, &score)| (Address { segment, doc }, score))
        })
    }
}
