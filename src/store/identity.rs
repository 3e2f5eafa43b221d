//! Which store this is.

use super::schema;
use super::sql::{self, Connection};

/// Which store this is: its id, its own from its first day on, and the store that it was copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreIdentity {
    id: String,
    copy_of: Option<String>,
}

impl StoreIdentity {
    /// The identity of a store of the id `id` that is no copy.
    #[cfg(test)]
    pub(crate) fn new(id: &str) -> Self {
        StoreIdentity {
            id: id.to_owned(),
            copy_of: None,
        }
    }

    pub(super) fn read(connection: &Connection) -> sql::Result<Self> {
        Ok(StoreIdentity {
            id: schema::id(connection)?,
            copy_of: schema::copy_of(connection)?,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether `other` is the store that this one was copied from. What belonged to that one belongs to this one now.
    pub(crate) fn is_copy_of(&self, other: &str) -> bool {
        self.copy_of.as_deref() == Some(other)
    }
}
