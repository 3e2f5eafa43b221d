//! The two sides of a copy: opened while no daemon has them, and finished.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::CopyError;
use crate::store::lock::Lock;
use crate::store::postgres::{self, Database, Writers};
use crate::store::sql::{self, Connection};
use crate::store::{open, schema, sqlite};

/// Where a store is.
#[derive(Debug)]
pub(crate) enum StorePlace {
    /// In a file of this folder.
    Folder(PathBuf),
    Database(Arc<Database>),
}

impl StorePlace {
    /// Where it is, for a message.
    pub(crate) fn shown(&self) -> String {
        match self {
            StorePlace::Folder(folder) => open::file(folder).display().to_string(),
            StorePlace::Database(database) => database.shown().to_owned(),
        }
    }
}

/// A store that is open so that all of it can be read or written.
pub(super) struct Side {
    pub(super) connection: Connection,
    shown: String,
    /// Held as long as the side is open.
    _lock: Option<Arc<Lock>>,
}

impl Side {
    /// Opens the store that is to be copied, as a start of docent would.
    pub(super) fn source(place: &StorePlace) -> Result<Side, CopyError> {
        let (connection, lock) = match place {
            StorePlace::Folder(folder) => {
                let there =
                    std::fs::metadata(open::file(folder)).is_ok_and(|found| found.len() > 0);
                if !there {
                    return Err(CopyError::Absent(place.shown()));
                }
                let (connection, lock) = open::open_file(folder)?;
                (connection, Some(lock))
            }
            StorePlace::Database(database) => {
                if database.inspect().map_err(open_error)?.schema == 0 {
                    return Err(CopyError::Absent(place.shown()));
                }
                (open::open_connection(database, Writers::Alone)?, None)
            }
        };
        Ok(Side {
            connection,
            shown: place.shown(),
            _lock: lock,
        })
    }

    /// Turns an error of SQL into one that names this side.
    pub(super) fn failed(&self, attempt: &'static str) -> impl Fn(sql::Error) -> CopyError + '_ {
        move |source| CopyError::Side {
            attempt,
            shown: self.shown.clone(),
            source,
        }
    }

    /// Begins the one transaction in which everything is read or written.
    pub(super) fn begin(&self) -> Result<(), CopyError> {
        self.connection
            .begin_long()
            .map_err(self.failed("begin a transaction on"))
    }

    /// Says in the source where its copy is.
    pub(super) fn mark_moved(&self, to: &str) -> Result<(), CopyError> {
        let marked = schema::mark_moved(&self.connection, to);
        let marked = marked.and_then(|()| self.connection.execute_batch("COMMIT"));
        marked.map_err(self.failed("mark"))
    }
}

/// The store that is made.
pub(super) struct Target {
    side: Side,
    /// The copy was made before, and its source was not marked.
    is_complete: bool,
    /// The file that is written, and what it is called when it is complete.
    file: Option<(PathBuf, PathBuf)>,
}

impl Target {
    /// Opens an empty place, or one that holds the copy of the store `source`.
    pub(super) fn open(place: &StorePlace, source: &str) -> Result<Target, CopyError> {
        match place {
            StorePlace::Folder(folder) => Target::in_folder(folder, place, source),
            StorePlace::Database(database) => {
                let connection = open::connect(database, Writers::Alone)?;
                Target::on(connection, place, source)
            }
        }
    }

    fn in_folder(folder: &Path, place: &StorePlace, source: &str) -> Result<Target, CopyError> {
        let lock = open::private(folder)?;
        let path = open::file(folder);
        let there = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
        let building = path.with_extension("db-copy");
        let opened = match there {
            true => path.clone(),
            false => {
                remove(&building)?;
                open::private_file(&building)?;
                building.clone()
            }
        };
        let refuse = |source: rusqlite::Error| CopyError::Side {
            attempt: "open",
            shown: place.shown(),
            source: source.into(),
        };
        let connection = sqlite::connect_copy(&opened).map_err(refuse)?;
        let mut target = Target::on(Connection::Sqlite(connection), place, source)?;
        target.side._lock = Some(lock);
        target.file = (!there).then_some((building, path));
        Ok(target)
    }

    fn on(connection: Connection, place: &StorePlace, source: &str) -> Result<Target, CopyError> {
        let side = Side {
            connection,
            shown: place.shown(),
            _lock: None,
        };
        let found = schema::version(&side.connection).map_err(side.failed("read"))?;
        let is_complete = found > 0;
        if is_complete {
            let sources = schema::copied_from(&side.connection).map_err(side.failed("read"))?;
            if sources.first().map(String::as_str) != Some(source) || found != schema::VERSION {
                return Err(CopyError::Occupied(side.shown));
            }
        }
        Ok(Target {
            side,
            is_complete,
            file: None,
        })
    }

    pub(super) fn side(&self) -> &Side {
        &self.side
    }

    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Begins the transaction that makes the copy; `sources`: see `StoreIdentity::into_sources`.
    pub(super) fn begin(&self, sources: &[String]) -> Result<(), CopyError> {
        self.side.begin()?;
        if self.is_complete {
            return Ok(());
        }
        let connection = &self.side.connection;
        let made = schema::steps(connection, 0)
            .and_then(|()| schema::complete(connection))
            .and_then(|()| schema::mark_copied_from(connection, sources));
        made.map_err(self.side.failed("create"))
    }

    /// Makes the copy last.
    pub(super) fn finish(self) -> Result<(), CopyError> {
        let connection = &self.side.connection;
        if let Connection::Postgres(_) = connection {
            postgres::renumber(connection).map_err(self.side.failed("set the row numbers of"))?;
        }
        connection
            .execute_batch("COMMIT")
            .map_err(self.side.failed("commit to"))?;
        let Some((building, path)) = self.file else {
            return Ok(());
        };
        // SQLite has synchronised the file with its commit.
        drop(self.side.connection);
        let placed = std::fs::rename(&building, &path).and_then(|()| {
            path.parent()
                .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
        });
        placed.map_err(|source| CopyError::File {
            attempt: "put the copy at",
            path,
            source,
        })
    }
}

/// Removes what an interrupted copy left.
fn remove(path: &Path) -> Result<(), CopyError> {
    for name in ["", "-journal"] {
        let mut path = path.as_os_str().to_owned();
        path.push(name);
        let path = PathBuf::from(path);
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let attempt = "remove";
                return Err(CopyError::File {
                    attempt,
                    path,
                    source,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

fn open_error(error: crate::store::DatabaseError) -> CopyError {
    CopyError::Open(error.into())
}
