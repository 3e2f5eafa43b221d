//! What is known of every file in scope, and which scans are wanted.

use super::sql::{self, Connection, Optional, Row, params};
use serde::{Deserialize, Serialize};

use super::decode::stored_as_text;
use super::digest::Digest;
use super::readers::column;
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
    /// It holds a secret; its bytes are not kept.
    Withheld,
}

stored_as_text! { FileState, "file state":
    Captured = "captured",
    Unsupported = "unsupported",
    TooLarge = "too large",
    Unreadable = "unreadable",
    Withheld = "withheld",
}

/// What the file system says of a file: enough to see that it did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FileStat {
    pub size: u64,
    /// Last modification, nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Last change of the inode, nanoseconds since 1970.
    pub ctime_ns: i64,
    /// The device it is on.
    pub device: u64,
    pub inode: u64,
}

/// One row of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ManifestEntry {
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    pub state: FileState,
    /// The digest of its bytes, if they are captured.
    pub digest: Option<Digest>,
    /// What the file system told when the file was last read.
    pub stat: FileStat,
    /// Why it is not captured.
    pub reason: Option<String>,
}

/// The directory that the files of a collection were taken from, and by what they were found to be secrets or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownTree {
    /// Its path in the config, exact bytes.
    pub path: Vec<u8>,
    /// The device that it is on.
    pub device: u64,
    pub inode: u64,
    /// When it was made, nanoseconds since 1970; 0 where the file system does not tell.
    pub born_ns: i64,
    /// What identifies the rules by which the files that are known were judged.
    pub judged_by: String,
}

/// The name of the fact that a [`KnownTree`] is.
pub(super) const TREE: &str = "tree/";

/// A row as it is read: the same.
pub(crate) type ManifestRow = ManifestEntry;

/// A scan that was requested and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRequest {
    /// Rises with every request.
    pub id: u64,
    pub collection: String,
    pub path: Option<Vec<u8>>,
    pub reason: String,
}

/// The last scan of a collection that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRow {
    pub collection: String,
    pub began_at: Millis,
    /// When every file that it saw was captured or reported.
    pub ended_at: Millis,
    /// How many files it saw.
    pub files: u64,
}

const COLUMNS: &str =
    "collection, path, state, digest, size, mtime_ns, ctime_ns, device, inode, reason";

