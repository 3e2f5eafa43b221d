//! What is known of every file in scope, and which scans are wanted.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};

use super::captures::{Digest, FileStat};
use super::{ReadError, Store, WriteError, decode};
use crate::event::Millis;

/// How a file stands in the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FileState {
    /// Its bytes are in the store.
    Captured,
    /// Its type is not one that docent reads.
    Unsupported,
    /// It is larger than the limit; it was not read.
    TooLarge,
    /// It could not be read.
    Unreadable,
}

impl FileState {
    /// As it stands in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            FileState::Captured => "captured",
            FileState::Unsupported => "unsupported",
            FileState::TooLarge => "too large",
            FileState::Unreadable => "unreadable",
        }
    }

    pub(super) fn read(text: &str) -> Result<Self, String> {
        [
            FileState::Captured,
            FileState::Unsupported,
            FileState::TooLarge,
            FileState::Unreadable,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
        .ok_or_else(|| format!("there is no file state `{text}`"))
    }
}

/// One row of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    /// The collection.
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// How it stands.
    pub state: FileState,
    /// The digest of its bytes, if they are captured.
    pub digest: Option<Digest>,
    /// What the file system said when it was looked at.
    pub stat: FileStat,
    /// Why it is not captured.
    pub reason: Option<String>,
}

/// A row as it is read: the same.
pub type ManifestRow = ManifestEntry;

/// A scan that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanWish {
    /// Rises with every wish.
    pub id: u64,
    /// The collection.
    pub collection: String,
    /// Only this path.
    pub path: Option<Vec<u8>>,
    /// Why.
    pub reason: String,
}

/// The last scan of a collection that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRow {
    /// The collection.
    pub collection: String,
    /// When it began.
    pub began_at: Millis,
    /// When every file that it saw was captured or reported.
    pub ended_at: Millis,
    /// How many files it saw.
    pub files: u64,
}

const COLUMNS: &str =
    "collection, path, state, digest, size, mtime_ns, ctime_ns, device, inode, reason";

fn entry(row: &Row<'_>) -> rusqlite::Result<ManifestEntry> {
    decode::of("manifest", |row| {
        Ok(ManifestEntry {
            collection: row.get(0)?,
            path: row.get(1)?,
            state: row.get(2)?,
            digest: row.get(3)?,
            stat: FileStat {
                size: row.get(4)?,
                mtime_ns: row.get(5)?,
                ctime_ns: row.get(6)?,
                device: u64::from_ne_bytes(row.get::<_, i64>(7)?.to_ne_bytes()),
                inode: u64::from_ne_bytes(row.get::<_, i64>(8)?.to_ne_bytes()),
            },
            reason: row.get(9)?,
        })
    })(row)
}

pub(super) fn put(connection: &Connection, entry: &ManifestEntry) -> Result<(), WriteError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO manifest (collection, path, state, digest, size, mtime_ns, ctime_ns, device, inode, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT (collection, path) DO UPDATE SET state = excluded.state, digest = excluded.digest,
           size = excluded.size, mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,
           device = excluded.device, inode = excluded.inode, reason = excluded.reason",
    )?;
    put.execute(params![
        entry.collection,
        entry.path,
        entry.state.as_str(),
        entry.digest.as_ref().map(Digest::as_str),
        entry.stat.size,
        entry.stat.mtime_ns,
        entry.stat.ctime_ns,
        i64::from_ne_bytes(entry.stat.device.to_ne_bytes()),
        i64::from_ne_bytes(entry.stat.inode.to_ne_bytes()),
        entry.reason,
    ])?;
    Ok(())
}

pub(super) fn remove(
    connection: &Connection,
    collection: &str,
    path: &[u8],
) -> Result<(), WriteError> {
    connection
        .prepare_cached("DELETE FROM manifest WHERE collection = ?1 AND path = ?2")?
        .execute(params![collection, path])?;
    Ok(())
}

/// The digest in the manifest row of a path, if there is a row with one.
pub(super) fn digest_of(
    connection: &Connection,
    collection: &str,
    path: &[u8],
) -> Result<Option<Digest>, WriteError> {
    let digest = connection
        .prepare_cached("SELECT digest FROM manifest WHERE collection = ?1 AND path = ?2")?
        .query_row(params![collection, path], |row| row.get(0))
        .optional()?;
    Ok(digest.flatten())
}

