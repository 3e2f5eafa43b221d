//! Opening the store: the lock, the check of the file, migration, the writer's thread; and closing it.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use super::readers::Readers;
use super::shared::Shared;
use super::writer::{self, Writer};
use super::{OpenError, Options, QUEUE, Store, schema};

/// How long a start waits for the lock of another process, and how often it looks.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_AGAIN: Duration = Duration::from_millis(20);

/// The end of the store: joins the writer's thread and frees the lock on `data_dir`.
#[derive(Debug)]
pub struct Closer {
    writer: JoinHandle<()>,
    lock: File,
}

impl Closer {
    /// Waits until the writer has written what was handed to it. Every [`Store`] handle must be gone first, or this
    /// waits for it; so it belongs on a thread that may block, under a deadline.
    pub fn close(self) -> bool {
        let clean = self.writer.join().is_ok();
        // Said aloud: closing alone would leave it to a process that is just being started and has a copy of the file.
        let unlocked = rustix::fs::flock(&self.lock, rustix::fs::FlockOperation::Unlock);
        if let Err(error) = unlocked {
            tracing::warn!(%error, "the lock on data_dir is freed only when this process ends");
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
    pub fn open(data_dir: &Path, options: Options) -> Result<(Store, Closer), OpenError> {
        let lock = lock(data_dir)?;
        let path = data_dir.join("store.db");
        private_file(&path)?;
        let connection = prepare(&path)?;
        let shared = Arc::new(Shared::load(&connection).map_err(|e| refuse(&path, &e))?);
        let readers = Arc::new(Readers::open(&path).map_err(|e| refuse(&path, &e))?);
        let (queue, receiver) = mpsc::channel(QUEUE);
        let writer = Writer::new(connection, receiver, shared.clone(), options)
            .map_err(|e| refuse(&path, &e))?;
        writer.announce();
        let thread = spawn(writer).map_err(|source| OpenError::Io {
            attempt: "start the writer of",
            path: path.clone(),
            source,
        })?;
        let store = Store {
            queue,
            readers,
            shared,
            path: Arc::new(path),
        };
        let closer = Closer {
            writer: thread,
            lock,
        };
        Ok((store, closer))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one thread that owns the writing connection; joined by Closer"
)]
fn spawn(writer: Writer) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || writer.run())
}

/// Makes `data_dir` ours alone and takes its lock, which the kernel frees when this process ends, however it ends.
fn lock(data_dir: &Path) -> Result<File, OpenError> {
    let io = |attempt, path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::Io {
            attempt,
            path,
            source,
        }
    };
    std::fs::create_dir_all(data_dir).map_err(io("make the folder", data_dir))?;
    std::fs::set_permissions(data_dir, std::fs::Permissions::from_mode(0o700))
        .map_err(io("make private the folder", data_dir))?;
    let path = data_dir.join("docent.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(io("open", &path))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            // One that was killed a moment ago may still be ending.
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::park_timeout(LOCK_AGAIN);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::InUse(data_dir.to_owned()));
            }
            Err(errno) => return Err(io("lock", &path)(errno.into())),
        }
    }
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
        .map_err(|source| OpenError::Io {
            attempt: "make",
            path: path.to_owned(),
            source,
        })
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
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|e| refuse(path, &e))?;
    match verdict.as_str() {
        "ok" => Ok(()),
        _ => Err(OpenError::Corrupt {
            path: path.to_owned(),
            cause: verdict,
        }),
    }
}

fn refuse(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    let cause = error.to_string();
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
