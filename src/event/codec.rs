//! Events as JSON: the envelope that `tail`, `events` and the API print, and what a publisher sends.

use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

use super::{Data, Event, EventId, EventType, Known, NewEvent, NotKnown, Subject, SubjectError};

/// An event as it is printed: the fields of CloudEvents that docent uses, its place, and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Envelope {
    pub id: String,
    /// Its place in the order of commits.
    pub seq: u64,
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    /// What it is about.
    pub subject: String,
    /// When it was published, RFC 3339.
    pub time: String,
    /// The rest of it.
    #[schema(value_type = Object)]
    pub data: Data,
    /// The id of the event that caused it.
    pub causation: Option<String>,
    /// The id of the first event of its chain.
    pub correlation: String,
}

impl From<&Event> for Envelope {
    fn from(event: &Event) -> Self {
        Envelope {
            id: event.id.to_string(),
            seq: event.seq.0,
            kind: event.kind.to_string(),
            source: event.source.clone(),
            subject: event.subject.to_string(),
            time: event.time.to_string(),
            data: event.data.clone(),
            causation: event.causation.map(|id| id.to_string()),
            correlation: event.correlation.to_string(),
        }
    }
}

/// What a publisher outside sends: one line of `publish --stdin`, the body of `POST /api/v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    #[serde(rename = "type")]
    #[schema(schema_with = open_type)]
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// A JSON object; absent means an empty one.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    pub data: Option<Data>,
    /// Any UUID; absent means a fresh one.
    #[serde(default)]
    #[schema(format = "uuid")]
    pub id: Option<String>,
}

/// A type that is open from outside.
fn open_type() -> Object {
    let open = EventType::ALL.iter().filter(|kind| kind.open());
    let names = open.map(|kind| kind.as_str());
    let schema = ObjectBuilder::new().schema_type(Type::String);
    schema.enum_values(Some(names)).build()
}

/// Why a submission is refused before it comes near the ledger.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SubmissionError {
    /// It is not a JSON object with the known fields.
    #[error(
        "cannot read the event: {0}; write one JSON object with type, subject, data and optionally id"
    )]
    Malformed(String),
    /// The type does not exist.
    #[error("there is no event type `{0}`; you may publish {open}", open = open_types())]
    UnknownType(String),
    /// The type is docent's own.
    #[error("only docent publishes the event type `{0}`; you may publish {open}", open = open_types())]
    ClosedType(EventType),
    /// The subject cannot be one.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// What it is about does not exist.
    #[error(transparent)]
    NotKnown(#[from] NotKnown),
    /// The id is not a UUID.
    #[error("the id `{0}` is not a UUID; leave it out and one is made")]
    Id(String),
}

/// The types that may come from outside, for a message.
fn open_types() -> String {
    let names: Vec<&str> = EventType::ALL
        .iter()
        .filter(|t| t.open())
        .map(|t| t.as_str())
        .collect();
    names.join(", ")
}

impl Submission {
    /// One line of JSON.
    ///
    /// # Errors
    /// The line is not a submission.
    pub(crate) fn from_json(line: &str) -> Result<Self, SubmissionError> {
        serde_json::from_str(line).map_err(|e| SubmissionError::Malformed(e.to_string()))
    }

    /// The event that this submission asks to publish, from `source`. The one rule for whatever comes from outside.
    ///
    /// # Errors
    /// The type is unknown or closed; the subject, the data or the id is not one; or what it is about does not exist.
    pub(crate) fn into_event(
        self,
        source: &str,
        known: &Known,
    ) -> Result<NewEvent, SubmissionError> {
        let kind: EventType = self
            .kind
            .parse()
            .map_err(|_| SubmissionError::UnknownType(self.kind.clone()))?;
        if !kind.open() {
            return Err(SubmissionError::ClosedType(kind));
        }
        let subject = match kind {
            // A period, in the words of whoever wrote the report.
            EventType::ReportWritten => Subject::parse(&self.subject),
            _ => Subject::from_outside(&self.subject),
        }?;
        known.subject(kind, &subject)?;
        let data = self.data.unwrap_or_else(Data::empty);
        let event = NewEvent::root(kind, source, subject, data);
        match self.id {
            None => Ok(event),
            Some(text) => match text.parse::<EventId>() {
                Ok(id) => Ok(event.with_id(id)),
                Err(_) => Err(SubmissionError::Id(text)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known {
            collections: vec!["docs".to_owned()],
            jobs: vec!["verify".to_owned()],
        }
    }

    fn refused(line: &str) -> SubmissionError {
        Submission::from_json(line)
            .and_then(|s| s.into_event("cli", &known()))
            .unwrap_err()
    }

    #[test]
    fn an_open_type_with_a_subject_becomes_an_event() {
        let line = r#"{"type": "scan.requested", "subject": "docs", "id": "6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55"}"#;
        let event = Submission::from_json(line)
            .and_then(|s| s.into_event("cli", &known()))
            .unwrap();
        assert_eq!(event.kind, EventType::ScanRequested);
        assert_eq!(event.id.to_string(), "6f1c5f0e-7c35-4d0a-9b0e-3a1d27c49e55");
        assert_eq!(event.data, serde_json::json!({}));
    }

    #[test]
    fn what_cannot_be_published_is_refused_by_its_reason() {
        assert!(matches!(refused("{"), SubmissionError::Malformed(_)));
        assert!(matches!(
            refused(r#"{"type": "x", "subject": "docs"}"#),
            SubmissionError::UnknownType(_)
        ));
        assert!(matches!(
            refused(r#"{"type": "file.changed", "subject": "docs"}"#),
            SubmissionError::ClosedType(_)
        ));
        for subject in ["", "Bad Subject!", "/etc/passwd", "Docs/a.md", "@host"] {
            let line = format!(r#"{{"type": "scan.requested", "subject": "{subject}"}}"#);
            assert!(
                matches!(refused(&line), SubmissionError::Subject(_)),
                "{subject}"
            );
        }
        for (kind, subject) in [
            ("scan.requested", "nope/a.md"),
            ("job.requested", "job/nope"),
        ] {
            let line = format!(r#"{{"type": "{kind}", "subject": "{subject}"}}"#);
            assert!(
                matches!(refused(&line), SubmissionError::NotKnown(_)),
                "{subject}"
            );
        }
        for (data, why) in [
            ("5", "not a JSON object"),
            (r#"{"a":1,"a":2}"#, "the key `a` twice"),
        ] {
            let line =
                format!(r#"{{"type": "scan.requested", "subject": "docs", "data": {data}}}"#);
            let text = refused(&line).to_string();
            assert!(text.contains(why), "{text}");
        }
        assert!(matches!(
            refused(r#"{"type": "scan.requested", "subject": "docs", "id": "7"}"#),
            SubmissionError::Id(_)
        ));
    }
}
