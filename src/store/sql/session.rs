//! A session of the database, with the statements that it keeps.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::poll_fn;
use futures_util::{StreamExt, TryStreamExt};
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Row, Socket, Statement};

use super::error::told;
use super::silence::{BegunPatience, Patience};
use super::value::Parameter;
use super::{Error, Result};

/// Statements that wait at most. [`join_all`] sends so few in their order.
const DEFERRED_MAX: usize = 30;

const FETCH: &str = "FETCH FORWARD 32 FROM each_row";

/// A session of the database. One thread at a time asks on it, and waits for the answer: it must be one that may block.
pub(crate) struct Session {
    client: Client,
    /// By their text: as many as the store has.
    statements: RefCell<HashMap<String, Statement>>,
    /// Statements that nobody waits for, with their parameters.
    deferred: RefCell<Vec<(Statement, Vec<Value>)>>,
    /// Something was said on a channel that is listened to.
    heard: Arc<Notify>,
    patience: BegunPatience,
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
    /// Connects as `config` says, and waits for answers with `patience`.
    ///
    /// # Errors
    /// [`Error::Silent`] if nothing is heard within `time`.
    pub(in crate::store) fn connect<T>(
        config: &Config,
        tls: T,
        patience: Patience,
        time: Duration,
    ) -> Result<Self>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Runtime)?;
        let patience = patience.begin().ok_or(Error::Silent)?;
        let connected = patience.answer_within(Some(time), config.connect(tls));
        let connected = runtime.block_on(connected).ok_or(Error::Silent)?;
        let (client, connection) = connected?;
        let heard = Arc::new(Notify::new());
        // It ends with the session, whose runtime this is.
        runtime.spawn(work_for(connection, heard.clone()));
        Ok(Session {
            client,
            statements: RefCell::default(),
            deferred: RefCell::default(),
            heard,
            patience,
            runtime: Some(runtime),
        })
    }

    fn run<T>(&self, asked: impl Future<Output = T>) -> Result<T> {
        match &self.runtime {
            Some(runtime) => runtime
                .block_on(self.patience.answer(asked))
                .ok_or(Error::Silent),
            None => unreachable!("it is taken only when the session ends"),
        }
    }

    /// Whether the server ended it, or the network did, or a silence.
    pub(in crate::store) fn is_lost(&self) -> bool {
        // What came meanwhile is looked at first.
        let looked = self.run(async {
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
        });
        looked.is_err() || self.client.is_closed()
    }

    /// Waits until something is said on a channel that is listened to, or the time is up. Gives whether it was said.
    ///
    /// # Errors
    /// The session has ended.
    pub(in crate::store) fn wait_heard(&self, time: Duration) -> Result<bool> {
        let heard = self.run(async {
            tokio::time::timeout(time, self.heard.notified())
                .await
                .is_ok()
        })?;
        match self.client.is_closed() {
            true => Err(Error::Ended),
            false => Ok(heard),
        }
    }

    /// Begins a transaction, and runs queries without parameters in it, all in one exchange with the server. Gives the rows of each.
    pub(in crate::store) fn begin_with(&self, queries: &[&str]) -> Result<Vec<Vec<Row>>> {
        let statements = queries.iter().map(|sql| self.prepare(sql));
        let statements = statements.collect::<Result<Vec<_>>>()?;
        let none: [Parameter<'_>; 0] = [];
        let (begun, rows) = self.run(async {
            let ask = |statement| {
                let none = &none;
                async move {
                    let rows = self.client.query_raw(statement, none.iter()).await?;
                    rows.try_collect().await
                }
            };
            let all = join_all(statements.iter().map(ask));
            tokio::join!(biased; self.client.batch_execute("BEGIN"), all)
        })?;
        begun?;
        let rows: std::result::Result<Vec<_>, tokio_postgres::Error> = rows.into_iter().collect();
        Ok(rows?)
    }

    pub(in crate::store) fn prepare(&self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.borrow().get(sql) {
            return Ok(known.clone());
        }
        let statement = self.run(self.client.prepare(&numbered(sql)))??;
        let mut statements = self.statements.borrow_mut();
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(in crate::store) fn execute_batch(&self, sql: &str) -> Result<()> {
        let (deferred, done) = self.run(async {
            tokio::join!(biased; self.send_deferred(), self.client.batch_execute(sql))
        })?;
        deferred?;
        Ok(done?)
    }

    pub(in crate::store) fn execute(
        &self,
        statement: &Statement,
        params: &[&dyn ToSql],
    ) -> Result<usize> {
        let values = values(params)?;
        let (deferred, changed) = self.run(async {
            let execute = self.client.execute_raw(statement, parameters(&values));
            tokio::join!(biased; self.send_deferred(), execute)
        })?;
        deferred?;
        Ok(usize::try_from(changed?).unwrap_or(usize::MAX))
    }

    /// Keeps a statement until something is asked.
    pub(super) fn defer(&self, statement: &Statement, params: &[&dyn ToSql]) -> Result<()> {
        let values = values(params)?;
        let waiting = {
            let mut deferred = self.deferred.borrow_mut();
            deferred.push((statement.clone(), values));
            deferred.len()
        };
        match waiting {
            DEFERRED_MAX => self.run_deferred(),
            _ => Ok(()),
        }
    }

    /// Runs what was deferred.
    pub(super) fn run_deferred(&self) -> Result<()> {
        self.run(self.send_deferred())?
    }

    /// Lets go of what was deferred and not sent.
    pub(super) fn forget_deferred(&self) {
        self.deferred.borrow_mut().clear();
    }

    /// Sends all that was deferred, in its order, and then waits for the answers.
    async fn send_deferred(&self) -> Result<()> {
        let deferred = self.deferred.take();
        let all = deferred
            .iter()
            .map(|(statement, values)| self.client.execute_raw(statement, parameters(values)));
        for changed in join_all(all).await {
            changed?;
        }
        Ok(())
    }

    pub(in crate::store) fn query(
        &self,
        statement: &Statement,
        params: &[&dyn ToSql],
    ) -> Result<Vec<Row>> {
        let values = values(params)?;
        let (deferred, rows) = self.run(async {
            let query = async {
                let rows = self
                    .client
                    .query_raw(statement, parameters(&values))
                    .await?;
                rows.try_collect().await
            };
            tokio::join!(biased; self.send_deferred(), query)
        })?;
        deferred?;
        Ok(rows?)
    }

    /// Hands over each row of a query, within a transaction. A few rows are in memory at a time, since one may be as large as a
    /// file may be.
    pub(super) fn for_each_row(
        &self,
        select: &str,
        mut read: impl FnMut(&Row) -> Result<()>,
    ) -> Result<()> {
        self.execute_batch(&format!("DECLARE each_row NO SCROLL CURSOR FOR {select}"))?;
        // Not kept: the next query has other columns.
        let fetch = self.run(self.client.prepare(FETCH))??;
        loop {
            let rows = self.query(&fetch, &[])?;
            if rows.is_empty() {
                return self.execute_batch("CLOSE each_row");
            }
            rows.iter().try_for_each(&mut read)?;
        }
    }
}

/// Works for a connection until it ends.
async fn work_for<S, T>(mut connection: Connection<S, T>, heard: Arc<Notify>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = poll_fn(move |context| connection.poll_message(context));
    while let Some(message) = messages.next().await {
        match message {
            Ok(AsyncMessage::Notification(_)) => heard.notify_one(),
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = told(&error), "a session of the store ended");
                return;
            }
        }
    }
}

/// The values of parameters, to be kept until they are sent.
fn values(params: &[&dyn ToSql]) -> Result<Vec<Value>> {
    let value = |param: &&dyn ToSql| match param.to_sql()? {
        ToSqlOutput::Borrowed(value) => {
            Value::try_from(value).map_err(|error| Error::Column(error.to_string()))
        }
        ToSqlOutput::Owned(value) => Ok(value),
        _ => Err(Error::Column("a value that only SQLite knows".to_owned())),
    };
    params.iter().map(value).collect()
}

/// Parameters as PostgreSQL takes them.
fn parameters(values: &[Value]) -> impl ExactSizeIterator<Item = Parameter<'_>> {
    values.iter().map(|value| Parameter(ValueRef::from(value)))
}

/// A statement with its parameters `?1` as PostgreSQL writes them: `$1`. No statement of the store has a `?` in a text.
fn numbered(sql: &str) -> String {
    sql.replace('?', "$")
}
