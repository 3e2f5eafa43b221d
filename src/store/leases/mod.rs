//! Several hosts on one store in a database: which of them may do what.
//!
//! - A host has a row in the table `host`, which it renews every three seconds. Its *incarnation* is a random id that is never
//!   used again.
//! - What only one host may do has a *lease*: a slot of subjects, a collection, a task of the whole store. A lease has a holder
//!   and a *term*, a number that every transfer raises.
//! - **A host ends by a write, not by a clock.** A host that finds a row that was not renewed for [`STALE`] ends that incarnation and
//!   frees its leases, in one transaction. A late renewal then changes nothing.
//! - A host trusts its own row for less time than others do ([`TRUST`]), counted from the moment when its last renewal was sent.
//!   Without trust it begins nothing.
//! - **Whatever is done under a lease names its term**, and the writer refuses it unless the lease is held under that term at the
//!   commit. Leases move in transactions that are serial with all commits, so nothing of an earlier holder is applied later.
//! - While hosts of two versions work on one store, slots and tasks belong to those that know the most types of event. An older host
//!   passes over a type that it does not know, so that it waits for one that does.
//!
//! A delivery belongs to the slot of its subject, the same for all agents. If no host has a Redis, the slot's holder handles it
//! by itself, so one subject is handled by one host at a time. With Redis, any host may read it. So the host first *takes* it:
//! the writer makes the host its holder if nobody holds it or another delivery of its subject, and if every older one of the subject
//! was attempted at least once. Only its holder settles it, with the token of the take. A host releases what it holds and does not
//! have in hand; what an ended host held is free.

mod captures;
mod held;
mod in_flight;
mod plan;
mod rows;
mod slot;

use std::time::Duration;

#[cfg(test)]
pub(super) use captures::Captured;
pub(crate) use held::{FlightRight, HoldToken, HoldUse, LeaseTerm, Leases, SlotUse};
pub(super) use held::{HeldTerms, since_boot};
pub(super) use plan::{LeasePlan, plan};
pub(crate) use rows::{HostIncarnation, HostRow};
pub(super) use rows::{
    LOCK_HEAD, NOW, NewHost, Renewal, TRANSFERS, are_others_at_work, at_work, end, end_all_stale,
    end_stale, give, holds_of, in_turn, insert, leases_of, lowest_position, of_same_name, prune,
    release, release_all, remember_settings, renew, set_back_to_now, settings, take, transferred,
    view,
};
pub(crate) use slot::LeaseName;
pub(super) use slot::Slot;

/// How a host hears of the commits of others, and how it tells them of its own.
pub(super) const LISTEN: &str = "LISTEN docent";
pub(super) const NOTIFY: &str = "NOTIFY docent";

/// How long a host trusts its row, from the moment when its last renewal was sent.
pub(super) const TRUST: Duration = Duration::from_secs(9);

/// After so long without a renewal, by the clock of the database, others may end a host.
pub(super) const STALE: Duration = Duration::from_secs(10);
