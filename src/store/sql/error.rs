//! Why an attempt in SQL failed.

use thiserror::Error as ThisError;

/// Why an attempt in SQL failed.
#[derive(Debug, ThisError)]
pub(crate) enum Error {
    /// A query that must give a row gave none.
    #[error("the query gave no row")]
    NoRows,
    /// A column does not hold what docent writes there; which, and how.
    #[error("{0}")]
    Column(String),
    /// A row does not hold what docent writes there.
    #[error("table {table}, the row with {key}: {why}")]
    Damage {
        table: &'static str,
        key: String,
        why: String,
    },
    /// A session cannot be worked for.
    #[error("cannot wait for the store: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{}", super::session::told(.0))]
    Postgres(#[from] tokio_postgres::Error),
}

impl Error {
    /// What SQLite says of it.
    pub(in crate::store) fn sqlite_code(&self) -> Option<rusqlite::ErrorCode> {
        match self {
            Error::Sqlite(error) => error.sqlite_error_code(),
            _ => None,
        }
    }
}

/// No row is an answer too.
pub(in crate::store) trait Optional<T> {
    /// The row, if there was one.
    fn optional(self) -> Result<Option<T>, Error>;
}

impl<T> Optional<T> for Result<T, Error> {
    fn optional(self) -> Result<Option<T>, Error> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(Error::NoRows) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
