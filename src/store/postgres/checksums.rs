//! Whether the server has found damage in the pages of the database.

use crate::store::sql::{self, Connection};

/// What the checksums of the server say; `None`: it has found no damaged page. Without checksums it finds none,
/// which is said when the store is opened.
pub(in crate::store) fn fault(connection: &Connection) -> sql::Result<Option<String>> {
    let failures = connection.query_row(
        "SELECT COALESCE(checksum_failures, 0) FROM pg_stat_database WHERE datname = current_database()",
        [],
        |row| row.get::<i64>(0),
    )?;
    Ok((failures > 0).then(|| {
        format!(
            "PostgreSQL found {failures} damaged pages in this database; restore a backup, then \
             reset the count with SELECT pg_stat_reset()"
        )
    }))
}

/// Whether the server keeps checksums of its pages.
pub(super) fn are_kept(connection: &Connection) -> sql::Result<bool> {
    connection.query_row(
        "SELECT current_setting('data_checksums') = 'on'",
        [],
        |row| row.get(0),
    )
}
