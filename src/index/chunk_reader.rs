//! Where a search reads the chunks that it shows: in the store, or in the index while the store is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Index;
use super::error::SearchError;
use crate::store::{ChunkRow, ChunkSource, ReadError, Store};

/// How long a search waits for a store that it can do without.
const STORE_TIME: Duration = Duration::from_secs(1);

/// What a store that a search can do without has answered in time; `None`: it is away.
///
/// # Errors
/// It has answered with an error of its own.
pub(crate) async fn in_time<T>(
    asked: impl Future<Output = Result<T, ReadError>>,
) -> Result<Option<T>, ReadError> {
    match timeout(STORE_TIME, asked).await {
        Err(_) => Ok(None),
        Ok(Err(error)) if error.is_away => Ok(None),
        Ok(answered) => answered.map(Some),
    }
}

/// The chunks of one search.
pub(super) struct ChunkReader<'a> {
    store: &'a Store,
    /// The index, if it stores chunks.
    index: Option<Arc<Index>>,
    without_store: bool,
}

impl<'a> ChunkReader<'a> {
    pub(super) fn new(store: &'a Store, index: Option<Arc<Index>>) -> Self {
        ChunkReader {
            store,
            index: index.filter(|index| index.stores_chunks()),
            // Then it is not waited for again.
            without_store: !store.leases().are_trusted(),
        }
    }

    /// Whether the store did not answer.
    pub(super) fn is_without_store(&self) -> bool {
        self.without_store
    }

    /// The chunks of these numbers, in the order asked for; what is no longer there is left out.
    ///
    /// # Errors
    /// The store or the index cannot be read.
    #[expect(
        clippy::disallowed_methods,
        reason = "chunks are unpacked; there is one such call at a time for each search"
    )]
    pub(super) async fn read(
        &mut self,
        numbers: Vec<u64>,
    ) -> Result<Vec<(ChunkSource, ChunkRow)>, SearchError> {
        let Some(index) = self.index.clone() else {
            return Ok(self.store.chunks(numbers).await?);
        };
        if !self.without_store {
            if let Some(chunks) = in_time(self.store.chunks(numbers.clone())).await? {
                return Ok(chunks);
            }
            self.without_store = true;
        }
        let failed = |error: &dyn std::fmt::Display| SearchError::Failed(error.to_string());
        let read = tokio::task::spawn_blocking(move || index.stored_chunks(&numbers));
        let read = read.await.map_err(|error| failed(&error))?;
        read.map_err(|error| failed(&error))
    }
}
