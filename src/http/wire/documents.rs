//! Documents and what a search finds in them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{DocumentState, Freshness, Heard, ListedState};

/// A file in scope: one line of `GET /api/v1/documents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DocumentView {
    pub collection: String,
    /// The path in it.
    pub path: String,
    /// The present version, from 1; 0 if nothing was read.
    pub version: u32,
    /// The digest of the present version's bytes; null if nothing was read.
    pub digest: Option<String>,
    #[schema(value_type = ListedState)]
    pub state: Heard<ListedState>,
    /// Why it is not stored; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct History {
    pub document: String,
    pub collection: String,
    /// The path in it.
    pub path: String,
    #[schema(value_type = DocumentState)]
    pub state: Heard<DocumentState>,
    /// The versions that are kept, newest first.
    pub versions: Vec<Version>,
}

/// One version of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Version {
    pub version: u32,
    /// When it was stored.
    pub at: String,
    /// The digest of its bytes.
    pub digest: String,
    pub size: u64,
    #[schema(value_type = DocumentState)]
    pub state: Heard<DocumentState>,
    /// Why it is rejected; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SearchAnswer {
    /// What was found, best first.
    pub hits: Vec<Hit>,
    /// How many of the hits, from the best one on, are worth listing: the others score far below it.
    #[serde(default)]
    pub listed: usize,
    /// Whether anything seems to be about the query. If not, the hits only share words with it.
    pub about: bool,
    /// If nothing seems to be about the query: the nearest chunks that have no word of it. They are not hits.
    pub nearest: Vec<Hit>,
    /// Which searches took part: `keyword`, `vector`.
    pub legs: Vec<String>,
    /// How far search is behind the disk.
    pub freshness: Freshness,
    /// How long the search waited for what is on disk, if that was not enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<String>,
    /// What is not searchable yet, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Words of the query that no document has, and the words that were searched for instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrected: Vec<Corrected>,
    /// Whether a part of the query was ignored because the query is too long.
    #[serde(default)]
    pub cut: bool,
    /// How long the search took, in milliseconds.
    pub took_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Hit {
    pub collection: String,
    /// The path in it.
    pub path: String,
    /// First and last line, from 1, both included.
    pub lines: [u32; 2],
    /// The headings above it.
    pub heading: String,
    /// The text of these lines.
    pub text: String,
    /// The score: keyword and vector scores together, times the factors.
    pub score: f64,
    /// The digest of the bytes that the text was cut from.
    pub digest: String,
    /// The keyword score.
    pub keyword: f64,
    /// The vector score.
    pub vector: f64,
    /// Byte ranges of `text` (start, end) of the words that match the query.
    pub marks: Vec<[usize; 2]>,
    /// Other places with the same heading and text.
    pub also: Vec<OtherPlace>,
    /// On the best hit of a file: how many good ones of it are listed after all others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u32,
    /// How the score is computed, if that was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// How the score of a hit is computed: (0.55 · keyword + 0.45 · vector) × the product of the factors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explain {
    /// The keyword score, 0 to 1.
    pub keyword: f64,
    /// The vector score.
    pub vector: f64,
    /// The factors that are not 1.
    pub boosts: Vec<BoostView>,
}

/// A factor of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoostView {
    /// What it is for.
    pub name: String,
    /// Above 1 it raises the score, below 1 it lowers it.
    pub factor: f64,
}

/// A typing error that was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Corrected {
    /// The word in the query.
    pub from: String,
    /// The word of the index that was searched for instead.
    pub to: String,
}

/// Another place of a hit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherPlace {
    pub collection: String,
    /// The path in it.
    pub path: String,
    /// First and last line, from 1, both included.
    pub lines: [u32; 2],
    /// The digest of the bytes that the text was cut from.
    pub digest: String,
}
