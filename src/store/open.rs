//! Opening the store: whose its files are, the lock, the check of what is there, migration, the threads; and closing it.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;
use tokio::sync::mpsc;

use super::batch::Batch;
use super::hosts::{self, HostOptions, Membership};
use super::keeper::Keeper;
use super::leases::Leases;
use super::lock::Lock;
use super::postgres::{Database, DatabaseKeeper, Writers};
use super::readers::{Readers, Source};
use super::shared::StoreShared;
use super::sql::{self, Connection};
use super::sqlite::{self, FileKeeper, Files, Upkeep};
use super::work::Command;
use super::writer::Writer;
use super::{
    Crash, DatabaseError, OpenError, QUEUE, Store, StoreOptions, access, audit, recorder, schema,
    suspects,
};

/// How long a start waits for the docent that writes into the same database: one that was killed a moment ago may still have its
/// session.
const PREDECESSOR: Duration = Duration::from_secs(10);

/// How often it looks in that time.
const AGAIN: Duration = Duration::from_millis(200);

/// The end of the store: joins its threads and frees the lock on `data_dir`.
#[derive(Debug)]
pub struct Closer {
    writer: JoinHandle<()>,
    /// Answers for the lock, and sees to the files where there are some.
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
        let (connection, lock) = open_file(data_dir, IfMoved::Refuse)?;
        let path = file(data_dir);
        let source = Source::File(path.clone());
        let refuse = |error: sql::Error| refuse(&source, error);
        let leases = Leases::of_a_file();
        let crash = last_crash(data_dir);
        if let Some(crash) = &crash
            && let Err(error) = suspects::count_alone(&connection, crash)
        {
            tracing::warn!(%error, "cannot write into the store what was being handled when docent crashed; no event is suspected of that");
        }
        let shared = Arc::new(StoreShared::load(&connection, leases, crash).map_err(refuse)?);
        let io = |attempt| OpenError::io(attempt, &path);
        let files = Arc::new(Files::opened(&path).map_err(io("look at"))?);
        let beside = sqlite::connect(&path, false).map_err(|e| refuse(e.into()))?;
        let (upkeep, asker) = Upkeep::new(beside, files.clone(), shared.clone(), lock.clone());
        let opened = Opened {
            connection,
            shared,
            keeper: Keeper::File(FileKeeper {
                shortening: Default::default(),
                files,
                upkeep: asker,
            }),
            source,
            path,
        };
        opened.start(options, lock, |_| move || upkeep.run())
    }

    /// Opens the store in a database, and joins the hosts that work on it. `data_dir` has the lock, and what is this host's own.
    /// It waits for servers: it is not for a thread of the runtime, whose reads will run on its threads for blocking work.
    ///
    /// # Errors
    /// The database cannot be reached or used, another docent writes into it that may not meanwhile, or it is newer: see
    /// [`OpenError`].
    pub fn open_database(
        data_dir: &Path,
        database: Database,
        options: StoreOptions,
        host: HostOptions,
    ) -> Result<(Store, Closer), OpenError> {
        let lock = private(data_dir)?;
        let database = Arc::new(database);
        let connection = open_connection(&database, Writers::Shared, IfMoved::Refuse)?;
        tell_of_another_store(&connection, data_dir);
        let crash = last_crash(data_dir);
        let (identity, leases) =
            hosts::join(&connection, &database, data_dir, host, crash.as_ref())?;
        let source = Source::Database(database.clone());
        let refuse = |error: sql::Error| refuse(&source, error);
        let shared = StoreShared::load(&connection, leases.clone(), crash);
        let shared = Arc::new(shared.map_err(refuse)?);
        let (alive, ended) = std::sync::mpsc::sync_channel::<()>(0);
        let membership = Membership::begin(database.clone(), identity, shared.clone())?;
        let keeper = DatabaseKeeper::new(database, leases, alive);
        let opened = Opened {
            connection,
            shared,
            keeper: Keeper::Database(Box::new(keeper)),
            source,
            path: file(data_dir),
        };
        let answering = lock.clone();
        opened.start(options, lock, |writer| {
            move || membership.run(writer, &ended, || answering.answer())
        })
    }
}

