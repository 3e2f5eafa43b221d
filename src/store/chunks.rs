//! Chunks, their embeddings, and the feed that the index follows.
//!
//! Every change of a document's chunks gets a number, in the order of commits. The feed is the list of documents by the
//! number of their newest change: whoever has applied all up to a number has everything up to it. A chunk that is replaced
//! stays until the follower has passed its replacement, so that a search on the older state of the index still finds its text.

use std::collections::HashSet;

use super::sql::{self, Connection, Optional, params};
use serde::{Deserialize, Serialize};

use super::batch::Batch;
use super::digest::Digest;
use super::{ReadError, Store, WriteError};
use crate::event::{EventId, Millis, Seq};

/// One chunk of a document.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ChunkRow {
    /// Its number, never given twice; 0 until it is stored.
    #[serde(skip)]
    pub number: u64,
    pub heading: String,
    /// Its first line, from 1.
    pub first_line: u32,
    /// Its last line, included.
    pub last_line: u32,
    /// The text of just these lines.
    pub text: String,
    /// The hash of heading and text, hexadecimal.
    pub hash: String,
    /// Its vector as stored, where it was read with the chunk; `None`: it has none.
    #[serde(skip)]
    pub vector: Option<Vec<u8>>,
}

/// The document that a chunk was cut from.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkSource {
    pub document: String,
    pub collection: String,
    /// Its path, exact bytes.
    pub path: Vec<u8>,
    /// The digest of the bytes.
    pub digest: String,
}

/// All chunks of a version of a document, and the embeddings that the store did not have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChunkSet {
    pub document: String,
    pub version: u32,
    /// The digest of its bytes.
    pub digest: Digest,
    /// The identity of the embedder and of the chunking.
    pub embedder: String,
    /// The chunks, in order.
    pub chunks: Vec<ChunkRow>,
    /// (hash, vector as stored); `None`: the text has no vector.
    pub embeddings: Vec<(String, Option<Vec<u8>>)>,
}

/// What the store has of a document's chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedState {
    /// The number of the change.
    pub change: u64,
    /// The version that was chunked; 0 if the document has no chunks any more.
    pub version: u32,
    /// The digest of its bytes.
    pub digest: String,
    pub embedder: String,
    pub chunks: u64,
}

/// What the index must do to keep up with one document.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedChange {
    /// The number of the change.
    pub change: u64,
    pub source: ChunkSource,
    /// All its chunks with their vectors; empty: it has none any more.
    pub chunks: Vec<ChunkRow>,
}

/// One batch of the feed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Feed {
    /// The changes, in order.
    pub changes: Vec<FeedChange>,
    /// Everything up to here is in this batch or before it.
    pub position: u64,
    pub more: bool,
    /// The newest event of the store when this was read.
    pub(crate) newest: Option<NewestEvent>,
}

/// An event that was the newest one of the store: it tells a store from an earlier copy of it that was written on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewestEvent {
    pub seq: Seq,
    pub id: EventId,
}

fn newest_event(connection: &Connection) -> sql::Result<Option<NewestEvent>> {
    connection
        .prepare_cached("SELECT seq, id FROM event ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| {
            Ok(NewestEvent {
                seq: row.get(0)?,
                id: row.get(1)?,
            })
        })
        .optional()
}

