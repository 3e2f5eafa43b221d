//! The one writer of the keyword index.

use tantivy::indexer::IndexWriterOptions;
use tantivy::merge_policy::LogMergePolicy;
use tantivy::{Index as KeywordIndex, IndexWriter};

use super::Replacement;
use super::fields::Fields;
use super::identity::{Identity, IndexPosition};

/// Memory of the writer, in bytes. A batch should fit: of one that does not, tantivy makes several segments, and merges them again.
const MEMORY: usize = 30_000_000;
/// A segment is merged when more than this part of it is deleted.
const DELETED_BEFORE_MERGE: f32 = 0.2;
/// Segments of fewer chunks count as equally large when segments are chosen to be merged.
const LEAST_LAYER: u32 = 500;

/// What changes the keyword index on disk.
pub(super) struct KeywordWriter {
    keywords: KeywordIndex,
    fields: Fields,
    identity: Identity,
    /// Made when needed, and again after an error.
    tantivy: Option<IndexWriter>,
}

impl KeywordWriter {
    pub(super) fn new(keywords: KeywordIndex, fields: Fields, identity: Identity) -> Self {
        Self {
            keywords,
            fields,
            identity,
            tantivy: None,
        }
    }

    /// Commits `batch` together with `position`. After an error, what was committed last still stands.
    pub(super) fn commit(
        &mut self,
        batch: &[Replacement],
        position: IndexPosition,
    ) -> tantivy::Result<()> {
        let mut tantivy = match self.tantivy.take() {
            Some(tantivy) => tantivy,
            None => self.new_tantivy()?,
        };
        for replacement in batch {
            tantivy.delete_term(self.fields.document_term(replacement));
            for at in 0..replacement.chunks.len() {
                if let Err(killed) = tantivy.add_document(self.fields.document(replacement, at)) {
                    // It says only that the thread that writes has ended; why, that thread tells whoever joins it.
                    return Err(tantivy.prepare_commit().err().unwrap_or(killed));
                }
            }
        }
        let mut prepared = tantivy.prepare_commit()?;
        prepared.set_payload(&self.identity.payload(position));
        prepared.commit()?;
        // After an error it stays away: dropping it is the rollback, and the next commit makes another.
        self.tantivy = Some(tantivy);
        Ok(())
    }

    /// Waits for the merges under way and stops the writer's threads.
    pub(super) fn finish(&mut self) -> tantivy::Result<()> {
        match self.tantivy.take() {
            Some(tantivy) => tantivy.wait_merging_threads(),
            None => Ok(()),
        }
    }

    fn new_tantivy(&self) -> tantivy::Result<IndexWriter> {
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .memory_budget_per_thread(MEMORY)
            .num_merge_threads(1)
            .build();
        let tantivy = self.keywords.writer_with_options(options)?;
        let mut policy = LogMergePolicy::default();
        policy.set_del_docs_ratio_before_merge(DELETED_BEFORE_MERGE);
        policy.set_min_layer_size(LEAST_LAYER);
        tantivy.set_merge_policy(Box::new(policy));
        Ok(tantivy)
    }
}

#[cfg(test)]
mod tests {
    use super::super::follower::BATCH;
    use super::super::testing::{open, replacement, text_chunk};

    /// Not an exact bound of memory: chunks as the splitter makes them, of words that mostly differ.
    #[test]
    fn a_batch_of_the_follower_is_one_segment() {
        const WORDS_PER_CHUNK: u64 = 120;
        const VOCABULARY: u64 = 20_000;
        let folder = tempfile::tempdir().unwrap();
        let index = open(folder.path()).index;
        let mut random = fastrand::Rng::with_seed(7);
        let chunks = (0..BATCH as u64).map(|number| {
            let words = (0..WORDS_PER_CHUNK).map(|_| format!("w{} ", random.u64(..VOCABULARY)));
            text_chunk(number, &words.collect::<String>())
        });
        index.apply(&[replacement(1, chunks)], 1).unwrap();
        assert_eq!(index.published().segments.alive(), BATCH as u64);
        assert_eq!(index.published().segments.places(), 1);
    }
}
