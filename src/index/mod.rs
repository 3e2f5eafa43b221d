//! The search index: a keyword index on disk and the passages' vectors in memory, which follow the store.
//!
//! * **One position.** The index stands at a position of the store's feed. [`Index::apply`] commits a batch of
//!   [`Replacement`]s together with the position it reaches, and publishes keywords, vectors and metadata at once:
//!   a search sees all of a batch or nothing of it.
//! * **Disposable.** What cannot be trusted at [`Index::open`] (absent, foreign, damaged, or of another
//!   [`Identity`]) is wiped and begun anew at position 0; the answer says why. It is not synced to disk, so after
//!   a power cut it may be torn; the checksums of its files, verified at open, tell.
//! * **Equal content, equal scores.** Every figure that enters a score counts what is alive and is summed in one
//!   fixed order, so updates, deletions and merges leave no trace in it: not in its last bit.
//!
//! Keywords are tantivy's postings with scores of our own (`keyword`), vectors are scanned exactly (`vector`),
//! and `search` combines the two. A passage's text is in neither: the store has it.

mod analyse;
mod best;
mod directory;
mod error;
mod fields;
mod filter;
mod folder;
mod follower;
mod handle;
mod identity;
mod keyword;
mod marks;
mod passages;
mod phrase;
mod search;
mod segments;
mod service;
#[cfg(test)]
mod testing;
mod vector;
mod words;
mod writer;

use std::sync::Arc;

pub use analyse::{MAX_QUERY_BYTES, MAX_QUERY_TERMS};
pub use error::{IndexError, Reason};
pub use folder::inspect;
pub use follower::{FollowerOptions, follow};
pub use handle::{Index, Loaded, Opened};
pub use identity::Identity;
pub use marks::marks;
pub use search::{Candidate, Found, Legs, Query};
pub use service::{
    FollowerState, Hit, HitPlace, LIMIT_MAX, SearchAnswer, SearchError, SearchRequest, Searcher,
};

use crate::embed::Quantised;

/// The id of a document: the sixteen bytes of its UUID.
pub type DocumentId = [u8; 16];

/// A part of a document that is found on its own.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Its number: no other passage has it or ever had it.
    pub number: u64,
    /// Its first line in the document; lines count from 1.
    pub first_line: u32,
    /// Its last line, included.
    pub last_line: u32,
    /// The headings above it, outermost first; empty if there are none.
    pub heading: String,
    /// Its text.
    pub text: String,
    /// The vector of heading and text; `None` if they have none.
    pub vector: Option<Quantised>,
}

/// All passages of a document as they are from now on.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The document.
    pub document: DocumentId,
    /// The collection it is in.
    pub collection: Arc<str>,
    /// Its path in the collection, as exact bytes.
    pub path: Arc<[u8]>,
    /// Its passages; none if the document is gone.
    pub passages: Vec<Passage>,
}

/// What the index keeps of a passage in memory, as the store gives it back at a start.
#[derive(Debug, Clone)]
pub struct Known {
    /// The document it belongs to.
    pub document: DocumentId,
    /// The collection of the document.
    pub collection: Arc<str>,
    /// The path of the document in the collection, as exact bytes.
    pub path: Arc<[u8]>,
    /// The number of the passage.
    pub number: u64,
    /// Its first line; lines count from 1.
    pub first_line: u32,
    /// Its vector, if it has one.
    pub vector: Option<Quantised>,
}
