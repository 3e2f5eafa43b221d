//! What can go wrong with the index, and why one was begun anew.

use std::io;
use std::path::PathBuf;

use tantivy::TantivyError;
use tantivy::directory::error::{OpenReadError, OpenWriteError};
use thiserror::Error;

use super::DocumentId;
use crate::store::ReadError;

/// An operation on the index failed. What was published before stays published.
#[derive(Debug, Error)]
pub enum IndexError {
    /// Another process, or another handle in this one, has the index open.
    #[error("cannot open the index in {}: it is open elsewhere; stop the other process or choose another data_dir", .0.display())]
    Busy(PathBuf),
    /// The folder could not be made, emptied or locked.
    #[error("cannot {attempted} {}", .path.display())]
    Folder {
        attempted: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The keyword index failed; the same call may be tried again.
    #[error("cannot {attempted}")]
    Keyword {
        attempted: &'static str,
        #[source]
        source: TantivyError,
    },
    /// A batch gives a chunk a number that another chunk has. Trying again cannot help.
    #[error("cannot give the number {number} to a chunk of document {document:02x?}: it is taken")]
    NumberTaken {
        number: u64,
        /// The document that was to get it.
        document: DocumentId,
    },
    /// A thread panicked while it changed the index: what is in memory may be half changed. Open it again.
    #[error("cannot use the index: an earlier change of it was interrupted; open it again")]
    Broken,
}

impl IndexError {
    /// Turns an error of the keyword index into one that says what was `attempted`.
    pub(super) fn keyword<E: Into<TantivyError>>(
        attempted: &'static str,
    ) -> impl FnOnce(E) -> IndexError {
        move |source| IndexError::Keyword {
            attempted,
            source: source.into(),
        }
    }
}

impl From<IndexError> for String {
    /// The error with its cause, on one line.
    fn from(error: IndexError) -> String {
        match &error {
            IndexError::Keyword { source, .. } => format!("{error}: {}", plain(source)),
            IndexError::Folder { source, .. } => format!("{error}: {source}"),
            IndexError::Busy(_) | IndexError::NumberTaken { .. } | IndexError::Broken => {
                error.to_string()
            }
        }
    }
}

/// Where the system refused, its words: tantivy's are for programmers, and say them twice.
pub(super) fn plain(error: &TantivyError) -> String {
    match error {
        TantivyError::OpenWriteError(OpenWriteError::IoError { io_error, filepath }) => {
            format!("cannot write {}: {io_error}", filepath.display())
        }
        TantivyError::OpenReadError(OpenReadError::IoError { io_error, filepath }) => {
            match io_error.kind() {
                io::ErrorKind::InvalidData => {
                    format!("{} is not as it was written", filepath.display())
                }
                _ => format!("cannot read {}: {io_error}", filepath.display()),
            }
        }
        TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(path)) => {
            format!("{} is missing", path.display())
        }
        TantivyError::IoError(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// Why an index was begun anew instead of continued.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum WhyNew {
    #[error("there was no index")]
    Absent,
    /// Something that is not a folder stood in its place.
    #[error("the index was not a folder")]
    NotAFolder,
    /// A file of it is missing, cut, altered or unreadable.
    #[error("the index is damaged: {0}")]
    Damaged(String),
    /// It is an index, but not one of docent's.
    #[error("the index was not made by docent")]
    Foreign,
    /// It was made by another version or under other settings.
    #[error("the index was made with {what} {was}, and now it is {is}")]
    Changed {
        what: String,
        /// Its value when the index was made.
        was: String,
        is: String,
    },
    /// The store was restored, or its database lost commits.
    #[error("the store no longer has what the index has seen")]
    CommitsLost,
    /// The caller asked for it.
    #[error("a new index was requested")]
    Requested,
}

/// Why a search gave nothing.
#[derive(Debug, Error)]
pub enum SearchError {
    /// The index is being opened or built from the store.
    #[error("the index is being opened or built; try again in a moment")]
    NotReady,
    /// What was found cannot be read from the store.
    #[error("cannot search: {0}")]
    Store(#[from] ReadError),
    #[error("cannot search: {0}")]
    Failed(String),
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_disk_that_is_full_is_said_once_in_the_words_of_the_system() {
        let full = || Arc::new(io::Error::from_raw_os_error(28));
        let opening = OpenWriteError::IoError {
            io_error: full(),
            filepath: "a.term".into(),
        };
        let said = |source| String::from(IndexError::keyword::<TantivyError>("commit")(source));
        assert_eq!(
            said(TantivyError::OpenWriteError(opening)),
            "cannot commit: cannot write a.term: No space left on device (os error 28)"
        );
        let garbled = OpenReadError::wrap_io_error(
            io::Error::new(io::ErrorKind::InvalidData, "Footer magic byte mismatch"),
            "a.term".into(),
        );
        assert_eq!(
            plain(&TantivyError::OpenReadError(garbled)),
            "a.term is not as it was written"
        );
        let missing = OpenReadError::FileDoesNotExist("a.term".into());
        assert_eq!(
            plain(&TantivyError::OpenReadError(missing)),
            "a.term is missing"
        );
        assert_eq!(
            said(TantivyError::IoError(full())),
            "cannot commit: No space left on device (os error 28)"
        );
    }
}
