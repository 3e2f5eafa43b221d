//! Whether this user may use what is in `data_dir`.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

/// What docent keeps in `data_dir`.
const NAMES: [&str; 5] = [
    "docent.lock",
    "store.db",
    "store.db-wal",
    "store.db-shm",
    "index",
];

/// A file or folder of the store that this user may not use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    path: PathBuf,
    cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot use {}: {}", self.path.display(), self.cause)
    }
}

/// What is in `data_dir` and not for this user.
pub(crate) fn denied(data_dir: &Path) -> Vec<Denied> {
    let paths = NAMES.map(|name| data_dir.join(name));
    paths
        .iter()
        .filter_map(|path| may_use(path).err())
        .collect()
}

/// That a file or folder, if it is there, belongs to this user and can be read and written. Root may use everybody's.
pub(super) fn may_use(path: &Path) -> Result<(), Denied> {
    let Ok(found) = std::fs::metadata(path) else {
        return Ok(()); // what cannot be looked at is named by whoever needs it
    };
    let us = rustix::process::geteuid().as_raw();
    let shown = path.display();
    let denied = |cause: String, remedy: String| {
        let path = path.to_owned();
        Err(Denied {
            path,
            cause,
            remedy,
        })
    };
    if us != 0 && found.uid() != us {
        return denied(
            format!("it belongs to the user {}, and this is {us}", found.uid()),
            format!("run docent as that user, or give it to this one: chown {us} {shown}"),
        );
    }
    let (access, mode) = match found.is_dir() {
        true => (Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, "rwx"),
        false => (Access::READ_OK | Access::WRITE_OK, "rw"),
    };
    match rustix::fs::access(path, access) {
        Err(cause @ (Errno::ACCESS | Errno::PERM)) => denied(
            cause.to_string(),
            format!("let its owner read and write it: chmod u+{mode} {shown}"),
        ),
        _ => Ok(()),
    }
}
