//! Captured bytes, by their digest: everything downstream works from these, so a file may change or vanish meanwhile.

use super::sql::{Connection, Optional, params};
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::manifest::{self, FileStat, FileState, ManifestEntry};
use super::{ReadError, Store, WriteError};

/// The bytes of a file, read once, with the manifest row that they replace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    pub collection: String,
    /// The path in it, exact bytes.
    pub path: Vec<u8>,
    /// The digest of the bytes.
    pub digest: Digest,
    /// The stat, equal before and after the read.
    pub stat: FileStat,
    /// The bytes as [`pack`] gives them; `None` if the store is known to hold them.
    pub packed: Option<Vec<u8>>,
    /// The digest of the manifest row that the capture was compared with. Another one is refused: somebody was faster.
    pub previous: Option<Digest>,
}

/// Bytes as they are stored: LZ4 with their length in front.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    lz4_flex::block::compress_prepend_size(bytes)
}

/// The bytes that [`pack`] stored; `None` if they are damaged.
pub(crate) fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    lz4_flex::block::decompress_size_prepended(packed).ok()
}

pub(super) fn apply(connection: &Connection, capture: &Capture) -> Result<(), WriteError> {
    let standing = manifest::digest_of(connection, &capture.collection, &capture.path)?;
    if standing != capture.previous {
        return Err(WriteError::Invalid(
            "the manifest row changed since the file was compared with it".to_owned(),
        ));
    }
    if let Some(packed) = &capture.packed {
        let mut insert = connection.prepare_cached(
            "INSERT INTO content (digest, size, packed) VALUES (?1, ?2, ?3) ON CONFLICT (digest) DO NOTHING",
        )?;
        insert.defer(params![capture.digest, capture.stat.size, packed])?;
    }
    let there: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM content WHERE digest = ?1)")?
        .query_row([&capture.digest], |row| row.get(0))?;
    if !there {
        return Err(WriteError::Invalid(format!(
            "the bytes of {} are not in the store",
            capture.digest
        )));
    }
    let entry = ManifestEntry {
        collection: capture.collection.clone(),
        path: capture.path.clone(),
        state: FileState::Captured,
        digest: Some(capture.digest.clone()),
        stat: capture.stat,
        reason: None,
    };
    manifest::put(connection, &entry)
}

/// Bytes that neither a manifest row nor a version names.
pub(super) const UNUSED_CONTENT: &str = "SELECT c.digest FROM content c
     WHERE NOT EXISTS (SELECT 1 FROM manifest m WHERE m.digest = c.digest)
       AND NOT EXISTS (SELECT 1 FROM document_version v WHERE v.digest = c.digest) LIMIT ?1";

/// Removes bytes that nothing names.
pub(super) fn prune(connection: &Connection, slice: usize) -> Result<usize, WriteError> {
    let sql = format!("DELETE FROM content WHERE digest IN ({UNUSED_CONTENT})");
    Ok(connection.execute(&sql, [slice])?)
}

impl Store {
    /// The bytes of this digest; `None` if the store does not hold them.
    ///
    /// # Errors
    /// The store cannot be read, or the bytes do not have their digest any more.
    pub async fn content(&self, digest: Digest) -> Result<Option<Vec<u8>>, ReadError> {
        let wanted = digest.clone();
        let packed = self
            .read("captured bytes", move |connection| {
                connection
                    .prepare_cached("SELECT packed FROM content WHERE digest = ?1")?
                    .query_row([digest], |row| row.get::<Vec<u8>>(0))
                    .optional()
            })
            .await?;
        let Some(packed) = packed else {
            return Ok(None);
        };
        match unpack(&packed).filter(|bytes| Digest::of(bytes) == wanted) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(ReadError {
                what: "captured bytes",
                is_away: false,
                cause: format!("the bytes of {wanted} are damaged in the store"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_as_they_were_packed_and_damage_is_seen() {
        let bytes = b"# Title\n".repeat(1000);
        let mut packed = pack(&bytes);
        assert!(packed.len() < bytes.len() / 10);
        assert_eq!(unpack(&packed).unwrap(), bytes);
        packed.truncate(packed.len() / 2);
        assert_eq!(unpack(&packed), None);
    }
}
