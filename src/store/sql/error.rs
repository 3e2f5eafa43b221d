//! Why an attempt in SQL failed.

use std::error::Error as StdError;

use thiserror::Error as ThisError;
use tokio_postgres::error::SqlState;

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
    /// The session has ended.
    #[error("the connection to the database has ended")]
    Ended,
    /// The server neither answers nor hangs up, and the session was given up.
    #[error("the database does not answer")]
    Silent,
    /// A session cannot be worked for.
    #[error("cannot wait for the store: {0}")]
    Runtime(#[source] std::io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error("{}", told(.0))]
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

    /// Whether the server cannot be asked for a while.
    pub(in crate::store) fn is_of_server(&self) -> bool {
        match self {
            Error::Postgres(error) => is_unavailable(error),
            Error::Ended | Error::Silent => true,
            _ => false,
        }
    }

    /// Whether the server has ended the session, or is about to. The connection may look open for a moment longer.
    pub(in crate::store) fn ends_session(&self) -> bool {
        let error = match self {
            Error::Postgres(error) => error,
            Error::Ended | Error::Silent => return true,
            _ => return false,
        };
        let ends = [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ];
        error.is_closed() || error.code().is_some_and(|code| ends.contains(code))
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

/// What an error says, with its causes: alone it says "db error".
pub(in crate::store) fn told(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("PostgreSQL: {} ({})", said.message(), said.code().code());
    }
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !told.contains(&said) {
            told = format!("{told}: {said}");
        }
        cause = error.source();
    }
    told
}

/// Whether an error means that nothing can be written for a while, rather than that this transaction is wrong.
fn is_unavailable(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        // No answer of the server: the connection, or a value that is none of the column's type.
        return error.is_closed()
            || error
                .source()
                .is_some_and(|cause| cause.is::<std::io::Error>());
    };
    // Connection, transaction ended by the server, resources, an operator, the system, a lock that was not to be had.
    let classes = ["08", "25", "40", "53", "57", "58", "XX"];
    classes.iter().any(|class| code.code().starts_with(class)) || code.code() == "55P03"
}
