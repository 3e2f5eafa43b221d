//! The files that are open, and what stands under their names now.
//!
//! Whoever removes or replaces `store.db` while it is open leaves docent with a file that has no name: what is written into
//! it is lost with the process. So every commit compares device and inode before and after, and tells nobody that it is
//! durable if they differ.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What to do about files that were removed or replaced.
pub const PUT_BACK: &str =
    "put the same file back, or stop docent and start it again on what is there";

/// One file that is open.
#[derive(Debug)]
struct Opened {
    path: PathBuf,
    id: (u64, u64),
}

/// The files of the store that are open.
#[derive(Debug)]
pub(super) struct Files {
    store: Opened,
    log: Opened,
    shared_memory: Opened,
}

/// What stands under the name of an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Same,
    Gone,
    Another,
}

fn id(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

impl Opened {
    fn note(path: PathBuf) -> io::Result<Self> {
        let id = id(&std::fs::metadata(&path)?);
        Ok(Opened { path, id })
    }

    fn standing(&self) -> Standing {
        match std::fs::metadata(&self.path) {
            Ok(found) if id(&found) == self.id => Standing::Same,
            Ok(_) => Standing::Another,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::Gone,
            // It cannot be looked at: nothing is known of it.
            Err(_) => Standing::Same,
        }
    }
}

impl Files {
    /// Notes the files of the store at `path`, all of which are open.
    pub(super) fn note(path: &Path) -> io::Result<Self> {
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            Opened::note(name.into())
        };
        Ok(Files {
            store: Opened::note(path.to_owned())?,
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
            .find(|(_, standing)| *standing != Standing::Same)?;
        let path = file.path.display();
        let how = match standing {
            Standing::Another => "was replaced by another file",
            _ => "was removed or renamed",
        };
        Some(format!(
            "{path} {how} while docent had it open, so nothing is written any more"
        ))
    }

    /// Whether what the log holds can still be written into the store: that is there, and nobody began another log.
    pub(super) fn can_be_completed(&self) -> bool {
        self.store.standing() == Standing::Same && self.log.standing() != Standing::Another
    }

    /// Whether the log is gone, and with its name the way of others to what it holds.
    pub(super) fn log_is_gone(&self) -> bool {
        self.log.standing() == Standing::Gone
    }

    /// The size of the log, in bytes; nothing if it is gone.
    pub(super) fn log_bytes(&self) -> u64 {
        std::fs::metadata(&self.log.path).map_or(0, |found| found.len())
    }
}
