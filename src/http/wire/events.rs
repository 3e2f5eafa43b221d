//! Events, dead letters and the audit log.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{AgentState, DeliveryState, Envelope, Heard, Problem};

/// `POST /api/v1/events`: the event is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct PublishedId {
    pub id: String,
}

/// One line of the answer of `POST /api/v1/events/stream`, for the line of the request in the same place:
/// either an id, and the event is durable, or a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct PublishedLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why it was not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct EventView {
    pub event: Envelope,
    /// What each agent owes it.
    pub deliveries: Vec<Delivery>,
    /// The events that it caused, at most 1,000.
    pub caused: Vec<Envelope>,
}

/// Why the last attempt failed, of the chain of a delivery's errors.
pub(crate) fn last_error(errors: &Value) -> Option<&str> {
    errors.as_array()?.last()?["error"].as_str()
}

/// A record of the audit log, as far as it is the same for all: one line of `GET /api/v1/audit`. It has more, and its hash is
/// that of its bytes as they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditRecord {
    /// Its number, without gaps.
    pub n: u64,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    pub time: String,
    /// The last key of the line.
    pub hash: String,
}

/// What an agent owes an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Delivery {
    pub agent: String,
    #[schema(value_type = DeliveryState)]
    pub state: Heard<DeliveryState>,
    pub attempts: u32,
    /// What failed, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub errors: Value,
    /// When it became done or dead.
    pub settled_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeadList {
    /// Dead letters, oldest first.
    pub dead: Vec<Dead>,
    /// How many there are in all: more than are listed if there are very many.
    pub total: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Dead {
    pub event: String,
    /// The agent that could not handle it.
    pub agent: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub subject: String,
    pub attempts: u32,
    /// What failed, oldest first.
    #[schema(value_type = Vec<Object>)]
    pub errors: Value,
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct DeadView {
    /// The event; absent for an entry of another program that could not be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Envelope>,
    /// Its dead deliveries; of an entry its content, in `fields` of its error.
    pub dead: Vec<Dead>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Dropped {
    /// The event's id, or the entry's.
    pub event: String,
    /// Deliveries that are not tried again.
    pub dropped: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Restarted {
    pub agent: String,
    /// The host whose agent it is, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Its state now: running, unless it has not started again yet.
    #[schema(value_type = AgentState)]
    pub state: Heard<AgentState>,
    /// How often it was restarted.
    pub restarts: u64,
}

/// `POST /api/v1/dead/{id}/replay` and `POST /api/v1/events/{id}/replay`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Replayed {
    /// The event's id; of an entry of another program, that of the event that was published.
    pub event: String,
    /// Deliveries that are owed again.
    pub replayed: u64,
}

/// The newest record of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditHead {
    pub n: u64,
    pub hash: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditVerdict {
    /// Whether the chain is intact.
    pub intact: bool,
    /// Records that were checked and are intact; null if the chain is broken.
    pub records: Option<u64>,
    /// The number and the hash of the newest record; null if the chain is broken, or there is no record. Whoever writes the hash down
    /// elsewhere can tell later that nothing up to this record was changed.
    pub head: Option<AuditHead>,
    /// The number of the first record that does not fit.
    pub broken_at: Option<u64>,
    /// Why it does not fit.
    pub why: Option<String>,
}
