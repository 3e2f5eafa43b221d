//! What searches see.

use super::chunks::Chunks;
use super::segments::Segments;

/// What searches see, all of one position.
pub(super) struct Published {
    pub(super) position: u64,
    pub(super) segments: Segments,
    pub(super) chunks: Chunks,
}
