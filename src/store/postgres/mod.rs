//! A store in a database of PostgreSQL.

mod checksums;
mod database;
mod keeper;

pub(super) use checksums::fault;
pub(crate) use database::{Database, Trust};
pub(super) use keeper::DatabaseKeeper;
