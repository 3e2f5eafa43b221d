//! How values stand in columns. Decoding is strict: a column that does not hold what docent wrote there is damage, and the
//! damage is named.

use std::fmt::Display;

use rusqlite::ErrorCode;

use super::digest::Digest;
use super::sql::{
    self, Error, FromSql, FromSqlError, FromSqlResult, Row, ToSql, ToSqlOutput, ValueRef,
};
use crate::event::{AgentName, Data, EventId, EventType, Millis, Seq, Subject};

/// The longest text of a key in a message, in characters.
const KEY_MAX: usize = 80;

/// What to do about damage.
const WAY_OUT: &str = "stop docent, then restore a backup of the store, or move store.db away with its -wal file (with PostgreSQL: name an empty database): docent then reads all documents again, and the audit log and pending work are lost";

/// A decoder of rows of `table`, whose first column tells which row it is. What it cannot decode is [`Error::Damage`].
pub(super) fn of<T>(
    table: &'static str,
    decode: impl Fn(&Row<'_>) -> sql::Result<T>,
) -> impl Fn(&Row<'_>) -> sql::Result<T> {
    move |row| decode(row).map_err(|error| locate(table, row, error))
}

/// The damage that an error tells of, in a sentence with the way out; `None`: it is another error.
pub(super) fn damage(error: &Error) -> Option<String> {
    let damaged = match error {
        Error::Sqlite(_) => error.sqlite_code() == Some(ErrorCode::DatabaseCorrupt),
        Error::Column(_) | Error::Damage { .. } => true,
        Error::NoRows | Error::Ended | Error::Silent | Error::Runtime(_) | Error::Postgres(_) => {
            false
        }
    };
    damaged.then(|| format!("the store is damaged: {error}; {WAY_OUT}"))
}

/// Text that was written by docent and does not read as what it is.
pub(super) fn unreadable(row: &Row<'_>, column: usize, why: impl Display) -> Error {
    Error::Column(format!("{}: {why}", row.column_name(column)))
}

fn locate(table: &'static str, row: &Row<'_>, error: Error) -> Error {
    let Error::Column(why) = error else {
        return error;
    };
    let key = row
        .get_ref(0)
        .map(|value| format!("{} {}", row.column_name(0), shown(value)));
    let key = key.unwrap_or_else(|_| "no key".to_owned());
    // The key is its name and value, without the word `column`.
    let key = key
        .strip_prefix("column ")
        .map(str::to_owned)
        .unwrap_or(key);
    Error::Damage { table, key, why }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = bytes.escape_ascii().to_string();
            text.chars().take(KEY_MAX).collect()
        }
    }
}

/// Decodes text by a parser of its own.
macro_rules! from_text {
    ($($type:ty => $parse:expr),* $(,)?) => {$(
        impl FromSql for $type {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                let text = value.as_str()?;
                $parse(text).map_err(|e| FromSqlError::Other(e.to_string().into()))
            }
        }
    )*};
}

from_text! {
    EventId => |text: &str| text.parse::<EventId>().map_err(|_| "it is not a UUID"),
    EventType => EventType::stored,
    AgentName => |text: &str| text.parse::<AgentName>().map_err(|_| format!("there is no agent `{text}`")),
    Subject => Subject::parse,
    Data => Data::parse,
    Digest => |text: &str| text.parse::<Digest>().map_err(|()| "it is not a digest"),
}

/// Stores what has a text of its own as that text.
macro_rules! to_text {
    ($($type:ty),* $(,)?) => {$(
        impl ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }
    )*};
}

to_text! { AgentName, EventType, Subject, Digest }

/// How the values of an enum stand in a column.
macro_rules! stored_as_text {
    ($type:ident, $what:literal: $($variant:ident = $text:literal),* $(,)?) => {
        crate::word::words! { $type: $($variant = $text),* }

        impl crate::store::sql::FromSql for $type {
            fn column_result(
                value: crate::store::sql::ValueRef<'_>,
            ) -> crate::store::sql::FromSqlResult<Self> {
                let text = value.as_str()?;
                <$type as crate::word::Word>::parse(text).ok_or_else(|| {
                    let why = format!(concat!("there is no ", $what, " `{}`"), text);
                    crate::store::sql::FromSqlError::Other(why.into())
                })
            }
        }

        impl sql::ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<crate::store::sql::ToSqlOutput<'_>> {
                Ok(self.as_str().into())
            }
        }
    };
}
pub(super) use stored_as_text;

impl ToSql for EventId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl ToSql for Seq {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl ToSql for Millis {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        self.0.to_sql()
    }
}

impl FromSql for Seq {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        u64::column_result(value).map(Seq)
    }
}

impl FromSql for Millis {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        i64::column_result(value).map(Millis)
    }
}