/// A store that is open, before its threads are.
struct Opened {
    connection: Connection,
    shared: Arc<StoreShared>,
    keeper: Keeper,
    source: Source,
    path: PathBuf,
}

impl Opened {
    /// Starts the threads that write and see to the files.
    fn start<U>(
        self,
        options: StoreOptions,
        lock: Arc<Lock>,
        upkeep: impl FnOnce(mpsc::WeakSender<Command>) -> U,
    ) -> Result<(Store, Closer), OpenError>
    where
        U: FnOnce() + Send + 'static,
    {
        let path = self.path;
        let io = |attempt| OpenError::io(attempt, &path);
        let refuse = |error: sql::Error| refuse(&self.source, error);
        let counters = audit::counters(&self.connection).map_err(refuse)?;
        let readers = Arc::new(Readers::open(self.source.clone()).map_err(refuse)?);
        let (queue, receiver) = mpsc::channel(QUEUE);
        let writer = Writer {
            batch: Batch::new(options, counters),
            connection: self.connection,
            keeper: self.keeper,
            queue: receiver,
            shared: self.shared.clone(),
            count_at: Instant::now(),
            uncounted: false,
        };
        writer.announce();
        let upkeep = spawn("store-upkeep", upkeep(queue.downgrade())).map_err(io("see to"))?;
        let writer = spawn("store-writer", move || writer.run()).map_err(io("write"))?;
        let store = Store {
            queue,
            readers,
            shared: self.shared,
            path: Arc::new(path),
        };
        let closer = Closer {
            writer,
            upkeep,
            lock,
        };
        Ok((store, closer))
    }
}

/// That docent begins anew in a database although `data_dir` has a store.
fn tell_of_another_store(connection: &Connection, data_dir: &Path) {
    let path = file(data_dir);
    let is_new = "SELECT NOT EXISTS (SELECT 1 FROM event) AND NOT EXISTS (SELECT 1 FROM host)";
    if std::fs::metadata(&path).is_ok_and(|found| found.len() > 0)
        && matches!(connection.query_row(is_new, [], |row| row.get(0)), Ok(true))
    {
        tracing::warn!(
            store = %path.display(),
            "the database is empty, so docent begins anew in it, and does not use the store in data_dir; to bring that over, stop docent, empty the database, and run `docent store copy`"
        );
    }
}

/// How the run before this one ended. Its lock is held, so nobody writes that now.
fn last_crash(data_dir: &Path) -> Option<Crash> {
    recorder::last_crash(data_dir).unwrap_or_else(|error| {
        tracing::warn!(data_dir = %data_dir.display(), %error, "cannot read in the file in-flight how docent ended last; if it crashed, no event is suspected of that");
        None
    })
}

/// The file of the store in `data_dir`.
pub(super) fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("store.db")
}

/// What is done about a store that was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMoved {
    Refuse,
    /// It may be that its copy must be finished.
    Open,
}

/// Takes the lock on `data_dir`, and opens the store in it to write.
pub(super) fn open_file(
    data_dir: &Path,
    if_moved: IfMoved,
) -> Result<(Connection, Arc<Lock>), OpenError> {
    let lock = private(data_dir)?;
    let path = file(data_dir);
    if sqlite::is_emptied(&path) {
        let cause = sqlite::EMPTIED.to_owned();
        return Err(OpenError::Corrupt { path, cause });
    }
    if !path.exists() && sqlite::has_index(&path) {
        tracing::warn!(
            store = %path.display(),
            "there is an index but no store, so docent begins a new one: it reads all documents again, and has no audit log, tokens and pending work of before; if that is not meant, stop docent and restore a backup"
        );
    }
    private_file(&path)?;
    let connection = sqlite::connect_writer(&path);
    let connection = Connection::Sqlite(connection.map_err(|e| refuse_file(&path, &e.into()))?);
    prepare(&connection, &Source::File(path), if_moved)?;
    Ok((connection, lock))
}

