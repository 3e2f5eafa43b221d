//! Where a search reads the chunks that it shows: in the store, or in the index while the store is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Index;
use super::error::SearchError;
use crate::store::{ChunkRow, ChunkSource, Digest, ReadError, Store};

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
    /// The document that was read last, with its digest.
    document: Option<(String, Arc<str>)>,
}

impl<'a> ChunkReader<'a> {
    pub(super) fn new(store: &'a Store, index: Option<Arc<Index>>) -> Self {
        ChunkReader {
            store,
            index: index.filter(|index| index.stores_chunks()),
            // Then it is not waited for again.
            without_store: !store.leases().are_trusted(),
            document: None,
        }
    }

    /// Whether the store did not answer.
    pub(super) fn is_without_store(&self) -> bool {
        self.without_store
    }

    /// The text of the document of this digest. `None`: it is not there any more, or the store is away.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn document(&mut self, digest: &str) -> Result<Option<Arc<str>>, SearchError> {
        if let Some((read, document)) = &self.document
            && read == digest
        {
            return Ok(Some(document.clone()));
        }
        let Ok(parsed) = digest.parse::<Digest>() else {
            return Ok(None);
        };
        let content = match &self.index {
            None => self.store.content(parsed).await?,
            Some(_) if self.without_store => return Ok(None),
            Some(_) => match in_time(self.store.content(parsed)).await? {
                Some(content) => content,
                None => {
                    self.without_store = true;
                    return Ok(None);
                }
            },
        };
        let text = content.map(|bytes| {
            let text = String::from_utf8(bytes).unwrap_or_default();
            Arc::from(text.strip_prefix('\u{feff}').unwrap_or(&text))
        });
        self.document = text.clone().map(|text| (digest.to_owned(), text));
        Ok(text)
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
