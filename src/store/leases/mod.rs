//! Several hosts on one store in a database: who of them may do what.
//!
//! - A host has a row in the table `host`, which it renews every three seconds. Its *incarnation* is a random id that is never
//!   used again.
//! - What one host alone may do has a *lease*: a slot of subjects, a collection, a task of the whole store. A lease has a holder
//!   and a *term*, a number that every transfer raises.
//! - **A host ends by a write, not by a clock.** Whoever finds a row that was not renewed for [`STALE`] ends that incarnation, and
//!   its leases are free in the same transaction. A late renewal changes nothing then.
//! - A host trusts its own row for less time than others do ([`TRUST`]), counted from the moment when its last renewal was sent.
//!   Without trust it begins nothing.
//! - **Whatever is done under a lease names its term**, and the writer refuses it unless the lease is held under that term at the
//!   commit. Leases move in transactions that are serial with all commits, so nothing of an earlier holder is applied later.
//!
//! A delivery belongs to the slot of its subject, the same for all agents. Where no host has a Redis, the slot's holder handles it
//! by itself, so one subject is handled by one host at a time. Redis hands it to whatever host reads it. Then it is *taken* first:
//! the writer makes the host its holder if nobody has it or anything else of its subject, and if no older one of the subject was
//! never attempted. Only its holder settles it, by the token of the take. What a host holds and has not in hand it releases; what
//! an ended one held is free.

mod held;
mod in_flight;
mod plan;
mod rows;
mod slot;

use std::time::Duration;

pub(crate) use held::{FlightRight, HoldToken, HoldUse, LeaseTerm, Leases, SlotUse};
pub(super) use held::{HeldTerms, since_boot};
pub(super) use plan::{LeasePlan, plan};
pub(crate) use rows::{HostIncarnation, HostRow};
pub(super) use rows::{
    LOCK_HEAD, NOW, NewHost, OtherHost, TRANSFERS, at_work, end, end_stale, give, holds_of,
    in_turn, insert, leases_of, lowest_position, of_same_name, prune, release, remember_settings,
    renew, settings, take, transferred, view,
};
pub(crate) use slot::LeaseName;

/// How a host hears of the commits of others, and how it tells them of its own.
pub(super) const LISTEN: &str = "LISTEN docent";
pub(super) const NOTIFY: &str = "NOTIFY docent";

/// How long a host trusts its row, from the moment when its last renewal was sent.
pub(super) const TRUST: Duration = Duration::from_secs(9);

/// After so long without a renewal, by the clock of the database, others may end a host.
pub(super) const STALE: Duration = Duration::from_secs(10);