pub(super) fn put(
    connection: &Connection,
    set: &ChunkSet,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let change = replace(connection, &set.document, batch)?;
    let mut embed = connection.prepare_cached(
        "INSERT INTO embedding (model, hash, vector) VALUES (?1, ?2, ?3) ON CONFLICT (model, hash) DO NOTHING",
    )?;
    for (hash, vector) in &set.embeddings {
        embed.defer(params![set.embedder, hash, vector])?;
    }
    let mut insert = connection.prepare_cached(
        "INSERT INTO chunk (number, document, version, change, ordinal, heading, first_line, last_line, text, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut embedded = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM embedding WHERE model = ?1 AND hash = ?2)")?;
    let brought: HashSet<&str> = set
        .embeddings
        .iter()
        .map(|(hash, _)| hash.as_str())
        .collect();
    for (ordinal, chunk) in set.chunks.iter().enumerate() {
        let there = brought.contains(chunk.hash.as_str())
            || embedded.query_row([&set.embedder, &chunk.hash], |row| row.get(0))?;
        if !there {
            return Err(WriteError::Invalid(format!(
                "chunk {ordinal} of document {} has no embedding",
                set.document
            )));
        }
        insert.defer(params![
            batch.next_chunk(),
            set.document,
            set.version,
            change,
            ordinal,
            chunk.heading,
            chunk.first_line,
            chunk.last_line,
            chunk.text,
            chunk.hash
        ])?;
    }
    let state = IndexedState {
        change,
        version: set.version,
        digest: set.digest.as_str().to_owned(),
        embedder: set.embedder.clone(),
        chunks: set.chunks.len() as u64,
    };
    record(connection, &set.document, &state, now)
}

pub(super) fn remove(
    connection: &Connection,
    document: &str,
    embedder: &str,
    batch: &mut Batch,
    now: Millis,
) -> Result<(), WriteError> {
    let change = replace(connection, document, batch)?;
    let state = IndexedState {
        change,
        version: 0,
        digest: String::new(),
        embedder: embedder.to_owned(),
        chunks: 0,
    };
    record(connection, document, &state, now)
}

/// Marks the document's present chunks as replaced by a new change; gives its number.
fn replace(connection: &Connection, document: &str, batch: &mut Batch) -> Result<u64, WriteError> {
    let change = batch.next_change();
    connection
        .prepare_cached(
            "UPDATE chunk SET replaced_by = ?2 WHERE document = ?1 AND replaced_by IS NULL",
        )?
        .defer(params![document, change])?;
    Ok(change)
}

fn record(
    connection: &Connection,
    document: &str,
    state: &IndexedState,
    now: Millis,
) -> Result<(), WriteError> {
    connection
        .prepare_cached(
            "INSERT INTO indexed (document, change, version, digest, embedder, chunks, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (document) DO UPDATE SET change = excluded.change, version = excluded.version,
               digest = excluded.digest, embedder = excluded.embedder, chunks = excluded.chunks, at = excluded.at",
        )?
        .defer(params![
            document,
            state.change,
            state.version,
            state.digest,
            state.embedder,
            state.chunks,
            now
        ])?;
    Ok(())
}

/// Removes chunks that were replaced at or before `position`.
pub(super) fn prune(
    connection: &Connection,
    position: u64,
    slice: usize,
) -> Result<usize, WriteError> {
    let gone = connection.execute(
        "DELETE FROM chunk WHERE number IN
           (SELECT number FROM chunk WHERE replaced_by <= ?1 ORDER BY replaced_by LIMIT ?2)",
        params![position, slice],
    )?;
    Ok(gone)
}

/// Embeddings that no chunk uses, or only chunks that were made with another model.
pub(super) const UNUSED_EMBEDDINGS: &str = "SELECT model, hash FROM embedding e WHERE NOT EXISTS (
       SELECT 1 FROM chunk c JOIN indexed i ON i.document = c.document
       WHERE c.hash = e.hash AND i.embedder = e.model) LIMIT ?1";

/// Removes embeddings that are not used.
pub(super) fn prune_embeddings(connection: &Connection, slice: usize) -> Result<usize, WriteError> {
    let sql = format!("DELETE FROM embedding WHERE (model, hash) IN ({UNUSED_EMBEDDINGS})");
    Ok(connection.execute(&sql, [slice])?)
}

/// Number, heading, lines, text and hash of a chunk, in the columns from `from` on.
fn chunk_row(row: &sql::Row<'_>, from: usize) -> sql::Result<ChunkRow> {
    Ok(ChunkRow {
        number: row.get(from)?,
        heading: row.get(from + 1)?,
        first_line: row.get(from + 2)?,
        last_line: row.get(from + 3)?,
        text: row.get(from + 4)?,
        hash: row.get(from + 5)?,
        vector: None,
    })
}

