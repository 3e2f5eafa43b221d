//! The record of what an operator did.

use serde_json::{Value, json};

use super::State;
use super::access::Caller;
use crate::event::{EventType, NewEvent, Subject};

/// The record of an act: by the user with this id, on the control socket or in a session of the dashboard, or by the bearer
/// of this token. It names the host that was asked: a user id is of its machine.
pub(super) fn acted(
    state: &State,
    verb: &str,
    subject: Subject,
    caller: &Caller,
    arguments: Value,
) -> NewEvent {
    let mut data = json!({
        "verb": verb, "uid": caller.uid(), "instance": state.info.instance, "arguments": arguments
    });
    if let Some(token) = caller.token() {
        data["token"] = token.into();
    }
    if caller.session().is_some() {
        data["dashboard"] = true.into();
    }
    NewEvent::root(EventType::OperatorActed, "control", subject, data)
}
