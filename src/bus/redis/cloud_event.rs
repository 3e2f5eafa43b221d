//! What an entry of another program asks to publish: the CloudEvents fields in it.

use super::reply::{Content, StreamEntry, StreamId};
use crate::event::codec::Submission;
use crate::event::{Data, EventId, Known, NewEvent};

/// The longest text kept of one field.
const FIELD_MAX: usize = 64 * 1024;

/// The event that the fields of an entry ask to publish, as they are kept of a dead letter.
///
/// # Errors
/// Why it cannot be published.
pub(crate) fn event_of_entry(
    fields: &[(String, String)],
    known: &Known,
) -> Result<NewEvent, String> {
    let bytes = |text: &String| text.as_bytes().to_vec();
    let fields = fields
        .iter()
        .map(|(name, value)| (bytes(name), bytes(value)));
    let entry = StreamEntry {
        id: StreamId::default(),
        content: Content::Fields(fields.collect()),
    };
    read_event(&entry, known)
}

/// Reads the CloudEvents fields of an entry.
pub(super) fn read_event(entry: &StreamEntry, known: &Known) -> Result<NewEvent, String> {
    let field = |name: &str| {
        entry
            .text(name)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| format!("it has no `{name}`"))
    };
    let id = field("id")?;
    let kind = field("type")?.to_owned();
    let subject = field("subject")?.to_owned();
    let data = match entry.text("data") {
        None | Some("" | "null") => None,
        Some(text) => Some(Data::parse(text).map_err(|e| e.to_string())?),
    };
    let id = match id.parse::<EventId>() {
        Ok(id) => id.to_string(),
        // CloudEvents lets an id be any text; docent's are UUIDs, so one follows from source and id, which are unique together.
        Err(_) => {
            let source = entry.text("source").unwrap_or_default();
            EventId::derived(&["ingress", source, id]).to_string()
        }
    };
    let submission = Submission {
        kind,
        subject,
        data,
        id: Some(id),
    };
    let source = match entry.text("source") {
        Some(source) if !source.is_empty() => format!("ingress/{source}"),
        _ => "ingress".to_owned(),
    };
    submission
        .into_event(&source, known)
        .map_err(|e| e.to_string())
}

/// The fields of an entry as text.
pub(super) fn shown(entry: &StreamEntry) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| {
        let bytes = &bytes[..bytes.len().min(FIELD_MAX)];
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => bytes.escape_ascii().to_string(),
        }
    };
    let fields = entry.fields().iter();
    fields
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(fields: &[(&str, &str)]) -> StreamEntry {
        let bytes = |text: &str| text.as_bytes().to_vec();
        StreamEntry {
            id: StreamId::default(),
            content: Content::Fields(fields.iter().map(|(k, v)| (bytes(k), bytes(v))).collect()),
        }
    }

    fn known() -> Known {
        Known {
            collections: vec!["docs".to_owned()],
            jobs: Vec::new(),
        }
    }

    #[test]
    fn a_cloud_event_becomes_an_event_and_its_id_the_same_one_every_time() {
        let fields = [
            ("id", "order 7"),
            ("source", "shop"),
            ("type", "scan.requested"),
            ("subject", "docs"),
            ("data", "{\"reason\":\"x\"}"),
            ("time", "any"),
        ];
        let event = read_event(&entry(&fields), &known()).unwrap();
        assert_eq!(event.source, "ingress/shop");
        assert_eq!(event.id, read_event(&entry(&fields), &known()).unwrap().id);
        let mut other = fields;
        other[1] = ("source", "mall");
        assert_ne!(event.id, read_event(&entry(&other), &known()).unwrap().id);
    }

    #[test]
    fn what_cannot_be_published_says_why() {
        let good = [
            ("id", "1"),
            ("type", "scan.requested"),
            ("subject", "docs"),
            ("data", "{}"),
        ];
        let with = |name: &str, value: &'static str| {
            let mut fields = good;
            for field in &mut fields {
                if field.0 == name {
                    field.1 = value;
                }
            }
            read_event(&entry(&fields), &known()).unwrap_err()
        };
        assert!(with("id", "").contains("`id`"));
        assert!(with("type", "").contains("`type`"));
        assert!(with("data", "{").contains("not JSON"));
        assert!(with("type", "no.such").contains("no.such"));
        assert!(with("type", "file.changed").contains("only docent"));
        assert!(with("subject", "nope").contains("there are: docs"));
    }
}
