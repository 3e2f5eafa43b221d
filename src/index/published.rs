//! What searches see.

use tantivy::TantivyError;
use tantivy::schema::Value;

use super::chunks::{Chunks, Owner, Slot};
use super::segments::Segments;
use super::stored;
use crate::store::{ChunkRow, ChunkSource};

/// What searches see, all of one position.
pub(super) struct Published {
    pub(super) position: u64,
    pub(super) segments: Segments,
    pub(super) chunks: Chunks,
}

impl Published {
    /// The chunks of these numbers, without their vectors, in the order asked for, if the index stores chunks. What is no longer
    /// there is left out.
    pub(super) fn stored_chunks(
        &self,
        numbers: &[u64],
    ) -> tantivy::Result<Vec<(ChunkSource, ChunkRow)>> {
        let slots = numbers
            .iter()
            .filter_map(|number| self.chunks.slot(*number));
        let slots = slots.map(|slot| &self.chunks.slots()[slot]);
        let stored = slots.map(|slot| self.stored_chunk(slot).transpose());
        stored.flatten().collect()
    }

    fn stored_chunk(&self, slot: &Slot) -> tantivy::Result<Option<(ChunkSource, ChunkRow)>> {
        let (Some(field), Some(address)) = (self.segments.fields.stored, slot.address) else {
            return Ok(None);
        };
        let Some(document) = self.segments.document(address)? else {
            return Ok(None);
        };
        let value = document.get_first(field);
        let Some(bytes) = value.as_ref().and_then(|value| value.as_bytes()) else {
            return Ok(None);
        };
        let decoded = stored::decode(bytes);
        let (digest, chunk) =
            decoded.map_err(|error| TantivyError::InternalError(error.to_string()))?;
        let number = slot.number;
        let source = source(self.chunks.owner(slot), digest);
        Ok(Some((source, ChunkRow { number, ..chunk })))
    }
}

fn source(owner: &Owner, digest: String) -> ChunkSource {
    ChunkSource {
        document: uuid::Uuid::from_bytes(owner.document).to_string(),
        collection: owner.collection.to_string(),
        path: owner.path.to_vec(),
        digest,
    }
}
