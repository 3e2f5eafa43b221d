//! Connections that read, beside the one that writes. A read runs on a thread that may block, a few at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::{FromSql, ValueRef};
use rusqlite::{Connection, OpenFlags, Params, Row, Rows};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{ReadError, Store, decode};

const CONNECTIONS: usize = 4;

/// Bytes of the rows that one page holds, about: it ends with the row that reaches them.
const PAGE_BYTES: usize = 128 * 1024;

/// Pages that a connection keeps, in KiB. The kernel has the file in its own cache.
const CACHE_KIB: i64 = 1000;

pub(super) struct Readers {
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// Whose threads read: the same for all. Each thread that allocates keeps memory for itself, so they are to be few.
    threads: Handle,
}

impl Readers {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connections = (0..CONNECTIONS)
            .map(|_| connect(path, true))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Readers {
            idle: Mutex::new(connections),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            threads: Handle::current(),
        })
    }
}

/// A connection that never removes the log at its end: under its name may be another's by then.
pub(super) fn connect(path: &Path, query_only: bool) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", query_only)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    super::leave_log(&connection)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    super::keep_statements(&connection)?;
    Ok(connection)
}

/// The first column of all rows that a statement gives.
pub(super) fn column<T: FromSql>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> rusqlite::Result<Vec<T>> {
    connection
        .prepare_cached(sql)?
        .query_map(params, |row| row.get(0))?
        .collect()
}

/// The rows of one page, each made of its row by `of`: no more than have `PAGE_BYTES`, but always one if there is one.
pub(super) fn page<T>(
    mut rows: Rows<'_>,
    of: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        let columns = row.as_ref().column_count();
        for column in 0..columns {
            bytes += match row.get_ref(column)? {
                ValueRef::Text(held) | ValueRef::Blob(held) => held.len(),
                _ => 8,
            };
        }
        page.push(of(row)?);
    }
    Ok(page)
}

impl Store {
    /// Runs a query in one read transaction. `what` names what is read, for the error.
    #[expect(
        clippy::disallowed_methods,
        reason = "SQLite blocks; the semaphore bounds the threads"
    )]
    pub(super) async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let failed = |cause: String| ReadError { what, cause };
        let shared = self.shared.clone();
        let permit = self
            .readers
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| failed("the store is closed".to_owned()))?;
        let readers = self.readers.clone();
        let task = self.readers.threads.spawn_blocking(move || {
            // The permit lives as long as the thread works, also when nobody waits for it any more.
            let _permit = permit;
            let connection = readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop();
            let connection = connection.ok_or_else(|| "no connection is free".to_owned())?;
            let result = connection
                .unchecked_transaction()
                .and_then(|transaction| query(&transaction));
            readers
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(connection);
            result.map_err(|error| match decode::damage(&error) {
                Some(damage) => {
                    shared.set_damage(&damage);
                    damage
                }
                None => error.to_string(),
            })
        });
        match task.await {
            Ok(result) => result.map_err(failed),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
