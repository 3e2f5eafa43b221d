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
    /// Why, unless stored; of a stored one, what is wrong in it.
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
    /// Whether anything seems to be about the query. If not, the hits have words of it in common and no more.
    pub about: bool,
    /// Where nothing seems to be about the query: the nearest chunks that have no word of it. They are no hits.
    pub nearest: Vec<Hit>,
    /// Which legs took part: `keyword`, `vector`.
    pub legs: Vec<String>,
    /// How far search is behind the disk.
    pub freshness: Freshness,
    /// The time that was waited for what is on disk, where it was not enough: something is not searchable yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited: Option<String>,
    /// What that is, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Words of the query that nothing has, and what was looked for in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub corrected: Vec<Corrected>,
    /// Whether a part of the query was too long to be looked for.
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
    /// The text of just these lines.
    pub text: String,
    /// How well it answers: both legs together and what else speaks for it or against it.
    pub score: f64,
    /// The digest of the bytes that the text was cut from.
    pub digest: String,
    /// The score of the keyword leg.
    pub keyword: f64,
    /// The score of the vector leg.
    pub vector: f64,
    /// Byte ranges of `text` (start, end) whose words were looked for.
    pub marks: Vec<[usize; 2]>,
    /// Other places with the same heading and text.
    pub also: Vec<OtherPlace>,
    /// On the best hit of a file: how many good ones of it stand behind all others.
    #[serde(default, skip_serializing_if = "is_none")]
    pub more: u32,
    /// How the score comes about, where that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explain: Option<Explain>,
}

fn is_none(count: &u32) -> bool {
    *count == 0
}

/// How the score of a hit comes about: (0.55 · keyword + 0.45 · vector) × the product of the factors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Explain {
    /// The score of the keyword leg, 0 to 1.
    pub keyword: f64,
    /// The score of the vector leg.
    pub vector: f64,
    /// The factors that are not 1.
    pub boosts: Vec<BoostView>,
}

/// A factor of a score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BoostView {
    /// What it is for.
    pub name: String,
    /// Above 1 it raises, below 1 it holds back.
    pub factor: f64,
}

/// A typing error that was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Corrected {
    /// The word as it stands in the query.
    pub from: String,
    /// The word of the index that was looked for.
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
