//! Documents and their versions.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::decode::stored_as_text;
use super::digest::Digest;
use super::manifest::FileState;
use super::readers::{column, page};
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;

/// How a document stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DocumentState {
    /// Its present version is kept and belongs into the index.
    Stored,
    /// Its present version is no document that docent can keep.
    Rejected,
    /// Its file is gone.
    Removed,
}

stored_as_text! { DocumentState, "document state":
    Stored = "stored",
    Rejected = "rejected",
    Removed = "removed",
}

/// A version as a handler gives it: the present one of its document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentVersion {
    pub document: String,
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// From 1; the same as before if the content is.
    pub version: u32,
    /// The digest of the bytes.
    pub digest: Digest,
    pub size: u64,
    pub state: DocumentState,
    /// Why it is rejected; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
    pub kind: String,
}

/// A document as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentRow {
    pub id: String,
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    pub version: u32,
    /// The digest of the present version.
    pub digest: Digest,
    pub state: DocumentState,
    /// Why it is rejected; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
    pub kind: String,
}

/// A version as it is read.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    pub version: u32,
    /// The digest of its bytes.
    pub digest: Digest,
    pub size: u64,
    pub state: DocumentState,
    /// Why it is rejected; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
    /// When it was stored.
    pub at: Millis,
}

/// A file in scope, for a list: from the manifest and, if it is captured, from its document.
#[derive(Debug, Clone, PartialEq)]
pub struct ListedDocument {
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// The present version; 0 if nothing was read.
    pub version: u32,
    /// The digest of the present version.
    pub digest: Option<Digest>,
    /// `stored`, `rejected`, `unsupported`, `unreadable`, `withheld`, or `captured` while it waits for its handler.
    pub state: String,
    /// Why, unless stored; of a stored one, what is wrong in it.
    pub reason: Option<String>,
    pub title: Option<String>,
}

pub(super) fn put(
    connection: &Connection,
    version: &DocumentVersion,
    kept: u32,
    now: Millis,
) -> Result<(), WriteError> {
    connection
        .prepare_cached(
            "INSERT INTO document (id, collection, path, version, digest, state, reason, title, kind, changed_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, digest = excluded.digest, state = excluded.state,
               reason = excluded.reason, title = excluded.title, kind = excluded.kind, changed_at = excluded.changed_at",
        )?
        .execute(params![
            version.document,
            version.collection,
            version.path,
            version.version,
            version.digest,
            version.state,
            version.reason,
            version.title,
            version.kind,
            now
        ])?;
    connection
        .prepare_cached(
            "INSERT INTO document_version (document, version, digest, size, state, reason, title, at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (document, version) DO UPDATE SET state = excluded.state, reason = excluded.reason, title = excluded.title",
        )?
        .execute(params![
            version.document,
            version.version,
            version.digest,
            version.size,
            version.state,
            version.reason,
            version.title,
            now
        ])?;
    connection
        .prepare_cached("DELETE FROM document_version WHERE document = ?1 AND version <= ?2")?
        .execute(params![
            version.document,
            version.version.saturating_sub(kept.max(1))
        ])?;
    Ok(())
}

pub(super) fn remove(
    connection: &Connection,
    document: &str,
    now: Millis,
) -> Result<(), WriteError> {
    connection
        .prepare_cached("UPDATE document SET state = 'removed', changed_at = ?2 WHERE id = ?1")?
        .execute(params![document, now])?;
    Ok(())
}

/// Forgets documents that were removed before `before`, with their versions.
pub(super) fn prune(
    connection: &Connection,
    before: Millis,
    slice: usize,
) -> Result<usize, WriteError> {
    let ids: Vec<String> = column(
        connection,
        // One whose chunks are still there (rag is off) stays until they are gone: nobody would find them without it.
        "SELECT id FROM document WHERE state = 'removed' AND changed_at < ?1
           AND NOT EXISTS (SELECT 1 FROM indexed i WHERE i.document = document.id AND i.chunks > 0) LIMIT ?2",
        params![before, slice],
    )?;
    for id in &ids {
        connection.execute("DELETE FROM document_version WHERE document = ?1", [id])?;
        connection.execute(
            "DELETE FROM indexed WHERE document = ?1 AND chunks = 0",
            [id],
        )?;
        connection.execute("DELETE FROM document WHERE id = ?1", [id])?;
    }
    Ok(ids.len())
}

