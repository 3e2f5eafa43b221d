//! Why the store cannot be opened, written or read.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::access::Denied;
use super::sql;
use crate::event::EventId;

/// Why the store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another daemon works on this `data_dir`.
    #[error("another docent already runs on {dir}; stop that one, or give this one a data_dir of its own", dir = .0.display())]
    InUse(PathBuf),
    /// A file of the store is not for this user.
    #[error("{0}; {remedy}", remedy = .0.remedy)]
    Denied(#[from] Denied),
    /// The operating system refuses.
    #[error("cannot {attempt} {path}", path = .path.display())]
    Io {
        attempt: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file is not a store, or is damaged.
    #[error("the store {path} is damaged: {cause}; move it away together with its -wal file and start again (docent then reads all documents again, and the audit log and pending work are lost), or restore a backup", path = .path.display())]
    Corrupt { path: PathBuf, cause: String },
    /// The store was written by a newer docent.
    #[error(
        "the store {place} has schema {found}, but this docent knows only up to {known}; run the newer docent, or restore the backup from before the upgrade"
    )]
    Newer {
        place: String,
        found: i64,
        /// The newest schema that this docent knows.
        known: i64,
    },
    /// The store was copied, and the copy is the one that counts.
    #[error("the store {place} was moved to {to}; {}", follow_moved(.to))]
    Moved { place: String, to: String },
    /// The store is a copy, and its source may still be used.
    #[error("the store {0} is a copy that is not finished; {FINISH_COPY}")]
    Unfinished(String),
    /// The disk is full or fails.
    #[error("cannot open the store {path}: {cause}", path = .path.display())]
    Unavailable { path: PathBuf, cause: String },
    /// The database cannot be reached or used, or is in use.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// What to do about a copy that is not finished.
pub(crate) const FINISH_COPY: &str =
    "run the same `docent store copy` again, with a config that names the store that was copied";

/// What to do about a store that was moved to this place, as it is shown.
pub(crate) fn follow_moved(to: &str) -> String {
    let folder = Path::new(to).parent().filter(|_| to.starts_with('/'));
    match folder {
        None => "set [store] url in the config to that database, as it was written for `docent store copy --to`".to_owned(),
        Some(folder) => format!(
            "set [store] url in the config to \"\", and data_dir to {}",
            folder.display()
        ),
    }
}

impl OpenError {
    /// The error of an attempt on `path` that the operating system refuses.
    pub(super) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
        let path = path.to_owned();
        move |source| OpenError::Io {
            attempt,
            path,
            source,
        }
    }
}

/// Why a database cannot be used as it is.
#[derive(Debug, Error)]
pub enum DatabaseError {
    #[error("cannot use the store {shown}: {cause}")]
    Unreachable { shown: String, cause: String },
    /// Something about it must be changed by hand.
    #[error("the store {shown} cannot be used: {why}")]
    Unfit { shown: String, why: String },
    /// Others work on it, and must not meanwhile.
    #[error(
        "the store {0} is in use: hosts work on it, or it is being copied or upgraded; stop every host first, or wait until that is done"
    )]
    InUse(String),
    /// A host of the same name works on it.
    #[error(
        "another host with the instance {0} works on this store; give each host a different instance in the config"
    )]
    SameName(String),
    /// Another process works on it with the id of this host's `data_dir`.
    #[error(
        "another docent works on this store with the id of this data_dir; if the data_dir was copied, or the machine cloned, stop one of them, and remove host-id from its data_dir before you start it again"
    )]
    SameDataDir,
    /// The hosts that work on it are of a version that makes chunks or embeddings otherwise.
    #[error(
        "this version of docent would index documents otherwise ({ours}) than the hosts that work on this store ({theirs}); stop all hosts, install the same version on each, and start them again"
    )]
    IndexedOtherwise { theirs: String, ours: String },
    /// The hosts that work on it have another value of a setting that all must share.
    #[error(
        "{key} is {ours} here, but {theirs} on the hosts that work on this store; give all hosts the same value"
    )]
    Differs {
        key: String,
        theirs: String,
        ours: String,
    },
}

/// Why a write did not happen. Nothing of it was written.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum WriteError {
    /// The store cannot be written at the moment: disk full, I/O error, files that were replaced. It may pass.
    #[error("the store cannot be written: {0}")]
    Unavailable(String),
    /// The id is known, with another type, subject or data.
    #[error("an event with the id {0} exists, with different content; choose another id")]
    Conflict(EventId),
    /// The event is larger than an event may be.
    #[error(
        "the event has {bytes} bytes, more than {max}; keep the data elsewhere and refer to it in the event"
    )]
    TooLarge {
        bytes: usize,
        /// The largest size, in bytes.
        max: usize,
    },
    /// The delivery is no longer owed, or the flight was given up: what was computed is not applied.
    #[error("the delivery is already settled, or its flight was given up")]
    Refused,
    /// The transaction breaks a rule of the store.
    #[error("the store refuses the transaction: {0}")]
    Invalid(String),
    /// The store is closed: the daemon ends.
    #[error("the store is closed: docent is stopping")]
    Closed,
}

/// Why a read gave nothing.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("cannot read {what} from the store: {}{cause}", if *.is_away { "the database does not answer: " } else { "" })]
pub struct ReadError {
    /// What was asked for.
    pub what: &'static str,
    pub cause: String,
    /// The server cannot be asked now; what is in the store may be well.
    pub is_away: bool,
}

/// Whether an error means that the store cannot be written for a while, rather than that this transaction is wrong.
pub(super) fn is_unavailable(error: &sql::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    let of_a_file = matches!(
        error.sqlite_code(),
        Some(
            Code::DiskFull
                | Code::SystemIoFailure
                | Code::CannotOpen
                | Code::ReadOnly
                | Code::DatabaseBusy
                | Code::DatabaseLocked
                | Code::OutOfMemory
                | Code::DatabaseCorrupt
                | Code::NotADatabase
        )
    );
    of_a_file || error.is_of_server()
}

/// An error of a store that cannot be written, with what to do.
pub(super) fn unavailable(error: &sql::Error) -> WriteError {
    let damage = super::decode::damage(error);
    let remedy = match error {
        sql::Error::Postgres(_) | sql::Error::Ended | sql::Error::Silent => {
            "work continues by itself once the database answers"
        }
        _ => "free space or repair the disk; work then continues by itself",
    };
    WriteError::Unavailable(damage.unwrap_or_else(|| format!("{error}; {remedy}")))
}

impl From<sql::Error> for WriteError {
    fn from(error: sql::Error) -> Self {
        if is_unavailable(&error) {
            return unavailable(&error);
        }
        let damage = super::decode::damage(&error);
        WriteError::Invalid(damage.unwrap_or_else(|| error.to_string()))
    }
}
