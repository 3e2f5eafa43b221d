//! Opening the store: whose its files are, the lock, the check of the file, migration, the threads; and closing it.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use super::batch::{Batch, Counters};
use super::files::Files;
use super::lock::Lock;
use super::readers::{self, Readers};
use super::shared::StoreShared;
use super::upkeep::{Asker, Upkeep};
use super::writer::{self, Writer};
use super::{OpenError, QUEUE, Store, StoreOptions, access, audit, decode, pages, schema};

/// The end of the store: joins its threads and frees the lock on `data_dir`.
#[derive(Debug)]
pub struct Closer {
    writer: JoinHandle<()>,
    upkeep: JoinHandle<()>,
    lock: Arc<Lock>,
}

impl Closer {
    /// Waits until the writer has written what was handed to it. Every [`Store`] handle must be gone first, or this
    /// waits for it; so it belongs on a thread that may block, under a deadline.
    pub fn close(self) -> bool {
        let clean = self.writer.join().is_ok();
        let clean = self.upkeep.join().is_ok() && clean;
        if let Some(lock) = Arc::into_inner(self.lock) {
            lock.free();
        }
        clean
    }
}

impl Store {
    /// Opens the store in `data_dir`, which is made if it is not there (0700, its files 0600, whatever the umask).
    /// Reads will run on threads of the runtime that this is called in.
    ///
    /// # Errors
    /// Another daemon has it, it is damaged or newer, or the disk refuses: see [`OpenError`].
    pub fn open(data_dir: &Path, options: StoreOptions) -> Result<(Store, Closer), OpenError> {
        private_folder(data_dir)?;
        if let Some(denied) = access::denied(data_dir).into_iter().next() {
            return Err(denied.into());
        }
        let lock = Arc::new(Lock::take(data_dir)?);
        let path = data_dir.join("store.db");
        private_file(&path)?;
        let connection = prepare(&path)?;
        let shared = Arc::new(StoreShared::load(&connection).map_err(|e| refuse(&path, &e))?);
        let readers = Arc::new(Readers::open(&path).map_err(|e| refuse(&path, &e))?);
        let io = |attempt| OpenError::io(attempt, &path);
        let files = Arc::new(Files::opened(&path).map_err(io("look at"))?);
        let (queue, receiver) = mpsc::channel(QUEUE);
        let (asker, asked, ended) = Asker::new();
        let upkeep = Upkeep {
            connection: readers::connect(&path, false).map_err(|e| refuse(&path, &e))?,
            files: files.clone(),
            shared: shared.clone(),
            lock: lock.clone(),
            asked,
            not_before: Instant::now(),
            _ended: ended,
        };
        let writer = Writer {
            batch: Batch::new(
                options,
                read_counters(&connection).map_err(|e| refuse(&path, &e))?,
            ),
            connection,
            queue: receiver,
            shared: shared.clone(),
            files,
            upkeep: asker,
        };
        writer.announce();
        let upkeep = spawn("store-upkeep", move || upkeep.run()).map_err(io("see to"))?;
        let thread = spawn("store-writer", move || writer.run()).map_err(io("write"))?;
        let store = Store {
            queue,
            readers,
            shared,
            path: Arc::new(path),
        };
        let closer = Closer {
            writer: thread,
            upkeep,
            lock,
        };
        Ok((store, closer))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the threads that own the connections which write; joined by Closer"
)]
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}

/// Makes `data_dir` if it is not there, and ours alone.
fn private_folder(data_dir: &Path) -> Result<(), OpenError> {
    std::fs::create_dir_all(data_dir).map_err(OpenError::io("make the folder", data_dir))?;
    access::may_use(data_dir)?;
    std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700))
        .map_err(OpenError::io("make private the folder", data_dir))
}

/// Makes the file with its mode before SQLite does, which would ask the umask.
fn private_file(path: &Path) -> Result<(), OpenError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(OpenError::io("make", path))
}

/// Opens the writing connection on a file that is whole and of a schema that this docent knows.
fn prepare(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = writer::connect(path).map_err(|e| refuse(path, &e))?;
    let found = schema::version(&connection).map_err(|e| refuse(path, &e))?;
    if found > schema::VERSION {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: schema::VERSION,
        });
    }
    if found < schema::VERSION {
        if found > 0 {
            whole(&connection, path)?;
        }
        schema::migrate(&mut connection, found).map_err(|e| refuse(path, &e))?;
    }
    schema::name(&connection).map_err(|e| refuse(path, &e))?;
    #[cfg(feature = "testing")]
    connection
        .execute_batch(schema::TESTING)
        .map_err(|e| refuse(path, &e))?;
    Ok(connection)
}

/// That the pages of an older store are whole, before anything is written into it: one that is damaged is left as it is, for
/// whoever can mend it.
fn whole(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    match pages::fault(connection).map_err(|e| refuse(path, &e))? {
        None => Ok(()),
        Some(cause) => Err(OpenError::Corrupt {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn refuse(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    let cause = decode::what(error);
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::ReadOnly
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::PermissionDenied,
        ) => OpenError::Unavailable { path, cause },
        _ => OpenError::Corrupt { path, cause },
    }
}

fn read_counters(connection: &Connection) -> rusqlite::Result<Counters> {
    let value = |name: &str| {
        connection
            .query_row("SELECT value FROM counter WHERE name = ?1", [name], |row| {
                row.get(0)
            })
            .or_else(|e| match e {
                rusqlite::Error::QueryReturnedNoRows => Ok(0),
                other => Err(other),
            })
    };
    Ok(Counters {
        seq: value("seq")?,
        change: value("change")?,
        chunk: value("passage")?,
        audit_n: value("audit")?,
        audit_hash: audit::head_hash(connection)?,
    })
}
