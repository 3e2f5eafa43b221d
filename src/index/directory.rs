//! The folder as tantivy sees it: read whole into memory, never synced, and with a digest on its small files.
//!
//! * **In memory.** A segment file is read once, when it is first opened, and kept while anything uses it. So what
//!   happens to the folder later (cut, overwritten, removed) cannot reach a search or a merge; a mapped file that
//!   is cut would kill the process. The files are about as large as the vectors, which are in memory anyhow.
//! * **Not synced.** tantivy syncs some eighteen times a commit. The index need not outlive a power cut, only be
//!   recognised as torn after one, and the store needs the disk more.
//! * **Digests.** Segment files carry a checksum of tantivy's; the small files (the list of segments, the list of
//!   files) get a BLAKE3 digest as their last line.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, INDEX_WRITER_LOCK, Lock, OwnedBytes,
    TerminatingWrite, WatchCallback, WatchHandle, WritePtr,
};
use tantivy::{Directory, TantivyError};

/// Length of the digest's line: 64 hexadecimal digits and a line feed.
const DIGEST_LINE: usize = 65;

#[derive(Debug, Clone)]
pub(super) struct MemoryDirectory {
    root: PathBuf,
    /// The segment files in use.
    files: Arc<Mutex<HashMap<PathBuf, Weak<[u8]>>>>,
}

impl MemoryDirectory {
    /// The existing folder `root`.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            files: Arc::default(),
        }
    }

    /// The lock of the one writer. It lasts as long as the guard, or until the process ends.
    pub(super) fn lock(&self) -> Result<DirectoryLock, LockError> {
        self.lock_file(&INDEX_WRITER_LOCK)
    }

    fn lock_file(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.root.join(&lock.filepath))
            .map_err(LockError::wrap_io_error)?;
        if lock.is_blocking {
            file.lock().map_err(LockError::wrap_io_error)?;
        } else {
            file.try_lock().map_err(|e| match e {
                TryLockError::WouldBlock => LockError::LockBusy,
                TryLockError::Error(e) => LockError::wrap_io_error(e),
            })?;
        }
        // The lock belongs to the open file and ends with it.
        Ok(DirectoryLock::from(Box::new(file)))
    }

    /// The bytes of a segment file. It is written once, so those in memory are those on disk.
    fn bytes(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        // A panic cannot leave the table half changed: each change is one call.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bytes) = files.get(path).and_then(Weak::upgrade) {
            return Ok(bytes);
        }
        files.retain(|_, bytes| bytes.strong_count() > 0);
        let bytes: Arc<[u8]> = fs::read(self.root.join(path))?.into();
        files.insert(path.to_owned(), Arc::downgrade(&bytes));
        Ok(bytes)
    }
}

/// A segment file being written.
struct UnsyncedFile(File);

impl Write for UnsyncedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl TerminatingWrite for UnsyncedFile {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        self.0.flush()
    }
}

fn digest_line(content: &[u8]) -> String {
    format!("{}\n", blake3::hash(content).to_hex())
}

fn read_error(path: &Path, error: io::Error) -> OpenReadError {
    match error.kind() {
        io::ErrorKind::NotFound => OpenReadError::FileDoesNotExist(path.to_owned()),
        _ => OpenReadError::wrap_io_error(error, path.to_owned()),
    }
}

