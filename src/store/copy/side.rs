//! The two sides of a copy: opened while no daemon has them, and finished.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::CopyError;
use crate::store::lock::Lock;
use crate::store::open::{self, IfMoved};
use crate::store::postgres::{self, Database, Writers};
use crate::store::sql::{self, Connection};
use crate::store::{schema, sqlite};

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
    /// Opens the store that is to be copied, as a start of docent would, also if it was moved.
    pub(super) fn source(place: &StorePlace) -> Result<Side, CopyError> {
        let (connection, lock) = match place {
            StorePlace::Folder(folder) => {
                if !is_there(&open::file(folder)) {
                    return Err(CopyError::Absent(place.shown()));
                }
                let (connection, lock) = open::open_file(folder, IfMoved::Open)?;
                (connection, Some(lock))
            }
            StorePlace::Database(database) => {
                if database.inspect().map_err(open_error)?.schema == 0 {
                    return Err(CopyError::Absent(place.shown()));
                }
                let connection = open::open_connection(database, Writers::Alone, IfMoved::Open)?;
                (connection, None)
            }
        };
        Ok(Side {
            connection,
            shown: place.shown(),
            _lock: lock,
        })
    }

    /// Opens the database in which a copy is made.
    fn writing(database: &Database) -> Result<Side, CopyError> {
        Ok(Side {
            connection: open::connect(database, Writers::Alone)?,
            shown: database.shown().to_owned(),
            _lock: None,
        })
    }

    /// Where the store was moved to.
    pub(super) fn moved_to(&self) -> Result<Option<String>, CopyError> {
        schema::moved_to(&self.connection).map_err(self.failed("read"))
    }

    /// Whether there is a store that was copied from the store `source`.
    fn is_copy_of(&self, source: &str) -> Result<bool, CopyError> {
        let connection = &self.connection;
        let is_copy = schema::version(connection).and_then(|found| {
            Ok(found > 0
                && schema::copied_from(connection)?
                    .first()
                    .is_some_and(|of| of == source))
        });
        is_copy.map_err(self.failed("read"))
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
    /// There is a copy that was not finished, and whose source may have gone on.
    replaces: bool,
    /// A database says itself whether it is finished.
    file: Option<CopyFile>,
}

/// The file of a copy.
struct CopyFile {
    /// What it is called while it is made,
    building: PathBuf,
    /// and when it is finished.
    path: PathBuf,
}

impl CopyFile {
    fn of(folder: &Path) -> Self {
        let path = open::file(folder);
        CopyFile {
            building: path.with_extension("db-copy"),
            path,
        }
    }
}

impl Target {
    /// Opens an empty place, or one with an unfinished copy of the store `source`, which will be replaced.
    pub(super) fn open(place: &StorePlace, source: &str) -> Result<Target, CopyError> {
        match place {
            StorePlace::Folder(folder) => {
                let lock = open::private(folder)?;
                let file = CopyFile::of(folder);
                if is_there(&file.path) {
                    return Err(CopyError::Occupied(place.shown()));
                }
                remove(&file.building)?;
                open::private_file(&file.building)?;
                Target::in_file(place, file, lock)
            }
            StorePlace::Database(database) => {
                let side = Side::writing(database)?;
                let replaces = schema::version(&side.connection).map_err(side.failed("read"))? > 0;
                if replaces
                    && !(side.is_copy_of(source)?
                        && schema::is_unfinished(&side.connection).map_err(side.failed("read"))?)
                {
                    return Err(CopyError::Occupied(side.shown));
                }
                Ok(Target {
                    side,
                    replaces,
                    file: None,
                })
            }
        }
    }

    /// Opens the copy of the store `source` that only has to be finished, if there is one.
    pub(super) fn to_finish(place: &StorePlace, source: &str) -> Result<Option<Target>, CopyError> {
        let target = match place {
            StorePlace::Folder(folder) => {
                let file = CopyFile::of(folder);
                if is_there(&file.path) || !is_there(&file.building) {
                    return Ok(None);
                }
                let lock = open::private(folder)?;
                Target::in_file(place, file, lock)?
            }
            StorePlace::Database(database) => {
                if !database.inspect().map_err(open_error)?.is_unfinished {
                    return Ok(None);
                }
                Target {
                    side: Side::writing(database)?,
                    replaces: false,
                    file: None,
                }
            }
        };
        let is_ours = target.side.is_copy_of(source)?;
        Ok(is_ours.then_some(target))
    }

    fn in_file(place: &StorePlace, file: CopyFile, lock: Arc<Lock>) -> Result<Target, CopyError> {
        let connection =
            sqlite::connect_copy(&file.building).map_err(|source| CopyError::Side {
                attempt: "open",
                shown: place.shown(),
                source: source.into(),
            })?;
        Ok(Target {
            side: Side {
                connection: Connection::Sqlite(connection),
                shown: place.shown(),
                _lock: Some(lock),
            },
            replaces: false,
            file: Some(file),
        })
    }

    pub(super) fn side(&self) -> &Side {
        &self.side
    }

    /// Begins the transaction that makes the copy; `sources`: see `StoreIdentity::into_sources`.
    pub(super) fn begin(&self, sources: &[String]) -> Result<(), CopyError> {
        self.side.begin()?;
        let connection = &self.side.connection;
        if self.replaces {
            schema::drop_tables(connection).map_err(self.side.failed("empty"))?;
        }
        let made = schema::steps(connection, 0)
            .and_then(|()| schema::complete(connection))
            .and_then(|()| schema::mark_copied_from(connection, sources))
            .and_then(|()| match self.file {
                None => schema::mark_unfinished(connection),
                Some(_) => Ok(()),
            });
        made.map_err(self.side.failed("create"))
    }

    /// Makes the copy last, which can only be finished or replaced so far.
    pub(super) fn commit(&self) -> Result<(), CopyError> {
        let connection = &self.side.connection;
        if let Connection::Postgres(_) = connection {
            postgres::renumber(connection).map_err(self.side.failed("set the row numbers of"))?;
        }
        connection
            .execute_batch("COMMIT")
            .map_err(self.side.failed("commit to"))
    }

    /// Lets the copy be used, once its source cannot be any more.
    pub(super) fn finish(self) -> Result<(), CopyError> {
        let Some(CopyFile { building, path }) = self.file else {
            let finished = schema::mark_finished(&self.side.connection);
            return finished.map_err(self.side.failed("finish"));
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

/// Whether there is a file with something in it.
fn is_there(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() > 0)
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
