//! Which files of a collection are read, and which are only listed.

use super::beneath::FileId;
use super::options::WatchOptions;
use super::own_files;
use super::scope::Scope;
use crate::document::private_key;
use crate::store::{FileStat, FileState, ManifestRow};

/// How the reason begins of a file that is withheld because of its content.
const HOLDS_A_KEY: &str = "it holds a private key";

/// A file that is listed without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unread {
    pub(super) state: FileState,
    pub(super) reason: String,
}

/// Classifies the files of a collection.
pub(super) struct Classifier<'a> {
    scope: &'a Scope,
    options: &'a WatchOptions,
    own_files: Vec<FileId>,
}

impl<'a> Classifier<'a> {
    /// Blocks: it examines docent's own files.
    pub(super) fn new(scope: &'a Scope, options: &'a WatchOptions) -> Self {
        Classifier::with(scope, options, own_files::ids(&options.own_files))
    }

    pub(super) fn with(
        scope: &'a Scope,
        options: &'a WatchOptions,
        own_files: Vec<FileId>,
    ) -> Self {
        Classifier {
            scope,
            options,
            own_files,
        }
    }

    /// Why the file is not read, if it is not.
    pub(super) fn classify(&self, path: &[u8], stat: &FileStat) -> Option<Unread> {
        let unread = |state, reason| Some(Unread { state, reason });
        if let Some(own) = self.own_file(stat) {
            return Some(own);
        }
        if let Some(reason) = self.scope.secret(path) {
            return unread(FileState::Withheld, reason);
        }
        if !(self.options.supported)(path) {
            let reason = "docent reads no files of this type".to_owned();
            return unread(FileState::Unsupported, reason);
        }
        let (size, limit) = (stat.size, self.options.file_size);
        if size > limit {
            let reason = format!("the file has {size} bytes, more than the limit of {limit}");
            return unread(FileState::TooLarge, reason);
        }
        None
    }

    /// Why the bytes of a file that was read are not kept, if they are not.
    pub(super) fn classify_content(
        &self,
        path: &[u8],
        stat: &FileStat,
        bytes: &[u8],
    ) -> Option<Unread> {
        self.own_file(stat).or_else(|| {
            let key = private_key(bytes).filter(|_| !self.scope.allows(path))?;
            Some(Unread {
                state: FileState::Withheld,
                reason: format!("{HOLDS_A_KEY} ({}, line {})", key.form, key.line),
            })
        })
    }

    /// Whether a file with this stat is as its row says, so that nothing is to be done.
    pub(super) fn is_current(&self, row: &ManifestRow, stat: &FileStat) -> bool {
        let right = match (self.classify(&row.path, stat), &row.reason) {
            (Some(unread), reason) => {
                row.state == unread.state && reason.as_ref() == Some(&unread.reason)
            }
            (None, Some(reason)) if row.state == FileState::Withheld => {
                reason.starts_with(HOLDS_A_KEY) && !self.scope.allows(&row.path)
            }
            // An unreadable file is tried again whenever it is checked.
            (None, _) => row.state == FileState::Captured,
        };
        right && row.stat == *stat
    }

    fn own_file(&self, stat: &FileStat) -> Option<Unread> {
        own_files::contain(&self.own_files, stat).then(|| Unread {
            state: FileState::Withheld,
            reason: own_files::REASON.to_owned(),
        })
    }
}
