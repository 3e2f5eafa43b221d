//! A store in a database of PostgreSQL.

mod database;
mod keeper;
mod session;
mod value;

pub(crate) use database::{Database, DatabaseError, Trust};
pub(super) use keeper::DatabaseKeeper;
pub(super) use session::{Session, is_unavailable, told};
pub(super) use value::value_of;
