//! The files that are open, and what stands under their names now.
//!
//! Whoever removes or replaces `store.db` while it is open leaves docent with a file that has no name: what is written into
//! it is lost with the process. So every commit compares device and inode before and after, and tells nobody that it is
//! durable if they differ.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// One file that is open.
#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    id: (u64, u64),
}

/// The files of the store that are open.
#[derive(Debug)]
pub(in crate::store) struct Files {
    store: OpenFile,
    log: OpenFile,
    shared_memory: OpenFile,
}

/// What stands under the name of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileStanding {
    Same,
    Gone,
    Another,
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

impl OpenFile {
    fn at(path: PathBuf) -> io::Result<Self> {
        let id = id(&std::fs::metadata(&path)?);
        Ok(OpenFile { path, id })
    }

    fn standing(&self) -> FileStanding {
        match std::fs::metadata(&self.path) {
            Ok(found) if id(&found) == self.id => FileStanding::Same,
            Ok(_) => FileStanding::Another,
            Err(error) if error.kind() == io::ErrorKind::NotFound => FileStanding::Gone,
            // It cannot be looked at: nothing is known of it.
            Err(_) => FileStanding::Same,
        }
    }
}

impl Files {
    /// The files of the store at `path`, all of which are open.
    pub(in crate::store) fn opened(path: &Path) -> io::Result<Self> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            OpenFile::at(name.into())
        };
        Ok(Files {
            store: OpenFile::at(path.to_owned())?,
            log: beside("-wal")?,
            shared_memory: beside("-shm")?,
        })
    }

    /// How the files are not the ones that are open; `None`: they are.
    pub(super) fn replaced(&self) -> Option<String> {
        let files = [&self.store, &self.log, &self.shared_memory];
        let (file, standing) = files
            .into_iter()
            .map(|file| (file, file.standing()))
            .find(|(_, standing)| *standing != FileStanding::Same)?;
        let path = file.path.display();
        let how = match standing {
            FileStanding::Another => "was replaced by another file",
            _ => "was removed or renamed",
        };
        Some(format!(
            "{path} {how} while docent had it open, so nothing is written any more"
        ))
    }

    /// Whether what the log holds can still be written into the store: that is there, and nobody began another log.
    pub(super) fn can_be_completed(&self) -> bool {
        self.store.standing() == FileStanding::Same && self.log.standing() != FileStanding::Another
    }

    /// Whether the log is gone, and with its name the way of others to what it holds.
    pub(super) fn log_is_gone(&self) -> bool {
        self.log.standing() == FileStanding::Gone
    }

    /// The size of the log, in bytes; nothing if it is gone.
    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log.path).map_or(0, |found| found.len())
    }
}
