//! Documents and their versions.

use super::sql::{self, Connection, Optional, Row, params};
use serde::{Deserialize, Serialize};

use super::decode::stored_as_text;
use super::digest::Digest;
use super::readers::column;
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
        .defer(params![
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
        .defer(params![
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
        .defer(params![
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

fn document(row: &Row<'_>) -> sql::Result<DocumentRow> {
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