impl Directory for MemoryDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let bytes = self.bytes(path).map_err(|e| read_error(path, e))?;
        Ok(Arc::new(OwnedBytes::new(bytes)))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        fs::remove_file(self.root.join(path)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => DeleteError::FileDoesNotExist(path.to_owned()),
            _ => DeleteError::IoError {
                io_error: Arc::new(e),
                filepath: path.to_owned(),
            },
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.root
            .join(path)
            .try_exists()
            .map_err(|e| read_error(path, e))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        // Names are not used twice, with one exception: the deletions of a commit that broke off before its end
        // (an error, a kill) get their name again when it is repeated. What it left is not part of any index.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.remove(path);
        let full_path = self.root.join(path);
        let file = match fs::remove_file(&full_path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => File::create_new(&full_path),
        };
        let file = file.map_err(|e| OpenWriteError::wrap_io_error(e, path.to_owned()))?;
        Ok(BufWriter::new(Box::new(UnsyncedFile(file))))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        let mut content = fs::read(self.root.join(path)).map_err(|e| read_error(path, e))?;
        let length = content.len().saturating_sub(DIGEST_LINE);
        if content[length..] != *digest_line(&content[..length]).as_bytes() {
            let error = io::Error::new(io::ErrorKind::InvalidData, "its digest does not match");
            return Err(OpenReadError::wrap_io_error(error, path.to_owned()));
        }
        content.truncate(length);
        Ok(content)
    }

    fn atomic_write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        // tantivy writes each of its small files from one thread at a time, so one name for the new file will do.
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let new = self.root.join(name);
        let mut file = File::create(&new)?;
        file.write_all(content)?;
        file.write_all(digest_line(content).as_bytes())?;
        drop(file);
        fs::rename(&new, self.root.join(path))
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        if lock.filepath == INDEX_WRITER_LOCK.filepath {
            // The handle holds it for as long as it lives; its writers come and go under that one lock.
            return Ok(DirectoryLock::from(Box::new(())));
        }
        self.lock_file(lock)
    }

    fn watch(&self, _: WatchCallback) -> Result<WatchHandle, TantivyError> {
        // The index is reloaded by hand after each commit: nobody watches.
        Ok(WatchHandle::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_file_comes_back_and_an_altered_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let directory = MemoryDirectory::new(folder.path());
        let path = Path::new("meta.json");
        for content in [&b""[..], b"{}", b"a line\nand another\n"] {
            directory.atomic_write(path, content).unwrap();
            assert_eq!(directory.atomic_read(path).unwrap(), content);

            let whole = fs::read(folder.path().join(path)).unwrap();
            for cut in 0..whole.len() {
                fs::write(folder.path().join(path), &whole[..cut]).unwrap();
                assert!(directory.atomic_read(path).is_err(), "cut to {cut}");
                let mut altered = whole.clone();
                altered[cut] ^= 1;
                fs::write(folder.path().join(path), &altered).unwrap();
                assert!(directory.atomic_read(path).is_err(), "altered at {cut}");
            }
        }
    }

    #[test]
    fn the_lock_is_exclusive_between_handles() {
        let folder = tempfile::tempdir().unwrap();
        let first = MemoryDirectory::new(folder.path());
        let second = MemoryDirectory::new(folder.path());
        let held = first.lock().unwrap();
        assert!(matches!(second.lock(), Err(LockError::LockBusy)));
        drop(held);
        assert!(second.lock().is_ok());
    }

    #[test]
    fn a_file_in_use_is_out_of_reach_and_one_out_of_use_takes_no_memory() {
        let folder = tempfile::tempdir().unwrap();
        let directory = MemoryDirectory::new(folder.path());
        let (first, second) = (Path::new("first"), Path::new("second"));
        for path in [first, second] {
            let mut file = directory.open_write(path).unwrap();
            file.write_all(b"content").unwrap();
            file.terminate().unwrap();
        }
        let held = directory.open_read(first).unwrap();
        let bytes = held.read_bytes().unwrap();
        drop(held);
        fs::write(folder.path().join(first), b"x").unwrap();
        assert_eq!(bytes.as_slice(), b"content");
        let again = directory.open_read(first).unwrap().read_bytes().unwrap();
        assert_eq!(again.as_slice(), b"content");
        directory.delete(first).unwrap();
        assert_eq!(bytes.as_slice(), b"content");

        drop((bytes, again));
        directory.open_read(second).unwrap();
        assert_eq!(directory.files.lock().unwrap().len(), 1);
        assert!(matches!(
            directory.open_read(first),
            Err(OpenReadError::FileDoesNotExist(_))
        ));
        assert!(matches!(
            directory.delete(first),
            Err(DeleteError::FileDoesNotExist(_))
        ));
    }
}