/// Id, collection, path and digest of a document, in the first columns.
fn source(row: &sql::Row<'_>) -> sql::Result<ChunkSource> {
    Ok(ChunkSource {
        document: row.get(0)?,
        collection: row.get(1)?,
        path: row.get(2)?,
        digest: row.get(3)?,
    })
}

impl Store {
    /// What the store has of a document's chunks.
    pub async fn indexed(&self, document: String) -> Result<Option<IndexedState>, ReadError> {
        self.read("chunks", move |connection| {
            connection
                .prepare_cached("SELECT change, version, digest, embedder, chunks FROM indexed WHERE document = ?1")?
                .query_row([document], |row| {
                    Ok(IndexedState {
                        change: row.get(0)?,
                        version: row.get(1)?,
                        digest: row.get(2)?,
                        embedder: row.get(3)?,
                        chunks: row.get(4)?,
                    })
                })
                .optional()
        })
        .await
    }

    /// Which of `hashes` have an embedding of this model.
    pub async fn embedded(
        &self,
        model: String,
        hashes: Vec<String>,
    ) -> Result<Vec<String>, ReadError> {
        self.read("embeddings", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM embedding WHERE model = ?1 AND hash = ?2)",
            )?;
            let mut known = Vec::new();
            for hash in hashes {
                if select.query_row([&model, &hash], |row| row.get(0))? {
                    known.push(hash);
                }
            }
            Ok(known)
        })
        .await
    }

    /// The next batch of the feed after `position`: whole documents, until there are `chunks_max` chunks.
    pub async fn feed(&self, position: u64, chunks_max: usize) -> Result<Feed, ReadError> {
        self.read("the index's feed", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT i.document, d.collection, d.path, i.digest, i.change, i.embedder
                 FROM indexed i JOIN document d ON d.id = i.document WHERE i.change > ?1 ORDER BY i.change LIMIT ?2",
            )?;
            let mut rows = select.query(params![position, chunks_max + 1])?;
            let newest = newest_event(connection)?;
            let mut feed = Feed { position, newest, ..Feed::default() };
            let mut count = 0;
            while let Some(row) = rows.next()? {
                if count >= chunks_max || feed.changes.len() >= chunks_max {
                    feed.more = true;
                    break;
                }
                let source = source(&row)?;
                let embedder: String = row.get(5)?;
                let chunks = chunks_of(connection, &source.document, &embedder)?;
                count += chunks.len();
                feed.position = row.get(4)?;
                feed.changes.push(FeedChange {
                    change: feed.position,
                    source,
                    chunks,
                });
            }
            Ok(feed)
        })
        .await
    }

    /// Whether this event is in the store, or was: old ones are pruned. False: the store was restored from before it.
    pub(crate) async fn has_had(&self, event: NewestEvent) -> Result<bool, ReadError> {
        self.read("an event that the index has seen", move |connection| {
            let id: Option<EventId> = connection
                .prepare_cached("SELECT id FROM event WHERE seq = ?1")?
                .query_row([event.seq], |row| row.get(0))
                .optional()?;
            match id {
                Some(id) => Ok(id == event.id),
                None => Ok(newest_event(connection)?.is_some_and(|newest| newest.seq > event.seq)),
            }
        })
        .await
    }

    /// The chunks that an index which stands at `position` has, with their vectors but without heading and text, by document
    /// and number, from the one after `after` on. Exact whatever is committed meanwhile, as long as what was replaced after
    /// `position` is not pruned.
    pub async fn chunks_at(
        &self,
        position: u64,
        after: (String, u64),
        limit: usize,
    ) -> Result<Vec<(ChunkSource, ChunkRow)>, ReadError> {
        self.read("vectors", move |connection| {
            connection
                .prepare_cached(
                    "SELECT c.document, d.collection, d.path, '', c.number, c.first_line, c.last_line, e.vector
                     FROM chunk c JOIN document d ON d.id = c.document JOIN indexed i ON i.document = c.document
                     LEFT JOIN embedding e ON e.model = i.embedder AND e.hash = c.hash
                     WHERE (c.document > ?2 OR (c.document = ?2 AND c.number > ?3)) AND c.change <= ?1
                       AND (c.replaced_by IS NULL OR c.replaced_by > ?1)
                     ORDER BY c.document, c.number LIMIT ?4",
                )?
                .query_map(params![position, after.0, after.1, limit], |row| {
                    let chunk = ChunkRow {
                        number: row.get(4)?,
                        first_line: row.get(5)?,
                        last_line: row.get(6)?,
                        vector: row.get(7)?,
                        ..ChunkRow::default()
                    };
                    Ok((source(row)?, chunk))
                })?
                .collect()
        })
        .await
    }

    /// The chunks of these numbers, without their vectors, in the order asked for; what is no longer there is left out.
    pub async fn chunks(
        &self,
        numbers: Vec<u64>,
    ) -> Result<Vec<(ChunkSource, ChunkRow)>, ReadError> {
        self.read("chunks", move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT c.document, d.collection, d.path, v.digest,
                   c.number, c.heading, c.first_line, c.last_line, c.text, c.hash
                 FROM chunk c JOIN document d ON d.id = c.document
                 JOIN document_version v ON v.document = c.document AND v.version = c.version
                 WHERE c.number = ?1",
            )?;
            let mut found = Vec::with_capacity(numbers.len());
            for number in numbers {
                let chunk = select
                    .query_row([number], |row| Ok((source(row)?, chunk_row(row, 4)?)))
                    .optional()?;
                found.extend(chunk);
            }
            Ok(found)
        })
        .await
    }

    /// Documents whose chunks are missing, of another version or of another embedder, and rejected ones that may be
    /// read otherwise now, by collection and path from the one after `after` on; at most `limit`.
    pub async fn stale_documents(
        &self,
        embedder: String,
        after: (String, Vec<u8>),
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        self.read("documents that are not in the index", move |connection| {
            connection
                .prepare_cached(
                    "SELECT d.collection, d.path FROM document d LEFT JOIN indexed i ON i.document = d.id
                     WHERE (d.collection, d.path) > (?2, ?3)
                       AND ((d.state = 'stored' AND (i.document IS NULL OR i.digest <> d.digest OR i.embedder <> ?1))
                         OR (d.state = 'rejected' AND (i.document IS NULL OR i.embedder <> ?1))
                         OR (d.state <> 'stored' AND i.chunks > 0))
                     ORDER BY d.collection, d.path LIMIT ?4",
                )?
                .query_map(params![embedder, after.0, after.1, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    /// How many chunks belong into the index.
    pub async fn chunk_count(&self) -> Result<u64, ReadError> {
        self.read("chunks", move |connection| {
            connection.query_row(
                "SELECT CAST(COALESCE(SUM(chunks), 0) AS BIGINT) FROM indexed",
                [],
                |row| row.get(0),
            )
        })
        .await
    }
}

fn chunks_of(
    connection: &Connection,
    document: &str,
    embedder: &str,
) -> sql::Result<Vec<ChunkRow>> {
    connection
        .prepare_cached(
            "SELECT c.number, c.heading, c.first_line, c.last_line, c.text, c.hash, e.vector
             FROM chunk c LEFT JOIN embedding e ON e.model = ?2 AND e.hash = c.hash
             WHERE c.document = ?1 AND c.replaced_by IS NULL ORDER BY c.ordinal",
        )?
        .query_map([document, embedder], |row| {
            Ok(ChunkRow {
                vector: row.get(6)?,
                ..chunk_row(row, 0)?
            })
        })?
        .collect()
}
