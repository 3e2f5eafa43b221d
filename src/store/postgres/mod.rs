//! A store in a database of PostgreSQL.

mod checksums;
mod database;
mod keeper;
mod renumber;

pub(super) use checksums::fault;
pub(crate) use database::DatabaseInspection;
pub(super) use database::Writers;
pub use database::{Database, Trust};
pub(super) use keeper::{BatchStart, DatabaseKeeper};
pub(super) use renumber::renumber;
