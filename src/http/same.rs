//! Whether a file is still what is shown of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{self, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::State;
use super::wire::Problem;
use crate::store::{Digest, DocumentRow, FileStat, FileState, ManifestRow};

/// How long a disk may take to say whether files have changed.
const COMPARING: Duration = Duration::from_secs(5);

/// A file of which an answer shows something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ShownFile {
    pub(super) collection: String,
    pub(super) path: Vec<u8>,
    /// The digest of the bytes that are shown.
    pub(super) digest: String,
}

impl ShownFile {
    pub(super) fn of(document: &DocumentRow) -> Self {
        ShownFile {
            collection: document.collection.clone(),
            path: document.path.clone(),
            digest: document.digest.to_string(),
        }
    }
}

/// A file that is to be compared with the disk.
struct Compared {
    root: PathBuf,
    row: ManifestRow,
    digest: Digest,
}

/// Those files that are others now, or cannot be looked at, by collection and path. Those of a collection that only another host
/// has are judged by what that one has captured.
pub(super) async fn changed(
    state: &State,
    shown: Vec<ShownFile>,
) -> Result<Vec<(String, Vec<u8>)>, Problem> {
    let shown: BTreeSet<ShownFile> = shown.into_iter().collect();
    let (mut changed, mut to_compare) = (Vec::new(), Vec::new());
    for file in shown {
        let row = state
            .store
            .manifest_row(&file.collection, &file.path)
            .await?;
        let root = state.info.roots.get(&file.collection);
        // Where newer bytes are captured, they are not processed yet.
        let captured = row.filter(|row| row.state == FileState::Captured);
        let captured = captured.and_then(|row| Some((row.digest.clone()?, row)));
        match (root, captured) {
            (Some(root), Some((digest, row))) if digest.as_str() == file.digest => {
                let root = root.clone();
                to_compare.push(Compared { root, row, digest });
            }
            (None, Some((digest, _))) if digest.as_str() == file.digest => {}
            _ => changed.push((file.collection, file.path)),
        }
    }
    let place = |file: &Compared| (file.row.collection.clone(), file.row.path.clone());
    let all: Vec<_> = to_compare.iter().map(place).collect();
    let compared = state.comparing.run_within(COMPARING, move || {
        let differs = |file: &Compared| {
            let (path, stat) = (&file.row.path, &file.row.stat);
            !is_same(&file.root, path, stat, &file.digest).unwrap_or(false)
        };
        to_compare.retain(differs);
        to_compare.iter().map(place).collect()
    });
    // Of a disk that does not answer nothing is known.
    changed.extend(compared.await.unwrap_or(all));
    Ok(changed)
}

/// Whether the file at `path` below `root` holds the bytes of this digest. One with the same stat is not read.
fn is_same(root: &Path, path: &[u8], known: &FileStat, digest: &Digest) -> Result<bool, Errno> {
    let file = open_below(root, path)?;
    let stat = fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(false);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if is_stat(&stat, known) || size != known.size {
        return Ok(size == known.size);
    }
    let mut bytes = Vec::new();
    // Not further than what it is compared with.
    let read = File::from(file)
        .take(known.size + 1)
        .read_to_end(&mut bytes);
    Ok(read.is_ok() && Digest::of(&bytes) == *digest)
}

fn is_stat(stat: &Stat, known: &FileStat) -> bool {
    let at = |seconds: i64, fraction: u64| {
        let fraction = i64::try_from(fraction).unwrap_or(0);
        seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(fraction)
    };
    known.size == u64::try_from(stat.st_size).unwrap_or(0)
        && known.mtime_ns == at(stat.st_mtime, stat.st_mtime_nsec)
        && known.ctime_ns == at(stat.st_ctime, stat.st_ctime_nsec)
        && (known.device, known.inode) == (stat.st_dev, stat.st_ino)
}

/// Opens a file without following a link below the root, and without waiting for a pipe's other end.
fn open_below(root: &Path, path: &[u8]) -> Result<OwnedFd, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = fs::open(root, folder, Mode::empty())?;
    let mut names = path.split(|b| *b == b'/').peekable();
    while let Some(name) = names.next() {
        let flags = match names.peek() {
            Some(_) => folder,
            None => OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        };
        at = fs::openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_same_by_its_stat_or_else_by_its_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sub").join("a.md");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "one").unwrap();
        let digest = Digest::of(b"one");
        let stat = fs::stat(&file).unwrap();
        let mut known = FileStat {
            size: 3,
            mtime_ns: stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec as i64,
            ctime_ns: stat.st_ctime * 1_000_000_000 + stat.st_ctime_nsec as i64,
            device: stat.st_dev,
            inode: stat.st_ino,
        };
        assert!(is_stat(&stat, &known));
        let same = |known: &FileStat| is_same(folder.path(), b"sub/a.md", known, &digest);
        assert_eq!(same(&known), Ok(true));
        known.mtime_ns -= 1;
        assert_eq!(same(&known), Ok(true), "touched");
        std::fs::write(&file, "two").unwrap();
        assert_eq!(same(&known), Ok(false));
        std::fs::write(&file, "longer").unwrap();
        assert_eq!(same(&known), Ok(false));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(same(&known), Err(Errno::NOENT));
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert_eq!(same(&known), Err(Errno::LOOP));
        std::fs::remove_dir_all(folder.path().join("sub")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("sub")).unwrap();
        assert_eq!(same(&known), Err(Errno::NOTDIR));
    }
}
