//! Redis' replies as values of our own. fred's conversions differ between versions of the protocol and lose what a deleted
//! entry looks like, so replies are taken apart here.

use std::fmt;

use fred::prelude::Value;

use super::client::RedisError;

/// An entry's id. Ids mean something on one connection only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct StreamId {
    ms: u64,
    n: u64,
}

impl StreamId {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ms, n) = text.split_once('-')?;
        Some(StreamId {
            ms: ms.parse().ok()?,
            n: n.parse().ok()?,
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.n)
    }
}

/// What an entry holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Its fields in order; none for one that was deleted while it was pending.
    Fields(Vec<(Vec<u8>, Vec<u8>)>),
    /// More than may be read: it has stayed on Redis.
    Unread {
        /// Bytes of all its names and values.
        size: u64,
    },
}

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StreamEntry {
    pub(super) id: StreamId,
    pub(super) content: Content,
}

impl StreamEntry {
    /// Its fields; none where they were not read.
    pub(super) fn fields(&self) -> &[(Vec<u8>, Vec<u8>)] {
        match &self.content {
            Content::Fields(fields) => fields,
            Content::Unread { .. } => &[],
        }
    }

    /// The value of a field, if it is there and is UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.fields().iter().find(|(key, _)| key == name.as_bytes());
        std::str::from_utf8(&found?.1).ok()
    }

    /// It was deleted while it was pending.
    pub(super) fn is_gone(&self) -> bool {
        matches!(&self.content, Content::Fields(fields) if fields.is_empty())
    }
}

/// A text, whatever it came as.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Value::Integer(n) => Some(n.to_string()),
        _ => None,
    }
}

/// The bytes of a text, whatever it came as.
pub(super) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Bytes(bytes) => bytes.to_vec(),
        other => text(other).unwrap_or_default().into_bytes(),
    }
}

/// The elements of a list; a map counts as its keys and values in turn, nothing as an empty list.
pub(super) fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(values) => Some(values),
        Value::Null => Some(Vec::new()),
        Value::Map(map) => Some(
            map.inner()
                .into_iter()
                .flat_map(|(key, value)| [Value::Bytes(key.into_bytes()), value])
                .collect(),
        ),
        _ => None,
    }
}

/// A number, whatever it came as.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(n) => u64::try_from(*n).ok(),
        other => text(other)?.parse().ok(),
    }
}

/// The reply of [`READ`](super::scripts::READ): how many ids it has looked at, and the entries.
pub(super) fn read(value: Value) -> Result<(usize, Vec<StreamEntry>), RedisError> {
    let garbled = || RedisError::Garbled("the script that reads");
    let mut parts = list(value).ok_or_else(garbled)?.into_iter();
    let looked = parts.next().as_ref().and_then(number);
    let looked = looked.and_then(|n| usize::try_from(n).ok());
    let entries = parts.next().and_then(list).ok_or_else(garbled)?;
    let entries: Option<Vec<StreamEntry>> = entries.into_iter().map(entry).collect();
    Ok((looked.ok_or_else(garbled)?, entries.ok_or_else(garbled)?))
}

fn entry(value: Value) -> Option<StreamEntry> {
    let mut parts = list(value)?.into_iter();
    let id = StreamId::parse(&text(&parts.next()?)?)?;
    let size = number(&parts.next()?)?;
    let content = match parts.next() {
        None | Some(Value::Null) => Content::Unread { size },
        Some(fields) => {
            let mut values = list(fields)?.into_iter();
            let mut fields = Vec::new();
            while let (Some(key), Some(value)) = (values.next(), values.next()) {
                fields.push((bytes(&key), bytes(&value)));
            }
            Content::Fields(fields)
        }
    };
    Some(StreamEntry { id, content })
}

/// The ids of a page of XPENDING.
pub(super) fn pending(value: Value) -> Result<Vec<StreamId>, RedisError> {
    let garbled = || RedisError::Garbled("XPENDING");
    let rows = list(value).ok_or_else(garbled)?;
    rows.into_iter()
        .map(|row| {
            let first = list(row)?.into_iter().next()?;
            StreamId::parse(&text(&first)?)
        })
        .map(|id| id.ok_or_else(garbled))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_by_their_numbers() {
        let id = |text| StreamId::parse(text).unwrap();
        assert!(id("9-1") < id("10-0") && id("10-0") < id("10-1"));
        assert_eq!(id("10-1").to_string(), "10-1");
        assert_eq!(StreamId::parse("10"), None);
    }

    #[test]
    fn an_entry_that_was_deleted_has_no_fields_and_one_too_large_was_not_read() {
        let entry = |fields| Value::Array(vec!["1-1".into(), 7.into(), fields]);
        let fields = Value::Array(vec!["id".into(), "x".into()]);
        let entries = [Value::Array(Vec::new()), Value::Null, fields].map(entry);
        let reply = Value::Array(vec![3.into(), Value::Array(entries.to_vec())]);
        let (looked, entries) = read(reply).unwrap();
        assert_eq!((looked, entries.len()), (3, 3));
        assert!(entries[0].is_gone() && !entries[1].is_gone());
        assert_eq!(entries[1].content, Content::Unread { size: 7 });
        assert_eq!(entries[2].text("id"), Some("x"));
        assert!(read(1.into()).is_err());
    }
}
