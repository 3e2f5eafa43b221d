//! Numbers that the server gives out itself.

use crate::store::sql::{self, Connection};

/// Lets the numbers of new rows begin after those that are there: rows that came with their numbers do not move them.
pub(in crate::store) fn renumber(connection: &Connection) -> sql::Result<()> {
    let columns: Vec<(String, String)> = connection
        .prepare_cached(
            "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns
             WHERE is_identity = 'YES' AND table_schema = current_schema()",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<sql::Result<_>>()?;
    for (table, column) in columns {
        connection.execute_batch(&format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), (SELECT COALESCE(MAX({column}), 0) + 1 FROM {table}), false)"
        ))?;
    }
    Ok(())
}
