//! The rows of a table, copied and summed up.

use rusqlite::types::Value;
use sha2::{Digest, Sha256};

use crate::store::schema;
use crate::store::sql::{self, Connection, Error, Row, Statement, ToSql};

/// Rows that are written with one statement, and bytes after which those that wait are written one by one.
const ROWS: usize = 64;
const BYTES: usize = 4 << 20;

/// What is equal for two tables if they have the same rows, in whatever order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct TableSum {
    rows: u64,
    /// The first half of each row's SHA-256, added up.
    sum: u128,
}

impl TableSum {
    /// How many rows there are.
    pub(super) fn rows(self) -> u64 {
        self.rows
    }

    fn add(&mut self, row: &[Value]) {
        let mut hasher = Sha256::new();
        let mut put = |kind: u8, bytes: &[u8]| {
            hasher.update([kind]);
            hasher.update(bytes.len().to_le_bytes());
            hasher.update(bytes);
        };
        for value in row {
            match value {
                Value::Null => put(0, &[]),
                Value::Integer(number) => put(1, &number.to_le_bytes()),
                Value::Real(number) => put(2, &number.to_le_bytes()),
                Value::Text(text) => put(3, text.as_bytes()),
                Value::Blob(bytes) => put(4, bytes),
            }
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let half = digest.first_chunk().copied().unwrap_or_default();
        self.rows += 1;
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
    }
}

/// The sum of a table.
pub(super) fn sum(connection: &Connection, table: &str) -> sql::Result<TableSum> {
    let mut sum = TableSum::default();
    each(connection, table, |row| {
        sum.add(&values(row)?);
        Ok(())
    })?;
    Ok(sum)
}

/// Copies a table; gives the sum of what was read.
pub(super) fn copy(
    source: &Connection,
    target: &Connection,
    table: &str,
    mut progress: impl FnMut(u64),
) -> sql::Result<TableSum> {
    let mut sum = TableSum::default();
    let mut insert = Insert::new(target, table);
    each(source, table, |row| {
        let row = values(row)?;
        sum.add(&row);
        if insert.push(row)? {
            progress(sum.rows);
        }
        Ok(())
    })?;
    insert.flush()?;
    progress(sum.rows);
    Ok(sum)
}

/// Hands over each row of a table.
fn each(
    connection: &Connection,
    table: &str,
    read: impl FnMut(&Row<'_>) -> sql::Result<()>,
) -> sql::Result<()> {
    let own = schema::OWN_FACTS.map(|name| format!("'{name}'")).join(", ");
    let select = match table {
        // What a store says of itself is not copied.
        "meta" => format!("SELECT * FROM meta WHERE name NOT IN ({own})"),
        _ => format!("SELECT * FROM {table}"),
    };
    connection.for_each_row(&select, read)
}

fn values(row: &Row<'_>) -> sql::Result<Vec<Value>> {
    (0..row.columns())
        .map(|at| {
            Value::try_from(row.get_ref(at)?)
                .map_err(|error| Error::Column(format!("{}: {error}", row.column_name(at))))
        })
        .collect()
}

fn weight(row: &[Value]) -> usize {
    row.iter()
        .map(|value| match value {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            _ => 8,
        })
        .sum()
}

/// Rows on their way into a table.
struct Insert<'c> {
    target: &'c Connection,
    table: &'c str,
    waiting: Vec<Vec<Value>>,
    bytes: usize,
}

impl<'c> Insert<'c> {
    fn new(target: &'c Connection, table: &'c str) -> Self {
        Insert {
            target,
            table,
            waiting: Vec::with_capacity(ROWS),
            bytes: 0,
        }
    }

    /// Takes a row; gives whether those that waited were written.
    fn push(&mut self, row: Vec<Value>) -> sql::Result<bool> {
        self.bytes += weight(&row);
        self.waiting.push(row);
        let full = self.waiting.len() == ROWS || self.bytes >= BYTES;
        if full {
            self.flush()?;
        }
        Ok(full)
    }

    /// Writes what waits: a full statement, or one for each row, so that only two are to be kept parsed.
    fn flush(&mut self) -> sql::Result<()> {
        let together = if self.waiting.len() == ROWS { ROWS } else { 1 };
        if let Some(first) = self.waiting.first() {
            let mut insert = self.statement(first.len(), together)?;
            for rows in self.waiting.chunks(together) {
                let params: Vec<&dyn ToSql> = rows
                    .iter()
                    .flatten()
                    .map(|value| value as &dyn ToSql)
                    .collect();
                insert.execute(params.as_slice())?;
            }
        }
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }

    fn statement(&self, columns: usize, rows: usize) -> sql::Result<Statement<'c>> {
        let row = |row: usize| {
            let places = (1..=columns).map(|column| format!("?{}", row * columns + column));
            format!("({})", places.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        let insert = format!("INSERT INTO {} VALUES {}", self.table, rows.join(", "));
        self.target.prepare_cached(&insert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_a_table_changes_with_each_value_and_not_with_the_order_of_rows() {
        let of = |rows: &[&[Value]]| {
            let mut sum = TableSum::default();
            rows.iter().for_each(|row| sum.add(row));
            sum
        };
        let text = |text: &str| Value::Text(text.to_owned());
        let (one, other) = ([Value::Integer(1), text("a")], [Value::Null, text("b")]);
        assert_eq!(of(&[&one, &other]), of(&[&other, &one]));
        assert_ne!(of(&[&one]), of(&[&one, &one]));
        assert_ne!(
            of(&[&[text("ab"), text("")]]),
            of(&[&[text("a"), text("b")]])
        );
        assert_ne!(of(&[&[text("a")]]), of(&[&[Value::Blob(b"a".to_vec())]]));
        assert_ne!(of(&[&[Value::Null]]), of(&[&[text("")]]));
    }
}