const COLUMNS: &str = "id, collection, path, version, digest, state, reason, title, kind";

fn document(row: &Row<'_>) -> rusqlite::Result<DocumentRow> {
    decode::of("document", |row| {
        Ok(DocumentRow {
            id: row.get(0)?,
            collection: row.get(1)?,
            path: row.get(2)?,
            version: row.get(3)?,
            digest: row.get(4)?,
            state: row.get(5)?,
            reason: row.get(6)?,
            title: row.get(7)?,
            kind: row.get(8)?,
        })
    })(row)
}

/// What there is in a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CollectionCounts {
    /// Documents that are stored.
    pub(crate) documents: u64,
    /// Files in scope.
    pub(crate) files: u64,
    /// Chunks that belong into the index.
    pub(crate) chunks: u64,
    /// How many files are in each state.
    pub(crate) states: BTreeMap<String, u64>,
}

/// Files by the state of the manifest become files by the state of their documents, where there are documents.
fn merge(files: &mut BTreeMap<String, u64>, documents: BTreeMap<String, u64>) {
    // What was captured is what its document is, once there is one.
    let mut captured = files.remove("captured").unwrap_or(0);
    let too_large = files.remove("too large").unwrap_or(0);
    for (state, count) in documents {
        let count = count.min(captured);
        captured -= count;
        files.insert(state, count);
    }
    for (state, count) in [("captured", captured), ("rejected", too_large)] {
        if count > 0 {
            *files.entry(state.to_owned()).or_default() += count;
        }
    }
}

