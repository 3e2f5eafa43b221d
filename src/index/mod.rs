//! The search index: a keyword index on disk and the chunks' vectors in memory, which follow the store.
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
//! and `search` combines the two. A chunk's text is in neither: the store has it, and `stored` where that may be away.

mod analyse;
mod best;
mod chunk_reader;
mod chunks;
mod contained;
mod correct;
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
mod phrase;
mod place;
mod published;
mod query;
mod rank;
mod search;
mod segments;
mod service;
mod signals;
mod stored;
mod symbols;
#[cfg(test)]
mod testing;
mod vector;
mod wording;
mod words;
mod writer;

use std::sync::Arc;

pub(crate) use analyse::is_blank;
pub(crate) use chunk_reader::in_time;
pub(crate) use correct::Correction;
pub(crate) use error::{IndexError, SearchError};
pub(crate) use filter::Within;
pub(crate) use folder::inspect;
pub(crate) use follower::{FollowerOptions, VERIFY, follow};
pub(crate) use handle::{Index, LoadedChunks, Opened};
pub(crate) use identity::{Identity, IndexPosition};
pub(crate) use query::{Boost, Candidate, Query};
pub(crate) use search::Found;
pub(crate) use service::{Answer, IndexHit};
pub(crate) use service::{FollowerState, HitPlace, LIMIT_MAX, SearchRequest, Searcher};

use crate::store::ChunkRow;

/// The id of a document: the sixteen bytes of its UUID.
pub(crate) type DocumentId = [u8; 16];

/// All chunks of a document as they are from now on.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    pub document: DocumentId,
    /// The collection it is in.
    pub collection: Arc<str>,
    /// Its path in the collection, as exact bytes.
    pub path: Arc<[u8]>,
    /// The digest of its bytes.
    pub digest: Arc<str>,
    /// Its chunks; none if the document is gone.
    pub chunks: Vec<ChunkRow>,
}
