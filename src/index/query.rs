//! What is looked for, and a chunk that answers.

use std::collections::HashSet;

use super::DocumentId;
use super::filter::Within;
use crate::embed::Quantised;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    /// The text as typed; any text is safe. If it is quoted parts and no more, these must be contained as they stand.
    pub text: &'a str,
    /// The vector of the text, if it has one.
    pub vector: Option<&'a Quantised>,
    /// Only chunks of this collection.
    pub collection: Option<&'a str>,
    /// Only chunks of these files.
    pub within: Option<&'a Within>,
    /// Quoted parts must be contained also where there are other words.
    pub exact: bool,
    /// For each quoted part, the numbers of chunks that turned out not to contain it.
    pub refuted: &'a [HashSet<u64>],
    /// How many candidates are wanted at most.
    pub limit: usize,
}

/// The keyword score's part of the whole.
pub(super) const KEYWORD_WEIGHT: f64 = 0.55;
/// The cosine's part of the whole.
pub(super) const VECTOR_WEIGHT: f64 = 0.45;

/// A factor of a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Boost {
    /// What it is for: one of the names in `docs/search.md`.
    pub name: &'static str,
    /// Above 1 it raises, below 1 it holds back.
    pub factor: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Candidate {
    pub number: u64,
    pub document: DocumentId,
    /// How well it answers: both legs together, multiplied by all `boosts`.
    pub score: f64,
    /// Its BM25 score: 0 to [`Found::bound`](super::Found::bound).
    pub keyword: f64,
    /// The cosine of its vector and the query's; 0 if one of them has none.
    pub cosine: f32,
    /// The factors that are not 1.
    pub boosts: Vec<Boost>,
    /// Which quoted parts begin in it, unless its text says otherwise: by their numbers, from 0.
    pub quoted: Vec<usize>,
    /// On the best chunk of its document: how many good ones of it stand behind all others.
    pub more: u32,
}
