//! What in a root cannot be read: directories, files, and directories whose rules cannot be used. Each is logged once, until it
//! can be read again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tokio::time::Instant;

use super::findings::{UNREAD_MAX, WalkFindings};
use super::paths;
use super::tree::Tree;
use super::walk::UnreadDirectory;

/// What in one root cannot be read; of each kind at most [`UNREAD_MAX`] paths.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// Directories that the last walk could not read.
    directories: BTreeSet<Vec<u8>>,
    /// The last walk of everything left files that it could not reach.
    hidden: bool,
    closed: BTreeMap<Vec<u8>, ClosedDirectory>,
    /// Files that could not be read though docent may read them.
    files: BTreeSet<Vec<u8>>,
}

/// A directory whose rules cannot be used.
#[derive(Debug)]
struct ClosedDirectory {
    cause: String,
    found: Instant,
}

impl Unreadable {
    pub(super) fn file_failed(&mut self, own: &Tree, path: &[u8], error: &str) {
        if self.files.len() < UNREAD_MAX && self.files.insert(path.to_owned()) {
            let path = String::from_utf8_lossy(path);
            tracing::warn!(collection = own.name, %path, error, "a file cannot be read; what is known of it is kept");
        }
    }

    pub(super) fn file_did_not_fail(&mut self, path: &[u8]) {
        self.files.remove(path);
    }

    pub(super) fn directory_unread(&mut self, own: &Tree, directory: &UnreadDirectory) {
        let unread = &mut self.directories;
        if unread.len() >= UNREAD_MAX || !unread.insert(directory.path.clone()) {
            return;
        }
        let path = own.root.join(paths::as_path(&directory.path));
        let then = match directory.denied {
            true => "its files are not searchable until docent may read them",
            false => "its documents are kept",
        };
        tracing::warn!(
            collection = own.name,
            directory = %path.display(),
            cause = directory.cause,
            "a directory cannot be read; {then}"
        );
    }

    pub(super) fn directory_closed(&mut self, own: &Tree, path: &[u8], cause: &str) {
        let closed = &mut self.closed;
        let known = closed.get(path).is_some_and(|known| known.cause == cause);
        if !known && closed.len() >= UNREAD_MAX && !closed.contains_key(path) {
            return;
        }
        let directory = ClosedDirectory {
            cause: cause.to_owned(),
            found: Instant::now(),
        };
        closed.insert(path.to_owned(), directory);
        if !known {
            let directory = own.root.join(paths::as_path(path));
            tracing::warn!(
                collection = own.name,
                directory = %directory.display(),
                cause,
                "the rules of a directory cannot be used; nothing below it is searchable until they can"
            );
        }
    }

    /// A walk has ended: what it could read is readable again.
    pub(super) fn walked(&mut self, own: &Tree, findings: &WalkFindings) {
        self.closed.retain(|path, directory| {
            let opened = findings.has_opened(path, directory.found);
            if opened {
                let path = String::from_utf8_lossy(path).into_owned();
                tracing::info!(
                    collection = own.name,
                    path,
                    "the rules of a directory can be used again"
                );
            }
            !opened
        });
        self.directories.retain(|path| !findings.has_read(path));
        if findings.base.is_empty() {
            self.directories = findings.unread.clone();
            self.hidden = findings.hidden;
        }
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// The directories and files below `root` that cannot be read, in full.
    pub(super) fn paths(&self, root: &Path) -> Vec<PathBuf> {
        let unread = self.directories.iter().chain(&self.files);
        unread.map(|path| root.join(paths::as_path(path))).collect()
    }

    /// Why the rules of directories cannot be used, one sentence a directory.
    pub(super) fn causes_of_closed(&self) -> Vec<String> {
        self.closed.values().map(|c| c.cause.clone()).collect()
    }
}
