//! Carriers: how an owed delivery reaches its runner.
//!
//! A carrier *offers* deliveries, in batches; the runner looks in its table first, then in the ledger, and decides. **OWED-1**:
//! what is owed stands in the ledger, so a carrier may lose, repeat, reorder or delay an offer and nothing is lost. A carrier
//! never changes the ledger.
//!
//! - [`Direct`] hands deliveries straight from the ledger to the runner. It is the embedded bus.

mod direct;

use std::future::Future;
use std::pin::Pin;

pub use direct::Direct;

use crate::event::{Seq, Subject};
use crate::store::ReadError;

/// A future on the heap.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The name that a carrier gave to the copy of a delivery that it carried, for the acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CopyId(pub String);

/// A delivery that a carrier offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The event's place.
    pub seq: Seq,
    /// What it is about, if the carrier knows.
    pub subject: Option<Subject>,
    /// The copy that it came by; the direct carrier makes none.
    pub copy: Option<CopyId>,
}

/// What a carrier may ask of the runner's table.
pub trait TableView: Send + Sync {
    /// Whether this delivery is in hand: running, submitted or kept.
    fn contains(&self, seq: Seq) -> bool;
    /// Whether a delivery of this subject is in flight or paused.
    fn holds(&self, subject: &Subject) -> bool;
}

/// A way from the ledger to one runner.
pub trait Carrier: Send {
    /// Waits until there may be something new to offer. May be dropped at any moment.
    fn woken(&mut self) -> Boxed<'_, ()>;

    /// Up to `room` deliveries that are owed and due, as far as the carrier knows.
    ///
    /// # Errors
    /// The store cannot be read; nothing was passed over.
    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        room: usize,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>>;

    /// A delivery of this subject has left the table, or was offered and did not come into it: the next of its subject may be
    /// offered.
    fn left(&mut self, subject: &Subject);

    /// These copies are answered: they need not be carried any further.
    fn acknowledge(&mut self, copies: Vec<CopyId>) -> Boxed<'_, ()>;
}
