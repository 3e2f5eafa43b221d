//! The record of what an operator did.

use serde_json::{Value, json};

use super::params::Peer;
use crate::event::{EventType, NewEvent, Subject};

/// The record of an act.
pub(super) fn acted(verb: &str, subject: Subject, peer: Peer, arguments: Value) -> NewEvent {
    let data = json!({"verb": verb, "uid": peer.uid, "arguments": arguments});
    NewEvent::root(EventType::OperatorActed, "control", subject, data)
}
