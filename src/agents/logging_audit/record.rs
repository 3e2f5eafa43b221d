//! The record of an event in the hash-chained log.
//!
//! It is an effect without number and hash; the writer assigns both at commit, so the chain follows the commits.
//! It holds the event's envelope and the SHA-256 of its data; data over 4 KiB is not copied.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::event::Event;
use crate::hex;
use crate::store::AuditRecord;

/// The largest data that a record copies, in bytes.
const DATA_BYTES_MAX: usize = 4096;

/// The record of an event.
pub(super) fn record(event: &Event) -> AuditRecord {
    AuditRecord {
        event: event.seq.0,
        body: body(event),
    }
}

/// The record of an event, one line of JSON.
fn body(event: &Event) -> String {
    let data = event.data.text();
    let digest = hex::encode(&Sha256::digest(data.as_bytes()));
    let mut record = Map::new();
    let mut put = |key: &str, value: Value| record.insert(key.to_owned(), value);
    put("event", json!(event.id.to_string()));
    put("seq", json!(event.seq.0));
    put("type", json!(event.kind.as_str()));
    put("subject", json!(event.subject.as_str()));
    put("time", json!(event.time.to_string()));
    put("source", json!(event.source));
    put("causation", json!(event.causation.map(|id| id.to_string())));
    put("correlation", json!(event.correlation.to_string()));
    put("data_sha256", json!(digest));
    let mut line = Value::Object(record).to_string();
    if data.len() <= DATA_BYTES_MAX {
        // As it was written: a number in it is no number of ours.
        line.pop();
        line.push_str(&format!(",\"data\":{data}}}"));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, EventId, EventType, Millis, Seq, Subject};

    fn event(data: impl Into<Data>) -> Event {
        let id = EventId::derived(&["test"]);
        Event {
            seq: Seq(7),
            id,
            kind: EventType::ReportWritten,
            source: "cli".to_owned(),
            subject: Subject::parse("a\nb").unwrap(),
            time: Millis(0),
            data: data.into(),
            causation: None,
            correlation: id,
        }
    }

    #[test]
    fn a_record_is_one_line_with_the_envelope_and_the_datas_hash() {
        let line = body(&event(json!({"path": "x\ny"})));
        assert!(!line.contains('\n'));
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record["type"], "report.written");
        assert_eq!(record["subject"], "a\nb");
        assert_eq!(record["data"]["path"], "x\ny");
        assert_eq!(record["data_sha256"].as_str().unwrap().len(), 64);
    }

    #[test]
    fn numbers_are_recorded_as_they_were_written() {
        let data = Data::parse(r#"{"n":[12345678901234567890123,1e400,-0]}"#).unwrap();
        let line = body(&event(data));
        let end = r#","data":{"n":[12345678901234567890123,1e400,-0]}}"#;
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn large_data_is_named_by_its_hash_alone() {
        let line = body(&event(json!({"text": "x".repeat(5000)})));
        assert!(line.len() < 1000);
        let record: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(record.get("data"), None);
    }
}