pub(super) fn want_scan(
    connection: &Connection,
    collection: &str,
    path: Option<&[u8]>,
    reason: &str,
    now: Millis,
) -> Result<(), WriteError> {
    connection.execute(
        "INSERT INTO scan_wanted (id, collection, path, reason, at)
         VALUES ((SELECT COALESCE(MAX(id), 0) + 1 FROM scan_wanted), ?1, ?2, ?3, ?4)",
        params![collection, path, reason, now.0],
    )?;
    Ok(())
}

/// Forgets when collections were scanned last that have not been since `before`: they left the config.
pub(super) fn prune(connection: &Connection, before: Millis) -> Result<usize, WriteError> {
    let gone = connection.execute("DELETE FROM scan WHERE ended_at < ?1", [before.0])?;
    Ok(gone)
}

pub(super) fn end_scan(
    connection: &Connection,
    collection: &str,
    up_to: u64,
    (began_at, now): (i64, Millis),
    files: u64,
) -> Result<(), WriteError> {
    connection.execute(
        "DELETE FROM scan_wanted WHERE collection = ?1 AND id <= ?2",
        params![collection, up_to],
    )?;
    connection.execute(
        "INSERT INTO scan (collection, began_at, ended_at, files) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (collection) DO UPDATE SET began_at = excluded.began_at, ended_at = excluded.ended_at, files = excluded.files",
        params![collection, began_at, now.0, files],
    )?;
    Ok(())
}

impl Store {
    /// The manifest row of a path.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn manifest_row(
        &self,
        collection: &str,
        path: &[u8],
    ) -> Result<Option<ManifestRow>, ReadError> {
        let (collection, path) = (collection.to_owned(), path.to_owned());
        self.read("the manifest", move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM manifest WHERE collection = ?1 AND path = ?2");
            connection
                .prepare_cached(&sql)?
                .query_row(params![collection, path], entry)
                .optional()
        })
        .await
    }

    /// Manifest rows of a collection in the order of their paths (by bytes), from the one after `after` on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn manifest_rows(
        &self,
        collection: &str,
        after: &[u8],
        limit: usize,
    ) -> Result<Vec<ManifestRow>, ReadError> {
        let (collection, after) = (collection.to_owned(), after.to_owned());
        self.read("the manifest", move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM manifest WHERE collection = ?1 AND path > ?2 ORDER BY path LIMIT ?3"
            );
            connection
                .prepare_cached(&sql)?
                .query_map(params![collection, after, limit], entry)?
                .collect()
        })
        .await
    }

    /// The collections that the manifest has rows of.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn manifest_collections(&self) -> Result<Vec<String>, ReadError> {
        self.read("the manifest", move |connection| {
            connection
                .prepare("SELECT DISTINCT collection FROM manifest ORDER BY collection")?
                .query_map([], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// The scans that are wanted, oldest first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn scan_wishes(&self) -> Result<Vec<ScanWish>, ReadError> {
        self.read("wanted scans", move |connection| {
            connection
                .prepare_cached(
                    "SELECT id, collection, path, reason FROM scan_wanted ORDER BY id LIMIT 10000",
                )?
                .query_map([], |row| {
                    Ok(ScanWish {
                        id: row.get(0)?,
                        collection: row.get(1)?,
                        path: row.get(2)?,
                        reason: row.get(3)?,
                    })
                })?
                .collect()
        })
        .await
    }

    /// The last scan of each collection that ended.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn scans(&self) -> Result<Vec<ScanRow>, ReadError> {
        self.read("scans", move |connection| {
            connection
                .prepare_cached(
                    "SELECT collection, began_at, ended_at, files FROM scan ORDER BY collection",
                )?
                .query_map([], |row| {
                    Ok(ScanRow {
                        collection: row.get(0)?,
                        began_at: Millis(row.get(1)?),
                        ended_at: Millis(row.get(2)?),
                        files: row.get(3)?,
                    })
                })?
                .collect()
        })
        .await
    }
}
