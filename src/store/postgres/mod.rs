//! A store in a database of PostgreSQL.

mod database;
mod keeper;
mod session;
mod value;

pub(super) use keeper::DatabaseKeeper;
pub(super) use session::{Session, is_unavailable, told};
pub(super) use value::value_of;
pub use database::{Database, DatabaseError, Trust};
