//! The lock: one daemon a `data_dir`.
//!
//! It has two parts. The lock on `docent.lock` goes with the file, so it says nothing any more when somebody removes the file,
//! or the folder with it. So the name of the folder is held as well, as a socket that has no file: the kernel frees both when
//! the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::OpenError;
use crate::hex;

const FILE: &str = "docent.lock";

/// How long a start waits for the lock of another process, and how often it looks: one that was killed a moment ago may
/// still be ending.
const PATIENCE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_millis(20);

/// How many are let go of at once: the kernel keeps no more waiting.
const ASKERS_MAX: usize = 4096;

/// The lock on one `data_dir`.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    /// None: a stranger holds the name.
    name: Option<UnixListener>,
}

impl Lock {
    /// Takes the lock on `data_dir`, which is there. Needs a runtime.
    pub(super) fn take(data_dir: &Path) -> Result<Lock, OpenError> {
        let path = data_dir.join(FILE);
        let io = |attempt| OpenError::io(attempt, &path);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io("open"))?;
        let until = Instant::now() + PATIENCE;
        let in_use = || OpenError::InUse(data_dir.to_owned());
        let exclusive = || match file.try_lock() {
            Ok(()) => Ok(Some(())),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        };
        wait(until, exclusive)
            .map_err(io("lock"))?
            .ok_or_else(in_use)?;
        let address = address(data_dir).map_err(io("lock"))?;
        let name = match wait(until, || bind(&address)).map_err(io("lock"))? {
            None if is_trusted(&address, data_dir) => return Err(in_use()),
            None => {
                tracing::warn!(data_dir = %data_dir.display(), "another user holds the socket name of data_dir; docent.lock alone protects it");
                None
            }
            held => held,
        };
        Ok(Lock { file, name })
    }

    /// Lets go of whoever asked who holds the name.
    pub(super) fn answer(&self) {
        let Some(name) = &self.name else { return };
        // Whatever else it says, there is nobody more to let go of now.
        for _ in 0..ASKERS_MAX {
            if name.accept().is_err() {
                return;
            }
        }
    }

    /// Frees the lock. Said aloud: closing alone would leave it to a process that is just being started and has a copy.
    pub(super) fn free(self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(%error, "the lock on data_dir is freed only when this process ends");
        }
    }
}

/// Whether a daemon has `data_dir`. Nothing is kept: one that starts meanwhile must not be refused because of this.
pub(super) fn is_held(data_dir: &Path) -> bool {
    let locked = OpenOptions::new()
        .write(true)
        .open(data_dir.join(FILE))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)));
    locked || address(data_dir).is_ok_and(|address| UnixStream::connect_addr(&address).is_ok())
}

/// Tries until it gives something or the time is over.
fn wait<T>(
    until: Instant,
    mut attempt: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    loop {
        match attempt()? {
            None if Instant::now() < until => std::thread::park_timeout(AGAIN),
            ended => return Ok(ended),
        }
    }
}

/// The name of a folder: where it is, whatever file or folder is there.
fn address(data_dir: &Path) -> io::Result<SocketAddr> {
    let path = std::fs::canonicalize(data_dir)?;
    let digest = hex::encode(&Sha256::digest(path.as_os_str().as_bytes()));
    SocketAddr::from_abstract_name(format!("docent/{digest}"))
}

fn bind(address: &SocketAddr) -> io::Result<Option<UnixListener>> {
    match UnixListener::bind_addr(address) {
        Ok(listener) => {
            listener.set_nonblocking(true)?;
            Ok(Some(listener))
        }
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the name is held by somebody who may use `data_dir`: anybody else could keep docent from starting.
fn is_trusted(address: &SocketAddr, data_dir: &Path) -> bool {
    let holder = || -> io::Result<u32> {
        let stream = UnixStream::connect_addr(address)?;
        stream.set_nonblocking(true)?;
        Ok(tokio::net::UnixStream::from_std(stream)?.peer_cred()?.uid())
    };
    let owner = std::fs::metadata(data_dir).map(|found| found.uid());
    let us = rustix::process::geteuid().as_raw();
    holder().is_ok_and(|uid| uid == 0 || uid == us || owner.is_ok_and(|owner| owner == uid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_lock_holds_where_its_file_or_its_folder_was_removed_or_replaced() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("data");
        std::fs::create_dir(&folder).unwrap();
        assert!(!is_held(&folder));
        let lock = Lock::take(&folder).unwrap();
        let refused = || matches!(Lock::take(&folder), Err(OpenError::InUse(_)));
        assert!(refused() && is_held(&folder));
        std::fs::remove_file(folder.join(FILE)).unwrap();
        assert!(refused() && is_held(&folder));
        std::fs::rename(&folder, parent.path().join("away")).unwrap();
        std::fs::create_dir(&folder).unwrap();
        assert!(refused() && is_held(&folder));
        lock.answer();
        lock.free();
        assert!(!is_held(&folder));
        Lock::take(&folder).unwrap().free();
    }
}
