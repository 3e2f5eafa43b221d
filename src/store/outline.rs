//! The outline of a document: where its chunks are, without their texts.

use super::sql::{self, params};

use super::{ReadError, Store};

/// The place of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The headings above it.
    pub heading: String,
    pub first_line: u32,
    pub last_line: u32,
}

impl Store {
    /// The chunks of a document that belong into the index, in its order, at most `limit`.
    pub async fn outline(
        &self,
        document: String,
        limit: usize,
    ) -> Result<Vec<ChunkPlace>, ReadError> {
        self.read("where chunks are", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT heading, first_line, last_line FROM chunk
                 WHERE document = ?1 AND replaced_by IS NULL ORDER BY ordinal LIMIT ?2",
            )?;
            let place = |row: &sql::Row<'_>| {
                Ok(ChunkPlace {
                    heading: row.get(0)?,
                    first_line: row.get(1)?,
                    last_line: row.get(2)?,
                })
            };
            select.query_map(params![document, limit], place)?.collect()
        })
        .await
    }
}
