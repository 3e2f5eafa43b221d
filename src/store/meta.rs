//! Facts that have a name and no table of their own.

use super::sql::{Connection, Optional};

use super::readers::column;
use super::{ReadError, Store, WriteError, schema};

pub(super) fn remember(connection: &Connection, name: &str, value: &str) -> Result<(), WriteError> {
    not_the_id(name)?;
    connection
        .prepare_cached(
            "INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute([name, value])?;
    Ok(())
}

pub(super) fn forget(connection: &Connection, name: &str, value: &str) -> Result<(), WriteError> {
    not_the_id(name)?;
    connection
        .prepare_cached("DELETE FROM meta WHERE name = ?1 AND value = ?2")?
        .execute([name, value])?;
    Ok(())
}

fn not_the_id(name: &str) -> Result<(), WriteError> {
    if name == schema::ID {
        let why = "the store's id does not change".to_owned();
        return Err(WriteError::Invalid(why));
    }
    Ok(())
}

impl Store {
    /// What is remembered under a name.
    pub async fn remembered(&self, name: &str) -> Result<Option<String>, ReadError> {
        let name = name.to_owned();
        self.read("what is remembered", move |connection| {
            connection
                .prepare_cached("SELECT value FROM meta WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
        .await
    }

    /// The collections of all files and documents that are known, also those that are not in the config any more.
    pub async fn known_collections(&self) -> Result<Vec<String>, ReadError> {
        self.read("collections", |connection| {
            column(
                connection,
                "SELECT DISTINCT collection FROM manifest
                 UNION SELECT DISTINCT collection FROM document WHERE state <> 'removed' ORDER BY 1",
                [],
            )
        })
        .await
    }
}
