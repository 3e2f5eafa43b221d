//! A store in a file of SQLite.

mod files;
mod inspect;
mod keeper;
mod pages;
mod upkeep;

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

pub(super) use files::Files;
pub(super) use inspect::{EMPTIED, has_index, is_emptied};
pub(crate) use inspect::{Inspection, identity_in, inspect};
pub(super) use keeper::FileKeeper;
pub(super) use pages::fault;
#[cfg(test)]
pub(super) use upkeep::LOG_TOLD;
pub(super) use upkeep::Upkeep;

/// Statements that a connection keeps parsed.
const STATEMENTS: usize = 96;

/// Pages that a connection keeps which reads, in KiB. The kernel has the file in its own cache.
const CACHE_KIB: i64 = 1000;

/// How long a connection waits for another one.
const BUSY: Duration = Duration::from_secs(5);

/// The connection that writes: durable at every commit.
pub(super) fn connect_writer(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?; // the upkeep does it
    connection.pragma_update(None, "cache_size", -8000)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// The connection that writes a copy, which nobody else has: all of it in one transaction, in one file.
pub(super) fn connect_copy(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// A connection that never removes the log at its end: under its name may be another's by then.
pub(super) fn connect(path: &Path, query_only: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", query_only)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    leave_log(&connection)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    keep_statements(&connection)?;
    Ok(connection)
}

/// Parses and plans each statement once. Without the stability guarantee SQLite plans a statement again whenever a bound value
/// changes that could matter to a partial index, that is for each delivery that is looked at.
fn keep_statements(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}

/// Leaves the log where it is when this connection ends.
fn leave_log(connection: &Connection) -> rusqlite::Result<()> {
    let option = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
    connection.set_db_config(option, true).map(drop)
}
