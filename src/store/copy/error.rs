//! Why a store was not copied.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::store::{OpenError, sql};

/// Why a store was not copied. Nothing is lost: the source is as it was, or the copy has only to be finished.
#[derive(Debug, Error)]
pub(crate) enum CopyError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("there is no store in {0}, so there is nothing to copy")]
    Absent(String),
    #[error("there is a store in {0}; name an empty database, or a folder without a store")]
    Occupied(String),
    #[error("cannot {attempt} the store {shown}: {source}")]
    Side {
        attempt: &'static str,
        shown: String,
        source: sql::Error,
    },
    #[error("cannot copy the table {table}: {source}")]
    Table {
        table: &'static str,
        source: sql::Error,
    },
    #[error("cannot {attempt} {path}: {source}", path = .path.display())]
    File {
        attempt: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error(
        "the table {0} of the copy differs from that of the source, so the copy was not kept; run the command again, and if it differs again, have the disks and the memory of both machines checked"
    )]
    Differs(&'static str),
}
