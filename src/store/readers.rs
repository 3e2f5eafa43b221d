//! Connections that read, beside the one that writes. A read runs on a thread that may block, a few at a time.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OpenFlags};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{ReadError, Store};

/// Reads at once.
const CONNECTIONS: usize = 4;

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
            .map(|_| connect(path))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Readers {
            idle: Mutex::new(connections),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            threads: Handle::current(),
        })
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    super::keep_plans(&connection)?;
    Ok(connection)
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
            result.map_err(|e| e.to_string())
        });
        match task.await {
            Ok(result) => result.map_err(failed),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
