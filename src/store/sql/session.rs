//! A session of the database, with the statements that it keeps.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error as StdError;

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Row, Socket, Statement};

use super::value::Parameter;
use super::{Error, Result};

/// A session of the database. One thread at a time asks on it, and waits for the answer: it must be one that may block.
pub(crate) struct Session {
    client: Client,
    /// By their text: as many as the store has.
    statements: RefCell<HashMap<String, Statement>>,
    /// Where the connection is worked for while somebody waits. It is taken at the end.
    runtime: Option<Runtime>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Without waiting, which is not allowed everywhere.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Session {
    /// Connects as `config` says.
    #[expect(
        clippy::disallowed_methods,
        reason = "the task that works for the connection ends with its session"
    )]
    pub(in crate::store) fn connect<T>(config: &Config, tls: T) -> Result<Self>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Runtime)?;
        let (client, connection) = runtime.block_on(config.connect(tls))?;
        runtime.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = told(&error), "a session of the store ended");
            }
        });
        Ok(Session {
            client,
            statements: RefCell::default(),
            runtime: Some(runtime),
        })
    }

    fn run<T>(&self, asked: impl Future<Output = T>) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(asked),
            None => unreachable!("it is taken only when the session ends"),
        }
    }

    /// Whether the server ended it, or the network did.
    pub(in crate::store) fn is_lost(&self) -> bool {
        // What came meanwhile is looked at first.
        self.run(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
        self.client.is_closed()
    }

    pub(in crate::store) fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let statement = self.run(self.client.prepare(&numbered(sql)))?;
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(in crate::store) fn execute_batch(&self, sql: &str) -> Result<()> {
        Ok(self.run(self.client.batch_execute(sql))?)
    }

    pub(in crate::store) fn execute(
        &self,
        statement: &Statement,
        params: &[&dyn ToSql],
    ) -> Result<usize> {
        let changed = with_parameters(params, |params| {
            self.run(self.client.execute(statement, params))
        })?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(in crate::store) fn query(
        &self,
        statement: &Statement,
        params: &[&dyn ToSql],
    ) -> Result<Vec<Row>> {
        with_parameters(params, |params| {
            self.run(self.client.query(statement, params))
        })
    }
}

/// Runs with parameters as PostgreSQL takes them.
fn with_parameters<T>(
    params: &[&dyn ToSql],
    run: impl FnOnce(&[&(dyn tokio_postgres::types::ToSql + Sync)]) -> Result<T, tokio_postgres::Error>,
) -> Result<T> {
    let values: Vec<ToSqlOutput<'_>> = params
        .iter()
        .map(|value| value.to_sql())
        .collect::<Result<_, rusqlite::Error>>()?;
    let values: Vec<Parameter<'_>> = values
        .iter()
        .map(|value| match value {
            ToSqlOutput::Borrowed(value) => Ok(Parameter(*value)),
            ToSqlOutput::Owned(value) => Ok(Parameter(ValueRef::from(value))),
            _ => Err(Error::Column("a value that only SQLite knows".to_owned())),
        })
        .collect::<Result<_>>()?;
    let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        values.iter().map(|value| value as _).collect();
    Ok(run(&values)?)
}

/// A statement with its parameters `?1` as PostgreSQL writes them: `$1`. No statement of the store has a `?` in a text.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
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
pub(in crate::store) fn is_unavailable(error: &tokio_postgres::Error) -> bool {
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
