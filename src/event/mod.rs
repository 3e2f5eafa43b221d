//! The vocabulary that everything else speaks: events, their types, subjects and ids, and the names of the agents.
//!
//! An [`Event`] is a fact, written once. Which agents owe it a delivery is decided by the closed table in [`routing`].

pub(crate) mod awake;
pub(crate) mod clock;
pub(crate) mod codec;
mod data;
mod heartbeat;
mod id;
mod known;
pub(crate) mod routing;
mod subject;
mod time;

pub(crate) use data::Data;
pub(crate) use heartbeat::Heartbeat;
pub(crate) use id::{EventId, Seq};
pub use known::Known;
pub(crate) use known::NotKnown;
pub use routing::{AgentName, EventType};
pub use subject::Subject;
pub(crate) use subject::SubjectError;
pub(crate) use subject::escape;
pub(crate) use time::Millis;

/// A fact as it stands in the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its place in the order of commits.
    pub seq: Seq,
    /// Its identity, chosen by whoever published it.
    pub id: EventId,
    pub kind: EventType,
    /// Who published it: `agent/<name>@<instance>`, `cli`, `supervisor`, `store`.
    pub source: String,
    /// What it is about.
    pub subject: Subject,
    /// When it was published.
    pub time: Millis,
    /// The rest of it, a JSON object.
    pub data: Data,
    /// The event that caused this one.
    pub causation: Option<EventId>,
    /// The first event of the chain that this one belongs to; its own id for a root.
    pub correlation: EventId,
}

/// An event that is about to be published: it has no place in the order yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    pub id: EventId,
    pub kind: EventType,
    pub source: String,
    /// What it is about.
    pub subject: Subject,
    /// The rest of it, a JSON object.
    pub data: Data,
    /// The event that caused this one.
    pub causation: Option<EventId>,
    /// The first event of the chain; `None` for a root.
    pub correlation: Option<EventId>,
}

impl NewEvent {
    /// An event that nothing in the ledger caused, with a fresh id.
    pub fn root(
        kind: EventType,
        source: impl Into<String>,
        subject: Subject,
        data: impl Into<Data>,
    ) -> Self {
        NewEvent {
            id: EventId::fresh(),
            kind,
            source: source.into(),
            subject,
            data: data.into(),
            causation: None,
            correlation: None,
        }
    }

    /// The same event under an id that its publisher chose.
    #[must_use]
    pub fn with_id(mut self, id: EventId) -> Self {
        self.id = id;
        self
    }
}
