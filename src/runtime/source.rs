//! How a source publishes: it hands a transaction of effects and events to the store and goes on,
//! with a bounded number of transactions and bytes outstanding.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::event::NewEvent;
use crate::store::{Effect, LeaseTerm, Pending, PublishedEvent, Store, WriteError, effects_weight};

/// Bytes that one permit stands for.
const BYTES_UNIT: usize = 1024;

/// The way of one source into the store.
#[derive(Clone)]
pub struct Source {
    store: Store,
    transactions: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    units: u32,
}

/// A transaction that was handed over. Its place is free again when this is awaited to its end or dropped.
pub struct Submitted {
    pending: Pending<Vec<PublishedEvent>>,
    _permits: (OwnedSemaphorePermit, OwnedSemaphorePermit),
}

impl Source {
    /// A way with capacity for `transactions` and `bytes`.
    pub fn new(store: Store, transactions: usize, bytes: usize) -> Self {
        let units = u32::try_from(bytes / BYTES_UNIT).unwrap_or(u32::MAX).max(1);
        Source {
            store,
            transactions: Arc::new(Semaphore::new(transactions.max(1))),
            bytes: Arc::new(Semaphore::new(units as usize)),
            units,
        }
    }

    /// Waits for capacity, hands the transaction over and gives a way to wait for its commit.
    ///
    /// # Errors
    /// The store is closed.
    pub async fn submit(
        &self,
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
    ) -> Result<Submitted, WriteError> {
        self.submit_under(None, effects, events).await
    }

    /// The same, and the transaction is refused unless the lease that it was made under is still held.
    ///
    /// # Errors
    /// The store is closed.
    pub(crate) async fn submit_under(
        &self,
        lease: Option<LeaseTerm>,
        effects: Vec<Effect>,
        events: Vec<NewEvent>,
    ) -> Result<Submitted, WriteError> {
        let units = u32::try_from(effects_weight(&effects) / BYTES_UNIT)
            .unwrap_or(u32::MAX)
            .clamp(1, self.units);
        let closed = |_| WriteError::Closed;
        let transaction = self
            .transactions
            .clone()
            .acquire_owned()
            .await
            .map_err(closed)?;
        let bytes = self
            .bytes
            .clone()
            .acquire_many_owned(units)
            .await
            .map_err(closed)?;
        let pending = self.store.submit_under(lease, effects, events).await?;
        Ok(Submitted {
            pending,
            _permits: (transaction, bytes),
        })
    }
}

impl Submitted {
    /// Waits until the transaction is durable or refused.
    ///
    /// # Errors
    /// See [`WriteError`]; nothing was written then.
    pub async fn committed(self) -> Result<Vec<PublishedEvent>, WriteError> {
        self.pending.committed().await
    }
}
