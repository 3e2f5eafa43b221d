//! Carriers: how an owed delivery reaches its runner.
//!
//! A carrier *offers* deliveries, in batches; the runner looks in its table first, then in the ledger, and decides. **OWED-1**:
//! what is owed stands in the ledger, so a carrier may lose, repeat, reorder or delay an offer and nothing is lost. A carrier
//! never changes the ledger.
//!
//! - [`Embedded`] hands deliveries straight from the ledger to the runner. It is the embedded bus.
//! - [`redis`] carries them over Redis Streams: a *copy* of each in the agent's *inbox*, read through one shared consumer group.
//! - [`Switch`] is the one that runners have: Redis while it answers, else embedded.

mod embedded;
mod monitor;
mod order;
mod poll;
pub(crate) mod redis;
mod switch;

#[cfg(all(test, feature = "testing"))]
pub(crate) mod tests;

use std::future::Future;
use std::pin::Pin;

pub use embedded::Embedded;
pub(crate) use monitor::Monitor;
pub(crate) use poll::PollWatch;
pub(crate) use switch::{CarrierChoice, Switch};

use crate::event::{Seq, Subject};
use crate::store::ReadError;

/// A future on the heap.
pub(crate) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The name that a carrier gave to the copy of a delivery that it carried, for the acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CopyId {
    /// Which connection it came by: an id means nothing on another one.
    pub session: u64,
    pub entry: String,
}

/// A delivery that a carrier offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub seq: Seq,
    /// What it is about, if the carrier knows.
    pub subject: Option<Subject>,
    /// The copy that it came by; the embedded carrier makes none.
    pub copy: Option<CopyId>,
}

/// What a carrier may ask of the runner's table.
pub trait TableView: Send + Sync {
    /// Whether this delivery is in hand: running, submitted or queued.
    fn contains(&self, seq: Seq) -> bool;
    /// Whether a delivery of this subject is in flight or paused.
    fn holds(&self, subject: &Subject) -> bool;
    /// Whether a delivery in hand came by this copy.
    fn has_copy(&self, copy: &CopyId) -> bool;
}

/// What a runner has place for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Deliveries that could start at once.
    pub permits: usize,
    /// Deliveries that its table has capacity for.
    pub capacity: usize,
}

/// How a delivery left the table, or why it did not come into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The commit of its outcome or of a failure was reported.
    Settled,
    /// The same, and it is dead now.
    Dead,
    /// It was offered, and there is nothing to do for it now.
    Answered,
    /// It was offered, and another host has it or something of its subject: it may be this one's again.
    Refused,
    /// It was offered, and is of a type that this docent does not know: it is never this host's.
    Unknown,
    /// It was offered, and the ledger could not be asked about it.
    Unanswered,
}

/// A way from the ledger to one runner.
pub trait Carrier: Send {
    /// Works on what it has under way, and waits until there may be something new to offer to a runner that has place for so
    /// much. May be dropped at any moment.
    fn woken(&mut self, demand: Demand) -> Boxed<'_, ()>;

    /// Deliveries that are owed and due, as far as the carrier knows, no more than there is place for.
    ///
    /// # Errors
    /// The store cannot be read; nothing was passed over.
    fn offer<'a>(
        &'a mut self,
        table: &'a dyn TableView,
        demand: Demand,
    ) -> Boxed<'a, Result<Vec<Offer>, ReadError>>;

    /// A delivery has left the table, or was offered and did not come into it: the next of its subject may be offered.
    fn left(&mut self, seq: Seq, subject: Option<&Subject>, how: Left);

    /// These copies are answered: they need not be carried any further. Does not wait; one that fails is not repeated, for the
    /// copy is offered again and meets a settled delivery.
    fn acknowledge(&mut self, copies: Vec<CopyId>);

    /// Watches its reader, for a carrier that has one: it must not stand still while it carries.
    fn poll_watch(&self) -> Option<PollWatch> {
        None
    }

    /// Ends what is under way, at the end of a drain: the table is empty. Bounded.
    fn close(&mut self) -> Boxed<'_, ()>;
}
