//! Which store this is.

use super::schema;
use super::sql::{self, Connection};

/// Which store this is: its id, its own from its first day on, and the stores that it was copied from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoreIdentity {
    id: String,
    copied_from: Vec<String>,
}

impl StoreIdentity {
    /// The identity of a store of the id `id` that is no copy.
    #[cfg(test)]
    pub(crate) fn new(id: &str) -> Self {
        StoreIdentity {
            id: id.to_owned(),
            copied_from: Vec::new(),
        }
    }

    pub(super) fn read(connection: &Connection) -> sql::Result<Self> {
        Ok(StoreIdentity {
            id: schema::id(connection)?,
            copied_from: schema::copied_from(connection)?,
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The ids of the stores that a copy of this one is copied from: this one and what it was copied from.
    pub(super) fn into_sources(self) -> Vec<String> {
        std::iter::once(self.id).chain(self.copied_from).collect()
    }

    /// Whether this store was copied from `other`, also by way of others. What belonged to that one belongs to this one now.
    pub(crate) fn is_copy_of(&self, other: &str) -> bool {
        self.copied_from.iter().any(|source| source == other)
    }
}
