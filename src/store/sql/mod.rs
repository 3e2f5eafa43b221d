//! SQL on either engine: connections, statements and rows, with one face.
//!
//! The store's statements are written once, in the dialect that both engines share: parameters are `?1`, `?2`, …, `ON CONFLICT`
//! only, no rowid, no trigger, no scalar `MAX`. What an engine does in its own way stands in a folder of its own.

mod error;
mod row;
mod session;
mod silence;
mod value;

use rusqlite::Connection as Sqlite;
pub(super) use rusqlite::params;
pub(super) use rusqlite::types::{
    FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef,
};

pub(crate) use error::Error;
pub(super) use error::{Optional, told};
pub(super) use row::{MappedRows, Row, Rows};
pub(super) use session::Session;
pub(super) use silence::{Patience, Silence};

/// What an attempt in SQL gives.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// A connection to the store, on one of its engines.
pub(crate) enum Connection {
    Sqlite(Sqlite),
    Postgres(Box<Session>),
}

impl Connection {
    /// A statement that this connection keeps parsed.
    pub(super) fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        Ok(Statement(match self {
            Connection::Sqlite(connection) => Prepared::Sqlite(connection.prepare_cached(sql)?),
            Connection::Postgres(session) => Prepared::Postgres(session, session.prepare(sql)?),
        }))
    }

    /// Runs a statement; gives how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    /// The first row that a query gives.
    ///
    /// # Errors
    /// [`Error::NoRows`] if it gives none.
    pub(super) fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare_cached(sql)?.query_row(params, read)
    }

    /// Runs statements without parameters, one after the other.
    pub(super) fn execute_batch(&self, sql: &str) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Connection::Postgres(session) => session.execute_batch(sql),
        }
    }

    /// Runs what was deferred.
    pub(super) fn run_deferred(&self) -> Result<()> {
        match self {
            Connection::Sqlite(_) => Ok(()),
            Connection::Postgres(session) => session.run_deferred(),
        }
    }

    /// Goes back, by a statement that does so. What was deferred and did not run yet does not run.
    pub(super) fn undo(&self, rollback: &str) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(rollback)?;
                Ok(statement.execute([]).map(drop)?)
            }
            Connection::Postgres(session) => {
                session.forget_deferred();
                session.execute_batch(rollback)
            }
        }
    }

    /// Begins to read one state of the store, whatever is committed meanwhile.
    pub(super) fn begin_snapshot(&self) -> Result<()> {
        self.execute_batch(match self {
            Connection::Sqlite(_) => "BEGIN",
            Connection::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        })
    }

    /// Runs a query on the state of the store that was begun to be read, and ends that.
    pub(super) fn in_snapshot<T>(&self, query: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let result = query(self);
        let ended = self.execute_batch("ROLLBACK");
        let result = result?;
        ended?;
        Ok(result)
    }

    /// Begins a transaction that may take long, on one state of the store.
    pub(super) fn begin_long(&self) -> Result<()> {
        self.execute_batch(match self {
            Connection::Sqlite(_) => "BEGIN",
            Connection::Postgres(_) => {
                "SET idle_in_transaction_session_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ"
            }
        })
    }

    /// Hands over each row of a query, within a transaction, however many there are.
    pub(super) fn for_each_row(
        &self,
        select: &str,
        mut read: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match self {
            Connection::Sqlite(connection) => {
                let mut statement = connection.prepare(select)?;
                let mut rows = Rows::sqlite(statement.query([])?);
                while let Some(row) = rows.next()? {
                    read(&row)?;
                }
            }
            Connection::Postgres(session) => {
                session.for_each_row(select, |row| read(&Row::Postgres(row)))?
            }
        }
        Ok(())
    }

    /// Whether nothing can be asked on it any more.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Connection::Sqlite(_) => false,
            Connection::Postgres(session) => session.is_lost(),
        }
    }
}

/// A statement that can be run.
pub(super) struct Statement<'c>(Prepared<'c>);

enum Prepared<'c> {
    Sqlite(rusqlite::CachedStatement<'c>),
    Postgres(&'c Session, tokio_postgres::Statement),
}

impl Statement<'_> {
    /// Runs it; gives how many rows it changed.
    pub(super) fn execute(&mut self, params: impl Params) -> Result<usize> {
        params.with(|params| match &mut self.0 {
            Prepared::Sqlite(statement) => Ok(statement.execute(params)?),
            Prepared::Postgres(session, statement) => session.execute(statement, params),
        })
    }

    /// Runs it before whatever is asked next on the connection. What it changes is not asked for, so a server is told of many at
    /// once; an error comes with the next question.
    pub(super) fn defer(&mut self, params: impl Params) -> Result<()> {
        params.with(|params| match &mut self.0 {
            Prepared::Sqlite(statement) => Ok(statement.execute(params).map(drop)?),
            Prepared::Postgres(session, statement) => session.defer(statement, params),
        })
    }

    /// The rows that it gives.
    pub(super) fn query(&mut self, params: impl Params) -> Result<Rows<'_>> {
        params.with(|params| match &mut self.0 {
            Prepared::Sqlite(statement) => Ok(Rows::sqlite(statement.query(params)?)),
            Prepared::Postgres(session, statement) => {
                Ok(Rows::postgres(session.query(statement, params)?))
            }
        })
    }

    /// The rows that it gives, each read by `read`.
    pub(super) fn query_map<T, F: FnMut(&Row<'_>) -> Result<T>>(
        &mut self,
        params: impl Params,
        read: F,
    ) -> Result<MappedRows<'_, F>> {
        Ok(MappedRows::new(self.query(params)?, read))
    }

    /// The first row that it gives.
    ///
    /// # Errors
    /// [`Error::NoRows`] if it gives none.
    pub(super) fn query_row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let mut rows = self.query(params)?;
        read(&rows.next()?.ok_or(Error::NoRows)?)
    }

    /// Whether it gives a row.
    pub(super) fn exists(&mut self, params: impl Params) -> Result<bool> {
        Ok(self.query(params)?.next()?.is_some())
    }
}

/// The values of a statement's parameters, in their order.
pub(super) trait Params {
    /// Gives them to `run`.
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R;
}

impl Params for &[&dyn ToSql] {
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        run(self)
    }
}

impl Params for [&dyn ToSql; 0] {
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        run(&[])
    }
}

macro_rules! params_of_arrays {
    ($($count:literal),*) => {$(
        impl<T: ToSql> Params for [T; $count] {
            fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
                run(&self.each_ref().map(|value| value as &dyn ToSql))
            }
        }
    )*};
}

params_of_arrays! { 1, 2, 3 }
