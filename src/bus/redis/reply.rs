//! What Redis answers, as values of ours. fred's own conversions differ between versions of the protocol and lose what a deleted
//! entry looks like, so replies are taken apart here.

use std::fmt;

use fred::prelude::Value;

use super::client::Trouble;

/// An entry's id. Ids mean something on one connection only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct StreamId {
    ms: u64,
    n: u64,
}

impl StreamId {
    /// Reads `ms-n`.
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

/// One entry of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its id.
    pub(super) id: StreamId,
    /// Its fields in order; none for one that was deleted while it was pending.
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The value of a field, if it is there and is UTF-8.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.fields.iter().find(|(key, _)| key == name.as_bytes())?;
        std::str::from_utf8(value).ok()
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

fn bytes(value: &Value) -> Vec<u8> {
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

/// The value of a name in a list of names and values.
pub(super) fn named(value: Value, name: &str) -> Option<Value> {
    let mut values = list(value)?.into_iter();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        if text(&key).as_deref() == Some(name) {
            return Some(value);
        }
    }
    None
}

/// The reply of XREADGROUP for one stream.
pub(super) fn read(value: Value) -> Result<Vec<Entry>, Trouble> {
    let garbled = Trouble::Garbled("XREADGROUP");
    let streams = list(value).ok_or(garbled.clone())?;
    let Some(first) = streams.into_iter().next() else {
        return Ok(Vec::new());
    };
    // RESP2: [[key, entries]].
    let entries = match first {
        Value::Array(pair) => pair.into_iter().nth(1),
        _ => None,
    };
    self::entries(entries.ok_or(garbled)?, "XREADGROUP")
}

/// A list of entries.
pub(super) fn entries(value: Value, of: &'static str) -> Result<Vec<Entry>, Trouble> {
    let values = list(value).ok_or(Trouble::Garbled(of))?;
    values.into_iter().map(|value| entry(value, of)).collect()
}

fn entry(value: Value, of: &'static str) -> Result<Entry, Trouble> {
    let garbled = || Trouble::Garbled(of);
    let mut parts = list(value).ok_or_else(garbled)?.into_iter();
    let id = parts.next().as_ref().and_then(text);
    let id = id.and_then(|id| StreamId::parse(&id)).ok_or_else(garbled)?;
    let mut values = match parts.next() {
        Some(fields) => list(fields).ok_or_else(garbled)?.into_iter(),
        None => Vec::new().into_iter(),
    };
    let mut fields = Vec::new();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        fields.push((bytes(&key), bytes(&value)));
    }
    Ok(Entry { id, fields })
}

/// The ids of a page of XPENDING.
pub(super) fn pending(value: Value) -> Result<Vec<StreamId>, Trouble> {
    let garbled = || Trouble::Garbled("XPENDING");
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
    fn a_deleted_entry_has_no_fields_and_a_timeout_no_entries() {
        assert_eq!(read(Value::Null), Ok(Vec::new()));
        let entries = Value::Array(vec![Value::Array(vec!["1-1".into(), Value::Null])]);
        let reply = Value::Array(vec![Value::Array(vec!["stream".into(), entries])]);
        let entries = read(reply).unwrap();
        assert!(entries.len() == 1 && entries[0].fields.is_empty());
        assert_eq!(read(1.into()), Err(Trouble::Garbled("XREADGROUP")));
    }
}
