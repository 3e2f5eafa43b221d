//! One connection to Redis, and what a call on it can end with. All of fred that docent uses is here.
//!
//! There is no reconnect policy: a connection that is lost, or whose reply did not come in time, is dropped, and a new one is
//! checked before anything is done with it. Nothing is sent twice (`max_attempts` is 1): whether a call whose reply was lost
//! has been done is *unknown*, and the ledger decides what follows.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::prelude::{Builder, Config, Error, ErrorKind, Options, Value};
use fred::types::{ClusterHash, CustomCommand};
use thiserror::Error as ThisError;
use tokio::task::JoinHandle;

/// How long making a connection may take, with everything that fred sends by itself.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a call that does not block may take.
const CALL: Duration = Duration::from_secs(5);

/// Calls that wait on one connection, at most.
const BUFFER: usize = 10_000;

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub(super) enum Trouble {
    /// The connection is of no use any more, and whether the call was done is not known.
    #[error("Redis cannot be reached: {0}")]
    Lost(String),
    /// A stream or its group is not there.
    #[error("a stream or its group is gone: {0}")]
    Missing(String),
    /// Redis says no.
    #[error("Redis refuses: {0}")]
    Refused(String),
    /// Another store owns the namespace.
    #[error(
        "the namespace belongs to another store, {owner}; give this docent a [redis] namespace of its own, or, if that store is gone for good, free the name: {command}"
    )]
    Foreign {
        /// Who owns it.
        owner: String,
        /// What a person calls to free the name.
        command: String,
    },
    /// The reply is not what the command is documented to give.
    #[error("Redis gave something unexpected for {0}")]
    Garbled(&'static str),
}

/// Server errors after which only another connection, perhaps to another node, helps.
const LOST_CODES: &[&str] = &["READONLY", "MASTERDOWN", "LOADING", "CLUSTERDOWN", "NOAUTH"];

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let details = error.details().to_owned();
        let code = details.split_whitespace().next().unwrap_or_default();
        let from_server = !code.is_empty()
            && code
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
        match error.kind() {
            _ if code == "NOGROUP" || code == "UNBLOCKED" => Trouble::Missing(details),
            _ if LOST_CODES.contains(&code) => Trouble::Lost(details),
            ErrorKind::Parse => Trouble::Garbled("a call"),
            _ if from_server => Trouble::Refused(details),
            ErrorKind::InvalidArgument | ErrorKind::InvalidCommand | ErrorKind::Config => {
                Trouble::Refused(details)
            }
            _ => Trouble::Lost(details),
        }
    }
}

/// A connection, checked by nobody yet.
pub(super) struct Connection {
    client: Client,
    /// fred's task: it alone reads and writes the socket.
    task: JoinHandle<Result<(), Error>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// Connects.
    pub(super) async fn open(url: &str) -> Result<Self, Trouble> {
        let config = Config::from_url(url)?;
        let client = Builder::from_config(config)
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT;
                connection.internal_command_timeout = CONNECT;
                connection.max_command_attempts = 1;
                connection.max_command_buffer_len = BUFFER;
                connection.tcp.nodelay = Some(true);
            })
            .build()?;
        match tokio::time::timeout(CONNECT * 2, client.init()).await {
            Ok(Ok(task)) => Ok(Connection { client, task }),
            Ok(Err(error)) => Err(Trouble::Lost(plain(error.details()))),
            Err(_) => Err(Trouble::Lost(format!(
                "no connection within {:?}",
                CONNECT * 2
            ))),
        }
    }

    /// Calls a command that does not block.
    pub(super) async fn call(
        &self,
        command: &'static str,
        args: Vec<Value>,
    ) -> Result<Value, Trouble> {
        self.call_within(command, args, CALL).await
    }

    /// Calls a command that does not block, with a deadline of its own.
    pub(super) async fn call_within(
        &self,
        command: &'static str,
        args: Vec<Value>,
        deadline: Duration,
    ) -> Result<Value, Trouble> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        let client = self.client.with_options(&options(deadline));
        Ok(client.custom(command, args).await?)
    }

    /// Calls a command that blocks for up to `block`: nothing else may be called on this connection meanwhile.
    pub(super) async fn blocking_call(
        &self,
        command: &'static str,
        args: Vec<Value>,
        block: Duration,
    ) -> Result<Value, Trouble> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, true);
        let client = self.client.with_options(&options(block * 2 + CONNECT));
        Ok(client.custom(command, args).await?)
    }

    /// Calls one command many times, with one write and one deadline; each has a result of its own.
    pub(super) async fn calls(
        &self,
        command: &'static str,
        calls: Vec<Vec<Value>>,
    ) -> Vec<Result<Value, Trouble>> {
        let count = calls.len();
        let client = self.client.with_options(&options(CALL));
        let pipeline = client.pipeline();
        for args in calls {
            let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
            // Only queued: the results come together below.
            if let Err(error) = pipeline.custom::<(), Value>(command, args).await {
                return vec![Err(Trouble::from(error)); count];
            }
        }
        // fred's own deadline does not hold for what is written together.
        let Ok(replies) = tokio::time::timeout(CALL, pipeline.try_all::<Value>()).await else {
            return vec![Err(Trouble::Lost(format!("no reply within {CALL:?}"))); count];
        };
        let mut results: Vec<Result<Value, Trouble>> = replies
            .into_iter()
            .map(|result| result.map_err(Trouble::from))
            .collect();
        // Where fred gives fewer results than there were calls, the rest is unknown.
        results.resize(count, Err(Trouble::Lost("no reply".to_owned())));
        results
    }

    /// Runs a script.
    pub(super) async fn script(
        &self,
        script: &'static str,
        key: &str,
        args: Vec<Value>,
    ) -> Result<Value, Trouble> {
        let mut all = vec![Value::from_static_str(script), 1.into(), key.into()];
        all.extend(args);
        self.call("EVAL", all).await
    }

    /// Whether the connection has ended.
    pub(super) fn ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Says goodbye. The connection is of no use afterwards.
    pub(super) async fn quit(&self) {
        let quitting = tokio::time::timeout(Duration::from_millis(500), self.client.quit());
        if !matches!(quitting.await, Ok(Ok(()))) {
            tracing::debug!("a connection to Redis was closed without goodbye");
        }
    }
}

/// An I/O error that was written down for programmers, as the sentence in it.
fn plain(details: &str) -> String {
    let message = details.split_once("message: \"");
    let message = message.and_then(|(_, rest)| rest.split_once('"'));
    message.map_or(details, |(message, _)| message).to_owned()
}

fn options(deadline: Duration) -> Options {
    Options {
        max_attempts: Some(1),
        timeout: Some(deadline),
        ..Options::default()
    }
}

/// Arguments of a call.
pub(super) fn args<const N: usize>(parts: [&str; N]) -> Vec<Value> {
    parts.iter().map(|part| Value::from(*part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_system_is_said_in_its_words() {
        let debug = "Os { code: 2, kind: NotFound, message: \"No such file or directory\" }";
        assert_eq!(plain(debug), "No such file or directory");
        assert_eq!(plain("timed out"), "timed out");
    }
}
