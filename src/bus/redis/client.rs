//! One connection to Redis, and how a call on it can end. All of fred that docent uses is here.
//!
//! There is no reconnect policy: a connection that is lost, or whose reply did not come in time, is dropped, and a new one is
//! checked before anything is done with it. Nothing is sent twice (`max_attempts` is 1): if a reply was lost, it is *unknown*
//! whether the call was done, and the ledger decides what follows.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike;
use fred::prelude::{Builder, Config, Error, ErrorKind, Options, ServerConfig, Value};
use fred::types::{ClusterHash, CustomCommand};
use thiserror::Error as ThisError;
use tokio::task::JoinHandle;

use super::remedy;

/// How long making a connection may take, with everything that fred sends by itself.
const CONNECT: Duration = Duration::from_secs(2);

/// How long a call that does not block may take.
pub(super) const CALL: Duration = Duration::from_secs(5);

/// Calls that wait on one connection, at most.
const BUFFER: usize = 10_000;

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub(super) enum RedisError {
    /// The connection is of no use any more, and whether the call was done is not known.
    #[error("Redis cannot be reached: {0}")]
    Lost(String),
    /// A stream or its group is not there.
    #[error("a stream or its group is gone: {0}")]
    Missing(String),
    #[error("Redis refuses: {0}")]
    Refused(String),
    /// Another store owns the namespace.
    #[error(
        "the namespace belongs to another store, {owner}; give this docent a [redis] namespace of its own, or, if that store is gone for good, free the name: {command}"
    )]
    Foreign {
        owner: String,
        /// What a person calls to free the name.
        command: String,
    },
    /// The reply is not what the command is documented to give.
    #[error("unexpected answer from Redis to {0}")]
    Garbled(&'static str),
}

impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        let details = error.details();
        let code = details.split_whitespace().next().unwrap_or_default();
        let from_server = !code.is_empty()
            && code
                .chars()
                .all(|c| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit());
        match error.kind() {
            _ if code == "NOGROUP" || code == "UNBLOCKED" => {
                RedisError::Missing(details.to_owned())
            }
            _ if from_server && details.contains("no such key") => {
                RedisError::Missing(details.to_owned())
            }
            ErrorKind::Parse => RedisError::Garbled("a call"),
            // Any other answer: it can be reached, but does not do what it was asked for.
            _ if from_server => RedisError::Refused(remedy::explained(details)),
            ErrorKind::InvalidArgument | ErrorKind::InvalidCommand | ErrorKind::Config => {
                RedisError::Refused(details.to_owned())
            }
            ErrorKind::Tls => RedisError::Lost(remedy::of_tls(details)),
            _ => RedisError::Lost(remedy::of_tls(&plain(details))),
        }
    }
}

/// A connection that was not checked yet.
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
    pub(super) async fn open(url: &str) -> Result<Self, RedisError> {
        let config = config(url)?;
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
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(RedisError::Lost(format!(
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
    ) -> Result<Value, RedisError> {
        self.call_within(command, args, CALL).await
    }

    /// Calls a command that does not block, with a deadline of its own.
    pub(super) async fn call_within(
        &self,
        command: &'static str,
        args: Vec<Value>,
        deadline: Duration,
    ) -> Result<Value, RedisError> {
        let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
        let client = self.client.with_options(&options(deadline));
        Ok(client.custom(command, args).await?)
    }

    /// Calls many commands, with one write and one deadline; each has a result of its own.
    pub(super) async fn calls(
        &self,
        calls: Vec<(&'static str, Vec<Value>)>,
    ) -> Vec<Result<Value, RedisError>> {
        let count = calls.len();
        let client = self.client.with_options(&options(CALL));
        let pipeline = client.pipeline();
        for (command, args) in calls {
            let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
            // Only queued: the results come together below.
            if let Err(error) = pipeline.custom::<(), Value>(command, args).await {
                return vec![Err(RedisError::from(error)); count];
            }
        }
        // fred's own deadline does not hold for what is written together.
        let Ok(replies) = tokio::time::timeout(CALL, pipeline.try_all::<Value>()).await else {
            return vec![Err(RedisError::Lost(format!("no reply within {CALL:?}"))); count];
        };
        let mut results: Vec<Result<Value, RedisError>> = replies
            .into_iter()
            .map(|result| result.map_err(RedisError::from))
            .collect();
        // Where fred gives fewer results than there were calls, the rest is unknown.
        results.resize(count, Err(RedisError::Lost("no reply".to_owned())));
        results
    }

    pub(super) async fn script(
        &self,
        script: &'static str,
        key: &str,
        args: Vec<Value>,
    ) -> Result<Value, RedisError> {
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
            tracing::debug!("a connection to Redis was closed without QUIT");
        }
    }
}

/// How fred is to connect there. It leaves the path of a socket as it stands in the URL; here it is decoded as all the rest.
fn config(url: &str) -> Result<Config, Error> {
    let mut config = Config::from_url(url)?;
    if let ServerConfig::Unix { path } = &mut config.server {
        *path = decoded(path.as_os_str().as_encoded_bytes());
    }
    Ok(config)
}

/// The path in which each `%XX` is a byte.
fn decoded(path: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|_| first == b'%');
        let byte = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if byte.is_some() { &tail[2..] } else { tail };
        bytes.push(byte.unwrap_or(first));
    }
    OsString::from_vec(bytes).into()
}

/// Whether a URL names a Redis that can be connected to, as far as the URL tells.
#[cfg(test)]
pub(super) fn understood(url: &str) -> Result<(), String> {
    let config = config(url).map_err(|error| error.to_string())?;
    if let ServerConfig::Unix { path } = &config.server
        && path.file_name().is_none()
    {
        return Err("it names no socket".to_owned());
    }
    Ok(())
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
    args_of(&parts)
}

/// The same, of a number that is not known beforehand.
pub(super) fn args_of(parts: &[&str]) -> Vec<Value> {
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

    #[test]
    fn only_a_key_that_is_not_there_is_missing_and_every_other_error_means_refused() {
        let error =
            |details: &'static str| RedisError::from(Error::new(ErrorKind::Unknown, details));
        for gone in [
            "NOGROUP No such key 'k' or consumer group 'g' script: 1f, on @user_script:1.",
            "ERR no such key",
        ] {
            assert!(matches!(error(gone), RedisError::Missing(_)), "{gone}");
        }
        for refused in [
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
            "LOADING Redis is loading the dataset in memory",
            "CLUSTERDOWN The cluster is down",
            "NOAUTH Authentication required.",
            "BUSY Redis is busy running a script.",
            "MISCONF Errors writing to the AOF file",
            "NOREPLICAS Not enough good replicas to write.",
            "NOPERM this user has no permissions",
            "OOM command not allowed",
            "MOVED 3999 127.0.0.1:6381",
            "ERR max number of clients reached",
            "NEWCODE what no version says yet",
        ] {
            assert!(
                matches!(error(refused), RedisError::Refused(_)),
                "{refused}"
            );
        }
        assert!(matches!(error("Request timed out."), RedisError::Lost(_)));
    }

    #[test]
    fn the_path_of_a_socket_is_decoded() {
        let path = |url| match config(url).unwrap().server {
            ServerConfig::Unix { path } => path,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            path("redis+unix:///run/a%20b%40.sock"),
            PathBuf::from("/run/a b@.sock")
        );
        assert_eq!(
            path("redis+unix://:p@localhost/run/50%"),
            PathBuf::from("/run/50%")
        );
    }
}
