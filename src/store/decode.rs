//! How values stand in columns. Decoding is strict: a column that does not hold what docent wrote there is damage, and the
//! damage is named.

use std::fmt::Display;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, Type, ValueRef};
use rusqlite::{Error, ErrorCode, Row};
use thiserror::Error as ThisError;

use super::digest::Digest;
use crate::event::{AgentName, Data, EventId, EventType, Millis, Seq, Subject};

/// The longest text of a key in a message, in characters.
const KEY_MAX: usize = 80;

/// What to do about damage.
const WAY_OUT: &str = "stop docent, then restore a backup of store.db, or move it away with its -wal file: docent then reads all documents again, and the audit log and pending work are lost";

/// A row that does not hold what docent wrote.
#[derive(Debug, ThisError)]
#[error("table {table}, the row with {key}: {why}")]
struct Damage {
    table: &'static str,
    key: String,
    why: String,
}

/// A decoder of rows of `table`, whose first column tells which row it is. What it cannot decode is [`Damage`].
pub(super) fn of<T>(
    table: &'static str,
    decode: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> impl Fn(&Row<'_>) -> rusqlite::Result<T> {
    move |row| decode(row).map_err(|error| locate(table, row, error))
}

/// What an error says about a row that cannot be decoded.
pub(super) fn what(error: &Error) -> String {
    match error {
        Error::FromSqlConversionFailure(_, _, source) if source.is::<Damage>() => {
            source.to_string()
        }
        _ => error.to_string(),
    }
}

/// The damage that an error tells of, in a sentence with the way out; `None`: it is another error.
pub(super) fn damage(error: &Error) -> Option<String> {
    let damaged = match error {
        Error::SqliteFailure(code, _) => code.code == ErrorCode::DatabaseCorrupt,
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..) => true,
        _ => false,
    };
    damaged.then(|| format!("the store is damaged: {}; {WAY_OUT}", what(error)))
}

/// Text that was written by docent and does not read as what it is.
pub(super) fn unreadable(column: usize, why: impl Display) -> Error {
    Error::FromSqlConversionFailure(column, Type::Text, why.to_string().into())
}

fn locate(table: &'static str, row: &Row<'_>, error: Error) -> Error {
    let name = |at: usize| match row.as_ref().column_name(at) {
        Ok(name) => format!("column {name}"),
        Err(_) => format!("column {at}"),
    };
    let (at, why) = match &error {
        Error::InvalidColumnType(at, _, kind) => (*at, format!("{} is of type {kind}", name(*at))),
        Error::FromSqlConversionFailure(_, _, source) if source.is::<Damage>() => return error,
        Error::FromSqlConversionFailure(at, _, source) => (*at, format!("{}: {source}", name(*at))),
        Error::IntegralValueOutOfRange(at, value) => {
            (*at, format!("{} is {value}, out of its range", name(*at)))
        }
        _ => return error,
    };
    let key = match (row.as_ref().column_name(0), row.get_ref(0)) {
        (Ok(name), Ok(value)) => format!("{name} {}", shown(value)),
        _ => "no key".to_owned(),
    };
    let damage = Damage { table, key, why };
    Error::FromSqlConversionFailure(at, Type::Null, Box::new(damage))
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
    EventId => |text: &str| text.parse::<EventId>().map_err(|_| "it is no UUID"),
    EventType => |text: &str| text.parse::<EventType>().map_err(|_| format!("there is no event type `{text}`")),
    AgentName => |text: &str| text.parse::<AgentName>().map_err(|_| format!("there is no agent `{text}`")),
    Subject => Subject::parse,
    Data => Data::parse,
    Digest => |text: &str| text.parse::<Digest>().map_err(|()| "it is no digest"),
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

        impl rusqlite::types::FromSql for $type {
            fn column_result(
                value: rusqlite::types::ValueRef<'_>,
            ) -> rusqlite::types::FromSqlResult<Self> {
                let text = value.as_str()?;
                <$type as crate::word::Word>::parse(text).ok_or_else(|| {
                    let why = format!(concat!("there is no ", $what, " `{}`"), text);
                    rusqlite::types::FromSqlError::Other(why.into())
                })
            }
        }

        impl rusqlite::ToSql for $type {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
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
