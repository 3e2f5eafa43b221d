//! docent's own config and credentials: known by device and inode, so under every name that they have.

use std::path::{Path, PathBuf};

use super::beneath::FileId;
use crate::store::FileStat;

/// Why such a file is withheld.
pub(super) const REASON: &str =
    "it is docent's own config, or holds credentials that the config names";

/// Files of a directory that count, at most.
const FILES_MAX: usize = 1000;

/// The files that these paths lead to now. Asked anew each time: an editor may replace a config by another file.
pub(super) fn ids(paths: &[PathBuf]) -> Vec<FileId> {
    let mut ids = Vec::with_capacity(paths.len());
    for path in paths {
        if path.is_dir() {
            let files = std::fs::read_dir(path).into_iter().flatten().flatten();
            ids.extend(files.take(FILES_MAX).filter_map(|file| id(&file.path())));
        } else {
            ids.extend(id(path));
        }
    }
    ids
}

/// Whether a file is one of them.
pub(super) fn contain(ids: &[FileId], stat: &FileStat) -> bool {
    ids.contains(&FileId {
        device: stat.device,
        inode: stat.inode,
    })
}

fn id(path: &Path) -> Option<FileId> {
    // A file that cannot be examined cannot be told from others; docent itself could not read it either.
    rustix::fs::stat(path).ok().map(|stat| FileId {
        device: stat.st_dev,
        inode: stat.st_ino,
    })
}
