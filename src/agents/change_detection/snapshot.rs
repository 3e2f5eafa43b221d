//! What was found at a path.

use std::time::Duration;

use super::classifier::Unread;
use super::scope::OutOfScope;
use crate::store::{Digest, FileStat};

/// What is at a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum FileSnapshot {
    /// The root cannot be opened, with the cause.
    RootAbsent(String),
    /// The root is not the known directory, or nobody has compared it yet.
    RootUnknown,
    Gone,
    OutOfScope(OutOfScope),
    /// The collection is not in the config any more.
    CollectionGone,
    Directory,
    /// A directory above it cannot be read: nothing is known.
    Unreachable(String),
    /// docent may not read a directory above it.
    Denied(String),
    /// A file that is not read.
    Listed(FileStat, Unread),
    /// A file that docent may not read, with the reason.
    Unreadable(FileStat, String),
    /// A file that docent may read, but reading it failed.
    Failed(FileStat, String),
    /// The file that the manifest knows.
    Unchanged,
    /// It changed too recently. It is to be read after this time.
    Young(FileStat, Duration),
    /// It would be read, but captures are stopped.
    Stopped,
    /// Something changed in between: it is to be read again.
    Interrupted,
    Read(FileBytes),
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FileBytes {
    pub(super) stat: FileStat,
    pub(super) digest: Digest,
    pub(super) packed: Vec<u8>,
    /// The file had not come to rest: a change right after the reading may leave the stat as it is.
    pub(super) young: bool,
}