/// Opens the store in a database to write.
pub(super) fn open_connection(
    database: &Arc<Database>,
    writers: Writers,
    if_moved: IfMoved,
) -> Result<Connection, OpenError> {
    let source = Source::Database(database.clone());
    let until = Instant::now() + PREDECESSOR;
    loop {
        let connection = connect(database, writers)?;
        let found = schema::version(&connection).map_err(|error| refuse(&source, error))?;
        if writers == Writers::Alone || found >= schema::VERSION {
            prepare(&connection, &source, if_moved)?;
            return Ok(connection);
        }
        drop(connection);
        // It is brought forward by one host, while none is at work. One that starts at the same time may do so first.
        match database.connect_writer(Writers::Alone) {
            Ok(alone) => prepare(&alone, &source, if_moved)?,
            Err(DatabaseError::InUse(_)) if Instant::now() < until => {
                std::thread::park_timeout(AGAIN);
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes `data_dir` private, and takes its lock.
pub(super) fn private(data_dir: &Path) -> Result<Arc<Lock>, OpenError> {
    private_folder(data_dir)?;
    if let Some(denied) = access::denied(data_dir).into_iter().next() {
        return Err(denied.into());
    }
    Ok(Arc::new(Lock::take(data_dir)?))
}

/// The session that writes, once no other docent has one that may not meanwhile.
pub(super) fn connect(database: &Database, writers: Writers) -> Result<Connection, OpenError> {
    let until = Instant::now() + PREDECESSOR;
    loop {
        match database.connect_writer(writers) {
            Err(DatabaseError::InUse(_)) if Instant::now() < until => {
                std::thread::park_timeout(AGAIN);
            }
            connected => return Ok(connected?),
        }
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
pub(super) fn private_file(path: &Path) -> Result<(), OpenError> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(OpenError::io("make", path))
}

/// Brings a store that is whole, stands here, and has a schema that this docent knows, forward.
fn prepare(connection: &Connection, source: &Source, if_moved: IfMoved) -> Result<(), OpenError> {
    let refuse = |error: sql::Error| refuse(source, error);
    let found = schema::version(connection).map_err(refuse)?;
    if found > schema::VERSION {
        return Err(OpenError::Newer {
            place: source.shown(),
            found,
            known: schema::VERSION,
        });
    }
    if let (Connection::Sqlite(file), Source::File(path)) = (connection, source)
        && (1..schema::VERSION).contains(&found)
    {
        whole(file, path)?;
    }
    let place = source.shown();
    if found > 0 && schema::is_unfinished(connection).map_err(refuse)? {
        return Err(OpenError::Unfinished(place));
    }
    if found > 0
        && if_moved == IfMoved::Refuse
        && let Some(to) = schema::moved_to(connection).map_err(refuse)?
    {
        return Err(OpenError::Moved { place, to });
    }
    forward(connection, found).map_err(refuse)
}

/// Brings a store from schema `found` to the one of this docent.
fn forward(connection: &Connection, found: i64) -> sql::Result<()> {
    if found < schema::VERSION {
        schema::migrate(connection, found)?;
    }
    schema::complete(connection)?;
    // Whoever writes locks it: it must be there before the first write.
    connection.execute_batch(
        "INSERT INTO counter (name, value) VALUES ('seq', 0) ON CONFLICT (name) DO NOTHING",
    )
}

/// That the pages of an older store are whole, before anything is written into it: one that is damaged is left as it is, for
/// whoever can mend it.
fn whole(file: &rusqlite::Connection, path: &Path) -> Result<(), OpenError> {
    match sqlite::fault(file).map_err(|error| refuse_file(path, &error.into()))? {
        None => Ok(()),
        Some(cause) => Err(OpenError::Corrupt {
            path: path.to_owned(),
            cause,
        }),
    }
}

fn refuse(source: &Source, error: sql::Error) -> OpenError {
    match source {
        Source::File(path) => refuse_file(path, &error),
        Source::Database(database) => database.unreachable(&error).into(),
    }
}

fn refuse_file(path: &Path, error: &sql::Error) -> OpenError {
    let path: PathBuf = path.to_owned();
    let cause = error.to_string();
    match error.sqlite_code() {
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
