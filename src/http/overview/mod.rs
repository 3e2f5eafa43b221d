//! Everything that the first page shows, read once a second for all who follow it, and not at all while nobody does.
//!
//! One task reads ([`observe`]): it samples the figures of which a history is kept every ten seconds, and takes an overview
//! once a second while somebody follows. What it read is written as JSON once, whoever gets it. Nothing queues: who is slow gets
//! what is newest.

mod collections;
mod counters;
mod dead;
mod observer;
mod reading;
mod routes;
mod sampler;
mod shared;
mod summary;

pub(super) use dead::{GroupKey, of_group};
pub(crate) use observer::observe;
pub(super) use routes::{FOLLOW, HISTORY, SHOW, follow, history, show};
pub(crate) use shared::Overviews;
pub(super) use shared::PartKind;
