//! The keeper of a connection to Redis. The link, each inbox, the ingress and the surveyor have one.
//!
//! A connection is checked before anybody uses it: the namespace must be this store's. A connection that fails is given up, and the
//! keeper knows when the next attempt is due.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::RedisSettings;
use super::client::{Connection, RedisError};
use super::owner::{self, OwnerCheck};
use crate::backoff::{Backoff, half_jitter};
use crate::store::StoreIdentity;

/// Between attempts to connect.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));

/// Opens a connection on which the owner of the namespace was checked.
pub(super) async fn connect(
    settings: &RedisSettings,
    store: &StoreIdentity,
    check: OwnerCheck,
) -> Result<Connection, RedisError> {
    let connection = Connection::open(&settings.url).await?;
    owner::check(&connection, settings, store, check).await?;
    Ok(connection)
}

/// What there is of a connection.
enum KeptState<C> {
    Absent { retry_at: Instant },
    Opening,
    Open(Arc<C>),
}

/// Keeps one connection, or what was made on it.
pub(super) struct ConnectionKeeper<C> {
    state: KeptState<C>,
    /// Failures in a row.
    failures: u32,
}

impl<C> ConnectionKeeper<C> {
    /// A keeper without a connection: the first attempt is due.
    pub(super) fn new() -> Self {
        let retry_at = Instant::now();
        ConnectionKeeper {
            state: KeptState::Absent { retry_at },
            failures: 0,
        }
    }

    /// The connection, if there is one.
    pub(super) fn connection(&self) -> Option<Arc<C>> {
        match &self.state {
            KeptState::Open(connection) => Some(connection.clone()),
            _ => None,
        }
    }

    /// When the next attempt is due; `None`: there is a connection, or an attempt is under way.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            KeptState::Absent { retry_at } => Some(retry_at),
            _ => None,
        }
    }

    /// Whether an attempt is due. True: it counts as under way from now on.
    pub(super) fn begin(&mut self) -> bool {
        let due = self.retry_at().is_some_and(|at| at <= Instant::now());
        if due {
            self.state = KeptState::Opening;
        }
        due
    }

    /// An attempt has succeeded.
    pub(super) fn opened(&mut self, connection: C) -> Arc<C> {
        let connection = Arc::new(connection);
        self.state = KeptState::Open(connection.clone());
        connection
    }

    /// The connection does what it is for: the next failure is the first in a row.
    pub(super) fn works(&mut self) {
        self.failures = 0;
    }

    /// The connection, or the attempt to open it, failed: it is given up until the backoff is over.
    pub(super) fn failed(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.give_up(half_jitter(BACKOFF.after(self.failures), fastrand::f64()));
    }

    /// Gives the connection up; the next attempt is due after `wait`.
    pub(super) fn give_up(&mut self, wait: Duration) {
        let retry_at = Instant::now() + wait;
        self.state = KeptState::Absent { retry_at };
    }

    /// Waits until the next attempt is due.
    pub(super) async fn due(&self) {
        if let Some(retry_at) = self.retry_at() {
            tokio::time::sleep_until(retry_at).await;
        }
    }
}
