//! Rows of either engine. Reading a column is strict: what is not of the type that is asked for is an error that names it.

use super::value::value_of;
use super::{Error, FromSql, FromSqlError, Result, ValueRef};

/// The rows of a query, one at a time.
pub(in crate::store) struct Rows<'s>(Found<'s>);

enum Found<'s> {
    Sqlite(rusqlite::Rows<'s>),
    Postgres {
        rows: std::vec::IntoIter<tokio_postgres::Row>,
        current: Option<tokio_postgres::Row>,
    },
}

impl<'s> Rows<'s> {
    pub(super) fn sqlite(rows: rusqlite::Rows<'s>) -> Self {
        Rows(Found::Sqlite(rows))
    }

    pub(super) fn postgres(rows: Vec<tokio_postgres::Row>) -> Self {
        Rows(Found::Postgres {
            rows: rows.into_iter(),
            current: None,
        })
    }

    /// The next row; `None`: that was the last one.
    pub(in crate::store) fn next(&mut self) -> Result<Option<Row<'_>>> {
        Ok(match &mut self.0 {
            Found::Sqlite(rows) => rows.next()?.map(Row::Sqlite),
            Found::Postgres { rows, current } => {
                *current = rows.next();
                current.as_ref().map(Row::Postgres)
            }
        })
    }
}

/// The rows of a query, each read by `read`.
pub(in crate::store) struct MappedRows<'s, F> {
    rows: Rows<'s>,
    read: F,
}

impl<'s, F> MappedRows<'s, F> {
    pub(super) fn new(rows: Rows<'s>, read: F) -> Self {
        MappedRows { rows, read }
    }
}

impl<T, F: FnMut(&Row<'_>) -> Result<T>> Iterator for MappedRows<'_, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.next() {
            Ok(row) => row.map(|row| (self.read)(&row)),
            Err(error) => Some(Err(error)),
        }
    }
}

/// A row.
pub(in crate::store) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r tokio_postgres::Row),
}

impl Row<'_> {
    /// The value of the column at a place, from 0.
    pub(in crate::store) fn get<T: FromSql>(&self, at: usize) -> Result<T> {
        let value = self.get_ref(at)?;
        T::column_result(value).map_err(|error| {
            let name = self.column_name(at);
            Error::Column(match error {
                FromSqlError::InvalidType => {
                    format!("{name} is of type {}", value.data_type())
                }
                FromSqlError::OutOfRange(value) => format!("{name} is {value}, out of its range"),
                other => format!("{name}: {other}"),
            })
        })
    }

    /// The value of a column as it stands there.
    pub(in crate::store) fn get_ref(&self, at: usize) -> Result<ValueRef<'_>> {
        match self {
            Row::Sqlite(row) => Ok(row.get_ref(at)?),
            Row::Postgres(row) => value_of(row, at),
        }
    }

    /// How many columns there are.
    pub(in crate::store) fn columns(&self) -> usize {
        match self {
            Row::Sqlite(row) => row.as_ref().column_count(),
            Row::Postgres(row) => row.len(),
        }
    }

    /// What a column is called in a message.
    pub(in crate::store) fn column_name(&self, at: usize) -> String {
        let name = match self {
            Row::Sqlite(row) => row.as_ref().column_name(at).ok(),
            Row::Postgres(row) => row.columns().get(at).map(tokio_postgres::Column::name),
        };
        name.map_or_else(|| format!("column {at}"), |name| format!("column {name}"))
    }
}