fn entry(row: &Row<'_>) -> sql::Result<ManifestEntry> {
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
                device: u64::from_ne_bytes(row.get::<i64>(7)?.to_ne_bytes()),
                inode: u64::from_ne_bytes(row.get::<i64>(8)?.to_ne_bytes()),
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
    put.defer(params![
        entry.collection,
        entry.path,
        entry.state,
        entry.digest,
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

pub(super) fn request_scan(
    connection: &Connection,
    collection: &str,
    path: Option<&[u8]>,
    reason: &str,
    now: Millis,
) -> Result<(), WriteError> {
    // An id is never given again: whoever waits for a request knows it by that.
    connection.execute(
        "INSERT INTO counter (name, value) SELECT 'scan_request', COALESCE(MAX(id), 0) + 1 FROM scan_wanted WHERE TRUE
         ON CONFLICT (name) DO UPDATE SET value =
           CASE WHEN excluded.value > counter.value THEN excluded.value ELSE counter.value + 1 END",
        [],
    )?;
    connection.execute(
        "INSERT INTO scan_wanted (id, collection, path, reason, at)
         VALUES ((SELECT value FROM counter WHERE name = 'scan_request'), ?1, ?2, ?3, ?4)",
        params![collection, path, reason, now],
    )?;
    Ok(())
}

/// Forgets when collections were scanned last that have not been since `before`: they left the config.
pub(super) fn prune(connection: &Connection, before: Millis) -> Result<usize, WriteError> {
    connection.execute(
        "DELETE FROM meta WHERE name IN (SELECT ?2 || collection FROM scan WHERE ended_at < ?1)",
        params![before, TREE],
    )?;
    let gone = connection.execute("DELETE FROM scan WHERE ended_at < ?1", [before])?;
    Ok(gone)
}

/// A scan that served the requests up to `up_to` has ended.
pub(super) fn end_scan(
    connection: &Connection,
    up_to: u64,
    scan: &ScanRow,
) -> Result<(), WriteError> {
    connection.execute(
        "DELETE FROM scan_wanted WHERE collection = ?1 AND id <= ?2",
        params![scan.collection, up_to],
    )?;
    connection.execute(
        "INSERT INTO scan (collection, began_at, ended_at, files) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (collection) DO UPDATE SET began_at = excluded.began_at, ended_at = excluded.ended_at, files = excluded.files",
        params![scan.collection, scan.began_at, scan.ended_at, scan.files],
    )?;
    Ok(())
}

impl Store {
    /// The files in scope that were changed at `since` or later, by what the file system said: of each collection the paths.
    pub async fn files_since(
        &self,
        since: Millis,
    ) -> Result<Vec<(String, Vec<Vec<u8>>)>, ReadError> {
        let since = since.0.saturating_mul(1_000_000);
        self.read("the manifest", move |connection| {
            let mut select = connection
                .prepare_cached("SELECT collection, path FROM manifest WHERE mtime_ns >= ?1")?;
            let mut rows = select.query([since])?;
            let mut files: Vec<(String, Vec<Vec<u8>>)> = Vec::new();
            while let Some(row) = rows.next()? {
                let (collection, path) = (row.get(0)?, row.get(1)?);
                // There are few of them.
                match files.iter_mut().find(|(known, _)| *known == collection) {
                    Some((_, paths)) => paths.push(path),
                    None => files.push((collection, vec![path])),
                }
            }
            Ok(files)
        })
        .await
    }

    /// The manifest row of a path.
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

    /// What is known of a collection's root; `None`: it was never scanned.
    pub async fn known_tree(&self, collection: &str) -> Result<Option<KnownTree>, ReadError> {
        let value = self.remembered(&format!("{TREE}{collection}")).await?;
        let read = |text: String| serde_json::from_str(&text);
        value.map(read).transpose().map_err(|error| ReadError {
            what: "what a root is known to be",
            cause: error.to_string(),
            is_away: false,
        })
    }

    /// Other paths of the file with this stat's device and inode, at most `limit` of them, whose rows do not say this stat.
    pub async fn other_names(
        &self,
        stat: FileStat,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ReadError> {
        let signed = |number: u64| i64::from_ne_bytes(number.to_ne_bytes());
        self.read("the manifest", move |connection| {
            connection
                .prepare_cached(
                    "SELECT collection, path FROM manifest WHERE inode = ?1 AND device = ?2
                       AND NOT (size = ?3 AND mtime_ns = ?4 AND ctime_ns = ?5) LIMIT ?6",
                )?
                .query_map(
                    params![
                        signed(stat.inode),
                        signed(stat.device),
                        stat.size,
                        stat.mtime_ns,
                        stat.ctime_ns,
                        limit
                    ],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )?
                .collect()
        })
        .await
    }

    /// The collections that the manifest has rows of.
    pub async fn manifest_collections(&self) -> Result<Vec<String>, ReadError> {
        self.read("the manifest", move |connection| {
            let sql = "SELECT DISTINCT collection FROM manifest ORDER BY collection";
            column(connection, sql, [])
        })
        .await
    }

    /// The scan requests, oldest first.
    pub async fn scan_requests(&self) -> Result<Vec<ScanRequest>, ReadError> {
        self.read("scan requests", move |connection| {
            connection
                .prepare_cached(
                    "SELECT id, collection, path, reason FROM scan_wanted ORDER BY id LIMIT 10000",
                )?
                .query_map([], |row| {
                    Ok(ScanRequest {
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
    pub async fn scans(&self) -> Result<Vec<ScanRow>, ReadError> {
        self.read("scans", move |connection| {
            connection
                .prepare_cached(
                    "SELECT collection, began_at, ended_at, files FROM scan ORDER BY collection",
                )?
                .query_map([], |row| {
                    Ok(ScanRow {
                        collection: row.get(0)?,
                        began_at: row.get(1)?,
                        ended_at: row.get(2)?,
                        files: row.get(3)?,
                    })
                })?
                .collect()
        })
        .await
    }
}