/// How many files are in each state, of one collection or of all.
fn states_in(
    connection: &Connection,
    collection: Option<&str>,
) -> rusqlite::Result<BTreeMap<String, u64>> {
    let counts = |sql: &str| -> rusqlite::Result<BTreeMap<String, u64>> {
        connection
            .prepare_cached(sql)?
            .query_map([collection], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
    };
    let mut files = counts(
        "SELECT state, COUNT(*) FROM manifest WHERE ?1 IS NULL OR collection = ?1 GROUP BY state",
    )?;
    let documents = counts(
        "SELECT state, COUNT(*) FROM document WHERE state <> 'removed' AND (?1 IS NULL OR collection = ?1) GROUP BY state",
    )?;
    merge(&mut files, documents);
    Ok(files)
}

impl Store {
    /// The document at a path, also a removed one.
    pub async fn document_at(
        &self,
        collection: &str,
        path: &[u8],
    ) -> Result<Option<DocumentRow>, ReadError> {
        let (collection, path) = (collection.to_owned(), path.to_owned());
        self.read("a document", move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM document WHERE collection = ?1 AND path = ?2");
            connection
                .prepare_cached(&sql)?
                .query_row(params![collection, path], document)
                .optional()
        })
        .await
    }

    /// Documents of a collection that are not removed, by path, from the one after `after` on.
    pub async fn documents_of(
        &self,
        collection: &str,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<DocumentRow>, ReadError> {
        let (collection, after) = (collection.to_owned(), after.to_owned());
        self.read("documents", move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM document WHERE collection = ?1 AND path > ?2 AND state <> 'removed' ORDER BY path LIMIT ?3"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(params![collection, after, limit], document)?
                .collect()
        })
        .await
    }

    /// How many documents are stored, and how many files are in scope.
    pub async fn document_counts(&self) -> Result<(u64, u64), ReadError> {
        self.read("documents", move |connection| {
            let stored = connection.query_row(
                "SELECT COUNT(*) FROM document WHERE state = 'stored'",
                [],
                |row| row.get(0),
            )?;
            let files =
                connection.query_row("SELECT COUNT(*) FROM manifest", [], |row| row.get(0))?;
            Ok((stored, files))
        })
        .await
    }

    /// How many files in scope are in each state, as [`Store::listed_documents`] names them.
    pub async fn file_states(&self) -> Result<BTreeMap<String, u64>, ReadError> {
        self.read("files by state", |connection| states_in(connection, None))
            .await
    }

    /// The same of each collection that has files.
    pub(crate) async fn file_states_by_collection(
        &self,
    ) -> Result<BTreeMap<String, BTreeMap<String, u64>>, ReadError> {
        self.read("files by collection and state", |connection| {
            let counts = |sql: &str| -> rusqlite::Result<BTreeMap<String, BTreeMap<String, u64>>> {
                let mut select = connection.prepare_cached(sql)?;
                let mut rows = select.query([])?;
                let mut counts = BTreeMap::<String, BTreeMap<String, u64>>::new();
                while let Some(row) = rows.next()? {
                    let states = counts.entry(row.get(0)?).or_default();
                    states.insert(row.get(1)?, row.get(2)?);
                }
                Ok(counts)
            };
            let mut files = counts(
                "SELECT collection, state, COUNT(*) FROM manifest GROUP BY collection, state",
            )?;
            let mut documents = counts(
                "SELECT collection, state, COUNT(*) FROM document WHERE state <> 'removed' GROUP BY collection, state",
            )?;
            for (collection, states) in &mut files {
                merge(states, documents.remove(collection).unwrap_or_default());
            }
            Ok(files)
        })
        .await
    }

    /// The same and more of one collection.
    pub(crate) async fn counts_in(
        &self,
        collection: String,
    ) -> Result<CollectionCounts, ReadError> {
        self.read("documents of a collection", move |connection| {
            let count = |sql: &str| -> rusqlite::Result<u64> {
                connection
                    .prepare_cached(sql)?
                    .query_row([&collection], |row| row.get(0))
            };
            Ok(CollectionCounts {
                documents: count("SELECT COUNT(*) FROM document WHERE state = 'stored' AND collection = ?1")?,
                files: count("SELECT COUNT(*) FROM manifest WHERE collection = ?1")?,
                chunks: count(
                    "SELECT COALESCE(SUM(i.chunks), 0) FROM indexed i JOIN document d ON d.id = i.document
                     WHERE d.collection = ?1",
                )?,
                states: states_in(connection, Some(&collection))?,
            })
        })
        .await
    }

    /// A page of the files in scope, by collection and path, from the one after `after` on.
    pub async fn listed_documents(
        &self,
        collection: Option<String>,
        after: (String, Vec<u8>),
        limit: usize,
    ) -> Result<Vec<ListedDocument>, ReadError> {
        self.read("documents", move |connection| {
            let mut select = connection.prepare_cached(
                    "SELECT m.collection, m.path, COALESCE(d.version, 0), m.digest, m.state, m.reason, d.state, d.reason, d.title, d.digest
                     FROM manifest m LEFT JOIN document d
                       ON d.collection = m.collection AND d.path = m.path AND d.state <> 'removed'
                     WHERE (?1 IS NULL OR m.collection = ?1) AND (m.collection > ?2 OR (m.collection = ?2 AND m.path > ?3))
                     ORDER BY m.collection, m.path LIMIT ?4",
                )?;
            let rows = select.query(params![collection, after.0, after.1, limit])?;
            page(rows, decode::of("manifest", listed))
        })
        .await
    }

    /// The versions of a document, newest first.
    pub async fn versions(&self, document: String) -> Result<Vec<VersionRow>, ReadError> {
        self.read("versions", move |connection| {
            connection
                .prepare_cached(
                    "SELECT version, digest, size, state, reason, title, at FROM document_version
                     WHERE document = ?1 ORDER BY version DESC",
                )?
                .query_map([document], |row| {
                    Ok(VersionRow {
                        version: row.get(0)?,
                        digest: row.get(1)?,
                        size: row.get(2)?,
                        state: row.get(3)?,
                        reason: row.get(4)?,
                        title: row.get(5)?,
                        at: row.get(6)?,
                    })
                })?
                .collect()
        })
        .await
    }
}

fn listed(row: &Row<'_>) -> rusqlite::Result<ListedDocument> {
    let file: FileState = row.get(4)?;
    let document: Option<DocumentState> = row.get(6)?;
    let captured = file == FileState::Captured;
    let (state, reason) = match (file, document) {
        (FileState::Captured, Some(document)) => (document.as_str(), row.get(7)?),
        (FileState::TooLarge, _) => (DocumentState::Rejected.as_str(), row.get(5)?),
        (file, _) => (file.as_str(), row.get(5)?),
    };
    Ok(ListedDocument {
        collection: row.get(0)?,
        path: row.get(1)?,
        version: if captured { row.get(2)? } else { 0 },
        digest: if captured {
            row.get::<_, Option<Digest>>(9)?.or(row.get(3)?)
        } else {
            None
        },
        state: state.to_owned(),
        reason,
        title: row.get(8)?,
    })
}
