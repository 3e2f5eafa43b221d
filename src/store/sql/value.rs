//! Values on their way to PostgreSQL and back.

use std::error::Error as StdError;

use bytes::BytesMut;
use rusqlite::types::ValueRef;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use super::{Error, Result};

/// A parameter.
#[derive(Debug)]
pub(super) struct Parameter<'v>(pub(super) ValueRef<'v>);

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match (self.0, kind) {
            (ValueRef::Null, _) => Ok(IsNull::Yes),
            (ValueRef::Integer(number), &Type::BOOL) => (number != 0).to_sql(kind, out),
            (ValueRef::Integer(number), &Type::INT4) => i32::try_from(number)?.to_sql(kind, out),
            (ValueRef::Integer(number), &Type::INT8) => number.to_sql(kind, out),
            (ValueRef::Real(number), &Type::FLOAT8) => number.to_sql(kind, out),
            (ValueRef::Blob(bytes), &Type::BYTEA) => bytes.to_sql(kind, out),
            (ValueRef::Text(bytes), kind) if <&str as ToSql>::accepts(kind) => {
                let text = std::str::from_utf8(bytes)?;
                // PostgreSQL has no text with this character.
                match text.contains('\0') {
                    true => text.replace('\0', "\u{fffd}").to_sql(kind, out),
                    false => text.to_sql(kind, out),
                }
            }
            (value, kind) => {
                Err(format!("a value of type {} is no {kind}", value.data_type()).into())
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// A column as it came.
struct Raw<'r> {
    kind: Type,
    bytes: &'r [u8],
}

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(kind: &Type, bytes: &'r [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let kind = kind.clone();
        Ok(Raw { kind, bytes })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// The value of a column.
pub(super) fn value_of(row: &tokio_postgres::Row, at: usize) -> Result<ValueRef<'_>> {
    let Some(Raw { kind, bytes }) = row.try_get::<_, Option<Raw<'_>>>(at)? else {
        return Ok(ValueRef::Null);
    };
    let unreadable =
        |error: Box<dyn StdError + Sync + Send>| Error::Column(format!("column {at}: {error}"));
    Ok(match kind {
        Type::BOOL => ValueRef::Integer(bool::from_sql(&kind, bytes).map_err(unreadable)?.into()),
        Type::INT4 => ValueRef::Integer(i32::from_sql(&kind, bytes).map_err(unreadable)?.into()),
        Type::INT8 => ValueRef::Integer(i64::from_sql(&kind, bytes).map_err(unreadable)?),
        Type::FLOAT8 => ValueRef::Real(f64::from_sql(&kind, bytes).map_err(unreadable)?),
        Type::BYTEA => ValueRef::Blob(bytes),
        kind if <&str as FromSql>::accepts(&kind) => ValueRef::Text(bytes),
        kind => {
            return Err(Error::Column(format!(
                "column {at} is of type {kind}, which the store does not use"
            )));
        }
    })
}
