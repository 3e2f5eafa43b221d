//! A store in a database of PostgreSQL.

mod database;
mod keeper;

pub(crate) use database::{Database, Trust};
pub(super) use keeper::DatabaseKeeper;
