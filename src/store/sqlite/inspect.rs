//! Inspects the store without a daemon; nothing is changed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension};

use super::pages;
use crate::store::sql;
use crate::store::{StoreIdentity, lock, schema};

/// How the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inspection {
    /// There is none, or nothing in it.
    Absent,
    /// A daemon has it.
    InUse,
    /// Its pages are whole and its schema is one that this docent knows.
    Intact,
    /// It is of a later docent.
    Newer {
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// It was moved there.
    Moved(String),
    /// It is damaged, or no store.
    Damaged(String),
    /// It cannot be read.
    Unreadable(String),
}

/// What is wrong with a store that [`is_emptied`].
pub(in crate::store) const EMPTIED: &str =
    "the file is empty, though docent has built the index beside it from it";

/// Whether an empty file is what is left of a store: a new one would be made in its place.
pub(in crate::store) fn is_emptied(path: &Path) -> bool {
    let is_empty = |path: &Path| std::fs::metadata(path).map(|found| found.len() == 0);
    // A store that was never written back is in its log alone.
    let log_is_empty = is_empty(&path.with_extension("db-wal")).unwrap_or(true);
    has_index(path) && log_is_empty && is_empty(path).unwrap_or(false)
}

/// Whether there is an index, which only a store that was there can have left.
pub(in crate::store) fn has_index(path: &Path) -> bool {
    path.with_file_name("index").join("meta.json").exists()
}

/// Inspects the store in `data_dir`. Reads the whole file.
pub(crate) fn inspect(data_dir: &Path) -> Inspection {
    let path = data_dir.join("store.db");
    if lock::is_held(data_dir) {
        return Inspection::InUse;
    }
    match std::fs::metadata(&path) {
        Ok(_) if is_emptied(&path) => return Inspection::Damaged(EMPTIED.to_owned()),
        Ok(found) if found.len() == 0 => return Inspection::Absent,
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Inspection::Absent,
        Err(error) => return Inspection::Unreadable(error.to_string()),
    }
    examine(&path).unwrap_or_else(|error| match error.sqlite_error_code() {
        Some(
            ErrorCode::CannotOpen
            | ErrorCode::PermissionDenied
            | ErrorCode::ReadOnly
            | ErrorCode::SystemIoFailure
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked,
        ) => Inspection::Unreadable(error.to_string()),
        _ => Inspection::Damaged(error.to_string()),
    })
}

/// Which store is in `data_dir`; `None`: there is no store yet. It only reads, for a moment, so a daemon that has the store does
/// not notice.
///
/// # Errors
/// A sentence that says why it is not known.
pub(crate) fn identity_in(data_dir: &Path) -> Result<Option<StoreIdentity>, String> {
    let path = data_dir.join("store.db");
    match std::fs::metadata(&path) {
        Ok(found) if found.len() == 0 => return Ok(None),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot look at {}: {error}", path.display())),
    }
    let connection = read_only(&path).map(sql::Connection::Sqlite);
    let identity = connection.map_err(sql::Error::from);
    let identity = identity.and_then(|connection| StoreIdentity::read(&connection));
    identity
        .map(Some)
        .map_err(|error| format!("cannot read the id in {}: {error}", path.display()))
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if Path::new(&log).exists() {
        return Connection::open_with_flags(path, flags);
    }
    // Nobody has it and nothing is missing in it. SQLite would make the files of a log, and leave them behind.
    Connection::open_with_flags(immutable(path), flags | OpenFlags::SQLITE_OPEN_URI)
}

/// The URI of a file that nobody changes.
fn immutable(path: &Path) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let bytes = path.as_os_str().as_bytes().iter();
    let encoded: String = bytes
        .map(|byte| match plain(*byte) {
            true => char::from(*byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect();
    format!("file:{encoded}?immutable=1")
}

/// The schema of a file; 0 for an empty one.
fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn examine(path: &Path) -> rusqlite::Result<Inspection> {
    let connection = read_only(path)?;
    let found = version(&connection)?;
    if found > schema::VERSION {
        let known = schema::VERSION;
        return Ok(Inspection::Newer { found, known });
    }
    if let Some(fault) = pages::fault(&connection)? {
        return Ok(Inspection::Damaged(fault));
    }
    let moved = connection.query_row(
        "SELECT value FROM meta WHERE name = ?1",
        [schema::MOVED_TO],
        |row| row.get(0),
    );
    Ok(moved
        .optional()?
        .map_or(Inspection::Intact, Inspection::Moved))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn the_id_is_read_while_somebody_has_the_store_and_after_and_nothing_is_left_behind() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a b?#%41é");
        assert_eq!(identity_in(&folder), Ok(None));
        let (store, closer) = Store::open(&folder, crate::store::tests::options()).unwrap();
        let id = store.id().to_owned();
        let found = identity_in(&folder).unwrap().unwrap();
        assert_eq!(found.id(), id);
        drop(store);
        assert!(closer.close());
        let files = || {
            let entries = std::fs::read_dir(&folder).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = files();
        assert_eq!(identity_in(&folder), Ok(Some(found)));
        assert_eq!(inspect(&folder), Inspection::Intact);
        assert_eq!(files(), before);
        std::fs::write(folder.join("store.db"), "no store, but something").unwrap();
        let why = identity_in(&folder).unwrap_err();
        assert!(why.contains("store.db"), "{why}");
    }
}
