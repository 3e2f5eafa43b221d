//! A look at the store's file without a daemon: nothing is changed.

use std::fs::OpenOptions;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::schema;

/// How the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspection {
    /// There is none, or nothing in it.
    Absent,
    /// A daemon has it.
    InUse,
    /// Its pages are whole and its schema is one that this docent knows.
    Intact,
    /// It is of a later docent.
    Newer {
        /// Its schema.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// It is damaged, or no store.
    Damaged(String),
    /// It cannot be read.
    Unreadable(String),
}

/// Looks at the store in `data_dir`. Reads the whole file.
pub fn inspect(data_dir: &Path) -> Inspection {
    let path = data_dir.join("store.db");
    match std::fs::metadata(&path) {
        Ok(found) if found.len() == 0 => return Inspection::Absent,
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Inspection::Absent,
        Err(error) => return Inspection::Unreadable(error.to_string()),
    }
    if is_held(data_dir) {
        return Inspection::InUse;
    }
    look(&path).unwrap_or_else(|error| match error.sqlite_error_code() {
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

/// Whether a daemon holds the lock. It is not kept: a daemon that starts meanwhile must not be refused because of a look.
fn is_held(data_dir: &Path) -> bool {
    let Ok(lock) = OpenOptions::new()
        .write(true)
        .open(data_dir.join("docent.lock"))
    else {
        return false;
    };
    let operation = rustix::fs::FlockOperation::NonBlockingLockShared;
    rustix::fs::flock(&lock, operation) == Err(rustix::io::Errno::WOULDBLOCK)
}

fn look(path: &Path) -> rusqlite::Result<Inspection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let found = schema::version(&connection)?;
    if found > schema::VERSION {
        let known = schema::VERSION;
        return Ok(Inspection::Newer { found, known });
    }
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok(match verdict.as_str() {
        "ok" => Inspection::Intact,
        _ => Inspection::Damaged(verdict),
    })
}
