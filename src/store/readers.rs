//! Connections that read, beside the one that writes. A read runs on a thread that may block, a few at a time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::postgres::Database;
use super::sql::{self, Connection, FromSql, Params, Row, Rows, ValueRef};
use super::{ReadError, Store, decode, sqlite};

const CONNECTIONS: usize = 4;

/// Bytes of the rows that one page holds, about: it ends with the row that reaches them.
const PAGE_BYTES: usize = 128 * 1024;

/// Where a store is, for those who connect to it.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Database(Arc<Database>),
}

impl Source {
    /// Where it is, for a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Database(database) => database.shown().to_owned(),
        }
    }

    fn connect(&self) -> sql::Result<Connection> {
        match self {
            Source::File(path) => Ok(Connection::Sqlite(sqlite::connect(path, true)?)),
            Source::Database(database) => {
                Ok(Connection::Postgres(Box::new(database.connect_reader()?)))
            }
        }
    }
}

pub(super) struct Readers {
    source: Source,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
    /// Whose threads read: the same for all. Each thread that allocates keeps memory for itself, so they are to be few.
    threads: Handle,
}

impl Readers {
    pub(super) fn open(source: Source) -> sql::Result<Self> {
        let connections = (0..CONNECTIONS)
            .map(|_| source.connect())
            .collect::<sql::Result<Vec<_>>>()?;
        Ok(Readers {
            source,
            idle: Mutex::new(connections),
            permits: Arc::new(Semaphore::new(CONNECTIONS)),
            threads: Handle::current(),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection on which a state of the store is begun to be read: one that is free, or another one where those were lost
    /// while nobody used them.
    fn begin(&self) -> sql::Result<Connection> {
        loop {
            let Some(free) = self.idle().pop() else { break };
            match free.begin_snapshot() {
                Ok(()) => return Ok(free),
                Err(error) if error.ends_session() || free.is_lost() => {}
                Err(error) => return Err(error),
            }
        }
        let connection = self.source.connect()?;
        connection.begin_snapshot()?;
        Ok(connection)
    }

    /// Runs a query on a connection of its own.
    fn run<T>(&self, query: impl FnOnce(&Connection) -> sql::Result<T>) -> sql::Result<T> {
        let connection = self.begin()?;
        let result = connection.in_snapshot(query);
        self.idle().push(connection);
        result
    }
}

/// The first column of all rows that a statement gives.
pub(super) fn column<T: FromSql>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> sql::Result<Vec<T>> {
    connection
        .prepare_cached(sql)?
        .query_map(params, |row| row.get(0))?
        .collect()
}

/// The rows of one page, each made of its row by `of`: no more than have `PAGE_BYTES`, but always one if there is one.
pub(super) fn page<T>(
    mut rows: Rows<'_>,
    of: impl Fn(&Row<'_>) -> sql::Result<T>,
) -> sql::Result<Vec<T>> {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while bytes < PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        for column in 0..row.columns() {
            bytes += match row.get_ref(column)? {
                ValueRef::Text(held) | ValueRef::Blob(held) => held.len(),
                _ => 8,
            };
        }
        page.push(of(&row)?);
    }
    Ok(page)
}

impl Store {
    /// Runs a query in one read transaction. `what` names what is read, for the error.
    #[expect(
        clippy::disallowed_methods,
        reason = "the store blocks; the semaphore bounds the threads"
    )]
    pub(super) async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        query: impl FnOnce(&Connection) -> sql::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let failed = |(cause, is_away): (String, bool)| ReadError {
            what,
            cause,
            is_away,
        };
        let shared = self.shared.clone();
        let permit = self
            .readers
            .permits
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| failed(("the store is closed".to_owned(), false)))?;
        let readers = self.readers.clone();
        let task = self.readers.threads.spawn_blocking(move || {
            // The permit lives as long as the thread works, also when nobody waits for it any more.
            let _permit = permit;
            readers
                .run(query)
                .map_err(|error| match decode::damage(&error) {
                    Some(damage) => {
                        shared.set_damage(&damage);
                        (damage, false)
                    }
                    None => (error.to_string(), error.is_of_server()),
                })
        });
        match task.await {
            Ok(result) => result.map_err(failed),
            Err(error) => Err(failed((error.to_string(), false))),
        }
    }
}
